using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation;
using SharpStack.Neutron.Api;
using SharpStack.Neutron.Contracts;
using SharpStack.Neutron.Ipam;
using SharpStack.Neutron.Networks;
using SharpStack.Neutron.PortForwardings;
using SharpStack.Neutron.Ports;
using SharpStack.Neutron.Qos;
using SharpStack.Neutron.Routers;
using SharpStack.Neutron.Storage;
using FloatingIpAttributes = SharpStack.Neutron.Api.Attributes<SharpStack.Neutron.FloatingIps.FloatingIpRow, SharpStack.Neutron.FloatingIps.FloatingIpView>;

namespace SharpStack.Neutron.FloatingIps;

/// <summary><c>/v2.0/floatingips</c>.</summary>
internal sealed class FloatingIpResource(NeutronOptions options, PortResource ports, PortOperations operations) : IResource<FloatingIpRow, FloatingIpView>
{
    /// <summary>What the ports that hold the addresses say: nobody wires them.</summary>
    private const string NotApplicable = "N/A";

    public string Singular => "floatingip";

    public string Plural => "floatingips";

    public bool CanUpdate => true;

    public bool HasQuota => true;

    public IReadOnlyList<ResourceAttribute<FloatingIpRow, FloatingIpView>> Attributes { get; } =
    [
        .. FloatingIpAttributes.Standard(),
        FloatingIpAttributes.Text("floating_ip_address", static row => row.FloatingIpAddress, post: true, check: Checks.IpOrNull, enforced: true, isDefault: static value => value.ValueKind == JsonValueKind.Null),
        FloatingIpAttributes.Taken("subnet_id", Checks.UuidOrNull),
        FloatingIpAttributes.Text("floating_network_id", static row => row.FloatingNetworkId, post: true, required: true, check: Checks.Uuid),
        FloatingIpAttributes.Text("router_id", static row => row.RouterId),
        FloatingIpAttributes.Text("port_id", static row => row.FixedPortId, post: true, put: true, check: Checks.UuidOrNull),
        FloatingIpAttributes.Text("fixed_ip_address", static row => row.FixedIpAddress, post: true, put: true, check: Checks.IpOrNull),
        FloatingIpAttributes.Text("status", static row => row.Status),
        FloatingIpAttributes.Text("dns_name", static row => row.DnsName, post: true, check: DnsChecks.Name),
        FloatingIpAttributes.Text("dns_domain", static row => row.DnsDomain, post: true, check: DnsChecks.Domain),
        FloatingIpAttributes.Shown("port_details", WritePort),
        .. options.HasPlugin("port_forwarding") ? (ResourceAttribute<FloatingIpRow, FloatingIpView>[])[FloatingIpAttributes.Shown("port_forwardings", WriteForwardings)] : [],
        .. QosAttachments.AttributeOf(
            options, static row => row.QosPolicyId, FloatingIpAttributes.Shown("qos_network_policy_id", static (json, view) => json.WriteStringValue(view.NetworkQosPolicyId))),
        FloatingIpAttributes.Shown("tags", static (json, view) => json.WriteTexts(view.Tags)),
    ];

    public IQueryable<FloatingIpRow> Rows(DataConnection db) => db.GetTable<FloatingIpRow>();

    public IQueryable<FloatingIpRow> VisibleTo(IQueryable<FloatingIpRow> rows, DataConnection db, Caller caller) =>
        caller.SeesAll ? rows : rows.Where(row => row.ProjectId == caller.ProjectId);

    public async Task<List<FloatingIpView>> LoadAsync(DataConnection db, IReadOnlyList<FloatingIpRow> rows, CancellationToken cancellationToken)
    {
        if (rows.Count == 0)
        {
            return [];
        }

        var ids = rows.Select(row => row.Id).ToList();
        var portIds = rows.Select(row => row.FixedPortId).OfType<string>().ToList();
        var found = portIds.Count == 0 ? [] : await db.GetTable<PortRow>().WhereIn(port => port.Id, portIds).ToDictionaryAsync(port => port.Id, cancellationToken);
        var forwardings = (await db.GetTable<PortForwardingRow>().WhereIn(row => row.FloatingIpId, ids).OrderBy(row => row.Id).ToListAsync(cancellationToken)).ToLookup(row => row.FloatingIpId);
        var outside = rows.Select(row => row.FloatingNetworkId).Distinct().ToList();
        var policies = await db.GetTable<NetworkRow>().WhereIn(row => row.Id, outside).ToDictionaryAsync(row => row.Id, row => row.QosPolicyId, cancellationToken);
        var tags = await Tags.LoadAsync(db, ids, cancellationToken);
        return [.. rows.Select(row => new FloatingIpView(
            row, found.GetValueOrDefault(row.FixedPortId ?? ""), [.. forwardings[row.Id]], policies.GetValueOrDefault(row.FloatingNetworkId), [.. tags[row.Id]]))];
    }

