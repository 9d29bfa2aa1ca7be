using System.Collections.Frozen;
using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Storage;
using SharpStack.Keystone.Catalog;
using SharpStack.Keystone.Directories;
using SharpStack.Keystone.DomainConfigs;
using SharpStack.Keystone.Federation;
using SharpStack.Keystone.Groups;
using SharpStack.Keystone.Limits;
using SharpStack.Keystone.Roles;
using SharpStack.Keystone.Storage;
using SharpStack.Keystone.Tokens;
using SharpStack.Keystone.Users;

namespace SharpStack.Keystone.Projects;

/// <summary>Projects and domains: a domain is a project that acts as one.</summary>
internal sealed class ProjectOperations(KeystoneStore store, ProjectQueries queries, IdentityCache cache, RevocationIndex revocations, UrlSafeNames names, ServiceConfig config)
{
    private static readonly FrozenSet<string> Columns =
        FrozenSet.ToFrozenSet(["id", "name", "domain_id", "parent_id", "is_domain", "enabled", "description", "options", "tags", "links", "explicit_domain_id"]);

    private readonly int maxDepth = LimitModel.Of(config.Get(KeystoneOptions.EnforcementModel)).MaxDepth is { } levels
        ? Math.Min(config.Get(KeystoneOptions.MaxProjectTreeDepth), levels)
        : config.Get(KeystoneOptions.MaxProjectTreeDepth);

    /// <param name="domainId">The domain of the new project; not used for one that acts as a domain.</param>
    public async Task<ProjectView> CreateProjectAsync(JsonElement body, string domainId, CancellationToken cancellationToken)
    {
        var parentId = body.Text("parent_id");
        if (body.Flag("is_domain") == true)
        {
            return parentId is null
                ? await CreateDomainAsync(body, null, "project", cancellationToken)
                : throw CloudException.BadRequest("only root projects are allowed to act as domains.");
        }
        names.CheckNew(body.Text("name")!, isDomain: false);
        var snapshot = cache.Current;
        if (await snapshot.DomainAsync(domainId, cancellationToken) is null)
        {
            throw Fail.NotFound("domain", domainId);
        }
        var row = NewRow(body, Names.NewId(), domainId, parentId ?? domainId, isDomain: false);
        var parent = await snapshot.ProjectAsync(row.ParentId!, cancellationToken) ?? throw Fail.NotFound("project", row.ParentId!);
        if (parent.IsDomain && parent.Id != domainId)
        {
            throw CloudException.BadRequest(
                $"Cannot create project, the parent ({parent.Id}) is acting as a domain, but this project's domain id ({domainId}) does not match the parent's id.");
        }
        if (!parent.IsDomain && parent.DomainId != domainId)
        {
            throw CloudException.BadRequest(
                $"Cannot create project, since it specifies its domain_id {domainId}, but specifies a parent in a different domain ({parent.DomainId}).");
        }
        var depth = 1;
        for (var above = parent; above is not null; above = above.ParentId is null ? null : await snapshot.ProjectAsync(above.ParentId, cancellationToken))
        {
            if (!above.Enabled)
            {
                throw CloudException.BadRequest($"cannot create a project in a branch containing a disabled project: {above.Id}");
            }
            if (!above.IsDomain && ++depth > maxDepth)
            {
                throw CloudException.Forbidden($"Max hierarchy depth reached for {parent.Id} branch.");
            }
        }
        return await InsertAsync(row, TagsIn(body), NameConflict(row, "project"), cancellationToken);
    }

    /// <param name="id">Given by the bootstrap and by <c>explicit_domain_id</c>; null for a new one.</param>
    /// <param name="type">What a conflict calls it.</param>
    public Task<ProjectView> CreateDomainAsync(JsonElement body, string? id, string type, CancellationToken cancellationToken)
    {
        names.CheckNew(body.Text("name")!, isDomain: true);
        var row = NewRow(body, id ?? Names.NewId(), "", null, isDomain: true);
        return InsertAsync(row, TagsIn(body), NameConflict(row, type), cancellationToken);
    }

    public async Task<ProjectView> UpdateAsync(string id, JsonElement body, string type, CancellationToken cancellationToken)
    {
        try
        {
            await store.WriteAsync(db => UpdateAsync(db, id, body, type, cancellationToken), cancellationToken);
        }
        catch (UniqueConstraintException)
        {
            throw type == "domain"
                ? Fail.Duplicate("domain", body.Text("name") ?? "", null)
                : Fail.Conflict("project", $"it is not permitted to have two projects with either the same name or same id in the same domain: name is {body.Text("name")}, project id {id}");
        }
        return await queries.FindAsync(id, cancellationToken) ?? throw Fail.NotFound(type, id);
    }

