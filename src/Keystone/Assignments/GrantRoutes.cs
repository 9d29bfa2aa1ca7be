using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Policy;
using SharpStack.Keystone.Roles;
using SharpStack.Keystone.Storage;
using SharpStack.Keystone.Tokens;

namespace SharpStack.Keystone.Assignments;

/// <summary>
/// Grants of roles: to users and groups, on projects, domains and the system, also inherited by the projects below
/// (<c>/v3/OS-INHERIT/…/inherited_to_projects</c>).
/// </summary>
internal sealed class GrantRoutes(KeystoneStore store, IdentityCache cache, Answers answers)
{
    /// <summary>What a path means.</summary>
    private sealed record Path(string TargetType, string ActorType, bool Inherited);

    /// <param name="InDirectory">Whether the user or group is kept elsewhere.</param>
    /// <param name="TargetDomainId">Of a project or domain.</param>
    private sealed record Grant(string TargetId, string? TargetDomainId, string ActorId, RoleRow? Role, bool InDirectory);

    public void Map(ApiRoutes routes)
    {
        foreach (var actor in (string[])[AssignmentRow.User, AssignmentRow.Group])
        {
            foreach (var target in (string[])[AssignmentRow.Project, AssignmentRow.Domain])
            {
                MapOne(routes, new(target, actor, false), $"/v3/{target}s/{{{target}_id}}/{actor}s/{{{actor}_id}}/roles", "");
                MapOne(routes, new(target, actor, true), $"/v3/OS-INHERIT/{target}s/{{{target}_id}}/{actor}s/{{{actor}_id}}/roles", "/inherited_to_projects");
            }
            MapOne(routes, new(AssignmentRow.System, actor, false), $"/v3/system/{actor}s/{{{actor}_id}}/roles", "");
        }
    }

    private void MapOne(ApiRoutes routes, Path path, string roles, string suffix)
    {
        var (list, check, create, revoke) = path.TargetType == AssignmentRow.System
            ? ($"identity:list_system_grants_for_{path.ActorType}", $"identity:check_system_grant_for_{path.ActorType}",
                $"identity:create_system_grant_for_{path.ActorType}", $"identity:revoke_system_grant_for_{path.ActorType}")
            : ("identity:list_grants", "identity:check_grant", "identity:create_grant", "identity:revoke_grant");
        routes.Read(roles + suffix, context => ListAsync(context, path), list);
        var one = roles + "/{role_id}" + suffix;
        routes.Read(one, context => CheckAsync(context, path), check);
        routes.Put(one, context => CreateAsync(context, path)).Policy(create);
        routes.Delete(one, context => RevokeAsync(context, path)).Policy(revoke);
    }

    /// <summary>Looks up what the path names, asks the policy, and only then tells what does not exist.</summary>
    /// <param name="allowMissingActor">A grant of a user or group that is gone can still be removed.</param>
    private async Task<Grant> EnforcedAsync(ApiContext context, Path path, bool allowMissingActor = false)
    {
        var snapshot = cache.Current;
        var actorId = context.Route(path.ActorType + "_id");
        string? actorDomain = null;
        var actorExists = false;
        var inDirectory = false;
        if (path.ActorType == AssignmentRow.User)
        {
            var user = await snapshot.UserAsync(actorId, context.Aborted);
            (actorDomain, actorExists) = (user?.DomainId, user is not null);
            inDirectory = user?.LocalId is not null;
        }
        else
        {
            var group = await snapshot.GroupAsync(actorId, context.Aborted);
            (actorDomain, actorExists) = (group?.DomainId, group is not null);
            inDirectory = group?.LocalId is not null;
        }
        var targetId = path.TargetType == AssignmentRow.System ? "all" : context.Route(path.TargetType + "_id");
        ProjectRow? target = null;
        if (path.TargetType != AssignmentRow.System)
        {
            target = path.TargetType == AssignmentRow.Domain
                ? await snapshot.DomainAsync(targetId, context.Aborted)
                : await snapshot.ProjectAsync(targetId, context.Aborted);
        }
        var roleId = context.Http.Request.RouteValues["role_id"] as string;
        var role = roleId is null ? null : (await snapshot.RolesAsync(context.Aborted)).ById.GetValueOrDefault(roleId);

        var values = new List<(string, string?)>();
        if (actorExists)
        {
            values.Add(($"target.{path.ActorType}.domain_id", actorDomain));
        }
        if (target is not null)
        {
            values.Add(path.TargetType == AssignmentRow.Domain ? ("target.domain.id", target.Id) : ("target.project.domain_id", target.DomainId));
        }
        if (role is not null)
        {
            values.Add(("target.role.domain_id", role.DomainId.Length == 0 ? null : role.DomainId));
        }
        context.Enforce(PolicyTarget.Of(values.ToArray()));

        if (roleId is not null && role is null)
        {
            throw Fail.NotFound("role", roleId);
        }
        if (!actorExists && !allowMissingActor)
        {
            throw Fail.NotFound(path.ActorType, actorId);
        }
        if (path.TargetType != AssignmentRow.System && target is null)
        {
            throw Fail.NotFound(path.TargetType, targetId);
        }
        return new(targetId, target?.DomainId, actorId, role, inDirectory);
    }

