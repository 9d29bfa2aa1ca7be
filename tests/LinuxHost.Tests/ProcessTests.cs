using SharpStack.LinuxHost.Machine;
using SharpStack.LinuxHost.Namespaces;
using SharpStack.LinuxHost.Processes;

namespace SharpStack.LinuxHost.Tests;

public sealed class ProcessTests : IDisposable
{
    private readonly string directory = Directory.CreateTempSubdirectory("lh-process-").FullName;

    public void Dispose() => Directory.Delete(directory, recursive: true);

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    private ProcessSpec Spec(string file, params string[] arguments) => new()
    {
        FileName = file,
        Arguments = arguments,
        PidFile = Path.Combine(directory, "run", "pid"),
        LogFile = Path.Combine(directory, "log", "output"),
    };

    [Fact]
    public async Task A_childs_output_goes_to_its_log_and_its_exit_code_is_known()
    {
        var child = ManagedProcess.Start(Spec("sh", "-c", "echo \"$1 $SECRET\"; echo bad >&2; exit 7", "sh", "a 'quoted' $word") with
        {
            Environment = new Dictionary<string, string> { ["SECRET"] = "s3" },
        });

        Assert.Equal(7, await child.Exited.WaitAsync(TimeSpan.FromSeconds(20), Cancellation));
        Assert.False(child.IsRunning);
        Assert.Equal("a 'quoted' $word s3\nbad\n", await File.ReadAllTextAsync(child.Spec.LogFile!, Cancellation));
    }

    [Fact]
    public async Task A_running_child_is_found_again_by_its_pid_file()
    {
        var spec = Spec("sleep", $"1{Random.Shared.Next(100000, 999999)}");
        var child = ManagedProcess.Start(spec);

        // For a moment after its start the kernel does not know a program's arguments.
        ManagedProcess? found = null;
        await Wait.Until(() => (found = ManagedProcess.Find(spec)) is not null);

        Assert.Equal((child.Id, true, true), (found!.Id, found.IsAdopted, found.ArgumentsMatch));
        Assert.False(ManagedProcess.Find(spec with { Arguments = ["1000.2"] })!.ArgumentsMatch);
        await found.StopAsync(TimeSpan.FromSeconds(20), TimeProvider.System, Cancellation);
        Assert.Equal(128 + ManagedProcess.Terminate, await child.Exited.WaitAsync(TimeSpan.FromSeconds(20), Cancellation));
        Assert.False(File.Exists(spec.PidFile));
        Assert.Null(ManagedProcess.Find(spec));
    }

    [Fact]
    public async Task A_child_whose_pid_file_was_never_written_is_found_by_its_arguments()
    {
        var spec = Spec("sleep", $"1{Random.Shared.Next(100000, 999999)}");
        var child = ManagedProcess.Start(spec);
        File.Delete(spec.PidFile);

        var found = ManagedProcess.Find(spec);

        Assert.Equal(child.Id, found?.Id);
        await child.StopAsync(TimeSpan.FromSeconds(20), TimeProvider.System, Cancellation);
    }

    [Fact]
    public async Task A_process_is_seen_with_its_namespaces_until_it_ends()
    {
        var spec = Spec("unshare", "--pid", "--net", "--fork", "--kill-child", "sleep", $"1{Random.Shared.Next(100000, 999999)}");
        var holder = ManagedProcess.Start(spec);
        MachineProcess? inner = null;
        await Wait.Until(() => (inner = MachineProcess.All().FirstOrDefault(process => process.ParentId == holder.Id && process.Arguments[0] == "sleep")) is not null);

        Assert.Equal(1, inner!.InnerId);
        Assert.True(inner.ResidentBytes > 0);
        Assert.True(inner.Age < TimeSpan.FromMinutes(5));
        Assert.NotEqual(NetworkNamespace.Identity(null), NetworkNamespace.Identity(inner.NetworkNamespace));
        holder.Signal(ManagedProcess.Kill);
        await Wait.Until(() => !inner.IsRunning);
        await holder.Exited.WaitAsync(TimeSpan.FromSeconds(20), Cancellation);
        File.Delete(spec.PidFile);
    }

    [Fact]
    public void A_pid_that_now_belongs_to_another_process_is_not_taken_over()
    {
        var spec = Spec("sleep", $"1{Random.Shared.Next(100000, 999999)}");
        Directory.CreateDirectory(Path.GetDirectoryName(spec.PidFile)!);
        File.WriteAllText(spec.PidFile, $"{Environment.ProcessId}\nanother-boot:1\n");

        Assert.Null(ManagedProcess.Find(spec));
    }

