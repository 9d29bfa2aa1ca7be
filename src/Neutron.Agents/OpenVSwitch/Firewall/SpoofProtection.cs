using SharpStack.OpenVSwitch.Flows;
using static SharpStack.Neutron.Agents.OpenVSwitch.Bridges.FlowTables;

namespace SharpStack.Neutron.Agents.OpenVSwitch.Firewall;

/// <summary>Without a firewall: a port may still not answer for addresses that are not its own, nor send with another's MAC address.</summary>
internal static class SpoofProtection
{
    private const byte NeighbourAdvertisement = 136;

    public static IEnumerable<Flow> Flows(WiredPort port)
    {
        if (port.IsTrusted)
        {
            yield break;
        }

        var from = Packet.InPort(port.Number);
        var ipv4 = port.Allowed.Where(allowed => !allowed.IsIpv6).Select(allowed => allowed.Network).Distinct().ToList();
        var ipv6 = port.Allowed.Where(allowed => allowed.IsIpv6).Select(allowed => allowed.Network).Concat(port.AllowedMacs.Select(WiredPort.LinkLocal)).Distinct().ToList();

        // A pair that allows every address leaves nothing to protect.
        if (ipv4.All(network => network.PrefixLength > 0))
        {
            yield return Flow(LocalSwitching, 10, from.Arp(), FlowAction.Resubmit(ArpSpoof));
            foreach (var network in ipv4)
            {
                yield return Flow(ArpSpoof, 2, from.Arp().ArpSource(network), FlowAction.Resubmit(MacSpoof));
            }
        }

        if (ipv6.All(network => network.PrefixLength > 0))
        {
            yield return Flow(LocalSwitching, 10, from.Icmp6().IcmpType(NeighbourAdvertisement), FlowAction.Resubmit(ArpSpoof));
            foreach (var network in ipv6)
            {
                yield return Flow(ArpSpoof, 2, from.Icmp6().IcmpType(NeighbourAdvertisement).NdTarget(network), FlowAction.Resubmit(Transient));
            }
        }

        yield return Flow(LocalSwitching, 9, from, FlowAction.Resubmit(MacSpoof));
        foreach (var mac in port.AllowedMacs)
        {
            yield return Flow(MacSpoof, 2, from.EthSrc(mac), FlowAction.Resubmit(Transient));
        }
    }
}
