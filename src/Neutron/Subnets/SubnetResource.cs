using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation;
using SharpStack.Foundation.Policy;
using SharpStack.Neutron.Agents;
using SharpStack.Neutron.Api;
using SharpStack.Neutron.Contracts;
using SharpStack.Neutron.Ipam;
using SharpStack.Neutron.Networks;
using SharpStack.Neutron.Ports;
using SharpStack.Neutron.Rbac;
using SharpStack.Neutron.Routers;
using SharpStack.Neutron.Segments;
using SharpStack.Neutron.Storage;
using SharpStack.Neutron.SubnetPools;
using SubnetAttributes = SharpStack.Neutron.Api.Attributes<SharpStack.Neutron.Storage.SubnetRow, SharpStack.Neutron.Subnets.SubnetView>;

namespace SharpStack.Neutron.Subnets;

/// <summary><c>/v2.0/subnets</c>.</summary>
internal sealed class SubnetResource(NeutronOptions options, PortOperations ports, DhcpScheduler scheduler) : IResource<SubnetRow, SubnetView>
{
    private static readonly AttributeCheck Ipv6Mode = static value =>
        value.ValueKind == JsonValueKind.Null ? null : Checks.OneOf("slaac", "dhcpv6-stateful", "dhcpv6-stateless")(value);

    public string Singular => "subnet";

    public string Plural => "subnets";

    public bool CanUpdate => true;

    public bool HasQuota => true;

    public IReadOnlyList<ResourceAttribute<SubnetRow, SubnetView>> Attributes { get; } =
    [
        .. SubnetAttributes.Standard(),
        SubnetAttributes.Text("name", static row => row.Name, post: true, put: true, check: Checks.Text(255)),
        SubnetAttributes.Text("network_id", static row => row.NetworkId, post: true, required: true, check: Checks.Uuid),
        SubnetAttributes.Number("ip_version", static row => row.IpVersion, post: true, required: true, check: static value =>
            Checks.ToNumber(value) is 4 or 6 ? null : $"'{Checks.Shown(value)}' is not in [4, 6]"),
        SubnetAttributes.Text("cidr", static row => row.Cidr, post: true, check: Checks.CidrOrNull),
        SubnetAttributes.Text("gateway_ip", static row => row.GatewayIp, post: true, put: true, check: Checks.IpOrNull),
        SubnetAttributes.Raw("allocation_pools", static row => row.AllocationPools, post: true, put: true, check: Checks.Pools),
        SubnetAttributes.Raw("dns_nameservers", static row => row.DnsNameservers, post: true, put: true, check: Checks.Nameservers),
        SubnetAttributes.Raw("host_routes", static row => row.HostRoutes, post: true, put: true, check: Checks.HostRoutes),
        SubnetAttributes.Flag("enable_dhcp", static row => row.EnableDhcp, post: true, put: true),
        SubnetAttributes.Text("ipv6_ra_mode", static row => row.Ipv6RaMode, post: true, check: Ipv6Mode),
        SubnetAttributes.Text("ipv6_address_mode", static row => row.Ipv6AddressMode, post: true, check: Ipv6Mode),
        SubnetAttributes.Raw("service_types", static row => row.ServiceTypes, post: true, put: true, check: SubnetRules.CheckServiceTypes),
        SubnetAttributes.Text("subnetpool_id", static row => row.SubnetPoolId, post: true, check: Checks.UuidOrNull),
        SubnetAttributes.Taken("use_default_subnetpool", Checks.Flag),
        SubnetAttributes.Taken("prefixlen", Checks.Number(0, 128)),
        SubnetAttributes.Text("segment_id", static row => row.SegmentId, post: true, put: true, check: Checks.UuidOrNull, enforced: true),
        SubnetAttributes.Flag("dns_publish_fixed_ip", static row => row.DnsPublishFixedIp, post: true, put: true),
        new("shared") { FilterFor = static (rows, db, values, caller) =>
        {
            var networks = Sharing.Filter(db.GetTable<NetworkRow>(), db, values, caller);
            return rows.Where(row => networks.Any(network => network.Id == row.NetworkId));
        } },
        SubnetAttributes.Shown("tags", static (json, view) => json.WriteTexts(view.Tags)),
    ];

