using System.Globalization;
using System.Net;
using SharpStack.LinuxHost.Netlink;
using SharpStack.Neutron.Contracts;

namespace SharpStack.Neutron.Agents.L3;

/// <summary>
/// What a router translates, a line each, as it is kept beside the router: what went away since then is what the kernel's connections must forget, whether or not
/// the agent was there all the time.
/// </summary>
internal static class Translations
{
    private static readonly Dictionary<string, byte> Protocols = new() { ["icmp"] = 1, ["tcp"] = 6, ["udp"] = 17, ["dccp"] = 33, ["sctp"] = 132 };

    public static SortedSet<string> Of(L3Router router)
    {
        var lines = new SortedSet<string>(StringComparer.Ordinal);
        if (router.Gateway is not { } gateway)
        {
            return lines;
        }

        lines.UnionWith(gateway.Port.FixedIps.Select(address => $"gateway {address.IpAddress} {(gateway.EnableSnat ? "snat" : "plain")}"));
        foreach (var floating in router.FloatingIps)
        {
            lines.Add($"floating {floating.FloatingAddress} {floating.FixedAddress ?? "-"} {floating.Id}");
            lines.UnionWith(floating.PortForwardings.Select(forwarding => FormattableString.Invariant(
                $"forwarding {floating.FloatingAddress} {forwarding.Protocol} {forwarding.ExternalPortFirst} {forwarding.ExternalPortLast} {forwarding.InternalAddress} {forwarding.InternalPortFirst} {forwarding.InternalPortLast}")));
        }

        return lines;
    }

    /// <summary>The ids of the floating IPs in lines.</summary>
    public static IEnumerable<string> FloatingIds(IEnumerable<string> lines) => lines.Select(line => line.Split(' ')).Where(words => words is ["floating", _, _, _]).Select(words => words[3]);

    /// <summary>Whether a connection goes by a translation that is gone.</summary>
    public static bool IsStale(TrackedConnection connection, IEnumerable<string> gone)
    {
        foreach (var words in gone.Select(line => line.Split(' ')))
        {
            if (words.Length < 3 || !IPAddress.TryParse(words[1], out var address))
            {
                continue;
            }

            var isStale = words[0] switch
            {
                "gateway" => address.Equals(connection.Reply.Destination),
                "floating" => address.Equals(connection.Original.Destination) || address.Equals(connection.Reply.Destination),
                "forwarding" => address.Equals(connection.Original.Destination) && Protocols.GetValueOrDefault(words[2]) == connection.Protocol
                    && (connection.Protocol == 1 || IsWithin(connection.Original.DestinationPort, words[3], words[4])),
                _ => false,
            };
            if (isStale)
            {
                return true;
            }
        }

        return false;
    }

    private static bool IsWithin(int port, string first, string last) => port >= int.Parse(first, CultureInfo.InvariantCulture) && port <= int.Parse(last, CultureInfo.InvariantCulture);
}
