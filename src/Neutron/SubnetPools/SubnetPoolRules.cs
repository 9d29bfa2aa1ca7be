using System.Globalization;
using LinqToDB;
using LinqToDB.Async;
using SharpStack.Foundation;
using SharpStack.Neutron.Api;
using SharpStack.Neutron.Ipam;
using SharpStack.Neutron.Rbac;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.SubnetPools;

/// <summary>What a subnet pool may be, and how subnets are taken from one.</summary>
internal static class SubnetPoolRules
{
    public const string AllocationErrorName = "SubnetAllocationError";

    private const int QuotaBitsIpv4 = 32;
    private const int QuotaBitsIpv6 = 64;

    public static List<Cidr> PrefixesOf(SubnetPoolRow pool) => JsonText.Texts(pool.Prefixes).ConvertAll(Cidr.Parse);

    public static string Write(IEnumerable<Cidr> prefixes) => JsonText.OfTexts(prefixes.Select(prefix => prefix.ToString()));

    /// <summary>The prefixes that were sent: of one version, as few as cover them.</summary>
    public static List<Cidr> Read(IEnumerable<string> texts)
    {
        var prefixes = texts.Select(Cidr.Parse).ToList();
        return prefixes.Count == 0 ? throw CloudException.BadRequest("Empty subnet pool prefix list.", "EmptySubnetPoolPrefixList")
            : prefixes.DistinctBy(prefix => prefix.Version).Count() > 1 ? throw CloudException.BadRequest("Cannot mix IPv4 and IPv6 prefixes in a subnet pool.", "PrefixVersionMismatch")
            : Prefixes.Compact(prefixes);
    }

    /// <summary>Takes the wished lengths over into the row, the defaults where it is new, and refuses what does not fit together.</summary>
    public static void ReadLengths(SubnetPoolRow row, Body body, bool isNew)
    {
        var bits = row.IpVersion == 4 ? 32 : 128;
        row.MinPrefixLength = body.Number("min_prefixlen") ?? (isNew ? row.IpVersion == 4 ? 8 : 64 : row.MinPrefixLength);
        row.MaxPrefixLength = body.Number("max_prefixlen") ?? (isNew ? bits : row.MaxPrefixLength);
        row.DefaultPrefixLength = body.Number("default_prefixlen") ?? (isNew ? row.MinPrefixLength : row.DefaultPrefixLength);
        Check(row.MinPrefixLength > row.MaxPrefixLength, "min_prefixlen", row.MinPrefixLength, "max_prefixlen", row.MaxPrefixLength);
        Check(row.MaxPrefixLength > bits, "max_prefixlen", row.MaxPrefixLength, "ip_version_max", bits);
        Check(row.DefaultPrefixLength < row.MinPrefixLength, "default_prefixlen", row.DefaultPrefixLength, "min_prefixlen", row.MinPrefixLength);
        Check(row.DefaultPrefixLength > row.MaxPrefixLength, "default_prefixlen", row.DefaultPrefixLength, "max_prefixlen", row.MaxPrefixLength);

        static void Check(bool isWrong, string name, int length, string baseName, int baseLength)
        {
            if (isWrong)
            {
                throw CloudException.BadRequest(string.Create(CultureInfo.InvariantCulture, $"Illegal prefix bounds: {name}={length}, {baseName}={baseLength}."), "IllegalSubnetPoolPrefixBounds");
            }
        }
    }

    /// <summary>A pool joins an address scope that its owner may use, of its version, where no other pool has its addresses.</summary>
    public static async Task CheckScopeAsync(Work work, Caller caller, SubnetPoolRow row)
    {
        if (row.AddressScopeId is not { } id)
        {
            return;
        }

        var scope = await Sharing.VisibleTo(work.Db.GetTable<AddressScopeRow>(), work.Db, caller).FirstOrDefaultAsync(found => found.Id == id, work.Cancellation) ?? throw NeutronErrors.AddressScopeNotFound(id);

        if (scope.IpVersion != row.IpVersion)
        {
            throw CloudException.BadRequest(
                $"Illegal subnetpool association: subnetpool {row.Id} cannot associate with address scope {id} because subnetpool ip_version is not {scope.IpVersion}.",
                "IllegalSubnetPoolIpVersionAssociationToAddressScope");
        }

        var networks = work.Db.GetTable<SubnetRow>().Where(subnet => subnet.SubnetPoolId == row.Id).Select(subnet => subnet.NetworkId);
        if (await work.Db.GetTable<SubnetRow>().AnyAsync(
            subnet => networks.Contains(subnet.NetworkId) && subnet.IpVersion == row.IpVersion && (subnet.SubnetPoolId == null || subnet.SubnetPoolId != row.Id), work.Cancellation))
        {
            throw AffinityError();
        }

        var prefixes = PrefixesOf(row);
        var others = await work.Db.GetTable<SubnetPoolRow>().Where(pool => pool.AddressScopeId == id && pool.Id != row.Id).Select(pool => pool.Prefixes).ToListAsync(work.Cancellation);
        if (others.SelectMany(JsonText.Texts).Select(Cidr.Parse).Any(other => prefixes.Exists(other.Overlaps)))
        {
            throw NeutronErrors.Conflict("AddressScopePrefixConflict", "Failed to associate address scope: subnetpools within an address scope must have unique prefixes.");
        }
    }

