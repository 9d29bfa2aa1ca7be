using SharpStack.Neutron.Api;
using SharpStack.Neutron.Qos;
using SharpStack.Neutron.Storage;
using SharpStack.Neutron.Trunks;

namespace SharpStack.Neutron.Ports;

/// <summary>A port with its addresses and groups, and what its network says of who may do what.</summary>
/// <param name="SharedWith">The projects that the network is shared with one by one.</param>
/// <param name="IsShared">The network is shared with the caller.</param>
internal sealed record PortView(
    PortRow Row, IReadOnlyList<IpAllocationRow> FixedIps, IReadOnlyList<string> SecurityGroupIds, IReadOnlyList<string> Tags, NetworkRow Network, IReadOnlyList<string> SharedWith, bool IsShared)
    : IResourceView<PortRow>
{
    /// <summary>The trunk that it carries; null for none.</summary>
    public TrunkDetails? Trunk { get; init; }

    /// <summary>What it asks of Placement; null for nothing.</summary>
    public IReadOnlyList<RequestGroup>? ResourceRequest { get; init; }
}
