using System.Linq.Expressions;
using LinqToDB;
using LinqToDB.Async;
using SharpStack.Foundation;
using SharpStack.Foundation.Bus;
using SharpStack.Nova.Clients;
using SharpStack.Nova.Contracts;
using SharpStack.Nova.Storage;

namespace SharpStack.Nova.Services;

/// <summary>Makes that Placement has the hosts as Nova knows them: provider, inventories, traits, whether disabled, and the aggregates that they are in.</summary>
internal sealed class HostProviders(NovaStore store, PlacementClient placement, IMessageBus bus)
{
    /// <summary>Asks the conductor to look at a host's provider until Placement agrees.</summary>
    public static readonly BusContract<HostQuery, Ack> HostChanged = new(ConductorContract.Topic, "host_changed", 1, Servers.NovaJson.Default.HostQuery, Servers.NovaJson.Default.Ack);

    /// <returns>False where there is no such host.</returns>
    public Task<bool> PublishAsync(string nodeId, CancellationToken cancellationToken) => PublishAsync(row => row.Uuid == nodeId, cancellationToken);

    /// <summary>Publishes a host of which an administrator changed something; where Placement does not take it now, the conductor goes on trying.</summary>
    public async Task ChangedAsync(string host, CancellationToken cancellationToken)
    {
        try
        {
            await PublishAsync(row => row.Host == host, cancellationToken);
        }
        catch (CloudException failure) when (failure.IsTransient || failure.Kind is ErrorKind.Conflict or ErrorKind.NotFound)
        {
            await bus.CastAsync(HostChanged, new HostQuery(host), cancellationToken: cancellationToken);
        }
    }

    private async Task<bool> PublishAsync(Expression<Func<ComputeNodeRow, bool>> which, CancellationToken cancellationToken)
    {
        var known = await ReadAsync(which, cancellationToken);
        for (HostFacts? published = null; known is not null && !known.IsLike(published); known = await ReadAsync(which, cancellationToken))
        {
            var facts = known;
            await placement.PublishAsync(facts.Node, facts.Disabled, facts.Aggregates, stranger => !facts.Namesakes.Contains(stranger), cancellationToken);
            // Another process may have published something newer meanwhile, which this has then overwritten: what is true now is looked at once more.
            published = facts;
        }

        return known is not null;
    }

    private async Task<HostFacts?> ReadAsync(Expression<Func<ComputeNodeRow, bool>> which, CancellationToken cancellationToken)
    {
        await using var session = store.Read();
        if (await session.ComputeNodes.Where(which).FirstOrDefaultAsync(cancellationToken) is not { } node)
        {
            return null;
        }

        var disabled = await session.Services.Where(row => row.Host == node.Host && row.Binary == HostRegistry.Compute).Select(row => row.Disabled).FirstOrDefaultAsync(cancellationToken);
        var aggregates = (await session.Aggregates
            .OrderBy(aggregate => aggregate.Id)
            .Select(aggregate => new { aggregate.Uuid, IsMember = session.AggregateHosts.Any(row => row.AggregateId == aggregate.Id && row.Host == node.Host) })
            .ToListAsync(cancellationToken)).ConvertAll(aggregate => (aggregate.Uuid, aggregate.IsMember));
        var namesakes = await session.ComputeNodes.Where(row => row.HypervisorHostname == node.HypervisorHostname).Select(row => row.Uuid).ToListAsync(cancellationToken);
        return new HostFacts(node, disabled, aggregates, [.. namesakes]);
    }

    private sealed record HostFacts(ComputeNodeRow Node, bool Disabled, List<(string Id, bool IsMember)> Aggregates, HashSet<string> Namesakes)
    {
        /// <summary>Whether Placement would be told the same.</summary>
        public bool IsLike(HostFacts? other) =>
            other is not null && Node.Uuid == other.Node.Uuid && Node.HypervisorHostname == other.Node.HypervisorHostname && Node.Inventories == other.Node.Inventories
            && Node.Traits == other.Node.Traits && Disabled == other.Disabled && Aggregates.SequenceEqual(other.Aggregates);
    }
}
