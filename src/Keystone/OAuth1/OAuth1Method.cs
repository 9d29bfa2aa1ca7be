using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using SharpStack.Foundation;
using SharpStack.Foundation.Storage;
using SharpStack.Keystone.Authentication;
using SharpStack.Keystone.Storage;
using SharpStack.Keystone.Tokens;

namespace SharpStack.Keystone.OAuth1;

/// <summary><c>oauth1</c>: a consumer signs the request with its secret and that of an access token, and gets a token of the user who granted it.</summary>
internal sealed class OAuth1Method(KeystoneStore store, TimeProvider time) : IAuthMethod
{
    public string Name => "oauth1";

    public async Task<AuthProof> ProveAsync(JsonElement payload, AuthRequest request, CancellationToken cancellationToken)
    {
        var signed = OAuthSignature.Read(request.Http, request.Url);
        var id = signed.Require("oauth_token");
        await using var db = store.Read();
        var token = await db.AccessTokens().FirstOrDefaultAsync(t => t.Id == id, cancellationToken);
        var consumer = token is null ? null : await db.Consumers().FirstOrDefaultAsync(c => c.Id == token.ConsumerId, cancellationToken);
        // Signed also where there is no such token: the answer and its cost are the same.
        var valid = signed.IsValid(consumer?.Secret ?? "", token?.Secret ?? "", time.GetUtcNow());
        return valid && token is not null && consumer is not null && signed.ConsumerKey == consumer.Id && !(token.ExpiresAt < time.NowMicroseconds())
            ? new(token.UserId, AuthMethods.OAuth1) { Scope = new(PayloadKind.OAuth1, token.ProjectId, token.Id) }
            : throw CloudException.Unauthorized();
    }
}
