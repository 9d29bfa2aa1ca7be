using LinqToDB;
using LinqToDB.Async;
using SharpStack.Foundation;
using SharpStack.Neutron.Agents;
using SharpStack.Neutron.Api;
using SharpStack.Neutron.Contracts;
using SharpStack.Neutron.Routers;
using SharpStack.Neutron.Segments;
using SharpStack.Neutron.Storage;
using SharpStack.Neutron.Subnets;

namespace SharpStack.Neutron.Ipam;

/// <summary>An address that was asked for: of a subnet, by itself, or both.</summary>
internal sealed record FixedIpWish(string? SubnetId, string? IpAddress);

/// <summary>
/// Gives ports their addresses. It runs within the write transaction of the port, so that what it finds free stays free; the table's
/// key (network, address) refuses a second owner whatever happens.
/// </summary>
internal sealed class IpAllocator(NeutronOptions options, AgentDirectory agents)
{
    public const string Immediate = "immediate";
    public const string Deferred = "deferred";
    public const string None = "none";

    private const int Candidates = 10;

    /// <summary>Addresses for a new port.</summary>
    /// <param name="wishes">Null: one IPv4 and one IPv6 address of any subnet that has one left, and one of each subnet with automatic addresses.</param>
    /// <returns>What the port got.</returns>
    public async Task<IReadOnlyList<IpAllocationRow>> AllocateAsync(Work work, PortRow port, IReadOnlyList<FixedIpWish>? wishes)
    {
        var subnets = await SubnetsOfAsync(work, port);
        var taken = new List<IpAllocationRow>();
        if (wishes is null && subnets.Count > 0 && subnets.TrueForAll(subnet => subnet.SegmentId is not null))
        {
            if (port.Host.Length == 0)
            {
                port.IpAllocation = Deferred;
                return taken;
            }

            port.IpAllocation = Immediate;
            subnets = await OfHostAsync(work, port, subnets);
        }

        if (wishes is null)
        {
            await AllocateAnyAsync(work, port, subnets, taken);
        }
        else
        {
            CheckCount(wishes);
            await AllocateWishesAsync(work, port, subnets, wishes, [], taken);
        }

        await InsertAsync(work, taken);
        return taken;
    }

    /// <summary>Makes a port's addresses those that are wished; an address of a wished subnet is kept where the port has one, and one that follows from its MAC always.</summary>
    /// <returns>Whether anything changed.</returns>
    public async Task<bool> ChangeAsync(Work work, PortRow port, IReadOnlyList<FixedIpWish> wishes)
    {
        CheckCount(wishes);
        var subnets = await SubnetsOfAsync(work, port);
        var current = await work.Db.GetTable<IpAllocationRow>().Where(ip => ip.PortId == port.Id).OrderBy(ip => ip.Position).ToListAsync(work.Cancellation);
        var kept = new List<IpAllocationRow>();
        var open = new List<FixedIpWish>();
        foreach (var wish in wishes.OrderBy(wish => wish.IpAddress is null))
        {
            var match = current.Find(ip => !kept.Contains(ip) && (wish.IpAddress is null ? ip.SubnetId == wish.SubnetId : ip.IpAddress == Addresses.Canonical(wish.IpAddress)));
            if (match is null)
            {
                open.Add(wish);
            }
            else
            {
                kept.Add(match);
            }
        }

        kept.AddRange(current.Except(kept).Where(ip => FollowsMac(port, subnets.Find(subnet => subnet.Id == ip.SubnetId)!)).ToList());
        var gone = current.Except(kept).ToList();
        foreach (var ip in gone)
        {
            await work.Db.GetTable<IpAllocationRow>().Where(row => row.NetworkId == ip.NetworkId && row.IpAddress == ip.IpAddress).DeleteAsync(work.Cancellation);
        }

        var taken = new List<IpAllocationRow>();
        await AllocateWishesAsync(work, port, subnets, open, kept, taken);
        var position = kept.Count == 0 ? 0 : kept.Max(ip => ip.Position) + 1;
        taken.ForEach(ip => ip.Position += position);
        await InsertAsync(work, taken);
        return gone.Count > 0 || taken.Count > 0;
    }

