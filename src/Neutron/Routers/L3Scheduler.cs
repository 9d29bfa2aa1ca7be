using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using Microsoft.Extensions.Logging;
using SharpStack.Foundation.Bus;
using SharpStack.Neutron.Agents;
using SharpStack.Neutron.Api;
using SharpStack.Neutron.Contracts;
using SharpStack.Neutron.FloatingIps;
using SharpStack.Neutron.Ipam;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.Routers;

/// <summary>Gives each router that forwards anything its agents: those with the fewest routers, of several the HA routers as many as they may have.</summary>
internal sealed class L3Scheduler(NeutronOptions options, AgentDirectory agents, RouterPorts ports, HaNetworks haNetworks)
{
    public const string Active = "active";
    public const string Standby = "standby";
    public const string Unknown = "unknown";

    /// <summary>Whether an agent can serve routers at all.</summary>
    public static bool IsFit(Agent agent) => agent.Row.AgentType == AgentTypes.L3 && agent.Text("agent_mode") is null or "legacy" or "dvr_snat";

    /// <summary>Sees to it that a router has its agents, as far as there are any; where automatic failover is on, a live one for a dead one.</summary>
    public async Task EnsureAsync(Work work, RouterRow router)
    {
        var bound = await BoundAsync(work.Db, router.Id, work.Cancellation);
        var dead = options.AutomaticL3Failover ? bound.FindAll(agent => !agents.IsAlive(agent) || !agent.AdminStateUp) : [];
        var wanted = !router.IsHa ? 1 : options.MaxL3AgentsPerRouter == 0 ? int.MaxValue : options.MaxL3AgentsPerRouter;
        var missing = wanted - (bound.Count - dead.Count);
        if (missing <= 0 || (!router.IsHa && !await ForwardsAsync(work, router)))
        {
            return;
        }

        var hints = JsonText.Texts(router.AvailabilityZoneHints);
        var free = (await CandidatesAsync(work)).FindAll(agent => !bound.Exists(other => other.Id == agent.Id) && (hints.Count == 0 || hints.Contains(agent.AvailabilityZone)));
        var chosen = (await LeastLoadedAsync(work, free)).Take(missing).ToList();

        // The dead ones go when they are replaced: where nobody else is there they may come back.
        foreach (var agent in dead.Take(chosen.Count))
        {
            await UnbindAsync(work, router, agent);
        }

        foreach (var agent in chosen)
        {
            await BindAsync(work, router, agent);
        }
    }

    public async Task BindAsync(Work work, RouterRow router, AgentRow agent)
    {
        var row = new RouterAgentRow { RouterId = router.Id, AgentId = agent.Id, HaState = Standby };
        if (router.IsHa)
        {
            var own = await haNetworks.EnsureAsync(work, router);
            row.HaPortId = (await ports.CreateAsync(work, router, "", own.NetworkId, RouterPortOwners.HaPort, null, agent.Host, $"HA port tenant {router.ProjectId}")).Id;
        }

        await work.Db.InsertAsync(row, token: work.Cancellation);
        await ports.RebindAsync(work, router.Id, evenIfBound: !router.IsHa);
        RouterHints.Tell(work, agent.Host, [router.Id]);
    }

    public async Task UnbindAsync(Work work, RouterRow router, AgentRow agent)
    {
        var row = await work.Db.GetTable<RouterAgentRow>().FirstOrDefaultAsync(bound => bound.RouterId == router.Id && bound.AgentId == agent.Id, work.Cancellation);
        if (row is null)
        {
            return;
        }

        await work.Db.GetTable<RouterAgentRow>().Where(bound => bound.RouterId == router.Id && bound.AgentId == agent.Id).DeleteAsync(work.Cancellation);
        if (row.HaPortId is { } id && await work.Db.GetTable<PortRow>().FirstOrDefaultAsync(port => port.Id == id, work.Cancellation) is { } haPort)
        {
            await ports.DeleteAsync(work, haPort);
        }

        if (!await work.Db.GetTable<RouterAgentRow>().AnyAsync(bound => bound.RouterId == router.Id, work.Cancellation))
        {
            await FloatingIpLinks.RestAsync(work, router.Id);
        }

        await ports.RebindAsync(work, router.Id);
        RouterHints.Tell(work, agent.Host, [router.Id]);
    }