    private async Task UpdateAsync(DataConnection db, string id, JsonElement body, string type, CancellationToken cancellationToken)
    {
        var before = await db.Projects().FirstOrDefaultAsync(p => p.Id == id, cancellationToken) ?? throw Fail.NotFound(type, id);
        if (JsonText.IsImmutable(before.Options) && !JsonText.Unlocks(body))
        {
            throw Fail.Immutable("update", type, id);
        }
        if (!before.IsDomain && body.Text("domain_id") is { } domain && domain != before.DomainId)
        {
            throw CloudException.BadRequest("Cannot change Domain ID");
        }
        if (body.Has("parent_id") && body.Text("parent_id") != before.ParentId)
        {
            throw CloudException.Forbidden("Update of `parent_id` is not allowed.");
        }
        if (body.Flag("is_domain") is { } isDomain && isDomain != before.IsDomain)
        {
            throw CloudException.BadRequest("Update of `is_domain` is not allowed.");
        }
        var name = (body.Text("name") ?? before.Name).Trim();
        if (name != before.Name)
        {
            names.CheckRenamed(name, before.IsDomain);
        }
        var after = before with
        {
            Name = name,
            NameKey = Names.Key(name),
            Enabled = body.Flag("enabled") ?? before.Enabled,
            Description = body.TextOr("description", before.Description),
            Extra = JsonText.Merge(before.Extra, body, Columns),
            Options = body.TryGetProperty("options", out var options) ? JsonText.Merge(before.Options, options, dropNull: true) : before.Options,
        };
        await CheckEnabledAsync(db, before, after, cancellationToken);
        await db.UpdateAsync(after, token: cancellationToken);
        if (TagsIn(body) is { } tags)
        {
            await ReplaceTagsAsync(db, id, tags, cancellationToken);
        }
        if (before.Enabled && !after.Enabled)
        {
            await revocations.RevokeScopeAsync(db, id, cancellationToken);
        }
    }

    public async Task SetTagsAsync(ProjectRow project, IReadOnlyList<string> tags, CancellationToken cancellationToken)
    {
        if (JsonText.IsImmutable(project.Options))
        {
            throw Fail.Immutable("update", "project", project.Id);
        }
        await store.WriteAsync(db => ReplaceTagsAsync(db, project.Id, tags, cancellationToken), cancellationToken);
    }

    public async Task DeleteProjectAsync(ProjectRow project, CancellationToken cancellationToken)
    {
        if (project.IsDomain)
        {
            await DeleteDomainAsync(project, cancellationToken);
            return;
        }
        if (JsonText.IsImmutable(project.Options))
        {
            throw Fail.Immutable("delete", "project", project.Id);
        }
        await store.WriteAsync(
            async db =>
            {
                if (await db.Projects().AnyAsync(p => p.ParentId == project.Id, cancellationToken))
                {
                    throw CloudException.Forbidden(
                        $"Cannot delete the project {project.Id} since it is not a leaf in the hierarchy. Use the cascade option if you want to delete a whole subtree.");
                }
                await DeleteProjectRowsAsync(db, [project.Id], cancellationToken);
            },
            cancellationToken);
    }

    /// <summary>Deletes a disabled domain with everything that belongs to it.</summary>
    public async Task DeleteDomainAsync(ProjectRow domain, CancellationToken cancellationToken)
    {
        if (JsonText.IsImmutable(domain.Options))
        {
            throw Fail.Immutable("delete", "domain", domain.Id);
        }
        await store.WriteAsync(
            async db =>
            {
                if (await db.Projects().AnyAsync(p => p.Id == domain.Id && p.Enabled, cancellationToken))
                {
                    throw CloudException.Forbidden("Cannot delete a domain that is enabled, please disable it first.");
                }
                var users = await db.Users().Where(u => u.DomainId == domain.Id).Select(static u => u.Id).ToListAsync(cancellationToken);
                var groups = await db.Groups().Where(g => g.DomainId == domain.Id).Select(static g => g.Id).ToListAsync(cancellationToken);
                var projects = await db.Projects().Where(p => p.DomainId == domain.Id).Select(static p => p.Id).ToListAsync(cancellationToken);
                var roles = await db.Roles().Where(r => r.DomainId == domain.Id).Select(static r => r.Id).ToListAsync(cancellationToken);
                foreach (var chunk in users.Chunk(500))
                {
                    await UserOperations.DeleteRowsAsync(db, chunk, cancellationToken);
                }
                foreach (var chunk in groups.Chunk(500))
                {
                    await GroupRoutes.DeleteRowsAsync(db, chunk, cancellationToken);
                }
                foreach (var chunk in roles.Chunk(500))
                {
                    await RoleRoutes.DeleteRowsAsync(db, chunk, cancellationToken);
                }
                foreach (var chunk in projects.Append(domain.Id).Chunk(500))
                {
                    await DeleteProjectRowsAsync(db, chunk, cancellationToken);
                }
                var providers = await db.IdentityProviders().Where(p => p.DomainId == domain.Id).Select(static p => p.Id).ToListAsync(cancellationToken);
                await IdentityProviderRoutes.RemoveAsync(db, providers, cancellationToken);
            },
            cancellationToken);
    }

