using Microsoft.AspNetCore.Http;
using SharpStack.Foundation;
using SharpStack.Keystone.Authentication;

namespace SharpStack.Keystone.Federation;

/// <summary>Finds what is said of whoever sends a request.</summary>
internal sealed class AssertionReader(FederationProviders providers, SsoCookies cookies, ExternalMethod proxy)
{
    /// <summary>By the client's bearer token, by what a provider just posted for it, or by what a proxy that we trust says; null where nothing says who it is.</summary>
    /// <exception cref="CloudException">The bearer token proves nothing (401), or its issuer cannot be asked (503).</exception>
    public async Task<Assertion?> ReadAsync(HttpContext http, string idp, CancellationToken cancellationToken)
    {
        var bearer = http.Request.Headers.Authorization.ToString();
        if (bearer.StartsWith("Bearer ", StringComparison.OrdinalIgnoreCase))
        {
            var provider = providers.OpenId(idp) ?? throw CloudException.Unauthorized($"There is no [oidc_{idp}] in the configuration that could check the bearer token.");
            return await provider.ByBearerAsync(bearer["Bearer ".Length..].Trim(), cancellationToken);
        }
        if (cookies.Recall(http) is { } session && session.IdpId == idp)
        {
            return new(session.Attributes.ToDictionary(static a => a.Key, static a => (IReadOnlyList<string>)a.Value), session.RemoteUser);
        }
        return proxy.Assertion(http.Request);
    }
}
