using System.Collections.Concurrent;
using LinqToDB;
using LinqToDB.Async;
using Microsoft.Extensions.Logging;
using SharpStack.Foundation.Reconciling;
using SharpStack.Nova.Clients;
using SharpStack.Nova.Services;
using SharpStack.Nova.Storage;

namespace SharpStack.Nova.Conductor;

/// <summary>Keeps the providers in Placement as the hosts reported themselves.</summary>
internal sealed class HostPublisher : IAsyncDisposable
{
    private readonly NovaStore store;
    private readonly PlacementClient placement;
    private readonly Reconciler<string> reconciler;
    private readonly ConcurrentDictionary<string, bool> published = new();

    public HostPublisher(NovaStore store, PlacementClient placement, TimeProvider time, ILogger<HostPublisher> log)
    {
        this.store = store;
        this.placement = placement;
        reconciler = new Reconciler<string>(
            "nova-host",
            PublishAsync,
            ListAsync,
            new ReconcilerOptions { Parallelism = 2, FirstRetry = TimeSpan.FromMilliseconds(500), LongestRetry = TimeSpan.FromSeconds(30), FullPeriod = TimeSpan.FromMinutes(5) },
            time,
            log);
    }

    public void Start() => reconciler.Start();

    /// <summary>A host reported: its provider is looked at when it is new, or newly different.</summary>
    public void Reported(string nodeId, bool changed)
    {
        if (changed || !published.ContainsKey(nodeId))
        {
            reconciler.Enqueue(nodeId);
        }
    }

    public ValueTask DisposeAsync() => reconciler.DisposeAsync();

    private async Task<IReadOnlyCollection<string>> ListAsync(CancellationToken cancellationToken)
    {
        await using var session = store.Read();
        return await session.ComputeNodes.Select(node => node.Uuid).ToListAsync(cancellationToken);
    }

    private async Task<ReconcileResult> PublishAsync(string nodeId, CancellationToken cancellationToken)
    {
        ComputeNodeRow? node;
        ServiceRow? service;
        await using (var session = store.Read())
        {
            node = await session.ComputeNodes.Where(row => row.Uuid == nodeId).FirstOrDefaultAsync(cancellationToken);
            service = node is null ? null
                : await session.Services.Where(row => row.Host == node.Host && row.Binary == HostRegistry.Compute).FirstOrDefaultAsync(cancellationToken);
        }

        if (node is not null)
        {
            await placement.PublishAsync(node, service?.Disabled ?? false, cancellationToken);
            published[nodeId] = true;
        }

        return ReconcileResult.Done;
    }
}
