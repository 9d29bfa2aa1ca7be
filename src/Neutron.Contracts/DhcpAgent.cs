using System.Security.Cryptography;
using System.Text;
using SharpStack.Foundation.Bus;

namespace SharpStack.Neutron.Contracts;

/// <param name="Host">The asking agent's host.</param>
/// <param name="NetworkIds">The networks asked for; null for every network that is scheduled to this host.</param>
public sealed record DhcpNetworksRequest(string Host, IReadOnlyList<string>? NetworkIds);

/// <param name="Networks">The networks scheduled to this host, whole.</param>
/// <param name="Unknown">Of the networks asked for: those that do not exist or are not scheduled to this host. Their namespace goes away.</param>
public sealed record DhcpNetworksAnswer(IReadOnlyList<DhcpNetwork> Networks, IReadOnlyList<string> Unknown);

/// <param name="Subnets">All of the network's, those without DHCP too.</param>
/// <param name="Ports">All of the network's.</param>
/// <param name="Revision">The network's <c>revision_number</c>; subnets count into it, ports do not.</param>
public sealed record DhcpNetwork(
    string Id, string ProjectId, bool AdminStateUp, int Mtu, string? DnsDomain, long Revision, IReadOnlyList<DhcpSubnet> Subnets, IReadOnlyList<DhcpPort> Ports);

/// <param name="IpVersion">4 or 6.</param>
/// <param name="Ipv6RaMode"><c>slaac</c>, <c>dhcpv6-stateful</c>, <c>dhcpv6-stateless</c> or null.</param>
public sealed record DhcpSubnet(
    string Id,
    string Name,
    string Cidr,
    int IpVersion,
    string? GatewayIp,
    bool EnableDhcp,
    IReadOnlyList<AddressRange> AllocationPools,
    IReadOnlyList<string> DnsNameservers,
    IReadOnlyList<HostRoute> HostRoutes,
    string? Ipv6RaMode,
    string? Ipv6AddressMode);

public sealed record AddressRange(string Start, string End);

public sealed record HostRoute(string Destination, string Nexthop);

/// <param name="DnsName">The host name that the user gave; null where <c>host-10-0-0-5</c> style names are to be used.</param>
public sealed record DhcpPort(
    string Id,
    string NetworkId,
    string MacAddress,
    bool AdminStateUp,
    string DeviceOwner,
    string DeviceId,
    IReadOnlyList<DhcpAddress> FixedIps,
    string? DnsName,
    IReadOnlyList<ExtraDhcpOption> ExtraDhcpOptions,
    long Revision);

public sealed record DhcpAddress(string IpAddress, string SubnetId);

/// <param name="IpVersion">4 or 6: to which of the port's addresses it belongs.</param>
public sealed record ExtraDhcpOption(string Name, string? Value, int IpVersion);

/// <param name="PortIds">Ports of networks that are scheduled to this host.</param>
public sealed record DhcpPortsRequest(string Host, IReadOnlyList<string> PortIds);

/// <param name="Unknown">Ports that do not exist or whose network is not scheduled to this host: their leases go away.</param>
public sealed record DhcpPortsAnswer(IReadOnlyList<DhcpPort> Ports, IReadOnlyList<string> Unknown);

public sealed record DhcpPortRequest(string Host, string NetworkId);

/// <param name="Port">Bound to the agent's host, with an address of each subnet that has DHCP; null where the network is gone or not scheduled to this host.</param>
public sealed record DhcpPortAnswer(DhcpPort? Port);

/// <summary>The agent's server answers for these ports: it may be started.</summary>
public sealed record DhcpReadyReport(string Host, IReadOnlyList<string> PortIds);

/// <summary>Between the server and the DHCP agents.</summary>
public static class DhcpContracts
{
    /// <summary>Asked at the start and on a slow period (all), and after hints (some).</summary>
    public static readonly BusContract<DhcpNetworksRequest, DhcpNetworksAnswer> GetNetworks =
        new(NeutronTopics.Server, "get_dhcp_networks", 1, NeutronContractsJson.Default.DhcpNetworksRequest, NeutronContractsJson.Default.DhcpNetworksAnswer);