    [Fact]
    public async Task A_child_that_ignores_the_polite_signal_is_killed()
    {
        var spec = Spec("sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done");
        var child = ManagedProcess.Start(spec);
        await Wait.Until(() => File.Exists(spec.LogFile!) && File.ReadAllText(spec.LogFile!).Contains("ready", StringComparison.Ordinal));

        await child.StopAsync(TimeSpan.FromMilliseconds(100), TimeProvider.System, Cancellation);

        Assert.Equal(128 + ManagedProcess.Kill, await child.Exited);
    }

    [Fact]
    public async Task A_child_runs_in_its_namespace_with_default_signals_and_no_descriptors_of_ours()
    {
        using var scratch = new ScratchNamespace();
        using var leaked = File.OpenRead("/proc/self/status");
        var child = ManagedProcess.Start(Spec("sh", "-c", "readlink /proc/self/ns/net; grep SigIgn /proc/self/status; ls /proc/$$/fd | wc -l") with
        {
            NetworkNamespace = scratch.Name,
        });
        await child.Exited.WaitAsync(TimeSpan.FromSeconds(20), Cancellation);

        var lines = await File.ReadAllLinesAsync(child.Spec.LogFile!, Cancellation);
        Assert.Equal(NetworkNamespace.Identity(scratch.Name), lines[0]);
        const long BrokenPipe = 1L << 12;
        Assert.Equal(0, Convert.ToInt64(lines[1].Split('\t')[1], 16) & BrokenPipe);
        Assert.Equal("3", lines[2].Trim());
    }

    [Fact]
    public void A_program_that_is_missing_is_reported_at_once()
    {
        var failure = Assert.Throws<LinuxException>(() => ManagedProcess.Start(Spec("no-such-program-here")));
        Assert.True(failure.IsNotFound);
        Assert.Contains("no-such-program-here", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_bounded_command_gives_its_output_and_code()
    {
        var result = await BoundedCommand.RunAsync("sh", ["-c", "echo out; echo err >&2; ulimit -v; exit 3"],
            new CommandLimits(TimeSpan.FromSeconds(20), ProcessorSeconds: 5, AddressSpace: 1L << 30), TimeProvider.System, Cancellation);

        Assert.Equal(new CommandResult(3, "out\n1048576\n", "err\n"), result);
    }

    [Fact]
    public async Task A_bounded_command_is_killed_when_its_time_is_over()
    {
        var failure = await Assert.ThrowsAsync<TimeoutException>(() => BoundedCommand.RunAsync("sleep", ["1000"],
            new CommandLimits(TimeSpan.FromMilliseconds(200)), TimeProvider.System, Cancellation));
        Assert.Contains("sleep", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_machines_facts_agree_with_the_kernel()
    {
        var facts = MachineFacts.Read();

        Assert.Equal(File.Exists("/dev/kvm") && MachineFacts.HasVirtualization(File.ReadLines("/proc/cpuinfo")), facts.KvmUsable);
        Assert.Equal(Directory.Exists("/run/systemd/system"), facts.HasSystemd);
        Assert.InRange(facts.AvailableMemoryBytes, 1, facts.MemoryBytes);
        Assert.True(facts.ProcessorCount > 0);
        var (total, available) = MachineFacts.Disk(directory);
        Assert.InRange(available, 1, total);
        Assert.Matches(@"^\d\d:\d\d:\d\d up (\d+ days, )?\d+:\d\d,  0 users,  load average: [\d.]+, [\d.]+, [\d.]+$", MachineFacts.Uptime(TimeProvider.System));
    }

    [Theory]
    [InlineData("flags\t\t: fpu vmx sse", true)]
    [InlineData("flags\t\t: fpu svm sse", true)]
    [InlineData("flags\t\t: fpu sse hypervisor", false)]
    [InlineData("Features\t: fp asimd", true)]
    public void A_processor_that_does_not_run_guests_itself_is_none_for_kvm(string line, bool has) =>
        Assert.Equal(has, MachineFacts.HasVirtualization(["processor\t: 0", line]));
}

internal static class Wait
{
    /// <summary>Returns when the condition holds; fails after a minute.</summary>
    public static Task Until(Func<bool> condition) => Until(() => Task.FromResult(condition()));

    /// <inheritdoc cref="Until(Func{bool})"/>
    public static async Task Until(Func<Task<bool>> condition)
    {
        using var bound = new CancellationTokenSource(TimeSpan.FromMinutes(1));
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(20));
        while (!await condition())
        {
            await timer.WaitForNextTickAsync(bound.Token);
        }
    }
}
