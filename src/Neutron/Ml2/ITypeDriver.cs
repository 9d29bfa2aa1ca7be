using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.Ml2;

/// <summary>A network's place in the world outside.</summary>
internal sealed record Segment(string NetworkType, string? PhysicalNetwork, int? SegmentationId);

/// <summary>A network type of ML2, registered by its name: <c>flat</c>, <c>vlan</c>, <c>vxlan</c>.</summary>
internal interface ITypeDriver
{
    string Name { get; }

    /// <summary>Reserves what an administrator asks for; a missing segmentation id is chosen.</summary>
    Task<Segment> ReserveProviderAsync(Work work, string projectId, Segment wanted);

    /// <summary>Takes a free segment for a project's network; null where there is none.</summary>
    Task<Segment?> AllocateTenantAsync(Work work, string projectId);

    /// <summary>The ranges of the configuration for the networks of projects.</summary>
    IEnumerable<SegmentRange> Ranges => [];

    /// <summary>The largest id that a network may have; 0 where networks of this type have none.</summary>
    int MaxId => 0;

    Task ReleaseAsync(Work work, Segment segment);

    /// <summary>The MTU, in bytes, that the underlay leaves to the network; 0 where it sets no bound.</summary>
    int Mtu(string? physicalNetwork);
}

/// <summary>Ids from one to another, both included, on a physical network or in tunnels.</summary>
internal sealed record SegmentRange(string? PhysicalNetwork, int Min, int Max);
