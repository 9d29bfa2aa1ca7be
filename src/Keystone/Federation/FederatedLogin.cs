using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Storage;
using SharpStack.Keystone.Storage;
using SharpStack.Keystone.Tokens;

namespace SharpStack.Keystone.Federation;

/// <summary>What a provider, or a proxy that we trust, says of somebody.</summary>
/// <param name="Attributes">Values by name. They are lists, not joined texts: nobody gains a value by writing a separator into another one.</param>
/// <param name="RemoteUser">Who it is where the mapping names nobody.</param>
internal sealed record Assertion(IReadOnlyDictionary<string, IReadOnlyList<string>> Attributes, string? RemoteUser)
{
    /// <summary>From a proxy's variables, in which several values of one are separated by semicolons.</summary>
    public static Assertion FromVariables(IEnumerable<KeyValuePair<string, string>> variables, string? remoteUser) =>
        new(variables.ToDictionary(static v => v.Key, static v => (IReadOnlyList<string>)v.Value.Split(';')), remoteUser);
}

/// <summary>Somebody whom a provider vouched for, as a user of this cloud.</summary>
/// <param name="Federation">Null for a user who exists here already: the token is an ordinary one.</param>
internal sealed record FederatedSubject(string UserId, FederatedIdentity? Federation);

/// <summary>Applies a provider's mapping, and makes or finds the local user who stands for the person.</summary>
internal sealed class FederatedLogin(KeystoneStore store, IdentityCache cache, ServiceConfig config, TimeProvider time)
{
    private readonly string assertionPrefix = config.Get(FederationOptions.AssertionPrefix);
    private readonly string remoteIdAttribute = config.Get(FederationOptions.RemoteIdAttribute);
    private readonly int defaultTtl = config.Get(FederationOptions.DefaultAuthorizationTtl);

    /// <exception cref="CloudException">Provider or protocol do not exist (404), the provider is disabled or another one vouches (403), the mapping yields nobody (401).</exception>
    public async Task<FederatedSubject> LoginAsync(string idp, string protocol, Assertion assertion, CancellationToken cancellationToken)
    {
        var (provider, mapping) = await FindAsync(idp, protocol, assertion, cancellationToken);
        using var rules = JsonDocument.Parse(mapping.Rules);
        var attributes = assertionPrefix.Length == 0
            ? assertion.Attributes
            : assertion.Attributes.Where(a => a.Key.StartsWith(assertionPrefix, StringComparison.Ordinal)).ToDictionary();
        var mapped = MappingRules.Parse(rules.RootElement, mapping.SchemaVersion).Apply(attributes);
        return mapped.User.IsLocal
            ? new(await LocalUserAsync(mapped.User, cancellationToken), null)
            : await EphemeralUserAsync(provider.Row, protocol, mapping, mapped, assertion.RemoteUser, cancellationToken);
    }

    /// <summary>The attribute in which a protocol's assertions name their provider; null where nothing says so.</summary>
    public string? RemoteIdAttributeOf(ProtocolRow protocol)
    {
        var attribute = protocol.RemoteIdAttribute ?? config.Get(new ConfigOption<string>(protocol.Id, FederationOptions.RemoteIdAttribute.Name, "", ""));
        return attribute.Length > 0 ? attribute : remoteIdAttribute.Length > 0 ? remoteIdAttribute : null;
    }

    private async Task<(IdentityProvider Provider, MappingRow Mapping)> FindAsync(string idp, string protocol, Assertion assertion, CancellationToken cancellationToken)
    {
        await using var db = store.Read();
        var provider = await IdentityProviderRoutes.GetAsync(db, idp, cancellationToken);
        if (!provider.Row.Enabled)
        {
            throw CloudException.Forbidden($"Identity Provider {idp} is disabled");
        }
        var row = await ProtocolRoutes.GetAsync(db, idp, protocol, cancellationToken);
        if (RemoteIdAttributeOf(row) is { } attribute && provider.RemoteIds.Count > 0)
        {
            if (!assertion.Attributes.TryGetValue(attribute, out var remote))
            {
                throw CloudException.Unauthorized("Could not find Identity Provider identifier in environment");
            }
            if (!remote.Any(provider.RemoteIds.Contains))
            {
                throw CloudException.Forbidden("Incoming identity provider identifier not included among the accepted identifiers.");
            }
        }
        return (provider, await MappingRoutes.GetAsync(db, row.MappingId, cancellationToken));
    }

    private async Task<string> LocalUserAsync(MappedPerson person, CancellationToken cancellationToken)
    {
        var snapshot = cache.Current;
        if (person.Id is { } id)
        {
            return (await snapshot.UserAsync(id, cancellationToken) ?? throw CloudException.Unauthorized()).Id;
        }
        var domain = person.Domain?.Id ?? (person.Domain?.Name is { } name ? (await snapshot.ProjectByNameAsync("", name, cancellationToken))?.Id : null);
        return domain is not null && person.Name is not null && await snapshot.UserByNameAsync(domain, person.Name, cancellationToken) is { } user
            ? user.Id
            : throw CloudException.Unauthorized();
    }

