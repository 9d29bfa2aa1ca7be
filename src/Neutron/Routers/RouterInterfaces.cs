using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;
using SharpStack.Neutron.Api;
using SharpStack.Neutron.FloatingIps;
using SharpStack.Neutron.Ipam;
using SharpStack.Neutron.PortForwardings;
using SharpStack.Neutron.Ports;
using SharpStack.Neutron.Rbac;
using SharpStack.Neutron.Storage;
using SharpStack.Neutron.Subnets;

namespace SharpStack.Neutron.Routers;

/// <summary>An interface as its addition and its removal answer it.</summary>
internal sealed record RouterInterface(string RouterId, string ProjectId, string PortId, string NetworkId, string SubnetId, IReadOnlyList<string> SubnetIds, IReadOnlyList<string> Tags);

/// <summary><c>/v2.0/routers/{id}/add_router_interface</c> and its counterpart.</summary>
internal sealed class RouterInterfaces(NeutronStore store, ResourceRoutes<RouterRow, RouterView> routers, RouterPorts ports, PortResource portResource, SubnetResource subnetResource, IpAllocator ipam, L3Scheduler scheduler)
{
    public void Map(ApiRoutes routes)
    {
        routes.Put("/v2.0/routers/{id}/add_router_interface", context => RunAsync(context, AddAsync)).Policy("add_router_interface");
        routes.Put("/v2.0/routers/{id}/remove_router_interface", context => RunAsync(context, RemoveAsync)).Policy("remove_router_interface");
    }

    /// <summary>Refuses subnets that the router is on already, or whose addresses it would not know from others.</summary>
    public static async Task CheckOverlapAsync(Work work, IReadOnlyList<AttachedPort> attached, IReadOnlyList<SubnetRow> added)
    {
        var ips = attached.SelectMany(port => port.Ips).ToList();
        if (added.FirstOrDefault(subnet => ips.Exists(ip => ip.SubnetId == subnet.Id)) is { } twice)
        {
            throw RouterErrors.Bad($"Router already has a port on subnet {twice.Id}");
        }

        var ids = ips.Select(ip => ip.SubnetId).Distinct().ToList();
        var outside = attached.Where(port => port.PortType == Contracts.RouterPortOwners.Gateway).Select(port => port.Port.NetworkId).ToList();
        var present = await work.Db.GetTable<SubnetRow>().Where(subnet => ids.Contains(subnet.Id) || outside.Contains(subnet.NetworkId)).ToListAsync(work.Cancellation);
        foreach (var subnet in added)
        {
            var cidr = Cidr.Parse(subnet.Cidr);
            if (present.Find(other => other.Id != subnet.Id && Cidr.Parse(other.Cidr).Overlaps(cidr)) is { } other)
            {
                throw RouterErrors.Bad($"Cidr {subnet.Cidr} of subnet {subnet.Id} overlaps with cidr {other.Cidr} of subnet {other.Id}");
            }
        }
    }

    /// <summary>Puts a router on a subnet.</summary>
    public async Task AddAsync(Work work, Caller caller, string routerId, string subnetId)
    {
        await AddAsync(work, caller, await FindAsync(work, routerId), null, subnetId);
        await RouterHints.TouchAsync(work, routerId);
    }

    /// <summary>Takes a router off a subnet.</summary>
    public async Task RemoveAsync(Work work, Caller caller, string routerId, string subnetId)
    {
        await RemoveAsync(work, caller, await FindAsync(work, routerId), null, subnetId);
        await RouterHints.TouchAsync(work, routerId);
    }

    private static async Task<RouterRow> FindAsync(Work work, string id) =>
        await work.Db.GetTable<RouterRow>().FirstOrDefaultAsync(row => row.Id == id, work.Cancellation) ?? throw RouterErrors.NotFound(id);