    public async Task UnbindAllAsync(Work work, RouterRow router)
    {
        foreach (var agent in await BoundAsync(work.Db, router.Id, work.Cancellation))
        {
            await UnbindAsync(work, router, agent);
        }
    }

    /// <summary>The agents of a router, dead ones too.</summary>
    public static Task<List<AgentRow>> BoundAsync(DataConnection db, string routerId, CancellationToken cancellationToken) =>
        (from bound in db.GetTable<RouterAgentRow>()
         where bound.RouterId == routerId
         join agent in db.GetTable<AgentRow>() on bound.AgentId equals agent.Id
         orderby agent.Host
         select agent).ToListAsync(cancellationToken);

    /// <summary>The routers that may want an agent more, or another.</summary>
    public async Task<IReadOnlyCollection<string>> ListNeedyAsync(DataConnection db, CancellationToken cancellationToken)
    {
        var routers = await db.GetTable<RouterRow>().Select(row => new { row.Id, row.IsHa }).ToListAsync(cancellationToken);
        var bound = await (from row in db.GetTable<RouterAgentRow>() join agent in db.GetTable<AgentRow>() on row.AgentId equals agent.Id select new { row.RouterId, Agent = agent }).ToListAsync(cancellationToken);
        var served = bound.Where(row => !options.AutomaticL3Failover || (agents.IsAlive(row.Agent) && row.Agent.AdminStateUp)).CountBy(row => row.RouterId).ToDictionary();
        var most = options.MaxL3AgentsPerRouter == 0 ? int.MaxValue : options.MaxL3AgentsPerRouter;
        return [.. routers.Where(row => served.GetValueOrDefault(row.Id) < (row.IsHa ? most : 1)).Select(row => row.Id)];
    }

    private static async Task<bool> ForwardsAsync(Work work, RouterRow router) =>
        await work.Db.GetTable<RouterPortRow>().AnyAsync(row => row.RouterId == router.Id, work.Cancellation);

    private async Task<List<AgentRow>> CandidatesAsync(Work work) =>
        (await work.Db.GetTable<AgentRow>().Where(row => row.AgentType == AgentTypes.L3 && row.AdminStateUp).ToListAsync(work.Cancellation))
            .FindAll(row => agents.IsAlive(row) && IsFit(new Agent(row, true)));

    private static async Task<IEnumerable<AgentRow>> LeastLoadedAsync(Work work, List<AgentRow> free)
    {
        if (free.Count < 2)
        {
            return free;
        }

        var load = (await work.Db.GetTable<RouterAgentRow>().GroupBy(row => row.AgentId).Select(group => new { group.Key, Count = group.Count() }).ToListAsync(work.Cancellation))
            .ToDictionary(row => row.Key, row => row.Count);
        return free.OrderBy(agent => load.GetValueOrDefault(agent.Id)).ThenBy(agent => agent.Host, StringComparer.Ordinal);
    }
}

/// <summary>Looks after the routers whose agents died or were not there yet; one of the servers does it for all.</summary>
internal sealed class L3SchedulingReconciler(NeutronStore store, L3Scheduler scheduler, NeutronLeases leases, IMessageBus bus, TimeProvider time, ILogger<L3SchedulingReconciler> log)
    : SchedulingReconciler(
        Key,
        leases.L3Scheduling,
        store,
        scheduler.ListNeedyAsync,
        async (work, id) =>
        {
            if (await work.Db.GetTable<RouterRow>().FirstOrDefaultAsync(row => row.Id == id, work.Cancellation) is { } router)
            {
                await scheduler.EnsureAsync(work, router);
            }
        },
        bus,
        time,
        log)
{
    public const string Key = "l3-scheduling";
}
