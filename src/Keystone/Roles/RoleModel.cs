using System.Collections.Frozen;
using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation;
using SharpStack.Keystone.Storage;
using SharpStack.Keystone.Tokens;

namespace SharpStack.Keystone.Roles;

/// <summary>All roles, and which imply which.</summary>
internal sealed class RoleModel
{
    private readonly FrozenDictionary<string, string[]> implied;

    public RoleModel(IEnumerable<RoleRow> roles, IEnumerable<ImpliedRoleRow> rules)
    {
        ById = roles.ToFrozenDictionary(static r => r.Id);
        implied = rules.GroupBy(static r => r.PriorRoleId).ToFrozenDictionary(static g => g.Key, static g => g.Select(static r => r.ImpliedRoleId).ToArray());
    }

    public IReadOnlyDictionary<string, RoleRow> ById { get; }

    /// <summary>The id of a role that a body names: <c>{"id": …}</c> or <c>{"name": …}</c>.</summary>
    /// <exception cref="CloudException">No role has the name (404), or several domains have one (400).</exception>
    public string Resolve(JsonElement reference)
    {
        if (reference.Text("id") is { } id)
        {
            return ById.ContainsKey(id) ? id : throw Fail.NotFound("role", id);
        }
        var name = reference.Text("name") ?? "";
        var key = Names.Key(name);
        return ById.Values.Where(role => role.NameKey == key).ToList() switch
        {
            [var only] => only.Id,
            [] => throw Fail.NotFound("role", name),
            _ => throw CloudException.BadRequest($"There are multiple role entities named '{name}'. Please use ID instead of names to resolve the ambiguity."),
        };
    }

    /// <summary>Every role reached from one, each once, with the role that implies it directly; the role itself is not among them.</summary>
    public IEnumerable<(string RoleId, string PriorId)> ImpliedBy(string roleId)
    {
        var seen = new HashSet<string>(StringComparer.Ordinal) { roleId };
        var queue = new Queue<string>([roleId]);
        while (queue.TryDequeue(out var prior))
        {
            foreach (var next in implied.GetValueOrDefault(prior) ?? [])
            {
                if (seen.Add(next))
                {
                    queue.Enqueue(next);
                    yield return (next, prior);
                }
            }
        }
    }

    /// <summary>The roles and all that they imply, by name. Roles of a domain only imply others: they are in no token.</summary>
    public IReadOnlyList<RoleRow> Expand(IEnumerable<string> roleIds) =>
        [.. ExpandIds(roleIds).Select(id => ById.GetValueOrDefault(id)).OfType<RoleRow>().Where(static r => r.DomainId.Length == 0)
            .OrderBy(static r => r.NameKey, StringComparer.Ordinal)];

    /// <summary>The roles and all that they imply, roles of domains among them.</summary>
    public IReadOnlySet<string> ExpandIds(IEnumerable<string> roleIds)
    {
        var all = new HashSet<string>(StringComparer.Ordinal);
        foreach (var id in roleIds)
        {
            if (all.Add(id))
            {
                all.UnionWith(ImpliedBy(id).Select(static i => i.RoleId));
            }
        }
        return all;
    }
}

/// <summary>The roles that a user holds in a scope, directly, by groups and by inheritance, before implication.</summary>
internal static class EffectiveRoles
{
    /// <summary>What the user holds directly or by groups.</summary>
    /// <param name="groups">Groups beside those that the user is a member of.</param>
    public static IQueryable<AssignmentRow> Held(DataConnection db, string userId, IReadOnlyList<string> groups) =>
        groups.Count == 0
            ? db.Assignments().Where(a => a.ActorId == userId || db.Memberships().Any(m => m.UserId == userId && m.GroupId == a.ActorId))
            : db.Assignments().Where(a => a.ActorId == userId || groups.Contains(a.ActorId) || db.Memberships().Any(m => m.UserId == userId && m.GroupId == a.ActorId));

    public static async Task<List<string>> ReadAsync(
        DataConnection db, string userId, PayloadKind kind, ProjectRow? project, ProjectRow? domain, CancellationToken cancellationToken, IReadOnlyList<string>? groups = null)
    {
        var held = Held(db, userId, groups ?? []);
        if (kind == PayloadKind.System)
        {
            return await held.Where(static a => a.TargetType == AssignmentRow.System && !a.Inherited).Select(static a => a.RoleId).Distinct()
                .ToListAsync(cancellationToken);
        }
        if (project is null)
        {
            return await held.Where(a => a.TargetType == AssignmentRow.Domain && a.TargetId == domain!.Id && !a.Inherited).Select(static a => a.RoleId)
                .Distinct().ToListAsync(cancellationToken);
        }
        var above = await ProjectTree.AncestorIdsAsync(db, project, cancellationToken);
        return await held
            .Where(a => (a.TargetType == AssignmentRow.Project && a.TargetId == project.Id && !a.Inherited)
                || (above.Contains(a.TargetId) && a.Inherited))
            .Select(static a => a.RoleId).Distinct().ToListAsync(cancellationToken);
    }
}

/// <summary>Walks project trees; their depth is bounded by <c>max_project_tree_depth</c>.</summary>
internal static class ProjectTree
{
    /// <summary>The parents up to and with the domain, nearest first.</summary>
    public static async Task<List<string>> AncestorIdsAsync(DataConnection db, ProjectRow project, CancellationToken cancellationToken)
    {
        var ids = new List<string>();
        for (var parent = project.ParentId; parent is not null && !ids.Contains(parent);)
        {
            ids.Add(parent);
            if (parent == project.DomainId)
            {
                break;
            }
            var id = parent;
            parent = await db.Projects().Where(p => p.Id == id).Select(static p => p.ParentId).FirstOrDefaultAsync(cancellationToken);
        }
        return ids;
    }

    /// <summary>All projects below one, level by level.</summary>
    public static async Task<List<ProjectRow>> SubtreeAsync(DataConnection db, string projectId, CancellationToken cancellationToken)
    {
        var all = new List<ProjectRow>();
        List<string> level = [projectId];
        while (level.Count > 0)
        {
            var parents = level;
            var children = await db.Projects().Where(p => parents.Contains(p.ParentId!)).OrderBy(static p => p.Id).ToListAsync(cancellationToken);
            all.AddRange(children);
            level = [.. children.Select(static c => c.Id)];
        }
        return all;
    }
}
