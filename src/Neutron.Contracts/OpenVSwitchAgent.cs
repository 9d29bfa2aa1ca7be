using System.Text.Json.Serialization;
using SharpStack.Foundation.Bus;

namespace SharpStack.Neutron.Contracts;

/// <param name="Host">The asking agent's host: only ports that are bound to it are answered.</param>
/// <param name="PortIds">The ports asked for; null for every port that is bound to the host.</param>
public sealed record DevicesRequest(string Host, IReadOnlyList<string>? PortIds);

/// <param name="Devices">The ports that are bound to the host, whole.</param>
/// <param name="Unknown">Of the ports asked for: those that do not exist, or are not (or no longer, or not successfully) bound to this host. Their wiring goes away.</param>
public sealed record DevicesAnswer(IReadOnlyList<DeviceDetails> Devices, IReadOnlyList<string> Unknown);

/// <summary>A port as its host wires it.</summary>
/// <param name="NetworkType"><c>local</c>, <c>flat</c>, <c>vlan</c>, <c>vxlan</c>, <c>gre</c>, <c>geneve</c>.</param>
/// <param name="PhysicalNetwork">For <c>flat</c> and <c>vlan</c>; otherwise null.</param>
/// <param name="SegmentationId">VLAN id or tunnel key; null for <c>local</c> and <c>flat</c>.</param>
/// <param name="Mtu">Of the network, in bytes.</param>
/// <param name="Revision">The port's <c>revision_number</c>; goes back in the status report.</param>
public sealed record DeviceDetails(
    string PortId,
    string NetworkId,
    string ProjectId,
    string NetworkType,
    string? PhysicalNetwork,
    int? SegmentationId,
    int Mtu,
    string MacAddress,
    IReadOnlyList<DeviceAddress> FixedIps,
    IReadOnlyList<AddressPair> AllowedAddressPairs,
    bool AdminStateUp,
    string Status,
    string DeviceOwner,
    string DeviceId,
    bool PortSecurityEnabled,
    IReadOnlyList<string> SecurityGroupIds,
    long Revision,
    DeviceQos? Qos = null,
    DeviceTrunk? Trunk = null);

/// <summary>What the QoS policy of a port, or else of its network, says; what it does not say is null.</summary>
/// <param name="BandwidthLimits">At most one a direction: <c>egress</c> of what the instance sends, <c>ingress</c> of what it gets.</param>
/// <param name="DscpMark">0 to 56.</param>
public sealed record DeviceQos(IReadOnlyList<BandwidthLimit> BandwidthLimits, int? DscpMark);

/// <summary>The trunk that a port carries, as its host wires it.</summary>
/// <param name="Revision">The trunk's <c>revision_number</c>; goes back in the status report.</param>
/// <param name="Status">What the API shows.</param>
public sealed record DeviceTrunk(string TrunkId, long Revision, string Status, IReadOnlyList<DeviceSubPort> SubPorts)
{
    public const string Down = "DOWN";
    public const string Build = "BUILD";
    public const string Active = "ACTIVE";
    public const string Degraded = "DEGRADED";
    public const string Error = "ERROR";

    /// <summary>The bridge that the port is plugged into on its host.</summary>
    [JsonIgnore]
    public string Bridge => BridgeOf(TrunkId);

    /// <summary>Fourteen characters, as OpenStack's OVS driver names it.</summary>
    public static string BridgeOf(string trunkId) => $"tbr-{trunkId}"[..14];
}

/// <param name="SegmentationId">The VLAN that its packets have inside the instance.</param>
public sealed record DeviceSubPort(string PortId, string MacAddress, int SegmentationId);

/// <param name="Cidr">The subnet's, such as <c>10.0.0.0/24</c>.</param>
public sealed record DeviceAddress(string IpAddress, string SubnetId, string Cidr, string? GatewayIp);

/// <param name="MacAddress">The port's own where the user gave none.</param>
/// <param name="IpAddress">An address or a CIDR.</param>
public sealed record AddressPair(string MacAddress, string IpAddress);

public sealed record SecurityGroupsRequest(string Host, IReadOnlyList<string> SecurityGroupIds);

/// <param name="Groups">The groups asked for that exist.</param>
/// <param name="Members">
/// For each security group that a rule of <paramref name="Groups"/> names as its remote side: its members' addresses, allowed address pairs too; for each address group: its
/// addresses, with an empty MAC address. Sorted.
/// </param>
public sealed record SecurityGroupsAnswer(
    IReadOnlyList<SecurityGroupDetails> Groups, IReadOnlyDictionary<string, IReadOnlyList<AddressPair>> Members);

