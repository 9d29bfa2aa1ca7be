using System.Collections.Frozen;
using System.Globalization;
using System.Net;
using System.Text;

namespace SharpStack.OpenVSwitch.Flows;

/// <summary>How a field's value is printed by ovs-ofctl.</summary>
internal enum FieldFormat
{
    Decimal,
    Hexadecimal,
    Mac,
    Ipv4,
    Ipv6,
    Port,
    ConnectionState,
}

/// <summary>
/// A packet or metadata field that flows match on or set. Each has the header that Open vSwitch itself puts on OpenFlow 1.4's wire for
/// matches (OXM, or NXM where OpenFlow has none) and the NXM header used inside Nicira actions (meta-flow.h of Open vSwitch).
/// </summary>
public sealed class FlowField
{
    private static readonly List<FlowField> Known = [];

    // The order of definition is the order on the wire: OXM wants a field after the fields it depends on.
    internal static readonly FlowField InPort = Oxm("in_port_oxm", 0, 32, FieldFormat.Port, "OXM_OF_IN_PORT");
    internal static readonly FlowField Metadata = Oxm("metadata", 2, 64, FieldFormat.Hexadecimal, "OXM_OF_METADATA");
    /// <summary>Destination MAC address.</summary>
    public static readonly FlowField EthDst = Oxm("eth_dst", 3, 48, FieldFormat.Mac, "NXM_OF_ETH_DST", 0, 1);
    /// <summary>Source MAC address.</summary>
    public static readonly FlowField EthSrc = Oxm("eth_src", 4, 48, FieldFormat.Mac, "NXM_OF_ETH_SRC", 0, 2);
    internal static readonly FlowField EthType = Oxm("eth_type", 5, 16, FieldFormat.Hexadecimal, "NXM_OF_ETH_TYPE", 0, 3);
    /// <summary>VLAN id with the bit 0x1000 set where a tag is present.</summary>
    public static readonly FlowField VlanVid = Oxm("vlan_vid", 6, 13, FieldFormat.Decimal, "OXM_OF_VLAN_VID");
    internal static readonly FlowField VlanPcp = Oxm("vlan_pcp", 7, 3, FieldFormat.Decimal, "OXM_OF_VLAN_PCP");
    internal static readonly FlowField IpDscp = Oxm("ip_dscp", 8, 6, FieldFormat.Decimal, "OXM_OF_IP_DSCP");
    internal static readonly FlowField IpEcn = Oxm("nw_ecn", 9, 2, FieldFormat.Decimal, "NXM_NX_IP_ECN", 1, 28);
    internal static readonly FlowField IpProto = Oxm("nw_proto", 10, 8, FieldFormat.Decimal, "NXM_OF_IP_PROTO", 0, 6);
    /// <summary>IPv4 source.</summary>
    public static readonly FlowField Ipv4Src = Oxm("ip_src", 11, 32, FieldFormat.Ipv4, "NXM_OF_IP_SRC", 0, 7);
    /// <summary>IPv4 destination.</summary>
    public static readonly FlowField Ipv4Dst = Oxm("ip_dst", 12, 32, FieldFormat.Ipv4, "NXM_OF_IP_DST", 0, 8);
    internal static readonly FlowField TcpSrc = Oxm("tcp_src", 13, 16, FieldFormat.Decimal, "NXM_OF_TCP_SRC", 0, 9);
    internal static readonly FlowField TcpDst = Oxm("tcp_dst", 14, 16, FieldFormat.Decimal, "NXM_OF_TCP_DST", 0, 10);
    internal static readonly FlowField UdpSrc = Oxm("udp_src", 15, 16, FieldFormat.Decimal, "NXM_OF_UDP_SRC", 0, 11);
    internal static readonly FlowField UdpDst = Oxm("udp_dst", 16, 16, FieldFormat.Decimal, "NXM_OF_UDP_DST", 0, 12);
    internal static readonly FlowField SctpSrc = Oxm("sctp_src", 17, 16, FieldFormat.Decimal, "OXM_OF_SCTP_SRC");
    internal static readonly FlowField SctpDst = Oxm("sctp_dst", 18, 16, FieldFormat.Decimal, "OXM_OF_SCTP_DST");
    internal static readonly FlowField IcmpType = Oxm("icmp_type", 19, 8, FieldFormat.Decimal, "NXM_OF_ICMP_TYPE", 0, 13);
    internal static readonly FlowField IcmpCode = Oxm("icmp_code", 20, 8, FieldFormat.Decimal, "NXM_OF_ICMP_CODE", 0, 14);
    /// <summary>ARP operation.</summary>
    public static readonly FlowField ArpOp = Oxm("arp_op", 21, 16, FieldFormat.Decimal, "NXM_OF_ARP_OP", 0, 15);
    /// <summary>ARP sender protocol address.</summary>
    public static readonly FlowField ArpSpa = Oxm("arp_spa", 22, 32, FieldFormat.Ipv4, "NXM_OF_ARP_SPA", 0, 16);
    /// <summary>ARP target protocol address.</summary>
    public static readonly FlowField ArpTpa = Oxm("arp_tpa", 23, 32, FieldFormat.Ipv4, "NXM_OF_ARP_TPA", 0, 17);
    /// <summary>ARP sender hardware address.</summary>
    public static readonly FlowField ArpSha = Oxm("arp_sha", 24, 48, FieldFormat.Mac, "NXM_NX_ARP_SHA", 1, 17);
    /// <summary>ARP target hardware address.</summary>
    public static readonly FlowField ArpTha = Oxm("arp_tha", 25, 48, FieldFormat.Mac, "NXM_NX_ARP_THA", 1, 18);
    internal static readonly FlowField Ipv6Src = Oxm("ipv6_src", 26, 128, FieldFormat.Ipv6, "NXM_NX_IPV6_SRC", 1, 19);
    internal static readonly FlowField Ipv6Dst = Oxm("ipv6_dst", 27, 128, FieldFormat.Ipv6, "NXM_NX_IPV6_DST", 1, 20);
    internal static readonly FlowField Icmp6Type = Oxm("icmpv6_type", 29, 8, FieldFormat.Decimal, "NXM_NX_ICMPV6_TYPE", 1, 21);
    internal static readonly FlowField Icmp6Code = Oxm("icmpv6_code", 30, 8, FieldFormat.Decimal, "NXM_NX_ICMPV6_CODE", 1, 22);
    internal static readonly FlowField NdTarget = Oxm("nd_target", 31, 128, FieldFormat.Ipv6, "NXM_NX_ND_TARGET", 1, 23);
    internal static readonly FlowField NdSll = Oxm("nd_sll", 32, 48, FieldFormat.Mac, "NXM_NX_ND_SLL", 1, 24);
    internal static readonly FlowField NdTll = Oxm("nd_tll", 33, 48, FieldFormat.Mac, "NXM_NX_ND_TLL", 1, 25);
    /// <summary>Tunnel key.</summary>
    public static readonly FlowField TunId = Oxm("tun_id", 38, 64, FieldFormat.Hexadecimal, "NXM_NX_TUN_ID", 1, 16);
    internal static readonly FlowField NwFrag = Nxm("ip_frag", 1, 26, 8, FieldFormat.Decimal, "NXM_NX_IP_FRAG", length: 1);
    internal static readonly FlowField NwTtl = Nxm("nw_ttl", 1, 29, 8, FieldFormat.Decimal, "NXM_NX_IP_TTL");
    internal static readonly FlowField PktMark = Nxm("pkt_mark", 1, 33, 32, FieldFormat.Hexadecimal, "NXM_NX_PKT_MARK");
    internal static readonly FlowField ConjId = Nxm("conj_id", 1, 37, 32, FieldFormat.Decimal, "NXM_NX_CONJ_ID");
    internal static readonly FlowField CtState = Nxm("ct_state", 1, 105, 32, FieldFormat.ConnectionState, "NXM_NX_CT_STATE");
    internal static readonly FlowField CtZone = Nxm("ct_zone", 1, 106, 16, FieldFormat.Hexadecimal, "NXM_NX_CT_ZONE");
    /// <summary>Connection tracking mark.</summary>
    public static readonly FlowField CtMark = Nxm("ct_mark", 1, 107, 32, FieldFormat.Hexadecimal, "NXM_NX_CT_MARK");
    /// <summary>Ingress port as 16 bits: for actions only.</summary>
    public static readonly FlowField InPort16 = Nxm("in_port", 0, 0, 16, FieldFormat.Port, "NXM_OF_IN_PORT");
    /// <summary>The whole 16-bit tag: for actions only; matches use <see cref="VlanVid"/>.</summary>
    public static readonly FlowField VlanTci = Nxm("vlan_tci", 0, 4, 16, FieldFormat.Hexadecimal, "NXM_OF_VLAN_TCI");

