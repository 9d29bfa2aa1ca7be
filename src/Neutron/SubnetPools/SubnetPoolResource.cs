using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation;
using SharpStack.Neutron.Api;
using SharpStack.Neutron.Ipam;
using SharpStack.Neutron.Rbac;
using SharpStack.Neutron.Storage;
using PoolAttributes = SharpStack.Neutron.Api.Attributes<SharpStack.Neutron.Storage.SubnetPoolRow, SharpStack.Neutron.SubnetPools.SubnetPoolView>;

namespace SharpStack.Neutron.SubnetPools;

/// <summary><c>/v2.0/subnetpools</c>.</summary>
internal sealed class SubnetPoolResource : IResource<SubnetPoolRow, SubnetPoolView>
{
    public string Singular => "subnetpool";

    public string Plural => "subnetpools";

    public bool CanUpdate => true;

    public bool HasQuota => true;

    public IReadOnlyList<ResourceAttribute<SubnetPoolRow, SubnetPoolView>> Attributes { get; } =
    [
        .. PoolAttributes.Standard(),
        PoolAttributes.Text("name", static row => row.Name, post: true, put: true, required: true, check: Checks.Text(255)),
        PoolAttributes.Number("ip_version", static row => row.IpVersion),
        PoolAttributes.Raw("prefixes", static row => row.Prefixes, post: true, put: true, required: true, check: Checks.Cidrs),
        PoolAttributes.OptionalNumber("default_quota", static row => row.DefaultQuota, post: true, put: true, check: Checks.NumberOrNull(0, int.MaxValue)),
        PoolAttributes.LengthOf("min_prefixlen", static row => row.MinPrefixLength),
        PoolAttributes.LengthOf("max_prefixlen", static row => row.MaxPrefixLength),
        PoolAttributes.LengthOf("default_prefixlen", static row => row.DefaultPrefixLength),
        PoolAttributes.Text("address_scope_id", static row => row.AddressScopeId, post: true, put: true, check: Checks.UuidOrNull),
        PoolAttributes.Flag("is_default", static row => row.IsDefault, post: true, put: true, enforced: true, defaultValue: false),
        Sharing.Attribute<SubnetPoolRow, SubnetPoolView>(static view => view.IsShared, put: false),
        PoolAttributes.Shown("tags", static (json, view) => json.WriteTexts(view.Tags)),
    ];

    public IQueryable<SubnetPoolRow> Rows(DataConnection db) => db.GetTable<SubnetPoolRow>();

    public IQueryable<SubnetPoolRow> VisibleTo(IQueryable<SubnetPoolRow> rows, DataConnection db, Caller caller) => Sharing.VisibleTo(rows, db, caller);

    public async Task<List<SubnetPoolView>> LoadAsync(DataConnection db, IReadOnlyList<SubnetPoolRow> rows, CancellationToken cancellationToken)
    {
        if (rows.Count == 0)
        {
            return [];
        }

        var targets = await Sharing.TargetsAsync(db, rows, cancellationToken);
        var tags = await Tags.LoadAsync(db, [.. rows.Select(row => row.Id)], cancellationToken);
        return [.. rows.Select(row => new SubnetPoolView(row, [.. targets[row.Id]], [.. tags[row.Id]], row.Shared))];
    }

    public SubnetPoolView For(SubnetPoolView view, Caller caller) => view with { IsShared = Sharing.Sees(view.Row, view.SharedWith, caller) };

    public async Task<string> CreateOneAsync(Work work, Caller caller, Body body)
    {
        var prefixes = SubnetPoolRules.Read(body.Texts("prefixes")!);
        var row = work.Stamp(new SubnetPoolRow
        {
            ProjectId = body.ProjectId,
            Name = body.Text("name"),
            Description = body.Text("description"),
            IpVersion = prefixes[0].Version,
            Prefixes = SubnetPoolRules.Write(prefixes),
            DefaultQuota = body.Number("default_quota"),
            IsDefault = body.Flag("is_default", false),
            AddressScopeId = body.TextOrNull("address_scope_id"),
            Shared = body.Flag("shared", false),
        });
        SubnetPoolRules.ReadLengths(row, body, isNew: true);
        await CheckDefaultAsync(work, row);
        await SubnetPoolRules.CheckScopeAsync(work, caller, row);
        await work.Db.InsertAsync(row, token: work.Cancellation);
        if (row.Shared)
        {
            await Sharing.OpenToAllAsync(work, Singular, row, Sharing.AsShared);
        }

        return row.Id;
    }

    public async Task UpdateAsync(Work work, Caller caller, SubnetPoolView view, Body body)
    {
        var row = view.Row;
        await CheckForeignScopeAsync(work, caller, row);
        if (body.Has("prefixes"))
        {
            // What subnets may have been taken from stays in.
            var wanted = SubnetPoolRules.Read(body.Texts("prefixes")!);
            if (wanted[0].Version != row.IpVersion || Prefixes.Except(SubnetPoolRules.PrefixesOf(row), wanted).Count > 0)
            {
                throw CloudException.BadRequest("Illegal update to prefixes: Existing prefixes must be a subset of the new prefixes.", "IllegalSubnetPoolPrefixUpdate");
            }

            row.Prefixes = SubnetPoolRules.Write(wanted);
        }

        SubnetPoolRules.ReadLengths(row, body, isNew: false);
        row.Name = body.Text("name", row.Name);
        row.Description = body.Text("description", row.Description);
        row.DefaultQuota = body.Has("default_quota") ? body.Number("default_quota") : row.DefaultQuota;
        if (body.Flag("is_default", row.IsDefault) != row.IsDefault)
        {
            row.IsDefault = !row.IsDefault;
            await CheckDefaultAsync(work, row);
        }

        row.AddressScopeId = body.Has("address_scope_id") ? body.TextOrNull("address_scope_id") : row.AddressScopeId;
        if (body.Has("address_scope_id") || body.Has("prefixes"))
        {
            await SubnetPoolRules.CheckScopeAsync(work, caller, row);
        }

        await WriteAsync(work, row);
    }

