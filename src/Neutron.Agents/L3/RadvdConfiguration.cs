using System.Globalization;
using System.Net;
using System.Text;
using SharpStack.Neutron.Agents.Metadata;
using SharpStack.Neutron.Contracts;

namespace SharpStack.Neutron.Agents.L3;

/// <summary>What a router advertises on its IPv6 subnets (radvd.conf(5)).</summary>
internal static class RadvdConfiguration
{
    private const int LeastMtu = 1280;

    /// <summary>As many as OpenStack's agent tells.</summary>
    private const int MostNameservers = 3;

    /// <returns>Null where nothing is to be advertised.</returns>
    public static string? Of(L3Router router, L3Settings settings)
    {
        var text = new StringBuilder();
        foreach (var port in router.Interfaces)
        {
            var subnets = port.Subnets.Where(subnet => subnet.IpVersion == 6 && subnet.Ipv6RaMode is not null).ToList();
            if (subnets.Count > 0)
            {
                Write(text, port, subnets, settings);
            }
        }

        return text.Length == 0 ? null : text.ToString();
    }

    private static void Write(StringBuilder text, L3Port port, List<L3Subnet> subnets, L3Settings settings)
    {
        text.Append(CultureInfo.InvariantCulture, $"interface {RouterNames.Internal(port)}\n{{\n  AdvSendAdvert on;\n  MinRtrAdvInterval {settings.MinAdvertisement};\n  MaxRtrAdvInterval {settings.MaxAdvertisement};\n");
        if (port.Mtu >= LeastMtu)
        {
            text.Append(CultureInfo.InvariantCulture, $"  AdvLinkMTU {port.Mtu};\n");
        }

        if (subnets.Exists(subnet => subnet.Ipv6RaMode == "dhcpv6-stateless"))
        {
            text.Append("  AdvOtherConfigFlag on;\n");
        }

        if (subnets.Exists(subnet => subnet.Ipv6RaMode == "dhcpv6-stateful"))
        {
            text.Append("  AdvManagedFlag on;\n");
        }

        var nameservers = subnets.Where(subnet => subnet.Ipv6RaMode == "slaac").SelectMany(subnet => subnet.DnsNameservers).Where(server => IPAddress.TryParse(server, out _)).Take(MostNameservers).ToList();
        if (nameservers.Count > 0)
        {
            text.Append("  RDNSS ").AppendJoin(' ', nameservers).Append(" {};\n");
        }

        foreach (var subnet in subnets)
        {
            var autonomous = subnet.Ipv6RaMode == "dhcpv6-stateful" ? "off" : "on";
            text.Append(CultureInfo.InvariantCulture, $"  prefix {IPNetwork.Parse(subnet.Cidr)}\n  {{\n    AdvOnLink on;\n    AdvAutonomous {autonomous};\n  }};\n");
        }

        if (settings.EnableMetadataProxy)
        {
            // The device has two addresses on the link: the one that all networks have is not to be anybody's gateway.
            text.Append(CultureInfo.InvariantCulture, $"  AdvRASrcAddress\n  {{\n    {RouterAddressing.LinkLocalOf(port.MacAddress)};\n  }};\n");
            text.Append(CultureInfo.InvariantCulture, $"  route {MetadataAddresses.Ipv6}/128\n  {{\n  }};\n");
        }

        text.Append("};\n");
    }
}
