using System.Text.Json;
using SharpStack.Foundation;
using SharpStack.Neutron.Api;
using SharpStack.Neutron.Ipam;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.Subnets;

/// <summary>What a subnet may be: pools within its CIDR, a gateway that is no pool's, IPv6 modes that fit.</summary>
internal static class SubnetRules
{
    /// <summary>The last ones are OpenStack's too, which takes each letter of "compute:" for a prefix; its own tests count on one of them.</summary>
    private static readonly string[] ServiceTypePrefixes = ["network:", "neutron:", "trunk:", .. "compute:".Select(static letter => letter.ToString())];

    private const string Slaac = "slaac";
    private const string Stateless = "dhcpv6-stateless";

    /// <summary>Owners of ports that a subnet is for: whole names, or the beginnings that Neutron knows.</summary>
    public static string? CheckServiceTypes(JsonElement value)
    {
        if (value.ValueKind == JsonValueKind.Null)
        {
            return null;
        }

        if (value.ValueKind != JsonValueKind.Array)
        {
            throw NeutronErrors.BadRequest("Subnet service types must be a list.");
        }

        foreach (var item in value.EnumerateArray())
        {
            if (item.ValueKind != JsonValueKind.String)
            {
                throw CloudException.BadRequest($"Subnet service type {Checks.Shown(item)} is not a string.", "InvalidInputSubnetServiceType");
            }

            if (!ServiceTypePrefixes.Any(prefix => item.GetString()!.StartsWith(prefix, StringComparison.Ordinal)))
            {
                throw CloudException.BadRequest($"Subnet service type {item.GetString()} does not correspond to a valid device owner.", "InvalidSubnetServiceType");
            }
        }

        return null;
    }

    /// <summary>Addresses of such subnets follow from the MAC; every port of the network gets one.</summary>
    public static bool IsAutoAddress(SubnetRow subnet) => subnet.Ipv6AddressMode is Slaac or Stateless || subnet.Ipv6RaMode is Slaac or Stateless;

    public static List<IpRange> PoolsOf(SubnetRow subnet) =>
        [.. JsonText.Pairs(subnet.AllocationPools, "start", "end").Select(pool => new IpRange(Addresses.Parse(pool.First), Addresses.Parse(pool.Second)))];

    public static string Write(IEnumerable<IpRange> pools, int version) =>
        JsonText.OfPairs("start", "end", pools.Select(pool => (Addresses.Format(pool.First, version), Addresses.Format(pool.Last, version))));

    /// <summary>Everything that hosts may have, without the gateway.</summary>
    public static List<IpRange> DefaultPools(Cidr cidr, UInt128? gateway)
    {
        var all = new IpRange(cidr.FirstHost, cidr.LastHost);
        if (gateway is not { } address || !all.Contains(address))
        {
            return [all];
        }

        var pools = new List<IpRange>();
        if (address > all.First)
        {
            pools.Add(new IpRange(all.First, address - 1));
        }

        if (address < all.Last)
        {
            pools.Add(new IpRange(address + 1, all.Last));
        }

        return pools;
    }

    /// <summary>Reads wished pools and refuses those that are no ranges, leave the CIDR or overlap.</summary>
    public static List<IpRange> ReadPools(Body body, Cidr cidr)
    {
        var pools = new List<IpRange>();
        foreach (var item in body.Items("allocation_pools"))
        {
            var (start, end) = (item.GetProperty("start").GetString()!, item.GetProperty("end").GetString()!);
            var (first, firstVersion) = Addresses.Read(start);
            var (last, lastVersion) = Addresses.Read(end);
            if (first > last || firstVersion != lastVersion || firstVersion != cidr.Version)
            {
                throw CloudException.BadRequest($"The allocation pool {start}-{end} is not valid.", "InvalidAllocationPool");
            }

            if (first < cidr.FirstHost || last > cidr.LastHost)
            {
                throw CloudException.BadRequest($"The allocation pool {start}-{end} spans beyond the subnet cidr {cidr}.", "OutOfBoundsAllocationPool");
            }

            pools.Add(new IpRange(first, last));
        }

        pools.Sort(static (left, right) => left.First.CompareTo(right.First));
        for (var i = 1; i < pools.Count; i++)
        {
            if (pools[i].First <= pools[i - 1].Last)
            {
                throw NeutronErrors.Conflict(
                    "OverlappingAllocationPools",
                    $"Found overlapping allocation pools: {Shown(pools[i - 1], cidr)} {Shown(pools[i], cidr)} for subnet {cidr}.");
            }
        }

        return pools;
    }

