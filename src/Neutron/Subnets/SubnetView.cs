using SharpStack.Neutron.Api;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.Subnets;

/// <summary>A subnet with what its network says of who may do what.</summary>
internal sealed record SubnetView(SubnetRow Row, NetworkRow Network, IReadOnlyList<string> SharedWith, IReadOnlyList<string> Tags, bool IsShared) : IResourceView<SubnetRow>;
