using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using LinqToDB.Mapping;
using SharpStack.Foundation;
using SharpStack.Neutron.Api;
using SharpStack.Neutron.Ipam;
using SharpStack.Neutron.Rbac;
using SharpStack.Neutron.SecurityGroups;
using SharpStack.Neutron.Storage;
using AddressGroupAttributes = SharpStack.Neutron.Api.Attributes<SharpStack.Neutron.AddressGroups.AddressGroupRow, SharpStack.Neutron.AddressGroups.AddressGroupView>;

namespace SharpStack.Neutron.AddressGroups;

[Table("address_groups")]
internal sealed class AddressGroupRow : ResourceRow, IShareableRow
{
    /// <summary>CIDRs, normalised and sorted, as a JSON list.</summary>
    [Column("addresses", CanBeNull = false)]
    public string Addresses { get; set; } = "[]";

    [Column("shared")]
    public bool Shared { get; set; }

    [Column("shared_selectively")]
    public bool SharedSelectively { get; set; }
}

internal sealed record AddressGroupView(AddressGroupRow Row, IReadOnlyList<string> SharedWith, bool IsShared) : IResourceView<AddressGroupRow>, ISharedView;

/// <summary><c>/v2.0/address-groups</c>: lists of addresses that rules of security groups name.</summary>
internal sealed class AddressGroupResource : IResource<AddressGroupRow, AddressGroupView>
{
    public string Singular => "address_group";

    public string Plural => "address_groups";

    public bool CanUpdate => true;

    /// <summary>Neutron does not look at who it is shared with there.</summary>
    public bool HidesFromUpdatesOfOthers => true;

    public IReadOnlyList<ResourceAttribute<AddressGroupRow, AddressGroupView>> Attributes { get; } =
    [
        .. AddressGroupAttributes.Standard(),
        AddressGroupAttributes.Text("name", static row => row.Name, post: true, put: true, check: Checks.Text(255)),
        AddressGroupAttributes.Raw("addresses", static row => row.Addresses, post: true, check: CheckAddresses),
        new("shared") { Write = static (json, view) => json.WriteBooleanValue(view.IsShared), FilterFor = Sharing.Filter },
    ];

    public IQueryable<AddressGroupRow> Rows(DataConnection db) => db.GetTable<AddressGroupRow>();

    public IQueryable<AddressGroupRow> VisibleTo(IQueryable<AddressGroupRow> rows, DataConnection db, Caller caller) => Sharing.VisibleTo(rows, db, caller);

    public async Task<List<AddressGroupView>> LoadAsync(DataConnection db, IReadOnlyList<AddressGroupRow> rows, CancellationToken cancellationToken)
    {
        var targets = await Sharing.TargetsAsync(db, rows, cancellationToken);
        return [.. rows.Select(row => new AddressGroupView(row, [.. targets[row.Id]], row.Shared))];
    }

    public AddressGroupView For(AddressGroupView view, Caller caller) => view with { IsShared = Sharing.Sees(view.Row, view.SharedWith, caller) };

    public async Task<string> CreateOneAsync(Work work, Caller caller, Body body)
    {
        var row = work.Stamp(new AddressGroupRow
        {
            ProjectId = body.ProjectId,
            Name = body.Text("name"),
            Description = body.Text("description"),
            Addresses = Write(Read(body.Texts("addresses") ?? [])),
        });
        await work.Db.InsertAsync(row, token: work.Cancellation);
        return row.Id;
    }

    public async Task UpdateAsync(Work work, Caller caller, AddressGroupView view, Body body)
    {
        view.Row.Name = body.Text("name", view.Row.Name);
        view.Row.Description = body.Text("description", view.Row.Description);
        work.Bump(view.Row);
        await work.Db.UpdateAsync(view.Row, token: work.Cancellation);
    }

    public async Task DeleteAsync(Work work, Caller caller, AddressGroupView view)
    {
        if (await work.Db.GetTable<SecurityGroupRuleRow>().AnyAsync(rule => rule.RemoteAddressGroupId == view.Row.Id, work.Cancellation)
            || await work.Db.GetTable<DefaultSecurityGroupRuleRow>().AnyAsync(rule => rule.RemoteAddressGroupId == view.Row.Id, work.Cancellation))
        {
            throw NeutronErrors.Conflict("AddressGroupInUse", $"Address group {view.Row.Id} is in use on one or more security group rules.");
        }

        await Sharing.CloseAsync(work, view.Row.Id);
        await work.Db.GetTable<AddressGroupRow>().Where(row => row.Id == view.Row.Id).DeleteAsync(work.Cancellation);
    }

    public CloudException NotFound(string id) => GroupNotFound(id);

    public static CloudException GroupNotFound(string id) => NeutronErrors.NotFound("AddressGroupNotFound", $"Address group {id} could not be found.");

    /// <summary>Adds addresses, none of which may be there, or takes some away, all of which must be.</summary>
    public async Task ChangeAsync(Work work, AddressGroupRow row, IReadOnlyList<string> sent, bool isRemoval)
    {
        var (current, changed) = (JsonText.Texts(row.Addresses), Read(sent));
        if (changed.FindAll(address => current.Contains(address) != isRemoval) is { Count: > 0 } wrong)
        {
            var shown = $"[{string.Join(", ", wrong.Select(address => $"'{address}'"))}]";
            throw isRemoval ? NeutronErrors.NotFound("AddressesNotFound", $"Addresses {shown} not found in the address group {row.Id}.")
                : CloudException.BadRequest($"Addresses {shown} already exist in the address group {row.Id}.", "AddressesAlreadyExist");
        }

        row.Addresses = Write(isRemoval ? current.Except(changed) : current.Union(changed));
        work.Bump(row);
        await work.Db.UpdateAsync(row, token: work.Cancellation);
        if (await work.Db.GetTable<SecurityGroupRuleRow>().AnyAsync(rule => rule.RemoteAddressGroupId == row.Id, work.Cancellation))
        {
            SecurityGroupResource.Tell(work, [row.Id]);
        }
    }

    /// <summary>A list of CIDRs.</summary>
    public static string? CheckAddresses(JsonElement value) => CheckAddresses(value, needsLength: true);

    /// <param name="needsLength">Whether an address without a length is refused, or is a network of one.</param>
    public static string? CheckAddresses(JsonElement value, bool needsLength)
    {
        if (value.ValueKind == JsonValueKind.Null)
        {
            return null;
        }

        if (value.ValueKind != JsonValueKind.Array)
        {
            return $"'{Checks.Shown(value)}' is not a list";
        }

        var seen = new HashSet<string>(StringComparer.Ordinal);
        foreach (var item in value.EnumerateArray())
        {
            if (item.ValueKind != JsonValueKind.String || (needsLength && !item.GetString()!.Contains('/', StringComparison.Ordinal)) || !Cidr.TryParse(item.GetString()!, out _))
            {
                return $"'{Checks.Shown(item)}' is not a valid IP subnet";
            }

            if (!seen.Add(item.GetString()!))
            {
                return $"Duplicate items in the list: '{Checks.Shown(item)}'";
            }
        }

        return null;
    }

    private static List<string> Read(IEnumerable<string> addresses) => [.. addresses.Select(address => Cidr.Parse(address).ToString()).Distinct()];

    private static string Write(IEnumerable<string> addresses) => JsonText.OfTexts(addresses.Order(StringComparer.Ordinal));
}
