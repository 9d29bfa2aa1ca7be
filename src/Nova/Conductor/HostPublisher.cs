using System.Collections.Concurrent;
using LinqToDB;
using LinqToDB.Async;
using Microsoft.Extensions.Logging;
using SharpStack.Foundation.Bus;
using SharpStack.Foundation.Reconciling;
using SharpStack.Nova.Contracts;
using SharpStack.Nova.Services;
using SharpStack.Nova.Storage;

namespace SharpStack.Nova.Conductor;

/// <summary>Keeps the providers in Placement as the hosts reported themselves.</summary>
internal sealed class HostPublisher : IAsyncDisposable
{
    private readonly NovaStore store;
    private readonly HostProviders providers;
    private readonly Reconciler<string> reconciler;
    private readonly ConcurrentDictionary<string, bool> published = new();

    public HostPublisher(NovaStore store, HostProviders providers, TimeProvider time, ILogger<HostPublisher> log)
    {
        this.store = store;
        this.providers = providers;
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

    /// <summary>An administrator changed something of a host, and Placement did not take it.</summary>
    public async Task<Ack> ChangedAsync(HostQuery query, CancellationToken cancellationToken)
    {
        await using var session = store.Read();
        if (await session.ComputeNodes.Where(node => node.Host == query.Host).Select(node => node.Uuid).FirstOrDefaultAsync(cancellationToken) is { } nodeId)
        {
            reconciler.Enqueue(nodeId);
        }

        return Ack.Ok;
    }

    public ValueTask DisposeAsync() => reconciler.DisposeAsync();

    private async Task<IReadOnlyCollection<string>> ListAsync(CancellationToken cancellationToken)
    {
        await using var session = store.Read();
        return await session.ComputeNodes.Select(node => node.Uuid).ToListAsync(cancellationToken);
    }

    private async Task<ReconcileResult> PublishAsync(string nodeId, CancellationToken cancellationToken)
    {
        if (await providers.PublishAsync(nodeId, cancellationToken))
        {
            published[nodeId] = true;
        }

        return ReconcileResult.Done;
    }
}