    private async Task RunAsync(ApiContext context, Func<Work, Caller, RouterRow, string?, string?, Task<RouterInterface>> change)
    {
        var caller = await routers.EnforceAsync(context);
        var id = context.Route("id");
        var sent = await context.ReadJsonAsync();
        var (portId, subnetId) = (IdOf(sent, "port_id"), IdOf(sent, "subnet_id"));
        if (portId is null && subnetId is null)
        {
            throw RouterErrors.Bad("Either subnet_id or port_id must be specified");
        }

        var done = await store.WriteAsync(
            async work =>
            {
                var result = await change(work, caller, await FindAsync(work, id), portId, subnetId);
                await RouterHints.TouchAsync(work, id);
                return result with { Tags = [.. (await Tags.LoadAsync(work.Db, [id], work.Cancellation))[id]] };
            },
            context.Aborted);
        await context.WriteJsonAsync(200, json => Write(json, done));
    }

    private async Task<RouterInterface> AddAsync(Work work, Caller caller, RouterRow router, string? portId, string? subnetId)
    {
        if (portId is not null && subnetId is not null)
        {
            throw RouterErrors.Bad("Cannot specify both subnet-id and port-id");
        }

        var attached = await RouterPorts.LoadAsync(work.Db, router.Id, work.Cancellation);
        var (port, subnets) = portId is not null ? await AddPortAsync(work, caller, router, attached, portId) : await AddSubnetAsync(work, caller, router, attached, subnetId!);
        await scheduler.EnsureAsync(work, router);
        return ResultOf(router, port, subnets, subnets[^1].Id);
    }

    private async Task<(PortRow Port, List<SubnetRow> Subnets)> AddPortAsync(Work work, Caller caller, RouterRow router, List<AttachedPort> attached, string portId)
    {
        var port = await portResource.VisibleTo(work.Db.GetTable<PortRow>(), work.Db, caller).FirstOrDefaultAsync(row => row.Id == portId, work.Cancellation) ?? throw NeutronErrors.PortNotFound(portId);
        if (port.DeviceId.Length > 0)
        {
            throw NeutronErrors.Conflict("PortInUse", $"Unable to complete operation on port {portId} for network {port.NetworkId}. Port already has an attached device {port.DeviceId}.");
        }

        var ips = await work.Db.GetTable<IpAllocationRow>().Where(ip => ip.PortId == portId).OrderBy(ip => ip.Position).ToListAsync(work.Cancellation);
        if (ips.Count == 0)
        {
            throw RouterErrors.Bad("Router port must have at least one fixed IP");
        }

        var ids = ips.ConvertAll(ip => ip.SubnetId);
        var found = await work.Db.GetTable<SubnetRow>().WhereIn(row => row.Id, ids).ToDictionaryAsync(row => row.Id, work.Cancellation);
        var subnets = ids.Distinct().Select(id => found[id]).ToList();
        subnets.ForEach(CheckMode);
        if (subnets.Exists(subnet => subnet.IpVersion == 6) && Ipv6PortOf(attached, port.NetworkId) is { } other)
        {
            throw RouterErrors.Bad(
                $"Cannot have multiple router ports with the same network id if both contain IPv6 subnets. Existing port {other.Port.Id} has IPv6 subnet(s) and network id {port.NetworkId}");
        }

        await CheckOverlapAsync(work, attached, subnets);
        if (subnets.Count(subnet => subnet.IpVersion == 4) > 1)
        {
            throw RouterErrors.Bad("Cannot have multiple IPv4 subnets on router port");
        }

        if (!caller.IsAdmin && ips.Find(ip => found[ip.SubnetId].ProjectId != caller.ProjectId
                && !SubnetRules.PoolsOf(found[ip.SubnetId]).Exists(pool => pool.Contains(Addresses.Parse(ip.IpAddress)))) is { } beyond)
        {
            throw RouterErrors.Bad(
                $"Cannot add interface to router because specified port {portId} has an IP address out of the allocation pool of subnet {beyond.SubnetId}, which is not owned by the project making the request");
        }

        // A router forwards what is not its own: nothing filters its ports.
        await work.Db.GetTable<PortSecurityGroupRow>().Where(bound => bound.PortId == portId).DeleteAsync(work.Cancellation);
        (port.DeviceId, port.DeviceOwner, port.PortSecurityEnabled, port.AllowedAddressPairs) = (router.Id, RouterPorts.OwnerOf(router), false, "[]");
        await work.Db.UpdateAsync(port, token: work.Cancellation);
        await RouterPorts.AttachAsync(work, router, port, port.DeviceOwner);
        await ports.RebindAsync(work, router.Id);
        return (await work.Db.GetTable<PortRow>().FirstAsync(row => row.Id == portId, work.Cancellation), subnets);
    }

