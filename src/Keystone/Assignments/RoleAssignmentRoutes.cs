using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Policy;
using SharpStack.Keystone.Directories;
using SharpStack.Keystone.Federation;
using SharpStack.Keystone.Roles;
using SharpStack.Keystone.Storage;

namespace SharpStack.Keystone.Assignments;

/// <summary><c>GET /v3/role_assignments</c>: who holds what, as granted or (<c>effective</c>) as it comes out after groups, inheritance and implication.</summary>
internal sealed class RoleAssignmentRoutes(KeystoneStore store, IdentityCache cache, DirectoryIdentities directories, FederatedGroups federated, Answers answers)
{
    /// <summary>An assignment and, where it follows from another, what it follows from.</summary>
    private sealed record View(AssignmentRow Row)
    {
        public string? FromGroup { get; init; }

        public string? FromRole { get; init; }

        public string? FromDomain { get; init; }

        public string? FromProject { get; init; }
    }

    private sealed record Filters(string? Role, string? User, string? Group, string? Domain, string? Project, bool System, bool? Inherited);

    private sealed record Directory(
        IReadOnlyDictionary<string, UserRow> Users, IReadOnlyDictionary<string, GroupRow> Groups, IReadOnlyDictionary<string, ProjectRow> Projects, RoleModel Roles);

    public void Map(ApiRoutes routes) =>
        routes.Read("/v3/role_assignments", ListAsync, "identity:list_role_assignments", "identity:list_role_assignments_for_tree");

    private static bool IsAsked(ApiContext context, string name) => context.Query.Has(name) && context.Query[name] != "0";

    private async Task ListAsync(ApiContext context)
    {
        var query = context.Query;
        var (tree, effective, names) = (IsAsked(context, "include_subtree"), IsAsked(context, "effective"), IsAsked(context, "include_names"));
        var inherited = query.Has("scope.OS-INHERIT:inherited_to") ? query["scope.OS-INHERIT:inherited_to"] == "projects" : (bool?)null;
        var filters = new Filters(
            Given("role.id"), Given("user.id"), Given("group.id"), Given("scope.domain.id"), Given("scope.project.id"), query["scope.system"] is { Length: > 0 }, inherited);
        await EnforceAsync(context, tree, filters.Project);
        Check(filters, tree, effective);

        if (effective && directories.HasAny)
        {
            await ReadMembersAsync(filters, context.Aborted);
        }
        await using var db = store.Read();
        var roles = await cache.Current.RolesAsync(context.Aborted);
        var scope = await ProjectsInScopeAsync(db, filters.Project, tree, context.Aborted);
        var views = effective
            ? await EffectiveAsync(db, filters, scope, roles, context.Aborted)
            : await GrantedAsync(db, filters, scope, context.Aborted);
        if (context.Identity.DomainId is { } own)
        {
            var ofDomain = (await db.Projects().Where(p => p.DomainId == own).Select(static p => p.Id).ToListAsync(context.Aborted)).ToHashSet(StringComparer.Ordinal);
            views = [.. views.Where(v => v.Row.TargetType == AssignmentRow.Domain ? v.Row.TargetId == own : ofDomain.Contains(v.Row.TargetId))];
        }
        var directory = names ? await ReadNamesAsync(db, views, roles, context.Aborted) : null;
        await answers.CollectionAsync(context, "role_assignments", views, (json, view, root) => Write(json, view, root, directory));

        string? Given(string name) => query[name] is { Length: > 0 } value ? value : null;
    }

    private async Task EnforceAsync(ApiContext context, bool tree, string? projectId)
    {
        if (!tree)
        {
            context.Enforce(context.RouteInfo.Policies[0], PolicyTarget.Of(("target.domain_id", context.Identity.DomainId)));
            return;
        }
        var project = projectId is null ? null : await cache.Current.ProjectAsync(projectId, context.Aborted);
        context.Enforce(
            context.RouteInfo.Policies[1], PolicyTarget.Of(("target.project.domain_id", project?.DomainId), ("target.domain_id", project?.DomainId)));
        if (projectId is null)
        {
            throw CloudException.BadRequest("scope.project.id must be specified if include_subtree is also specified");
        }
    }

