using System.Net.Sockets;
using SharpStack.Neutron.Contracts;
using SharpStack.OpenVSwitch.Flows;
using static SharpStack.Neutron.Agents.OpenVSwitch.Bridges.FlowTables;

namespace SharpStack.Neutron.Agents.OpenVSwitch.Firewall;

/// <summary>
/// The conntrack firewall of a port, as OpenStack's openvswitch firewall driver lays it out: egress through tables 71 (addresses), 72 (rules)
/// and 73 (to a port of this host, or out), ingress through 81 and 82. Connections that no rule allows any more are marked 1 and dropped.
/// A port whose groups are all stateless has the same tables without the tracker: its rules see single packets.
/// </summary>
internal static class PortFirewall
{
    private const uint InvalidMark = 1;
    private const int MldQuery = 130;
    private const int RouterSolicitation = 133;
    private const int RouterAdvertisement = 134;
    private const int NeighbourSolicitation = 135;
    private const int NeighbourAdvertisement = 136;

    private static readonly Subfield Zone = FlowField.Register(NetRegister).Range(0, 15);
    private static readonly AddressFamily[] Families = [AddressFamily.InterNetwork, AddressFamily.InterNetworkV6];

    /// <summary>All flows of a port but the members' addresses of its remote groups, which ports of a network share.</summary>
    public static IEnumerable<Flow> Flows(WiredPort port, IReadOnlyList<SecurityGroupDetails> groups, ConjunctionIds conjunctions, IReadOnlyList<ushort> permittedEthertypes) =>
        port.IsTrusted ? Trusted(port) :
        [
            .. Identify(port), .. Egress(port, IsStateless(groups), permittedEthertypes), .. Ingress(port, IsStateless(groups)), .. IsStateless(groups) ? Untracked(port) : Tracked(port),
            .. Rules(port, groups), .. ConjunctionRules(port, groups, conjunctions),
        ];

    /// <summary>The conjunctions that a port's rules use.</summary>
    public static IEnumerable<(ConjunctionKey Key, int PriorityOffset)> Conjunctions(WiredPort port, IReadOnlyList<SecurityGroupDetails> groups) =>
        port.IsTrusted ? [] : RemoteRules(groups).Select(pair => (pair.Key, pair.Service.PriorityOffset)).Distinct();

    /// <summary>The members' addresses of remote groups, on one network: the first half of the conjunctions.</summary>
    public static IEnumerable<Flow> Members(
        int localVlan, IEnumerable<(ConjunctionKey Key, int PriorityOffset)> used, IReadOnlyDictionary<string, IReadOnlyList<AddressPair>> members, ConjunctionIds conjunctions)
    {
        var byAddress = new Dictionary<(bool Ingress, System.Net.IPNetwork Network, string? Mac, int Offset, bool Stateless), SortedSet<uint>>();
        foreach (var (key, offset) in used)
        {
            foreach (var member in members.GetValueOrDefault(key.RemoteGroupId, []))
            {
                var network = WiredPort.ReadNetwork(member.IpAddress);
                if (network.BaseAddress.AddressFamily != key.Family)
                {
                    continue;
                }

                // "Any address" says nothing: then the MAC address tells the member, where it has one.
                var place = (key.Ingress, network, network.PrefixLength == 0 && member.MacAddress.Length > 0 ? member.MacAddress : null, offset, key.Stateless);
                if (!byAddress.TryGetValue(place, out var ids))
                {
                    byAddress.Add(place, ids = []);
                }

                ids.Add(conjunctions.Get(key, offset));
            }
        }

        foreach (var ((ingress, network, mac, offset, stateless), ids) in byAddress)
        {
            var match = Packet.Register(NetRegister, (uint)localVlan);
            match = ingress ? match.NetworkSource(network) : match.NetworkDestination(network);
            if (mac is not null)
            {
                match = ingress ? match.EthSrc(SharpStack.OpenVSwitch.MacAddress.Parse(mac)) : match.EthDst(SharpStack.OpenVSwitch.MacAddress.Parse(mac));
            }

            foreach (var flow in Clauses(ingress ? RulesIngress : RulesEgress, (ushort)(70 + offset), match, ids, 1, stateless))
            {
                yield return flow;
            }
        }
    }

    /// <summary>Ports of Neutron's services and ports without port security: their packets go where they will, past the rules of no receiver.</summary>
    private static IEnumerable<Flow> Trusted(WiredPort port)
    {
        yield return Flow(Transient, 100, Packet.InPort(port.Number), [.. Remember(port), FlowAction.Resubmit(AcceptOrIngress)]);
        yield return Flow(AcceptOrIngress, 80, OfPort(port), FlowAction.Resubmit(AcceptedEgressNormal));
    }

