using SharpStack.Neutron.Api;
using SharpStack.Neutron.Ml2;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.Networks;

/// <summary>A network with what belongs to it.</summary>
internal sealed record NetworkView(NetworkRow Row, IReadOnlyList<string> SubnetIds, IReadOnlyList<SegmentRow> Segments, IReadOnlyList<string> Tags, IReadOnlyList<string> Zones)
    : IResourceView<NetworkRow>
{
    public IEnumerable<Segment> WireSegments => Segments.Select(row => new Segment(row.NetworkType, row.PhysicalNetwork, row.SegmentationId));
}
