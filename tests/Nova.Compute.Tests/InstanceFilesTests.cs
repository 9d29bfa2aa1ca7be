using System.Text;
using SharpStack.Nova.Compute.Instances;

namespace SharpStack.Nova.Compute.Tests;

public sealed class InstanceFilesTests : IDisposable
{
    private readonly InstanceFiles files = new(Directory.CreateTempSubdirectory("instance-files-").FullName);
    private readonly string id = Guid.NewGuid().ToString();

    public void Dispose() => Directory.Delete(files.Root, recursive: true);

    [Theory]
    [InlineData(null, "one\ntwo\nthree\n")]
    [InlineData(2, "two\nthree\n")]
    [InlineData(3, "one\ntwo\nthree\n")]
    [InlineData(99, "one\ntwo\nthree\n")]
    [InlineData(0, "")]
    public void The_last_lines_of_a_console_are_read(int? lines, string expected)
    {
        files.Create(id);
        Assert.Equal("", files.ReadConsole(id, lines));
        File.WriteAllText(files.ConsoleLog(id), "one\ntwo\nthree\n");

        Assert.Equal(expected, files.ReadConsole(id, lines));
    }

    [Fact]
    public void A_long_console_gives_its_last_100_KiB_and_a_boundless_one_is_cut()
    {
        files.Create(id);
        using (var log = new FileStream(files.ConsoleLog(id), FileMode.Create))
        {
            log.SetLength(9 << 20);
            log.Seek(0, SeekOrigin.End);
            log.Write(Encoding.UTF8.GetBytes("end\xff"));
        }

        Assert.EndsWith("end\u00ff", files.ReadConsole(id, null), StringComparison.Ordinal);
        Assert.Equal(100 * 1024 - 1, files.ReadConsole(id, null).Length);
        files.TrimConsole(id);
        Assert.Equal(0, new FileInfo(files.ConsoleLog(id)).Length);
    }

    [Fact]
    public void Devices_are_remembered_with_those_of_before()
    {
        files.WriteDevices(id, ["tap1"]);
        files.WriteDevices(id, ["tap2", "tap1"]);

        Assert.Equal(["tap1", "tap2"], files.ReadDevices(id));
        Assert.Equal([id], files.List());
        files.Delete(id);
        Assert.Empty(files.List());
    }

    [Theory]
    [InlineData("..")]
    [InlineData("../../etc")]
    [InlineData("")]
    public void Only_an_id_names_a_folder(string name) => Assert.Throws<ArgumentException>(() => files.Delete(name));

    [Fact]
    public void Folders_that_are_no_instances_are_not_listed()
    {
        Directory.CreateDirectory(Path.Combine(files.Root, "_base"));
        Assert.Empty(files.List());
    }
}