    private static IEnumerable<Flow> Identify(WiredPort port)
    {
        yield return Flow(Transient, 100, Packet.InPort(port.Number), [.. Remember(port), FlowAction.Resubmit(BaseEgress)]);
        foreach (var mac in port.AllowedMacs)
        {
            yield return Flow(Transient, 90, Packet.Vlan(port.LocalVlan).EthDst(mac), [.. Remember(port), FlowAction.PopVlan, FlowAction.Resubmit(BaseIngress)]);
            yield return Flow(
                AcceptOrIngress, 100, Packet.Register(NetRegister, (uint)port.LocalVlan).EthDst(mac), FlowAction.SetRegister(PortRegister, port.Number), FlowAction.Resubmit(BaseIngress));
        }

        foreach (var family in Families)
        {
            yield return Flow(AcceptOrIngress, 90, OfPort(port).Ip(family).CtState(CtStates.New, CtStates.Established), FlowAction.Commit(Zone), FlowAction.Resubmit(AcceptedEgress));
        }

        yield return Flow(AcceptOrIngress, 80, OfPort(port), FlowAction.Resubmit(AcceptedEgressNormal));
    }

    /// <summary>Table 71: only the port's own addresses; what a host needs to get an address; no servers of addresses.</summary>
    private static IEnumerable<Flow> Egress(WiredPort port, bool stateless, IReadOnlyList<ushort> permittedEthertypes)
    {
        var from = OfPort(port).InPort(port.Number);
        var ipv6 = port.Allowed.Where(allowed => allowed.IsIpv6).Append(new AllowedAddress(port.Mac, WiredPort.LinkLocal(port.Mac))).Distinct().ToList();
        var ipv4 = port.Allowed.Where(allowed => !allowed.IsIpv6).ToList();
        foreach (var allowed in ipv4)
        {
            yield return Flow(BaseEgress, 95, from.Arp().EthSrc(allowed.Mac).ArpSource(allowed.Network), FlowAction.Resubmit(AcceptedEgressNormal));
        }

        foreach (var allowed in ipv6)
        {
            foreach (var type in new byte[] { MldQuery, RouterSolicitation, NeighbourSolicitation })
            {
                yield return Flow(BaseEgress, 95, from.Icmp6().IcmpType(type).EthSrc(allowed.Mac).NetworkSource(allowed.Network), FlowAction.Resubmit(AcceptedEgressNormal));
            }

            yield return Flow(BaseEgress, 95, from.Icmp6().IcmpType(NeighbourAdvertisement).NdTarget(allowed.Network), FlowAction.Resubmit(AcceptedEgressNormal));
        }

        foreach (var type in permittedEthertypes)
        {
            yield return Flow(BaseEgress, 95, OfPort(port).EtherType(type), FlowAction.Resubmit(AcceptedEgressNormal));
        }

        var nothingYet = new AllowedAddress(port.Mac, System.Net.IPNetwork.Parse("0.0.0.0/32"));
        foreach (var allowed in ipv4.Append(nothingYet).Concat(ipv6))
        {
            var (client, server) = allowed.IsIpv6 ? ((ushort)546, (ushort)547) : ((ushort)68, (ushort)67);
            yield return Flow(
                BaseEgress,
                80,
                from.EthSrc(allowed.Mac).NetworkSource(allowed.Network).Protocol(17).TransportSource(client).TransportDestination(server),
                FlowAction.Resubmit(AcceptOrIngress));
        }

        yield return Flow(BaseEgress, 70, from.Udp().TransportSource(67).TransportDestination(68), FlowAction.Resubmit(Dropped));
        yield return Flow(BaseEgress, 70, from.Udp(AddressFamily.InterNetworkV6).TransportSource(547).TransportDestination(546), FlowAction.Resubmit(Dropped));
        yield return Flow(BaseEgress, 70, from.Icmp6().IcmpType(RouterAdvertisement), FlowAction.Resubmit(Dropped));
        foreach (var allowed in ipv4.Concat(ipv6))
        {
            var own = from.EthSrc(allowed.Mac).NetworkSource(allowed.Network);
            yield return stateless
                ? Flow(BaseEgress, 65, own, FlowAction.Resubmit(RulesEgress))
                : Flow(BaseEgress, 65, own.CtState(CtStates.None, CtStates.Tracked), FlowAction.Track(RulesEgress, Zone));
        }

        yield return Flow(BaseEgress, 10, from, FlowAction.ClearTracking, FlowAction.Resubmit(Dropped));
    }

