using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using SharpStack.Foundation;
using SharpStack.Keystone.Directories;
using SharpStack.Keystone.Storage;
using SharpStack.Keystone.Users;

namespace SharpStack.Keystone.Authentication;

/// <summary><c>password</c>. Unknown users, users without a password and wrong passwords cost the same and are answered the same.</summary>
internal sealed class PasswordMethod(
    UserFinder users, PasswordHasher hasher, KeystoneStore store, IEnumerable<IPasswordRule> rules, PasswordRules passwords, DirectoryIdentities directories) : IAuthMethod
{
    public string Name => "password";

    public async Task<AuthProof> ProveAsync(JsonElement payload, AuthRequest request, CancellationToken cancellationToken)
    {
        var user = await users.FindAsync(payload, Name, cancellationToken);
        var (matches, password) = await CompareAsync(user, payload.GetProperty("user").Text("password") ?? "", cancellationToken);
        if (user is null)
        {
            throw CloudException.Unauthorized();
        }
        var attempt = new PasswordAttempt(user, password, matches);
        foreach (var rule in rules)
        {
            await rule.CheckAsync(attempt, cancellationToken);
        }
        if (!matches || !user.Enabled)
        {
            throw CloudException.Unauthorized();
        }
        return password is not null && passwords.IsExpired(user, password)
            ? throw CloudException.Unauthorized($"The password is expired and needs to be changed for user: {user.Id}.")
            : new(user.Id, AuthMethods.Password);
    }

    /// <summary>The same for a user who may be kept in a directory: that knows the password, and there is no row.</summary>
    public async Task<(bool Matches, PasswordRow? Row)> CompareAsync(UserRow? user, string password, CancellationToken cancellationToken) => user is { LocalId: not null }
        ? (await directories.AuthenticateAsync(user, password, cancellationToken), null)
        : await CompareAsync(user?.Id, password, cancellationToken);

    /// <summary>Whether the password is the user's current one, and that one's row. Costs the same where the user has none.</summary>
    public async Task<(bool Matches, PasswordRow? Row)> CompareAsync(string? userId, string password, CancellationToken cancellationToken)
    {
        PasswordRow? row = null;
        if (userId is not null)
        {
            await using var db = store.Read();
            row = await db.Passwords().Where(p => p.UserId == userId).OrderByDescending(static p => p.Id).FirstOrDefaultAsync(cancellationToken);
        }
        return (await hasher.VerifyAsync(password, row?.Hash, cancellationToken), row);
    }
}
