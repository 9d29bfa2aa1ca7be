using LinqToDB;
using LinqToDB.Async;
using SharpStack.Foundation.Bus;
using SharpStack.Neutron.Contracts;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.Routers;

/// <summary>Tells the hosts of routers that something of theirs changed.</summary>
internal static class RouterHints
{
    public static async Task TellAsync(Work work, params IReadOnlyCollection<string> routerIds)
    {
        var hosts = (await (from bound in work.Db.GetTable<RouterAgentRow>().WhereIn(row => row.RouterId, routerIds)
                            join agent in work.Db.GetTable<AgentRow>() on bound.AgentId equals agent.Id
                            select new { bound.RouterId, agent.Host }).ToListAsync(work.Cancellation)).ToLookup(row => row.Host, row => row.RouterId);
        foreach (var host in hosts)
        {
            Tell(work, host.Key, [.. host]);
        }
    }

    public static void Tell(Work work, string host, IReadOnlyList<string> routerIds) =>
        work.Hint(bus => bus.CastAsync(L3Contracts.RoutersChanged, new RoutersHint(routerIds), host));

    /// <summary>The next revision of routers whose parts changed, and their hints.</summary>
    public static async Task TouchAsync(Work work, params IReadOnlyCollection<string> routerIds)
    {
        if (routerIds.Count == 0)
        {
            return;
        }

        await work.Db.GetTable<RouterRow>().WhereIn(row => row.Id, routerIds)
            .Set(row => row.Revision, row => row.Revision + 1).Set(row => row.UpdatedAt, work.Now).UpdateAsync(work.Cancellation);
        await TellAsync(work, routerIds);
    }

    /// <summary>The routers with a port on a network: its subnets or its MTU changed.</summary>
    public static async Task TellOfNetworkAsync(Work work, string networkId)
    {
        var routers = await (from own in work.Db.GetTable<RouterPortRow>()
                             join port in work.Db.GetTable<PortRow>() on own.PortId equals port.Id
                             where port.NetworkId == networkId
                             select own.RouterId).Distinct().ToListAsync(work.Cancellation);
        if (routers.Count > 0)
        {
            await TellAsync(work, routers);
        }
    }
}