    private static void Check(Filters filters, bool tree, bool effective)
    {
        var reason = (filters.Domain, filters.Project) is (not null, not null) ? "Specify a domain or project, not both"
            : filters.System && filters.Domain is not null ? "Specify system or domain, not both"
            : filters.System && filters.Project is not null ? "Specify system or project, not both"
            : (filters.User, filters.Group) is (not null, not null) ? "Specify a user or group, not both"
            : effective && filters.Group is not null ? "Combining effective and group filter will always result in an empty list."
            : effective && filters.Inherited == true && filters.Domain is not null
                ? "Combining effective, domain and inherited filters will always result in an empty list."
            : null;
        if (reason is not null)
        {
            throw CloudException.BadRequest(reason);
        }
    }

    /// <summary>Reads who is in the groups that directories keep, of those that have grants.</summary>
    private async Task ReadMembersAsync(Filters filters, CancellationToken cancellationToken)
    {
        var snapshot = cache.Current;
        if (filters.User is { } user)
        {
            await snapshot.UserAsync(user, cancellationToken);
            return;
        }
        List<string> groups;
        await using (var db = store.Read())
        {
            groups = await db.Assignments().Where(static a => a.ActorType == AssignmentRow.Group).Select(static a => a.ActorId).Distinct()
                .Where(id => !db.Groups().Any(g => g.Id == id)).ToListAsync(cancellationToken);
        }
        foreach (var id in groups)
        {
            if (await snapshot.GroupAsync(id, cancellationToken) is { LocalId: not null } group)
            {
                await directories.UsersInGroupAsync(group, cancellationToken);
            }
        }
    }

    /// <summary>The project filtered by, with those below it where the tree is asked for; null for no such filter.</summary>
    private static async Task<HashSet<string>?> ProjectsInScopeAsync(DataConnection db, string? projectId, bool tree, CancellationToken cancellationToken)
    {
        if (projectId is null)
        {
            return null;
        }
        var ids = new HashSet<string>(StringComparer.Ordinal) { projectId };
        if (tree)
        {
            ids.UnionWith((await ProjectTree.SubtreeAsync(db, projectId, cancellationToken)).Select(static p => p.Id));
        }
        return ids;
    }

    private static async Task<List<View>> GrantedAsync(DataConnection db, Filters filters, HashSet<string>? projects, CancellationToken cancellationToken)
    {
        IQueryable<AssignmentRow> query = db.Assignments();
        if (filters.Role is { } role)
        {
            query = query.Where(a => a.RoleId == role);
        }
        if (filters.User is { } user)
        {
            query = query.Where(a => a.ActorType == AssignmentRow.User && a.ActorId == user);
        }
        if (filters.Group is { } group)
        {
            query = query.Where(a => a.ActorType == AssignmentRow.Group && a.ActorId == group);
        }
        if (filters.Domain is { } domain)
        {
            query = query.Where(a => a.TargetType == AssignmentRow.Domain && a.TargetId == domain);
        }
        if (projects is not null)
        {
            query = query.Where(a => a.TargetType == AssignmentRow.Project && projects.Contains(a.TargetId));
        }
        if (filters.System)
        {
            query = query.Where(static a => a.TargetType == AssignmentRow.System);
        }
        if (filters.Inherited is { } inherited)
        {
            query = query.Where(a => a.Inherited == inherited);
        }
        var rows = await query.OrderBy(static a => a.ActorType).ThenBy(static a => a.ActorId).ThenBy(static a => a.TargetId).ThenBy(static a => a.RoleId)
            .ToListAsync(cancellationToken);
        return [.. rows.Select(static r => new View(r))];
    }

