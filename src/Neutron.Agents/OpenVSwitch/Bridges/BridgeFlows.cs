using SharpStack.OpenVSwitch.Flows;
using static SharpStack.Neutron.Agents.OpenVSwitch.Bridges.FlowTables;

namespace SharpStack.Neutron.Agents.OpenVSwitch.Bridges;

/// <summary>A segment on a physical network: what its packets look like outside and inside.</summary>
/// <param name="IntegrationPort">The OpenFlow number of the patch port on br-int.</param>
/// <param name="PhysicalPort">The OpenFlow number of the patch port on the physical bridge.</param>
/// <param name="SegmentationId">The VLAN outside; null for untagged packets.</param>
internal sealed record PhysicalSegment(string Bridge, uint IntegrationPort, uint PhysicalPort, int? SegmentationId, int LocalVlan);

/// <summary>The flows of the bridges that do not depend on single ports.</summary>
internal static class BridgeFlows
{
    /// <summary>br-int without any network: switch what has a local VLAN, drop what comes from physical bridges without one.</summary>
    public static IEnumerable<Flow> Integration(IEnumerable<uint> patchPorts, bool firewall)
    {
        yield return Flow(LocalSwitching, 65535, Packet.Vlan(LocalVlans.Dead));
        yield return Flow(LocalSwitching, 0, Packet, FlowAction.Resubmit(Transient));
        yield return Flow(Canary, 0, Packet);
        yield return Flow(ArpSpoof, 0, Packet);
        yield return Flow(Transient, 3, Packet, FlowAction.Normal);
        foreach (var port in patchPorts)
        {
            yield return Flow(LocalSwitching, 2, Packet.InPort(port));
        }

        if (!firewall)
        {
            yield break;
        }

        foreach (var table in new[] { BaseEgress, RulesEgress, AcceptOrIngress, BaseIngress, RulesIngress, AcceptedIngress, Dropped })
        {
            yield return Flow(table, 0, Packet);
        }

        yield return Flow(BaseEgress, 110, Packet.CtState(CtStates.Tracked), FlowAction.ClearTracking, FlowAction.Resubmit(BaseEgress));
        foreach (var table in new[] { RulesEgress, RulesIngress })
        {
            yield return Flow(table, 50, Packet.CtState(CtStates.Tracked | CtStates.Invalid), FlowAction.Resubmit(Dropped));
        }

        yield return Flow(AcceptedEgress, 1, Packet, FlowAction.Resubmit(AcceptedEgressNormal));
        yield return Flow(AcceptedEgressNormal, 1, Packet, FlowAction.Normal);
    }

    /// <summary>br-int: packets of the segment get its local VLAN as they come in.</summary>
    public static Flow IntegrationSegment(PhysicalSegment segment)
    {
        var match = Packet.InPort(segment.IntegrationPort);
        return segment.SegmentationId is { } vlan
            ? Flow(LocalSwitching, 3, match.Vlan(vlan), FlowAction.SetVlan(segment.LocalVlan), FlowAction.Resubmit(Transient))
            : Flow(LocalSwitching, 3, match.Untagged(), FlowAction.PushVlan, FlowAction.SetVlan(segment.LocalVlan), FlowAction.Resubmit(Transient));
    }

    /// <summary>A physical bridge without any network: switch, but let nothing out of br-int.</summary>
    public static IEnumerable<Flow> Physical(uint? patchPort)
    {
        yield return Flow(0, 0, Packet, FlowAction.Normal);
        if (patchPort is { } port)
        {
            yield return Flow(0, 2, Packet.InPort(port));
        }
    }

    /// <summary>A physical bridge: packets of the segment's local VLAN go out with its VLAN, or with none.</summary>
    public static Flow PhysicalSegment(PhysicalSegment segment) => Flow(
        0,
        4,
        Packet.InPort(segment.PhysicalPort).Vlan(segment.LocalVlan),
        segment.SegmentationId is { } vlan ? FlowAction.SetVlan(vlan) : FlowAction.PopVlan,
        FlowAction.Normal);
}
