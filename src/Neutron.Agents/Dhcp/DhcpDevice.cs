using System.Net;
using System.Net.Sockets;
using SharpStack.LinuxHost.Namespaces;
using SharpStack.LinuxHost.Netlink;
using SharpStack.Neutron.Contracts;
using SharpStack.OpenVSwitch;
using SharpStack.OpenVSwitch.Switches;

namespace SharpStack.Neutron.Agents.Dhcp;

/// <summary>The agent's own port in a network: an internal port of the integration bridge, moved into the network's namespace, with its addresses.</summary>
internal sealed class DhcpDevice(VSwitch vswitch, DhcpSettings settings)
{
    /// <summary>Where a port is that the OVS agent has not wired yet: it reaches nobody.</summary>
    private const int DeadVlan = 4095;

    /// <summary>What namespaces of networks begin with.</summary>
    public const string NamespacePrefix = "qdhcp-";

    private const string Prefix = "tap";
    private const int NameLength = 14;

    public static string NameOf(DhcpPort port) => string.Concat(Prefix, port.Id)[..NameLength];

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
        await RemoveOthersAsync(place, name, cancellationToken);
        var isNew = await EnsurePortAsync(place, name, port, cancellationToken);
        using var links = RouteClient.Open(place);
        var link = links.GetLink(name);
        if (network.Mtu > 0 && link.Mtu != network.Mtu)
        {
            links.SetMtu(name, network.Mtu);
        }

        if (!link.IsUp)
        {
            links.SetUp(name);
        }

        SetAddresses(links, name, network, port);
        return isNew;
    }

    /// <summary>Nothing is left of the network's namespace.</summary>
    public async Task RemoveAsync(string networkId, CancellationToken cancellationToken)
    {
        var place = NamespaceOf(networkId);
        if (NetworkNamespace.Exists(place))
        {
            // The switch spins on a port whose device went away with its namespace: ports go first.
            await RemoveOthersAsync(place, keep: null, cancellationToken);
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

    private async Task<bool> EnsurePortAsync(string place, string name, DhcpPort port, CancellationToken cancellationToken)
    {
        var isKnown = vswitch.FindPort(name) is not null;
        if (isKnown && !Has(place, name) && !Has(settings.SwitchNamespace, name))
        {
            // The device is gone though its port is not. Only two transactions bring the device back.
            await vswitch.ChangeAsync(changes => changes.DeletePort(name), cancellationToken);
            isKnown = false;
        }

        await vswitch.ChangeAsync(
            changes => changes.EnsurePort(settings.Bridge, name, new PortSettings
            {
                Type = "internal",
                Tag = isKnown ? null : DeadVlan,
                Mac = MacAddress.Parse(port.MacAddress),
                ExternalIds = new Dictionary<string, string> { ["iface-id"] = port.Id, ["iface-status"] = "active", ["attached-mac"] = port.MacAddress },
            }),
            cancellationToken);
        using var outside = RouteClient.Open(settings.SwitchNamespace);
        if (outside.FindLink(name) is null)
        {
            return false;
        }

        using (var inside = RouteClient.Open(place))
        {
            // A restarted switch has made the device anew; the one in the namespace is dead.
            inside.DeleteLink(name);
        }

        outside.MoveToNamespace(name, place);
        return true;
    }

    private async Task RemoveOthersAsync(string place, string? keep, CancellationToken cancellationToken)
    {
        using var links = RouteClient.Open(place);
        var others = links.ListLinks().Select(link => link.Name).Where(name => name.StartsWith(Prefix, StringComparison.Ordinal) && name != keep).ToList();
        if (others.Count == 0)
        {
            return;
        }

        await vswitch.ChangeAsync(changes => others.ForEach(name => changes.DeletePort(name)), cancellationToken);
        others.ForEach(name => links.DeleteLink(name));
    }

    private void SetAddresses(RouteClient links, string name, DhcpNetwork network, DhcpPort port)
    {
        var subnets = network.Subnets.ToDictionary(subnet => subnet.Id);
        var wanted = port.FixedIps.Where(address => subnets.ContainsKey(address.SubnetId))
            .Select(address => new InterfaceAddress(IPAddress.Parse(address.IpAddress), IPNetwork.Parse(subnets[address.SubnetId].Cidr).PrefixLength)).ToHashSet();
        if (settings.IsolatedMetadata || settings.ForceMetadata)
        {
            wanted.Add(InterfaceAddress.Parse($"{DnsmasqConfiguration.MetadataAddress}/32"));
        }

        var actual = links.ListAddresses(name).Where(address => !address.Address.IsIPv6LinkLocal).ToHashSet();
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

    private static bool Has(string? place, string name)
    {
        using var links = RouteClient.Open(place);
        return links.FindLink(name) is not null;
    }
}
