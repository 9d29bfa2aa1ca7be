using System.Linq.Expressions;
using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Neutron.Api;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.Rbac;

/// <summary>What RBAC policies open to whom. That something is shared with all is a policy too.</summary>
internal static class Sharing
{
    public const string AsShared = "access_as_shared";
    public const string AsExternal = "access_as_external";
    public const string Everyone = "*";

    /// <summary>The policies that hold for a caller's project.</summary>
    public static IQueryable<RbacPolicyRow> OpenTo(DataConnection db, Caller caller) =>
        db.GetTable<RbacPolicyRow>().Where(policy => policy.Target == caller.ProjectId || policy.Target == Everyone);

    /// <summary>The rows that are the caller's own or are opened to it.</summary>
    public static IQueryable<TRow> VisibleTo<TRow>(IQueryable<TRow> rows, DataConnection db, Caller caller)
        where TRow : ResourceRow
    {
        var open = OpenTo(db, caller);
        return caller.SeesAll ? rows : rows.Where(row => row.ProjectId == caller.ProjectId || open.Any(policy => policy.ObjectId == row.Id));
    }

    /// <summary>The attribute <c>shared</c>, as the caller sees it.</summary>
    public static ResourceAttribute<TRow, TView> Attribute<TRow, TView>(Func<TView, bool> isShared, bool put = true, LambdaExpression? sort = null, bool enforced = true)
        where TRow : ResourceRow
        where TView : class, IResourceView<TRow> =>
        new("shared")
        {
            Post = true,
            Put = put,
            Check = Checks.Flag,
            Enforced = enforced,
            IsDefault = static value => !Checks.ToFlag(value),
            Write = (json, view) => json.WriteBooleanValue(isShared(view)),
            FilterFor = Filter,
            Sort = sort,
        };

    /// <summary>For a list: those that are shared with the caller's project, or those that are not.</summary>
    public static IQueryable<TRow> Filter<TRow>(IQueryable<TRow> rows, DataConnection db, List<string> values, Caller caller)
        where TRow : ResourceRow
    {
        var open = OpenTo(db, caller);
        var wanted = values.ConvertAll(Checks.ToFlag);
        return wanted.Distinct().Count() > 1 ? rows
            : wanted[0] ? rows.Where(row => open.Any(policy => policy.ObjectId == row.Id && policy.Action == AsShared))
            : rows.Where(row => !open.Any(policy => policy.ObjectId == row.Id && policy.Action == AsShared));
    }

    /// <summary>The projects that rows are shared with one by one; read only where there are such.</summary>
    public static async Task<ILookup<string, string>> TargetsAsync<TRow>(DataConnection db, IEnumerable<TRow> rows, CancellationToken cancellationToken)
        where TRow : ResourceRow, IShareableRow
    {
        var ids = rows.Where(row => row.SharedSelectively).Select(row => row.Id).ToList();
        return (ids.Count == 0 ? [] : await db.GetTable<RbacPolicyRow>().WhereIn(policy => policy.ObjectId, ids).Where(policy => policy.Action == AsShared).ToListAsync(cancellationToken))
            .ToLookup(policy => policy.ObjectId, policy => policy.Target);
    }

    /// <summary>Whether something is shared with a project: with all, or by name.</summary>
    public static async Task<bool> IsSharedAsync<TRow>(DataConnection db, TRow row, string? projectId, CancellationToken cancellationToken)
        where TRow : ResourceRow, IShareableRow =>
        row.Shared || (row.SharedSelectively && (await TargetsAsync(db, [row], cancellationToken))[row.Id].Contains(projectId));

    /// <summary>Whether a policy shares something with this project by name: one with all does not count.</summary>
    public static Task<bool> IsOpenToAsync(DataConnection db, string objectId, string? projectId, CancellationToken cancellationToken) =>
        db.GetTable<RbacPolicyRow>().AnyAsync(policy => policy.ObjectId == objectId && policy.Action == AsShared && policy.Target == projectId, cancellationToken);

    public static bool Sees(IShareableRow row, IEnumerable<string> targets, Caller caller) => row.Shared || targets.Contains(caller.ProjectId);

    /// <summary>Opens something to all by a policy of its owner.</summary>
    public static async Task OpenToAllAsync(Work work, string objectType, ResourceRow row, string action)
    {
        if (!await work.Db.GetTable<RbacPolicyRow>().AnyAsync(policy => policy.ObjectId == row.Id && policy.Action == action && policy.Target == Everyone, work.Cancellation))
        {
            await work.Db.InsertAsync(
                work.Stamp(new RbacPolicyRow { ProjectId = row.ProjectId, ObjectType = objectType, ObjectId = row.Id, Action = action, Target = Everyone }), token: work.Cancellation);
        }
    }

    /// <summary>Takes policies of something away.</summary>
    /// <param name="action">Null for all of them.</param>
    /// <param name="target">Null for all targets.</param>
    public static Task CloseAsync(Work work, string objectId, string? action = null, string? target = null) =>
        work.Db.GetTable<RbacPolicyRow>()
            .Where(policy => policy.ObjectId == objectId && (action == null || policy.Action == action) && (target == null || policy.Target == target))
            .DeleteAsync(work.Cancellation);
}
