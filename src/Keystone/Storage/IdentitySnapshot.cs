using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text;
using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Keystone.Catalog;
using SharpStack.Keystone.Directories;
using SharpStack.Keystone.Federation;
using SharpStack.Keystone.Roles;
using SharpStack.Keystone.Tokens;
using SharpStack.Keystone.Users;

namespace SharpStack.Keystone.Storage;

/// <summary>Gives the snapshot of the current revision: what tokens need from the database, read once between two writes.</summary>
internal sealed class IdentityCache(
    KeystoneStore store, CatalogReader catalogs, AccountRules accounts, DirectoryIdentities directories, FederatedGroups federated, TimeProvider time)
{
    private IdentitySnapshot? current;

    public IdentitySnapshot Current
    {
        get
        {
            var known = Volatile.Read(ref current);
            var revision = store.Revision;
            if (known is not null && known.Revision == revision && !known.IsFull && !known.IsStale)
            {
                return known;
            }
            var fresh = new IdentitySnapshot(store, catalogs, accounts, directories, federated, time, revision);
            Interlocked.CompareExchange(ref current, fresh, known);
            return Volatile.Read(ref current)!;
        }
    }
}

/// <summary>
/// What was read since the last write: users, projects, roles, authorizations, the catalog and validated tokens. It only grows; a write makes the
/// cache start a new one, so nothing in it needs to be invalidated. What is not found is not kept: guesses must not fill the memory.
/// </summary>
internal sealed class IdentitySnapshot(
    KeystoneStore store, CatalogReader catalogs, AccountRules accounts, DirectoryIdentities directories, FederatedGroups federated, TimeProvider time, long revision)
{
    private const int MaxEntries = 50_000;

    private readonly ConcurrentDictionary<string, UserRow> users = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<(string DomainId, string NameKey), UserRow> usersByName = new();
    private readonly ConcurrentDictionary<string, ProjectRow> projects = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<(string DomainId, string NameKey), ProjectRow> projectsByName = new();
    private readonly ConcurrentDictionary<(string UserId, TokenScope Scope), Authorization> authorizations = new();
    private readonly ConcurrentDictionary<TokenKey, Token> tokens = new();
    private RoleModel? roles;
    private ServiceCatalog? catalog;
    private byte[]? serviceProviders;
    private int entries;
    private long askedDirectoryAt;

    private readonly record struct TokenKey(ulong A, ulong B, ulong C, ulong D);

    public long Revision { get; } = revision;

    public bool IsFull => Volatile.Read(ref entries) > MaxEntries;

    /// <summary>Whether some of it came from a directory, whose changes move no revision, and is too old to be believed.</summary>
    public bool IsStale => Volatile.Read(ref askedDirectoryAt) is var at and not 0 && time.GetElapsedTime(at) > directories.Believed;

    /// <summary>A token validated before, by its digest: the cache holds no key to it.</summary>
    public Token? FindToken(string id) => tokens.GetValueOrDefault(KeyOf(id));

    public void KeepToken(Token token) => Keep(tokens, KeyOf(token.Id), token);

    public async ValueTask<UserRow?> UserAsync(string id, CancellationToken cancellationToken)
    {
        if (users.TryGetValue(id, out var known))
        {
            return known;
        }
        UserRow? user;
        await using (var db = store.Read())
        {
            user = Effective(await db.Users().FirstOrDefaultAsync(u => u.Id == id, cancellationToken));
        }
        return Keep(users, id, user ?? FromDirectory(directories.HasAny ? await directories.UserAsync(id, cancellationToken) : null));
    }

    public async ValueTask<UserRow?> UserByNameAsync(string domainId, string name, CancellationToken cancellationToken)
    {
        var key = (DomainId: domainId, NameKey: Names.Key(name));
        if (usersByName.TryGetValue(key, out var known))
        {
            return known;
        }
        UserRow? user;
        await using (var db = store.Read())
        {
            user = Effective(await db.Users().FirstOrDefaultAsync(u => u.DomainId == key.DomainId && u.NameKey == key.NameKey, cancellationToken));
        }
        return Keep(usersByName, key, user ?? FromDirectory(directories.HasAny ? await directories.UserByNameAsync(domainId, name, cancellationToken) : null));
    }

    public async ValueTask<GroupRow?> GroupAsync(string id, CancellationToken cancellationToken)
    {
        GroupRow? group;
        await using (var db = store.Read())
        {
            group = await db.Groups().FirstOrDefaultAsync(g => g.Id == id, cancellationToken);
        }
        return group ?? (directories.HasAny ? await directories.GroupAsync(id, cancellationToken) : null);
    }

    private UserRow? FromDirectory(UserRow? user)
    {
        if (user is not null)
        {
            Interlocked.CompareExchange(ref askedDirectoryAt, time.GetTimestamp(), 0);
        }
        return user;
    }

    private UserRow? Effective(UserRow? user) => user is null ? null : accounts.Effective(user);

    /// <summary>A project or a domain.</summary>
    public async ValueTask<ProjectRow?> ProjectAsync(string id, CancellationToken cancellationToken)
    {
        if (projects.TryGetValue(id, out var known))
        {
            return known;
        }
        await using var db = store.Read();
        return Keep(projects, id, await db.Projects().FirstOrDefaultAsync(p => p.Id == id, cancellationToken));
    }

    public async ValueTask<ProjectRow?> DomainAsync(string id, CancellationToken cancellationToken) =>
        await ProjectAsync(id, cancellationToken) is { IsDomain: true } domain ? domain : null;

    /// <summary>A project of a domain, or a domain where <paramref name="domainId"/> is empty.</summary>
    public async ValueTask<ProjectRow?> ProjectByNameAsync(string domainId, string name, CancellationToken cancellationToken)
    {
        var key = (DomainId: domainId, NameKey: Names.Key(name));
        if (projectsByName.TryGetValue(key, out var known))
        {
            return known;
        }
        await using var db = store.Read();
        return Keep(
            projectsByName, key, await db.Projects().FirstOrDefaultAsync(p => p.DomainId == key.DomainId && p.NameKey == key.NameKey, cancellationToken));
    }

    public async ValueTask<RoleModel> RolesAsync(CancellationToken cancellationToken)
    {
        if (Volatile.Read(ref roles) is { } known)
        {
            return known;
        }
        await using var db = store.Read();
        var loaded = new RoleModel(await db.Roles().ToListAsync(cancellationToken), await db.ImpliedRoles().ToListAsync(cancellationToken));
        Volatile.Write(ref roles, loaded);
        return loaded;
    }

    public async ValueTask<ServiceCatalog> CatalogAsync(CancellationToken cancellationToken)
    {
        if (Volatile.Read(ref catalog) is { } known)
        {
            return known;
        }
        await using var db = store.Read();
        var loaded = await catalogs.ReadAsync(db, cancellationToken);
        Volatile.Write(ref catalog, loaded);
        return loaded;
    }

    /// <summary>
    /// What a user is in a scope now. Null where the user, the scope or a domain of either is gone or disabled, or the user has no role there; an error
    /// (403) where something was delegated that is no longer the delegator's.
    /// </summary>
    public async ValueTask<Authorization?> AuthorizationAsync(string userId, TokenScope scope, CancellationToken cancellationToken)
    {
        var key = (userId, scope);
        if (authorizations.TryGetValue(key, out var known))
        {
            if (!federated.IsStale(known))
            {
                return known;
            }
            authorizations.TryRemove(KeyValuePair.Create(key, known));
        }
        var found = await AuthorizeAsync(userId, scope, cancellationToken);
        return Keep(authorizations, key, found is null ? null : found with { ServiceProviders = await ServiceProvidersAsync(cancellationToken) });
    }

    /// <summary>The enabled clouds to which this one's users may go, as tokens tell them: a JSON array; null where there are none.</summary>
    private async ValueTask<byte[]?> ServiceProvidersAsync(CancellationToken cancellationToken)
    {
        if (Volatile.Read(ref serviceProviders) is not { } known)
        {
            await using var db = store.Read();
            known = ServiceProviderRoutes.WriteForTokens(await db.ServiceProviders().Where(static p => p.Enabled).OrderBy(static p => p.Id).ToListAsync(cancellationToken));
            Volatile.Write(ref serviceProviders, known);
        }
        return known.Length == 0 ? null : known;
    }

    /// <summary>The roles that a user holds in a scope, before implication, also by memberships that a mapping gave; and when the first of those ends.</summary>
    /// <param name="groups">Groups beside those that the user is a member of.</param>
    public async Task<(IReadOnlyList<string> Roles, long? Until)> HeldRolesAsync(
        DataConnection db, string userId, PayloadKind kind, ProjectRow? project, ProjectRow? domain, CancellationToken cancellationToken, IReadOnlyList<string>? groups = null)
    {
        var (expiring, until) = await federated.OfUserAsync(db, userId, cancellationToken);
        return (await EffectiveRoles.ReadAsync(db, userId, kind, project, domain, cancellationToken, [.. groups ?? [], .. expiring]), until);
    }

    /// <summary>A user and the user's domain, where both are enabled.</summary>
    public async ValueTask<(UserRow User, ProjectRow Domain)?> ActiveUserAsync(string id, CancellationToken cancellationToken) =>
        await UserAsync(id, cancellationToken) is { Enabled: true } user && await DomainAsync(user.DomainId, cancellationToken) is { Enabled: true } domain
            ? (user, domain)
            : null;

    /// <summary>A project and its domain, where both are enabled. A project that acts as a domain belongs to none.</summary>
    public async ValueTask<(ProjectRow Project, ProjectRow? Domain)?> ActiveProjectAsync(string id, CancellationToken cancellationToken)
    {
        if (await ProjectAsync(id, cancellationToken) is not { Enabled: true } project)
        {
            return null;
        }
        return project.IsDomain ? (project, null)
            : await DomainAsync(project.DomainId, cancellationToken) is { Enabled: true } domain ? (project, domain)
            : null;
    }

    /// <summary>When the user's current password ends; null where it does not, or there is none.</summary>
    public static Task<long?> PasswordExpiryAsync(DataConnection db, string userId, CancellationToken cancellationToken) =>
        db.Passwords().Where(p => p.UserId == userId).OrderByDescending(p => p.Id).Select(static p => p.ExpiresAt).FirstOrDefaultAsync(cancellationToken);

    private async ValueTask<Authorization?> AuthorizeAsync(string userId, TokenScope scope, CancellationToken cancellationToken)
    {
        if (await ActiveUserAsync(userId, cancellationToken) is not var (user, userDomain))
        {
            return null;
        }
        await using var db = store.Read();
        if (scope.Kind is PayloadKind.Trust or PayloadKind.ApplicationCredential or PayloadKind.OAuth1)
        {
            return await Delegations.AuthorizeAsync(this, db, userId, scope, cancellationToken);
        }
        var passwordExpiresAt = await PasswordExpiryAsync(db, userId, cancellationToken);
        if (scope.Federation is { } from && !await db.IdentityProviders().AnyAsync(p => p.Id == from.IdentityProviderId && p.Enabled, cancellationToken))
        {
            return null;
        }
        ProjectRow? project = null;
        ProjectRow? domain = null;
        switch (scope.BaseKind)
        {
            case PayloadKind.Unscoped:
                return new(user, userDomain, passwordExpiresAt, PayloadKind.Unscoped, null, null, [], null) { Federation = scope.Federation };
            case PayloadKind.Project:
                if (await ActiveProjectAsync(scope.Id!, cancellationToken) is not { } active)
                {
                    return null;
                }
                (project, domain) = active;
                break;
            case PayloadKind.Domain:
                domain = await DomainAsync(scope.Id!, cancellationToken);
                if (domain is not { Enabled: true })
                {
                    return null;
                }
                break;
            case PayloadKind.System:
                break;
            default:
                return null;
        }
        var model = await RolesAsync(cancellationToken);
        var (held, until) = await HeldRolesAsync(db, userId, scope.BaseKind, project, domain, cancellationToken, scope.Federation?.GroupIds);
        var effective = model.Expand(held);
        if (effective.Count == 0)
        {
            return null;
        }
        var services = await CatalogAsync(cancellationToken);
        return new(user, userDomain, passwordExpiresAt, scope.BaseKind, project, domain, effective, services.Render(userId, project?.Id))
        {
            Federation = scope.Federation,
            ValidUntil = until,
        };
    }

    private TValue? Keep<TKey, TValue>(ConcurrentDictionary<TKey, TValue> into, TKey key, TValue? value)
        where TKey : notnull
        where TValue : class
    {
        if (value is not null && into.TryAdd(key, value))
        {
            Interlocked.Increment(ref entries);
        }
        return value;
    }

    private static TokenKey KeyOf(string id)
    {
        Span<byte> text = id.Length <= 1024 ? stackalloc byte[1024 * 3] : new byte[id.Length * 3];
        Span<byte> digest = stackalloc byte[32];
        SHA256.HashData(text[..Encoding.UTF8.GetBytes(id, text)], digest);
        return new(
            BitConverter.ToUInt64(digest), BitConverter.ToUInt64(digest[8..]), BitConverter.ToUInt64(digest[16..]), BitConverter.ToUInt64(digest[24..]));
    }
}

/// <summary>Names are compared without regard to case, as on OpenStack's usual databases.</summary>
internal static class Names
{
    public static string Key(string name) => name.ToLowerInvariant();

    public static string NewId() => Guid.NewGuid().ToString("N");
}
