using System.Text.Json;
using System.Text.RegularExpressions;
using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Storage;
using SharpStack.Keystone.Authentication;
using SharpStack.Keystone.Storage;

namespace SharpStack.Keystone.Users;

/// <summary>What a new password must be like, how long it is good, and how many former ones are remembered (<c>[security_compliance]</c>).</summary>
internal sealed class PasswordRules
{
    private static readonly TimeSpan MatchLimit = TimeSpan.FromSeconds(1);

    private readonly PasswordHasher hasher;
    private readonly TimeProvider time;
    private readonly int maxLength;
    private readonly int expiresDays;
    private readonly int unique;
    private readonly int minimumAgeDays;
    private readonly bool changeFirst;
    private readonly string? pattern;
    private readonly string? patternDescription;

    public PasswordRules(PasswordHasher hasher, ServiceConfig config, TimeProvider time)
    {
        this.hasher = hasher;
        this.time = time;
        maxLength = config.Get(KeystoneOptions.MaxPasswordLength);
        expiresDays = config.Get(KeystoneOptions.PasswordExpiresDays);
        unique = config.Get(KeystoneOptions.UniquePasswords);
        minimumAgeDays = config.Get(KeystoneOptions.MinimumPasswordAge);
        changeFirst = config.Get(KeystoneOptions.ChangePasswordFirst);
        pattern = config.Get(KeystoneOptions.PasswordRegex) is { Length: > 0 } given ? given : null;
        patternDescription = config.Get(KeystoneOptions.PasswordRegexDescription);
    }

    /// <summary>Whether a password has ended, for a user to whom that applies.</summary>
    public bool IsExpired(UserRow user, PasswordRow password) =>
        password.ExpiresAt <= time.NowMicroseconds() && !UserOptions.Has(user.Options, UserOptions.IgnorePasswordExpiry);

    /// <summary>A password that an administrator gives a user.</summary>
    /// <param name="options">The user's options, as they will be.</param>
    /// <param name="password">Null for none: the user cannot log in by password then.</param>
    /// <exception cref="CloudException">It is not strong enough (400), or too long (403).</exception>
    public async Task<PasswordRow> GiveAsync(string userId, string options, string? password, CancellationToken cancellationToken)
    {
        CheckStrength(password);
        var row = await HashAsync(userId, options, password, cancellationToken);
        return changeFirst && !UserOptions.Has(options, UserOptions.IgnoreChangeFirst) ? row with { ExpiresAt = row.CreatedAt } : row;
    }

    /// <summary>A password that a user chooses.</summary>
    /// <param name="former">The user's passwords, newest first.</param>
    /// <exception cref="CloudException">The rules do not allow it (400).</exception>
    public async Task<PasswordRow> ChangeAsync(UserRow user, IReadOnlyList<PasswordRow> former, string password, CancellationToken cancellationToken)
    {
        CheckStrength(password);
        if (UserOptions.Has(user.Options, UserOptions.LockPassword))
        {
            throw CloudException.BadRequest(
                "You cannot change your password at this time due to password policy disallowing password changes. Please contact your administrator to reset your password.");
        }
        if (former is [{ SelfService: true } current, ..])
        {
            var left = Timestamps.FromMicroseconds(current.CreatedAt).AddDays(minimumAgeDays) - time.GetUtcNow();
            if (left > TimeSpan.Zero)
            {
                throw CloudException.BadRequest(
                    "You cannot change your password at this time due to the minimum password age. Once you change your password, it must be used for "
                    + $"{minimumAgeDays} day(s) before it can be changed. Please try again in {left.Days} day(s) or contact your administrator to reset your password.");
            }
        }
        foreach (var one in former.Take(unique))
        {
            if (await hasher.VerifyAsync(password, one.Hash, cancellationToken))
            {
                throw CloudException.BadRequest(
                    $"The new password cannot be identical to a previous password. The total number which includes the new password must be unique is {unique}.");
            }
        }
        return await HashAsync(user.Id, user.Options, password, cancellationToken) with { SelfService = true };
    }

    /// <summary>Makes a password the current one within a write: former ones end, and those that are no longer remembered go.</summary>
    public async Task StoreAsync(DataConnection db, PasswordRow password, CancellationToken cancellationToken)
    {
        var now = time.NowMicroseconds();
        var remembered = await db.Passwords().Where(p => p.UserId == password.UserId).OrderByDescending(static p => p.Id).Select(static p => p.Id)
            .Take(Math.Max(1, unique)).ToListAsync(cancellationToken);
        await db.Passwords().Where(p => p.UserId == password.UserId && !remembered.Contains(p.Id)).DeleteAsync(cancellationToken);
        await db.Passwords().Where(p => remembered.Contains(p.Id) && (p.ExpiresAt == null || p.ExpiresAt > now)).Set(static p => p.ExpiresAt, now)
            .UpdateAsync(cancellationToken);
        await db.InsertAsync(password, token: cancellationToken);
    }

    private void CheckStrength(string? password)
    {
        if (pattern is null)
        {
            return;
        }
        if (password is null)
        {
            throw CloudException.BadRequest("Password validation error: Password must be a string type.");
        }
        try
        {
            if (!Regex.IsMatch(password, $"^(?:{pattern})", RegexOptions.CultureInvariant, MatchLimit))
            {
                throw CloudException.BadRequest($"The password does not match the requirements: {patternDescription}.");
            }
        }
        catch (Exception failure) when (failure is ArgumentException or RegexMatchTimeoutException)
        {
            throw new CloudException(
                ErrorKind.BadRequest, "Password validation error: Unable to validate password due to invalid configuration.", inner: failure);
        }
    }

    private async Task<PasswordRow> HashAsync(string userId, string options, string? password, CancellationToken cancellationToken)
    {
        if (password?.Length > maxLength)
        {
            throw CloudException.Forbidden(
                $"The password length must be less than or equal to {maxLength}. The server could not comply with the request because the password is invalid.");
        }
        var hash = password is null ? "" : await hasher.HashAsync(password, cancellationToken);
        var now = time.GetUtcNow();
        return new()
        {
            UserId = userId,
            Hash = hash,
            CreatedAt = Timestamps.ToMicroseconds(now),
            ExpiresAt = expiresDays == 0 || UserOptions.Has(options, UserOptions.IgnorePasswordExpiry)
                ? null
                : Timestamps.ToMicroseconds(now.AddDays(expiresDays)) / 1_000_000 * 1_000_000,
        };
    }
}

/// <summary>The options of a user, by OpenStack's names.</summary>
internal static class UserOptions
{
    public const string IgnoreChangeFirst = "ignore_change_password_upon_first_use";
    public const string IgnorePasswordExpiry = "ignore_password_expiry";
    public const string IgnoreLockout = "ignore_lockout_failure_attempts";
    public const string IgnoreInactivity = "ignore_user_inactivity";
    public const string LockPassword = "lock_password";

    /// <summary>Whether an option is true.</summary>
    /// <param name="options">The user's options, as JSON.</param>
    public static bool Has(string options, string name)
    {
        if (!options.Contains(name, StringComparison.Ordinal))
        {
            return false;
        }
        using var document = JsonDocument.Parse(options);
        return document.RootElement.Flag(name) == true;
    }
}
