using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using SharpStack.OpenVSwitch.OpenFlow;

namespace SharpStack.OpenVSwitch.Flows;

/// <summary>Connection tracking state bits of a packet (<c>ct_state</c>).</summary>
[Flags]
public enum CtStates
{
    /// <summary>No bit.</summary>
    None = 0,

    /// <summary>Begins a connection.</summary>
    New = 0x01,

    /// <summary>Part of a committed connection.</summary>
    Established = 0x02,

    /// <summary>Related to one (an ICMP error).</summary>
    Related = 0x04,

    /// <summary>In the direction of replies.</summary>
    Reply = 0x08,

    /// <summary>Not to be understood.</summary>
    Invalid = 0x10,

    /// <summary>Has been through the tracker.</summary>
    Tracked = 0x20,
}

/// <summary>What packets a flow matches: an immutable value; each method returns a narrower match.</summary>
public sealed class FlowMatch : IEquatable<FlowMatch>
{
    private const ushort Ipv4 = 0x0800;
    private const ushort Ipv6Type = 0x86dd;
    private const ushort ArpType = 0x0806;
    private const ushort VlanPresent = 0x1000;

    /// <summary>Matches every packet.</summary>
    public static readonly FlowMatch Any = new([]);

    private static readonly string[] StateNames = ["new", "est", "rel", "rpl", "inv", "trk", "snat", "dnat"];

    private readonly Term[] terms;
    private readonly int hash;

    private FlowMatch(Term[] terms)
    {
        this.terms = terms;
        var code = default(HashCode);
        foreach (ref readonly var term in terms.AsSpan())
        {
            code.Add(term);
        }

        hash = code.ToHashCode();
    }

    /// <summary>The packet came in by this port.</summary>
    public FlowMatch InPort(uint port) => With(FlowField.InPort, port);

    /// <summary>The Ethernet type.</summary>
    public FlowMatch EtherType(ushort type) => With(FlowField.EthType, type);

    /// <summary>IPv4.</summary>
    public FlowMatch Ip() => EtherType(Ipv4);

    /// <summary>IPv6.</summary>
    public FlowMatch Ipv6() => EtherType(Ipv6Type);

    /// <summary>ARP.</summary>
    public FlowMatch Arp() => EtherType(ArpType);

    /// <summary>IPv4 or IPv6.</summary>
    public FlowMatch Ip(AddressFamily family) => family == AddressFamily.InterNetworkV6 ? Ipv6() : Ip();

    /// <summary>The IP protocol number; needs <see cref="Ip()"/> or <see cref="Ipv6"/>.</summary>
    public FlowMatch Protocol(byte number) => With(FlowField.IpProto, number);

    /// <summary>UDP over the given family.</summary>
    public FlowMatch Udp(AddressFamily family = AddressFamily.InterNetwork) => Ip(family).Protocol(17);

    /// <summary>TCP over the given family.</summary>
    public FlowMatch Tcp(AddressFamily family = AddressFamily.InterNetwork) => Ip(family).Protocol(6);

    /// <summary>ICMPv6.</summary>
    public FlowMatch Icmp6() => Ipv6().Protocol(58);

    /// <summary>The packet has this VLAN id.</summary>
    public FlowMatch Vlan(int id) => With(FlowField.VlanVid, (uint)(VlanPresent | id));

    /// <summary>The packet has no VLAN tag.</summary>
    public FlowMatch Untagged() => With(FlowField.VlanVid, 0);

    /// <summary>The tag's id and presence bit (0x1000) under a mask, as <c>vlan_tci=value/mask</c>.</summary>
    public FlowMatch VlanTci(ushort value, ushort mask) => With(FlowField.VlanVid, value, mask);

    /// <summary>Source MAC address.</summary>
    public FlowMatch EthSrc(MacAddress address) => With(FlowField.EthSrc, address.Value);

    /// <summary>Destination MAC address, optionally masked.</summary>
    public FlowMatch EthDst(MacAddress address, MacAddress? mask = null) => With(FlowField.EthDst, address.Value, mask?.Value ?? FlowField.EthDst.AllOnes);

    /// <summary>Source address or network of either family (adds the Ethernet type).</summary>
    public FlowMatch NetworkSource(IPNetwork network) => Network(FlowField.Ipv4Src, FlowField.Ipv6Src, network);

    /// <summary>Destination address or network of either family (adds the Ethernet type).</summary>
    public FlowMatch NetworkDestination(IPNetwork network) => Network(FlowField.Ipv4Dst, FlowField.Ipv6Dst, network);

