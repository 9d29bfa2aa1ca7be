using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Neutron.Api;
using SharpStack.Neutron.Contracts;
using SharpStack.Neutron.Ipam;
using SharpStack.Neutron.Ports;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.Routers;

/// <summary>A port of a router with what its address are of.</summary>
internal sealed record AttachedPort(PortRow Port, string PortType, IReadOnlyList<IpAllocationRow> Ips);

internal sealed record ReplicatedPort(string PortId, string NetworkId, string Host);

/// <summary>The ports that routers own: made, bound to where the router is served, deleted.</summary>
internal sealed class RouterPorts(PortResource ports, PortOperations operations)
{
    /// <summary>The owner of a router's inner ports.</summary>
    public static string OwnerOf(RouterRow router) => router.IsHa ? RouterPortOwners.HaInterface : RouterPortOwners.Interface;

    public static bool IsInterface(string portType) => portType is RouterPortOwners.Interface or RouterPortOwners.HaInterface;

    /// <summary>Whether a router or a floating IP needs the port.</summary>
    public static async Task<bool> IsNeededAsync(Work work, string portId) =>
        await work.Db.GetTable<RouterPortRow>().AnyAsync(row => row.PortId == portId, work.Cancellation)
        || await work.Db.GetTable<FloatingIps.FloatingIpRow>().AnyAsync(row => row.FloatingPortId == portId, work.Cancellation);

    /// <summary>The addresses of a router's port change with the router, by its own requests.</summary>
    public static async Task RefuseAddressesAsync(Work work, PortRow port)
    {
        if (await work.Db.GetTable<RouterPortRow>().Where(row => row.PortId == port.Id).Select(row => row.RouterId).FirstOrDefaultAsync(work.Cancellation) is { } router)
        {
            throw NeutronErrors.BadRequest("port", $"The addresses of port {port.Id} are those of router {router} and cannot be changed by the port: change the router's interfaces or its gateway");
        }
    }

    public static async Task<List<AttachedPort>> LoadAsync(DataConnection db, string routerId, CancellationToken cancellationToken)
    {
        var rows = await (from own in db.GetTable<RouterPortRow>()
                          where own.RouterId == routerId
                          join port in db.GetTable<PortRow>() on own.PortId equals port.Id
                          orderby port.CreatedAt, port.Id
                          select new { Port = port, own.PortType }).ToListAsync(cancellationToken);
        var ids = rows.ConvertAll(row => row.Port.Id);
        var ips = (await db.GetTable<IpAllocationRow>().WhereIn(ip => ip.PortId, ids).OrderBy(ip => ip.Position).ToListAsync(cancellationToken)).ToLookup(ip => ip.PortId);
        return rows.ConvertAll(row => new AttachedPort(row.Port, row.PortType, [.. ips[row.Port.Id]]));
    }

    /// <summary>The networks that a router has an inner port on.</summary>
    public static Task<List<string>> InnerNetworksAsync(DataConnection db, string routerId, CancellationToken cancellationToken) =>
        (from own in db.GetTable<RouterPortRow>()
         where own.RouterId == routerId && (own.PortType == RouterPortOwners.Interface || own.PortType == RouterPortOwners.HaInterface)
         join port in db.GetTable<PortRow>() on own.PortId equals port.Id
         select port.NetworkId).Distinct().ToListAsync(cancellationToken);

    /// <summary>The ports of HA routers that a host wires too, whichever host they are bound to: it may be the active one at any moment.</summary>
    public static IQueryable<string> ReplicatedOn(DataConnection db, string host) =>
        from agent in db.GetTable<AgentRow>()
        where agent.Host == host && agent.AgentType == AgentTypes.L3
        join bound in db.GetTable<RouterAgentRow>() on agent.Id equals bound.AgentId
        where bound.HaPortId != null
        join own in db.GetTable<RouterPortRow>() on bound.RouterId equals own.RouterId
        where own.PortType != RouterPortOwners.HaPort
        select own.PortId;

    /// <summary>The ports of HA routers on networks, with each host that wires them.</summary>
    public static Task<List<ReplicatedPort>> ReplicatedAsync(DataConnection db, List<string> networkIds, CancellationToken cancellationToken) =>
        (from port in db.GetTable<PortRow>().WhereIn(row => row.NetworkId, networkIds)
         join own in db.GetTable<RouterPortRow>() on port.Id equals own.PortId
         where own.PortType != RouterPortOwners.HaPort
         join bound in db.GetTable<RouterAgentRow>() on own.RouterId equals bound.RouterId
         where bound.HaPortId != null
         join agent in db.GetTable<AgentRow>() on bound.AgentId equals agent.Id
         select new ReplicatedPort(port.Id, port.NetworkId, agent.Host)).ToListAsync(cancellationToken);

    /// <summary>Makes a port of a router, bound to where the router is served.</summary>
    /// <param name="host">Null: where the router is served now.</param>
    public async Task<PortRow> CreateAsync(Work work, RouterRow router, string projectId, string networkId, string owner, IReadOnlyList<FixedIpWish>? wishes, string? host = null, string name = "")
    {
        var row = new PortRow
        {
            ProjectId = projectId,
            NetworkId = networkId,
            Name = name,
            AdminStateUp = true,
            DeviceId = router.Id,
            DeviceOwner = owner,
            AllowedAddressPairs = "[]",
            ExtraDhcpOpts = "[]",
            Host = host ?? await HostOfAsync(work, router.Id),
            VnicType = "normal",
            Profile = "{}",
        };
        await ports.InsertAsync(work, row, wishes, []);
        await AttachAsync(work, router, row, owner);
        return row;
    }

    public static Task AttachAsync(Work work, RouterRow router, PortRow port, string owner) =>
        work.Db.InsertAsync(new RouterPortRow { PortId = port.Id, RouterId = router.Id, PortType = owner }, token: work.Cancellation);

    /// <summary>The host where the router's inner and outer ports are: that of its agent, of several the active one.</summary>
    public static async Task<string> HostOfAsync(Work work, string routerId)
    {
        var hosts = await (from bound in work.Db.GetTable<RouterAgentRow>()
                           where bound.RouterId == routerId
                           join agent in work.Db.GetTable<AgentRow>() on bound.AgentId equals agent.Id
                           orderby agent.Host
                           select new { agent.Host, bound.HaState }).ToListAsync(work.Cancellation);
        return (hosts.Find(row => row.HaState == L3Scheduler.Active) ?? hosts.FirstOrDefault())?.Host ?? "";
    }

    /// <summary>Binds a router's inner and outer ports to where it is served now.</summary>
    public async Task RebindAsync(Work work, string routerId, bool evenIfBound = true)
    {
        var host = await HostOfAsync(work, routerId);
        var rows = await (from own in work.Db.GetTable<RouterPortRow>()
                          where own.RouterId == routerId && own.PortType != RouterPortOwners.HaPort
                          join port in work.Db.GetTable<PortRow>() on own.PortId equals port.Id
                          select port).ToListAsync(work.Cancellation);
        foreach (var port in rows.Where(port => port.Host != host && (evenIfBound || port.Host.Length == 0)))
        {
            var before = port.Host;
            port.Host = host;
            await operations.BindAsync(work, port);
            await operations.TouchAsync(work, port);
            if (before.Length > 0)
            {
                await operations.TellAsync(work, port, before, isDeleted: false);
            }
        }
    }

    public Task DeleteAsync(Work work, PortRow port) => operations.DeleteAsync(work, port);

    public Task TouchAsync(Work work, PortRow port) => operations.TouchAsync(work, port);
}