    public static void CheckGateway(Cidr cidr, string? gateway, List<IpRange> pools)
    {
        if (gateway is null)
        {
            return;
        }

        var address = Addresses.Parse(gateway);
        if (cidr.Version == 4 && cidr.PrefixLength < 31 && (address == cidr.First || address == cidr.Last))
        {
            throw NeutronErrors.InvalidInput("Gateway is not valid on subnet");
        }

        if (pools.FindIndex(pool => pool.Contains(address)) is >= 0 and var index)
        {
            throw NeutronErrors.Conflict("GatewayConflictWithAllocationPools", $"Gateway ip {gateway} conflicts with allocation pool {Shown(pools[index], cidr)}.");
        }
    }

    public static void CheckVersion(string name, string address, int version)
    {
        if (Cidr.Parse(address).Version != version)
        {
            throw NeutronErrors.InvalidInput($"{name} '{address}' does not match the ip_version '{version}'");
        }
    }

    /// <summary>What DHCP cannot serve.</summary>
    public static void CheckDhcp(Cidr cidr)
    {
        if (cidr.PrefixLength > (cidr.Version == 4 ? 30 : 126))
        {
            throw NeutronErrors.InvalidInput("Subnet has a prefix length that is incompatible with DHCP service enabled");
        }

        if (Cidr.Parse(cidr.Version == 4 ? "224.0.0.0/4" : "ff00::/8").Overlaps(cidr))
        {
            throw NeutronErrors.InvalidInput("Multicast IP subnet is not supported if enable_dhcp is True");
        }

        if (Cidr.Parse(cidr.Version == 4 ? "127.0.0.0/8" : "::1/128").Overlaps(cidr))
        {
            throw NeutronErrors.InvalidInput("Loopback IP subnet is not supported if enable_dhcp is True");
        }

        if (cidr.Version == 4 && cidr.First == 0)
        {
            throw NeutronErrors.InvalidInput("First IP '0.0.0.0' of network is not supported if enable_dhcp is True");
        }
    }

    public static void CheckIpv6Modes(Body body, int version, bool enableDhcp, Cidr cidr)
    {
        var (ra, address) = (body.TextOrNull("ipv6_ra_mode"), body.TextOrNull("ipv6_address_mode"));
        if (ra is null && address is null)
        {
            return;
        }

        if (version == 4)
        {
            throw NeutronErrors.InvalidInput($"{(ra is null ? "ipv6_address_mode" : "ipv6_ra_mode")} is not valid when ip_version is 4");
        }

        if (!enableDhcp)
        {
            throw NeutronErrors.InvalidInput("ipv6_ra_mode or ipv6_address_mode cannot be set when enable_dhcp is set to False");
        }

        if (ra is not null && address is not null && ra != address)
        {
            throw NeutronErrors.InvalidInput($"ipv6_ra_mode set to '{ra}' with ipv6_address_mode set to '{address}' is not valid. If both attributes are set, they must be the same value");
        }

        if ((address ?? ra) is Slaac or Stateless && cidr.PrefixLength != 64)
        {
            throw NeutronErrors.InvalidInput($"Invalid CIDR {cidr} for IPv6 address mode. OpenStack uses the EUI-64 address format, which requires the prefix to be /64");
        }
    }

    private static string Shown(IpRange pool, Cidr cidr) => $"{Addresses.Format(pool.First, cidr.Version)}-{Addresses.Format(pool.Last, cidr.Version)}";
}