    /// <summary>Source port of TCP, UDP or SCTP under a mask; the protocol must be matched already.</summary>
    public FlowMatch TransportSource(ushort port, ushort mask = 0xffff) => With(Transport(FlowField.TcpSrc, FlowField.UdpSrc, FlowField.SctpSrc), port, mask);

    /// <summary>Destination port of TCP, UDP or SCTP under a mask; the protocol must be matched already.</summary>
    public FlowMatch TransportDestination(ushort port, ushort mask = 0xffff) => With(Transport(FlowField.TcpDst, FlowField.UdpDst, FlowField.SctpDst), port, mask);

    /// <summary>ICMP or ICMPv6 type, whichever protocol is matched already.</summary>
    public FlowMatch IcmpType(byte type) => With(Value(FlowField.IpProto) == 58 ? FlowField.Icmp6Type : FlowField.IcmpType, type);

    /// <summary>ICMP or ICMPv6 code, whichever protocol is matched already.</summary>
    public FlowMatch IcmpCode(byte code) => With(Value(FlowField.IpProto) == 58 ? FlowField.Icmp6Code : FlowField.IcmpCode, code);

    /// <summary>The target of a neighbour solicitation or advertisement; needs the ICMPv6 type.</summary>
    public FlowMatch NdTarget(IPNetwork target) => With(FlowField.NdTarget, Addresses.ToNumber(target.BaseAddress), Addresses.PrefixMask(target.PrefixLength, 128));

    /// <summary>ARP operation: 1 a request, 2 a reply.</summary>
    public FlowMatch ArpOperation(ushort operation) => With(FlowField.ArpOp, operation);

    /// <summary>ARP sender protocol address or network.</summary>
    public FlowMatch ArpSource(IPNetwork network) => With(FlowField.ArpSpa, Addresses.ToNumber(network.BaseAddress), Addresses.PrefixMask(network.PrefixLength, 32));

    /// <summary>ARP target protocol address.</summary>
    public FlowMatch ArpTarget(IPAddress address) => With(FlowField.ArpTpa, Addresses.ToNumber(address));

    /// <summary>ARP sender hardware address.</summary>
    public FlowMatch ArpSourceMac(MacAddress address) => With(FlowField.ArpSha, address.Value);

    /// <summary>Tunnel key.</summary>
    public FlowMatch TunnelId(ulong id) => With(FlowField.TunId, id);

    /// <summary>A register, optionally under a mask.</summary>
    public FlowMatch Register(int number, uint value, uint mask = uint.MaxValue) => With(FlowField.Register(number), value, mask);

    /// <summary>Bits that must be set and bits that must not, as <c>ct_state=+new-est</c>.</summary>
    public FlowMatch CtState(CtStates set, CtStates unset = CtStates.None) => With(FlowField.CtState, (uint)set, (uint)(set | unset));

    /// <summary>Connection tracking zone.</summary>
    public FlowMatch CtZone(ushort zone) => With(FlowField.CtZone, zone);

    /// <summary>Connection tracking mark.</summary>
    public FlowMatch CtMark(uint mark) => With(FlowField.CtMark, mark);

    /// <summary>All clauses of the conjunction of this id have matched.</summary>
    public FlowMatch Conjunction(uint id) => With(FlowField.ConjId, id);

    /// <summary>Any field; bits outside the mask are dropped, and an empty mask leaves the field out.</summary>
    internal FlowMatch With(FlowField field, UInt128 value, UInt128 mask)
    {
        mask &= field.AllOnes;
        var at = Array.FindIndex(terms, term => term.Field == field);
        var rest = at < 0 ? terms : [.. terms.AsSpan(0, at), .. terms.AsSpan(at + 1)];
        if (mask == 0)
        {
            return new(rest);
        }

        var index = 0;
        while (index < rest.Length && rest[index].Field.Order < field.Order)
        {
            index++;
        }

        return new([.. rest.AsSpan(0, index), new Term(field, value & mask, mask), .. rest.AsSpan(index)]);
    }

    private FlowMatch With(FlowField field, UInt128 value) => With(field, value, field.AllOnes);

    /// <summary>Writes struct ofp_match with its padding.</summary>
    internal void Write(OpenFlowBuffer buffer)
    {
        var start = buffer.Length;
        buffer.U16(1); // OFPMT_OXM
        buffer.U16(0);
        foreach (ref readonly var term in terms.AsSpan())
        {
            var length = term.Field.Length;
            if (term.Mask == term.Field.AllOnes)
            {
                buffer.U32(term.Field.Header);
                buffer.Value(term.Value, length);
            }
            else
            {
                buffer.U32((term.Field.Header & ~0xffu) | 0x100 | (uint)(length * 2));
                buffer.Value(term.Value, length);
                buffer.Value(term.Mask, length);
            }
        }

        buffer.PatchLength(start + 2, start);
        buffer.Align8(start);
    }