    private static IQueryable<AssignmentRow> Matching(IQueryable<AssignmentRow> assignments, Path path, Grant grant) =>
        assignments.Where(a => a.ActorType == path.ActorType && a.ActorId == grant.ActorId && a.TargetType == path.TargetType && a.TargetId == grant.TargetId
            && a.Inherited == path.Inherited);

    private static CloudException NotGranted(Grant grant) => CloudException.NotFound(
        $"Could not find role assignment with role: {grant.Role!.Id}, user or group: {grant.ActorId}, project, domain, or system: {grant.TargetId}.");

    private async Task ListAsync(ApiContext context, Path path)
    {
        var grant = await EnforcedAsync(context, path);
        await using var db = store.Read();
        var held = Matching(db.Assignments(), path, grant);
        var roles = await db.Roles().Where(r => held.Any(a => a.RoleId == r.Id)).OrderBy(static r => r.Id).ToListAsync(context.Aborted);
        await answers.CollectionAsync(context, "roles", roles, RoleRoutes.Write);
    }

    private async Task CheckAsync(ApiContext context, Path path)
    {
        var grant = await EnforcedAsync(context, path);
        await using var db = store.Read();
        if (!await Matching(db.Assignments(), path, grant).AnyAsync(a => a.RoleId == grant.Role!.Id, context.Aborted))
        {
            throw NotGranted(grant);
        }
        await context.NoContentAsync();
    }

    private async Task CreateAsync(ApiContext context, Path path)
    {
        var grant = await EnforcedAsync(context, path);
        if (grant.Role is { DomainId.Length: > 0 } role)
        {
            if (path.TargetType == AssignmentRow.Project && grant.TargetDomainId != role.DomainId)
            {
                throw CloudException.Forbidden($"Project {grant.TargetId} must be in the same domain as the role {role.Id} being assigned.");
            }
            if (path.TargetType == AssignmentRow.System)
            {
                throw CloudException.BadRequest($"Role {role.Id} is a domain-specific role. Unable to use a domain-specific role in a system assignment.");
            }
        }
        await store.WriteAsync(
            async db =>
            {
                await RequireAsync(db, path, grant, context.Aborted);
                // Granting twice is no error.
                if (!await Matching(db.Assignments(), path, grant).AnyAsync(a => a.RoleId == grant.Role!.Id, context.Aborted))
                {
                    await db.InsertAsync(
                        new AssignmentRow
                        {
                            ActorType = path.ActorType,
                            ActorId = grant.ActorId,
                            TargetType = path.TargetType,
                            TargetId = grant.TargetId,
                            RoleId = grant.Role!.Id,
                            Inherited = path.Inherited,
                        },
                        token: context.Aborted);
                }
            },
            context.Aborted);
        await context.NoContentAsync();
    }

    /// <summary>All three are still there, now that nobody else writes: nothing would ever remove a grant of what is gone.</summary>
    private static async Task RequireAsync(DataConnection db, Path path, Grant grant, CancellationToken cancellationToken)
    {
        if (!await db.Roles().AnyAsync(r => r.Id == grant.Role!.Id, cancellationToken))
        {
            throw Fail.NotFound("role", grant.Role!.Id);
        }
        if (!grant.InDirectory && !await (path.ActorType == AssignmentRow.User
            ? db.Users().AnyAsync(u => u.Id == grant.ActorId, cancellationToken)
            : db.Groups().AnyAsync(g => g.Id == grant.ActorId, cancellationToken)))
        {
            throw Fail.NotFound(path.ActorType, grant.ActorId);
        }
        if (path.TargetType != AssignmentRow.System && !await db.Projects().AnyAsync(p => p.Id == grant.TargetId, cancellationToken))
        {
            throw Fail.NotFound(path.TargetType, grant.TargetId);
        }
    }

    private async Task RevokeAsync(ApiContext context, Path path)
    {
        var grant = await EnforcedAsync(context, path, allowMissingActor: true);
        var removed = await store.WriteAsync(
            async db =>
            {
                var rows = await Matching(db.Assignments(), path, grant).Where(a => a.RoleId == grant.Role!.Id).DeleteAsync(context.Aborted);
                if (rows > 0 && path.ActorType == AssignmentRow.User && path.TargetType == AssignmentRow.Project)
                {
                    await Delegations.DeleteOfAssignmentAsync(db, grant.ActorId, grant.TargetId, context.Aborted);
                }
                return rows;
            },
            context.Aborted);
        if (removed == 0)
        {
            throw NotGranted(grant);
        }
        await context.NoContentAsync();
    }
}
