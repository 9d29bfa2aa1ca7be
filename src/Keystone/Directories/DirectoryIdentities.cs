using System.Collections.Concurrent;
using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Http;
using SharpStack.Keystone.Storage;

namespace SharpStack.Keystone.Directories;

/// <summary>
/// Users and groups of domains that keep them elsewhere, as the API and tokens know them: with ids of Keystone's, and with their memberships beside those of
/// other users in the database, so that roles are found alike for all. What a directory said is believed for <c>[identity] cache_time</c>.
/// </summary>
internal sealed class DirectoryIdentities(KeystoneStore store, DirectoryRegistry registry, ServiceConfig config, TimeProvider time)
{
    private const int MaxKnown = 20_000;

    private readonly TimeSpan believed = TimeSpan.FromSeconds(config.Get(KeystoneOptions.IdentityCacheTime));
    private readonly ConcurrentDictionary<string, Known<UserRow>> users = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, Known<GroupRow>> groups = new(StringComparer.Ordinal);

    private sealed record Known<T>(T Row, DomainDirectory From, long ReadAt);

    public bool HasAny => registry.HasAny;

    /// <summary>How long what is made of these identities may be kept.</summary>
    public TimeSpan Believed => believed;

    public static CloudException ReadOnly() =>
        CloudException.Forbidden("You are not authorized to perform the requested action: LDAP does not support write operations.");

    public ValueTask<DomainDirectory?> OfDomainAsync(string domainId, CancellationToken cancellationToken) => registry.OfAsync(domainId, cancellationToken);

    /// <summary>The directory that a list of users or groups is read from; null for the database.</summary>
    /// <param name="domainId">The domain that the list is limited to; with domains of their own drivers, that of the token where none is asked for.</param>
    public ValueTask<DomainDirectory?> OfListAsync(string? domainId, CancellationToken cancellationToken) =>
        domainId is null ? ValueTask.FromResult(registry.Default) : registry.OfAsync(domainId, cancellationToken);

    /// <summary>The domain that a list is of; null for all that are in the database.</summary>
    public string? DomainOfList(ApiContext context) =>
        (context.Identity.DomainId ?? context.Query["domain_id"]) is { } asked ? asked
        : !registry.PerDomain || context.Identity.SystemScope is not null ? null
        : context.Identity.ProjectDomainId ?? throw CloudException.Unauthorized("No domain information specified as part of list request");

    public async ValueTask<UserRow?> UserAsync(string id, CancellationToken cancellationToken)
    {
        if (await FindAsync(id, IdMappingRow.User, cancellationToken) is not var (from, localId))
        {
            return null;
        }
        if (users.TryGetValue(id, out var known) && IsFresh(known, from))
        {
            return known.Row;
        }
        return await from.Directory.UserAsync(localId, cancellationToken) is { } user ? await LearnAsync(from, user, cancellationToken) : null;
    }

    /// <param name="domainId">A domain that may have a directory.</param>
    public async ValueTask<UserRow?> UserByNameAsync(string domainId, string name, CancellationToken cancellationToken) =>
        name.Length > 0 && await registry.OfAsync(domainId, cancellationToken) is { } from
        && await from.Directory.UserByNameAsync(name, cancellationToken) is { } user
            ? await LearnAsync(from, user, cancellationToken)
            : null;

    public async ValueTask<GroupRow?> GroupAsync(string id, CancellationToken cancellationToken)
    {
        if (await FindAsync(id, IdMappingRow.Group, cancellationToken) is not var (from, localId))
        {
            return null;
        }
        if (groups.TryGetValue(id, out var known) && IsFresh(known, from))
        {
            return known.Row;
        }
        return await from.Directory.GroupAsync(localId, cancellationToken) is { } group ? Keep(groups, from, Row(from, group)) : null;
    }

    public async Task<List<UserRow>> UsersAsync(DomainDirectory from, IReadOnlyList<NameFilter> filters, int limit, CancellationToken cancellationToken)
    {
        var found = (await from.Directory.UsersAsync(filters, limit, cancellationToken)).Select(user => Row(from, user)).ToList();
        await MapAsync(from, found.Select(static u => u.LocalId!), IdMappingRow.User, cancellationToken);
        return found;
    }

    public async Task<List<GroupRow>> GroupsAsync(DomainDirectory from, IReadOnlyList<NameFilter> filters, int limit, CancellationToken cancellationToken)
    {
        var found = (await from.Directory.GroupsAsync(filters, limit, cancellationToken)).Select(group => Row(from, group)).ToList();
        await MapAsync(from, found.Select(static g => g.LocalId!), IdMappingRow.Group, cancellationToken);
        return found;
    }

    public async Task<List<GroupRow>> GroupsOfUserAsync(UserRow user, CancellationToken cancellationToken)
    {
        var from = await RequireAsync(user.DomainId, cancellationToken);
        var found = (await from.Directory.GroupsOfUserAsync(user.LocalId!, cancellationToken)).Select(group => Row(from, group)).ToList();
        await MapAsync(from, found.Select(static g => g.LocalId!), IdMappingRow.Group, cancellationToken);
        await KeepMembershipsAsync(db => db.Memberships().Where(m => m.UserId == user.Id), [.. found.Select(g => (user.Id, g.Id))], cancellationToken);
        return found;
    }

    public async Task<List<UserRow>> UsersInGroupAsync(GroupRow group, CancellationToken cancellationToken)
    {
        var from = await RequireAsync(group.DomainId, cancellationToken);
        var found = (await from.Directory.UsersInGroupAsync(group.LocalId!, cancellationToken)).Select(user => Row(from, user)).ToList();
        await MapAsync(from, found.Select(static u => u.LocalId!), IdMappingRow.User, cancellationToken);
        await KeepMembershipsAsync(db => db.Memberships().Where(m => m.GroupId == group.Id), [.. found.Select(u => (u.Id, group.Id))], cancellationToken);
        return found;
    }