    public async Task UpdateAsync(Work work, Caller caller, FloatingIpView view, Body body)
    {
        var row = view.Row;
        row.Description = body.Text("description", row.Description);
        // Once a floating IP had nothing to change but its port: to send nothing still takes that away.
        if (body.IsEmpty || body.Has("port_id") || body.HasValue("fixed_ip_address"))
        {
            await LinkAsync(work, caller, row, body);
        }

        var policy = await QosAttachments.ReadAsync(work, caller, body, row.QosPolicyId);
        if (policy != row.QosPolicyId)
        {
            row.QosPolicyId = policy;
            await RouterHints.TouchAsync(work, row.RouterId is { } router ? [router] : []);
        }

        work.Bump(row);
        await work.Db.UpdateAsync(row, token: work.Cancellation);
    }

    public async Task DeleteAsync(Work work, Caller caller, FloatingIpView view)
    {
        var row = view.Row;
        if (view.Forwardings.Count > 0)
        {
            throw InUseByForwarding(row.Id);
        }

        await work.Db.GetTable<FloatingIpRow>().Where(other => other.Id == row.Id).DeleteAsync(work.Cancellation);
        if (await work.Db.GetTable<PortRow>().FirstOrDefaultAsync(port => port.Id == row.FloatingPortId, work.Cancellation) is { } port)
        {
            await operations.DeleteAsync(work, port);
        }

        await TellAsync(work, [row.RouterId], [row.FixedPortId]);
    }

    public CloudException NotFound(string id) => NeutronErrors.NotFound("FloatingIPNotFound", $"Floating IP {id} could not be found");

    private static CloudException Bad(string message) => NeutronErrors.BadRequest("floatingip", message);

    private static CloudException InUseByForwarding(string id) => NeutronErrors.Conflict("FipInUseByPortForwarding", $"Floating IP {id} in use by Port Forwarding resources.");

    public async Task<string> CreateOneAsync(Work work, Caller caller, Body body)
    {
        var networkId = body.Text("floating_network_id");
        var network = await NetworkResource.FindAsync(work, caller, networkId);
        if (!network.External)
        {
            throw Bad($"Network {networkId} is not a valid external network");
        }

        if (!await work.Db.GetTable<SubnetRow>().AnyAsync(subnet => subnet.NetworkId == networkId && subnet.IpVersion == 4, work.Cancellation))
        {
            throw Bad($"Network {networkId} does not contain any IPv4 subnet");
        }

        var id = Guid.NewGuid().ToString("D");
        var port = new PortRow
        {
            NetworkId = networkId,
            AdminStateUp = true,
            DeviceId = id,
            DeviceOwner = RouterPortOwners.FloatingIp,
            AllowedAddressPairs = "[]",
            ExtraDhcpOpts = "[]",
            VnicType = "normal",
            Profile = "{}",
        };
        await ports.InsertAsync(
            work, port, body.HasValue("subnet_id") || body.HasValue("floating_ip_address") ? [new FixedIpWish(body.TextOrNull("subnet_id"), body.TextOrNull("floating_ip_address"))] : null, []);
        port.Status = NotApplicable;
        await work.Db.UpdateAsync(port, token: work.Cancellation);
        var address = (await work.Db.GetTable<IpAllocationRow>().Where(ip => ip.PortId == port.Id).OrderBy(ip => ip.Position).Select(ip => ip.IpAddress).ToListAsync(work.Cancellation))
            .Find(ip => !ip.Contains(':', StringComparison.Ordinal)) ?? throw CloudException.BadRequest($"Unable to find any IP address on external network {networkId}.", "ExternalIpAddressExhausted");
        var row = work.Stamp(new FloatingIpRow
        {
            Id = id,
            ProjectId = body.ProjectId,
            Description = body.Text("description"),
            FloatingNetworkId = networkId,
            FloatingIpAddress = address,
            FloatingPortId = port.Id,
            Status = FloatingIpLinks.Down,
            QosPolicyId = await QosAttachments.ReadAsync(work, caller, body, null),
            DnsName = body.Text("dns_name").ToLowerInvariant(),
            DnsDomain = body.Text("dns_domain").ToLowerInvariant(),
        });
        if (row.DnsName.Length > 0 != row.DnsDomain.Length > 0)
        {
            throw Bad(row.DnsName.Length > 0 ? "dns_name cannot be specified without a dns_domain" : "dns_domain cannot be specified without a dns_name");
        }

        await LinkAsync(work, caller, row, body);
        await work.Db.InsertAsync(row, token: work.Cancellation);
        return id;
    }

    /// <summary>Makes a floating IP lead to the port and address that were sent, or nowhere. The row is still to be written.</summary>
    private async Task LinkAsync(Work work, Caller caller, FloatingIpRow row, Body body)
    {
        var portId = body.TextOrNull("port_id");
        if (portId is null && body.HasValue("fixed_ip_address"))
        {
            throw Bad("fixed_ip_address cannot be specified without a port_id");
        }

        var before = (row.FixedPortId, row.FixedIpAddress, row.RouterId);
        if (portId is null)
        {
            (row.FixedPortId, row.FixedIpAddress) = (null, null);
            row.RouterId = before.FixedPortId is null ? row.RouterId : null;
        }
        else
        {
            if (await work.Db.GetTable<PortForwardingRow>().AnyAsync(forwarding => forwarding.FloatingIpId == row.Id, work.Cancellation))
            {
                throw InUseByForwarding(row.Id);
            }

            await LinkToAsync(work, caller, row, portId, body.TextOrNull("fixed_ip_address"));
        }

        if (before != (row.FixedPortId, row.FixedIpAddress, row.RouterId))
        {
            row.Status = FloatingIpLinks.Down;
            await TellAsync(work, [before.RouterId, row.RouterId], [before.FixedPortId, row.FixedPortId]);
        }
    }

