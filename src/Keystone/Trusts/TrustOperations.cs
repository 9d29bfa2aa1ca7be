using System.Collections.Frozen;
using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Identity;
using SharpStack.Foundation.Storage;
using SharpStack.Keystone.Storage;
using SharpStack.Keystone.Tokens;

namespace SharpStack.Keystone.Trusts;

/// <summary>A trust with the ids of the roles that it delegates.</summary>
internal sealed record TrustView(TrustRow Row, IReadOnlyList<string> RoleIds);

internal sealed class TrustOperations(KeystoneStore store, IdentityCache cache, ServiceConfig config, TimeProvider time)
{
    private static readonly FrozenSet<string> Columns = FrozenSet.ToFrozenSet(
    [
        "id", "trustor_user_id", "trustee_user_id", "project_id", "impersonation", "expires_at", "remaining_uses", "deleted_at", "redelegated_trust_id",
        "redelegation_count", "allow_redelegation", "roles", "links", "roles_links",
    ]);

    private readonly int maxCount = config.Get(KeystoneOptions.MaxRedelegationCount);

    /// <summary>Whether tokens may still be issued by it.</summary>
    public static bool IsUsable(TrustRow trust, long now) => !(trust.ExpiresAt < now) && trust.RemainingUses is not <= 0;

    /// <summary>A usable trust.</summary>
    /// <exception cref="CloudException">There is none (404), or one of a chain is no longer good for passing on (403).</exception>
    public async Task<TrustView> GetAsync(string id, CancellationToken cancellationToken)
    {
        await using var db = store.Read();
        if (await Delegations.ChainAsync(db, id, cancellationToken) is not [{ } trust, ..] chain || !IsUsable(trust, time.NowMicroseconds()))
        {
            throw Fail.NotFound("trust", id);
        }
        foreach (var above in chain.Skip(1))
        {
            if (await cache.Current.UserAsync(above.TrusteeUserId, cancellationToken) is not { Enabled: true })
            {
                throw CloudException.Forbidden("One of the trust agents is disabled or deleted");
            }
        }
        return new(trust, await RolesAsync(db, id, cancellationToken));
    }

    /// <param name="body">The checked body.</param>
    /// <param name="creator">Who asks: the trustor, or with a token of a trust that is passed on.</param>
    public async Task<TrustView> CreateAsync(JsonElement body, RequestIdentity creator, CancellationToken cancellationToken)
    {
        var snapshot = cache.Current;
        var (trustorId, trusteeId) = (body.Text("trustor_user_id")!, body.Text("trustee_user_id")!);
        var projectId = body.Text("project_id") is { Length: > 0 } given ? given : null;
        var asked = body.TryGetProperty("roles", out var list) ? list.EnumerateArray().ToList() : [];
        if (projectId is not null && asked.Count == 0)
        {
            throw Fail.ForbiddenAction("At least one role should be specified");
        }
        if (creator.UserId != trustorId)
        {
            throw Fail.ForbiddenAction("The authenticated user should match the trustor");
        }
        if (await snapshot.UserAsync(trusteeId, cancellationToken) is null)
        {
            throw Fail.NotFound("user", trusteeId);
        }
        if (creator.TrustId is null && creator.AccessTokenId is not null)
        {
            throw Fail.ForbiddenAction("Redelegation allowed for delegated by trust only");
        }
        var model = await snapshot.RolesAsync(cancellationToken);
        var roles = asked.Select(model.Resolve).Distinct().ToList();
        var parent = creator.TrustId is { } parentId ? await GetAsync(parentId, cancellationToken) : null;
        await RequireRolesAsync(parent, trustorId, projectId, roles, cancellationToken);

        var requested = body.TryGetProperty("redelegation_count", out var count) && count.ValueKind == JsonValueKind.Number ? count.GetInt32() : (int?)null;
        var uses = body.TryGetProperty("remaining_uses", out var remaining) && remaining.ValueKind == JsonValueKind.Number ? remaining.GetInt32() : (int?)null;
        var redelegatable = body.Flag("allow_redelegation") == true && requested is not 0;
        if (redelegatable && requested > maxCount)
        {
            throw CloudException.Forbidden($"Requested redelegation depth of {requested} is greater than allowed {maxCount}");
        }
        if (redelegatable && uses is not null)
        {
            throw CloudException.BadRequest("remaining_uses must not be set if redelegation is allowed");
        }
        var trust = new TrustRow
        {
            Id = Names.NewId(),
            TrustorUserId = trustorId,
            TrusteeUserId = trusteeId,
            ProjectId = projectId,
            Impersonation = body.Flag("impersonation") == true,
            ExpiresAt = Expirations.Parse(body.Text("expires_at"), time),
            RemainingUses = uses,
            RedelegatedTrustId = parent?.Row.Id,
            RedelegationCount = !redelegatable ? 0 : requested ?? (parent is null ? maxCount : parent.Row.RedelegationCount - 1),
            Extra = JsonText.Merge(JsonText.Empty, body, Columns),
        };
        if (parent is not null)
        {
            if (redelegatable && requested is not null && requested != parent.Row.RedelegationCount - 1)
            {
                throw CloudException.Forbidden("Modifying \"redelegation_count\" upon redelegation is forbidden. Omitting this parameter is advised.");
            }
            trust = Redelegated(trust, roles, parent);
        }
        await store.WriteAsync(
            async db =>
            {
                if (parent is not null && !await db.Trusts().AnyAsync(t => t.Id == parent.Row.Id, cancellationToken))
                {
                    throw Fail.NotFound("trust", parent.Row.Id);
                }
                if (trust.ProjectId is not null && trust.ExpiresAt is not null && await db.Trusts().AnyAsync(
                    t => t.TrustorUserId == trust.TrustorUserId && t.TrusteeUserId == trust.TrusteeUserId && t.ProjectId == trust.ProjectId
                        && t.Impersonation == trust.Impersonation && t.ExpiresAt == trust.ExpiresAt,
                    cancellationToken))
                {
                    throw Fail.Conflict("trust", "Duplicate entry found with the same trustor, trustee, project, impersonation and expiry");
                }
                await db.InsertAsync(trust, token: cancellationToken);
                await db.BulkCopyAsync(roles.Select(role => new TrustRoleRow { TrustId = trust.Id, RoleId = role }), cancellationToken);
            },
            cancellationToken);
        return new(trust, roles);
    }

