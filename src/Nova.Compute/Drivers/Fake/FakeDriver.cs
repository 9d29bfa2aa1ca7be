using System.Collections.Concurrent;
using System.Threading.Channels;
using SharpStack.Foundation.Configuration;
using SharpStack.Nova.Contracts;

namespace SharpStack.Nova.Compute.Drivers.Fake;

/// <summary>
/// Guests that are only remembered: for tests at a scale that no machine could run. They survive a restart in a journal of one short line a change.
/// </summary>
public sealed class FakeDriver : IComputeDriver
{
    private readonly ConcurrentDictionary<string, PowerState> guests = new(StringComparer.Ordinal);
    private readonly Channel<string?> changes = Channel.CreateUnbounded<string?>();
    private readonly Lock writing = new();
    private readonly ServiceConfig config;
    private readonly string? journalPath;
    private readonly string host;
    private StreamWriter? journal;

    /// <param name="config">For the host's sizes.</param>
    /// <param name="host">The host's name.</param>
    /// <param name="journalPath">Where guests are remembered; null for not at all.</param>
    internal FakeDriver(ServiceConfig config, string host, string? journalPath)
    {
        this.config = config;
        this.host = host;
        this.journalPath = journalPath;
    }

    public bool IsSimulated => true;

    public ChannelReader<string?> Changes => changes.Reader;

    public Task StartAsync(CancellationToken cancellationToken)
    {
        if (journalPath is not null)
        {
            foreach (var (id, power) in ReadJournal(journalPath))
            {
                guests[id] = power;
            }

            journal = Rewrite(journalPath);
        }

        return Task.CompletedTask;
    }

    public Task<HypervisorReport> DescribeHostAsync(CancellationToken cancellationToken) => Task.FromResult(new HypervisorReport
    {
        HypervisorHostname = host,
        HypervisorType = "fake",
        HypervisorVersion = 1000,
        HostIp = config.Get(ComputeOptions.MyIp),
        Vcpus = config.Get(ComputeOptions.FakeVcpus),
        MemoryMb = config.Get(ComputeOptions.FakeMemory),
        LocalGb = config.Get(ComputeOptions.FakeDisk),
        DiskAvailableLeast = config.Get(ComputeOptions.FakeDisk),
        RunningVms = guests.Values.Count(state => state == PowerState.Running),
        CpuInfo = """{"arch": "x86_64", "model": "Nehalem", "vendor": "Intel", "features": ["pge", "clflush"], "topology": {"cores": 1, "threads": 1, "sockets": 4}}""",
        Uptime = " 00:00:00 up 0 min,  0 users,  load average: 0.00, 0.00, 0.00",
        Traits = ["COMPUTE_NODE"],
    });

    public Task<IReadOnlyCollection<string>> ListAsync(CancellationToken cancellationToken) =>
        Task.FromResult<IReadOnlyCollection<string>>([.. guests.Keys]);

    public Task<GuestState> InspectAsync(string id, CancellationToken cancellationToken) =>
        Task.FromResult(guests.TryGetValue(id, out var power) ? new GuestState(true, power) : GuestState.None);

    public Task PrepareAsync(InstanceSpec instance, CancellationToken cancellationToken)
    {
        if (guests.TryAdd(instance.Id, PowerState.NoState))
        {
            Write(instance.Id, PowerState.NoState);
        }

        return Task.CompletedTask;
    }

    public Task PlugAsync(InstanceSpec instance, CancellationToken cancellationToken) => Task.CompletedTask;

    public Task PowerOnAsync(InstanceSpec instance, CancellationToken cancellationToken)
    {
        Set(instance.Id, PowerState.Running);
        return Task.CompletedTask;
    }

    public Task RequestShutdownAsync(string id, CancellationToken cancellationToken) => PowerOffAsync(id, cancellationToken);

    public Task PowerOffAsync(string id, CancellationToken cancellationToken)
    {
        if (guests.ContainsKey(id))
        {
            Set(id, PowerState.Shutdown);
        }

        return Task.CompletedTask;
    }

    public Task RemoveAsync(string id, CancellationToken cancellationToken)
    {
        if (guests.TryRemove(id, out _))
        {
            Write(id, null);
        }

        return Task.CompletedTask;
    }

    public Task<string?> ReadConsoleAsync(string id, int? lines, CancellationToken cancellationToken) =>
        Task.FromResult(guests.ContainsKey(id) ? lines is 0 ? "" : "FAKE CONSOLE OUTPUT\nANOTHER\nLAST LINE" : null);

    public Task<GuestDiagnostics?> DiagnoseAsync(string id, CancellationToken cancellationToken) => Task.FromResult(
        // The API has no name for this driver: it passes for the usual one, as that of Nova does.
        guests.GetValueOrDefault(id) != PowerState.Running ? null : new GuestDiagnostics("running", "libvirt", "kvm", 512, 0)
        {
            ProcessorTimes = [17_300_000_000],
            Disks = [new DiskDiagnostics("vda", 112, 262_144, 488, 5_778_432, -1)],
            Nics = [new NicDiagnostics("vnet1", "01:23:45:67:89:ab", 2_070_139, 26_701, 0, 0, 140_208, 662, 0, 0)],
        });

    public Task CacheImageAsync(ImageSpec image, CancellationToken cancellationToken) => Task.CompletedTask;

    public Task CleanAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public async ValueTask DisposeAsync()
    {
        changes.Writer.TryComplete();
        if (journal is not null)
        {
            await journal.DisposeAsync();
        }
    }

    /// <summary>As if the guest had changed by itself.</summary>
    internal void ChangeByItself(string id, PowerState power)
    {
        Set(id, power);
        changes.Writer.TryWrite(id);
    }

    private void Set(string id, PowerState power)
    {
        if (!guests.TryGetValue(id, out var before) || before != power)
        {
            guests[id] = power;
            Write(id, power);
        }
    }

    private void Write(string id, PowerState? power)
    {
        if (journal is not null)
        {
            lock (writing)
            {
                journal.WriteLine(power is null ? $"-{id}" : $"{(int)power} {id}");
                journal.Flush();
            }
        }
    }

    /// <summary>The guests that a journal tells of; none where there is no journal.</summary>
    internal static IReadOnlyDictionary<string, PowerState> ReadJournal(string path)
    {
        var found = new Dictionary<string, PowerState>(StringComparer.Ordinal);
        if (!File.Exists(path))
        {
            return found;
        }

        using var file = new StreamReader(new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete));
        while (file.ReadLine() is { } line)
        {
            // The last line may have been cut short by a crash.
            if (line is ['-', .. var gone])
            {
                found.Remove(gone);
            }
            else if (line is [var digit, ' ', .. var id] && char.IsAsciiDigit(digit) && Guid.TryParse(id, out _))
            {
                found[id] = (PowerState)(digit - '0');
            }
        }

        return found;
    }

    /// <summary>Starts a journal that holds only what is, in place of the one that holds how it came.</summary>
    private StreamWriter Rewrite(string path)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        var fresh = path + ".new";
        var writer = new StreamWriter(new FileStream(fresh, FileMode.Create, FileAccess.Write, FileShare.Read));
        foreach (var (id, power) in guests)
        {
            writer.WriteLine($"{(int)power} {id}");
        }

        writer.Flush();
        File.Move(fresh, path, overwrite: true);
        return writer;
    }
}
