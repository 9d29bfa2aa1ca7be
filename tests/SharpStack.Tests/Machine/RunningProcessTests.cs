using System.Diagnostics;
using System.Globalization;
using SharpStack.Machine;

namespace SharpStack.Tests.Machine;

public sealed class RunningProcessTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("sharpstack-test-").FullName;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Fact]
    public async Task A_process_is_found_by_the_folder_that_its_arguments_name_and_can_be_ended()
    {
        using var process = Process.Start("sh", ["-c", "while read line; do :; done < \"$1/fifo\"", "sh", MakeFifo()])!;
        var found = Assert.Single(RunningProcess.Using(folder), running => running.Id == process.Id);

        await found.StopAsync(TimeSpan.FromSeconds(10), TimeProvider.System, TestContext.Current.CancellationToken);
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);

        Assert.False(found.IsAlive);
    }

    [Fact]
    public void A_folder_whose_name_only_begins_alike_is_another_one()
    {
        using var process = Process.Start("sh", ["-c", "while read line; do :; done < \"$1/fifo\"", "sh", MakeFifo()])!;
        try
        {
            Assert.DoesNotContain(RunningProcess.Using(folder[..^1]), running => running.Id == process.Id);
        }
        finally
        {
            process.Kill();
            process.WaitForExit();
        }
    }

    [Fact]
    public void A_pid_file_that_names_another_program_is_stale()
    {
        var path = Path.Combine(folder, "x.pid");
        File.WriteAllText(path, Environment.ProcessId.ToString(CultureInfo.InvariantCulture));

        Assert.Null(RunningProcess.FromPidFile(path, "ovs-vswitchd"));
        Assert.Null(RunningProcess.FromPidFile(Path.Combine(folder, "none.pid"), ""));
        Assert.Equal(Environment.ProcessId, RunningProcess.FromPidFile(path, "")!.Id);
    }

    /// <summary>A pipe that nobody writes to: who reads it waits.</summary>
    private string MakeFifo()
    {
        using var make = Process.Start("mkfifo", [Path.Combine(folder, "fifo")])!;
        make.WaitForExit();
        return folder;
    }
}
