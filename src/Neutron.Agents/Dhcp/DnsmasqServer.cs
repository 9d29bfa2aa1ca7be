using System.Globalization;
using Microsoft.Extensions.Logging;
using SharpStack.LinuxHost.Namespaces;
using SharpStack.LinuxHost.Processes;

namespace SharpStack.Neutron.Agents.Dhcp;

/// <summary>
/// Runs dnsmasq for a network: writes its files, and starts, reloads or restarts it only where something differs. A process of an earlier run is
/// found again and left alone.
/// </summary>
internal sealed partial class DnsmasqServer
{
    private const int DhcpPort = 67;
    private const int Dhcp6Port = 547;
    private const int DnsPort = 53;

    private static readonly TimeSpan StopGrace = TimeSpan.FromSeconds(3);
    private static readonly TimeSpan StartPatience = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan StartPoll = TimeSpan.FromMilliseconds(10);

    private readonly DhcpSettings settings;
    private readonly DhcpFolders folders;
    private readonly TimeProvider time;
    private readonly ILogger log;
    private readonly ProcessWatch watch = new();

    public DnsmasqServer(DhcpSettings settings, DhcpFolders folders, TimeProvider time, ILogger log)
    {
        this.settings = settings;
        this.folders = folders;
        this.time = time;
        this.log = log;
        watch.Ended += (networkId, processId) =>
        {
            LogEnded(networkId, processId);
            Ended?.Invoke(networkId);
        };
    }

    /// <summary>A network's server has ended without being told to.</summary>
    public event Action<string>? Ended;

    /// <param name="networkId">The network.</param>
    /// <param name="networkNamespace">Its namespace.</param>
    /// <param name="wanted">What shall be served.</param>
    /// <param name="restart">Whether the device below is a new one.</param>
    /// <param name="cancellationToken">Ends the wait for the start.</param>
    /// <returns>Whether anything was done.</returns>
    public async Task<bool> EnsureAsync(string networkId, string networkNamespace, DnsmasqConfiguration wanted, bool restart, CancellationToken cancellationToken)
    {
        var folder = folders.Of(networkId);
        var hosts = Path.Combine(folder, "host");
        var hadTags = File.Exists(hosts) && (await File.ReadAllTextAsync(hosts, cancellationToken)).Contains(",set:", StringComparison.Ordinal);
        var changed = await ConfigurationFiles.WriteAsync(hosts, wanted.Hosts, ConfigurationFiles.Readable, cancellationToken)
            | await ConfigurationFiles.WriteAsync(Path.Combine(folder, "addn_hosts"), wanted.AdditionalHosts, ConfigurationFiles.Readable, cancellationToken)
            | await ConfigurationFiles.WriteAsync(Path.Combine(folder, "opts"), wanted.Options, ConfigurationFiles.Readable, cancellationToken);
        var spec = SpecOf(networkId, networkNamespace, wanted);
        if (ManagedProcess.Find(spec) is { IsRunning: true } running)
        {
            // A lease to one who no longer has the address keeps dnsmasq from giving it to the one who has it now.
            var mustRestart = restart || !running.ArgumentsMatch || (changed && (wanted.HasTags || hadTags || await HasForeignLeaseAsync(folder, wanted, cancellationToken)));
            if (!mustRestart)
            {
                if (changed)
                {
                    running.Signal(ManagedProcess.Hangup);
                    LogReloaded(networkId, running.Id);
                }

                watch.Watch(networkId, running);
                return changed;
            }

            watch.Forget(networkId);
            await running.StopAsync(StopGrace, time, cancellationToken);
        }

        await ConfigurationFiles.WriteAsync(Path.Combine(folder, "leases"), LeasesOf(wanted), ConfigurationFiles.Readable, cancellationToken);
        if (spec.LogFile is not null)
        {
            File.Delete(spec.LogFile);
        }

        if (settings.LogDirectory.Length > 0)
        {
            Directory.CreateDirectory(Path.Combine(settings.LogDirectory, networkId));
        }

        var started = ManagedProcess.Start(spec);
        await WaitServingAsync(networkId, started, wanted, cancellationToken);
        LogStarted(networkId, started.Id);
        watch.Watch(networkId, started);
        return true;
    }

    /// <summary>Ends the network's server.</summary>
    public async Task StopAsync(string networkId, string networkNamespace, CancellationToken cancellationToken)
    {
        watch.Forget(networkId);
        var spec = new ProcessSpec { FileName = "dnsmasq", PidFile = PidFileOf(networkId), NetworkNamespace = networkNamespace };
        if (File.Exists(spec.PidFile) && ManagedProcess.Find(spec) is { } running)
        {
            await running.StopAsync(StopGrace, time, cancellationToken);
        }
    }

