using System.Globalization;
using System.Net.Sockets;
using System.Text;
using SharpStack.LinuxHost.Netlink;
using SharpStack.Neutron.Contracts;

namespace SharpStack.Neutron.Agents.L3;

/// <summary>
/// How the hosts of one router agree by VRRP who has its addresses and routes (keepalived.conf(5)). The agents have no part in it: another host takes over also
/// where they are down.
/// </summary>
internal static class KeepalivedConfiguration
{
    /// <summary>Seconds after taking over until the addresses are announced once more.</summary>
    private const int SecondAnnouncement = 60;

    public static string Of(L3Router router, L3HighAvailability ha, RouterAddressing wanted, L3Settings settings)
    {
        var text = new StringBuilder();
        var link = RouterNames.Ha(ha.Port);
        // Nobody is to run anything on its behalf.
        text.Append("global_defs {\n    router_id neutron\n    enable_script_security\n}\n");
        text.Append(CultureInfo.InvariantCulture, $"vrrp_instance VR_{ha.VirtualRouterId} {{\n    state BACKUP\n    interface {link}\n    virtual_router_id {ha.VirtualRouterId}\n    priority {ha.Priority}\n");
        text.Append(CultureInfo.InvariantCulture, $"    garp_master_delay {SecondAnnouncement}\n    nopreempt\n    advert_int {settings.VrrpInterval}\n");
        if (settings.VrrpPassword.Length > 0)
        {
            text.Append("    authentication {\n        auth_type ").Append(settings.VrrpAuthType).Append("\n        auth_pass ").Append(settings.VrrpPassword).Append("\n    }\n");
        }

        text.Append("    track_interface {\n        ").Append(link).Append("\n    }\n");
        // The one address that never changes: a change of it would make keepalived drop the routes.
        text.Append("    virtual_ipaddress {\n        ").Append(ha.VirtualAddress).Append(" dev ").Append(link).Append("\n    }\n");
        text.Append("    virtual_ipaddress_excluded {\n");
        foreach (var (device, addresses) in wanted.Addresses.OrderBy(pair => pair.Key, StringComparer.Ordinal))
        {
            foreach (var address in addresses.Select(address => address.ToString()).Order(StringComparer.Ordinal))
            {
                text.Append("        ").Append(address).Append(" dev ").Append(device).Append(" no_track\n");
            }
        }

        // The kernel makes none here: on a host that does not serve it would be a second owner of the address.
        foreach (var (device, port) in Ports(router))
        {
            text.Append("        ").Append(RouterAddressing.LinkLocalOf(port.MacAddress)).Append("/64 dev ").Append(device).Append(" no_track\n");
        }

        text.Append("    }\n    virtual_routes {\n");
        foreach (var (device, destination) in wanted.OnLink.OrderBy(each => each.Destination.ToString(), StringComparer.Ordinal))
        {
            text.Append("        ").Append(destination).Append(" dev ").Append(device).Append(destination.BaseAddress.AddressFamily == AddressFamily.InterNetwork ? " scope link no_track\n" : " no_track\n");
        }

        foreach (var ((destination, family), hops) in wanted.Gateways.OrderBy(pair => $"{pair.Key.Destination} {pair.Key.Family}", StringComparer.Ordinal))
        {
            text.Append("        ").Append(destination?.ToString() ?? (family == AddressFamily.InterNetwork ? "0.0.0.0/0" : "::/0"));
            if (hops.Count == 1)
            {
                text.Append(" via ").Append(hops.Min);
                if (wanted.LinkOf(hops.Min!) is { } only)
                {
                    text.Append(" dev ").Append(only);
                }

                text.Append(" no_track\n");
            }
            else
            {
                text.Append(" no_track").Append(string.Concat(hops.Select(hop => $" nexthop via {hop}"))).Append('\n');
            }
        }

        return text.Append("    }\n}\n").ToString();
    }

    /// <summary>The devices that exactly one host may speak for.</summary>
    private static IEnumerable<(string Device, L3Port Port)> Ports(L3Router router)
    {
        var inner = router.Interfaces.Select(port => (RouterNames.Internal(port), port));
        return router.Gateway is { } gateway ? inner.Append((RouterNames.External(gateway.Port), gateway.Port)) : inner;
    }
}
