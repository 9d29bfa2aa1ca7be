using System.Globalization;
using SharpStack.Foundation;
using SharpStack.Neutron.Api;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.Ml2;

/// <summary><c>local</c>: a network that stays within each host.</summary>
internal sealed class LocalTypeDriver : ITypeDriver
{
    public string Name => "local";

    public Task<Segment> ReserveProviderAsync(Work work, string projectId, Segment wanted) =>
        wanted.PhysicalNetwork is not null ? throw NeutronErrors.InvalidInput("physical_network prohibited for local provider network")
        : wanted.SegmentationId is not null ? throw NeutronErrors.InvalidInput("segmentation_id prohibited for local provider network")
        : Task.FromResult(wanted);

    public Task<Segment?> AllocateTenantAsync(Work work, string projectId) => Task.FromResult<Segment?>(new Segment(Name, null, null));

    public Task ReleaseAsync(Work work, Segment segment) => Task.CompletedTask;

    public int Mtu(string? physicalNetwork) => 0;
}

/// <summary><c>flat</c>: a whole physical network, untagged.</summary>
internal sealed class FlatTypeDriver(NeutronOptions options) : ITypeDriver
{
    public string Name => "flat";

    public async Task<Segment> ReserveProviderAsync(Work work, string projectId, Segment wanted)
    {
        if (string.IsNullOrEmpty(wanted.PhysicalNetwork))
        {
            throw NeutronErrors.InvalidInput("physical_network required for flat provider network");
        }

        if (options.FlatNetworks.Count == 0)
        {
            throw NeutronErrors.InvalidInput("Flat provider networks are disabled");
        }

        if (!options.FlatNetworks.Contains("*") && !options.FlatNetworks.Contains(wanted.PhysicalNetwork))
        {
            throw NeutronErrors.InvalidInput($"physical_network '{wanted.PhysicalNetwork}' unknown for flat provider network");
        }

        if (wanted.SegmentationId is not null)
        {
            throw NeutronErrors.InvalidInput("segmentation_id prohibited for flat provider network");
        }

        return await SegmentAllocations.TryTakeAsync(work, wanted) ? wanted
            : throw NeutronErrors.Conflict("FlatNetworkInUse", $"Unable to create the flat network. Physical network {wanted.PhysicalNetwork} is in use.");
    }

    public Task<Segment?> AllocateTenantAsync(Work work, string projectId) => Task.FromResult<Segment?>(null);

    public Task ReleaseAsync(Work work, Segment segment) => SegmentAllocations.ReleaseAsync(work, segment);

    public int Mtu(string? physicalNetwork) => PhysicalMtu.Of(options, physicalNetwork);
}

/// <summary><c>vlan</c>: a tag on a physical network.</summary>
internal sealed class VlanTypeDriver(NeutronOptions options) : ITypeDriver
{
    private const int MinId = 1;
    private const int LargestId = 4094;

    private readonly ILookup<string, (int Min, int Max)> ranges = Parse(options.VlanRanges);

    public string Name => "vlan";

    public int MaxId => LargestId;

    public IEnumerable<SegmentRange> Ranges => ranges.SelectMany(network => network.Where(range => range.Max > 0).Select(range => new SegmentRange(network.Key, range.Min, range.Max)));

    public async Task<Segment> ReserveProviderAsync(Work work, string projectId, Segment wanted)
    {
        if (string.IsNullOrEmpty(wanted.PhysicalNetwork))
        {
            if (wanted.SegmentationId is not null)
            {
                throw NeutronErrors.InvalidInput("segmentation_id requires physical_network for VLAN provider network");
            }

            return await AllocateTenantAsync(work, projectId) ?? throw SegmentManager.NoNetworkAvailable();
        }

        if (!ranges.Contains(wanted.PhysicalNetwork))
        {
            throw NeutronErrors.InvalidInput($"physical_network '{wanted.PhysicalNetwork}' unknown for VLAN provider network");
        }

        if (wanted.SegmentationId is not { } id)
        {
            return await SegmentAllocations.TakeFreeAsync(work, projectId, Name, Ranges, wanted.PhysicalNetwork) ?? throw SegmentManager.NoNetworkAvailable();
        }

        if (id is < MinId or > LargestId)
        {
            throw NeutronErrors.InvalidInput($"segmentation_id out of range ({MinId} through {LargestId})");
        }

        return await SegmentAllocations.TryTakeAsync(work, wanted) ? wanted
            : throw NeutronErrors.Conflict("VlanIdInUse", $"Unable to create the network. The VLAN {id} on physical network {wanted.PhysicalNetwork} is in use.");
    }

