using System.Text.Json;
using LinqToDB.Data;
using SharpStack.Foundation;
using SharpStack.Foundation.Policy;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.Api;

/// <summary>Who asks, as far as the domain needs to know.</summary>
/// <param name="SeesAll">Administrators and advanced services see the resources of every project.</param>
internal sealed record Caller(string? ProjectId, bool IsAdmin, bool SeesAll);

/// <summary>A resource of the API: its attributes and what can be done with it. <see cref="ResourceRoutes{TRow,TView}"/> gives it its routes.</summary>
internal interface IResource<TRow, TView>
    where TRow : ResourceRow
    where TView : class, IResourceView<TRow>
{
    /// <summary><c>security_group</c>.</summary>
    string Singular { get; }

    /// <summary><c>security_groups</c>; the path has hyphens.</summary>
    string Plural { get; }

    /// <summary>Where the resource is found; <c>{parent}</c> stands for the id of what it belongs to.</summary>
    string Path => $"/v2.0/{Plural.Replace('_', '-')}";

    /// <summary>What its rules end in: <c>create_NAME</c>.</summary>
    string RuleName => Singular;

    bool CanUpdate { get; }

    /// <summary>Whether it has neither a list nor a creation at its path: another path has them.</summary>
    bool IsReachedByIdOnly => false;

    /// <summary>Whether a creation is refused for the parent that the path names before it is for missing rights.</summary>
    bool HidesParentFromThoseWithoutRights => true;

    /// <summary>Whether an update by someone without the right to it finds nothing where the resource is another project's, though that may be seen.</summary>
    bool HidesFromUpdatesOfOthers => false;

    /// <summary>Whether there is a limit of its name on how many a project may have.</summary>
    bool HasQuota => false;

    IReadOnlyList<ResourceAttribute<TRow, TView>> Attributes { get; }

    IQueryable<TRow> Rows(DataConnection db);

    /// <summary>Of all rows those that may concern the caller; the policy then decides one by one.</summary>
    IQueryable<TRow> VisibleTo(IQueryable<TRow> rows, DataConnection db, Caller caller);

    /// <summary>Of all rows those of the parent that the path names; refuses a parent that the caller may not see.</summary>
    Task<IQueryable<TRow>> OfParentAsync(IQueryable<TRow> rows, DataConnection db, Caller caller, string parentId, CancellationToken cancellationToken) => Task.FromResult(rows);

    /// <summary>What belongs to the rows, with a query a table.</summary>
    Task<List<TView>> LoadAsync(DataConnection db, IReadOnlyList<TRow> rows, CancellationToken cancellationToken);

    /// <summary>The resource as the caller sees it: what is shared with one project is not with another.</summary>
    TView For(TView view, Caller caller) => view;

    PolicyTarget TargetOf(TView view) => view is ISharedView shared
        ? PolicyTarget.Of(("project_id", view.Row.ProjectId), ("tenant_id", view.Row.ProjectId), ("shared", PolicyTarget.Format(shared.IsShared)))
        : PolicyTarget.Of(("project_id", view.Row.ProjectId), ("tenant_id", view.Row.ProjectId));

    /// <summary>What a creation touches; may read the parent.</summary>
    Task<PolicyTarget> TargetOfNewAsync(DataConnection db, Body body, CancellationToken cancellationToken) =>
        Task.FromResult(PolicyTarget.Of(("project_id", body.ProjectId), ("tenant_id", body.ProjectId)));

    /// <summary>What an update would make of it, as far as rules look at that.</summary>
    PolicyTarget TargetOfUpdate(TView view, Body body) => TargetOf(view);

    /// <summary>All that one request asks for; those with more to check than one by one have their own.</summary>
    /// <returns>The new ids, in order.</returns>
    async Task<IReadOnlyList<string>> CreateAsync(Work work, Caller caller, IReadOnlyList<Body> bodies)
    {
        var ids = new List<string>(bodies.Count);
        foreach (var body in bodies)
        {
            ids.Add(await CreateOneAsync(work, caller, body));
        }

        return ids;
    }

    /// <returns>The new id.</returns>
    Task<string> CreateOneAsync(Work work, Caller caller, Body body) => throw new NotSupportedException($"{Plural} are created together.");

    /// <summary>What an update needs of other services before it can be written.</summary>
    /// <returns>Takes it back where the update is refused after all; null for nothing.</returns>
    Task<Func<Task>?> BeforeUpdateAsync(DataConnection db, Caller caller, TView view, Body body, CancellationToken cancellationToken) => Task.FromResult<Func<Task>?>(null);

    /// <summary>Writes the changes; the view is as it was in this transaction.</summary>
    Task UpdateAsync(Work work, Caller caller, TView view, Body body);

    Task DeleteAsync(Work work, Caller caller, TView view);

    /// <summary>Before the list of a project's resources, for itself or for an administrator: Neutron makes default security groups then.</summary>
    Task PrepareAsync(string projectId, CancellationToken cancellationToken) => Task.CompletedTask;

    CloudException NotFound(string id);
}
