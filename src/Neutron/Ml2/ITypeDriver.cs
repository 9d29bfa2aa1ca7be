using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.Ml2;

/// <summary>A network's place in the world outside.</summary>
internal sealed record Segment(string NetworkType, string? PhysicalNetwork, int? SegmentationId);

/// <summary>A network type of ML2, registered by its name: <c>flat</c>, <c>vlan</c>, <c>vxlan</c>.</summary>
internal interface ITypeDriver
{
    string Name { get; }

    /// <summary>Reserves what an administrator asks for; a missing segmentation id is chosen.</summary>
    Task<Segment> ReserveProviderAsync(Work work, Segment wanted);

    /// <summary>Takes a free segment for a tenant's network; null where there is none.</summary>
    Task<Segment?> AllocateTenantAsync(Work work);

    Task ReleaseAsync(Work work, Segment segment);

    /// <summary>The MTU, in bytes, that the underlay leaves to the network; 0 where it sets no bound.</summary>
    int Mtu(string? physicalNetwork);
}