    private async Task<FederatedSubject> EphemeralUserAsync(
        IdentityProviderRow provider, string protocol, MappingRow mapping, MappedIdentity mapped, string? remoteUser, CancellationToken cancellationToken)
    {
        var name = mapped.User.Name ?? remoteUser ?? mapped.User.Id ?? throw CloudException.Unauthorized(
            "Could not map user while setting ephemeral user identity. Either mapping rules must specify user id/name or REMOTE_USER environment variable must be set.");
        var uniqueId = Uri.EscapeDataString(mapped.User.Id ?? name);
        if (uniqueId.Length > 255 || name.Length > 255)
        {
            throw CloudException.Unauthorized("The mapping yields a user id or name of more than 255 characters.");
        }
        var ttl = provider.AuthorizationTtl ?? defaultTtl;
        var domain = await DomainIdAsync(mapping.SchemaVersion == MappingRules.Versions[0] ? null : mapped.User.Domain, provider, cancellationToken);
        var projects = new List<(MappedProject Project, string DomainId)>();
        foreach (var project in mapped.Projects)
        {
            projects.Add((project, await DomainIdAsync(project.Domain, provider, cancellationToken)));
        }
        await using (var db = store.Read())
        {
            var groups = await GroupsAsync(db, mapped, mapping.Id, cancellationToken);
            var known = await KnownAsync(db, provider.Id, protocol, uniqueId, cancellationToken);
            // Whoever comes again unchanged costs no write.
            if (known is var (row, displayed) && displayed == name && (row.Name == name || !row.IsFederated) && mapped.Projects.Count == 0 && (ttl == 0 || groups.Count == 0))
            {
                return new(row.Id, new(provider.Id, protocol, groups));
            }
        }
        return await store.WriteAsync(
            async db =>
            {
                var groups = await GroupsAsync(db, mapped, mapping.Id, cancellationToken);
                var user = await ShadowAsync(db, provider.Id, domain, protocol, uniqueId, name, mapped.User.Email, cancellationToken);
                await GrantAsync(db, provider, user, projects, cancellationToken);
                if (ttl > 0)
                {
                    foreach (var group in groups)
                    {
                        var membership = new ExpiringMembershipRow { UserId = user, GroupId = group, IdpId = provider.Id, LastVerified = time.NowMicroseconds() };
                        if (await db.UpdateAsync(membership, token: cancellationToken) == 0)
                        {
                            await db.InsertAsync(membership, token: cancellationToken);
                        }
                    }
                }
                return new FederatedSubject(user, new(provider.Id, protocol, groups));
            },
            cancellationToken);
    }

    /// <summary>The user who stands for the person, and the name that the provider gave last.</summary>
    private static async Task<(UserRow User, string? DisplayName)?> KnownAsync(DataConnection db, string idp, string protocol, string uniqueId, CancellationToken cancellationToken) =>
        await (from f in db.FederatedUsers()
               join u in db.Users() on f.UserId equals u.Id
               where f.IdpId == idp && f.ProtocolId == protocol && f.UniqueId == uniqueId
               select new { User = u, f.DisplayName }).FirstOrDefaultAsync(cancellationToken) is { } found
            ? (found.User, found.DisplayName)
            : null;

    private async Task<string> ShadowAsync(
        DataConnection db, string idp, string domain, string protocol, string uniqueId, string name, string? email, CancellationToken cancellationToken)
    {
        if (await KnownAsync(db, idp, protocol, uniqueId, cancellationToken) is var (known, displayed))
        {
            // A user of our own whom somebody linked with the provider keeps the name.
            if (known.IsFederated && known.Name != name)
            {
                await db.Users().Where(u => u.Id == known.Id).Set(static u => u.Name, name).UpdateAsync(cancellationToken);
            }
            if (displayed != name)
            {
                await db.FederatedUsers().Where(f => f.IdpId == idp && f.ProtocolId == protocol && f.UniqueId == uniqueId)
                    .Set(static f => f.DisplayName, name).UpdateAsync(cancellationToken);
            }
            return known.Id;
        }
        var id = PublicId(domain, uniqueId);
        if (!await db.Users().AnyAsync(u => u.Id == id, cancellationToken))
        {
            await db.InsertAsync(
                new UserRow
                {
                    Id = id,
                    DomainId = domain,
                    Name = name,
                    NameKey = UserRow.FederatedKeyOf(id),
                    Enabled = true,
                    Extra = email is null ? JsonText.Empty : JsonSerializer.Serialize(new Dictionary<string, string> { ["email"] = email }),
                    CreatedAt = time.NowMicroseconds(),
                },
                token: cancellationToken);
        }
        await db.InsertAsync(
            new FederatedUserRow { IdpId = idp, ProtocolId = protocol, UniqueId = uniqueId, UserId = id, DisplayName = name }, token: cancellationToken);
        return id;
    }

