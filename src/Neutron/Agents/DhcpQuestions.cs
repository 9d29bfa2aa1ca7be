using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation.Bus;
using SharpStack.Neutron.Api;
using SharpStack.Neutron.Contracts;
using SharpStack.Neutron.Ipam;
using SharpStack.Neutron.Ports;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.Agents;

/// <summary>Answers the DHCP agents: the networks that are theirs, and a port of their own in each.</summary>
internal sealed class DhcpQuestions(NeutronStore store, PortResource ports, IpAllocator ipam, PortOperations operations, NeutronOptions options)
{
    public async Task<DhcpNetworksAnswer> GetNetworksAsync(DhcpNetworksRequest request, CancellationToken cancellationToken)
    {
        await using var db = store.Read();
        var mine = await Scheduled(db, request.Host).ToListAsync(cancellationToken);
        var wanted = request.NetworkIds is null ? mine : [.. mine.Intersect(request.NetworkIds)];
        var networks = await db.GetTable<NetworkRow>().WhereIn(row => row.Id, wanted).ToListAsync(cancellationToken);
        var subnets = (await db.GetTable<SubnetRow>().WhereIn(row => row.NetworkId, wanted).OrderBy(row => row.CreatedAt).ToListAsync(cancellationToken)).ToLookup(row => row.NetworkId);
        var rows = await db.GetTable<PortRow>().WhereIn(row => row.NetworkId, wanted).ToListAsync(cancellationToken);
        var addresses = (await db.GetTable<IpAllocationRow>().WhereIn(ip => ip.NetworkId, wanted).OrderBy(ip => ip.Position).ToListAsync(cancellationToken)).ToLookup(ip => ip.PortId);
        var byNetwork = rows.ToLookup(row => row.NetworkId, row => PortOf(row, addresses[row.Id]));
        return new DhcpNetworksAnswer(
            [.. networks.Select(row => new DhcpNetwork(row.Id, row.ProjectId, row.AdminStateUp, row.Mtu, null, row.Revision, [.. subnets[row.Id].Select(SubnetOf)], [.. byNetwork[row.Id]]))],
            request.NetworkIds is null ? [] : [.. request.NetworkIds.Except(networks.Select(row => row.Id))]);
    }

    public async Task<DhcpPortsAnswer> GetPortsAsync(DhcpPortsRequest request, CancellationToken cancellationToken)
    {
        await using var db = store.Read();
        var wanted = request.PortIds.ToList();
        var mine = Scheduled(db, request.Host);
        var rows = await db.GetTable<PortRow>().Where(row => wanted.Contains(row.Id) && mine.Contains(row.NetworkId)).ToListAsync(cancellationToken);
        var addresses = (await db.GetTable<IpAllocationRow>().WhereIn(ip => ip.PortId, wanted).OrderBy(ip => ip.Position).ToListAsync(cancellationToken)).ToLookup(ip => ip.PortId);
        return new DhcpPortsAnswer([.. rows.Select(row => PortOf(row, addresses[row.Id]))], [.. wanted.Except(rows.Select(row => row.Id))]);
    }

