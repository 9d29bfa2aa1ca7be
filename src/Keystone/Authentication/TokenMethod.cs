using System.Text.Json;
using SharpStack.Foundation;
using SharpStack.Foundation.Configuration;
using SharpStack.Keystone.Tokens;

namespace SharpStack.Keystone.Authentication;

/// <summary><c>token</c>: a token for another one, of another scope, that ends when the first one does. Delegated tokens are good for what they were delegated for only.</summary>
internal sealed class TokenMethod(TokenService tokens, ServiceConfig config) : IAuthMethod
{
    private readonly bool allowRescope = config.Get(KeystoneOptions.AllowRescope);

    public string Name => "token";

    public async Task<AuthProof> ProveAsync(JsonElement payload, AuthRequest request, CancellationToken cancellationToken)
    {
        var id = payload.Text("id") ?? throw Fail.Expected("id", "token");
        var token = await tokens.FindAsync(id, TimeSpan.Zero, cancellationToken) ?? throw CloudException.NotFound("Failed to validate token");
        var asksNarrower = request.Auth.TryGetProperty("scope", out var scope) && scope.ValueKind == JsonValueKind.Object && (scope.Has("project") || scope.Has("domain"));
        var refused = token.Payload.Kind switch
        {
            PayloadKind.OAuth1 => "Using OAuth-scoped token to create another token. Create a new OAuth-scoped token instead",
            PayloadKind.Trust => "Using trust-scoped token to create another token. Create a new trust-scoped token instead",
            PayloadKind.System when asksNarrower => "Using a system-scoped token to create a project-scoped or domain-scoped token is not allowed.",
            _ when Delegation.IsDelegated(token.Identity) => "Using a delegated token to create another token is not allowed.",
            PayloadKind.Project or PayloadKind.Domain or PayloadKind.FederatedProject or PayloadKind.FederatedDomain when !allowRescope => "rescope a scoped token",
            _ => null,
        };
        if (refused is not null)
        {
            throw Fail.ForbiddenAction(refused);
        }
        return new(token.Payload.UserId, token.Payload.Methods | AuthMethods.Token) { ExpiresAt = token.Payload.ExpiresAt, ChainId = token.Payload.AuditChainId, Federation = token.Payload.Federation };
    }
}
