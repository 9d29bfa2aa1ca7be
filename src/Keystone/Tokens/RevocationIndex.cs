using System.Collections.Concurrent;
using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation.Storage;
using SharpStack.Keystone.Storage;

namespace SharpStack.Keystone.Tokens;

/// <summary>
/// Which tokens are revoked, in dictionaries: a validation probes a few, however many events there are. Only what the state of users, projects
/// and roles does not say by itself needs an event: a deleted token, a changed password, a user who was disabled and is enabled again.
/// </summary>
internal sealed class RevocationIndex(KeystoneStore store, TimeProvider time, TimeSpan tokenLifetime) : IDisposable
{
    // A token of another node may have been issued by a clock that is a little ahead.
    private static readonly TimeSpan ClockSlack = TimeSpan.FromMinutes(30);

    private readonly ConcurrentDictionary<string, long> audits = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, long> chains = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, long> users = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, long> scopes = new(StringComparer.Ordinal);
    private readonly SemaphoreSlim loading = new(1);
    private long loadedRevision = -1;
    private long lastId;

    /// <summary>How many events were ever read from the database.</summary>
    public long EventsRead { get; private set; }

    /// <summary>Revokes a user's tokens within a write.</summary>
    public Task RevokeUserAsync(DataConnection db, string userId, CancellationToken cancellationToken) =>
        db.InsertAsync(new RevocationRow { UserId = userId, IssuedBefore = time.NowMicroseconds() }, token: cancellationToken);

    /// <summary>Revokes within a write the tokens for a project, or for a domain: those of its users and projects too.</summary>
    public Task RevokeScopeAsync(DataConnection db, string scopeId, CancellationToken cancellationToken) =>
        db.InsertAsync(new RevocationRow { ScopeId = scopeId, IssuedBefore = time.NowMicroseconds() }, token: cancellationToken);

    public Task RevokeTokenAsync(DataConnection db, string auditId, CancellationToken cancellationToken) =>
        db.InsertAsync(new RevocationRow { AuditId = auditId, IssuedBefore = time.NowMicroseconds() }, token: cancellationToken);

    public async ValueTask<bool> IsRevokedAsync(TokenPayload payload, DateTimeOffset issuedAt, Authorization authorization, CancellationToken cancellationToken)
    {
        if (Interlocked.Read(ref loadedRevision) != store.Revision)
        {
            await LoadAsync(cancellationToken);
        }
        var issued = Timestamps.ToMicroseconds(issuedAt);
        return Hit(audits, payload.AuditIds[0]) || Hit(chains, payload.AuditChainId) || Hit(users, payload.UserId) || Hit(users, authorization.Trust?.Trustor.Id)
            || Hit(scopes, authorization.UserDomain.Id) || Hit(scopes, authorization.Project?.Id) || Hit(scopes, authorization.Domain?.Id);

        bool Hit(ConcurrentDictionary<string, long> index, string? key) => key is not null && index.TryGetValue(key, out var before) && issued <= before;
    }

    /// <summary>Removes what no unexpired token can match any more.</summary>
    public async Task PruneAsync(CancellationToken cancellationToken)
    {
        var oldest = Timestamps.ToMicroseconds(time.GetUtcNow() - tokenLifetime - ClockSlack);
        await using (var db = store.Read())
        {
            if (!await db.Revocations().AnyAsync(r => r.IssuedBefore < oldest, cancellationToken))
            {
                return;
            }
        }
        await store.WriteAsync(db => db.Revocations().Where(r => r.IssuedBefore < oldest).DeleteAsync(cancellationToken), cancellationToken);
        foreach (var index in (ConcurrentDictionary<string, long>[])[audits, chains, users, scopes])
        {
            foreach (var entry in index)
            {
                if (entry.Value < oldest)
                {
                    index.TryRemove(entry);
                }
            }
        }
    }

    public void Dispose() => loading.Dispose();

    private async Task LoadAsync(CancellationToken cancellationToken)
    {
        await loading.WaitAsync(cancellationToken);
        try
        {
            var revision = store.Revision;
            await using var db = store.Read();
            foreach (var row in await db.Revocations().Where(r => r.Id > lastId).OrderBy(static r => r.Id).ToListAsync(cancellationToken))
            {
                var (index, key) = row.AuditId is not null ? (audits, row.AuditId)
                    : row.AuditChainId is not null ? (chains, row.AuditChainId)
                    : row.UserId is not null ? (users, row.UserId)
                    : (scopes, row.ScopeId!);
                index.AddOrUpdate(key, row.IssuedBefore, (_, known) => Math.Max(known, row.IssuedBefore));
                lastId = row.Id;
                EventsRead++;
            }
            Interlocked.Exchange(ref loadedRevision, revision);
        }
        finally
        {
            loading.Release();
        }
    }
}
