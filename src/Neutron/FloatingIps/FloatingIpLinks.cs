using LinqToDB;
using LinqToDB.Async;
using SharpStack.Foundation;
using SharpStack.Neutron.Api;
using SharpStack.Neutron.Contracts;
using SharpStack.Neutron.PortForwardings;
using SharpStack.Neutron.Routers;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.FloatingIps;

/// <summary>Where floating IPs lead to, and what becomes of them when that goes.</summary>
internal static class FloatingIpLinks
{
    public const string Active = "ACTIVE";
    public const string Down = "DOWN";
    public const string Error = "ERROR";

    /// <summary>The router between a subnet and an external network: the one whose address is the subnet's gateway before any other. Null where there is none.</summary>
    public static async Task<string?> FindRouterAsync(Work work, SubnetRow subnet, string externalNetworkId)
    {
        var found = await (from own in work.Db.GetTable<RouterPortRow>()
                           where own.PortType == RouterPortOwners.Interface || own.PortType == RouterPortOwners.HaInterface
                           join ip in work.Db.GetTable<IpAllocationRow>() on own.PortId equals ip.PortId
                           where ip.SubnetId == subnet.Id
                           join router in work.Db.GetTable<RouterRow>() on own.RouterId equals router.Id
                           join gateway in work.Db.GetTable<PortRow>() on router.GatewayPortId equals gateway.Id
                           where gateway.NetworkId == externalNetworkId
                           orderby router.Id
                           select new { own.RouterId, ip.IpAddress }).ToListAsync(work.Cancellation);
        return (found.Find(row => row.IpAddress == subnet.GatewayIp) ?? found.FirstOrDefault())?.RouterId;
    }

    public static CloudException NotReachable(string externalNetworkId, string subnetId, string portId) => NeutronErrors.NotFound(
        "ExternalGatewayForFloatingIPNotFound", $"External network {externalNetworkId} is not reachable from subnet {subnetId}.  Therefore, cannot associate Port {portId} with a Floating IP.");

    /// <summary>A port lost addresses, or goes altogether: what led to them leads nowhere.</summary>
    public static async Task ForgetAsync(Work work, string portId, bool isDeleted)
    {
        var floating = await work.Db.GetTable<FloatingIpRow>().Where(row => row.FixedPortId == portId).ToListAsync(work.Cancellation);
        var forwardings = await work.Db.GetTable<PortForwardingRow>().Where(row => row.InternalPortId == portId).ToListAsync(work.Cancellation);
        if (floating.Count == 0 && forwardings.Count == 0)
        {
            return;
        }

        var left = isDeleted ? [] : (await work.Db.GetTable<IpAllocationRow>().Where(ip => ip.PortId == portId).Select(ip => ip.IpAddress).ToListAsync(work.Cancellation)).ToHashSet(StringComparer.Ordinal);
        var routers = new HashSet<string>(StringComparer.Ordinal);
        foreach (var row in floating.Where(row => !left.Contains(row.FixedIpAddress!)))
        {
            routers.Add(row.RouterId!);
            (row.FixedPortId, row.FixedIpAddress, row.RouterId, row.Status) = (null, null, null, Down);
            work.Bump(row);
            await work.Db.UpdateAsync(row, token: work.Cancellation);
        }

        foreach (var row in forwardings.Where(row => !left.Contains(row.InternalIpAddress)))
        {
            await work.Db.GetTable<PortForwardingRow>().Where(other => other.Id == row.Id).DeleteAsync(work.Cancellation);
            if (await ReleaseRouterAsync(work, row.FloatingIpId) is { } router)
            {
                routers.Add(router);
            }
        }

        await RouterHints.TouchAsync(work, routers);
    }

    /// <summary>No agent serves a router: nothing leads anywhere until one says otherwise.</summary>
    public static async Task RestAsync(Work work, string routerId)
    {
        foreach (var row in await work.Db.GetTable<FloatingIpRow>().Where(row => row.RouterId == routerId && row.Status != Down).ToListAsync(work.Cancellation))
        {
            row.Status = Down;
            work.Bump(row);
            await work.Db.UpdateAsync(row, token: work.Cancellation);
        }
    }

    /// <summary>A floating IP without forwardings and without a port is no router's.</summary>
    /// <returns>The router that it was of.</returns>
    public static async Task<string?> ReleaseRouterAsync(Work work, string floatingIpId)
    {
        var row = await work.Db.GetTable<FloatingIpRow>().FirstAsync(row => row.Id == floatingIpId, work.Cancellation);
        var router = row.RouterId;
        if (row.FixedPortId is null && !await work.Db.GetTable<PortForwardingRow>().AnyAsync(forwarding => forwarding.FloatingIpId == floatingIpId, work.Cancellation))
        {
            (row.RouterId, row.Status) = (null, Down);
        }

        work.Bump(row);
        await work.Db.UpdateAsync(row, token: work.Cancellation);
        return router;
    }
}
