using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation;
using SharpStack.Foundation.Identity;
using SharpStack.Keystone.ApplicationCredentials;
using SharpStack.Keystone.OAuth1;
using SharpStack.Keystone.Storage;
using SharpStack.Keystone.Trusts;

namespace SharpStack.Keystone.Tokens;

/// <summary>
/// What a token of a trust, an application credential or an OAuth access token stands for. Never more than the one who delegated may do at this moment.
/// </summary>
internal static class Delegations
{
    /// <summary>Chains of trusts are as long as <c>max_redelegation_count</c> allows, which is an operator's number; rows are not trusted to end.</summary>
    private const int LongestChain = 100;

    public static async Task<Authorization?> AuthorizeAsync(
        IdentitySnapshot snapshot, DataConnection db, string userId, TokenScope scope, CancellationToken cancellationToken) => scope.Kind switch
        {
            PayloadKind.Trust => await TrustAsync(snapshot, db, userId, scope, cancellationToken),
            PayloadKind.ApplicationCredential => await ApplicationCredentialAsync(snapshot, db, userId, scope, cancellationToken),
            PayloadKind.OAuth1 => await AccessTokenAsync(snapshot, db, userId, scope, cancellationToken),
            _ => null,
        };

    /// <summary>The trust and those that it passes on, up to the one of the first trustor. Null where one is gone.</summary>
    public static async Task<List<TrustRow>?> ChainAsync(DataConnection db, string trustId, CancellationToken cancellationToken)
    {
        var chain = new List<TrustRow>();
        for (var next = trustId; next is not null && chain.Count < LongestChain; next = chain[^1].RedelegatedTrustId)
        {
            var id = next;
            if (await db.Trusts().FirstOrDefaultAsync(t => t.Id == id, cancellationToken) is not { } trust)
            {
                return null;
            }
            chain.Add(trust);
        }
        return chain;
    }

    /// <summary>Removes within a write what users who go have delegated, and what was delegated to them.</summary>
    public static async Task DeleteOfUsersAsync(DataConnection db, IReadOnlyCollection<string> userIds, CancellationToken cancellationToken)
    {
        await TrustOperations.DeleteOfAsync(db, userIds, cancellationToken);
        await db.AccessTokens().Where(t => userIds.Contains(t.UserId)).DeleteAsync(cancellationToken);
        await db.RequestTokens().Where(t => userIds.Contains(t.UserId!)).DeleteAsync(cancellationToken);
        await DeleteApplicationCredentialsAsync(db, db.ApplicationCredentials().Where(c => userIds.Contains(c.UserId)), cancellationToken);
        await db.AccessRules().Where(r => userIds.Contains(r.UserId)).DeleteAsync(cancellationToken);
    }

    /// <summary>A user who is disabled loses the application credentials for good, as in OpenStack.</summary>
    public static async Task DeleteOfDisabledUserAsync(DataConnection db, string userId, CancellationToken cancellationToken)
    {
        await DeleteApplicationCredentialsAsync(db, db.ApplicationCredentials().Where(c => c.UserId == userId), cancellationToken);
        await db.AccessRules().Where(r => r.UserId == userId).DeleteAsync(cancellationToken);
    }

    /// <summary>Removes within a write what is delegated on projects that go.</summary>
    public static async Task DeleteOfProjectsAsync(DataConnection db, IReadOnlyCollection<string> projectIds, CancellationToken cancellationToken)
    {
        await TrustOperations.DeleteOfAsync(db, projectIds, cancellationToken);
        await db.AccessTokens().Where(t => projectIds.Contains(t.ProjectId)).DeleteAsync(cancellationToken);
        await db.RequestTokens().Where(t => projectIds.Contains(t.ProjectId)).DeleteAsync(cancellationToken);
        await DeleteApplicationCredentialsAsync(db, db.ApplicationCredentials().Where(c => projectIds.Contains(c.ProjectId)), cancellationToken);
    }

    /// <summary>A user who loses a role on a project loses the application credentials there for good, as in OpenStack.</summary>
    public static Task DeleteOfAssignmentAsync(DataConnection db, string userId, string projectId, CancellationToken cancellationToken) =>
        DeleteApplicationCredentialsAsync(db, db.ApplicationCredentials().Where(c => c.UserId == userId && c.ProjectId == projectId), cancellationToken);

    /// <summary>The application credentials of all who hold a role that goes, on the projects where they hold it. Before the assignments are removed.</summary>
    public static async Task DeleteOfRolesAsync(DataConnection db, IReadOnlyCollection<string> roleIds, CancellationToken cancellationToken)
    {
        await DeleteApplicationCredentialsAsync(
            db,
            db.ApplicationCredentials().Where(c => db.ApplicationCredentialRoles().Any(r => r.ApplicationCredentialId == c.Id && roleIds.Contains(r.RoleId))
                || db.Assignments().Any(a => a.ActorType == AssignmentRow.User && a.ActorId == c.UserId && a.TargetId == c.ProjectId && roleIds.Contains(a.RoleId))),
            cancellationToken);
        await db.TrustRoles().Where(r => roleIds.Contains(r.RoleId)).DeleteAsync(cancellationToken);
    }

    public static async Task DeleteApplicationCredentialsAsync(DataConnection db, IQueryable<ApplicationCredentialRow> credentials, CancellationToken cancellationToken)
    {
        foreach (var ids in (await credentials.Select(static c => c.Id).ToListAsync(cancellationToken)).Chunk(500))
        {
            await db.ApplicationCredentialRoles().Where(r => ids.Contains(r.ApplicationCredentialId)).DeleteAsync(cancellationToken);
            await db.ApplicationCredentialAccessRules().Where(r => ids.Contains(r.ApplicationCredentialId)).DeleteAsync(cancellationToken);
            await db.ApplicationCredentials().Where(c => ids.Contains(c.Id)).DeleteAsync(cancellationToken);
        }
    }

