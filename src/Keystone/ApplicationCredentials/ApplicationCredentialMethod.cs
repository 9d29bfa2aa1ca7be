using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using SharpStack.Foundation;
using SharpStack.Foundation.Storage;
using SharpStack.Keystone.Authentication;
using SharpStack.Keystone.Storage;
using SharpStack.Keystone.Tokens;

namespace SharpStack.Keystone.ApplicationCredentials;

/// <summary><c>application_credential</c>: by id, or by name and owner. Unknown ones cost as much as wrong secrets, and are answered alike.</summary>
internal sealed class ApplicationCredentialMethod(UserFinder users, PasswordHasher hasher, KeystoneStore store, TimeProvider time) : IAuthMethod
{
    public string Name => "application_credential";

    public async Task<AuthProof> ProveAsync(JsonElement payload, AuthRequest request, CancellationToken cancellationToken)
    {
        var credential = await FindAsync(payload, cancellationToken);
        var proven = await hasher.VerifyAsync(payload.Text("secret") ?? "", credential?.SecretHash, cancellationToken);
        return proven && !(credential!.ExpiresAt <= time.NowMicroseconds())
            // Whatever user the request names beside the id: it is the owner who is authenticated.
            ? new(credential.UserId, AuthMethods.ApplicationCredential) { Scope = new(PayloadKind.ApplicationCredential, credential.ProjectId, credential.Id) }
            : throw CloudException.Unauthorized();
    }

    private async Task<ApplicationCredentialRow?> FindAsync(JsonElement payload, CancellationToken cancellationToken)
    {
        await using var db = store.Read();
        if (payload.Text("id") is { Length: > 0 } id)
        {
            return await db.ApplicationCredentials().FirstOrDefaultAsync(c => c.Id == id, cancellationToken);
        }
        var name = payload.Text("name") is { Length: > 0 } given ? given : throw Fail.Expected("name or ID", "application credential");
        if (await users.FindAsync(payload, "application credential", cancellationToken) is not { } user)
        {
            return null;
        }
        var key = Names.Key(name);
        return await db.ApplicationCredentials().FirstOrDefaultAsync(c => c.UserId == user.Id && c.NameKey == key, cancellationToken);
    }
}