    private async Task LinkToAsync(Work work, Caller caller, FloatingIpRow row, string portId, string? wanted)
    {
        var port = await ports.VisibleTo(work.Db.GetTable<PortRow>(), work.Db, caller).FirstOrDefaultAsync(other => other.Id == portId, work.Cancellation) ?? throw NeutronErrors.PortNotFound(portId);
        if (port.ProjectId != row.ProjectId && !caller.IsAdmin)
        {
            throw Bad($"Cannot process floating IP association with Port {portId}, since that port is owned by a different tenant");
        }

        if (port.DeviceOwner == DhcpNames.DeviceOwner)
        {
            throw Bad($"Port {portId} is unable to be assigned a floating IP");
        }

        var ips = (await work.Db.GetTable<IpAllocationRow>().Where(ip => ip.PortId == portId).OrderBy(ip => ip.Position).ToListAsync(work.Cancellation))
            .FindAll(ip => !ip.IpAddress.Contains(':', StringComparison.Ordinal));
        var ip = wanted is null
            ? ips.Count switch
            {
                0 => throw Bad($"Cannot add floating IP to port {portId} that has no fixed IPv4 addresses"),
                1 => ips[0],
                _ => throw Bad($"Port {portId} has multiple fixed IPv4 addresses.  Must provide a specific IPv4 address when assigning a floating IP"),
            }
            : wanted.Contains(':', StringComparison.Ordinal) ? throw Bad($"Cannot process floating IP association with {wanted}, since that is not an IPv4 address")
            : ips.Find(ip => ip.IpAddress == wanted) ?? throw Bad($"Port {portId} does not have fixed ip {wanted}");
        var subnet = await work.Db.GetTable<SubnetRow>().FirstAsync(subnet => subnet.Id == ip.SubnetId, work.Cancellation);
        var routerId = await FloatingIpLinks.FindRouterAsync(work, subnet, row.FloatingNetworkId) ?? throw FloatingIpLinks.NotReachable(row.FloatingNetworkId, subnet.Id, portId);
        if (await work.Db.GetTable<FloatingIpRow>().AnyAsync(
                other => other.Id != row.Id && other.FixedPortId == portId && other.FixedIpAddress == ip.IpAddress && other.FloatingNetworkId == row.FloatingNetworkId, work.Cancellation))
        {
            throw AlreadyAssociated(row, portId, ip.IpAddress);
        }

        (row.FixedPortId, row.FixedIpAddress, row.RouterId) = (portId, ip.IpAddress, routerId);
    }

    public static CloudException AlreadyAssociated(FloatingIpRow row, string portId, string address) => NeutronErrors.Conflict(
        "FloatingIPPortAlreadyAssociated",
        $"Cannot associate floating IP {row.FloatingIpAddress} ({row.Id}) with port {portId} using fixed IP {address}, as that fixed IP already has a floating IP on external network {row.FloatingNetworkId}.");

    /// <summary>The routers' hosts, and Nova for the servers whose addresses these are.</summary>
    private async Task TellAsync(Work work, IEnumerable<string?> routers, IEnumerable<string?> portIds)
    {
        await RouterHints.TouchAsync(work, [.. routers.OfType<string>().Distinct()]);
        var ids = portIds.OfType<string>().Distinct().ToList();
        if (ids.Count == 0 || !options.NotifyNovaOfData)
        {
            return;
        }

        foreach (var port in await work.Db.GetTable<PortRow>().WhereIn(port => port.Id, ids).ToListAsync(work.Cancellation))
        {
            if (PortOperations.IsOfServer(port))
            {
                await work.TellNovaAsync("network-changed", port.DeviceId, port.Id);
            }
        }
    }

    private static void WritePort(Utf8JsonWriter json, FloatingIpView view)
    {
        if (view.FixedPort is not { } port)
        {
            json.WriteNullValue();
            return;
        }

        json.WriteStartObject();
        json.WriteString("name", port.Name);
        json.WriteString("network_id", port.NetworkId);
        json.WriteString("mac_address", port.MacAddress);
        json.WriteBoolean("admin_state_up", port.AdminStateUp);
        json.WriteString("status", port.Status);
        json.WriteString("device_id", port.DeviceId);
        json.WriteString("device_owner", port.DeviceOwner);
        json.WriteEndObject();
    }

    private static void WriteForwardings(Utf8JsonWriter json, FloatingIpView view)
    {
        json.WriteStartArray();
        foreach (var row in view.Forwardings)
        {
            json.WriteStartObject();
            PortForwardingResource.WriteParts(json, row);
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }
}
