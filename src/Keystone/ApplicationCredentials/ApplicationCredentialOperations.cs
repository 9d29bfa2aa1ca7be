using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Identity;
using SharpStack.Foundation.Storage;
using SharpStack.Keystone.Authentication;
using SharpStack.Keystone.Storage;
using SharpStack.Keystone.Tokens;

namespace SharpStack.Keystone.ApplicationCredentials;

/// <summary>An application credential with its roles and rules.</summary>
/// <param name="Secret">Known at the creation only.</param>
internal sealed record ApplicationCredentialView(ApplicationCredentialRow Row, IReadOnlyList<string> RoleIds, IReadOnlyList<AccessRule> AccessRules, string? Secret = null);

internal sealed class ApplicationCredentialOperations(KeystoneStore store, IdentityCache cache, PasswordHasher hasher, ServiceConfig config, TimeProvider time)
{
    private const int SecretBytes = 64;

    private readonly int userLimit = config.Get(KeystoneOptions.ApplicationCredentialLimit);

    public async Task<ApplicationCredentialRow?> FindAsync(string id, CancellationToken cancellationToken)
    {
        await using var db = store.Read();
        return await db.ApplicationCredentials().FirstOrDefaultAsync(c => c.Id == id, cancellationToken);
    }

    /// <summary>The roles and rules of some credentials, in one query each.</summary>
    public async Task<IReadOnlyList<ApplicationCredentialView>> ViewAsync(IReadOnlyList<ApplicationCredentialRow> rows, CancellationToken cancellationToken)
    {
        var ids = rows.Select(static row => row.Id).ToList();
        await using var db = store.Read();
        var roles = (await db.ApplicationCredentialRoles().Where(r => ids.Contains(r.ApplicationCredentialId)).OrderBy(static r => r.RoleId).ToListAsync(cancellationToken))
            .ToLookup(static r => r.ApplicationCredentialId, static r => r.RoleId);
        var rules = (await (
            from link in db.ApplicationCredentialAccessRules()
            join rule in db.AccessRules() on link.AccessRuleId equals rule.Id
            where ids.Contains(link.ApplicationCredentialId)
            orderby rule.Id
            select new { link.ApplicationCredentialId, Rule = new AccessRule(rule.Id, rule.Service, rule.Method, rule.Path) }).ToListAsync(cancellationToken))
            .ToLookup(static r => r.ApplicationCredentialId, static r => r.Rule);
        return [.. rows.Select(row => new ApplicationCredentialView(row, [.. roles[row.Id]], [.. rules[row.Id]]))];
    }

    /// <param name="body">The checked body.</param>
    /// <param name="owner">Whose token asks; the credential is for that token's project, with roles of that token.</param>
    public async Task<ApplicationCredentialView> CreateAsync(JsonElement body, RequestIdentity owner, CancellationToken cancellationToken)
    {
        var projectId = owner.ProjectId ?? throw Invalid("A project-scoped token is required to create an application credential");
        var model = await cache.Current.RolesAsync(cancellationToken);
        var roles = body.TryGetProperty("roles", out var list) && list.GetArrayLength() > 0
            ? list.EnumerateArray().Select(model.Resolve).Distinct().ToList()
            : [.. owner.RoleIds];
        if (!roles.TrueForAll(owner.RoleIds.Contains))
        {
            throw Invalid("Cannot create an application credential with unassigned role");
        }
        var rules = body.TryGetProperty("access_rules", out var asked) ? asked.EnumerateArray().ToList() : [];
        var expiresAt = Expirations.Parse(body.Text("expires_at"), time);
        var name = body.Text("name")!.Trim();
        var secret = body.Text("secret") is { Length: > 0 } given ? given : Base64Url.EncodeToString(RandomNumberGenerator.GetBytes(SecretBytes));
        var row = new ApplicationCredentialRow
        {
            Id = Names.NewId(),
            Name = name,
            NameKey = Names.Key(name),
            UserId = owner.UserId,
            ProjectId = projectId,
            SecretHash = await hasher.HashAsync(secret, cancellationToken),
            Description = body.Text("description"),
            ExpiresAt = expiresAt,
            Unrestricted = body.Flag("unrestricted") == true,
            HasAccessRules = rules.Count > 0,
        };
        try
        {
            return await store.WriteAsync(
                async db =>
                {
                    if (userLimit >= 0 && await db.ApplicationCredentials().CountAsync(c => c.UserId == owner.UserId, cancellationToken) >= userLimit)
                    {
                        throw CloudException.Forbidden($"Unable to create additional application credentials, maximum of {userLimit} already exceeded for user.");
                    }
                    if (!await db.Users().AnyAsync(u => u.Id == row.UserId, cancellationToken) || !await db.Projects().AnyAsync(p => p.Id == row.ProjectId, cancellationToken))
                    {
                        throw CloudException.Unauthorized();
                    }
                    await db.InsertAsync(row, token: cancellationToken);
                    await db.BulkCopyAsync(roles.Select(role => new ApplicationCredentialRoleRow { ApplicationCredentialId = row.Id, RoleId = role }), cancellationToken);
                    var kept = await KeepRulesAsync(db, row.UserId, rules, cancellationToken);
                    await db.BulkCopyAsync(kept.Select(rule => new ApplicationCredentialAccessRuleRow { ApplicationCredentialId = row.Id, AccessRuleId = rule.Id }), cancellationToken);
                    return new ApplicationCredentialView(row, roles, kept, secret);
                },
                cancellationToken);
        }
        catch (UniqueConstraintException)
        {
            throw Fail.Conflict("application_credential", $"Duplicate entry found with name {name}");
        }
    }