    /// <summary>The automatic addresses of a port whose MAC changed.</summary>
    public async Task FollowMacAsync(Work work, PortRow port)
    {
        foreach (var subnet in (await SubnetsOfAsync(work, port)).Where(subnet => FollowsMac(port, subnet)))
        {
            var address = AutoAddress(port, subnet, 0).IpAddress;
            await work.Db.GetTable<IpAllocationRow>().Where(ip => ip.PortId == port.Id && ip.SubnetId == subnet.Id).Set(ip => ip.IpAddress, address).UpdateAsync(work.Cancellation);
        }
    }

    /// <summary>Whether a port has the address that follows from its MAC: not so a router's, which has the subnet's gateway or what it was given.</summary>
    public static bool FollowsMac(PortRow port, SubnetRow subnet) => SubnetRules.IsAutoAddress(subnet) && !RouterPorts.IsInterface(port.DeviceOwner);

    /// <summary>The address that follows from a port's MAC in a subnet with automatic addresses.</summary>
    public static async Task AddAutoAddressAsync(Work work, PortRow port, SubnetRow subnet)
    {
        var position = await work.Db.GetTable<IpAllocationRow>().CountAsync(ip => ip.PortId == port.Id, work.Cancellation);
        await InsertAsync(work, [AutoAddress(port, subnet, position)]);
    }

    private async Task AllocateAnyAsync(Work work, PortRow port, List<SubnetRow> subnets, List<IpAllocationRow> taken)
    {
        var usable = subnets.FindAll(subnet => ServiceFits(subnet, port.DeviceOwner));
        if (usable.Count == 0 && subnets.Count > 0)
        {
            throw NeutronErrors.Conflict(
                "IpAddressGenerationFailureNoMatchingSubnet",
                $"No valid service subnet for the given device owner, network {port.NetworkId}, service type {port.DeviceOwner}.");
        }

        foreach (var version in (int[])[4, 6])
        {
            var choices = usable.FindAll(subnet => subnet.IpVersion == version && !SubnetRules.IsAutoAddress(subnet));
            IpAllocationRow? found = null;
            foreach (var subnet in choices)
            {
                if (await FindFreeAsync(work, port, subnet, taken) is { } address)
                {
                    found = Row(port, subnet, address, taken.Count);
                    break;
                }
            }

            if (found is not null)
            {
                taken.Add(found);
            }
            else if (choices.Count > 0)
            {
                throw NeutronErrors.Conflict("IpAddressGenerationFailure", $"No more IP addresses available on network {port.NetworkId}.");
            }
        }

        AddAutoAddresses(port, usable, taken);
    }

    /// <summary>Of a routed network the subnets of the segment that the port's host is on.</summary>
    private async Task<List<SubnetRow>> OfHostAsync(Work work, PortRow port, List<SubnetRow> subnets)
    {
        var reached = await SegmentRules.OfHostAsync(work, agents, port.NetworkId, port.Host);
        return reached.Count == 0 ? throw NeutronErrors.Conflict("HostNotConnectedToAnySegment", $"Host {port.Host} is not connected to any segments on routed provider network '{port.NetworkId}'. It should be connected to one.")
            : reached.Count > 1 ? throw NeutronErrors.Conflict("HostConnectedToMultipleSegments", $"Host {port.Host} is connected to multiple segments on routed provider network '{port.NetworkId}'. It should be connected to one.")
            : subnets.FindAll(subnet => reached.Contains(subnet.SegmentId!));
    }

