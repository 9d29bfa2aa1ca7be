using LinqToDB;
using LinqToDB.Async;
using SharpStack.Neutron.Api;
using SharpStack.Neutron.Networks;
using SharpStack.Neutron.Storage;
using SharpStack.Neutron.Subnets;

namespace SharpStack.Neutron.Routers;

/// <summary>The network of each project on which the hosts of its HA routers speak VRRP, and the routers' ids there.</summary>
internal sealed class HaNetworks(NeutronOptions options, NetworkResource networks, SubnetResource subnets)
{
    private const int LargestVirtualRouterId = 254;

    private static readonly Caller Own = new(null, IsAdmin: true, SeesAll: true);

    /// <summary>The project's HA network, made where it has none, and the router's id there.</summary>
    public async Task<HaVirtualRouterRow> EnsureAsync(Work work, RouterRow router)
    {
        if (await work.Db.GetTable<HaVirtualRouterRow>().FirstOrDefaultAsync(row => row.RouterId == router.Id, work.Cancellation) is { } existing)
        {
            return existing;
        }

        var networkId = await work.Db.GetTable<HaNetworkRow>().Where(row => row.ProjectId == router.ProjectId).Select(row => row.NetworkId).FirstOrDefaultAsync(work.Cancellation)
            ?? await CreateAsync(work, router.ProjectId);
        var taken = await work.Db.GetTable<HaVirtualRouterRow>().Where(row => row.NetworkId == networkId).Select(row => row.VirtualRouterId).ToListAsync(work.Cancellation);
        var free = Enumerable.Range(1, LargestVirtualRouterId).Except(taken).FirstOrDefault();
        if (free == 0)
        {
            throw NeutronErrors.Conflict(
                "NoVRIDAvailable", $"No more Virtual Router Identifier (VRID) available when creating router {router.Id}. The limit of number of HA Routers per tenant is {LargestVirtualRouterId}.");
        }

        var row = new HaVirtualRouterRow { NetworkId = networkId, VirtualRouterId = free, RouterId = router.Id };
        await work.Db.InsertAsync(row, token: work.Cancellation);
        return row;
    }

    /// <summary>Deletes the project's HA network with its last HA router.</summary>
    public async Task ReleaseAsync(Work work, string projectId)
    {
        var networkId = await work.Db.GetTable<HaNetworkRow>().Where(row => row.ProjectId == projectId).Select(row => row.NetworkId).FirstOrDefaultAsync(work.Cancellation);
        if (networkId is null || await work.Db.GetTable<HaVirtualRouterRow>().AnyAsync(row => row.NetworkId == networkId, work.Cancellation))
        {
            return;
        }

        var rows = await work.Db.GetTable<NetworkRow>().Where(row => row.Id == networkId).ToListAsync(work.Cancellation);
        await work.Db.GetTable<HaNetworkRow>().Where(row => row.ProjectId == projectId).DeleteAsync(work.Cancellation);
        await networks.DeleteAsync(work, Own, (await networks.LoadAsync(work.Db, rows, work.Cancellation))[0]);
    }

    private async Task<string> CreateAsync(Work work, string projectId)
    {
        var networkId = await networks.InsertAsync(work, Own, Body.Of("", json =>
        {
            json.WriteString("name", $"HA network tenant {projectId}");
            if (options.HaNetworkType.Length > 0)
            {
                json.WriteString("provider:network_type", options.HaNetworkType);
            }

            if (options.HaPhysicalNetwork.Length > 0)
            {
                json.WriteString("provider:physical_network", options.HaPhysicalNetwork);
            }
        }));
        await subnets.CreateOneAsync(work, Own, Body.Of("", json =>
        {
            json.WriteString("network_id", networkId);
            json.WriteString("name", $"HA subnet tenant {projectId}");
            json.WriteNumber("ip_version", 4);
            json.WriteString("cidr", options.HaCidr);
            json.WriteBoolean("enable_dhcp", false);
            json.WriteNull("gateway_ip");
        }));
        await work.Db.InsertAsync(new HaNetworkRow { ProjectId = projectId, NetworkId = networkId }, token: work.Cancellation);
        return networkId;
    }
}