    private static readonly FlowField[] Registers = [.. Enumerable.Range(0, 16).Select(n =>
        Nxm(string.Create(CultureInfo.InvariantCulture, $"reg{n}"), 1, (uint)n, 32, FieldFormat.Hexadecimal, string.Create(CultureInfo.InvariantCulture, $"NXM_NX_REG{n}")))];

    private static readonly FrozenDictionary<uint, FlowField> ByHeader = Known
        .SelectMany(field => new[] { field.Header, field.ActionHeader }.Distinct().Select(header => (header, field)))
        .ToFrozenDictionary(pair => pair.header, pair => pair.field);

    private FlowField(string name, uint header, uint actionHeader, string actionName, int bits, FieldFormat format, int order)
    {
        Name = name;
        Header = header;
        ActionHeader = actionHeader;
        ActionName = actionName;
        Bits = bits;
        Format = format;
        Order = order;
    }

    /// <summary>The name in <c>set_field</c>.</summary>
    public string Name { get; }

    /// <summary>The number of significant bits.</summary>
    public int Bits { get; }

    /// <summary>Header in matches and set_field, without the mask bit.</summary>
    internal uint Header { get; }

    /// <summary>Header in Nicira actions.</summary>
    internal uint ActionHeader { get; }

    /// <summary>The name in Nicira actions, as in <c>NXM_NX_REG6[0..15]</c>.</summary>
    internal string ActionName { get; }

