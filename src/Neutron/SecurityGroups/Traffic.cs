using System.Globalization;
using SharpStack.Foundation;
using SharpStack.Neutron.Api;
using SharpStack.Neutron.Ipam;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.SecurityGroups;

/// <summary>What traffic a rule is for: the same for the rules of a group and for those that new groups begin with.</summary>
internal static class Traffic
{
    /// <param name="remoteGroup">What is taken for the group of the other side.</param>
    public static IEnumerable<ResourceAttribute<TRow, TView>> Columns<TRow, TView>(AttributeCheck remoteGroup)
        where TRow : TrafficRow
        where TView : class, IResourceView<TRow> =>
    [
        Attributes<TRow, TView>.Text("remote_group_id", static row => row.RemoteGroupId, post: true, check: remoteGroup),
        Attributes<TRow, TView>.Text("remote_address_group_id", static row => row.RemoteAddressGroupId, post: true, check: Checks.UuidOrNull),
        Attributes<TRow, TView>.Text("direction", static row => row.Direction, post: true, required: true, check: Checks.OneOf("ingress", "egress")),
        Attributes<TRow, TView>.Text("protocol", static row => row.Protocol, post: true),
        Attributes<TRow, TView>.OptionalNumber("port_range_min", static row => row.PortRangeMin, post: true),
        Attributes<TRow, TView>.OptionalNumber("port_range_max", static row => row.PortRangeMax, post: true),
        Attributes<TRow, TView>.Text("ethertype", static row => row.Ethertype, post: true),
        Attributes<TRow, TView>.Text("remote_ip_prefix", static row => row.RemoteIpPrefix, post: true),
    ];

    /// <summary>Reads it from a request into a new row, with Neutron's names of what will not do.</summary>
    public static TRow Read<TRow>(Body body, TRow row)
        where TRow : TrafficRow
    {
        var ethertype = body.TextOrNull("ethertype") ?? "IPv4";
        row.Ethertype = ethertype.Equals("IPv4", StringComparison.OrdinalIgnoreCase) ? "IPv4" : ethertype.Equals("IPv6", StringComparison.OrdinalIgnoreCase) ? "IPv6"
            : throw CloudException.BadRequest($"Security group rule for ethertype '{ethertype}' not supported. Allowed values are ['IPv4', 'IPv6']", "SecurityGroupRuleInvalidEtherType");
        row.RemoteGroupId = body.TextOrNull("remote_group_id");
        row.RemoteAddressGroupId = body.TextOrNull("remote_address_group_id");
        row.Direction = body.Text("direction");
        row.Protocol = IpProtocols.Canonical(IpProtocols.Read(body.Get("protocol")), row.Ethertype);
        row.PortRangeMin = ReadPort(body, "port_range_min");
        row.PortRangeMax = ReadPort(body, "port_range_max");
        row.RemoteIpPrefix = ReadPrefix(body.TextOrNull("remote_ip_prefix"), row.Ethertype);
        if (row.PortRangeMin == 1 && row.PortRangeMax == 65535)
        {
            row.PortRangeMin = row.PortRangeMax = null;
        }

        CheckPorts(row);
        if (row.Ethertype == "IPv4" && IpProtocols.IsIpv6Only(row.Protocol))
        {
            throw CloudException.BadRequest($"Invalid ethertype {row.Ethertype} for protocol {row.Protocol}.", "SecurityGroupEthertypeConflictWithProtocol");
        }

        return new[] { row.RemoteGroupId, row.RemoteAddressGroupId, row.RemoteIpPrefix }.Count(remote => remote is not null) > 1
            ? throw CloudException.BadRequest("Only one of remote_ip_prefix or remote_group_id or remote_address_group_id may be provided.", "SecurityGroupMultipleRemoteEntites")
            : row;
    }

    private static int? ReadPort(Body body, string name) =>
        body.Get(name) is not { } value ? null
        : Checks.ToNumber(value) is { } port and >= 0 and <= 65535 ? port
        : throw CloudException.BadRequest($"Invalid value for port {Checks.Shown(value)}", "SecurityGroupInvalidPortValue");

    private static string? ReadPrefix(string? text, string ethertype)
    {
        if (string.IsNullOrEmpty(text))
        {
            return null;
        }

        if (!Cidr.TryParse(text, out var cidr))
        {
            throw CloudException.BadRequest($"Invalid CIDR {text} given as IP prefix.", "InvalidCIDR");
        }

        return cidr.Version != (ethertype == "IPv4" ? 4 : 6)
            ? throw CloudException.BadRequest($"Conflicting value ethertype {ethertype} for CIDR {text}", "SecurityGroupRuleParameterConflict")
            : text.Contains('/', StringComparison.Ordinal) ? text : cidr.ToString();
    }

    private static void CheckPorts(TrafficRow row)
    {
        var (min, max) = (row.PortRangeMin, row.PortRangeMax);
        if (min is null && max is null)
        {
            return;
        }

        if (row.Protocol is null)
        {
            throw CloudException.BadRequest("Must also specify protocol if port range is given.", "SecurityGroupProtocolRequiredWithPorts");
        }

        var number = IpProtocols.NumberOf(row.Protocol)!.Value;
        if (IpProtocols.WithPorts.Contains(number))
        {
            if (min == 0 || max == 0)
            {
                throw CloudException.BadRequest("Invalid value for port 0", "SecurityGroupInvalidPortValue");
            }

            if (min is null || max is null || min > max)
            {
                throw CloudException.BadRequest("For TCP/UDP protocols, port_range_min must be <= port_range_max", "SecurityGroupInvalidPortRange");
            }
        }
        else if (number is IpProtocols.Icmp or IpProtocols.Icmpv6)
        {
            foreach (var (name, field, value) in (ReadOnlySpan<(string, string, int?)>)[("port_range_min", "type", min), ("port_range_max", "code", max)])
            {
                if (value > 255)
                {
                    throw CloudException.BadRequest($"Invalid value for ICMP {field} ({name}) {value}. It must be 0 to 255.", "SecurityGroupInvalidIcmpValue");
                }
            }

            if (min is null)
            {
                throw CloudException.BadRequest($"ICMP code (port-range-max) {max} is provided but ICMP type (port-range-min) is missing.", "SecurityGroupMissingIcmpType");
            }
        }
        else
        {
            throw CloudException.BadRequest(
                $"Ports cannot be specified for protocol {number}. Ports are only supported for DCCP, SCTP, TCP, UDP, UDPLITE.", "SecurityGroupInvalidProtocolForPort");
        }
    }

    /// <summary>What makes two rules of a group the same.</summary>
    public static string KeyOf(TrafficRow row)
    {
        var prefix = row.RemoteIpPrefix is "0.0.0.0/0" or "::/0" ? null : row.RemoteIpPrefix;
        return string.Create(
            CultureInfo.InvariantCulture,
            $"{row.Direction}_{row.Ethertype}_{IpProtocols.NumberOf(row.Protocol)}_{row.PortRangeMin}_{row.PortRangeMax}_{row.RemoteGroupId}_{row.RemoteAddressGroupId}_{prefix}");
    }
}