    /// <summary>The id that OpenStack's <c>sha256</c> generator gives: the same person has the same id in both.</summary>
    private static string PublicId(string domainId, string localId) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes($"{domainId}user{localId}")));

    private static async Task<IReadOnlyList<string>> GroupsAsync(DataConnection db, MappedIdentity mapped, string mappingId, CancellationToken cancellationToken)
    {
        var ids = mapped.GroupIds;
        var found = await db.Groups().Where(g => ids.Contains(g.Id)).Select(static g => g.Id).ToListAsync(cancellationToken);
        if (ids.Except(found).FirstOrDefault() is { } missing)
        {
            throw CloudException.Unauthorized($"Group {missing} returned by mapping {mappingId} was not found in the backend.");
        }
        foreach (var byDomain in mapped.GroupNames.GroupBy(static g => g.Domain))
        {
            var (domainId, domainName) = (byDomain.Key.Id, byDomain.Key.Name is null ? null : Names.Key(byDomain.Key.Name));
            var keys = byDomain.Select(static g => Names.Key(g.Name)).ToList();
            // Names that are no group here are passed over: providers tell many that do not concern us.
            found.AddRange(await
                (from g in db.Groups()
                 join d in db.Projects() on g.DomainId equals d.Id
                 where keys.Contains(g.NameKey) && (d.Id == domainId || (domainId == null && d.IsDomain && d.NameKey == domainName))
                 select g.Id).ToListAsync(cancellationToken));
        }
        return [.. found.Distinct().Order(StringComparer.Ordinal)];
    }

    /// <summary>The domain of a user or project that a mapping names; the provider's where it names none.</summary>
    private async Task<string> DomainIdAsync(MappedDomain? domain, IdentityProviderRow provider, CancellationToken cancellationToken)
    {
        var snapshot = cache.Current;
        return domain is null ? provider.DomainId
            : (domain.Id is { } id ? await snapshot.DomainAsync(id, cancellationToken) : await snapshot.ProjectByNameAsync("", domain.Name ?? "", cancellationToken))?.Id
                ?? throw CloudException.Unauthorized($"The mapping names the domain {domain.Id ?? domain.Name}, which does not exist.");
    }

    /// <summary>Makes the projects that the mapping names, and gives the user their roles.</summary>
    private static async Task GrantAsync(
        DataConnection db, IdentityProviderRow provider, string user, IReadOnlyList<(MappedProject Project, string DomainId)> projects, CancellationToken cancellationToken)
    {
        foreach (var (project, domainId) in projects)
        {
            var roles = new List<string>();
            foreach (var name in project.Roles)
            {
                var key = Names.Key(name);
                var candidates = await db.Roles().Where(r => r.NameKey == key).ToListAsync(cancellationToken);
                roles.Add((candidates.Find(r => r.DomainId == provider.DomainId) ?? candidates.Find(static r => r.DomainId.Length == 0))?.Id
                    ?? throw (candidates.Count == 0
                        ? Fail.NotFound("role", name)
                        : CloudException.Forbidden($"role: {name} must be within the same domain as the identity provider: {provider.Id}.")));
            }
            var nameKey = Names.Key(project.Name);
            var id = await db.Projects().Where(p => p.DomainId == domainId && p.NameKey == nameKey).Select(static p => p.Id).FirstOrDefaultAsync(cancellationToken);
            if (id is null)
            {
                id = Names.NewId();
                await db.InsertAsync(
                    new ProjectRow
                    {
                        Id = id,
                        Name = project.Name,
                        NameKey = nameKey,
                        DomainId = domainId,
                        ParentId = domainId,
                        IsDomain = false,
                        Enabled = true,
                        Description = "",
                    },
                    token: cancellationToken);
            }
            foreach (var role in roles)
            {
                var grant = new AssignmentRow
                {
                    ActorType = AssignmentRow.User,
                    ActorId = user,
                    TargetType = AssignmentRow.Project,
                    TargetId = id,
                    RoleId = role,
                    Inherited = false,
                };
                if (!await db.Assignments().AnyAsync(
                    a => a.ActorType == grant.ActorType && a.ActorId == user && a.TargetType == grant.TargetType && a.TargetId == id && a.RoleId == role && !a.Inherited,
                    cancellationToken))
                {
                    await db.InsertAsync(grant, token: cancellationToken);
                }
            }
        }
    }
}