/// <param name="Stateful">False where replies need rules of their own: no connection is tracked.</param>
public sealed record SecurityGroupDetails(string Id, bool Stateful, long Revision, IReadOnlyList<SecurityGroupRuleDetails> Rules);

/// <param name="Direction"><c>ingress</c> or <c>egress</c>.</param>
/// <param name="EtherType"><c>IPv4</c> or <c>IPv6</c>.</param>
/// <param name="Protocol">IANA's number; null for any. ICMP in an IPv6 rule is 58 already.</param>
/// <param name="PortMin">First port, or the ICMP type; null for any.</param>
/// <param name="PortMax">Last port, or the ICMP code; null for any.</param>
/// <param name="RemoteIpPrefix">A CIDR, normalised (<c>0.0.0.0/0</c> and <c>::/0</c> are given as null: any).</param>
public sealed record SecurityGroupRuleDetails(
    string Id, string Direction, string EtherType, int? Protocol, int? PortMin, int? PortMax, string? RemoteIpPrefix, string? RemoteGroupId, string? RemoteAddressGroupId = null)
{
    /// <summary>The security group or the address group that is the remote side; null for a network, or any.</summary>
    [JsonIgnore]
    public string? Remote => RemoteGroupId ?? RemoteAddressGroupId;
}

/// <summary>What the agent saw.</summary>
/// <param name="Up">Ports that are wired and filtered.</param>
/// <param name="Down">Ports that were unplugged, or whose wiring was taken away.</param>
public sealed record DeviceStatusReport(string Host, IReadOnlyList<DeviceSeen> Up, IReadOnlyList<DeviceSeen> Down);

/// <param name="Revision">Of the <see cref="DeviceDetails"/> that were wired; 0 where not known (a port that went away).</param>
public sealed record DeviceSeen(string PortId, long Revision);

/// <param name="LookAgain">Ports whose binding changed since the revision seen: the report was not taken, ask for them again.</param>
public sealed record DeviceStatusAnswer(IReadOnlyList<string> LookAgain);

/// <summary>How far the agent is with trunks.</summary>
public sealed record TrunkStatusReport(string Host, IReadOnlyList<TrunkSeen> Trunks);

/// <param name="Revision">Of the <see cref="DeviceTrunk"/> that was wired.</param>
/// <param name="Status"><c>BUILD</c>, <c>ACTIVE</c>, or <c>DEGRADED</c> where subports are missing.</param>
public sealed record TrunkSeen(string TrunkId, long Revision, string Status);

/// <param name="LookAgain">Ports whose trunk changed, or moved, since the revision seen: the report was not taken, ask for them again.</param>
public sealed record TrunkStatusAnswer(IReadOnlyList<string> LookAgain);

/// <param name="Host">The asking agent's host, which is left out of the answer.</param>
public sealed record TunnelsRequest(string Host);

/// <param name="Endpoints">Every other host with an OVS agent that has a tunnel address, whether the agent lives or not: traffic does not need it. Sorted by host.</param>
public sealed record TunnelsAnswer(IReadOnlyList<TunnelEndpoint> Endpoints);

/// <param name="Address">The agent's <c>[ovs] local_ip</c>.</param>
/// <param name="Types">Its <c>[agent] tunnel_types</c>.</param>
public sealed record TunnelEndpoint(string Host, string Address, IReadOnlyList<string> Types);

public sealed record ForwardingRequest(string Host, IReadOnlyList<string> NetworkIds);

/// <param name="IsPopulated">Whether the server runs the mechanism driver <c>l2population</c>; without it agents flood to every endpoint and learn.</param>
/// <param name="Networks">For each network asked for, where its ACTIVE ports on other hosts are. A network without any is there too, empty.</param>
public sealed record ForwardingAnswer(bool IsPopulated, IReadOnlyList<NetworkForwarding> Networks);

/// <param name="Hosts">Sorted by address: broadcasts go to all of them.</param>
public sealed record NetworkForwarding(string NetworkId, IReadOnlyList<RemoteHost> Hosts);

/// <param name="Address">The host's tunnel address.</param>
/// <param name="Ports">Its ports' addresses, sorted; the IP address is empty where a port has none.</param>
public sealed record RemoteHost(string Address, IReadOnlyList<AddressPair> Ports);

/// <summary>Another host's tunnel address came, changed or went: ask for all of them.</summary>
public sealed record TunnelsHint(string Host);