    /// <summary>Deletes a trust, and all that pass it on.</summary>
    public Task DeleteAsync(string id, CancellationToken cancellationToken) => store.WriteAsync(
        db => DeleteRowsAsync(db, [id], cancellationToken), cancellationToken);

    /// <summary>Deletes within a write the trusts with these ids, and all that pass them on.</summary>
    public static async Task DeleteRowsAsync(DataConnection db, IReadOnlyCollection<string> ids, CancellationToken cancellationToken)
    {
        for (var level = ids; level.Count > 0;)
        {
            var above = level;
            level = await db.Trusts().Where(t => above.Contains(t.RedelegatedTrustId!) && !above.Contains(t.Id)).Select(static t => t.Id).ToListAsync(cancellationToken);
            await db.TrustRoles().Where(r => above.Contains(r.TrustId)).DeleteAsync(cancellationToken);
            await db.Trusts().Where(t => above.Contains(t.Id)).DeleteAsync(cancellationToken);
        }
    }

    /// <summary>Deletes within a write the trusts of users or on projects that go.</summary>
    public static async Task DeleteOfAsync(DataConnection db, IReadOnlyCollection<string> userOrProjectIds, CancellationToken cancellationToken) =>
        await DeleteRowsAsync(
            db,
            await db.Trusts().Where(t => userOrProjectIds.Contains(t.TrustorUserId) || userOrProjectIds.Contains(t.TrusteeUserId) || userOrProjectIds.Contains(t.ProjectId!))
                .Select(static t => t.Id).ToListAsync(cancellationToken),
            cancellationToken);

    private static async Task<List<string>> RolesAsync(DataConnection db, string id, CancellationToken cancellationToken) =>
        await db.TrustRoles().Where(r => r.TrustId == id).OrderBy(static r => r.RoleId).Select(static r => r.RoleId).ToListAsync(cancellationToken);

    /// <summary>The first trustor must hold the roles; also those of domains, which may be delegated as what they imply.</summary>
    private async Task RequireRolesAsync(TrustView? parent, string trustorId, string? projectId, List<string> roles, CancellationToken cancellationToken)
    {
        var snapshot = cache.Current;
        IReadOnlySet<string> held = new HashSet<string>();
        if (projectId is not null)
        {
            var project = await snapshot.ProjectAsync(projectId, cancellationToken) ?? throw Fail.NotFound("project", projectId);
            await using var db = store.Read();
            var first = parent is null ? trustorId : (await Delegations.ChainAsync(db, parent.Row.Id, cancellationToken))?[^1].TrustorUserId ?? trustorId;
            var (assigned, _) = await snapshot.HeldRolesAsync(db, first, PayloadKind.Project, project, null, cancellationToken);
            held = (await snapshot.RolesAsync(cancellationToken)).ExpandIds(assigned);
        }
        if (roles.Find(role => !held.Contains(role)) is { } missing)
        {
            throw Fail.NotFound("role", missing);
        }
    }

    private TrustRow Redelegated(TrustRow trust, List<string> roles, TrustView parent)
    {
        if (parent.Row.RedelegationCount is var depth && (depth <= 0 || depth > maxCount))
        {
            throw CloudException.Forbidden($"Remaining redelegation depth of {depth} out of allowed range of [0..{maxCount}]");
        }
        if (trust.RemainingUses is { } uses)
        {
            throw CloudException.Forbidden($"Field \"remaining_uses\" is set to {uses} while it must not be set in order to redelegate a trust");
        }
        if (trust.ExpiresAt > parent.Row.ExpiresAt)
        {
            throw CloudException.Forbidden("Requested expiration time is more than redelegated trust can provide");
        }
        if (trust.ProjectId != parent.Row.ProjectId || !roles.TrueForAll(parent.RoleIds.Contains))
        {
            throw CloudException.Forbidden("Some of requested roles are not in redelegated trust");
        }
        return trust.Impersonation && !parent.Row.Impersonation
            ? throw CloudException.Forbidden(
                $"Impersonation is not allowed because redelegated trust does not specify impersonation. Redelegated trust id: {parent.Row.Id}")
            : trust with { ExpiresAt = trust.ExpiresAt ?? parent.Row.ExpiresAt };
    }
}