    public IQueryable<SubnetRow> Rows(DataConnection db) => db.GetTable<SubnetRow>();

    public IQueryable<SubnetRow> VisibleTo(IQueryable<SubnetRow> rows, DataConnection db, Caller caller) =>
        caller.SeesAll ? rows : rows.Where(row => row.ProjectId == caller.ProjectId
            || db.GetTable<NetworkRow>().Any(network => network.Id == row.NetworkId && network.ProjectId == caller.ProjectId)
            || db.GetTable<RbacPolicyRow>().Any(policy => policy.ObjectId == row.NetworkId && policy.Action == Sharing.AsShared && (policy.Target == caller.ProjectId || policy.Target == Sharing.Everyone)));

    public async Task<List<SubnetView>> LoadAsync(DataConnection db, IReadOnlyList<SubnetRow> rows, CancellationToken cancellationToken)
    {
        if (rows.Count == 0)
        {
            return [];
        }

        var ids = rows.Select(row => row.Id).ToList();
        var networkIds = rows.Select(row => row.NetworkId).Distinct().ToList();
        var networks = await db.GetTable<NetworkRow>().WhereIn(row => row.Id, networkIds).ToDictionaryAsync(row => row.Id, cancellationToken);
        var tags = await Tags.LoadAsync(db, ids, cancellationToken);
        var targets = await Sharing.TargetsAsync(db, networks.Values, cancellationToken);
        return [.. rows.Where(row => networks.ContainsKey(row.NetworkId))
            .Select(row => new SubnetView(row, networks[row.NetworkId], [.. targets[row.NetworkId]], [.. tags[row.Id]], networks[row.NetworkId].Shared))];
    }

    public SubnetView For(SubnetView view, Caller caller) => view with { IsShared = Sharing.Sees(view.Network, view.SharedWith, caller) };

    public PolicyTarget TargetOf(SubnetView view) => PolicyTarget.Of(
        ("project_id", view.Row.ProjectId), ("tenant_id", view.Row.ProjectId), ("network:tenant_id", view.Network.ProjectId), ("shared", PolicyTarget.Format(view.IsShared)));

    public async Task<PolicyTarget> TargetOfNewAsync(DataConnection db, Body body, CancellationToken cancellationToken)
    {
        var networkId = body.Text("network_id");
        var network = await db.GetTable<NetworkRow>().FirstOrDefaultAsync(row => row.Id == networkId, cancellationToken);
        return network is null
            ? PolicyTarget.Of(("project_id", body.ProjectId), ("tenant_id", body.ProjectId))
            : PolicyTarget.Of(
                ("project_id", body.ProjectId),
                ("tenant_id", body.ProjectId),
                ("network:tenant_id", network.ProjectId),
                ("shared", PolicyTarget.Format(await Sharing.IsSharedAsync(db, network, body.ProjectId, cancellationToken))));
    }