    private ProcessSpec SpecOf(string networkId, string networkNamespace, DnsmasqConfiguration wanted)
    {
        var folder = folders.Of(networkId);
        return new ProcessSpec
        {
            FileName = "dnsmasq",
            Arguments =
            [
                .. wanted.Arguments,
                // This program keeps the process's id itself.
                "--pid-file=",
                $"--dhcp-hostsfile={folder}/host",
                $"--addn-hosts={folder}/addn_hosts",
                $"--dhcp-optsfile={folder}/opts",
                $"--dhcp-leasefile={folder}/leases",
                $"--user={(IsPassable(folder) ? "nobody" : "root")}",
            ],
            PidFile = PidFileOf(networkId),
            LogFile = Path.Combine(folder, "dnsmasq.log"),
            NetworkNamespace = networkNamespace,
            WorkingDirectory = "/",
        };
    }

    /// <summary>Whether a process without rights can reach the files: it reads them again at each reload.</summary>
    private static bool IsPassable(string? folder)
    {
        for (; folder is not null; folder = Path.GetDirectoryName(folder))
        {
            if (!File.GetUnixFileMode(folder).HasFlag(UnixFileMode.OtherExecute))
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>Leases of all who have an address, so that a new server neither refuses renewals nor gives one twice.</summary>
    private string LeasesOf(DnsmasqConfiguration wanted)
    {
        var expires = settings.LeaseDuration == -1 ? 0 : time.GetUtcNow().ToUnixTimeSeconds() + settings.LeaseDuration;
        return string.Concat(wanted.Addresses.OrderBy(pair => pair.Key, StringComparer.Ordinal).Select(pair => string.Create(CultureInfo.InvariantCulture, $"{expires} {pair.Value} {pair.Key} * *\n")));
    }

    private static async Task<bool> HasForeignLeaseAsync(string folder, DnsmasqConfiguration wanted, CancellationToken cancellationToken)
    {
        var path = Path.Combine(folder, "leases");
        if (!File.Exists(path))
        {
            return false;
        }

        foreach (var line in await File.ReadAllLinesAsync(path, cancellationToken))
        {
            if (line.Split(' ') is [_, var mac, var address, ..] && wanted.Addresses.TryGetValue(address, out var owner) && !owner.Equals(mac, StringComparison.OrdinalIgnoreCase))
            {
                return true;
            }
        }

        return false;
    }

    private async Task WaitServingAsync(string networkId, ManagedProcess started, DnsmasqConfiguration wanted, CancellationToken cancellationToken)
    {
        // Where guests make their addresses themselves there is DNS alone.
        var port = (wanted.HasIpv4 ? DhcpPort : wanted.HasIpv6 ? Dhcp6Port : DnsPort).ToString("X4", CultureInfo.InvariantCulture);
        var table = wanted.HasIpv4 ? "/proc/thread-self/net/udp" : "/proc/thread-self/net/udp6";
        using var patience = new CancellationTokenSource(StartPatience, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(patience.Token, cancellationToken);
        using var poll = new PeriodicTimer(StartPoll, time);
        while (!NetworkNamespace.Run(started.Spec.NetworkNamespace, () => File.ReadLines(table).Skip(1).Any(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1].EndsWith($":{port}", StringComparison.Ordinal))))
        {
            if (!started.IsRunning)
            {
                throw new InvalidOperationException($"dnsmasq for network {networkId} ended at once: {LastWords(started.Spec.LogFile!)}");
            }

            try
            {
                await poll.WaitForNextTickAsync(either.Token);
            }
            catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
            {
                throw new TimeoutException($"dnsmasq for network {networkId} does not answer {StartPatience.TotalSeconds} seconds after its start: {LastWords(started.Spec.LogFile!)}");
            }
        }
    }

    private static string LastWords(string logFile) => File.Exists(logFile) && File.ReadLines(logFile).LastOrDefault() is { } line ? line : "it said nothing";

    internal static string PidFileOf(DhcpFolders folders, string networkId) => Path.Combine(folders.Of(networkId), "pid");

    private string PidFileOf(string networkId) => PidFileOf(folders, networkId);

    [LoggerMessage(EventId = 6201, Level = LogLevel.Information, Message = "DHCP of network {NetworkId} is served by process {ProcessId}")]
    private partial void LogStarted(string networkId, int processId);

    [LoggerMessage(EventId = 6202, Level = LogLevel.Debug, Message = "DHCP of network {NetworkId} reloads in process {ProcessId}")]
    private partial void LogReloaded(string networkId, int processId);

    [LoggerMessage(EventId = 6203, Level = LogLevel.Warning, Message = "The DHCP server of network {NetworkId}, process {ProcessId}, has ended; it is started again")]
    private partial void LogEnded(string networkId, int processId);
}
