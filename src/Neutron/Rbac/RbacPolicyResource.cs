using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation;
using SharpStack.Foundation.Policy;
using SharpStack.Neutron.Api;
using SharpStack.Neutron.Storage;
using RbacAttributes = SharpStack.Neutron.Api.Attributes<SharpStack.Neutron.Storage.RbacPolicyRow, SharpStack.Neutron.Rbac.RbacPolicyView>;

namespace SharpStack.Neutron.Rbac;

internal sealed record RbacPolicyView(RbacPolicyRow Row) : IResourceView<RbacPolicyRow>;

/// <summary><c>/v2.0/rbac-policies</c>.</summary>
internal sealed class RbacPolicyResource(IEnumerable<IRbacObjectType> known) : IResource<RbacPolicyRow, RbacPolicyView>
{
    private readonly Dictionary<string, IRbacObjectType> types = known.ToDictionary(type => type.Name);

    public string Singular => "rbac_policy";

    public string Plural => "rbac_policies";

    public bool CanUpdate => true;

    public bool HasQuota => true;

    public IReadOnlyList<ResourceAttribute<RbacPolicyRow, RbacPolicyView>> Attributes { get; } =
    [
        RbacAttributes.Text("id", static row => row.Id),
        RbacAttributes.Text("tenant_id", static row => row.ProjectId, post: true, check: Checks.Text(255)),
        RbacAttributes.Text("project_id", static row => row.ProjectId, post: true, check: Checks.Text(255)),
        RbacAttributes.Text("object_type", static row => row.ObjectType, post: true, required: true, check: Checks.Text(255)),
        RbacAttributes.Text("object_id", static row => row.ObjectId, post: true, required: true, check: Checks.Uuid),
        RbacAttributes.Text("target_tenant", static row => row.Target, post: true, put: true, required: true, check: Checks.Text(255), enforced: true),
        RbacAttributes.Text("action", static row => row.Action, post: true, required: true, check: Checks.Text(255)),
    ];

    public IQueryable<RbacPolicyRow> Rows(DataConnection db) => db.GetTable<RbacPolicyRow>();

    public IQueryable<RbacPolicyRow> VisibleTo(IQueryable<RbacPolicyRow> rows, DataConnection db, Caller caller) =>
        caller.SeesAll ? rows : rows.Where(row => row.ProjectId == caller.ProjectId);

    public Task<List<RbacPolicyView>> LoadAsync(DataConnection db, IReadOnlyList<RbacPolicyRow> rows, CancellationToken cancellationToken) =>
        Task.FromResult(rows.Select(row => new RbacPolicyView(row)).ToList());

    public PolicyTarget TargetOf(RbacPolicyView view) => Target(view.Row.ProjectId, view.Row.Target);

    public Task<PolicyTarget> TargetOfNewAsync(DataConnection db, Body body, CancellationToken cancellationToken) => Task.FromResult(Target(body.ProjectId, body.Text("target_tenant")));

    public PolicyTarget TargetOfUpdate(RbacPolicyView view, Body body) => Target(view.Row.ProjectId, body.Text("target_tenant", view.Row.Target));

    public async Task<string> CreateOneAsync(Work work, Caller caller, Body body)
    {
        var wanted = body.Text("object_type").Trim().ToLowerInvariant();
        var type = types.GetValueOrDefault(wanted) ?? throw NeutronErrors.InvalidInput($"'{body.Text("object_type")}' is not a valid RBAC object type");
        var row = work.Stamp(new RbacPolicyRow { ProjectId = body.ProjectId, ObjectType = wanted, ObjectId = body.Text("object_id"), Action = body.Text("action"), Target = body.Text("target_tenant") });
        if (!type.Actions.Contains(row.Action))
        {
            throw NeutronErrors.InvalidInput($"Invalid action '{row.Action}' for object type '{wanted}'. Valid actions: {string.Join(",", type.Actions)}");
        }

        if (await type.OwnerOfAsync(work, row.ObjectId) != caller.ProjectId && !caller.IsAdmin)
        {
            throw NeutronErrors.InvalidInput($"Only admins can manipulate policies on {wanted} objects they do not own");
        }

        await RefuseTwiceAsync(work, row);
        await type.CheckOpeningAsync(work, row);
        await work.Db.InsertAsync(row, token: work.Cancellation);
        await type.ChangedAsync(work, row.ObjectId);
        return row.Id;
    }

    public async Task UpdateAsync(Work work, Caller caller, RbacPolicyView view, Body body)
    {
        var row = view.Row;
        var target = body.Text("target_tenant", row.Target);
        if (target == row.Target)
        {
            return;
        }

        var type = types[row.ObjectType];
        await type.CheckClosingAsync(work, row);
        var before = row.Target;
        row.Target = target;
        await RefuseTwiceAsync(work, row);
        await type.CheckOpeningAsync(work, row);
        work.Bump(row);
        await work.Db.UpdateAsync(row, token: work.Cancellation);
        await type.CheckUsersAsync(work, row.ObjectId, row.Action, before, row.Id);
        await type.ChangedAsync(work, row.ObjectId);
    }

    public async Task DeleteAsync(Work work, Caller caller, RbacPolicyView view)
    {
        await types[view.Row.ObjectType].CheckClosingAsync(work, view.Row);
        await work.Db.GetTable<RbacPolicyRow>().Where(row => row.Id == view.Row.Id).DeleteAsync(work.Cancellation);
        await types[view.Row.ObjectType].CheckUsersAsync(work, view.Row.ObjectId, view.Row.Action, view.Row.Target);
        await types[view.Row.ObjectType].ChangedAsync(work, view.Row.ObjectId);
    }

    public CloudException NotFound(string id) => NeutronErrors.NotFound("RbacPolicyNotFound", $"RBAC policy of type unknown with ID {id} not found");

    private static async Task RefuseTwiceAsync(Work work, RbacPolicyRow row)
    {
        if (await work.Db.GetTable<RbacPolicyRow>().AnyAsync(
            other => other.ObjectId == row.ObjectId && other.Action == row.Action && other.Target == row.Target && other.Id != row.Id, work.Cancellation))
        {
            throw NeutronErrors.Conflict("DuplicateRbacPolicy", "An RBAC policy already exists with those values.");
        }
    }

    private static PolicyTarget Target(string projectId, string target) =>
        PolicyTarget.Of(("project_id", projectId), ("tenant_id", projectId), ("target_tenant", target), ("target_project", target));
}