    /// <summary>
    /// A fixed number of queries, whatever comes out: grants, memberships of the groups in them (those that mappings gave too), projects below where roles
    /// are inherited.
    /// </summary>
    private async Task<List<View>> EffectiveAsync(
        DataConnection db, Filters filters, HashSet<string>? projects, RoleModel roles, CancellationToken cancellationToken)
    {
        var expiring = await federated.MembershipsAsync(db, filters.User, cancellationToken);
        var query = filters.User is { } user ? EffectiveRoles.Held(db, user, [.. expiring.Select(static m => m.GroupId)]) : db.Assignments();
        var grants = await query.OrderBy(static a => a.ActorId).ThenBy(static a => a.TargetId).ThenBy(static a => a.RoleId).ToListAsync(cancellationToken);
        IQueryable<MembershipRow> memberships = db.Memberships();
        if (filters.User is { } member)
        {
            memberships = memberships.Where(m => m.UserId == member);
        }
        var usersOf = (grants.Exists(static g => g.ActorType == AssignmentRow.Group) ? (await memberships.ToListAsync(cancellationToken)).Union(expiring) : [])
            .ToLookup(static m => m.GroupId, static m => m.UserId);
        var below = new Dictionary<string, List<string>>(StringComparer.Ordinal);
        foreach (var source in grants.Where(static g => g.Inherited).Select(static g => (g.TargetType, g.TargetId)).Distinct())
        {
            below[source.TargetId] = source.TargetType == AssignmentRow.Domain
                ? await db.Projects().Where(p => p.DomainId == source.TargetId).Select(static p => p.Id).ToListAsync(cancellationToken)
                : [.. (await ProjectTree.SubtreeAsync(db, source.TargetId, cancellationToken)).Select(static p => p.Id)];
        }
        var views = grants
            .SelectMany(grant => grant.ActorType == AssignmentRow.User
                ? [new View(grant)]
                : usersOf[grant.ActorId].Select(id => new View(grant with { ActorType = AssignmentRow.User, ActorId = id }) { FromGroup = grant.ActorId }))
            .SelectMany(view => !view.Row.Inherited
                ? [view]
                : below[view.Row.TargetId].Select(id => view with
                {
                    Row = view.Row with { TargetType = AssignmentRow.Project, TargetId = id, Inherited = false },
                    FromDomain = view.Row.TargetType == AssignmentRow.Domain ? view.Row.TargetId : null,
                    FromProject = view.Row.TargetType == AssignmentRow.Project ? view.Row.TargetId : null,
                }))
            .SelectMany(view => roles.ImpliedBy(view.Row.RoleId)
                .Select(i => view with { Row = view.Row with { RoleId = i.RoleId }, FromRole = i.PriorId }).Prepend(view))
            .Where(view => roles.ById.TryGetValue(view.Row.RoleId, out var role) && role.DomainId.Length == 0)
            .Where(view => filters.Role is null || view.Row.RoleId == filters.Role)
            .Where(view => filters.Domain is null || (view.Row.TargetType == AssignmentRow.Domain && view.Row.TargetId == filters.Domain))
            .Where(view => projects is null || (view.Row.TargetType == AssignmentRow.Project && projects.Contains(view.Row.TargetId)))
            .Where(view => !filters.System || view.Row.TargetType == AssignmentRow.System)
            .Where(view => filters.Inherited is null || (view.FromDomain ?? view.FromProject) is not null == filters.Inherited);
        return [.. views.Distinct()];
    }

    private async Task<Directory> ReadNamesAsync(DataConnection db, List<View> views, RoleModel roles, CancellationToken cancellationToken)
    {
        var users = await InChunksAsync(Ids(AssignmentRow.User), chunk => db.Users().Where(u => chunk.Contains(u.Id)).ToListAsync(cancellationToken));
        var groups = await InChunksAsync(Ids(AssignmentRow.Group), chunk => db.Groups().Where(g => chunk.Contains(g.Id)).ToListAsync(cancellationToken));
        foreach (var id in directories.HasAny ? Ids(AssignmentRow.User).Except(users.Select(static u => u.Id)).ToList() : [])
        {
            users.AddRange(await directories.UserAsync(id, cancellationToken) is { } user ? [user] : []);
        }
        foreach (var id in directories.HasAny ? Ids(AssignmentRow.Group).Except(groups.Select(static g => g.Id)).ToList() : [])
        {
            groups.AddRange(await directories.GroupAsync(id, cancellationToken) is { } group ? [group] : []);
        }
        var targets = views.Where(static v => v.Row.TargetType != AssignmentRow.System).Select(static v => v.Row.TargetId).ToHashSet(StringComparer.Ordinal);
        var found = await InChunksAsync(targets, chunk => db.Projects().Where(p => chunk.Contains(p.Id)).ToListAsync(cancellationToken));
        var domainIds = users.Select(static u => u.DomainId).Concat(groups.Select(static g => g.DomainId)).Concat(found.Select(static p => p.DomainId))
            .Where(id => id.Length > 0 && !targets.Contains(id)).ToHashSet(StringComparer.Ordinal);
        found.AddRange(await InChunksAsync(domainIds, chunk => db.Projects().Where(p => chunk.Contains(p.Id)).ToListAsync(cancellationToken)));
        return new(users.ToDictionary(static u => u.Id), groups.ToDictionary(static g => g.Id), found.ToDictionary(static p => p.Id), roles);

        IEnumerable<string> Ids(string type) => views.Where(v => v.Row.ActorType == type).Select(static v => v.Row.ActorId).Distinct();

        static async Task<List<T>> InChunksAsync<T>(IEnumerable<string> ids, Func<string[], Task<List<T>>> read)
        {
            var rows = new List<T>();
            foreach (var chunk in ids.Chunk(500))
            {
                rows.AddRange(await read(chunk));
            }
            return rows;
        }
    }

