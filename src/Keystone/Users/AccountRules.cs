using LinqToDB;
using LinqToDB.Async;
using SharpStack.Foundation;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Storage;
using SharpStack.Keystone.Authentication;
using SharpStack.Keystone.Storage;

namespace SharpStack.Keystone.Users;

/// <summary>Locks users after wrong passwords, and disables those who have not come for long (<c>[security_compliance]</c>).</summary>
internal sealed class AccountRules(KeystoneStore store, ServiceConfig config, TimeProvider time) : IPasswordRule
{
    private readonly int attempts = config.Get(KeystoneOptions.LockoutAttempts);
    private readonly TimeSpan lockedFor = TimeSpan.FromSeconds(config.Get(KeystoneOptions.LockoutDuration));
    private readonly int daysInactive = config.Get(KeystoneOptions.DaysInactive);

    /// <summary>The user as the API shows it: disabled also where inactive for too long.</summary>
    public UserRow Effective(UserRow user) =>
        daysInactive > 0 && user.Enabled && !UserOptions.Has(user.Options, UserOptions.IgnoreInactivity)
        && (time.GetUtcNow().UtcDateTime.Date - Timestamps.FromMicroseconds(user.LastActiveAt ?? user.CreatedAt).UtcDateTime.Date).Days >= daysInactive
            ? user with { Enabled = false }
            : user;

    /// <summary>The columns that say that a user whom an administrator enables starts anew.</summary>
    public UserRow Renewed(UserRow user) =>
        user with { FailedAuthCount = 0, FailedAuthAt = null, LastActiveAt = daysInactive > 0 ? time.NowMicroseconds() : user.LastActiveAt };

    public Task CheckAsync(PasswordAttempt attempt, CancellationToken cancellationToken) => CheckAsync(attempt.User.Id, attempt.Matches, cancellationToken);

    /// <summary>Decides on a log-in by password, and keeps count of it.</summary>
    /// <param name="matches">Whether the password is right. A locked user is not told even that.</param>
    /// <exception cref="CloudException">The user is locked or inactive (401); the answer is that of a wrong password.</exception>
    public async Task CheckAsync(string userId, bool matches, CancellationToken cancellationToken)
    {
        if (attempts == 0 && (daysInactive == 0 || !matches))
        {
            return;
        }
        UserRow? user;
        await using (var db = store.Read())
        {
            user = await db.Users().FirstOrDefaultAsync(u => u.Id == userId, cancellationToken);
        }
        if (user is null)
        {
            return;
        }
        var now = time.GetUtcNow();
        var counts = attempts > 0 && !UserOptions.Has(user.Options, UserOptions.IgnoreLockout);
        var failures = user.FailedAuthCount;
        if (counts && failures >= attempts)
        {
            if (user.FailedAuthAt is { } at && Timestamps.FromMicroseconds(at) + lockedFor > now)
            {
                throw CloudException.Unauthorized();
            }
            failures = 0;
        }
        var microseconds = Timestamps.ToMicroseconds(now);
        if (!matches)
        {
            if (counts)
            {
                await store.WriteAsync(
                    db => failures == 0
                        ? SetAsync(db.Users().Where(u => u.Id == userId).Set(static u => u.FailedAuthCount, 1))
                        : SetAsync(db.Users().Where(u => u.Id == userId).Set(static u => u.FailedAuthCount, static u => u.FailedAuthCount + 1)),
                    cancellationToken);
            }
            return;
        }
        if (!Effective(user).Enabled)
        {
            throw CloudException.Unauthorized();
        }
        var firstToday = daysInactive > 0
            && (user.LastActiveAt is not { } last || Timestamps.FromMicroseconds(last).UtcDateTime.Date != now.UtcDateTime.Date);
        if (user.FailedAuthCount > 0 || firstToday)
        {
            var active = firstToday ? microseconds : user.LastActiveAt;
            await store.WriteAsync(
                db => db.Users().Where(u => u.Id == userId).Set(static u => u.FailedAuthCount, 0).Set(static u => u.FailedAuthAt, (long?)null)
                    .Set(static u => u.LastActiveAt, active).UpdateAsync(cancellationToken),
                cancellationToken);
        }

        Task<int> SetAsync(LinqToDB.Linq.IUpdatable<UserRow> update) => update.Set(static u => u.FailedAuthAt, microseconds).UpdateAsync(cancellationToken);
    }
}