    private static async Task AllocateWishesAsync(Work work, PortRow port, List<SubnetRow> subnets, IReadOnlyList<FixedIpWish> wishes, List<IpAllocationRow> kept, List<IpAllocationRow> taken)
    {
        // The ones asked for by address first, so that none of the others is given away.
        foreach (var wish in wishes.Where(wish => wish.IpAddress is not null))
        {
            var subnet = SubnetFor(port, subnets, wish);
            var address = Addresses.Parse(wish.IpAddress!);
            var cidr = Cidr.Parse(subnet.Cidr);
            if (!cidr.Contains(address) || (cidr.Version == 4 && cidr.PrefixLength < 31 && (address == cidr.First || address == cidr.Last)))
            {
                throw CloudException.BadRequest($"IP address {wish.IpAddress} is not a valid IP for the specified subnet.", "InvalidIpForSubnet");
            }

            var row = Row(port, subnet, address, taken.Count);
            if (FollowsMac(port, subnet) && row.IpAddress != AutoAddress(port, subnet, 0).IpAddress)
            {
                throw NeutronErrors.InvalidInput(
                    $"IPv6 address {row.IpAddress} cannot be directly assigned to a port on subnet {subnet.Id} as the subnet is configured for automatic addresses", "AllocationOnAutoAddressSubnet");
            }

            if (taken.Exists(other => other.IpAddress == row.IpAddress)
                || await work.Db.GetTable<IpAllocationRow>().AnyAsync(ip => ip.NetworkId == port.NetworkId && ip.IpAddress == row.IpAddress, work.Cancellation))
            {
                throw NeutronErrors.Conflict("IpAddressAlreadyAllocated", $"IP address {row.IpAddress} already allocated in subnet {subnet.Id}");
            }

            taken.Add(row);
        }

        foreach (var wish in wishes.Where(wish => wish.IpAddress is null))
        {
            var subnet = SubnetFor(port, subnets, wish);
            taken.Add(FollowsMac(port, subnet) ? AutoAddress(port, subnet, taken.Count)
                : await FindFreeAsync(work, port, subnet, taken) is { } address ? Row(port, subnet, address, taken.Count)
                : throw NeutronErrors.Conflict("IpAddressGenerationFailure", $"No more IP addresses available on network {port.NetworkId}."));
        }

        if (wishes.Count > 0)
        {
            AddAutoAddresses(port, subnets.FindAll(subnet => !kept.Exists(ip => ip.SubnetId == subnet.Id)), taken);
        }
    }

    private static void AddAutoAddresses(PortRow port, List<SubnetRow> subnets, List<IpAllocationRow> taken)
    {
        foreach (var subnet in subnets.Where(subnet => FollowsMac(port, subnet) && !taken.Exists(ip => ip.SubnetId == subnet.Id)))
        {
            taken.Add(AutoAddress(port, subnet, taken.Count));
        }
    }

    private static SubnetRow SubnetFor(PortRow port, List<SubnetRow> subnets, FixedIpWish wish)
    {
        if (wish.SubnetId is { } id)
        {
            return subnets.Find(subnet => subnet.Id == id)
                ?? throw NeutronErrors.InvalidInput($"Failed to create port on network {port.NetworkId}, because fixed_ips included invalid subnet {id}");
        }

        if (wish.IpAddress is null)
        {
            throw NeutronErrors.InvalidInput("IP allocation requires subnet_id or ip_address");
        }

        var (address, version) = Addresses.Read(wish.IpAddress);
        return subnets.Find(subnet => subnet.IpVersion == version && Cidr.Parse(subnet.Cidr).Contains(address))
            ?? throw CloudException.BadRequest($"IP address {wish.IpAddress} is not a valid IP for any of the subnets on the specified network.", "InvalidIpForNetwork");
    }

