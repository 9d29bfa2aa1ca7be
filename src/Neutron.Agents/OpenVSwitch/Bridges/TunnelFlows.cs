using System.Net;
using SharpStack.OpenVSwitch;
using SharpStack.OpenVSwitch.Flows;
using static SharpStack.Neutron.Agents.OpenVSwitch.Bridges.FlowTables;

namespace SharpStack.Neutron.Agents.OpenVSwitch.Bridges;

/// <summary>A segment in tunnels: its key outside, its VLAN inside.</summary>
/// <param name="Type"><c>vxlan</c>, <c>gre</c> or <c>geneve</c>.</param>
internal sealed record TunnelSegment(string NetworkId, string Type, int Key, int LocalVlan);

/// <summary>The flows of the tunnel bridge, in the tables of OpenStack's agent.</summary>
internal static class TunnelFlows
{
    /// <summary>The mark of flows that the switch learns by itself: they come and go without the agent.</summary>
    public const ulong LearnedCookie = FlowTables.Cookie + 1;

    private const byte FromInside = 2;
    private const byte Learn = 10;
    private const byte Unicast = 20;
    private const byte ArpReplies = 21;
    private const byte Flood = 22;
    private const ushort LearnedSeconds = 300;

    private static readonly MacAddress Group = MacAddress.Parse("01:00:00:00:00:00");
    private static readonly Dictionary<string, byte> TypeTables = new() { ["gre"] = 3, ["vxlan"] = 4, ["geneve"] = 6 };

    /// <summary>Deletes all that was learned.</summary>
    public static FlowCommand Forget { get; } = new(FlowCommandKind.Delete, new Flow(Unicast, 0, Packet, []) { Cookie = LearnedCookie }, ulong.MaxValue);

    /// <summary>The bridge without any network or tunnel.</summary>
    /// <param name="patchPort">To the integration bridge; null while the switch has not given it a number.</param>
    public static IEnumerable<Flow> Bridge(uint? patchPort, bool answersArp)
    {
        yield return Flow(0, 0, Packet);
        yield return Flow(FromInside, 0, Packet.EthDst(new MacAddress(0), Group), FlowAction.Resubmit(Unicast));
        yield return Flow(FromInside, 0, Packet.EthDst(Group, Group), FlowAction.Resubmit(Flood));
        foreach (var table in TypeTables.Values)
        {
            yield return Flow(table, 0, Packet);
        }

        yield return Flow(Unicast, 0, Packet, FlowAction.Resubmit(Flood));
        yield return Flow(Flood, 0, Packet);
        if (answersArp)
        {
            yield return Flow(FromInside, 1, Packet.Arp().EthDst(MacAddress.Broadcast), FlowAction.Resubmit(ArpReplies));
            yield return Flow(ArpReplies, 0, Packet, FlowAction.Resubmit(Flood));
        }

        if (patchPort is not { } inside)
        {
            yield break;
        }

        yield return Flow(0, 1, Packet.InPort(inside), FlowAction.Resubmit(FromInside));
        yield return Flow(
            Learn,
            1,
            Packet,
            new LearnAction(Unicast, [
                LearnSpec.Match(FlowField.VlanTci.Range(0, 11)),
                LearnSpec.Match(FlowField.EthDst.Whole, FlowField.EthSrc.Whole),
                LearnSpec.Load(0, FlowField.VlanTci.Whole),
                LearnSpec.Load(FlowField.TunId.Whole, FlowField.TunId.Whole),
                LearnSpec.Output(FlowField.InPort16.Whole)])
            { HardTimeout = LearnedSeconds, Priority = 1, Cookie = LearnedCookie },
            FlowAction.Output(inside));
    }

    /// <summary>Packets that come out of a tunnel are looked up among the keys of its type.</summary>
    public static Flow Tunnel(string type, uint port) => Flow(0, 1, Packet.InPort(port), FlowAction.Resubmit(TypeTables[type]));

    /// <summary>A segment's packets get its local VLAN as they come in.</summary>
    public static Flow Incoming(TunnelSegment segment) => Flow(
        TypeTables[segment.Type], 1, Packet.TunnelId((ulong)segment.Key), FlowAction.PushVlan, FlowAction.SetVlan(segment.LocalVlan), FlowAction.Resubmit(Learn));

    /// <summary>What is for all, or for nobody known, goes into these tunnels.</summary>
    public static Flow FloodTo(TunnelSegment segment, IEnumerable<uint> ports) => Flow(
        Flood, 1, Packet.Vlan(segment.LocalVlan), [FlowAction.PopVlan, FlowAction.SetTunnel((ulong)segment.Key), .. ports.Select(FlowAction.Output)]);

    /// <summary>What is for this MAC address goes into this tunnel.</summary>
    public static Flow UnicastTo(TunnelSegment segment, MacAddress mac, uint port) => Flow(
        Unicast, 2, Packet.Vlan(segment.LocalVlan).EthDst(mac), FlowAction.PopVlan, FlowAction.SetTunnel((ulong)segment.Key), FlowAction.Output(port));

    /// <summary>Who asks for this address is answered on the spot.</summary>
    public static Flow ArpReply(TunnelSegment segment, MacAddress mac, IPAddress address) => Flow(
        ArpReplies,
        1,
        Packet.Arp().Vlan(segment.LocalVlan).ArpTarget(address),
        FlowAction.Move(FlowField.EthSrc.Whole, FlowField.EthDst.Whole),
        FlowAction.SetEthSrc(mac),
        FlowAction.Load(2, FlowField.ArpOp.Whole),
        FlowAction.Move(FlowField.ArpSha.Whole, FlowField.ArpTha.Whole),
        FlowAction.Move(FlowField.ArpSpa.Whole, FlowField.ArpTpa.Whole),
        FlowAction.Load(mac.Value, FlowField.ArpSha.Whole),
        FlowAction.Load(address, FlowField.ArpSpa.Whole),
        FlowAction.InPort);

    /// <summary>Whether what was learned may be wrong after these changes: a tunnel or a segment's VLAN is another one, or gone.</summary>
    public static bool Outdates(FlowDifference difference)
    {
        var tables = TypeTables.Values.Append((byte)0).ToHashSet();
        return difference.Removed.Concat(difference.Changed).Any(flow => tables.Contains(flow.Table) && flow.Priority > 0);
    }
}
