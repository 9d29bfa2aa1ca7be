using SharpStack.Foundation.Bus;

namespace SharpStack.Neutron.Contracts;

/// <summary>What an agent's host has is asked for by an audit.</summary>
public sealed record ViewQuery(string Host);

/// <summary>The ports of a host's integration bridge.</summary>
public sealed record SwitchView(string Host, IReadOnlyList<SwitchPortView> Ports)
{
    /// <summary>The bridges of trunks.</summary>
    public IReadOnlyList<TrunkBridgeView> Trunks { get; init; } = [];
}

/// <param name="Name">The bridge.</param>
/// <param name="PortId">Neutron's port that is plugged into it; null where nothing is.</param>
/// <param name="SubPorts">What leads out of it by a tag.</param>
public sealed record TrunkBridgeView(string Name, string? PortId, IReadOnlyList<TrunkSubPortView> SubPorts);

public sealed record TrunkSubPortView(string PortId, int Vlan);

/// <param name="Name">The device.</param>
/// <param name="PortId">Neutron's port that it is marked as; null for devices that are none.</param>
/// <param name="Error">Why the switch cannot use the device; null where it can.</param>
public sealed record SwitchPortView(string Name, string? PortId, string? Error);

/// <summary>The DHCP servers of a host, running or left over.</summary>
public sealed record DhcpView(string Host, IReadOnlyList<DhcpServerView> Networks);

/// <param name="HasNamespace">The namespace <c>qdhcp-NETWORK</c> is there.</param>
/// <param name="IsRunning">Its dnsmasq runs.</param>
/// <param name="Entries">Who is to be given an IPv4 address.</param>
public sealed record DhcpServerView(string NetworkId, bool HasNamespace, bool IsRunning, IReadOnlyList<DhcpEntryView> Entries);

public sealed record DhcpEntryView(string MacAddress, string IpAddress);

/// <summary>The routers of a host, served or left over.</summary>
public sealed record RoutersView(string Host, IReadOnlyList<RouterView> Routers);

/// <param name="HasNamespace">The namespace <c>qrouter-ROUTER</c> is there.</param>
/// <param name="Devices">The ports' devices in it, by name: <c>qr-</c>, <c>qg-</c>, <c>ha-</c>.</param>
/// <param name="OuterAddresses">The addresses of its <c>qg-</c> device.</param>
/// <param name="FloatingIps">Destinations that its packet filter translates: floating IPs, and what they lead to.</param>
/// <param name="SourceAddresses">What inner addresses leave under where no floating IP is theirs; empty without SNAT.</param>
public sealed record RouterView(
    string RouterId, bool HasNamespace, IReadOnlyList<string> Devices, IReadOnlyList<string> OuterAddresses, IReadOnlyList<FloatingIpView> FloatingIps, IReadOnlyList<string> SourceAddresses);

public sealed record FloatingIpView(string FloatingAddress, string FixedAddress);

/// <summary>Questions of an audit to agents, each addressed to one host.</summary>
public static class ViewContracts
{
    public static readonly BusContract<ViewQuery, SwitchView> InspectSwitch =
        new(NeutronTopics.OpenVSwitchAgent, "inspect", 1, NeutronContractsJson.Default.ViewQuery, NeutronContractsJson.Default.SwitchView);

    public static readonly BusContract<ViewQuery, DhcpView> InspectDhcp =
        new(NeutronTopics.DhcpAgent, "inspect", 1, NeutronContractsJson.Default.ViewQuery, NeutronContractsJson.Default.DhcpView);

    public static readonly BusContract<ViewQuery, RoutersView> InspectRouters =
        new(NeutronTopics.L3Agent, "inspect", 1, NeutronContractsJson.Default.ViewQuery, NeutronContractsJson.Default.RoutersView);
}
