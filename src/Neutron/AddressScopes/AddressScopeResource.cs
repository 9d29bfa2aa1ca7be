using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation;
using SharpStack.Neutron.Api;
using SharpStack.Neutron.Rbac;
using SharpStack.Neutron.Storage;
using ScopeAttributes = SharpStack.Neutron.Api.Attributes<SharpStack.Neutron.Storage.AddressScopeRow, SharpStack.Neutron.AddressScopes.AddressScopeView>;

namespace SharpStack.Neutron.AddressScopes;

internal sealed record AddressScopeView(AddressScopeRow Row, IReadOnlyList<string> SharedWith, bool IsShared) : IResourceView<AddressScopeRow>, ISharedView;

/// <summary><c>/v2.0/address-scopes</c>: addresses within one are never used twice, so that routers need not translate them.</summary>
internal sealed class AddressScopeResource : IResource<AddressScopeRow, AddressScopeView>
{
    public string Singular => "address_scope";

    public string Plural => "address_scopes";

    public bool CanUpdate => true;

    public IReadOnlyList<ResourceAttribute<AddressScopeRow, AddressScopeView>> Attributes { get; } =
    [
        ScopeAttributes.Text("id", static row => row.Id),
        ScopeAttributes.Text("tenant_id", static row => row.ProjectId, post: true, check: Checks.Text(255)),
        ScopeAttributes.Text("project_id", static row => row.ProjectId, post: true, check: Checks.Text(255)),
        ScopeAttributes.Text("name", static row => row.Name, post: true, put: true, check: Checks.Text(255)),
        ScopeAttributes.Number("ip_version", static row => row.IpVersion, post: true, required: true, check: static value =>
            Checks.ToNumber(value) is 4 or 6 ? null : $"'{Checks.Shown(value)}' is not in [4, 6]"),
        Sharing.Attribute<AddressScopeRow, AddressScopeView>(static view => view.IsShared),
    ];

    public IQueryable<AddressScopeRow> Rows(DataConnection db) => db.GetTable<AddressScopeRow>();

    public IQueryable<AddressScopeRow> VisibleTo(IQueryable<AddressScopeRow> rows, DataConnection db, Caller caller) => Sharing.VisibleTo(rows, db, caller);

    public async Task<List<AddressScopeView>> LoadAsync(DataConnection db, IReadOnlyList<AddressScopeRow> rows, CancellationToken cancellationToken)
    {
        var targets = await Sharing.TargetsAsync(db, rows, cancellationToken);
        return [.. rows.Select(row => new AddressScopeView(row, [.. targets[row.Id]], row.Shared))];
    }

    public AddressScopeView For(AddressScopeView view, Caller caller) => view with { IsShared = Sharing.Sees(view.Row, view.SharedWith, caller) };

    public async Task<string> CreateOneAsync(Work work, Caller caller, Body body)
    {
        var row = work.Stamp(new AddressScopeRow { ProjectId = body.ProjectId, Name = body.Text("name"), IpVersion = body.Number("ip_version")!.Value, Shared = body.Flag("shared", false) });
        await work.Db.InsertAsync(row, token: work.Cancellation);
        if (row.Shared)
        {
            await Sharing.OpenToAllAsync(work, Singular, row, Sharing.AsShared);
        }

        return row.Id;
    }

    public async Task UpdateAsync(Work work, Caller caller, AddressScopeView view, Body body)
    {
        var row = view.Row;
        if (row.Shared && !body.Flag("shared", true))
        {
            throw CloudException.BadRequest($"Unable to update address scope {row.Id} : Shared address scope can't be unshared.", "AddressScopeUpdateError");
        }

        if (!row.Shared && body.Flag("shared", false))
        {
            row.Shared = true;
            await Sharing.OpenToAllAsync(work, Singular, row, Sharing.AsShared);
        }

        row.Name = body.Text("name", row.Name);
        work.Bump(row);
        await work.Db.UpdateAsync(row, token: work.Cancellation);
    }

    public async Task DeleteAsync(Work work, Caller caller, AddressScopeView view)
    {
        var id = view.Row.Id;
        if (await work.Db.GetTable<SubnetPoolRow>().AnyAsync(pool => pool.AddressScopeId == id, work.Cancellation))
        {
            throw NeutronErrors.Conflict("AddressScopeInUse", $"Unable to complete operation on address scope {id}. There are one or more subnet pools in use on the address scope.");
        }

        await Sharing.CloseAsync(work, id);
        await work.Db.GetTable<AddressScopeRow>().Where(row => row.Id == id).DeleteAsync(work.Cancellation);
    }

    public CloudException NotFound(string id) => NeutronErrors.AddressScopeNotFound(id);
}