    /// <summary>Whether the password is the user's. An empty one is nobody's: most directories take it for no log-in at all, and accept that.</summary>
    public async Task<bool> AuthenticateAsync(UserRow user, string password, CancellationToken cancellationToken) =>
        password.Length > 0 && await (await RequireAsync(user.DomainId, cancellationToken)).Directory.AuthenticateAsync(user.LocalId!, password, cancellationToken);

    private async Task<DomainDirectory> RequireAsync(string domainId, CancellationToken cancellationToken) =>
        await registry.OfAsync(domainId, cancellationToken) ?? throw Fail.NotFound("domain", domainId);

    /// <summary>Where an id is from. Ids of the default directory may be its own, which nobody has written down.</summary>
    private async ValueTask<(DomainDirectory From, string LocalId)?> FindAsync(string id, string entityType, CancellationToken cancellationToken)
    {
        if (!registry.HasAny)
        {
            return null;
        }
        IdMappingRow? mapping;
        await using (var db = store.Read())
        {
            mapping = await db.IdMappings().FirstOrDefaultAsync(m => m.PublicId == id && m.EntityType == entityType, cancellationToken);
        }
        return mapping is not null ? await registry.OfAsync(mapping.DomainId, cancellationToken) is { } from ? (from, mapping.LocalId) : null
            : registry.Default is { Mapped: false } own ? (own, id)
            : null;
    }

    private bool IsFresh<T>(Known<T> known, DomainDirectory from) => known.From == from && time.GetElapsedTime(known.ReadAt) < believed;

    private TRow Keep<TRow>(ConcurrentDictionary<string, Known<TRow>> into, DomainDirectory from, TRow row)
    {
        if (into.Count >= MaxKnown)
        {
            into.Clear();
        }
        into[row switch { UserRow user => user.Id, GroupRow group => group.Id, _ => "" }] = new(row, from, time.GetTimestamp());
        return row;
    }

    private async Task<UserRow> LearnAsync(DomainDirectory from, DirectoryUser user, CancellationToken cancellationToken)
    {
        var row = Row(from, user);
        await MapAsync(from, [user.Id], IdMappingRow.User, cancellationToken);
        await GroupsOfUserAsync(row, cancellationToken);
        return Keep(users, from, row);
    }

    private static UserRow Row(DomainDirectory from, DirectoryUser user) => new()
    {
        Id = from.PublicId(user.Id, IdMappingRow.User),
        LocalId = user.Id,
        DomainId = from.DomainId,
        Name = user.Name,
        NameKey = Names.Key(user.Name),
        Enabled = user.Enabled,
        DefaultProjectId = user.DefaultProjectId,
        Extra = user.Extra.Count == 0 ? JsonText.Empty : JsonSerializer.Serialize(user.Extra),
        CreatedAt = 0,
    };

    private static GroupRow Row(DomainDirectory from, DirectoryGroup group) => new()
    {
        Id = from.PublicId(group.Id, IdMappingRow.Group),
        LocalId = group.Id,
        DomainId = from.DomainId,
        Name = group.Name,
        NameKey = Names.Key(group.Name),
        Description = group.Description,
        Extra = group.Extra.Count == 0 ? JsonText.Empty : JsonSerializer.Serialize(group.Extra),
    };

    /// <summary>Writes down which ids stand for whom, those that are not yet.</summary>
    private async Task MapAsync(DomainDirectory from, IEnumerable<string> localIds, string entityType, CancellationToken cancellationToken)
    {
        if (!from.Mapped)
        {
            return;
        }
        foreach (var chunk in localIds.Distinct(StringComparer.Ordinal).Select(id => IdMappingRow.Of(from.DomainId, id, entityType)).Chunk(500))
        {
            var ids = chunk.Select(static m => m.PublicId).ToList();
            HashSet<string> known;
            await using (var db = store.Read())
            {
                known = [.. await db.IdMappings().Where(m => ids.Contains(m.PublicId)).Select(static m => m.PublicId).ToListAsync(cancellationToken)];
            }
            if (known.Count < chunk.Length)
            {
                await store.WriteAsync(
                    async db =>
                    {
                        var written = await db.IdMappings().Where(m => ids.Contains(m.PublicId)).Select(static m => m.PublicId).ToListAsync(cancellationToken);
                        foreach (var mapping in chunk.Where(m => !written.Contains(m.PublicId)))
                        {
                            await db.InsertAsync(mapping, token: cancellationToken);
                        }
                    },
                    cancellationToken);
            }
        }
    }

    /// <summary>Makes the memberships in the database those of the directory.</summary>
    private async Task KeepMembershipsAsync(
        Func<DataConnection, IQueryable<MembershipRow>> own, HashSet<(string UserId, string GroupId)> wanted, CancellationToken cancellationToken)
    {
        await using (var db = store.Read())
        {
            if (wanted.SetEquals((await own(db).ToListAsync(cancellationToken)).Select(static m => (m.UserId, m.GroupId))))
            {
                return;
            }
        }
        await store.WriteAsync(
            async db =>
            {
                await own(db).DeleteAsync(cancellationToken);
                foreach (var (userId, groupId) in wanted)
                {
                    await db.InsertAsync(new MembershipRow { UserId = userId, GroupId = groupId }, token: cancellationToken);
                }
            },
            cancellationToken);
    }
}
