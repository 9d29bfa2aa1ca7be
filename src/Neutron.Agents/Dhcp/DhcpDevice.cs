using System.Net;
using System.Net.Sockets;
using SharpStack.LinuxHost.Namespaces;
using SharpStack.LinuxHost.Netlink;
using SharpStack.Neutron.Agents.Metadata;
using SharpStack.Neutron.Contracts;
using SharpStack.OpenVSwitch.Switches;

namespace SharpStack.Neutron.Agents.Dhcp;

/// <summary>The agent's own port in a network: an internal port of the integration bridge, moved into the network's namespace, with its addresses.</summary>
internal sealed class DhcpDevice(VSwitch vswitch, DhcpSettings settings)
{
    /// <summary>What namespaces of networks begin with.</summary>
    public const string NamespacePrefix = "qdhcp-";

    private const string Prefix = "tap";

    private readonly NamespaceDevices devices = new(vswitch, settings.Bridge, settings.SwitchNamespace);

    public static string NameOf(DhcpPort port) => NamespaceDevices.NameOf(Prefix, port.Id);

    public static string NamespaceOf(string networkId) => NamespacePrefix + networkId;

    /// <summary>The device is in the namespace with these addresses, and nothing else of ours is.</summary>
    /// <returns>Whether it is a new device.</returns>
    public async Task<bool> EnsureAsync(DhcpNetwork network, DhcpPort port, CancellationToken cancellationToken)
    {
        var place = NamespaceOf(network.Id);
        if (NetworkNamespace.Ensure(place))
        {
            Prepare(place);
        }

        var name = NameOf(port);
        var isNew = (await devices.EnsureAsync(place, [new NamespaceDevice(name, port.Id, port.MacAddress, network.Mtu)], [Prefix], cancellationToken)).Count > 0;
        using var links = RouteClient.Open(place);
        SetAddresses(links, name, network, port);
        return isNew;
    }

    /// <summary>Nothing is left of the network's namespace.</summary>
    public async Task RemoveAsync(string networkId, CancellationToken cancellationToken)
    {
        var place = NamespaceOf(networkId);
        if (NetworkNamespace.Exists(place))
        {
            await devices.RemoveAsync(place, [Prefix], [], cancellationToken);
            NetworkNamespace.Delete(place);
        }
    }

    private static void Prepare(string place)
    {
        using var links = RouteClient.Open(place);
        links.SetUp("lo");
        if (Directory.Exists("/proc/sys/net/ipv6"))
        {
            // Guests must not route the host's own traffic by their announcements.
            NetworkNamespace.WriteSysctl(place, "net.ipv6.conf.default.accept_ra", "0");
        }
    }

    private void SetAddresses(RouteClient links, string name, DhcpNetwork network, DhcpPort port)
    {
        var subnets = network.Subnets.ToDictionary(subnet => subnet.Id);
        var wanted = port.FixedIps.Where(address => subnets.ContainsKey(address.SubnetId))
            .Select(address => new InterfaceAddress(IPAddress.Parse(address.IpAddress), IPNetwork.Parse(subnets[address.SubnetId].Cidr).PrefixLength)).ToHashSet();
        if (settings.IsolatedMetadata || settings.ForceMetadata)
        {
            wanted.Add(new InterfaceAddress(MetadataAddresses.Ipv4, 32));
        }

        // Guests look for it on their link, where a router may be the one to have it.
        if (MetadataAddresses.HasIpv6 && DnsmasqConfiguration.ServesMetadata(network, settings))
        {
            wanted.Add(MetadataAddresses.OnLink);
        }

        var actual = links.ListAddresses(name).Where(address => !address.Address.IsIPv6LinkLocal || address == MetadataAddresses.OnLink).ToHashSet();
        foreach (var address in actual.Except(wanted))
        {
            links.DeleteAddress(name, address);
        }

        foreach (var address in wanted.Except(actual))
        {
            links.AddAddress(name, address, duplicateDetection: false);
        }

        SetGateway(links, name, port.FixedIps.Select(address => subnets.GetValueOrDefault(address.SubnetId)).OfType<DhcpSubnet>());
    }

    /// <summary>dnsmasq asks DNS servers outside through the network's own gateway.</summary>
    private static void SetGateway(RouteClient links, string name, IEnumerable<DhcpSubnet> subnets)
    {
        var wanted = subnets.Where(subnet => subnet.IpVersion == 4 && subnet.GatewayIp is { } gateway && IPNetwork.Parse(subnet.Cidr).Contains(IPAddress.Parse(gateway)))
            .Select(subnet => IPAddress.Parse(subnet.GatewayIp!)).FirstOrDefault();
        var actual = links.ListRoutes().Where(route => route.Destination is null && route.Device == name && route.Family == AddressFamily.InterNetwork).ToList();
        foreach (var route in actual.Where(route => !route.Gateway!.Equals(wanted)))
        {
            links.DeleteRoute(route);
        }

        if (wanted is not null && !actual.Exists(route => route.Gateway!.Equals(wanted)))
        {
            links.ReplaceRoute(new Route(null, wanted, name));
        }
    }
}
