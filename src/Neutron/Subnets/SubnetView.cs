using SharpStack.Neutron.Api;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.Subnets;

/// <summary>A subnet, and what its network says of who may see it.</summary>
internal sealed record SubnetView(SubnetRow Row, string NetworkProjectId, bool IsShared, IReadOnlyList<string> Tags) : IResourceView<SubnetRow>;