    private async Task<(PortRow Port, List<SubnetRow> Subnets)> AddSubnetAsync(Work work, Caller caller, RouterRow router, List<AttachedPort> attached, string subnetId)
    {
        var subnet = await subnetResource.VisibleTo(work.Db.GetTable<SubnetRow>(), work.Db, caller).FirstOrDefaultAsync(row => row.Id == subnetId, work.Cancellation) ?? throw NeutronErrors.SubnetNotFound(subnetId);
        if (subnet.GatewayIp is null)
        {
            throw RouterErrors.Bad("Subnet for router interface must have a gateway IP");
        }

        if (!caller.IsAdmin && subnet.ProjectId != caller.ProjectId && !await Sharing.IsOpenToAsync(work.Db, subnet.NetworkId, caller.ProjectId, work.Cancellation))
        {
            throw RouterErrors.Bad($"Cannot add interface to router because subnet {subnetId} is not owned by project making the request");
        }

        CheckMode(subnet);
        await CheckOverlapAsync(work, attached, [subnet]);
        var wish = new FixedIpWish(subnet.Id, subnet.GatewayIp);
        if (subnet.IpVersion == 6 && Ipv6PortOf(attached, subnet.NetworkId) is { } existing)
        {
            await ipam.ChangeAsync(work, existing.Port, [.. existing.Ips.Select(ip => new FixedIpWish(ip.SubnetId, ip.IpAddress)), wish]);
            await ports.TouchAsync(work, existing.Port);
            return (existing.Port, [subnet]);
        }

        return (await ports.CreateAsync(work, router, router.ProjectId, subnet.NetworkId, RouterPorts.OwnerOf(router), [wish]), [subnet]);
    }

    private async Task<RouterInterface> RemoveAsync(Work work, Caller caller, RouterRow router, string? portId, string? subnetId)
    {
        var attached = (await RouterPorts.LoadAsync(work.Db, router.Id, work.Cancellation)).FindAll(port => RouterPorts.IsInterface(port.PortType));
        if (portId is null && !await work.Db.GetTable<SubnetRow>().AnyAsync(row => row.Id == subnetId, work.Cancellation))
        {
            throw NeutronErrors.SubnetNotFound(subnetId!);
        }

        var found = portId is not null
            ? attached.Find(port => port.Port.Id == portId) ?? throw NeutronErrors.NotFound("RouterInterfaceNotFound", $"Router {router.Id} does not have an interface with id {portId}")
            : attached.Find(port => port.Ips.Any(ip => ip.SubnetId == subnetId))
                ?? throw NeutronErrors.NotFound("RouterInterfaceNotFoundForSubnet", $"Router {router.Id} has no interface on subnet {subnetId}");
        if (portId is not null && subnetId is not null && !found.Ips.Any(ip => ip.SubnetId == subnetId))
        {
            throw CloudException.BadRequest($"Subnet on port {portId} does not match the requested subnet {subnetId}.", "SubnetMismatchForPort");
        }

        var goes = portId is null ? [subnetId!] : found.Ips.Select(ip => ip.SubnetId).Distinct().ToList();
        var rows = await work.Db.GetTable<SubnetRow>().WhereIn(row => row.Id, goes).ToDictionaryAsync(row => row.Id, work.Cancellation);
        var subnets = goes.ConvertAll(id => rows[id]);
        foreach (var subnet in subnets)
        {
            await CheckUnusedAsync(work, router, subnet);
        }

        var stays = found.Ips.Where(ip => !goes.Contains(ip.SubnetId)).ToList();
        if (stays.Count > 0)
        {
            await ipam.ChangeAsync(work, found.Port, [.. stays.Select(ip => new FixedIpWish(ip.SubnetId, ip.IpAddress))]);
            await ports.TouchAsync(work, found.Port);
        }
        else
        {
            await ports.DeleteAsync(work, found.Port);
        }

        return ResultOf(router, found.Port, subnets, subnets[0].Id);
    }