    public Task DeleteAsync(string id, CancellationToken cancellationToken) => store.WriteAsync(
        db => Delegations.DeleteApplicationCredentialsAsync(db, db.ApplicationCredentials().Where(c => c.Id == id), cancellationToken), cancellationToken);

    /// <exception cref="CloudException">There is none (404), or a credential is bound to it (403).</exception>
    public Task DeleteRuleAsync(string userId, string id, CancellationToken cancellationToken) => store.WriteAsync(
        async db =>
        {
            if (!await db.AccessRules().AnyAsync(r => r.Id == id && r.UserId == userId, cancellationToken))
            {
                throw Fail.NotFound("Access Rule", id);
            }
            if (await db.ApplicationCredentialAccessRules().AnyAsync(r => r.AccessRuleId == id, cancellationToken))
            {
                throw CloudException.Forbidden("May not delete access rule in use");
            }
            await db.AccessRules().Where(r => r.Id == id).DeleteAsync(cancellationToken);
        },
        cancellationToken);

    private static CloudException Invalid(string detail) => CloudException.BadRequest($"Invalid application credential: {detail}");

    /// <summary>A rule is named by its id or by what it says; what the user has said before is not kept twice.</summary>
    private static async Task<List<AccessRule>> KeepRulesAsync(DataConnection db, string userId, List<JsonElement> asked, CancellationToken cancellationToken)
    {
        var rules = new List<AccessRule>();
        foreach (var one in asked)
        {
            var (id, service, method, path) = (one.Text("id"), one.Text("service"), one.Text("method"), one.Text("path"));
            var row = id is null ? null : await db.AccessRules().FirstOrDefaultAsync(r => r.Id == id, cancellationToken);
            if (row is not null && row.UserId != userId)
            {
                throw Invalid($"Could not find Access Rule: {id}.");
            }
            if (row is null && (service is null || method is null || path is null))
            {
                throw Invalid(id is null ? "An access rule has a service, a method and a path" : $"Could not find Access Rule: {id}.");
            }
            row ??= await db.AccessRules().FirstOrDefaultAsync(r => r.UserId == userId && r.Service == service && r.Path == path && r.Method == method, cancellationToken);
            if (row is null)
            {
                row = new() { Id = id ?? Names.NewId(), UserId = userId, Service = service!, Path = path!, Method = method! };
                await db.InsertAsync(row, token: cancellationToken);
            }
            if (rules.TrueForAll(rule => rule.Id != row.Id))
            {
                rules.Add(new(row.Id, row.Service, row.Method, row.Path));
            }
        }
        return rules;
    }
}
