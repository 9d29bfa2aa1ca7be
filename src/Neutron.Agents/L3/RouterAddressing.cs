using System.Net;
using System.Net.Sockets;
using SharpStack.LinuxHost;
using SharpStack.LinuxHost.Netlink;
using SharpStack.Neutron.Agents.Metadata;
using SharpStack.Neutron.Agents.OpenVSwitch;
using SharpStack.Neutron.Contracts;
using SharpStack.OpenVSwitch;

namespace SharpStack.Neutron.Agents.L3;

/// <summary>Addresses and routes of a router, as they should be; and the differences to what is.</summary>
internal sealed class RouterAddressing
{
    private readonly Dictionary<string, HashSet<InterfaceAddress>> addresses = [];
    private readonly Dictionary<(IPNetwork? Destination, AddressFamily Family), SortedSet<string>> gateways = [];
    private readonly HashSet<(string Device, IPNetwork Destination)> onLink = [];

    /// <summary>Link-local next hops say nothing without their link.</summary>
    private readonly Dictionary<string, string> linkOf = [];

    private RouterAddressing()
    {
    }

    /// <summary>Of each device.</summary>
    public IReadOnlyDictionary<string, HashSet<InterfaceAddress>> Addresses => addresses;

    /// <summary>Destinations that are on a device's link though no address of it says so.</summary>
    public IReadOnlySet<(string Device, IPNetwork Destination)> OnLink => onLink;

    /// <summary>Next hops by destination, null for the default route.</summary>
    public IReadOnlyDictionary<(IPNetwork? Destination, AddressFamily Family), SortedSet<string>> Gateways => gateways;

    /// <summary>The link of a next hop that has only a link-local address; null for others.</summary>
    public string? LinkOf(string hop) => linkOf.GetValueOrDefault(hop);

    public static RouterAddressing Of(L3Router router, L3Settings settings)
    {
        var wanted = new RouterAddressing();
        foreach (var port in router.Interfaces)
        {
            var own = AddressesOf(port);
            if (settings.EnableMetadataProxy && MetadataAddresses.HasIpv6)
            {
                own.Add(MetadataAddresses.OnLink);
            }

            wanted.addresses[RouterNames.Internal(port)] = own;
        }

        foreach (var route in router.Routes)
        {
            if (IPNetwork.TryParse(route.Destination, out var destination) && IPAddress.TryParse(route.Nexthop, out var nexthop))
            {
                wanted.AddRoute(destination.PrefixLength == 0 ? null : destination, nexthop);
            }
        }

        if (router.Gateway is { } gateway)
        {
            wanted.AddGateway(router, gateway.Port, settings);
        }

        return wanted;
    }

    /// <summary>The address that the kernel gives a device on its link.</summary>
    public static IPAddress LinkLocalOf(string mac) => WiredPort.LinkLocal(MacAddress.Parse(mac)).BaseAddress;

    /// <summary>The devices have these addresses; link-local ones that the kernel made stay.</summary>
    /// <returns>The addresses that were added, and those that were taken away.</returns>
    public (IReadOnlyList<(string Device, IPAddress Address)> Added, IReadOnlyList<IPAddress> Removed) ApplyAddresses(RouteClient links)
    {
        var added = new List<(string, IPAddress)>();
        var removed = new List<IPAddress>();
        foreach (var (device, wanted) in addresses)
        {
            var actual = links.ListAddresses(device).ToHashSet();
            foreach (var address in wanted.Except(actual))
            {
                links.AddAddress(device, address, duplicateDetection: false);
                added.Add((device, address.Address));
            }

            foreach (var address in actual.Except(wanted).Where(address => !address.Address.IsIPv6LinkLocal || address == MetadataAddresses.OnLink))
            {
                links.DeleteAddress(device, address);
                removed.Add(address.Address);
            }
        }

        return (added, removed);
    }