    private static async Task CheckUnusedAsync(Work work, RouterRow router, SubnetRow subnet)
    {
        var isUsed = await (from floating in work.Db.GetTable<FloatingIpRow>()
                            where floating.RouterId == router.Id
                            join ip in work.Db.GetTable<IpAllocationRow>() on floating.FixedPortId equals ip.PortId
                            where ip.SubnetId == subnet.Id && ip.IpAddress == floating.FixedIpAddress
                            select floating).AnyAsync(work.Cancellation)
            || await (from forwarding in work.Db.GetTable<PortForwardingRow>()
                      join floating in work.Db.GetTable<FloatingIpRow>() on forwarding.FloatingIpId equals floating.Id
                      where floating.RouterId == router.Id
                      join ip in work.Db.GetTable<IpAllocationRow>() on forwarding.InternalPortId equals ip.PortId
                      where ip.SubnetId == subnet.Id && ip.IpAddress == forwarding.InternalIpAddress
                      select forwarding).AnyAsync(work.Cancellation);
        if (isUsed)
        {
            throw RouterErrors.InterfaceInUseByFloatingIp(router.Id, subnet.Id);
        }

        var cidr = Cidr.Parse(subnet.Cidr);
        if (ExtraRoutes.Read(router.Routes).Exists(route => Addresses.Read(route.Nexthop) is var (address, version) && version == cidr.Version && cidr.Contains(address)))
        {
            throw RouterErrors.InterfaceInUseByRoute(router.Id, subnet.Id);
        }
    }

    private static void CheckMode(SubnetRow subnet)
    {
        if (subnet is { IpVersion: 6, Ipv6RaMode: null, Ipv6AddressMode: not null })
        {
            throw RouterErrors.Bad($"IPv6 subnet {subnet.Id} configured to receive RAs from an external router cannot be added to Neutron Router.");
        }
    }

    private static AttachedPort? Ipv6PortOf(List<AttachedPort> attached, string networkId) =>
        attached.Find(port => RouterPorts.IsInterface(port.PortType) && port.Port.NetworkId == networkId && port.Ips.Any(ip => ip.IpAddress.Contains(':', StringComparison.Ordinal)));

    private static RouterInterface ResultOf(RouterRow router, PortRow port, List<SubnetRow> subnets, string subnetId) =>
        new(router.Id, port.ProjectId, port.Id, port.NetworkId, subnetId, subnets.ConvertAll(subnet => subnet.Id), []);

    private static string? IdOf(JsonElement sent, string name)
    {
        if (sent.ValueKind != JsonValueKind.Object || !sent.TryGetProperty(name, out var value))
        {
            return null;
        }

        return Checks.Uuid(value) is { } reason ? throw RouterErrors.Bad(reason) : value.GetString();
    }

    private static void Write(Utf8JsonWriter json, RouterInterface done)
    {
        json.WriteStartObject();
        json.WriteString("id", done.RouterId);
        json.WriteString("tenant_id", done.ProjectId);
        json.WriteString("project_id", done.ProjectId);
        json.WriteString("port_id", done.PortId);
        json.WriteString("network_id", done.NetworkId);
        json.WriteString("subnet_id", done.SubnetId);
        json.WritePropertyName("subnet_ids");
        json.WriteTexts(done.SubnetIds);
        json.WritePropertyName("tags");
        json.WriteTexts(done.Tags);
        json.WriteEndObject();
    }
}
