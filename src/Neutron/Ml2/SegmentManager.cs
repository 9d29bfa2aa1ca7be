using LinqToDB;
using SharpStack.Foundation;
using SharpStack.Neutron.Api;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.Ml2;

/// <summary>Gives networks their segments, with the type drivers that are configured.</summary>
internal sealed class SegmentManager
{
    private readonly Dictionary<string, ITypeDriver> drivers;
    private readonly ITypeDriver[] tenantDrivers;
    private readonly NeutronOptions options;

    public SegmentManager(NeutronOptions options, IEnumerable<ITypeDriver> known)
    {
        this.options = options;
        var byName = known.ToDictionary(driver => driver.Name);
        drivers = options.TypeDrivers.ToDictionary(
            name => name,
            name => byName.GetValueOrDefault(name) ?? throw new FormatException($"[ml2] type_drivers: there is no type driver '{name}', only {string.Join(", ", byName.Keys)}"));
        tenantDrivers = [.. options.TenantNetworkTypes.Select(name => drivers.GetValueOrDefault(name)
            ?? throw new FormatException($"[ml2] tenant_network_types: '{name}' is not among type_drivers"))];
    }

    public static CloudException NoNetworkAvailable() =>
        CloudException.Unavailable("Unable to create the network. No tenant network is available for allocation.", "NoNetworkAvailable");

    /// <summary>The type drivers, in the order of the configuration.</summary>
    public IEnumerable<ITypeDriver> Drivers => drivers.Values;

    public ITypeDriver? Find(string type) => drivers.GetValueOrDefault(type);

    public Task<Segment> ReserveProviderAsync(Work work, string projectId, Segment wanted) => DriverOf(wanted.NetworkType).ReserveProviderAsync(work, projectId, wanted);

    /// <summary>The first configured type with a free segment.</summary>
    public async Task<Segment> AllocateTenantAsync(Work work, string projectId)
    {
        foreach (var driver in tenantDrivers)
        {
            if (await driver.AllocateTenantAsync(work, projectId) is { } segment)
            {
                return segment;
            }
        }

        throw NoNetworkAvailable();
    }

    public Task ReleaseAsync(Work work, Segment segment) =>
        drivers.TryGetValue(segment.NetworkType, out var driver) ? driver.ReleaseAsync(work, segment) : SegmentAllocations.ReleaseAsync(work, segment);

    /// <summary>Makes a segment one of a network's.</summary>
    public static async Task<SegmentRow> AddAsync(Work work, string networkId, Segment segment, int index, string name = "", string description = "")
    {
        var row = work.Stamp(new SegmentRow
        {
            NetworkId = networkId,
            NetworkType = segment.NetworkType,
            PhysicalNetwork = segment.PhysicalNetwork,
            SegmentationId = segment.SegmentationId,
            SegmentIndex = index,
            Name = name,
            Description = description,
        });
        await work.Db.InsertAsync(row, token: work.Cancellation);
        return row;
    }

    /// <summary>The largest MTU that a network on these segments may have.</summary>
    public int MaxMtu(IEnumerable<Segment> segments) => segments.Select(MaxMtu).DefaultIfEmpty(options.GlobalMtu).Min();

    /// <summary>The largest MTU that a network on this segment may have.</summary>
    public int MaxMtu(Segment segment) => DriverOf(segment.NetworkType).Mtu(segment.PhysicalNetwork) is > 0 and var mtu ? mtu : options.GlobalMtu;

    private ITypeDriver DriverOf(string type) =>
        drivers.GetValueOrDefault(type) ?? throw NeutronErrors.InvalidInput($"network_type value '{type}' not supported");
}