    public async Task UpdateAsync(Work work, Caller caller, SubnetView view, Body body)
    {
        var row = view.Row;
        var cidr = Cidr.Parse(row.Cidr);
        CheckLists(row.Id, body, row.IpVersion);
        var pools = body.HasValue("allocation_pools") ? SubnetRules.ReadPools(body, cidr) : SubnetRules.PoolsOf(row);
        if (body.Has("gateway_ip"))
        {
            var gateway = body.TextOrNull("gateway_ip") is { } text ? Addresses.Canonical(text) : null;
            if (gateway is not null)
            {
                SubnetRules.CheckVersion("gateway_ip", gateway, row.IpVersion);
            }

            if (row.GatewayIp is not null && gateway != row.GatewayIp
                && await work.Db.GetTable<IpAllocationRow>().Where(ip => ip.SubnetId == row.Id && ip.IpAddress == row.GatewayIp).Select(ip => ip.PortId).FirstOrDefaultAsync(work.Cancellation) is { } user)
            {
                throw NeutronErrors.Conflict("GatewayIpInUse", $"Current gateway ip {row.GatewayIp} already in use by port {user}. Unable to update.");
            }

            row.GatewayIp = gateway;
        }

        SubnetRules.CheckGateway(cidr, row.GatewayIp, pools);
        if (body.Flag("enable_dhcp", false) && !row.EnableDhcp)
        {
            SubnetRules.CheckDhcp(cidr);
        }

        if (!body.Flag("enable_dhcp", true) && (row.Ipv6AddressMode ?? row.Ipv6RaMode) is not null)
        {
            throw NeutronErrors.InvalidInput("Cannot disable enable_dhcp with ipv6 attributes set");
        }

        row.AllocationPools = SubnetRules.Write(pools, row.IpVersion);
        row.Name = body.Text("name", row.Name);
        row.Description = body.Text("description", row.Description);
        row.EnableDhcp = body.Flag("enable_dhcp", row.EnableDhcp);
        row.DnsPublishFixedIp = body.Flag("dns_publish_fixed_ip", row.DnsPublishFixedIp);
        if (body.Has("segment_id"))
        {
            await SegmentRules.CheckChangeAsync(work, row, body.TextOrNull("segment_id"));
            row.SegmentId = body.TextOrNull("segment_id");
        }

        ReadLists(row, body);
        work.Bump(row);
        await work.Db.UpdateAsync(row, token: work.Cancellation);
        await TouchNetworkAsync(work, row.NetworkId);
    }

    public async Task DeleteAsync(Work work, Caller caller, SubnetView view)
    {
        var row = view.Row;
        var users = await (from ip in work.Db.GetTable<IpAllocationRow>()
                           where ip.SubnetId == row.Id
                           join port in work.Db.GetTable<PortRow>() on ip.PortId equals port.Id
                           select port).Distinct().ToListAsync(work.Cancellation);
        if (users.Exists(port => port.DeviceOwner != DhcpNames.DeviceOwner && !IpAllocator.FollowsMac(port, row)))
        {
            throw NeutronErrors.Conflict("SubnetInUse", $"Unable to complete operation on subnet {row.Id}: One or more ports have an IP allocation from this subnet.");
        }

        await work.Db.GetTable<IpAllocationRow>().Where(ip => ip.SubnetId == row.Id).DeleteAsync(work.Cancellation);
        foreach (var port in users)
        {
            await ports.TouchAsync(work, port);
        }

        await work.Db.GetTable<SubnetRow>().Where(subnet => subnet.Id == row.Id).DeleteAsync(work.Cancellation);
        await TouchNetworkAsync(work, row.NetworkId);
    }

    public CloudException NotFound(string id) => NeutronErrors.SubnetNotFound(id);

