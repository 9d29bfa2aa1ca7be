using LinqToDB;
using LinqToDB.Async;
using SharpStack.Foundation;
using SharpStack.Nova.Aggregates;
using SharpStack.Nova.Storage;

namespace SharpStack.Nova.Services;

/// <summary>A compute host that registered itself.</summary>
/// <param name="Node">The hypervisor's name.</param>
/// <param name="ProviderId">UUID of its resource provider.</param>
/// <param name="Failure">Why Placement does not have it; null where it has.</param>
public sealed record DiscoveredHost(string Host, string Node, string ProviderId, string Zone, bool IsUp, bool IsDisabled, string? Failure);

/// <summary>What <c>nova-manage cell_v2 discover_hosts</c> is run for: hosts are known and can be scheduled to. They register themselves; this looks, and mends what Placement lacks.</summary>
public sealed class HostDiscovery
{
    private readonly NovaStore store;
    private readonly HostRegistry hosts;
    private readonly HostProviders providers;

    internal HostDiscovery(NovaStore store, HostRegistry hosts, HostProviders providers)
    {
        this.store = store;
        this.hosts = hosts;
        this.providers = providers;
    }

    /// <summary>All compute hosts in the order in which they came.</summary>
    public async Task<IReadOnlyList<DiscoveredHost>> RunAsync(CancellationToken cancellationToken)
    {
        var found = new List<DiscoveredHost>();
        await using (var session = store.Read())
        {
            var zones = await AggregateStore.ZonesAsync(session, cancellationToken);
            var rows = await (
                from node in session.ComputeNodes
                join service in session.Services on node.Host equals service.Host
                where service.Binary == HostRegistry.Compute
                orderby node.Id
                select new { Node = node, Service = service }).ToListAsync(cancellationToken);
            found.AddRange(rows.Select(row => new DiscoveredHost(
                row.Node.Host, row.Node.HypervisorHostname, row.Node.Uuid, hosts.ZoneOf(row.Service, zones), hosts.IsUp(row.Service, session.Now), row.Service.Disabled, null)));
        }

        for (var i = 0; i < found.Count; i++)
        {
            try
            {
                await providers.PublishAsync(found[i].ProviderId, cancellationToken);
            }
            catch (CloudException failure)
            {
                found[i] = found[i] with { Failure = failure.Message };
            }
        }

        return found;
    }
}
