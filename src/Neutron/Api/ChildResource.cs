using System.Linq.Expressions;
using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation;
using SharpStack.Foundation.Policy;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.Api;

/// <summary>What belongs to another resource, whose id is in its path, and to that one's project.</summary>
internal abstract class ChildResource<TRow, TView, TParent> : IResource<TRow, TView>
    where TRow : ResourceRow
    where TView : class, IResourceView<TRow>
    where TParent : ResourceRow
{
    public abstract string Singular { get; }

    public virtual string Plural => Singular + "s";

    public abstract string Path { get; }

    public virtual string RuleName => Singular;

    public bool CanUpdate => true;

    public virtual bool IsReachedByIdOnly => false;

    public virtual bool HidesParentFromThoseWithoutRights => true;

    public abstract IReadOnlyList<ResourceAttribute<TRow, TView>> Attributes { get; }

    /// <summary>The column with the parent's id.</summary>
    protected abstract Expression<Func<TRow, string>> ParentId { get; }

    public IQueryable<TRow> Rows(DataConnection db) => db.GetTable<TRow>();

    public virtual IQueryable<TRow> VisibleTo(IQueryable<TRow> rows, DataConnection db, Caller caller) =>
        caller.SeesAll ? rows : rows.Where(row => row.ProjectId == caller.ProjectId);

    public async Task<IQueryable<TRow>> OfParentAsync(IQueryable<TRow> rows, DataConnection db, Caller caller, string parentId, CancellationToken cancellationToken) =>
        await ParentsOf(db, caller).AnyAsync(row => row.Id == parentId, cancellationToken) ? rows.WhereIn(ParentId, [parentId]) : throw ParentNotFound(parentId);

    public Task<List<TView>> LoadAsync(DataConnection db, IReadOnlyList<TRow> rows, CancellationToken cancellationToken) => Task.FromResult(rows.Select(ViewOf).ToList());

    public PolicyTarget TargetOf(TView view) => ParentTargets.Of(view.Row.ProjectId);

    public async Task<PolicyTarget> TargetOfNewAsync(DataConnection db, Body body, CancellationToken cancellationToken) =>
        ParentTargets.Of(await db.GetTable<TParent>().Where(row => row.Id == body.ParentId).Select(row => row.ProjectId).FirstOrDefaultAsync(cancellationToken) ?? "");

    public abstract Task<string> CreateOneAsync(Work work, Caller caller, Body body);

    public abstract Task UpdateAsync(Work work, Caller caller, TView view, Body body);

    public abstract Task DeleteAsync(Work work, Caller caller, TView view);

    public abstract CloudException NotFound(string id);

    /// <summary>The parents that a caller may see.</summary>
    protected virtual IQueryable<TParent> ParentsOf(DataConnection db, Caller caller)
    {
        var all = db.GetTable<TParent>();
        return caller.SeesAll ? all : all.Where(row => row.ProjectId == caller.ProjectId);
    }

    protected async Task<TParent> ParentAsync(Work work, string id) =>
        await work.Db.GetTable<TParent>().FirstOrDefaultAsync(row => row.Id == id, work.Cancellation) ?? throw ParentNotFound(id);

    protected abstract CloudException ParentNotFound(string id);

    protected abstract TView ViewOf(TRow row);

    /// <summary>The id; the project that clients send is the parent's anyway.</summary>
    protected static IEnumerable<ResourceAttribute<TRow, TView>> Common() =>
    [
        Attributes<TRow, TView>.Text("id", static row => row.Id),
        Attributes<TRow, TView>.Taken("project_id", Checks.Text(255)),
        Attributes<TRow, TView>.Taken("tenant_id", Checks.Text(255)),
    ];
}