    /// <summary>Reads struct ofp_match with its padding.</summary>
    internal static FlowMatch Read(ref OpenFlowReader reader)
    {
        if (reader.U16() != 1)
        {
            throw new OpenFlowException("The switch sent a match that is not in OXM form.");
        }

        var length = reader.U16();
        var body = new OpenFlowReader(reader.Take(length - 4));
        reader.Skip(-length & 7);
        var list = new List<Term>();
        while (body.Remaining > 0)
        {
            var header = body.U32();
            var masked = (header & 0x100) != 0;
            var bytes = (int)(header & 0xff);
            if (masked)
            {
                bytes /= 2;
                header = (header & ~0x1ffu) | (uint)bytes;
            }

            var field = FlowField.FromHeader(header);
            var value = body.Value(bytes);
            var mask = masked ? body.Value(bytes) & field.AllOnes : field.AllOnes;
            list.Add(new Term(field, value & mask, mask));
        }

        list.Sort(static (left, right) => left.Field.Order.CompareTo(right.Field.Order));
        return new([.. list]);
    }

    /// <inheritdoc/>
    public bool Equals(FlowMatch? other) => other is not null && hash == other.hash && terms.AsSpan().SequenceEqual(other.terms);

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as FlowMatch);

    /// <inheritdoc/>
    public override int GetHashCode() => hash;

    /// <summary>As ovs-ofctl prints it; empty for <see cref="Any"/>.</summary>
    public override string ToString()
    {
        var text = new StringBuilder();
        Format(text);
        return text.ToString();
    }

    /// <summary>Appends the terms in the order of Open vSwitch's own match_format(), with commas between them.</summary>
    internal void Format(StringBuilder text)
    {
        var type = (ushort?)Value(FlowField.EthType);
        var protocol = (byte?)Value(FlowField.IpProto);
        Plain(text, FlowField.PktMark, "pkt_mark");
        Plain(text, FlowField.ConjId, "conj_id");
        if (Find(FlowField.CtState) is { } state)
        {
            Separate(text).Append("ct_state=");
            for (var bit = 0; bit < StateNames.Length; bit++)
            {
                if (((uint)state.Mask & (1u << bit)) != 0)
                {
                    text.Append(((uint)state.Value & (1u << bit)) != 0 ? '+' : '-').Append(StateNames[bit]);
                }
            }
        }

        if (Value(FlowField.CtZone) is { } zone)
        {
            Separate(text).Append(CultureInfo.InvariantCulture, $"ct_zone={zone}");
        }

        Plain(text, FlowField.CtMark, "ct_mark");
        var shorthand = (type, protocol) switch
        {
            (Ipv4, 1) => "icmp",
            (Ipv4, 2) => "igmp",
            (Ipv4, 6) => "tcp",
            (Ipv4, 17) => "udp",
            (Ipv4, 132) => "sctp",
            (Ipv4, _) => "ip",
            (Ipv6Type, 58) => "icmp6",
            (Ipv6Type, 6) => "tcp6",
            (Ipv6Type, 17) => "udp6",
            (Ipv6Type, 132) => "sctp6",
            (Ipv6Type, _) => "ipv6",
            (ArpType, _) => "arp",
            _ => null,
        };
        if (shorthand is not null)
        {
            Separate(text).Append(shorthand);
        }

        for (var register = 0; register < 16; register++)
        {
            Plain(text, FlowField.Register(register));
        }

        Plain(text, FlowField.TunId);
        Plain(text, FlowField.Metadata);
        Plain(text, FlowField.InPort, "in_port");
        if (Find(FlowField.VlanVid) is { } vlan)
        {
            if (vlan.Mask == FlowField.VlanVid.AllOnes && ((uint)vlan.Value & VlanPresent) != 0)
            {
                Separate(text).Append(CultureInfo.InvariantCulture, $"dl_vlan={(uint)vlan.Value & 0xfff}");
            }
            else
            {
                Separate(text).Append(CultureInfo.InvariantCulture, $"vlan_tci=0x{(uint)vlan.Value:x4}/0x{(uint)vlan.Mask:x4}");
            }
        }

        Plain(text, FlowField.VlanPcp, "dl_vlan_pcp");
        Plain(text, FlowField.EthSrc, "dl_src");
        Plain(text, FlowField.EthDst, "dl_dst");
        if (type is not null && shorthand is null)
        {
            Separate(text).Append(CultureInfo.InvariantCulture, $"dl_type=0x{type:x4}");
        }

        Plain(text, FlowField.Ipv6Src);
        Plain(text, FlowField.Ipv6Dst);
        Plain(text, FlowField.ArpSpa);
        Plain(text, FlowField.ArpTpa);
        Plain(text, FlowField.Ipv4Src, "nw_src");
        Plain(text, FlowField.Ipv4Dst, "nw_dst");
        if (protocol is not null && shorthand is null or "ip" or "ipv6")
        {
            Plain(text, FlowField.IpProto);
        }

        Plain(text, FlowField.ArpOp);
        Plain(text, FlowField.ArpSha);
        Plain(text, FlowField.ArpTha);
        Plain(text, FlowField.IpDscp);
        Plain(text, FlowField.IpEcn);
        Plain(text, FlowField.NwTtl);
        Plain(text, FlowField.NwFrag);
        Plain(text, FlowField.IcmpType, "icmp_type");
        Plain(text, FlowField.IcmpCode, "icmp_code");
        Plain(text, FlowField.Icmp6Type, "icmp_type");
        Plain(text, FlowField.Icmp6Code, "icmp_code");
        Plain(text, FlowField.NdTarget);
        Plain(text, FlowField.NdSll);
        Plain(text, FlowField.NdTll);
        TransportPort(text, "tp_src", Find(FlowField.TcpSrc) ?? Find(FlowField.UdpSrc) ?? Find(FlowField.SctpSrc));
        TransportPort(text, "tp_dst", Find(FlowField.TcpDst) ?? Find(FlowField.UdpDst) ?? Find(FlowField.SctpDst));
        foreach (var term in terms.Where(term => term.Field.Order > short.MaxValue))
        {
            Plain(text, term.Field);
        }
    }

    private static StringBuilder Separate(StringBuilder text) => text.Length > 0 && text[^1] is not ',' and not ' ' ? text.Append(',') : text;

    private static void TransportPort(StringBuilder text, string name, Term? found)
    {
        if (found is { } term)
        {
            Separate(text).Append(name).Append('=');
            if (term.Mask == term.Field.AllOnes)
            {
                text.Append(CultureInfo.InvariantCulture, $"{term.Value}");
            }
            else
            {
                text.Append(CultureInfo.InvariantCulture, $"0x{(uint)term.Value:x}/0x{(uint)term.Mask:x}");
            }
        }
    }

    private void Plain(StringBuilder text, FlowField field, string? name = null)
    {
        if (Find(field) is not { } term)
        {
            return;
        }

        Separate(text).Append(name ?? field.Name).Append('=');
        field.FormatValue(text, term.Value);
        if (term.Mask == field.AllOnes)
        {
            return;
        }

        text.Append('/');
        if (field.Format is FieldFormat.Ipv4 or FieldFormat.Ipv6 && PrefixLength(term.Mask, field.Bits) is { } prefix)
        {
            text.Append(CultureInfo.InvariantCulture, $"{prefix}");
        }
        else if (field.Format == FieldFormat.Decimal)
        {
            text.Append(FlowField.Hex(term.Mask));
        }
        else
        {
            field.FormatValue(text, term.Mask);
        }
    }

    private static int? PrefixLength(UInt128 mask, int bits)
    {
        var prefix = (int)UInt128.PopCount(mask);
        return Addresses.PrefixMask(prefix, bits) == mask ? prefix : null;
    }

    private FlowMatch Network(FlowField ipv4, FlowField ipv6, IPNetwork network)
    {
        var six = network.BaseAddress.AddressFamily == AddressFamily.InterNetworkV6;
        var field = six ? ipv6 : ipv4;
        return Ip(network.BaseAddress.AddressFamily).With(field, Addresses.ToNumber(network.BaseAddress), Addresses.PrefixMask(network.PrefixLength, field.Bits));
    }

    private FlowField Transport(FlowField tcp, FlowField udp, FlowField sctp) => (byte?)Value(FlowField.IpProto) switch
    {
        6 => tcp,
        17 => udp,
        132 => sctp,
        _ => throw new InvalidOperationException("A match on a transport port must match TCP, UDP or SCTP first."),
    };

    private Term? Find(FlowField field)
    {
        foreach (ref readonly var term in terms.AsSpan())
        {
            if (term.Field == field)
            {
                return term;
            }
        }

        return null;
    }

    private UInt128? Value(FlowField field) => Find(field)?.Value;

    // Unknown fields are made anew each time they are read: the header is their identity.
    private readonly record struct Term(FlowField Field, UInt128 Value, UInt128 Mask)
    {
        public bool Equals(Term other) => Field.Header == other.Field.Header && Value == other.Value && Mask == other.Mask;

        public override int GetHashCode() => HashCode.Combine(Field.Header, Value, Mask);
    }
}