    private static async Task DeleteProjectRowsAsync(DataConnection db, IReadOnlyCollection<string> ids, CancellationToken cancellationToken)
    {
        await db.Assignments().Where(a => a.TargetType != AssignmentRow.System && ids.Contains(a.TargetId)).DeleteAsync(cancellationToken);
        await db.ProjectTags().Where(t => ids.Contains(t.ProjectId)).DeleteAsync(cancellationToken);
        await db.ProjectEndpoints().Where(e => ids.Contains(e.ProjectId)).DeleteAsync(cancellationToken);
        await db.ProjectEndpointGroups().Where(e => ids.Contains(e.ProjectId)).DeleteAsync(cancellationToken);
        await db.Limits().Where(l => ids.Contains(l.ProjectId) || ids.Contains(l.DomainId)).DeleteAsync(cancellationToken);
        await db.DomainConfigs().Where(c => ids.Contains(c.DomainId)).DeleteAsync(cancellationToken);
        await db.IdMappings().Where(m => ids.Contains(m.DomainId)).DeleteAsync(cancellationToken);
        await db.Credentials().Where(c => ids.Contains(c.ProjectId!)).DeleteAsync(cancellationToken);
        await Delegations.DeleteOfProjectsAsync(db, ids, cancellationToken);
        await db.Users().Where(u => ids.Contains(u.DefaultProjectId!)).Set(static u => u.DefaultProjectId, (string?)null).UpdateAsync(cancellationToken);
        await db.Projects().Where(p => ids.Contains(p.Id)).DeleteAsync(cancellationToken);
    }

    private static async Task CheckEnabledAsync(DataConnection db, ProjectRow before, ProjectRow after, CancellationToken cancellationToken)
    {
        if (before.Enabled == after.Enabled || before.IsDomain)
        {
            return;
        }
        if (after.Enabled)
        {
            var above = await ProjectTree.AncestorIdsAsync(db, before, cancellationToken);
            if (await db.Projects().AnyAsync(p => above.Contains(p.Id) && !p.Enabled, cancellationToken))
            {
                throw CloudException.Forbidden($"Cannot enable project {before.Id} since it has disabled parents");
            }
        }
        else if ((await ProjectTree.SubtreeAsync(db, before.Id, cancellationToken)).Exists(static p => p.Enabled))
        {
            throw CloudException.Forbidden($"Cannot disable project {before.Id} since its subtree contains enabled projects.");
        }
    }

    private static ProjectRow NewRow(JsonElement body, string id, string domainId, string? parentId, bool isDomain)
    {
        var name = body.Text("name")!.Trim();
        return new()
        {
            Id = id,
            Name = name,
            NameKey = Names.Key(name),
            DomainId = domainId,
            ParentId = parentId,
            IsDomain = isDomain,
            Enabled = body.Flag("enabled") ?? true,
            Description = body.TextOr("description", ""),
            Extra = JsonText.Merge(JsonText.Empty, body, Columns),
            Options = body.TryGetProperty("options", out var options) ? JsonText.Merge(JsonText.Empty, options, dropNull: true) : JsonText.Empty,
        };
    }

    private static string[]? TagsIn(JsonElement body) =>
        body.TryGetProperty("tags", out var tags) && tags.ValueKind == JsonValueKind.Array ? [.. tags.EnumerateArray().Select(static t => t.GetString()!)] : null;

    private static CloudException NameConflict(ProjectRow row, string type) => type == "domain"
        ? Fail.Duplicate("domain", row.Name, null)
        : Fail.Conflict("project", row.IsDomain
            ? $"it is not permitted to have two projects acting as domains with the same name: {row.Name}"
            : $"it is not permitted to have two projects with either the same name or same id in the same domain: name is {row.Name}, project id {row.Id}");

    private static async Task ReplaceTagsAsync(DataConnection db, string projectId, IReadOnlyList<string> tags, CancellationToken cancellationToken)
    {
        await db.ProjectTags().Where(t => t.ProjectId == projectId).DeleteAsync(cancellationToken);
        foreach (var tag in tags)
        {
            await db.InsertAsync(new ProjectTagRow { ProjectId = projectId, Name = tag }, token: cancellationToken);
        }
    }

    private async Task<ProjectView> InsertAsync(ProjectRow row, string[]? tags, CloudException conflict, CancellationToken cancellationToken)
    {
        try
        {
            await store.WriteAsync(
                async db =>
                {
                    if (row.ParentId is { } parent && !await db.Projects().AnyAsync(p => p.Id == parent, cancellationToken))
                    {
                        throw Fail.NotFound("project", parent);
                    }
                    await db.InsertAsync(row, token: cancellationToken);
                    await ReplaceTagsAsync(db, row.Id, tags ?? [], cancellationToken);
                },
                cancellationToken);
        }
        catch (UniqueConstraintException)
        {
            throw conflict;
        }
        return new(row, tags ?? []);
    }
}
