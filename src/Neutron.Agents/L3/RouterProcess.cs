using Microsoft.Extensions.Logging;
using SharpStack.LinuxHost.Processes;

namespace SharpStack.Neutron.Agents.L3;

/// <summary>
/// A program that serves a router in its namespace (radvd, keepalived), with one file that it reads: started, told of changes by SIGHUP, found again after a
/// restart of the agent, and started again where it ends.
/// </summary>
internal sealed partial class RouterProcess
{
    private static readonly TimeSpan StopGrace = TimeSpan.FromSeconds(5);

    private readonly string program;
    private readonly RouterFolders folders;
    private readonly Func<string, IReadOnlyList<string>> arguments;
    private readonly UnixFileMode mode;
    private readonly TimeProvider time;
    private readonly ILogger log;
    private readonly ProcessWatch watch = new();

    /// <param name="program">Its name; that of its files too.</param>
    /// <param name="folders">Where its files are.</param>
    /// <param name="arguments">What it is started with, by the path of its configuration; it must stay in the foreground.</param>
    /// <param name="mode">Who may read its configuration.</param>
    /// <param name="time">The clock.</param>
    /// <param name="log">The agent's log.</param>
    public RouterProcess(string program, RouterFolders folders, Func<string, IReadOnlyList<string>> arguments, UnixFileMode mode, TimeProvider time, ILogger log)
    {
        this.program = program;
        this.folders = folders;
        this.arguments = arguments;
        this.mode = mode;
        this.time = time;
        this.log = log;
        watch.Ended += (routerId, processId) =>
        {
            LogEnded(program, routerId, processId);
            Ended?.Invoke(routerId);
        };
    }

    /// <summary>A router's process has ended without being told to.</summary>
    public event Action<string>? Ended;

    /// <summary>It runs with this configuration; null: it does not run.</summary>
    /// <param name="routerId">The router.</param>
    /// <param name="configuration">What its file says.</param>
    /// <param name="restart">Whether what it knows of devices is no longer so.</param>
    /// <param name="cancellationToken">Ends the wait for the old process.</param>
    /// <returns>Whether anything was done.</returns>
    public async Task<bool> EnsureAsync(string routerId, string? configuration, bool restart, CancellationToken cancellationToken)
    {
        var spec = SpecOf(routerId);
        if (configuration is null)
        {
            return await StopAsync(routerId, spec, cancellationToken);
        }

        var changed = await ConfigurationFiles.WriteAsync(FileOf(routerId), configuration, mode, cancellationToken);
        if (ManagedProcess.Find(spec) is { IsRunning: true } running)
        {
            if (running.ArgumentsMatch && !restart)
            {
                if (changed)
                {
                    running.Signal(ManagedProcess.Hangup);
                }

                watch.Watch(routerId, running);
                return changed;
            }

            watch.Forget(routerId);
            await running.StopAsync(StopGrace, time, cancellationToken);
        }

        File.Delete(spec.LogFile!);
        var started = ManagedProcess.Start(spec);
        LogStarted(program, routerId, started.Id);
        watch.Watch(routerId, started);
        return true;
    }

    public Task StopAsync(string routerId, CancellationToken cancellationToken) => StopAsync(routerId, SpecOf(routerId), cancellationToken);

    internal bool IsRunning(string routerId) => File.Exists(SpecOf(routerId).PidFile) && ManagedProcess.Find(SpecOf(routerId)) is { IsRunning: true };

    private async Task<bool> StopAsync(string routerId, ProcessSpec spec, CancellationToken cancellationToken)
    {
        watch.Forget(routerId);
        if (!File.Exists(FileOf(routerId)))
        {
            return false;
        }

        if (ManagedProcess.Find(spec) is { } running)
        {
            await running.StopAsync(StopGrace, time, cancellationToken);
        }

        // Last: as long as it is there the process is looked for.
        File.Delete(FileOf(routerId));
        return true;
    }

    private string FileOf(string routerId) => Path.Combine(folders.Of(routerId), $"{program}.conf");

    private ProcessSpec SpecOf(string routerId) => new()
    {
        FileName = program,
        Arguments = arguments(FileOf(routerId)),
        PidFile = Path.Combine(folders.Of(routerId), $"{program}.pid"),
        LogFile = Path.Combine(folders.Of(routerId), $"{program}.log"),
        NetworkNamespace = RouterNames.NamespaceOf(routerId),
        WorkingDirectory = "/",
    };

    [LoggerMessage(EventId = 6421, Level = LogLevel.Information, Message = "{Program} of router {RouterId} is process {ProcessId}")]
    private partial void LogStarted(string program, string routerId, int processId);

    [LoggerMessage(EventId = 6422, Level = LogLevel.Warning, Message = "{Program} of router {RouterId}, process {ProcessId}, has ended; it is started again")]
    private partial void LogEnded(string program, string routerId, int processId);
}