    /// <summary>Table 81: what a host needs to be found and to get an address, the rest through the tracker.</summary>
    private static IEnumerable<Flow> Ingress(WiredPort port, bool stateless)
    {
        var to = OfPort(port);
        var deliver = FlowAction.Output(port.Number);
        yield return Flow(BaseIngress, 100, to.Arp(), deliver);
        foreach (var type in new byte[] { MldQuery, NeighbourSolicitation, NeighbourAdvertisement, RouterAdvertisement })
        {
            yield return Flow(BaseIngress, 100, to.Icmp6().IcmpType(type), deliver);
        }

        yield return Flow(BaseIngress, 95, to.Udp().TransportSource(67).TransportDestination(68), deliver);
        yield return Flow(BaseIngress, 95, to.Udp(AddressFamily.InterNetworkV6).TransportSource(547).TransportDestination(546), deliver);
        foreach (var family in Families)
        {
            yield return stateless
                ? Flow(BaseIngress, 90, to.Ip(family), FlowAction.Resubmit(RulesIngress))
                : Flow(BaseIngress, 90, to.Ip(family).CtState(CtStates.None, CtStates.Tracked), FlowAction.Track(RulesIngress, Zone));
        }

        if (stateless)
        {
            yield break;
        }

        yield return Flow(BaseIngress, 80, to.CtState(CtStates.Tracked), FlowAction.Resubmit(RulesIngress));
    }

    /// <summary>
    /// What a port without tracking needs of its neighbours on this host: their connections to it are remembered for them, and their replies come by its
    /// rules too.
    /// </summary>
    private static IEnumerable<Flow> Untracked(WiredPort port)
    {
        foreach (var family in Families)
        {
            yield return Flow(BaseIngress, 91, OfPort(port).Ip(family).CtState(CtStates.New, CtStates.Established), FlowAction.Commit(Zone), FlowAction.Resubmit(RulesIngress));
        }

        foreach (var mac in port.AllowedMacs)
        {
            yield return Flow(
                AcceptedEgressNormal, 12, Packet.Register(NetRegister, (uint)port.LocalVlan).EthDst(mac), FlowAction.SetRegister(PortRegister, port.Number), FlowAction.Resubmit(BaseIngress));
        }
    }

    /// <summary>Tables 72 and 82 below the rules: replies and related packets pass; connections that no rule allows any more are marked and dropped.</summary>
    private static IEnumerable<Flow> Tracked(WiredPort port)
    {
        foreach (var (table, accept) in new[] { (RulesEgress, FlowAction.Resubmit(AcceptedEgressNormal)), (RulesIngress, FlowAction.Output(port.Number)) })
        {
            var packet = OfPort(port);
            var own = packet.CtZone((ushort)port.LocalVlan).CtMark(0);
            yield return Flow(table, 50, packet.CtMark(InvalidMark), FlowAction.Resubmit(Dropped));
            yield return Flow(table, 50, own.CtState(CtStates.Established | CtStates.Reply, CtStates.Related), accept);
            yield return Flow(table, 50, own.CtState(CtStates.Related, CtStates.New | CtStates.Established | CtStates.Invalid), accept);
            yield return Flow(table, 40, packet.CtState(CtStates.None, CtStates.Established), FlowAction.Resubmit(Dropped));
            foreach (var family in Families)
            {
                yield return Flow(table, 40, packet.Ip(family).CtState(CtStates.Established), FlowAction.Commit(Zone, FlowAction.SetField(FlowField.CtMark, InvalidMark)));
            }
        }
    }

    /// <summary>Rules that name a network or nothing as the remote side.</summary>
    private static IEnumerable<Flow> Rules(WiredPort port, IReadOnlyList<SecurityGroupDetails> groups)
    {
        foreach (var rule in groups.SelectMany(group => group.Rules).Where(rule => rule.Remote is null))
        {
            var ingress = IsIngress(rule);
            var service = RuleService.Of(rule);
            foreach (var match in service.Matches(OfPort(port), Family(rule)))
            {
                var exact = rule.RemoteIpPrefix is not { } prefix ? match
                    : ingress ? match.NetworkSource(WiredPort.ReadNetwork(prefix))
                    : match.NetworkDestination(WiredPort.ReadNetwork(prefix));
                foreach (var flow in Accept(port, ingress, IsStateless(groups), (ushort)(74 + service.PriorityOffset), exact, exact))
                {
                    yield return flow;
                }
            }
        }
    }

