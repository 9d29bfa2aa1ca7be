using System.Collections.Frozen;
using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation;
using SharpStack.Foundation.Storage;
using SharpStack.Keystone.Authentication;
using SharpStack.Keystone.Directories;
using SharpStack.Keystone.Federation;
using SharpStack.Keystone.Projects;
using SharpStack.Keystone.Storage;
using SharpStack.Keystone.Tokens;

namespace SharpStack.Keystone.Users;

/// <summary>A user with the expiry of the current password.</summary>
internal sealed record UserView(UserRow Row, long? PasswordExpiresAt)
{
    /// <summary>As whom identity providers know the user; not read for lists.</summary>
    public IReadOnlyList<FederatedUserRow> Identities { get; init; } = [];
}

internal sealed class UserOperations(
    KeystoneStore store, IdentityCache cache, Authenticator authenticator, PasswordRules passwords, AccountRules accounts, DirectoryIdentities directories, RevocationIndex revocations,
    TimeProvider time)
{
    private static readonly FrozenSet<string> Columns =
        FrozenSet.ToFrozenSet(["id", "name", "domain_id", "enabled", "default_project_id", "password", "options", "links", LinkedIdentities.Attribute, "password_expires_at"]);

    /// <summary>Adds when the current passwords end, in one query for each few hundred users: within the query of a list it would be asked of all of them.</summary>
    public async Task<List<UserView>> ViewsAsync(DataConnection db, IReadOnlyList<UserRow> rows, CancellationToken cancellationToken)
    {
        var expiries = new Dictionary<string, long?>(StringComparer.Ordinal);
        foreach (var chunk in rows.Select(static r => r.Id).Chunk(500))
        {
            // The newest comes last and stays.
            foreach (var password in await db.Passwords().Where(p => chunk.Contains(p.UserId)).OrderBy(static p => p.Id)
                .Select(static p => new { p.UserId, p.ExpiresAt }).ToListAsync(cancellationToken))
            {
                expiries[password.UserId] = password.ExpiresAt;
            }
        }
        return [.. rows.Select(row => new UserView(accounts.Effective(row), expiries.GetValueOrDefault(row.Id)))];
    }

    public async Task<UserView?> FindAsync(string id, CancellationToken cancellationToken)
    {
        await using (var db = store.Read())
        {
            if (await db.Users().FirstOrDefaultAsync(u => u.Id == id, cancellationToken) is { } row)
            {
                return (await ViewsAsync(db, [row], cancellationToken))[0] with { Identities = await LinkedIdentities.OfUserAsync(db, id, cancellationToken) };
            }
        }
        return await directories.UserAsync(id, cancellationToken) is { } other ? new(other, null) : null;
    }

    public async Task<UserRow> GetAsync(string id, CancellationToken cancellationToken) =>
        await cache.Current.UserAsync(id, cancellationToken) ?? throw Fail.NotFound("user", id);

    /// <param name="body">The checked body of a create request.</param>
    public async Task<UserView> CreateAsync(JsonElement body, string domainId, CancellationToken cancellationToken)
    {
        await RequireDomainAsync(domainId, cancellationToken);
        await RequireWritableAsync(domainId, cancellationToken);
        await CheckDefaultProjectAsync(body.Text("default_project_id"), cancellationToken);
        var name = body.Text("name")!.Trim();
        var user = new UserRow
        {
            Id = Names.NewId(),
            DomainId = domainId,
            Name = name,
            NameKey = Names.Key(name),
            Enabled = body.Flag("enabled") ?? true,
            DefaultProjectId = body.Text("default_project_id"),
            Extra = JsonText.Merge(JsonText.Empty, body, Columns),
            Options = body.TryGetProperty("options", out var options) ? JsonText.Merge(JsonText.Empty, options, dropNull: true) : JsonText.Empty,
            CreatedAt = time.NowMicroseconds(),
        };
        var identities = LinkedIdentities.Read(body, user.Id, user.Name) ?? [];
        var password = body.Has("password") ? await passwords.GiveAsync(user.Id, user.Options, body.Text("password"), cancellationToken) : null;
        await WriteAsync(
            user.Name,
            domainId,
            async db =>
            {
                await ProjectQueries.RequireDomainAsync(db, domainId, cancellationToken);
                await db.InsertAsync(user, token: cancellationToken);
                await LinkedIdentities.StoreAsync(db, user.Id, identities, cancellationToken);
                if (password is not null)
                {
                    await db.InsertAsync(password, token: cancellationToken);
                }
            },
            cancellationToken);
        return new(user, password?.ExpiresAt) { Identities = identities };
    }

    public async Task<UserView> UpdateAsync(string id, JsonElement body, CancellationToken cancellationToken)
    {
        var before = await GetAsync(id, cancellationToken);
        if (before.LocalId is not null)
        {
            throw DirectoryIdentities.ReadOnly();
        }
        if (body.Text("domain_id") is { } domain && domain != before.DomainId)
        {
            throw CloudException.BadRequest("Cannot change Domain ID");
        }
        await CheckDefaultProjectAsync(body.Text("default_project_id"), cancellationToken);
        var name = (body.Text("name") ?? before.Name).Trim();
        var password = body.Has("password")
            ? await passwords.GiveAsync(id, OptionsAfter(before, body), body.Text("password"), cancellationToken)
            : null;
        await WriteAsync(
            name,
            before.DomainId,
            async db =>
            {
                // Read again where nobody else writes: two changes at once must not undo each other.
                var current = await db.Users().FirstOrDefaultAsync(u => u.Id == id, cancellationToken) ?? throw Fail.NotFound("user", id);
                var newName = body.Has("name") ? name : current.Name;
                var after = current with
                {
                    Name = newName,
                    NameKey = current.IsFederated ? current.NameKey : Names.Key(newName),
                    Enabled = body.Flag("enabled") ?? current.Enabled,
                    DefaultProjectId = body.TextOr("default_project_id", current.DefaultProjectId),
                    Extra = JsonText.Merge(current.Extra, body, Columns),
                    Options = OptionsAfter(current, body),
                };
                await db.UpdateAsync(body.Flag("enabled") == true ? accounts.Renewed(after) : after, token: cancellationToken);
                if (LinkedIdentities.Read(body, id, newName) is { } identities)
                {
                    await LinkedIdentities.StoreAsync(db, id, identities, cancellationToken);
                }
                if (password is not null)
                {
                    await passwords.StoreAsync(db, password, cancellationToken);
                }
                if (current.Enabled && !after.Enabled)
                {
                    await Delegations.DeleteOfDisabledUserAsync(db, id, cancellationToken);
                }
                if (password is not null || (current.Enabled && !after.Enabled))
                {
                    await revocations.RevokeUserAsync(db, id, cancellationToken);
                }
            },
            cancellationToken);
        return await FindAsync(id, cancellationToken) ?? throw Fail.NotFound("user", id);
    }

    /// <summary>A user's own change: proven by the current password, which may have expired.</summary>
    public async Task ChangePasswordAsync(string id, string original, string password, CancellationToken cancellationToken)
    {
        var user = await cache.Current.UserAsync(id, cancellationToken);
        var matches = await authenticator.VerifyPasswordAsync(user, original, cancellationToken);
        if (user is not null)
        {
            await accounts.CheckAsync(user.Id, matches, cancellationToken);
        }
        if (!matches || user is not { Enabled: true } || await cache.Current.DomainAsync(user.DomainId, cancellationToken) is not { Enabled: true })
        {
            throw CloudException.Unauthorized();
        }
        if (user.LocalId is not null)
        {
            throw DirectoryIdentities.ReadOnly();
        }
        List<PasswordRow> former;
        await using (var db = store.Read())
        {
            former = await db.Passwords().Where(p => p.UserId == id).OrderByDescending(static p => p.Id).ToListAsync(cancellationToken);
        }
        var row = await passwords.ChangeAsync(user, former, password, cancellationToken);
        await store.WriteAsync(
            async db =>
            {
                await passwords.StoreAsync(db, row, cancellationToken);
                await revocations.RevokeUserAsync(db, id, cancellationToken);
            },
            cancellationToken);
    }

    public async Task DeleteAsync(string id, CancellationToken cancellationToken)
    {
        if ((await GetAsync(id, cancellationToken)).LocalId is not null)
        {
            throw DirectoryIdentities.ReadOnly();
        }
        await store.WriteAsync(db => DeleteRowsAsync(db, [id], cancellationToken), cancellationToken);
    }

    public static async Task DeleteRowsAsync(DataConnection db, IReadOnlyCollection<string> ids, CancellationToken cancellationToken)
    {
        await db.Passwords().Where(p => ids.Contains(p.UserId)).DeleteAsync(cancellationToken);
        await db.Memberships().Where(m => ids.Contains(m.UserId)).DeleteAsync(cancellationToken);
        await db.ExpiringMemberships().Where(m => ids.Contains(m.UserId)).DeleteAsync(cancellationToken);
        await db.FederatedUsers().Where(f => ids.Contains(f.UserId)).DeleteAsync(cancellationToken);
        await db.Credentials().Where(c => ids.Contains(c.UserId)).DeleteAsync(cancellationToken);
        await Delegations.DeleteOfUsersAsync(db, ids, cancellationToken);
        await db.Assignments().Where(a => a.ActorType == AssignmentRow.User && ids.Contains(a.ActorId)).DeleteAsync(cancellationToken);
        await db.Users().Where(u => ids.Contains(u.Id)).DeleteAsync(cancellationToken);
    }

    private async Task WriteAsync(string name, string domainId, Func<DataConnection, Task> work, CancellationToken cancellationToken)
    {
        try
        {
            await store.WriteAsync(work, cancellationToken);
        }
        catch (UniqueConstraintException)
        {
            throw Fail.Duplicate("user", name, domainId);
        }
    }

    // Before the costly hash; once more within the write.
    private async Task RequireDomainAsync(string domainId, CancellationToken cancellationToken)
    {
        await using var db = store.Read();
        await ProjectQueries.RequireDomainAsync(db, domainId, cancellationToken);
    }

    private async Task RequireWritableAsync(string domainId, CancellationToken cancellationToken)
    {
        if (await directories.OfDomainAsync(domainId, cancellationToken) is not null)
        {
            throw DirectoryIdentities.ReadOnly();
        }
    }

    private static string OptionsAfter(UserRow user, JsonElement body) =>
        body.TryGetProperty("options", out var options) ? JsonText.Merge(user.Options, options, dropNull: true) : user.Options;

    private async Task CheckDefaultProjectAsync(string? projectId, CancellationToken cancellationToken)
    {
        if (projectId is not null && await cache.Current.DomainAsync(projectId, cancellationToken) is not null)
        {
            throw CloudException.BadRequest($"User's default project ID cannot be a domain ID: {projectId}");
        }
    }
}