    public async Task<string> CreateOneAsync(Work work, Caller caller, Body body)
    {
        var networkId = body.Text("network_id");
        var network = await NetworkResource.FindAsync(work, caller, networkId);
        if (body.HasValue("cidr") && body.HasValue("prefixlen"))
        {
            throw NeutronErrors.BadRequest("subnets", "cidr and prefixlen must not be supplied together");
        }

        var pool = await PoolOfAsync(work, caller, body);
        var version = body.Number("ip_version")!.Value;
        var id = Guid.NewGuid().ToString("D");
        if (body.HasValue("cidr"))
        {
            SubnetRules.CheckVersion("cidr", body.Text("cidr"), version);
        }

        var cidr = await CidrOfAsync(work, body, pool, version);
        await SubnetPoolRules.CheckNetworkAsync(work, networkId, pool, version);
        await SegmentRules.CheckSubnetAsync(work, networkId, id, body.TextOrNull("segment_id"));
        CheckLists(id, body, version);
        var enableDhcp = body.Flag("enable_dhcp", true);
        SubnetRules.CheckIpv6Modes(body, version, enableDhcp, cidr);
        if (enableDhcp)
        {
            SubnetRules.CheckDhcp(cidr);
        }

        await CheckOverlapAsync(work, networkId, cidr);
        var gateway = !body.Has("gateway_ip") ? Addresses.Format(cidr.PrefixLength >= 31 && version == 4 ? cidr.First : cidr.First + 1, version)
            : body.TextOrNull("gateway_ip") is { } text ? Addresses.Canonical(text) : null;
        if (gateway is not null)
        {
            SubnetRules.CheckVersion("gateway_ip", gateway, version);
        }

        var pools = body.HasValue("allocation_pools") ? SubnetRules.ReadPools(body, cidr) : SubnetRules.DefaultPools(cidr, gateway is null ? null : Addresses.Parse(gateway));
        SubnetRules.CheckGateway(cidr, gateway, pools);
        var row = work.Stamp(new SubnetRow
        {
            Id = id,
            ProjectId = body.ProjectId,
            NetworkId = networkId,
            Name = body.Text("name"),
            Description = body.Text("description"),
            IpVersion = version,
            Cidr = cidr.ToString(),
            GatewayIp = gateway,
            EnableDhcp = enableDhcp,
            Ipv6RaMode = body.TextOrNull("ipv6_ra_mode"),
            Ipv6AddressMode = body.TextOrNull("ipv6_address_mode"),
            AllocationPools = SubnetRules.Write(pools, version),
            DnsNameservers = "[]",
            HostRoutes = "[]",
            ServiceTypes = "[]",
            SubnetPoolId = pool?.Id,
            SegmentId = body.TextOrNull("segment_id"),
            DnsPublishFixedIp = body.Flag("dns_publish_fixed_ip", false),
        });
        ReadLists(row, body);
        await work.Db.InsertAsync(row, token: work.Cancellation);
        await NetworkResource.TouchAsync(work, network);
        if (SubnetRules.IsAutoAddress(row))
        {
            await ports.AddAutoAddressesAsync(work, row);
        }

        await scheduler.EnsureAsync(work, networkId);
        await ports.TellDhcpAsync(work, networkId);
        return row.Id;
    }

    /// <summary>The pool that the subnet is to be taken from; null for none.</summary>
    private static async Task<SubnetPoolRow?> PoolOfAsync(Work work, Caller caller, Body body)
    {
        var id = body.TextOrNull("subnetpool_id");
        if (body.Flag("use_default_subnetpool", false))
        {
            if (id is not null)
            {
                throw NeutronErrors.BadRequest("subnets", "subnetpool_id and use_default_subnetpool cannot both be specified");
            }

            var version = body.HasValue("cidr") ? Cidr.Parse(body.Text("cidr")).Version
                : body.Number("ip_version") ?? throw NeutronErrors.BadRequest("subnets", "ip_version must be specified in the absence of cidr and subnetpool_id");
            return await work.Db.GetTable<SubnetPoolRow>().FirstOrDefaultAsync(pool => pool.IsDefault && pool.IpVersion == version, work.Cancellation)
                ?? throw NeutronErrors.BadRequest("subnets", $"No default subnetpool found for IPv{version}");
        }

        if (id is null)
        {
            return null;
        }

        var found = await Sharing.VisibleTo(work.Db.GetTable<SubnetPoolRow>(), work.Db, caller).FirstOrDefaultAsync(pool => pool.Id == id, work.Cancellation) ?? throw NeutronErrors.SubnetPoolNotFound(id);
        return body.Number("ip_version") is { } wanted && wanted != found.IpVersion
            ? throw NeutronErrors.BadRequest("subnets", $"Cannot allocate IPv{wanted} subnet from IPv{found.IpVersion} subnet pool") : found;
    }

