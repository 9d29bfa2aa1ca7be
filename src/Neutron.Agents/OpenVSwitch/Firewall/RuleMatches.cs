using System.Net.Sockets;
using SharpStack.Neutron.Contracts;
using SharpStack.OpenVSwitch.Flows;

namespace SharpStack.Neutron.Agents.OpenVSwitch.Firewall;

/// <summary>What a security group rule matches, but for the remote address.</summary>
/// <param name="Protocol">IANA's number; null for any.</param>
/// <param name="Min">First port or ICMP type; null for any.</param>
/// <param name="Max">Last port or ICMP code; null for any.</param>
internal readonly record struct RuleService(int? Protocol, int? Min, int? Max)
{
    private const int Icmp = 1;
    private const int Icmp6 = 58;

    public bool HasPorts => Protocol is 6 or 17 or 132;

    public bool IsIcmp => Protocol is Icmp or Icmp6;

    /// <summary>More exact matches stand higher: 0 for any protocol, 1 and 2 for ICMP without type or code, else 3.</summary>
    public int PriorityOffset =>
        Protocol is null ? 0
        : IsIcmp && Min is null ? 1
        : IsIcmp && Max is null ? 2
        : 3;

    public static RuleService Of(SecurityGroupRuleDetails rule) => new(rule.Protocol, rule.PortMin, rule.PortMax);

    /// <summary>The matches that together are the service; ranges of ports become masks.</summary>
    public IEnumerable<FlowMatch> Matches(FlowMatch packet, AddressFamily family)
    {
        packet = packet.Ip(family);
        if (Protocol is not { } protocol)
        {
            return [packet];
        }

        packet = packet.Protocol((byte)protocol);
        if (HasPorts && (Min ?? Max) is not null)
        {
            return PortRange.ToMasks((ushort)(Min ?? 1), (ushort)(Max ?? 65535)).Select(port => packet.TransportDestination(port.Value, port.Mask));
        }

        if (!IsIcmp || Min is not { } type)
        {
            return [packet];
        }

        packet = packet.IcmpType((byte)type);
        return [Max is { } code ? packet.IcmpCode((byte)code) : packet];
    }

    /// <summary>
    /// Splits services of one protocol into such that do not overlap, each with the conjunctions of all that cover it: of overlapping matches
    /// of one priority the switch would take only one.
    /// </summary>
    public static IEnumerable<(RuleService Service, IReadOnlyList<uint> Conjunctions)> Disjoint(IReadOnlyList<(RuleService Service, uint Conjunction)> services)
    {
        if (services.Count == 0 || !services[0].Service.HasPorts)
        {
            return services.GroupBy(pair => pair.Service).Select(group => (group.Key, Ordered(group)));
        }

        return Segments(services);

        static IReadOnlyList<uint> Ordered(IEnumerable<(RuleService Service, uint Conjunction)> group) => [.. group.Select(pair => pair.Conjunction).Distinct().Order()];

        static IEnumerable<(RuleService, IReadOnlyList<uint>)> Segments(IReadOnlyList<(RuleService Service, uint Conjunction)> services)
        {
            var edges = services.SelectMany(pair => new[] { First(pair.Service), Last(pair.Service) + 1 }).Distinct().Order().ToList();
            var whole = edges is [0, 65536];
            for (var i = 0; i + 1 < edges.Count; i++)
            {
                var covering = services.Where(pair => First(pair.Service) <= edges[i] && Last(pair.Service) >= edges[i + 1] - 1).ToList();
                if (covering.Count > 0)
                {
                    yield return (new RuleService(services[0].Service.Protocol, whole ? null : edges[i], whole ? null : edges[i + 1] - 1), Ordered(covering));
                }
            }
        }

        static int First(RuleService service) => service.Min ?? (service.Max is null ? 0 : 1);

        static int Last(RuleService service) => service.Max ?? 65535;
    }
}
