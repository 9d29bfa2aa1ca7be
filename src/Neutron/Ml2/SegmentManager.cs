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

    public Task<Segment> ReserveProviderAsync(Work work, Segment wanted) => DriverOf(wanted.NetworkType).ReserveProviderAsync(work, wanted);

    /// <summary>The first configured type with a free segment.</summary>
    public async Task<Segment> AllocateTenantAsync(Work work)
    {
        foreach (var driver in tenantDrivers)
        {
            if (await driver.AllocateTenantAsync(work) is { } segment)
            {
                return segment;
            }
        }

        throw NoNetworkAvailable();
    }

    public Task ReleaseAsync(Work work, Segment segment) =>
        drivers.TryGetValue(segment.NetworkType, out var driver) ? driver.ReleaseAsync(work, segment) : SegmentAllocations.ReleaseAsync(work, segment);

    /// <summary>The largest MTU that a network on this segment may have.</summary>
    public int MaxMtu(Segment segment) => DriverOf(segment.NetworkType).Mtu(segment.PhysicalNetwork) is > 0 and var mtu ? mtu : options.GlobalMtu;

    private ITypeDriver DriverOf(string type) =>
        drivers.GetValueOrDefault(type) ?? throw NeutronErrors.InvalidInput($"network_type value '{type}' not supported");
}
