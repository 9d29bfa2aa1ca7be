using System.Collections.Concurrent;
using SharpStack.Foundation.Bus;
using SharpStack.Nova.Contracts;

namespace SharpStack.Nova.Tests;

/// <summary>A compute host on the bus that does at once what it is asked for, or what a test decides.</summary>
internal sealed class FakeHost : IDisposable
{
    private readonly IMessageBus bus;
    private readonly List<IDisposable> served = [];

    public FakeHost(IMessageBus bus, string name)
    {
        this.bus = bus;
        Name = name;
        served.Add(bus.Serve(ComputeContract.InstanceChanged, name, async (hint, cancellation) =>
        {
            await LookAsync(hint.Id, cancellation);
            return Ack.Ok;
        }));
        served.Add(bus.Serve(ComputeContract.GetConsoleOutput, name, (query, _) =>
            Task.FromResult(new ConsoleOutput(string.Join('\n', new[] { "one", "two", "login:" }.TakeLast(query.Lines ?? 3))))));
        served.Add(bus.Serve(ComputeContract.GetDiagnostics, name, (query, _) => Task.FromResult(new GuestDiagnostics("running", "fake", "fake", 512, 256)
        {
            ProcessorTimes = [17],
            Disks = [new DiskDiagnostics("vda", 1, 2, 3, 4, -1)],
            Nics = [new NicDiagnostics("vnet1", "01:23:45:67:89:ab", 1, 2, 3, 4, 5, 6, 7, 8), new NicDiagnostics(null, "01:23:45:67:89:ac", 0, 0, 0, 0, 0, 0, 0, 0)],
        })));
        served.Add(bus.Serve(ComputeContract.CacheImages, name, (wanted, _) =>
        {
            foreach (var image in wanted.Images)
            {
                Cached.Enqueue(image.Id);
            }

            return Task.FromResult(Ack.Ok);
        }));
    }

    public string Name { get; }

    /// <summary>Images that were to be fetched ahead of need.</summary>
    public ConcurrentQueue<string> Cached { get; } = new();

    /// <summary>Guests by instance: what runs.</summary>
    public ConcurrentDictionary<string, PowerState> Guests { get; } = new();

    /// <summary>What was asked for, in order.</summary>
    public ConcurrentQueue<(string Id, InstanceActionKind Kind)> Asked { get; } = new();

    /// <summary>Where set, a hint is not followed.</summary>
    public bool IsDeaf { get; set; }

    /// <summary>Says with what an action fails; null to carry it out.</summary>
    public Func<InstanceSpec, FaultReport?> Fail { get; set; } = static _ => null;

    /// <summary>What the conductor said last.</summary>
    public InstanceSpec? Last { get; private set; }

    public Task<HostReportReply> ReportAsync(CancellationToken cancellationToken) =>
        bus.CallAsync(
            ConductorContract.ReportHost,
            new HostReport(Name, new HypervisorReport
            {
                HypervisorHostname = Name,
                HypervisorType = "fake",
                HypervisorVersion = 1000,
                HostIp = "192.168.1.135",
                Vcpus = 8,
                MemoryMb = 8192,
                LocalGb = 100,
                Uptime = "up",
                CpuInfo = """{"arch": "x86_64"}""",
                Inventories = [new InventoryReport("VCPU", 8, 0, 16), new InventoryReport("MEMORY_MB", 8192, 512, 1.5), new InventoryReport("DISK_GB", 100, 0, 1)],
                Traits = ["COMPUTE_NODE"],
            }),
            cancellationToken: cancellationToken);

    public async Task LookAsync(string id, CancellationToken cancellationToken)
    {
        if (IsDeaf)
        {
            return;
        }

        var instance = (await bus.CallAsync(ConductorContract.GetInstance, new InstanceQuery(Name, id), cancellationToken: cancellationToken)).Instance;
        if (instance is null || instance.Desired == DesiredState.Absent)
        {
            Guests.TryRemove(id, out _);
            if (instance is not null)
            {
                await ReportAsync(new InstanceReport(Name, id, instance.Revision, PowerState.NoState) { Exists = false, ActionId = instance.Action?.Id, Progress = ActionProgress.Done }, cancellationToken);
            }

            return;
        }

        Last = instance;
        if (instance.Action is not { } action)
        {
            return;
        }

        Asked.Enqueue((id, action.Kind));
        if (Fail(instance) is { } fault)
        {
            await ReportAsync(new InstanceReport(Name, id, instance.Revision, PowerState.NoState) { ActionId = action.Id, Progress = ActionProgress.Failed, Fault = fault }, cancellationToken);
            return;
        }

        Guests[id] = action.Kind == InstanceActionKind.Stop ? PowerState.Shutdown : PowerState.Running;
        await ReportAsync(new InstanceReport(Name, id, instance.Revision, Guests[id]) { ActionId = action.Id, Progress = ActionProgress.Done }, cancellationToken);
    }

    public Task<InstanceReportReply> ReportAsync(InstanceReport report, CancellationToken cancellationToken) =>
        bus.CallAsync(ConductorContract.ReportInstance, report, cancellationToken: cancellationToken);

    public void Dispose() => served.ForEach(registration => registration.Dispose());
}
