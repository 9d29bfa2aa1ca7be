using LinqToDB;
using LinqToDB.Async;
using Microsoft.Extensions.Logging;
using SharpStack.Foundation.Reconciling;
using SharpStack.Nova.Clients;
using SharpStack.Nova.Servers;
using SharpStack.Nova.Storage;

namespace SharpStack.Nova.Conductor;

/// <summary>
/// Compares what Placement and Neutron hold for instances with the instances themselves, slowly. Only what belongs to an instance that Nova knows to be
/// deleted, or to have failed, is given back: what Nova never knew is not its own.
/// </summary>
internal sealed partial class Janitor : IAsyncDisposable
{
    private readonly NovaStore store;
    private readonly PlacementClient placement;
    private readonly NeutronClient neutron;
    private readonly InstanceReconciler instances;
    private readonly ILogger<Janitor> log;
    private readonly Reconciler<string> reconciler;

    public Janitor(NovaStore store, PlacementClient placement, NeutronClient neutron, InstanceReconciler instances, ConductorLeases leases, TimeProvider time, ILogger<Janitor> log)
    {
        this.store = store;
        this.placement = placement;
        this.neutron = neutron;
        this.instances = instances;
        this.log = log;
        reconciler = new Reconciler<string>(
            "nova-janitor",
            async (key, cancellationToken) =>
            {
                // What it writes may be written twice: the lease only spares the others the work.
                using var hold = leases.Janitor.TryEnter(key);
                return hold is null ? ReconcileResult.Done : await SweepAsync(cancellationToken);
            },
            _ => Task.FromResult<IReadOnlyCollection<string>>(["sweep"]),
            new ReconcilerOptions { Parallelism = 1, FirstRetry = TimeSpan.FromSeconds(10), LongestRetry = TimeSpan.FromMinutes(5), FullPeriod = TimeSpan.FromMinutes(10) },
            time,
            log);
        leases.Janitor.Gained += reconciler.EnqueueAll;
    }

    public void Start() => reconciler.Start();

    public ValueTask DisposeAsync() => reconciler.DisposeAsync();

    /// <summary>Looks once, and has the instance reconciler release what is left over.</summary>
    internal async Task<ReconcileResult> SweepAsync(CancellationToken cancellationToken)
    {
        List<string> providers;
        await using (var session = store.Read())
        {
            if (!await session.Instances.AnyAsync(row => row.DeletedAt != null || row.VmState == VmStates.Error, cancellationToken))
            {
                return ReconcileResult.Done;
            }

            providers = await session.ComputeNodes.Select(node => node.Uuid).ToListAsync(cancellationToken);
        }

        var holders = (await neutron.AllInstancePortsAsync(cancellationToken)).Select(port => port.Key).ToHashSet();
        foreach (var provider in providers)
        {
            holders.UnionWith(await placement.ConsumersAsync(provider, cancellationToken));
        }

        foreach (var batch in holders.Chunk(500))
        {
            var released = await store.WriteAsync(
                async session =>
                {
                    var left = await session.Instances
                        .Where(row => batch.Contains(row.Uuid) && !row.Release && row.Host == null || batch.Contains(row.Uuid) && !row.Release && row.DeletedAt != null)
                        .Where(row => row.DeletedAt != null || row.VmState == VmStates.Error)
                        .Where(row => !session.Actions.Any(action => action.InstanceId == row.Uuid && action.Pending))
                        .ToListAsync(cancellationToken);
                    foreach (var row in left)
                    {
                        LogLeftOver(row.Uuid);
                        row.Release = true;
                        await session.SaveAsync(row, cancellationToken);
                    }

                    return left;
                },
                cancellationToken);
            foreach (var row in released)
            {
                await instances.EnqueueAsync(row.Uuid);
            }
        }

        return ReconcileResult.Done;
    }

    [LoggerMessage(EventId = 4003, Level = LogLevel.Warning, Message = "Instance {Id} is gone, but still held ports or an allocation: they are given back")]
    private partial void LogLeftOver(string id);
}
