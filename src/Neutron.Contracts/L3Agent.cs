using SharpStack.Foundation.Bus;

namespace SharpStack.Neutron.Contracts;

/// <param name="Host">The asking agent's host.</param>
/// <param name="RouterIds">The routers asked for; null for every router that is scheduled to this host.</param>
public sealed record L3RoutersRequest(string Host, IReadOnlyList<string>? RouterIds);

/// <param name="Routers">The routers scheduled to this host, whole.</param>
/// <param name="Unknown">Of the routers asked for: those that do not exist or are not scheduled to this host. Their namespace goes away.</param>
public sealed record L3RoutersAnswer(IReadOnlyList<L3Router> Routers, IReadOnlyList<string> Unknown);

/// <summary>A router as its host builds it. What is not named here is to be taken away, with the conntrack entries that go with it.</summary>
/// <param name="AdminStateUp">False: the namespace stays empty of ports.</param>
/// <param name="Revision">The router's <c>revision_number</c>; its interfaces, floating IPs and port forwardings count into it, subnets do not.</param>
/// <param name="Ha">Null where the router lives on one host only.</param>
/// <param name="Gateway">Null where the router has no external gateway.</param>
/// <param name="Interfaces">Its ports on inner networks, those with addresses only, by id.</param>
/// <param name="FloatingIps">Those that lead to a fixed address or have port forwardings, by address.</param>
/// <param name="Routes">The extra routes.</param>
public sealed record L3Router(
    string Id,
    string Name,
    string ProjectId,
    bool AdminStateUp,
    long Revision,
    L3HighAvailability? Ha,
    L3Gateway? Gateway,
    IReadOnlyList<L3Port> Interfaces,
    IReadOnlyList<L3FloatingIp> FloatingIps,
    IReadOnlyList<HostRoute> Routes,
    IReadOnlyList<L3ConntrackHelper> ConntrackHelpers);

/// <summary>How the hosts of one router agree who serves it.</summary>
/// <param name="VirtualRouterId">VRRP's, 1 to 255, unique on the HA network.</param>
/// <param name="Priority">VRRP's, the same for all (50): nobody takes over from one that serves.</param>
/// <param name="Port">This host's own port on the project's HA network, with an address of 169.254.192.0/18.</param>
/// <param name="VirtualAddress">The CIDR that VRRP carries beside the router's own addresses: <c>169.254.0.VRID/24</c>.</param>
public sealed record L3HighAvailability(int VirtualRouterId, int Priority, L3Port Port, string VirtualAddress);

/// <param name="Port">On the external network; the router's own outer addresses are its fixed IPs. Without IPv4 addresses there is no SNAT.</param>
/// <param name="EnableSnat">Whether inner addresses without a floating IP leave under the gateway's first IPv4 address.</param>
/// <param name="BandwidthLimits">Of all that passes the gateway but for floating IPs.</param>
public sealed record L3Gateway(L3Port Port, bool EnableSnat, IReadOnlyList<BandwidthLimit> BandwidthLimits);

/// <summary>A port of a router: <c>qr-</c>, <c>qg-</c> or <c>ha-</c> and the first eleven characters of the id name its device.</summary>
/// <param name="Mtu">Of the network, in bytes.</param>
/// <param name="FixedIps">In the order of the port.</param>
/// <param name="Subnets">Those of <paramref name="FixedIps"/>.</param>
/// <param name="ExtraSubnets">The network's other subnets: reached without a gateway too.</param>
public sealed record L3Port(
    string Id,
    string NetworkId,
    string MacAddress,
    bool AdminStateUp,
    int Mtu,
    IReadOnlyList<L3Address> FixedIps,
    IReadOnlyList<L3Subnet> Subnets,
    IReadOnlyList<L3Subnet> ExtraSubnets);

/// <param name="PrefixLength">The subnet's.</param>
public sealed record L3Address(string IpAddress, string SubnetId, int PrefixLength);

/// <param name="Cidr">Such as <c>10.0.0.0/24</c>.</param>
/// <param name="IpVersion">4 or 6.</param>
/// <param name="Ipv6RaMode"><c>slaac</c>, <c>dhcpv6-stateful</c>, <c>dhcpv6-stateless</c>, or null: the router does not advertise itself.</param>
/// <param name="Ipv6AddressMode">The same names, or null.</param>
/// <param name="AddressScopeId">Of the subnet's pool, or null: between two scopes nothing is routed without a floating IP.</param>
public sealed record L3Subnet(
    string Id,
    string Cidr,
    int IpVersion,
    string? GatewayIp,
    string? Ipv6RaMode,
    string? Ipv6AddressMode,
    IReadOnlyList<string> DnsNameservers,
    string? AddressScopeId);