    public Task<Segment?> AllocateTenantAsync(Work work, string projectId) => SegmentAllocations.TakeFreeAsync(work, projectId, Name, Ranges);

    public Task ReleaseAsync(Work work, Segment segment) => SegmentAllocations.ReleaseAsync(work, segment);

    public int Mtu(string? physicalNetwork) => PhysicalMtu.Of(options, physicalNetwork);

    /// <summary>A range of 0 to 0 stands for a physical network without VLANs for tenants.</summary>
    private static ILookup<string, (int Min, int Max)> Parse(IReadOnlyList<string> texts) =>
        texts.Select(text => text.Split(':')).Select(parts => parts switch
        {
            [{ Length: > 0 } name] => (Name: name, Range: (Min: 0, Max: 0)),
            [{ Length: > 0 } name, var min, var max] when int.TryParse(min, CultureInfo.InvariantCulture, out var low) && int.TryParse(max, CultureInfo.InvariantCulture, out var high)
                && low is >= MinId and <= LargestId && high >= low && high <= LargestId => (Name: name, Range: (Min: low, Max: high)),
            _ => throw new FormatException($"[ml2_type_vlan] network_vlan_ranges: '{string.Join(':', parts)}' is neither NAME nor NAME:MIN:MAX with ids from {MinId} to {LargestId}"),
        }).ToLookup(pair => pair.Name, pair => pair.Range);
}

/// <summary><c>vxlan</c>, <c>geneve</c>, <c>gre</c>: a key in tunnels between the hosts.</summary>
internal sealed class TunnelTypeDriver(string name, IReadOnlyList<string> idRanges, int overhead, int maxId, NeutronOptions options) : ITypeDriver
{
    private readonly SegmentRange[] ranges = [.. idRanges.Select(text => Range(name, text, maxId))];

    public string Name => name;

    public int MaxId => maxId;

    public IEnumerable<SegmentRange> Ranges => ranges;

    public async Task<Segment> ReserveProviderAsync(Work work, string projectId, Segment wanted)
    {
        if (!string.IsNullOrEmpty(wanted.PhysicalNetwork))
        {
            throw NeutronErrors.InvalidInput($"provider:physical_network specified for {name} network");
        }

        if (wanted.SegmentationId is not { } id)
        {
            return await AllocateTenantAsync(work, projectId) ?? throw SegmentManager.NoNetworkAvailable();
        }

        if (id < 1 || id > maxId)
        {
            throw NeutronErrors.InvalidInput($"segmentation_id out of range (1 through {maxId})");
        }

        return await SegmentAllocations.TryTakeAsync(work, wanted with { PhysicalNetwork = null }) ? wanted
            : throw NeutronErrors.Conflict("TunnelIdInUse", $"Unable to create the network. The tunnel ID {id} is in use.");
    }

    public Task<Segment?> AllocateTenantAsync(Work work, string projectId) => SegmentAllocations.TakeFreeAsync(work, projectId, name, ranges);

    public Task ReleaseAsync(Work work, Segment segment) => SegmentAllocations.ReleaseAsync(work, segment);

    public int Mtu(string? physicalNetwork) => (options.PathMtu > 0 ? Math.Min(options.PathMtu, options.GlobalMtu) : options.GlobalMtu) - overhead;

    private static SegmentRange Range(string name, string text, int maxId) =>
        text.Split(':') is [var min, var max] && int.TryParse(min, CultureInfo.InvariantCulture, out var low) && int.TryParse(max, CultureInfo.InvariantCulture, out var high)
            && low >= 1 && high >= low && high <= maxId
            ? new SegmentRange(null, low, high) : throw new FormatException($"[ml2_type_{name}]: '{text}' is no range MIN:MAX of ids from 1 to {maxId}");
}

/// <summary>The MTU of networks that are on a physical one.</summary>
internal static class PhysicalMtu
{
    public static int Of(NeutronOptions options, string? physicalNetwork) =>
        physicalNetwork is not null && options.PhysicalNetworkMtus.TryGetValue(physicalNetwork, out var text) && int.TryParse(text, CultureInfo.InvariantCulture, out var mtu)
            ? Math.Min(mtu, options.GlobalMtu) : options.GlobalMtu;
}