    private static async Task<Authorization?> TrustAsync(
        IdentitySnapshot snapshot, DataConnection db, string userId, TokenScope scope, CancellationToken cancellationToken)
    {
        if (await ChainAsync(db, scope.DelegationId!, cancellationToken) is not [{ } trust, ..] chain)
        {
            return null;
        }
        if (trust.TrusteeUserId != userId)
        {
            throw CloudException.Forbidden("User is not a trustee.");
        }
        foreach (var above in chain.Skip(1))
        {
            if (await snapshot.UserAsync(above.TrusteeUserId, cancellationToken) is not { Enabled: true })
            {
                throw CloudException.Forbidden("One of the trust agents is disabled or deleted");
            }
        }
        if (await snapshot.ActiveUserAsync(trust.TrusteeUserId, cancellationToken) is not { } trustee)
        {
            return null;
        }
        if (await snapshot.ActiveUserAsync(trust.TrustorUserId, cancellationToken) is not { } trustor)
        {
            throw CloudException.Forbidden("Trustor is disabled.");
        }
        var named = trust.Impersonation ? trustor : trustee;
        ProjectRow? project = null;
        ProjectRow? domain = null;
        IReadOnlyList<RoleRow> roles = [];
        byte[]? catalog = null;
        long? until = null;
        if (trust.ProjectId is { } projectId)
        {
            if (await snapshot.ActiveProjectAsync(projectId, cancellationToken) is not { } active)
            {
                return null;
            }
            (project, domain) = active;
            var model = await snapshot.RolesAsync(cancellationToken);
            var delegated = model.ExpandIds(await db.TrustRoles().Where(r => r.TrustId == trust.Id).Select(static r => r.RoleId).ToListAsync(cancellationToken));
            // Whoever passed it on in between may have no role at all: it is the first trustor's to give.
            (var assigned, until) = await snapshot.HeldRolesAsync(db, chain[^1].TrustorUserId, PayloadKind.Project, project, domain, cancellationToken);
            var held = model.ExpandIds(assigned);
            if (!delegated.All(held.Contains))
            {
                throw CloudException.Forbidden("Trustee has no delegated roles.");
            }
            roles = model.Expand(delegated);
            if (roles.Count == 0)
            {
                return null;
            }
            catalog = (await snapshot.CatalogAsync(cancellationToken)).Render(trustor.User.Id, project.Id);
        }
        return new(
            named.User, named.Domain, await IdentitySnapshot.PasswordExpiryAsync(db, named.User.Id, cancellationToken), PayloadKind.Trust, project, domain, roles, catalog)
        {
            Trust = new(trust, trustor.User, trustee.User, chain.Min(static t => t.ExpiresAt)),
            ValidUntil = until,
        };
    }

    private static async Task<Authorization?> ApplicationCredentialAsync(
        IdentitySnapshot snapshot, DataConnection db, string userId, TokenScope scope, CancellationToken cancellationToken)
    {
        var credential = await db.ApplicationCredentials().FirstOrDefaultAsync(
            c => c.Id == scope.DelegationId && c.UserId == userId && c.ProjectId == scope.Id, cancellationToken);
        if (credential is null || await snapshot.AuthorizationAsync(userId, TokenScope.Project(credential.ProjectId), cancellationToken) is not { } owner)
        {
            return null;
        }
        var roles = await db.ApplicationCredentialRoles().Where(r => r.ApplicationCredentialId == credential.Id).Select(static r => r.RoleId).ToListAsync(cancellationToken);
        var narrowed = owner.Narrowed(PayloadKind.ApplicationCredential, [.. owner.Roles.Where(r => roles.Contains(r.Id))]);
        return narrowed is null ? null : narrowed with
        {
            ApplicationCredential = credential,
            AccessRules = credential.HasAccessRules ? await AccessRulesAsync(db, credential.Id, cancellationToken) : null,
        };
    }

    private static async Task<IReadOnlyList<AccessRule>> AccessRulesAsync(DataConnection db, string credentialId, CancellationToken cancellationToken) => await (
        from link in db.ApplicationCredentialAccessRules()
        join rule in db.AccessRules() on link.AccessRuleId equals rule.Id
        where link.ApplicationCredentialId == credentialId
        orderby rule.Id
        select new AccessRule(rule.Id, rule.Service, rule.Method, rule.Path)).ToListAsync(cancellationToken);

    private static async Task<Authorization?> AccessTokenAsync(
        IdentitySnapshot snapshot, DataConnection db, string userId, TokenScope scope, CancellationToken cancellationToken)
    {
        var token = await db.AccessTokens().FirstOrDefaultAsync(t => t.Id == scope.DelegationId && t.UserId == userId && t.ProjectId == scope.Id, cancellationToken);
        if (token is null || await snapshot.AuthorizationAsync(userId, TokenScope.Project(token.ProjectId), cancellationToken) is not { } owner)
        {
            return null;
        }
        var granted = (await snapshot.RolesAsync(cancellationToken)).ExpandIds(token.Roles);
        var narrowed = owner.Narrowed(PayloadKind.OAuth1, [.. owner.Roles.Where(r => granted.Contains(r.Id))]);
        return narrowed is null ? null : narrowed with { AccessToken = token };
    }
}
