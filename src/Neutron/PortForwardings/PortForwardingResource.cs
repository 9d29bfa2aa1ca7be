using System.Globalization;
using System.Linq.Expressions;
using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using SharpStack.Foundation;
using SharpStack.Neutron.Api;
using SharpStack.Neutron.FloatingIps;
using SharpStack.Neutron.Routers;
using SharpStack.Neutron.Storage;
using ForwardingAttributes = SharpStack.Neutron.Api.Attributes<SharpStack.Neutron.PortForwardings.PortForwardingRow, SharpStack.Neutron.PortForwardings.PortForwardingView>;

namespace SharpStack.Neutron.PortForwardings;

/// <summary>A port forwarding.</summary>
internal sealed record PortForwardingView(PortForwardingRow Row) : IResourceView<PortForwardingRow>;

/// <summary><c>/v2.0/floatingips/{parent}/port_forwardings</c>.</summary>
internal sealed class PortForwardingResource : ChildResource<PortForwardingRow, PortForwardingView, FloatingIpRow>
{
    private static readonly AttributeCheck PortNumber = static value => value.ValueKind == JsonValueKind.Null ? null : Checks.Number(1, 65535)(value);

    public override string Singular => "port_forwarding";

    public override string Path => "/v2.0/floatingips/{parent}/port_forwardings";

    public override string RuleName => "floatingip_port_forwarding";

    public override IReadOnlyList<ResourceAttribute<PortForwardingRow, PortForwardingView>> Attributes { get; } =
    [
        .. Common(),
        ForwardingAttributes.Text("description", static row => row.Description, post: true, put: true, check: Checks.Text(255)),
        ForwardingAttributes.Text("protocol", static row => row.Protocol, post: true, put: true, required: true, check: Protocol),
        ForwardingAttributes.Text("internal_ip_address", static row => row.InternalIpAddress, post: true, put: true, check: Checks.Ip),
        ForwardingAttributes.Text("internal_port_id", static row => row.InternalPortId, post: true, put: true, required: true, check: Checks.Uuid),
        new("external_port")
        {
            Post = true,
            Put = true,
            Check = PortNumber,
            Write = static (json, view) => WriteOne(json, view.Row.ExternalFirst, view.Row.ExternalLast),
            Filter = static (rows, _, values) =>
            {
                var ports = Checks.ToNumbers("external_port", values);
                return rows.Where(row => row.ExternalFirst == row.ExternalLast && ports.Contains(row.ExternalFirst));
            },
        },
        new("internal_port") { Post = true, Put = true, Check = PortNumber, Write = static (json, view) => WriteOne(json, view.Row.InternalFirst, view.Row.InternalLast) },
        new("external_port_range") { Post = true, Put = true, Check = Range, Write = static (json, view) => json.WriteStringValue(Shown(view.Row.ExternalFirst, view.Row.ExternalLast)) },
        new("internal_port_range") { Post = true, Put = true, Check = Range, Write = static (json, view) => json.WriteStringValue(Shown(view.Row.InternalFirst, view.Row.InternalLast)) },
    ];

    /// <summary>What a floating IP shows of it.</summary>
    public static void WriteParts(Utf8JsonWriter json, PortForwardingRow row)
    {
        json.WriteString("id", row.Id);
        json.WriteString("internal_ip_address", row.InternalIpAddress);
        json.WriteString("protocol", row.Protocol);
        json.WritePropertyName("internal_port");
        WriteOne(json, row.InternalFirst, row.InternalLast);
        json.WritePropertyName("external_port");
        WriteOne(json, row.ExternalFirst, row.ExternalLast);
        json.WriteString("internal_port_id", row.InternalPortId);
    }

    public override async Task<string> CreateOneAsync(Work work, Caller caller, Body body)
    {
        var floating = await ParentAsync(work, body.ParentId);
        var row = work.Stamp(new PortForwardingRow { ProjectId = floating.ProjectId, FloatingIpId = floating.Id });
        Read(row, body);
        if (floating.FixedPortId is not null)
        {
            throw FloatingIpResource.AlreadyAssociated(floating, row.InternalPortId, row.InternalIpAddress);
        }

        await CheckAsync(work, caller, row, floating);
        await work.Db.InsertAsync(row, token: work.Cancellation);
        await TouchAsync(work, floating);
        return row.Id;
    }