    /// <summary>Rules that name a group as the remote side: the second half of the conjunctions, and what they do.</summary>
    private static IEnumerable<Flow> ConjunctionRules(WiredPort port, IReadOnlyList<SecurityGroupDetails> groups, ConjunctionIds conjunctions)
    {
        var remote = RemoteRules(groups).ToList();
        foreach (var same in remote.GroupBy(pair => (pair.Key.Ingress, pair.Key.Family, pair.Service.Protocol)))
        {
            var services = same.Select(pair => (pair.Service, conjunctions.Get(pair.Key, pair.Service.PriorityOffset))).Distinct().ToList();
            foreach (var (service, ids) in RuleService.Disjoint(services))
            {
                foreach (var match in service.Matches(OfPort(port), same.Key.Family))
                {
                    foreach (var flow in Clauses(same.Key.Ingress ? RulesIngress : RulesEgress, (ushort)(70 + service.PriorityOffset), match, ids, 2, IsStateless(groups)))
                    {
                        yield return flow;
                    }
                }
            }
        }

        foreach (var (key, offset) in remote.Select(pair => (pair.Key, pair.Service.PriorityOffset)).Distinct())
        {
            var id = conjunctions.Get(key, offset);
            var match = OfPort(port).Ip(key.Family);
            foreach (var flow in Accept(port, key.Ingress, key.Stateless, (ushort)(70 + offset), match.Conjunction(id), match.Conjunction(id + 1)))
            {
                yield return flow;
            }
        }
    }

    /// <summary>Lets established connections on, and new ones too; ingress remembers new ones here, egress in table 73.</summary>
    private static IEnumerable<Flow> Accept(WiredPort port, bool ingress, bool stateless, ushort priority, FlowMatch established, FlowMatch @new)
    {
        var accepted = ingress ? FlowAction.Output(port.Number) : FlowAction.Resubmit(AcceptOrIngress);
        var table = ingress ? RulesIngress : RulesEgress;
        if (stateless)
        {
            yield return Flow(table, priority, established, accepted);
            yield break;
        }

        established = established.CtState(CtStates.Established, CtStates.Related | CtStates.Reply);
        @new = @new.CtState(CtStates.New, CtStates.Established);
        yield return Flow(table, priority, established, accepted);
        yield return ingress
            ? Flow(table, priority, @new, FlowAction.Commit(Zone), accepted, FlowAction.Resubmit(AcceptedIngress))
            : Flow(table, priority, @new, accepted);
    }

    private static IEnumerable<Flow> Clauses(byte table, ushort priority, FlowMatch match, IEnumerable<uint> ids, byte clause, bool stateless)
    {
        var all = ids.ToList();
        if (stateless)
        {
            yield return Flow(table, priority, match, [.. all.Select(id => FlowAction.Conjunction(id, clause, 2))]);
            yield break;
        }

        yield return Flow(table, priority, match.CtState(CtStates.Established, CtStates.Related | CtStates.Reply), [.. all.Select(id => FlowAction.Conjunction(id, clause, 2))]);
        yield return Flow(table, priority, match.CtState(CtStates.New, CtStates.Established), [.. all.Select(id => FlowAction.Conjunction(id + 1, clause, 2))]);
    }

    private static IEnumerable<(ConjunctionKey Key, RuleService Service)> RemoteRules(IReadOnlyList<SecurityGroupDetails> groups) =>
        from @group in groups
        from rule in @group.Rules
        where rule.Remote is not null
        select (new ConjunctionKey(@group.Id, rule.Remote!, IsIngress(rule), Family(rule), IsStateless(groups)), RuleService.Of(rule));

    /// <summary>A port with groups of both kinds is tracked; OpenStack lets no port have them.</summary>
    private static bool IsStateless(IReadOnlyList<SecurityGroupDetails> groups) => groups.Count > 0 && groups.All(group => !group.Stateful);

    private static bool IsIngress(SecurityGroupRuleDetails rule) => rule.Direction == "ingress";

    private static AddressFamily Family(SecurityGroupRuleDetails rule) => rule.EtherType == "IPv6" ? AddressFamily.InterNetworkV6 : AddressFamily.InterNetwork;

    private static FlowMatch OfPort(WiredPort port) => Packet.Register(PortRegister, port.Number);

    private static FlowAction[] Remember(WiredPort port) =>
        [FlowAction.SetRegister(PortRegister, port.Number), FlowAction.SetRegister(NetRegister, (uint)port.LocalVlan)];
}