/// <summary>Between the server and the OVS agents.</summary>
public static class OpenVSwitchContracts
{
    /// <summary>Asked at the start and on a slow period (all), and after hints (some).</summary>
    public static readonly BusContract<DevicesRequest, DevicesAnswer> GetDevices =
        new(NeutronTopics.Server, "get_devices_details_list", 1, NeutronContractsJson.Default.DevicesRequest, NeutronContractsJson.Default.DevicesAnswer);

    public static readonly BusContract<SecurityGroupsRequest, SecurityGroupsAnswer> GetSecurityGroups =
        new(NeutronTopics.Server, "get_security_groups", 1, NeutronContractsJson.Default.SecurityGroupsRequest, NeutronContractsJson.Default.SecurityGroupsAnswer);

    /// <summary>Completes the L2 provisioning block of a port, or sets it DOWN. Repeating it changes nothing.</summary>
    public static readonly BusContract<DeviceStatusReport, DeviceStatusAnswer> ReportDevices =
        new(NeutronTopics.Server, "update_device_list", 1, NeutronContractsJson.Default.DeviceStatusReport, NeutronContractsJson.Default.DeviceStatusAnswer);

    /// <summary>Sets what the API shows of trunks. Repeating it changes nothing.</summary>
    public static readonly BusContract<TrunkStatusReport, TrunkStatusAnswer> ReportTrunks =
        new(NeutronTopics.Server, "update_trunk_status", 1, NeutronContractsJson.Default.TrunkStatusReport, NeutronContractsJson.Default.TrunkStatusAnswer);

    /// <summary>Asked at the start, on a slow period, and after hints.</summary>
    public static readonly BusContract<TunnelsRequest, TunnelsAnswer> GetTunnels =
        new(NeutronTopics.Server, "tunnel_sync", 1, NeutronContractsJson.Default.TunnelsRequest, NeutronContractsJson.Default.TunnelsAnswer);

    /// <summary>Asked by agents with <c>[agent] l2_population</c>, for the tunnel networks that they have ports of.</summary>
    public static readonly BusContract<ForwardingRequest, ForwardingAnswer> GetForwarding =
        new(NeutronTopics.Server, "get_fdb_entries", 1, NeutronContractsJson.Default.ForwardingRequest, NeutronContractsJson.Default.ForwardingAnswer);

    /// <summary>Fanned out.</summary>
    public static readonly BusContract<TunnelsHint, Ack> TunnelsChanged =
        new(NeutronTopics.OpenVSwitchAgent, "tunnel_update", 1, NeutronContractsJson.Default.TunnelsHint, NeutronContractsJson.Default.Ack);

    /// <summary>Fanned out by the mechanism driver <c>l2population</c>: a network's ports came up, went, moved or changed addresses.</summary>
    public static readonly BusContract<NetworkHint, Ack> ForwardingChanged =
        new(NeutronTopics.OpenVSwitchAgent, "update_fdb_entries", 1, NeutronContractsJson.Default.NetworkHint, NeutronContractsJson.Default.Ack);

    /// <summary>Cast to the host that the port is bound to, and to the one that it was bound to before; also when the trunk that the port carries changed.</summary>
    public static readonly BusContract<PortHint, Ack> PortChanged =
        new(NeutronTopics.OpenVSwitchAgent, "port_update", 1, NeutronContractsJson.Default.PortHint, NeutronContractsJson.Default.Ack);

    /// <summary>Cast to the host that the port was bound to.</summary>
    public static readonly BusContract<PortHint, Ack> PortDeleted =
        new(NeutronTopics.OpenVSwitchAgent, "port_delete", 1, NeutronContractsJson.Default.PortHint, NeutronContractsJson.Default.Ack);

    /// <summary>Fanned out, also for address groups; agents that use none of the groups, directly or as a remote group, do nothing.</summary>
    public static readonly BusContract<SecurityGroupsHint, Ack> SecurityGroupsChanged =
        new(NeutronTopics.OpenVSwitchAgent, "security_groups_update", 1, NeutronContractsJson.Default.SecurityGroupsHint, NeutronContractsJson.Default.Ack);

    /// <summary>Fanned out: MTU, segment or administrative state changed.</summary>
    public static readonly BusContract<NetworkHint, Ack> NetworkChanged =
        new(NeutronTopics.OpenVSwitchAgent, "network_update", 1, NeutronContractsJson.Default.NetworkHint, NeutronContractsJson.Default.Ack);
}