    public Task<DhcpPortAnswer> EnsurePortAsync(DhcpPortRequest request, CancellationToken cancellationToken) =>
        store.WriteAsync(
            async work =>
            {
                var network = await work.Db.GetTable<NetworkRow>().FirstOrDefaultAsync(row => row.Id == request.NetworkId, work.Cancellation);
                if (network is null || !await Scheduled(work.Db, request.Host).AnyAsync(id => id == request.NetworkId, work.Cancellation))
                {
                    return new DhcpPortAnswer(null);
                }

                var served = await work.Db.GetTable<SubnetRow>().Where(row => row.NetworkId == network.Id && row.EnableDhcp).OrderBy(row => row.CreatedAt).ThenBy(row => row.Id)
                    .Select(row => row.Id).ToListAsync(work.Cancellation);
                var row = await OwnPortAsync(work, request);
                if (row is null)
                {
                    row = new PortRow
                    {
                        ProjectId = network.ProjectId,
                        NetworkId = network.Id,
                        AdminStateUp = true,
                        DeviceId = DhcpNames.DeviceId(request.Host, network.Id),
                        DeviceOwner = DhcpNames.DeviceOwner,
                        AllowedAddressPairs = "[]",
                        ExtraDhcpOpts = "[]",
                        Host = request.Host,
                        VnicType = "normal",
                        Profile = "{}",
                    };
                    await ports.InsertAsync(work, row, [.. served.Select(id => new FixedIpWish(id, null))], []);
                }
                else
                {
                    var isMoved = await ipam.ChangeAsync(work, row, [.. served.Select(id => new FixedIpWish(id, null))]);
                    var mustBind = row.Host != request.Host || !PortOperations.IsBound(row);
                    if (mustBind)
                    {
                        row.Host = request.Host;
                        await operations.BindAsync(work, row);
                    }

                    if (isMoved || mustBind)
                    {
                        await operations.TouchAsync(work, row);
                    }
                }

                var addresses = await work.Db.GetTable<IpAllocationRow>().Where(ip => ip.PortId == row.Id).OrderBy(ip => ip.Position).ToListAsync(work.Cancellation);
                return new DhcpPortAnswer(PortOf(row, addresses));
            },
            cancellationToken);

    public async Task<Ack> ReleasePortAsync(DhcpPortRequest request, CancellationToken cancellationToken)
    {
        await store.WriteAsync(
            async work =>
            {
                if (await OwnPortAsync(work, request) is { } row)
                {
                    await operations.DeleteAsync(work, row);
                }
            },
            cancellationToken);
        return Ack.Ok;
    }

    public async Task<Ack> ReportReadyAsync(DhcpReadyReport report, CancellationToken cancellationToken)
    {
        await store.WriteAsync(
            async work =>
            {
                var ids = report.PortIds.ToList();
                foreach (var port in await work.Db.GetTable<PortRow>().WhereIn(row => row.Id, ids).ToListAsync(work.Cancellation))
                {
                    await operations.ProvisionedAsync(work, port, byDhcp: true);
                }
            },
            cancellationToken);
        return Ack.Ok;
    }

    private static Task<PortRow?> OwnPortAsync(Work work, DhcpPortRequest request)
    {
        var device = DhcpNames.DeviceId(request.Host, request.NetworkId);
        return work.Db.GetTable<PortRow>().FirstOrDefaultAsync(row => row.NetworkId == request.NetworkId && row.DeviceId == device && row.DeviceOwner == DhcpNames.DeviceOwner, work.Cancellation);
    }

    private static IQueryable<string> Scheduled(DataConnection db, string host) =>
        from agent in db.GetTable<AgentRow>()
        where agent.Host == host && agent.AgentType == AgentTypes.Dhcp
        join bound in db.GetTable<NetworkDhcpAgentRow>() on agent.Id equals bound.AgentId
        select bound.NetworkId;

    private static DhcpSubnet SubnetOf(SubnetRow row) =>
        new(
            row.Id,
            row.Name,
            row.Cidr,
            row.IpVersion,
            row.GatewayIp,
            row.EnableDhcp,
            JsonText.Pairs(row.AllocationPools, "start", "end").ConvertAll(pool => new AddressRange(pool.First, pool.Second)),
            JsonText.Texts(row.DnsNameservers),
            JsonText.Pairs(row.HostRoutes, "destination", "nexthop").ConvertAll(route => new HostRoute(route.First, route.Second)),
            row.Ipv6RaMode,
            row.Ipv6AddressMode);

    private DhcpPort PortOf(PortRow row, IEnumerable<IpAllocationRow> addresses) =>
        new(
            row.Id,
            row.NetworkId,
            row.MacAddress,
            row.AdminStateUp,
            row.DeviceOwner,
            row.DeviceId,
            [.. addresses.Select(ip => new DhcpAddress(ip.IpAddress, ip.SubnetId))],
            PortNames.GivenTo(row.DnsName, options.DnsDomain),
            JsonText.Read(row.ExtraDhcpOpts, static item => new ExtraDhcpOption(item.GetProperty("opt_name").GetString()!, item.GetProperty("opt_value").GetString(), item.GetProperty("ip_version").GetInt32())),
            row.Revision);
}