    private static void Write(Utf8JsonWriter json, View view, string root, Directory? names)
    {
        var row = view.Row;
        json.WriteStartObject();
        json.WriteStartObject("links");
        json.WriteString("assignment", root + LinkOf(view));
        if (view.FromGroup is not null)
        {
            json.WriteString("membership", $"{root}/groups/{view.FromGroup}/users/{row.ActorId}");
        }
        if (view.FromRole is not null)
        {
            json.WriteString("prior_role", $"{root}/prior_role/{row.RoleId}/implies/{view.FromRole}");
        }
        json.WriteEndObject();

        json.WriteStartObject("scope");
        if (row.TargetType == AssignmentRow.System)
        {
            json.WriteStartObject("system");
            json.WriteBoolean("all", true);
            json.WriteEndObject();
        }
        else
        {
            json.WriteStartObject(row.TargetType);
            json.WriteString("id", row.TargetId);
            if (names?.Projects.GetValueOrDefault(row.TargetId) is { } project)
            {
                json.WriteString("name", project.Name);
                if (row.TargetType == AssignmentRow.Project)
                {
                    WriteDomain(project.DomainId);
                }
            }
            json.WriteEndObject();
        }
        if (row.Inherited || view.FromDomain is not null || view.FromProject is not null)
        {
            json.WriteString("OS-INHERIT:inherited_to", "projects");
        }
        json.WriteEndObject();

        json.WriteStartObject(row.ActorType);
        json.WriteString("id", row.ActorId);
        if (names is not null)
        {
            var (name, domain) = row.ActorType == AssignmentRow.User
                ? (names.Users.GetValueOrDefault(row.ActorId)?.Name, names.Users.GetValueOrDefault(row.ActorId)?.DomainId)
                : (names.Groups.GetValueOrDefault(row.ActorId)?.Name, names.Groups.GetValueOrDefault(row.ActorId)?.DomainId);
            json.WriteString("name", name ?? "");
            WriteDomain(domain);
        }
        json.WriteEndObject();

        json.WriteStartObject("role");
        json.WriteString("id", row.RoleId);
        if (names?.Roles.ById.GetValueOrDefault(row.RoleId) is { } role)
        {
            json.WriteString("name", role.Name);
            if (role.DomainId.Length > 0)
            {
                WriteDomain(role.DomainId);
            }
        }
        json.WriteEndObject();
        json.WriteEndObject();

        void WriteDomain(string? id)
        {
            json.WriteStartObject("domain");
            json.WriteString("id", id ?? "");
            json.WriteString("name", id is null ? "" : names!.Projects.GetValueOrDefault(id)?.Name ?? "");
            json.WriteEndObject();
        }
    }

    /// <summary>The grant that stands behind an assignment.</summary>
    private static string LinkOf(View view)
    {
        var row = view.Row;
        var target = view.FromDomain is { } domain ? $"/domains/{domain}"
            : view.FromProject is { } project ? $"/projects/{project}"
            : row.TargetType == AssignmentRow.System ? "/system"
            : $"/{row.TargetType}s/{row.TargetId}";
        var actor = view.FromGroup is { } group ? $"/groups/{group}" : $"/{row.ActorType}s/{row.ActorId}";
        var link = $"{target}{actor}/roles/{view.FromRole ?? row.RoleId}";
        return row.Inherited || view.FromDomain is not null || view.FromProject is not null ? $"/OS-INHERIT{link}/inherited_to_projects" : link;
    }
}
