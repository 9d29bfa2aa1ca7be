using System.Globalization;
using SharpStack.Foundation;
using SharpStack.Neutron.Api;

namespace SharpStack.Neutron.SecurityGroups;

/// <summary>The protocols that rules may name, with IANA's numbers.</summary>
internal static class IpProtocols
{
    public const int Icmp = 1;
    public const int Icmpv6 = 58;

    private static readonly Dictionary<string, int> Numbers = new(StringComparer.Ordinal)
    {
        ["ah"] = 51, ["dccp"] = 33, ["egp"] = 8, ["esp"] = 50, ["gre"] = 47, ["hopopt"] = 0, ["icmp"] = Icmp, ["igmp"] = 2, ["ip"] = 0, ["ipip"] = 4,
        ["ipv6-encap"] = 41, ["ipv6-frag"] = 44, ["ipv6-icmp"] = Icmpv6, ["icmpv6"] = Icmpv6, ["ipv6-nonxt"] = 59, ["ipv6-opts"] = 60, ["ipv6-route"] = 43,
        ["ospf"] = 89, ["pgm"] = 113, ["rsvp"] = 46, ["sctp"] = 132, ["tcp"] = 6, ["udp"] = 17, ["udplite"] = 136, ["vrrp"] = 112,
    };

    private static readonly HashSet<int> Ipv6Only = [41, 44, Icmpv6, 59, 60, 43];

    /// <summary>TCP, UDP, SCTP, DCCP, UDP-Lite: those with ports.</summary>
    public static readonly IReadOnlySet<int> WithPorts = new HashSet<int> { 6, 17, 33, 132, 136 };

    /// <summary>A name, or a number from 0 to 255, as it is stored; null for any.</summary>
    public static string? Read(System.Text.Json.JsonElement? value)
    {
        if (value is not { } sent)
        {
            return null;
        }

        var text = Checks.Shown(sent).ToLowerInvariant();
        if ((int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number <= 255) || Numbers.ContainsKey(text))
        {
            return text;
        }

        throw CloudException.BadRequest(
            $"Security group rule protocol {Checks.Shown(sent)} not supported. Only protocol values [None, {string.Join(", ", Numbers.Keys.Select(name => $"'{name}'"))}] and integer representations [0 to 255] are supported.",
            "SecurityGroupRuleInvalidProtocol");
    }

    /// <summary>IPv6 rules that say ICMP mean ICMPv6.</summary>
    public static string? Canonical(string? protocol, string ethertype) =>
        ethertype != "IPv6" ? protocol : protocol switch
        {
            "icmp" or "icmpv6" => "ipv6-icmp",
            "1" => "58",
            _ => protocol,
        };

    /// <summary>IANA's number; null for any.</summary>
    public static int? NumberOf(string? protocol) => protocol is null ? null : Numbers.TryGetValue(protocol, out var number) ? number : int.Parse(protocol, CultureInfo.InvariantCulture);

    public static bool IsIpv6Only(string? protocol) => NumberOf(protocol) is { } number && Ipv6Only.Contains(number);
}
