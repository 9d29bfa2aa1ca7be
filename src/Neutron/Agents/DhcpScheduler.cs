using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using Microsoft.Extensions.Logging;
using SharpStack.Foundation.Bus;
using SharpStack.Neutron.Contracts;
using SharpStack.Neutron.Ports;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.Agents;

/// <summary>Gives each network with DHCP its agents: at once where one lives, later where one comes or another dies.</summary>
internal sealed class DhcpScheduler(NeutronOptions options, AgentDirectory agents, PortOperations ports)
{
    /// <summary>Sees to it that <c>dhcp_agents_per_network</c> live agents serve the network, as far as there are so many.</summary>
    public async Task EnsureAsync(Work work, string networkId)
    {
        if (!await work.Db.GetTable<SubnetRow>().AnyAsync(subnet => subnet.NetworkId == networkId && subnet.EnableDhcp, work.Cancellation))
        {
            return;
        }

        var bound = await agents.DhcpOfAsync(work.Db, networkId, work.Cancellation);
        var missing = options.DhcpAgentsPerNetwork - bound.Count(agents.IsAlive);
        if (missing > 0)
        {
            var free = (await agents.LiveDhcpAsync(work.Db, work.Cancellation)).ExceptBy(bound.Select(agent => agent.Id), agent => agent.Id).ToList();
            foreach (var agent in (await LeastLoadedAsync(work, free)).Take(missing))
            {
                await BindAsync(work, networkId, agent);
                missing--;
            }
        }

        // The dead ones go when they are replaced: where nobody else is there they may come back.
        if (missing <= 0)
        {
            foreach (var dead in bound.Where(agent => !agents.IsAlive(agent)))
            {
                await UnbindAsync(work, networkId, dead);
            }
        }
    }

    /// <summary>Ports that wait for nothing but DHCP, where nobody is left who could serve it, wait no longer.</summary>
    public async Task ReleaseWaitingAsync(Work work, string networkId)
    {
        if ((await agents.DhcpOfAsync(work.Db, networkId, work.Cancellation)).Exists(agents.IsAlive))
        {
            return;
        }

        var waiting = await work.Db.GetTable<PortRow>()
            .Where(port => port.NetworkId == networkId && work.Db.GetTable<ProvisioningBlockRow>().Any(block => block.PortId == port.Id && block.Entity == PortOperations.Dhcp)
                && !work.Db.GetTable<ProvisioningBlockRow>().Any(block => block.PortId == port.Id && block.Entity == PortOperations.L2))
            .ToListAsync(work.Cancellation);
        foreach (var port in waiting)
        {
            await ports.ProvisionedAsync(work, port, byDhcp: true);
        }
    }

    public static async Task BindAsync(Work work, string networkId, AgentRow agent)
    {
        await work.Db.InsertAsync(new NetworkDhcpAgentRow { NetworkId = networkId, AgentId = agent.Id }, token: work.Cancellation);
        work.Hint(bus => bus.CastAsync(DhcpContracts.NetworkChanged, new NetworkHint(networkId), agent.Host));
    }

    public static async Task UnbindAsync(Work work, string networkId, AgentRow agent)
    {
        await work.Db.GetTable<NetworkDhcpAgentRow>().Where(row => row.NetworkId == networkId && row.AgentId == agent.Id).DeleteAsync(work.Cancellation);
        work.Hint(bus => bus.CastAsync(DhcpContracts.NetworkChanged, new NetworkHint(networkId), agent.Host));
    }

    /// <summary>The networks that have fewer live agents than they should.</summary>
    public async Task<IReadOnlyCollection<string>> ListNeedyAsync(DataConnection db, CancellationToken cancellationToken)
    {
        var networks = await db.GetTable<SubnetRow>().Where(subnet => subnet.EnableDhcp).Select(subnet => subnet.NetworkId).Distinct().ToListAsync(cancellationToken);
        var bound = await (from row in db.GetTable<NetworkDhcpAgentRow>() join agent in db.GetTable<AgentRow>() on row.AgentId equals agent.Id select new { row.NetworkId, Agent = agent }).ToListAsync(cancellationToken);
        var live = bound.Where(row => agents.IsAlive(row.Agent)).CountBy(row => row.NetworkId).ToDictionary();
        return networks.FindAll(network => live.GetValueOrDefault(network) < options.DhcpAgentsPerNetwork);
    }

    private static async Task<IEnumerable<AgentRow>> LeastLoadedAsync(Work work, List<AgentRow> free)
    {
        if (free.Count < 2)
        {
            return free;
        }

        var load = (await work.Db.GetTable<NetworkDhcpAgentRow>().GroupBy(row => row.AgentId).Select(group => new { group.Key, Count = group.Count() }).ToListAsync(work.Cancellation))
            .ToDictionary(row => row.Key, row => row.Count);
        return free.OrderBy(agent => load.GetValueOrDefault(agent.Id)).ThenBy(agent => agent.Host, StringComparer.Ordinal);
    }
}

/// <summary>Looks after the networks whose agents died or were not there yet; one of the servers does it for all.</summary>
internal sealed class DhcpSchedulingReconciler(NeutronStore store, DhcpScheduler scheduler, NeutronLeases leases, IMessageBus bus, TimeProvider time, ILogger<DhcpSchedulingReconciler> log)
    : SchedulingReconciler(
        Key,
        leases.DhcpScheduling,
        store,
        scheduler.ListNeedyAsync,
        async (work, network) =>
        {
            await scheduler.EnsureAsync(work, network);
            await scheduler.ReleaseWaitingAsync(work, network);
        },
        bus,
        time,
        log)
{
    public const string Key = "dhcp-scheduling";
}
