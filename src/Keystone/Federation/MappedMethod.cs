using System.Text.Json;
using SharpStack.Foundation;
using SharpStack.Keystone.Authentication;

namespace SharpStack.Keystone.Federation;

/// <summary>
/// <c>mapped</c>, and the same by the names of protocols where these are enabled: an identity provider vouches for the user in this very request
/// (<c>identity_provider</c> and <c>protocol</c>), or did so before, for the token that is shown (<c>id</c>). Either way a scope may be asked for at once.
/// </summary>
internal sealed class MappedMethod(string name, AssertionReader assertions, FederatedLogin login, TokenMethod tokens) : IAuthMethod
{
    public static readonly string[] Names = ["mapped", "openid", "saml2"];

    private readonly AuthMethods bit = AuthMethodMap.Find(name);

    public string Name => name;

    public async Task<AuthProof> ProveAsync(JsonElement payload, AuthRequest request, CancellationToken cancellationToken)
    {
        if (payload.Has("id"))
        {
            var proof = await tokens.ProveAsync(payload, request, cancellationToken);
            return proof.Federation is null ? throw CloudException.Unauthorized() : proof with { Methods = proof.Methods | bit };
        }
        var idp = payload.Text("identity_provider") ?? throw Fail.Expected("identity_provider", name);
        var protocol = payload.Text("protocol") ?? throw Fail.Expected("protocol", name);
        var assertion = await assertions.ReadAsync(request.Http.HttpContext, idp, cancellationToken) ?? throw CloudException.Unauthorized();
        var subject = await login.LoginAsync(idp, protocol, assertion, cancellationToken);
        return new(subject.UserId, bit) { Federation = subject.Federation };
    }
}