/// <param name="FixedAddress">Where it leads to; null where only its <paramref name="PortForwardings"/> do.</param>
/// <param name="Status">As the API shows it: <c>ACTIVE</c>, <c>DOWN</c> or <c>ERROR</c>.</param>
public sealed record L3FloatingIp(
    string Id, string FloatingAddress, string? FixedAddress, string Status, IReadOnlyList<L3PortForwarding> PortForwardings, IReadOnlyList<BandwidthLimit> BandwidthLimits);

/// <summary>Ports of a floating IP that lead to ports of an inner address: both ranges are of one size, or the inner one is a single port that all lead to.</summary>
/// <param name="Protocol"><c>tcp</c>, <c>udp</c>, <c>sctp</c>, <c>dccp</c> or <c>icmp</c>.</param>
public sealed record L3PortForwarding(string Id, string Protocol, int ExternalPortFirst, int ExternalPortLast, string InternalAddress, int InternalPortFirst, int InternalPortLast);

/// <param name="Direction"><c>ingress</c> (towards the inner networks) or <c>egress</c>.</param>
/// <param name="MaxBurstKbps">In kilobits; 0 for 80 % of <paramref name="MaxKbps"/>.</param>
public sealed record BandwidthLimit(string Direction, int MaxKbps, int MaxBurstKbps);

/// <param name="Helper">The kernel's name for it: <c>ftp</c>, <c>tftp</c>, …</param>
public sealed record L3ConntrackHelper(string Protocol, int Port, string Helper);

/// <summary>What the agent saw of floating IPs: <c>ACTIVE</c> where it works, <c>DOWN</c> where it was taken away, <c>ERROR</c> where it cannot be.</summary>
public sealed record L3FloatingIpReport(string Host, string RouterId, IReadOnlyList<L3FloatingIpSeen> FloatingIps);

public sealed record L3FloatingIpSeen(string Id, string Status);

/// <summary>What VRRP decided on this host.</summary>
public sealed record L3RouterStateReport(string Host, IReadOnlyList<L3RouterState> Routers);

/// <param name="State"><c>active</c> (serves), <c>standby</c> or <c>unknown</c>.</param>
public sealed record L3RouterState(string RouterId, string State);

/// <summary>Look at these routers. It may be lost, doubled, or late: the receiver asks the server for the whole truth by the ids.</summary>
public sealed record RoutersHint(IReadOnlyList<string> RouterIds);

/// <summary>Between the server and the L3 agents.</summary>
public static class L3Contracts
{
    /// <summary>Asked at the start and on a slow period (all), and after hints (some).</summary>
    public static readonly BusContract<L3RoutersRequest, L3RoutersAnswer> GetRouters =
        new(NeutronTopics.Server, "sync_routers", 1, NeutronContractsJson.Default.L3RoutersRequest, NeutronContractsJson.Default.L3RoutersAnswer);

    /// <summary>Sets the status of floating IPs of a router on this host. Repeating it changes nothing.</summary>
    public static readonly BusContract<L3FloatingIpReport, Ack> ReportFloatingIps =
        new(NeutronTopics.Server, "update_floatingip_statuses", 1, NeutronContractsJson.Default.L3FloatingIpReport, NeutronContractsJson.Default.Ack);

    /// <summary>Who is active: the server moves the bindings of the router's ports to that host. Repeating it changes nothing.</summary>
    public static readonly BusContract<L3RouterStateReport, Ack> ReportStates =
        new(NeutronTopics.Server, "update_ha_routers_states", 1, NeutronContractsJson.Default.L3RouterStateReport, NeutronContractsJson.Default.Ack);

    /// <summary>Cast to the hosts that serve the routers, and to one that no longer does: ask <see cref="GetRouters"/> for them.</summary>
    public static readonly BusContract<RoutersHint, Ack> RoutersChanged =
        new(NeutronTopics.L3Agent, "routers_updated", 1, NeutronContractsJson.Default.RoutersHint, NeutronContractsJson.Default.Ack);
}

/// <summary>Neutron's names for what routers own: <c>device_owner</c> of their ports.</summary>
public static class RouterPortOwners
{
    public const string Interface = "network:router_interface";
    public const string HaInterface = "network:ha_router_replicated_interface";
    public const string Gateway = "network:router_gateway";
    public const string HaPort = "network:router_ha_interface";
    public const string FloatingIp = "network:floatingip";
}