    /// <summary>A free address of the pools: the next one for DHCP ports, a random one for all others. Null where none is left.</summary>
    private static async Task<UInt128?> FindFreeAsync(Work work, PortRow port, SubnetRow subnet, List<IpAllocationRow> taken)
    {
        var pools = SubnetRules.PoolsOf(subnet);
        var wantsNext = port.DeviceOwner == DhcpNames.DeviceOwner;
        var version = subnet.IpVersion;
        UInt128 size = 0;
        pools.ForEach(pool => size += pool.Size);
        if (size == 0)
        {
            return null;
        }

        // Most pools are mostly free: the first guess, or one of a few, spares the reading of all that is in use. Each is a query of its own, whose SQL is made once.
        for (var i = 0; i < Candidates && !(wantsNext && (UInt128)i >= size); i++)
        {
            var address = At(pools, wantsNext ? (UInt128)i : Addresses.Random(size));
            var guess = Addresses.Format(address, version);
            if (!taken.Exists(ip => ip.IpAddress == guess) && !await work.Db.GetTable<IpAllocationRow>().AnyAsync(ip => ip.NetworkId == port.NetworkId && ip.IpAddress == guess, work.Cancellation))
            {
                return address;
            }
        }

        var all = (await work.Db.GetTable<IpAllocationRow>().Where(ip => ip.SubnetId == subnet.Id).Select(ip => ip.IpAddress).ToListAsync(work.Cancellation))
            .Concat(taken.Select(ip => ip.IpAddress)).Select(Addresses.Parse).Where(address => pools.Exists(pool => pool.Contains(address))).Distinct().Order().ToList();
        var left = size - (UInt128)all.Count;
        return left == 0 ? null : FreeAt(pools, all, wantsNext ? 0 : Addresses.Random(left));
    }

    /// <summary>The address at an index of the pools laid end to end.</summary>
    private static UInt128 At(List<IpRange> pools, UInt128 index)
    {
        foreach (var pool in pools)
        {
            if (index < pool.Size)
            {
                return pool.First + index;
            }

            index -= pool.Size;
        }

        throw new ArgumentOutOfRangeException(nameof(index));
    }

    /// <summary>The free address at an index of the free ones.</summary>
    private static UInt128 FreeAt(List<IpRange> pools, List<UInt128> used, UInt128 index)
    {
        foreach (var pool in pools)
        {
            var next = pool.First;
            foreach (var address in used.Where(pool.Contains))
            {
                if (index < address - next)
                {
                    return next + index;
                }

                index -= address - next;
                next = address + 1;
            }

            if (next <= pool.Last && index < pool.Last - next + 1)
            {
                return next + index;
            }

            index -= next <= pool.Last ? pool.Last - next + 1 : 0;
        }

        throw new ArgumentOutOfRangeException(nameof(index));
    }

    private static bool ServiceFits(SubnetRow subnet, string deviceOwner)
    {
        var types = JsonText.Texts(subnet.ServiceTypes);
        return types.Count == 0 || types.Contains(deviceOwner) || deviceOwner == DhcpNames.DeviceOwner;
    }

    private void CheckCount(IReadOnlyList<FixedIpWish> wishes)
    {
        if (wishes.Count > options.MaxFixedIps)
        {
            throw NeutronErrors.InvalidInput("Exceeded maximum amount of fixed ips per port");
        }
    }

    private static Task<List<SubnetRow>> SubnetsOfAsync(Work work, PortRow port) =>
        work.Db.GetTable<SubnetRow>().Where(subnet => subnet.NetworkId == port.NetworkId).OrderBy(subnet => subnet.CreatedAt).ThenBy(subnet => subnet.Id).ToListAsync(work.Cancellation);

    private static async Task InsertAsync(Work work, List<IpAllocationRow> rows)
    {
        foreach (var row in rows)
        {
            await work.Db.InsertAsync(row, token: work.Cancellation);
        }
    }

    private static IpAllocationRow AutoAddress(PortRow port, SubnetRow subnet, int position) =>
        Row(port, subnet, Cidr.Parse(subnet.Cidr).First | Addresses.Eui64(port.MacAddress), position);

    private static IpAllocationRow Row(PortRow port, SubnetRow subnet, UInt128 address, int position) =>
        new() { NetworkId = port.NetworkId, SubnetId = subnet.Id, PortId = port.Id, IpAddress = Addresses.Format(address, subnet.IpVersion), Position = position };
}
