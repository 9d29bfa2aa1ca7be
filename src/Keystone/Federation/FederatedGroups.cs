using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Storage;
using SharpStack.Keystone.Storage;
using SharpStack.Keystone.Tokens;

namespace SharpStack.Keystone.Federation;

/// <summary>Memberships that mappings gave, which count until their provider's <c>authorization_ttl</c> has passed since the last login.</summary>
internal sealed class FederatedGroups(ServiceConfig config, TimeProvider time)
{
    private readonly int defaultTtl = config.Get(FederationOptions.DefaultAuthorizationTtl);

    public bool IsStale(Authorization authorization) => authorization.ValidUntil is not null && authorization.IsStale(time.GetUtcNow());

    /// <summary>The groups of the user that have not ended, and when the first one does.</summary>
    public async Task<(IReadOnlyList<string> Groups, long? Until)> OfUserAsync(DataConnection db, string userId, CancellationToken cancellationToken)
    {
        var live = await LiveAsync(db, userId, cancellationToken);
        return live.Count == 0 ? ([], null) : ([.. live.Select(static m => m.GroupId).Distinct()], live.Min(static m => m.Until));
    }

    /// <summary>The groups of the user that have not ended, each with when it does, in microseconds; the latest where several providers gave it.</summary>
    public async Task<IReadOnlyDictionary<string, long>> ExpiriesAsync(DataConnection db, string userId, CancellationToken cancellationToken) =>
        (await LiveAsync(db, userId, cancellationToken)).GroupBy(static m => m.GroupId).ToDictionary(static m => m.Key, static m => m.Max(static x => x.Until));

    /// <summary>The memberships that have not ended, of one user or (null) of all.</summary>
    public async Task<IReadOnlyList<MembershipRow>> MembershipsAsync(DataConnection db, string? userId, CancellationToken cancellationToken) =>
        [.. (await LiveAsync(db, userId, cancellationToken)).Select(static m => new MembershipRow { GroupId = m.GroupId, UserId = m.UserId })];

    private async Task<List<(string UserId, string GroupId, long Until)>> LiveAsync(DataConnection db, string? userId, CancellationToken cancellationToken)
    {
        var rows = await (
            from m in db.ExpiringMemberships()
            join p in db.IdentityProviders() on m.IdpId equals p.Id
            where (userId == null || m.UserId == userId) && p.Enabled
            select new { m.UserId, m.GroupId, m.LastVerified, p.AuthorizationTtl }).ToListAsync(cancellationToken);
        var now = time.NowMicroseconds();
        return
        [
            .. rows.Select(r => (r.UserId, r.GroupId, Until: r.LastVerified + ((r.AuthorizationTtl ?? defaultTtl) * TimeSpan.MicrosecondsPerMinute)))
                .Where(m => m.Until > now),
        ];
    }
}
