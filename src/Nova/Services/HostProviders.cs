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
        ComputeNodeRow? node;
        bool disabled;
        List<(string Id, bool IsMember)> aggregates;
        HashSet<string> known;
        await using (var session = store.Read())
        {
            node = await session.ComputeNodes.Where(which).FirstOrDefaultAsync(cancellationToken);
            if (node is null)
            {
                return false;
            }

            disabled = await session.Services.Where(row => row.Host == node.Host && row.Binary == HostRegistry.Compute).Select(row => row.Disabled).FirstOrDefaultAsync(cancellationToken);
            aggregates = (await session.Aggregates
                .Select(aggregate => new { aggregate.Uuid, IsMember = session.AggregateHosts.Any(row => row.AggregateId == aggregate.Id && row.Host == node.Host) })
                .ToListAsync(cancellationToken)).ConvertAll(aggregate => (aggregate.Uuid, aggregate.IsMember));
            known = [.. await session.ComputeNodes.Where(row => row.HypervisorHostname == node.HypervisorHostname).Select(row => row.Uuid).ToListAsync(cancellationToken)];
        }

        await placement.PublishAsync(node, disabled, aggregates, stranger => !known.Contains(stranger), cancellationToken);
        return true;
    }
}
