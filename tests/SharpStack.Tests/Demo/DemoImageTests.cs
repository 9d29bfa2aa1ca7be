using System.Diagnostics;
using SharpStack.Demo;

namespace SharpStack.Tests.Demo;

public sealed class DemoImageTests
{
    [Fact]
    public void Qemu_finds_the_empty_image_whole()
    {
        var path = Path.Combine(Directory.CreateTempSubdirectory("sharpstack-test-").FullName, "image.qcow2");
        DemoImage.Write(path);

        using var check = Process.Start(new ProcessStartInfo("qemu-img", ["check", "-f", "qcow2", path]) { RedirectStandardOutput = true })!;
        var output = check.StandardOutput.ReadToEnd();
        check.WaitForExit();
        Directory.Delete(Path.GetDirectoryName(path)!, recursive: true);

        Assert.Contains("No errors were found", output, StringComparison.Ordinal);
        Assert.Equal(0, check.ExitCode);
    }
}