    /// <summary>Single ports after hints, so that one new port does not cost the list of all.</summary>
    public static readonly BusContract<DhcpPortsRequest, DhcpPortsAnswer> GetPorts =
        new(NeutronTopics.Server, "get_dhcp_ports", 1, NeutronContractsJson.Default.DhcpPortsRequest, NeutronContractsJson.Default.DhcpPortsAnswer);

    /// <summary>Gives the agent's own port in a network; makes it, or brings its addresses up to date with the subnets, where needed.</summary>
    public static readonly BusContract<DhcpPortRequest, DhcpPortAnswer> EnsureDhcpPort =
        new(NeutronTopics.Server, "ensure_dhcp_port", 1, NeutronContractsJson.Default.DhcpPortRequest, NeutronContractsJson.Default.DhcpPortAnswer);

    /// <summary>Deletes the agent's own port in a network; nothing happens where there is none.</summary>
    public static readonly BusContract<DhcpPortRequest, Ack> ReleaseDhcpPort =
        new(NeutronTopics.Server, "release_dhcp_port", 1, NeutronContractsJson.Default.DhcpPortRequest, NeutronContractsJson.Default.Ack);

    /// <summary>Completes the DHCP provisioning block of ports. Repeating it changes nothing.</summary>
    public static readonly BusContract<DhcpReadyReport, Ack> ReportReady =
        new(NeutronTopics.Server, "dhcp_ready_on_ports", 1, NeutronContractsJson.Default.DhcpReadyReport, NeutronContractsJson.Default.Ack);

    /// <summary>Cast to the hosts that serve the network, and to one that no longer does: ask <see cref="GetNetworks"/> for it.</summary>
    public static readonly BusContract<NetworkHint, Ack> NetworkChanged =
        new(NeutronTopics.DhcpAgent, "network_update", 1, NeutronContractsJson.Default.NetworkHint, NeutronContractsJson.Default.Ack);

    /// <summary>Cast to the hosts that serve the port's network: created, changed or deleted, ask <see cref="GetPorts"/> for it.</summary>
    public static readonly BusContract<PortHint, Ack> PortChanged =
        new(NeutronTopics.DhcpAgent, "port_update", 1, NeutronContractsJson.Default.PortHint, NeutronContractsJson.Default.Ack);
}

/// <summary>Names that OpenStack computes for a DHCP agent's own things.</summary>
public static class DhcpNames
{
    private static readonly Guid DnsNamespace = new("6ba7b810-9dad-11d1-80b4-00c04fd430c8");

    /// <summary><c>device_owner</c> of an agent's port.</summary>
    public const string DeviceOwner = "network:dhcp";

    /// <summary>Whether a port of that owner is a router's on an inner network.</summary>
    public static bool IsRouterInterface(string deviceOwner) => deviceOwner is RouterPortOwners.Interface or RouterPortOwners.HaInterface;

    /// <summary>Whether DHCP servers have an entry for a port of that owner: all but routers' interfaces and their own.</summary>
    public static bool IsServed(string deviceOwner) => deviceOwner != DeviceOwner && !IsRouterInterface(deviceOwner);

    /// <summary><c>device_id</c> of an agent's port: <c>dhcp</c>, the version 5 UUID of the host's short name, the network's id.</summary>
    public static string DeviceId(string host, string networkId) => $"dhcp{Uuid5(DnsNamespace, host.Split('.')[0]):D}-{networkId}";

    /// <summary>A name-based UUID with SHA-1 (RFC 4122, version 5).</summary>
    private static Guid Uuid5(Guid space, string name)
    {
        Span<byte> hash = stackalloc byte[SHA1.HashSizeInBytes];
#pragma warning disable CA5350 // The UUID's definition, not a protection.
        SHA1.HashData([.. space.ToByteArray(bigEndian: true), .. Encoding.UTF8.GetBytes(name)], hash);
#pragma warning restore CA5350
        hash[6] = (byte)((hash[6] & 0x0F) | 0x50);
        hash[8] = (byte)((hash[8] & 0x3F) | 0x80);
        return new Guid(hash[..16], bigEndian: true);
    }
}