    private static async Task<Cidr> CidrOfAsync(Work work, Body body, SubnetPoolRow? pool, int version)
    {
        Cidr? wanted = body.HasValue("cidr") ? Cidr.Parse(body.Text("cidr")) : null;
        if (pool is null)
        {
            return wanted ?? throw NeutronErrors.BadRequest("subnets", "a subnetpool must be specified in the absence of a cidr");
        }

        if (wanted is null && body.HasValue("allocation_pools"))
        {
            throw NeutronErrors.BadRequest("subnets", "allocation_pools allowed only for specific subnet requests.");
        }

        if (wanted is null && body.HasValue("gateway_ip") && Addresses.Read(body.Text("gateway_ip")).Version != version)
        {
            throw NeutronErrors.InvalidInput($"gateway_ip '{body.Text("gateway_ip")}' does not match the ip_version '{version}'");
        }

        return await SubnetPoolRules.TakeAsync(work, pool, body.ProjectId, wanted, body.Number("prefixlen"));
    }

    private void CheckLists(string id, Body body, int version)
    {
        if (body.Items("dns_nameservers").Count() > options.MaxDnsNameservers)
        {
            throw CloudException.BadRequest($"Unable to complete operation for {id}. The number of DNS nameservers exceeds the limit {options.MaxDnsNameservers}.", "DNSNameServersExhausted");
        }

        if (body.Items("host_routes").Count() > options.MaxHostRoutes)
        {
            throw CloudException.BadRequest($"Unable to complete operation for {id}. The number of host routes exceeds the limit {options.MaxHostRoutes}.", "HostRoutesExhausted");
        }

        foreach (var server in body.Items("dns_nameservers"))
        {
            SubnetRules.CheckVersion("dns_nameserver", server.GetString()!, version);
        }

        foreach (var route in body.Items("host_routes"))
        {
            SubnetRules.CheckVersion("destination", route.GetProperty("destination").GetString()!, version);
            SubnetRules.CheckVersion("nexthop", route.GetProperty("nexthop").GetString()!, version);
        }
    }

    private static void ReadLists(SubnetRow row, Body body)
    {
        if (body.Has("dns_nameservers"))
        {
            row.DnsNameservers = JsonText.OfTexts(body.Items("dns_nameservers").Select(item => Addresses.Canonical(item.GetString()!)));
        }

        if (body.Has("host_routes"))
        {
            row.HostRoutes = JsonText.OfPairs("destination", "nexthop", body.Items("host_routes").Select(route =>
                (Cidr.Parse(route.GetProperty("destination").GetString()!).ToString(), Addresses.Canonical(route.GetProperty("nexthop").GetString()!))));
        }

        if (body.Texts("service_types") is { } types)
        {
            row.ServiceTypes = JsonText.OfTexts(types);
        }
    }

    private static async Task CheckOverlapAsync(Work work, string networkId, Cidr cidr)
    {
        if (cidr.PrefixLength == 0)
        {
            throw NeutronErrors.InvalidInput("0 is not allowed as CIDR prefix length");
        }

        var others = await work.Db.GetTable<SubnetRow>().Where(row => row.NetworkId == networkId).Select(row => row.Cidr).ToListAsync(work.Cancellation);
        if (others.Any(other => Cidr.Parse(other).Overlaps(cidr)))
        {
            throw NeutronErrors.InvalidInput($"Requested subnet with cidr: {cidr} for network: {networkId} overlaps with another subnet");
        }
    }

    private async Task TouchNetworkAsync(Work work, string networkId)
    {
        var network = await work.Db.GetTable<NetworkRow>().FirstAsync(row => row.Id == networkId, work.Cancellation);
        await NetworkResource.TouchAsync(work, network);
        await scheduler.EnsureAsync(work, networkId);
        await ports.TellDhcpAsync(work, networkId);
        await RouterHints.TellOfNetworkAsync(work, networkId);
    }
}