    public async Task DeleteAsync(Work work, Caller caller, SubnetPoolView view)
    {
        var id = view.Row.Id;
        if (await work.Db.GetTable<SubnetRow>().AnyAsync(subnet => subnet.SubnetPoolId == id, work.Cancellation))
        {
            throw CloudException.BadRequest("Unable to delete subnet pool: Subnet pool has existing allocations.", "SubnetPoolDeleteError");
        }

        await Sharing.CloseAsync(work, id);
        await work.Db.GetTable<SubnetPoolRow>().Where(row => row.Id == id).DeleteAsync(work.Cancellation);
    }

    public CloudException NotFound(string id) => NeutronErrors.SubnetPoolNotFound(id);

    public async Task<List<Cidr>> AddPrefixesAsync(Work work, Caller caller, SubnetPoolRow row, IReadOnlyList<string> texts)
    {
        var before = SubnetPoolRules.PrefixesOf(row);
        if (texts.Count == 0)
        {
            return before;
        }

        var after = SubnetPoolRules.Read([.. before.Select(prefix => prefix.ToString()), .. texts]);
        row.Prefixes = SubnetPoolRules.Write(after);
        await CheckForeignScopeAsync(work, caller, row);
        await SubnetPoolRules.CheckScopeAsync(work, caller, row);
        await WriteAsync(work, row);
        return after;
    }

    public static async Task<List<Cidr>> RemovePrefixesAsync(Work work, SubnetPoolRow row, IReadOnlyList<string> texts)
    {
        var before = SubnetPoolRules.PrefixesOf(row);
        var gone = texts.Select(Cidr.Parse).ToList();
        if (!gone.Exists(prefix => before.Exists(prefix.Overlaps)))
        {
            return before;
        }

        var taken = await work.Db.GetTable<SubnetRow>().Where(subnet => subnet.SubnetPoolId == row.Id).Select(subnet => subnet.Cidr).ToListAsync(work.Cancellation);
        if (taken.Select(Cidr.Parse).Any(cidr => gone.Exists(cidr.Overlaps)))
        {
            throw CloudException.BadRequest("Illegal update to prefixes: One or more the prefixes to be removed is in use by a subnet..", "IllegalSubnetPoolPrefixUpdate");
        }

        var after = Prefixes.Except(before, gone);
        row.Prefixes = SubnetPoolRules.Write(after);
        await WriteAsync(work, row);
        return after;
    }

    /// <summary>Makes the subnets of a network subnets of a pool, which gets their prefixes.</summary>
    public async Task<List<SubnetRow>> OnboardAsync(Work work, Caller caller, SubnetPoolRow row, string networkId)
    {
        var network = await work.Db.GetTable<NetworkRow>().FirstOrDefaultAsync(found => found.Id == networkId, work.Cancellation) ?? throw NeutronErrors.NetworkNotFound(networkId);
        if (!caller.IsAdmin && network.ProjectId != caller.ProjectId)
        {
            throw CloudException.Forbidden("Not authorized.", "NotAuthorized");
        }

        var subnets = await work.Db.GetTable<SubnetRow>().Where(subnet => subnet.NetworkId == networkId && subnet.IpVersion == row.IpVersion).ToListAsync(work.Cancellation);
        var taken = (await work.Db.GetTable<SubnetRow>().Where(subnet => subnet.SubnetPoolId == row.Id).Select(subnet => subnet.Cidr).ToListAsync(work.Cancellation)).ConvertAll(Cidr.Parse);
        if (subnets.Find(subnet => taken.Exists(Cidr.Parse(subnet.Cidr).Overlaps)) is { } conflict)
        {
            throw CloudException.BadRequest(
                $"Illegal subnetpool update : Onboarding subnet {conflict.Id}: {conflict.Cidr} conflicts with allocated prefixes in subnet pool {row.Id}.", "IllegalSubnetPoolUpdate");
        }

        await AddPrefixesAsync(work, caller, row, subnets.ConvertAll(subnet => subnet.Cidr));
        foreach (var subnet in subnets)
        {
            subnet.SubnetPoolId = row.Id;
            work.Bump(subnet);
            await work.Db.UpdateAsync(subnet, token: work.Cancellation);
        }

        return subnets;
    }

    private static async Task WriteAsync(Work work, SubnetPoolRow row)
    {
        work.Bump(row);
        await work.Db.UpdateAsync(row, token: work.Cancellation);
    }

    private static async Task CheckDefaultAsync(Work work, SubnetPoolRow row)
    {
        if (row.IsDefault && await work.Db.GetTable<SubnetPoolRow>().AnyAsync(pool => pool.IsDefault && pool.IpVersion == row.IpVersion && pool.Id != row.Id, work.Cancellation))
        {
            throw NeutronErrors.InvalidInput("A default subnetpool for this IP family has already been set. Only one default may exist per IP family");
        }
    }

    private static async Task CheckForeignScopeAsync(Work work, Caller caller, SubnetPoolRow row)
    {
        if (row.AddressScopeId is { } id && !caller.IsAdmin
            && !await work.Db.GetTable<AddressScopeRow>().AnyAsync(scope => scope.Id == id && scope.ProjectId == caller.ProjectId, work.Cancellation))
        {
            throw CloudException.BadRequest(
                $"Illegal subnetpool update : subnetpool {row.Id} cannot be updated when associated with shared address scope {id}.", "IllegalSubnetPoolUpdate");
        }
    }
}