    /// <summary>Subnets of one version on one network come from one pool, or at least from one address scope.</summary>
    public static async Task CheckNetworkAsync(Work work, string networkId, SubnetPoolRow? pool, int version)
    {
        var others = await (from subnet in work.Db.GetTable<SubnetRow>()
                            where subnet.NetworkId == networkId && subnet.IpVersion == version
                            from other in work.Db.GetTable<SubnetPoolRow>().LeftJoin(other => other.Id == subnet.SubnetPoolId)
                            select new { subnet.SubnetPoolId, other.AddressScopeId }).ToListAsync(work.Cancellation);
        var scope = others.Select(other => other.AddressScopeId).FirstOrDefault(id => id is not null);
        if (scope is not null && pool is not null)
        {
            if (pool.AddressScopeId != scope)
            {
                throw AffinityError();
            }

            return;
        }

        if (others.Exists(other => other.SubnetPoolId != pool?.Id))
        {
            throw CloudException.BadRequest("Subnets hosted on the same network must be allocated from the same subnet pool.", "NetworkSubnetPoolAffinityError");
        }
    }

    /// <summary>Takes a subnet out of a pool.</summary>
    /// <param name="wanted">Null for any of the length.</param>
    public static async Task<Cidr> TakeAsync(Work work, SubnetPoolRow pool, string projectId, Cidr? wanted, int? length)
    {
        var prefixLength = wanted?.PrefixLength ?? length ?? pool.DefaultPrefixLength;
        if (prefixLength > pool.MaxPrefixLength)
        {
            throw CloudException.BadRequest(
                $"Unable to allocate subnet with prefix length {prefixLength}, maximum allowed prefix is {pool.MaxPrefixLength}.", "MaxPrefixSubnetAllocationError");
        }

        if (prefixLength < pool.MinPrefixLength)
        {
            throw CloudException.BadRequest(
                $"Unable to allocate subnet with prefix length {prefixLength}, minimum allowed prefix is {pool.MinPrefixLength}.", "MinPrefixSubnetAllocationError");
        }

        var taken = await work.Db.GetTable<SubnetRow>().Where(subnet => subnet.SubnetPoolId == pool.Id).Select(subnet => new { subnet.Cidr, subnet.ProjectId }).ToListAsync(work.Cancellation);
        if (pool.DefaultQuota is { } quota and > 0)
        {
            var unit = pool.IpVersion == 4 ? QuotaBitsIpv4 : QuotaBitsIpv6;
            var used = taken.Where(subnet => subnet.ProjectId == projectId).Sum(subnet => Math.Pow(2, unit - Cidr.Parse(subnet.Cidr).PrefixLength));
            if (used + Math.Pow(2, unit - prefixLength) > quota)
            {
                throw NeutronErrors.Conflict("SubnetPoolQuotaExceeded", "Per-tenant subnet pool prefix quota exceeded.");
            }
        }

        var free = Prefixes.Except(PrefixesOf(pool), taken.Select(subnet => Cidr.Parse(subnet.Cidr)));
        if (wanted is { } cidr)
        {
            return free.Exists(prefix => prefix.PrefixLength <= cidr.PrefixLength && prefix.Contains(cidr.First)) ? cidr
                : throw AllocationError("Cannot allocate requested subnet from the available set of prefixes");
        }

        // The smallest free prefix that is large enough, so that large ones stay whole.
        var found = free.OrderByDescending(prefix => prefix.PrefixLength).Where(prefix => prefix.PrefixLength <= prefixLength).Select(prefix => (Cidr?)prefix).FirstOrDefault();
        return found is { } first ? first with { PrefixLength = prefixLength } : throw AllocationError($"Insufficient prefix space to allocate subnet size /{prefixLength}");
    }

    private static CloudException AllocationError(string reason) =>
        new(ErrorKind.Internal, $"Failed to allocate subnet: {reason}.", AllocationErrorName);

    private static CloudException AffinityError() =>
        CloudException.BadRequest("Subnets of the same address family hosted on the same network must all participate in the same address scope.", "NetworkAddressScopeAffinityError");
}
