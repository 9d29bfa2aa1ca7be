using System.Net.Sockets;
using SharpStack.Neutron.Contracts;
using SharpStack.OpenVSwitch;
using SharpStack.OpenVSwitch.Flows;
using SharpStack.OpenVSwitch.OpenFlow;
using static SharpStack.Neutron.Agents.OpenVSwitch.Bridges.FlowTables;

namespace SharpStack.Neutron.Agents.OpenVSwitch;

/// <summary>
/// A port's limits and marks. They stand in the flows that every packet from or to the port takes, as meters of the switch: the policing of the kernel is
/// not there with every kernel, nor with the switch in user space.
/// </summary>
internal static class PortQos
{
    // Numbers follow from the port's, so that a restarted agent finds its meters; others' begin at 1.
    private const uint FirstMeter = 0x10000;

    // OpenStack's share of the rate where a rule names no burst, which lets TCP come near the rate.
    private const double DefaultBurst = 0.8;

    /// <summary>Whether a meter is one of the agent's.</summary>
    public static bool IsOwn(FlowMeter meter) => meter.Id >= FirstMeter;

    /// <summary>The meters that a port needs.</summary>
    public static IEnumerable<FlowMeter> Meters(WiredPort port)
    {
        if (LimitOf(port, "egress") is { } egress)
        {
            yield return Make(EgressMeter(port), egress);
        }

        if (LimitOf(port, "ingress") is { } ingress)
        {
            yield return Make(IngressMeter(port), ingress);
        }
    }

    /// <summary>A port's flows with its limits and marks in them; those that are missing are added.</summary>
    /// <param name="flows">Of the firewall, or of the protection against spoofing.</param>
    public static IEnumerable<Flow> Apply(WiredPort port, IReadOnlyList<Flow> flows)
    {
        if (port.Details.Qos is not { } qos)
        {
            return flows;
        }

        var all = flows.ToList();
        if (!all.Exists(IsFromPort))
        {
            all.Add(Flow(Transient, 100, Packet.InPort(port.Number), FlowAction.Normal));
        }

        if (LimitOf(port, "ingress") is not null)
        {
            // Without a firewall, and for ports that it lets anything through to, no flow knows the port yet.
            if (!all.Exists(flow => flow.Table is BaseIngress))
            {
                var hasFirewall = all.Exists(flow => flow.Table == AcceptOrIngress);
                all.Add(Flow(Transient, 90, hasFirewall ? Packet.Vlan(port.LocalVlan).EthDst(port.Mac) : Packet.EthDst(port.Mac), FlowAction.Normal));
                if (hasFirewall)
                {
                    all.Add(Flow(AcceptOrIngress, 100, Packet.Register(NetRegister, (uint)port.LocalVlan).EthDst(port.Mac), FlowAction.Resubmit(AcceptedEgressNormal)));
                }
            }

            all = [.. all.Select(flow => flow is { Table: Transient, Priority: 90 } or { Table: AcceptOrIngress, Priority: 100 } ? Prefixed(flow, FlowAction.Meter(IngressMeter(port))) : flow)];
        }

        return all.SelectMany(flow => IsFromPort(flow) ? FromPort(flow) : [flow]);

        bool IsFromPort(Flow flow) => flow is { Table: Transient, Priority: 100 };

        IEnumerable<Flow> FromPort(Flow flow)
        {
            FlowAction[] limit = LimitOf(port, "egress") is null ? [] : [FlowAction.Meter(EgressMeter(port))];
            yield return Prefixed(flow, limit);
            if (qos.DscpMark is { } mark)
            {
                foreach (var family in new[] { AddressFamily.InterNetwork, AddressFamily.InterNetworkV6 })
                {
                    yield return Prefixed(flow, [.. limit, FlowAction.SetDscp((byte)mark)]) with { Priority = 101, Match = flow.Match.Ip(family) };
                }
            }
        }
    }

    private static Flow Prefixed(Flow flow, params ReadOnlySpan<FlowAction> actions) => flow with { Actions = EquatableArray.Create<FlowAction>([.. actions, .. flow.Actions.AsSpan()]) };

    private static BandwidthLimit? LimitOf(WiredPort port, string direction) => port.Details.Qos?.BandwidthLimits.FirstOrDefault(limit => limit.Direction == direction);

    private static uint EgressMeter(WiredPort port) => FirstMeter + (port.Number * 2);

    private static uint IngressMeter(WiredPort port) => EgressMeter(port) + 1;

    private static FlowMeter Make(uint id, BandwidthLimit limit) =>
        new(id, (uint)limit.MaxKbps, (uint)(limit.MaxBurstKbps > 0 ? limit.MaxBurstKbps : Math.Max(1, limit.MaxKbps * DefaultBurst)));
}
