using System.Collections.Concurrent;
using Microsoft.Extensions.Logging.Abstractions;
using SharpStack.Foundation.Bus;
using SharpStack.Nova.Contracts;

namespace SharpStack.Nova.Compute.Tests;

/// <summary>The conductor's side of the contract, kept in memory: what should be, and what was reported.</summary>
internal sealed class FakeConductor : IAsyncDisposable
{
    public const string Host = "compute-1";

    private readonly ConcurrentDictionary<string, InstanceSpec> instances = new();
    private readonly List<InstanceReport> reports = [];
    private readonly List<ActionEventReport> events = [];
    private readonly List<HostReport> hosts = [];
    private long lastAction;

    public FakeConductor()
    {
        Bus.Serve(ConductorContract.ReportHost, null, (report, _) => Note(hosts, report, new HostReportReply("s", "n", false)));
        Bus.Serve(ConductorContract.ListInstances, null, (_, _) =>
            Task.FromResult(new InstanceList([.. instances.Values.Select(each => new InstanceHint(each.Id, each.Revision))])));
        Bus.Serve(ConductorContract.GetInstance, null, (query, _) => Task.FromResult(new InstanceAnswer(instances.GetValueOrDefault(query.Id))));
        Bus.Serve(ConductorContract.ReportInstance, null, ReportAsync);
        Bus.Serve(ConductorContract.ReportEvent, null, (report, _) => Note(events, report, Ack.Ok));
    }

    public InProcessBus Bus { get; } = new(TimeProvider.System, NullLogger<InProcessBus>.Instance);

    public IReadOnlyList<InstanceReport> Reports => Copy(reports);

    public IReadOnlyList<ActionEventReport> Events => Copy(events);

    public IReadOnlyList<HostReport> Hosts => Copy(hosts);

    /// <summary>Where set, reports are lost: the call fails as it does when the conductor is down.</summary>
    public bool IsDown { get; set; }

    public InstanceSpec this[string id] => instances[id];

    public InstanceSpec Add(Func<InstanceSpec, InstanceSpec>? change = null)
    {
        var id = Guid.NewGuid().ToString();
        var instance = new InstanceSpec
        {
            Id = id,
            Revision = 1,
            DomainName = $"instance-{instances.Count + 1:x8}",
            Name = "vm",
            Hostname = "vm",
            Desired = DesiredState.Running,
            Action = NewAction(InstanceActionKind.Create),
            ProjectId = "p",
            UserId = "u",
            Flavor = new FlavorSpec("m1.nano", 1, 192, 1, 0, 0),
            CreatedAt = DateTimeOffset.UnixEpoch,
        };
        instance = change?.Invoke(instance) ?? instance;
        instances[id] = instance;
        return instance;
    }

    public PendingAction NewAction(InstanceActionKind kind, TimeSpan? limit = null) =>
        new(Interlocked.Increment(ref lastAction), kind, $"req-{lastAction}", TimeProvider.System.GetUtcNow() + (limit ?? TimeSpan.FromMinutes(5)));

    public async Task ChangeAsync(string id, Func<InstanceSpec, InstanceSpec> change)
    {
        instances[id] = change(instances[id]) with { Revision = instances[id].Revision + 1 };
        await Bus.CastAsync(ComputeContract.InstanceChanged, new InstanceHint(id, instances[id].Revision), Host, CancellationToken.None);
    }

    public Task ActAsync(string id, InstanceActionKind kind, DesiredState desired) =>
        ChangeAsync(id, instance => instance with { Desired = desired, Action = NewAction(kind) });

    public void Forget(string id) => instances.TryRemove(id, out _);

    /// <summary>Waits until the conductor has no action pending for the instance, or no instance.</summary>
    public Task SettledAsync(string id) => Wait.UntilAsync(() => !instances.TryGetValue(id, out var instance) || instance.Action is null);

    public ValueTask DisposeAsync() => Bus.DisposeAsync();

    private async Task<InstanceReportReply> ReportAsync(InstanceReport report, CancellationToken cancellationToken)
    {
        if (IsDown)
        {
            throw Foundation.CloudException.Unavailable("The conductor is down.");
        }

        await Note(reports, report, Ack.Ok);
        if (!instances.TryGetValue(report.Id, out var instance))
        {
            return new InstanceReportReply(!report.Exists, 0);
        }

        if (!report.Exists && instance.Desired == DesiredState.Absent)
        {
            instances.TryRemove(report.Id, out _);
        }
        else if (report.ActionId is { } action && report.Progress != ActionProgress.InProgress)
        {
            if (instance.Action?.Id != action)
            {
                return new InstanceReportReply(false, instance.Revision);
            }

            instances[report.Id] = instance with { Action = null, LaunchedAt = report.LaunchedAt };
        }

        return new InstanceReportReply(true, instance.Revision);
    }

    private static Task<T> Note<TItem, T>(List<TItem> list, TItem item, T reply)
    {
        lock (list)
        {
            list.Add(item);
        }

        return Task.FromResult(reply);
    }

    private static T[] Copy<T>(List<T> list)
    {
        lock (list)
        {
            return [.. list];
        }
    }
}

internal static class Wait
{
    /// <summary>Returns when the condition holds; fails after a minute.</summary>
    public static async Task UntilAsync(Func<bool> condition)
    {
        using var bound = new CancellationTokenSource(TimeSpan.FromMinutes(1));
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(5));
        while (!condition())
        {
            await timer.WaitForNextTickAsync(bound.Token);
        }
    }
}
