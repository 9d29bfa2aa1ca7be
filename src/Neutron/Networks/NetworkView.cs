using SharpStack.Neutron.Api;
using SharpStack.Neutron.Ml2;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.Networks;

/// <summary>A network with what belongs to it, as a caller sees it.</summary>
/// <param name="SharedWith">The projects that it is shared with one by one.</param>
/// <param name="IsRouted">Its subnets belong to segments.</param>
internal sealed record NetworkView(
    NetworkRow Row,
    IReadOnlyList<string> SubnetIds,
    IReadOnlyList<SegmentRow> Segments,
    IReadOnlyList<string> Tags,
    IReadOnlyList<string> Zones,
    IReadOnlyList<string> SharedWith,
    bool IsRouted,
    string? Ipv4AddressScope,
    string? Ipv6AddressScope,
    bool IsShared) : IResourceView<NetworkRow>
{
    public IEnumerable<Segment> WireSegments => Segments.Select(row => new Segment(row.NetworkType, row.PhysicalNetwork, row.SegmentationId));

    /// <summary>Shown as provider attributes; networks with several segments list them instead.</summary>
    public SegmentRow? OnlySegment => Segments.Count == 1 ? Segments[0] : null;

    public bool HasManySegments => Segments.Count > 1;
}