    internal FieldFormat Format { get; }

    internal int Order { get; }

    /// <summary>Bytes of a value on the wire.</summary>
    internal int Length => (int)(Header & 0xff);

    internal UInt128 AllOnes => Bits == 128 ? UInt128.MaxValue : (UInt128.One << Bits) - 1;

    /// <summary>All bits of the field as the operand of an action.</summary>
    public Subfield Whole => new(this, 0, Bits);

    /// <summary>The register of that number, 0 to 15.</summary>
    public static FlowField Register(int number) => Registers[number];

    /// <summary>Bits <paramref name="first"/> to <paramref name="last"/>, both inclusive.</summary>
    public Subfield Range(int first, int last) => new(this, first, last - first + 1);

    /// <summary>The field of an OXM or NXM header; an unknown one becomes a field of its own, so that foreign flows can still be read.</summary>
    internal static FlowField FromHeader(uint header)
    {
        if (ByHeader.TryGetValue(header, out var field))
        {
            return field;
        }

        var name = string.Create(CultureInfo.InvariantCulture, $"field_{header:x8}");
        return new(name, header, header, name, Math.Min((int)(header & 0xff) * 8, 128), FieldFormat.Hexadecimal, int.MaxValue - (int)(header >> 1));
    }

    internal void FormatValue(StringBuilder text, UInt128 value)
    {
        switch (Format)
        {
            case FieldFormat.Decimal:
                text.Append(CultureInfo.InvariantCulture, $"{value}");
                break;
            case FieldFormat.Mac:
                text.Append(new MacAddress((ulong)value).ToString());
                break;
            case FieldFormat.Ipv4:
            case FieldFormat.Ipv6:
                text.Append(Addresses.ToAddress(value, Format == FieldFormat.Ipv6).ToString());
                break;
            case FieldFormat.Port:
                text.Append(PortNumbers.Format((uint)value));
                break;
            default:
                text.Append(Hex(value));
                break;
        }
    }