    public override async Task UpdateAsync(Work work, Caller caller, PortForwardingView view, Body body)
    {
        var row = view.Row;
        var floating = await ParentAsync(work, row.FloatingIpId);
        Read(row, body);
        await CheckAsync(work, caller, row, floating);
        work.Bump(row);
        await work.Db.UpdateAsync(row, token: work.Cancellation);
        await TouchAsync(work, floating);
    }

    public override async Task DeleteAsync(Work work, Caller caller, PortForwardingView view)
    {
        await work.Db.GetTable<PortForwardingRow>().Where(row => row.Id == view.Row.Id).DeleteAsync(work.Cancellation);
        if (await FloatingIpLinks.ReleaseRouterAsync(work, view.Row.FloatingIpId) is { } router)
        {
            await RouterHints.TouchAsync(work, router);
        }
    }

    public override CloudException NotFound(string id) => NeutronErrors.NotFound("PortForwardingNotFound", $"Port Forwarding {id} could not be found.");

    protected override Expression<Func<PortForwardingRow, string>> ParentId { get; } = static row => row.FloatingIpId;

    protected override CloudException ParentNotFound(string id) => NeutronErrors.NotFound("FloatingIPNotFound", $"Floating IP {id} could not be found");

    protected override PortForwardingView ViewOf(PortForwardingRow row) => new(row);

    private static CloudException Bad(string message) => NeutronErrors.BadRequest("port_forwarding", message);

    private static async Task TouchAsync(Work work, FloatingIpRow floating)
    {
        work.Bump(floating);
        await work.Db.UpdateAsync(floating, token: work.Cancellation);
        await RouterHints.TouchAsync(work, floating.RouterId!);
    }

    private static void Read(PortForwardingRow row, Body body)
    {
        row.Description = body.Text("description", row.Description);
        row.Protocol = body.Text("protocol", row.Protocol).ToLowerInvariant();
        row.InternalPortId = body.Text("internal_port_id", row.InternalPortId);
        row.InternalIpAddress = body.HasValue("internal_ip_address") ? body.Text("internal_ip_address") : body.HasValue("internal_port_id") ? "" : row.InternalIpAddress;
        (row.ExternalFirst, row.ExternalLast) = PortsOf(body, "external_port", (row.ExternalFirst, row.ExternalLast));
        (row.InternalFirst, row.InternalLast) = PortsOf(body, "internal_port", (row.InternalFirst, row.InternalLast));
        if (row.ExternalFirst == 0 || row.InternalFirst == 0)
        {
            throw Bad("external_port or external_port_range, and internal_port or internal_port_range, must be specified");
        }

        if (row.InternalLast > row.InternalFirst && row.InternalLast - row.InternalFirst != row.ExternalLast - row.ExternalFirst)
        {
            throw Bad("Invalid ranges of internal and/or external ports. The relation between internal and external ports must be N-N or 1-N");
        }
    }

    /// <summary>Finds the inner address and the router, which becomes the floating IP's, and refuses what collides.</summary>
    private static async Task CheckAsync(Work work, Caller caller, PortForwardingRow row, FloatingIpRow floating)
    {
        var port = await work.Db.GetTable<PortRow>().FirstOrDefaultAsync(other => other.Id == row.InternalPortId && (caller.SeesAll || other.ProjectId == caller.ProjectId), work.Cancellation)
            ?? throw NeutronErrors.PortNotFound(row.InternalPortId);
        var ips = (await work.Db.GetTable<IpAllocationRow>().Where(ip => ip.PortId == port.Id).OrderBy(ip => ip.Position).ToListAsync(work.Cancellation))
            .FindAll(ip => !ip.IpAddress.Contains(':', StringComparison.Ordinal));
        if (ips.Count == 0)
        {
            throw Bad($"Requested internal port {port.Id} must allocate an IPv4 address at least.");
        }

        var address = row.InternalIpAddress.Length == 0 ? ips[0] : ips.Find(ip => ip.IpAddress == row.InternalIpAddress)
            ?? throw Bad($"Requested internal IP address {row.InternalIpAddress} is not suitable for internal neutron port {port.Id}, as its fixed_ips are {string.Join(", ", ips.Select(ip => ip.IpAddress))}");
        row.InternalIpAddress = address.IpAddress;
        if (await work.Db.GetTable<FloatingIpRow>().FirstOrDefaultAsync(other => other.FixedPortId == port.Id, work.Cancellation) is { } bound)
        {
            throw NeutronErrors.Conflict(
                "PortHasBindingFloatingIP",
                $"Cannot create port forwarding to floating IP {bound.FloatingIpAddress} ({bound.Id}) with port {port.Id} using fixed IP {row.InternalIpAddress}, as that port already has a binding floating IP.");
        }

        await CheckCollisionsAsync(work, row);
        var subnet = await work.Db.GetTable<SubnetRow>().FirstAsync(other => other.Id == address.SubnetId, work.Cancellation);
        var router = await FloatingIpLinks.FindRouterAsync(work, subnet, floating.FloatingNetworkId)
            ?? throw Bad($"External network {floating.FloatingNetworkId} is not reachable from subnet {subnet.Id}. Cannot set Port forwarding for port {port.Id} with Floating IP {floating.Id}");
        if (floating.RouterId is not null && floating.RouterId != router)
        {
            throw Bad($"The Floating IP {floating.Id} had been set on router {floating.RouterId}, the internal Neutron port {port.Id} can not reach it");
        }

        floating.RouterId = router;
    }

