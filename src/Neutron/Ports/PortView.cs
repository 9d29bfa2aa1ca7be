using SharpStack.Neutron.Api;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.Ports;

/// <summary>A port with its addresses and groups, and what its network says of who may do what.</summary>
internal sealed record PortView(
    PortRow Row, IReadOnlyList<IpAllocationRow> FixedIps, IReadOnlyList<string> SecurityGroupIds, IReadOnlyList<string> Tags, string NetworkProjectId, bool IsNetworkShared) : IResourceView<PortRow>;