    /// <summary>As C's %#x: zero has no prefix.</summary>
    internal static string Hex(UInt128 value) => value == 0 ? "0" : string.Create(CultureInfo.InvariantCulture, $"0x{value:x}");

    /// <inheritdoc/>
    public override string ToString() => Name;

    private static FlowField Oxm(string name, uint number, int bits, FieldFormat format, string actionName, uint actionClass = 0x8000, uint? actionNumber = null)
    {
        var length = (uint)(bits + 7) / 8;
        var header = (0x8000u << 16) | (number << 9) | length;
        return Define(name, header, actionNumber is { } action ? (actionClass << 16) | (action << 9) | length : header, actionName, bits, format);
    }

    private static FlowField Nxm(string name, uint @class, uint number, int bits, FieldFormat format, string actionName, uint? length = null)
    {
        var header = (@class << 16) | (number << 9) | (length ?? ((uint)(bits + 7) / 8));
        return Define(name, header, header, actionName, bits, format);
    }

    private static FlowField Define(string name, uint header, uint actionHeader, string actionName, int bits, FieldFormat format)
    {
        var field = new FlowField(name, header, actionHeader, actionName, bits, format, Known.Count);
        Known.Add(field);
        return field;
    }
}

/// <summary>Some bits of a field, printed as <c>NXM_NX_REG6[0..15]</c>.</summary>
public readonly record struct Subfield(FlowField Field, int Offset, int Bits)
{
    /// <inheritdoc/>
    public override string ToString() =>
        Offset == 0 && Bits == Field.Bits ? $"{Field.ActionName}[]"
        : Bits == 1 ? string.Create(CultureInfo.InvariantCulture, $"{Field.ActionName}[{Offset}]")
        : string.Create(CultureInfo.InvariantCulture, $"{Field.ActionName}[{Offset}..{Offset + Bits - 1}]");
}

/// <summary>Addresses as numbers in network order and back.</summary>
internal static class Addresses
{
    public static UInt128 ToNumber(IPAddress address)
    {
        Span<byte> bytes = stackalloc byte[16];
        address.TryWriteBytes(bytes, out var length);
        UInt128 value = 0;
        foreach (var octet in bytes[..length])
        {
            value = (value << 8) | octet;
        }

        return value;
    }

    public static IPAddress ToAddress(UInt128 value, bool ipv6)
    {
        Span<byte> bytes = stackalloc byte[ipv6 ? 16 : 4];
        for (var i = bytes.Length - 1; i >= 0; i--)
        {
            bytes[i] = (byte)value;
            value >>= 8;
        }

        return new IPAddress(bytes);
    }

    /// <summary>The mask of a prefix length within an address of <paramref name="bits"/> bits.</summary>
    public static UInt128 PrefixMask(int prefix, int bits) =>
        prefix == 0 ? 0 : ((prefix == 128 ? UInt128.MaxValue : (UInt128.One << prefix) - 1) << (bits - prefix));
}

/// <summary>OpenFlow's reserved port numbers and their names.</summary>
public static class PortNumbers
{
    /// <summary>Back out of the port it came in by.</summary>
    public const uint InPort = 0xfffffff8;

    /// <summary>Process as a learning switch.</summary>
    public const uint Normal = 0xfffffffa;

    /// <summary>The bridge's own internal port.</summary>
    public const uint Local = 0xfffffffe;

    /// <summary>Any port: no filter.</summary>
    public const uint Any = 0xffffffff;

    internal static string Format(uint port) => port switch
    {
        InPort => "IN_PORT",
        0xfffffff9 => "TABLE",
        Normal => "NORMAL",
        0xfffffffb => "FLOOD",
        0xfffffffc => "ALL",
        0xfffffffd => "CONTROLLER",
        Local => "LOCAL",
        Any => "ANY",
        _ => port.ToString(CultureInfo.InvariantCulture),
    };
}