    private static async Task CheckCollisionsAsync(Work work, PortForwardingRow row)
    {
        var others = await work.Db.GetTable<PortForwardingRow>().Where(other => other.Id != row.Id && other.Protocol == row.Protocol
            && (other.FloatingIpId == row.FloatingIpId || (other.InternalPortId == row.InternalPortId && other.InternalIpAddress == row.InternalIpAddress))).ToListAsync(work.Cancellation);
        foreach (var other in others)
        {
            if (other.FloatingIpId == row.FloatingIpId && other.ExternalFirst <= row.ExternalLast && row.ExternalFirst <= other.ExternalLast)
            {
                throw Collision("external_port_range", Shown(other.ExternalFirst, other.ExternalLast), Shown(row.ExternalFirst, row.ExternalLast));
            }

            if (other.InternalPortId == row.InternalPortId && other.InternalIpAddress == row.InternalIpAddress && other.InternalFirst <= row.InternalLast && row.InternalFirst <= other.InternalLast)
            {
                throw Collision("internal_port_range", Shown(other.InternalFirst, other.InternalLast), Shown(row.InternalFirst, row.InternalLast));
            }
        }

        static CloudException Collision(string name, string first, string second) => Bad($"There is a port collision with the {name}. The following ranges collides: {first} and {second}");
    }

    private static (int First, int Last) PortsOf(Body body, string name, (int First, int Last) otherwise)
    {
        if (body.Number(name) is { } port)
        {
            return (port, port);
        }

        if (body.TextOrNull(name + "_range") is not { } text)
        {
            return otherwise;
        }

        var ends = text.Split(':').Select(part => int.Parse(part, CultureInfo.InvariantCulture)).ToArray();
        return (ends[0], ends[^1]);
    }

    private static string? Protocol(JsonElement value) =>
        value.ValueKind == JsonValueKind.String && value.GetString()!.ToLowerInvariant() is "tcp" or "udp" or "sctp" or "dccp" or "icmp" ? null
        : $"'{Checks.Shown(value)}' is not in ['tcp', 'udp', 'sctp', 'dccp', 'icmp']";

    private static string? Range(JsonElement value)
    {
        if (value.ValueKind == JsonValueKind.Null)
        {
            return null;
        }

        var ends = Checks.Shown(value).Split(':');
        if (ends.Length > 2 || ends.Any(end => end.Length == 0))
        {
            return "Port range must be two integers separated by a colon";
        }

        var ports = new List<int>();
        foreach (var end in ends)
        {
            if (!int.TryParse(end, NumberStyles.None, CultureInfo.InvariantCulture, out var port) || port is < 1 or > 65535)
            {
                return $"Invalid port: {end}, the port must be in the range [1, 65535]";
            }

            ports.Add(port);
        }

        return ports[0] > ports[^1] ? "First port in a port range must be lower than the second port" : null;
    }

    private static string Shown(int first, int last) => string.Create(CultureInfo.InvariantCulture, $"{first}:{last}");

    private static void WriteOne(Utf8JsonWriter json, int first, int last)
    {
        if (first == last)
        {
            json.WriteNumberValue(first);
        }
        else
        {
            json.WriteNullValue();
        }
    }
}
