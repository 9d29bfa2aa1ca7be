using SharpStack.Neutron.Api;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.SubnetPools;

/// <summary>A subnet pool as a caller sees it.</summary>
internal sealed record SubnetPoolView(SubnetPoolRow Row, IReadOnlyList<string> SharedWith, IReadOnlyList<string> Tags, bool IsShared) : IResourceView<SubnetPoolRow>, ISharedView;