    /// <summary>The main table has these routes; those of the kernel's, and others', stay.</summary>
    /// <returns>Those that the kernel refused, with its reason: most often a next hop that is on no link.</returns>
    public IReadOnlyList<string> ApplyRoutes(RouteClient links)
    {
        var refused = new List<string>();
        var actual = links.ListRoutes().Where(route => route.Protocol == Route.StaticProtocol).ToList();
        var actualLinks = actual.Where(route => route is { Gateway: null, Destination: not null, Device: not null }).ToDictionary(route => (route.Device!, route.Destination!.Value));
        foreach (var (device, destination) in onLink.Where(each => !actualLinks.ContainsKey(each)))
        {
            Try(() => links.ReplaceRoute(new Route(destination, null, device)));
        }

        var actualGateways = actual.Where(route => route.Gateway is not null).GroupBy(route => (route.Destination, route.Family))
            .ToDictionary(group => group.Key, group => group.ToList());
        foreach (var (key, hops) in gateways)
        {
            if (!actualGateways.TryGetValue(key, out var there) || !hops.SetEquals(there.Select(route => route.Gateway!.ToString())))
            {
                Try(() =>
                {
                    if (hops.Count == 1 && LinkOf(hops.Min!) is { } link)
                    {
                        links.ReplaceRoute(new Route(key.Destination, IPAddress.Parse(hops.Min!), link));
                    }
                    else
                    {
                        links.ReplaceRoute(key.Destination, [.. hops.Select(IPAddress.Parse)]);
                    }
                });
            }
        }

        foreach (var route in actualGateways.Where(group => !gateways.ContainsKey(group.Key)).SelectMany(group => group.Value).Concat(actualLinks.Where(pair => !onLink.Contains(pair.Key)).Select(pair => pair.Value)))
        {
            links.DeleteRoute(route);
        }

        return refused;

        void Try(Action change)
        {
            try
            {
                change();
            }
            catch (LinuxException failure)
            {
                refused.Add(failure.Message);
            }
        }
    }

    private static HashSet<InterfaceAddress> AddressesOf(L3Port port) => [.. port.FixedIps.Select(address => new InterfaceAddress(IPAddress.Parse(address.IpAddress), address.PrefixLength))];

    private void AddGateway(L3Router router, L3Port port, L3Settings settings)
    {
        var device = RouterNames.External(port);
        var own = AddressesOf(port);
        own.UnionWith(router.FloatingIps.Select(floating => new InterfaceAddress(IPAddress.Parse(floating.FloatingAddress), 32)));
        addresses[device] = own;
        onLink.UnionWith(port.ExtraSubnets.Select(subnet => (device, IPNetwork.Parse(subnet.Cidr))));
        foreach (var family in port.Subnets.Where(subnet => subnet.GatewayIp is not null).GroupBy(subnet => subnet.IpVersion))
        {
            var first = family.First();
            var hop = IPAddress.Parse(first.GatewayIp!);
            AddDefault(device, hop, isOnLink: !IPNetwork.Parse(first.Cidr).Contains(hop));
        }

        if (settings.Ipv6Gateway.Length > 0 && port.Subnets.All(subnet => subnet.IpVersion != 6 || subnet.GatewayIp is null))
        {
            AddDefault(device, IPAddress.Parse(settings.Ipv6Gateway), isOnLink: false);
        }
    }

    private void AddDefault(string device, IPAddress hop, bool isOnLink)
    {
        if (isOnLink && !hop.IsIPv6LinkLocal)
        {
            onLink.Add((device, new IPNetwork(hop, hop.AddressFamily == AddressFamily.InterNetwork ? 32 : 128)));
        }

        // An extra route of the user's to everywhere goes before.
        if (!gateways.ContainsKey((null, hop.AddressFamily)))
        {
            AddRoute(null, hop);
            if (hop.IsIPv6LinkLocal)
            {
                linkOf[hop.ToString()] = device;
            }
        }
    }

    private void AddRoute(IPNetwork? destination, IPAddress nexthop)
    {
        if (!gateways.TryGetValue((destination, nexthop.AddressFamily), out var hops))
        {
            gateways[(destination, nexthop.AddressFamily)] = hops = new SortedSet<string>(StringComparer.Ordinal);
        }

        hops.Add(nexthop.ToString());
    }
}
