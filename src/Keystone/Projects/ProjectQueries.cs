using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation.Http;
using SharpStack.Keystone.Federation;
using SharpStack.Keystone.Roles;
using SharpStack.Keystone.Storage;

namespace SharpStack.Keystone.Projects;

/// <summary>A project or a domain with its tags.</summary>
internal sealed record ProjectView(ProjectRow Row, IReadOnlyList<string> Tags);

internal sealed class ProjectQueries(KeystoneStore store, FederatedGroups federated)
{
    private const int Chunk = 500;

    public async Task<ProjectView?> FindAsync(string id, CancellationToken cancellationToken)
    {
        await using var db = store.Read();
        return await db.Projects().FirstOrDefaultAsync(p => p.Id == id, cancellationToken) is { } row
            ? (await WithTagsAsync(db, [row], cancellationToken))[0]
            : null;
    }

    /// <summary>Refuses (404) a domain that does not exist.</summary>
    public static async Task RequireDomainAsync(DataConnection db, string id, CancellationToken cancellationToken)
    {
        if (!await db.Projects().AnyAsync(p => p.Id == id && p.IsDomain, cancellationToken))
        {
            throw Fail.NotFound("domain", id);
        }
    }

    /// <summary>Adds the tags, in one query for each few hundred projects.</summary>
    public static async Task<IReadOnlyList<ProjectView>> WithTagsAsync(DataConnection db, IReadOnlyList<ProjectRow> rows, CancellationToken cancellationToken)
    {
        var tags = new List<ProjectTagRow>();
        foreach (var chunk in rows.Select(static r => r.Id).Chunk(Chunk))
        {
            tags.AddRange(await db.ProjectTags().Where(t => chunk.Contains(t.ProjectId)).OrderBy(static t => t.Name).ToListAsync(cancellationToken));
        }
        var byProject = tags.ToLookup(static t => t.ProjectId, static t => t.Name);
        return [.. rows.Select(r => new ProjectView(r, [.. byProject[r.Id]]))];
    }

    /// <summary>The filters of a list of projects: name, domain, parent, enabled, tags.</summary>
    public static IQueryable<ProjectRow> Filter(DataConnection db, ApiContext context, IQueryable<ProjectRow> query)
    {
        query = Answers.WhereName(context, query, static p => p.NameKey);
        var asked = context.Query;
        if (asked["domain_id"] is { } domain)
        {
            query = query.Where(p => p.DomainId == domain);
        }
        if (asked["parent_id"] is { } parent)
        {
            query = query.Where(p => p.ParentId == parent);
        }
        if (asked.Flag("enabled") is { } enabled)
        {
            query = query.Where(p => p.Enabled == enabled);
        }
        if (TagsOf("tags") is { } all)
        {
            query = query.Where(p => db.ProjectTags().Count(t => t.ProjectId == p.Id && all.Contains(t.Name)) == all.Length);
        }
        if (TagsOf("tags-any") is { } any)
        {
            query = query.Where(p => db.ProjectTags().Any(t => t.ProjectId == p.Id && any.Contains(t.Name)));
        }
        if (TagsOf("not-tags") is { } notAll)
        {
            query = query.Where(p => db.ProjectTags().Count(t => t.ProjectId == p.Id && notAll.Contains(t.Name)) != notAll.Length);
        }
        if (TagsOf("not-tags-any") is { } none)
        {
            query = query.Where(p => !db.ProjectTags().Any(t => t.ProjectId == p.Id && none.Contains(t.Name)));
        }
        return query;

        string[]? TagsOf(string name) => asked[name] is { Length: > 0 } text ? [.. text.Split(',').Distinct()] : null;
    }

    /// <summary>The projects in which a user has a role: directly, by groups, or inherited from a domain or a project above.</summary>
    /// <param name="groups">Groups beside those that the user is a member of.</param>
    public async Task<IReadOnlyList<ProjectView>> OfUserAsync(
        string userId, ApiContext? filters, CancellationToken cancellationToken, IReadOnlyList<string>? groups = null)
    {
        await using var db = store.Read();
        var held = await HeldAsync(db, userId, groups, cancellationToken);
        var direct = db.Projects().Where(p => !p.IsDomain && held.Any(a => a.TargetType == AssignmentRow.Project && a.TargetId == p.Id && !a.Inherited));
        var found = (await Filtered(direct).OrderBy(static p => p.Id).ToListAsync(cancellationToken)).ToDictionary(static p => p.Id);
        foreach (var source in await held.Where(static a => a.Inherited).Select(static a => new { a.TargetType, a.TargetId }).Distinct().ToListAsync(cancellationToken))
        {
            if (source.TargetType == AssignmentRow.Domain)
            {
                await AddAsync(db.Projects().Where(p => p.DomainId == source.TargetId));
            }
            else
            {
                var below = (await ProjectTree.SubtreeAsync(db, source.TargetId, cancellationToken)).Select(static p => p.Id).ToList();
                await AddAsync(db.Projects().Where(p => below.Contains(p.Id)));
            }
        }
        return await WithTagsAsync(db, [.. found.Values], cancellationToken);

        IQueryable<ProjectRow> Filtered(IQueryable<ProjectRow> query) => filters is null ? query : Filter(db, filters, query);

        async Task AddAsync(IQueryable<ProjectRow> query)
        {
            foreach (var project in await Filtered(query).ToListAsync(cancellationToken))
            {
                found.TryAdd(project.Id, project);
            }
        }
    }

    /// <summary>The domains on which a user has a role.</summary>
    public async Task<IReadOnlyList<ProjectView>> DomainsOfUserAsync(string userId, CancellationToken cancellationToken, IReadOnlyList<string>? groups = null)
    {
        await using var db = store.Read();
        var held = await HeldAsync(db, userId, groups, cancellationToken);
        var rows = await db.Projects().Where(p => p.IsDomain && held.Any(a => a.TargetType == AssignmentRow.Domain && a.TargetId == p.Id && !a.Inherited))
            .OrderBy(static p => p.Id).ToListAsync(cancellationToken);
        return await WithTagsAsync(db, rows, cancellationToken);
    }

    /// <summary>Whether a user has a role on the system.</summary>
    public async Task<bool> HasSystemRoleAsync(string userId, CancellationToken cancellationToken, IReadOnlyList<string>? groups = null)
    {
        await using var db = store.Read();
        return await (await HeldAsync(db, userId, groups, cancellationToken)).AnyAsync(static a => a.TargetType == AssignmentRow.System, cancellationToken);
    }

    /// <summary>What a user holds, also by the memberships that a mapping gave.</summary>
    private async Task<IQueryable<AssignmentRow>> HeldAsync(DataConnection db, string userId, IReadOnlyList<string>? groups, CancellationToken cancellationToken) =>
        EffectiveRoles.Held(db, userId, [.. groups ?? [], .. (await federated.OfUserAsync(db, userId, cancellationToken)).Groups]);
}
