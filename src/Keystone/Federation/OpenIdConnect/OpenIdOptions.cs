using SharpStack.Foundation.Configuration;

namespace SharpStack.Keystone.Federation.OpenIdConnect;

/// <summary>
/// The options of <c>[oidc_PROVIDER]</c> in <c>keystone.conf</c>, where PROVIDER is the identity provider's id. What OpenStack leaves to a web server's module in
/// front of it is done here.
/// </summary>
internal sealed record OpenIdOptions
{
    public required string Issuer { get; init; }

    public required string ClientId { get; init; }

    public required string ClientSecret { get; init; }

    public required IReadOnlyList<string> Scopes { get; init; }

    /// <summary>Whom a bearer token must be for; the client itself where nothing is given.</summary>
    public required IReadOnlyList<string> Audiences { get; init; }

    /// <summary>Bearer tokens are looked up here instead of being checked by the provider's keys; empty for the one that the provider publishes, used for tokens that are no JWT.</summary>
    public required string IntrospectionEndpoint { get; init; }

    public required string CaFile { get; init; }

    /// <summary>Null where the provider is not configured.</summary>
    public static OpenIdOptions? Read(ServiceConfig config, string provider)
    {
        var group = $"oidc_{provider}";
        if (config.Get(new ConfigOption<string>(group, "issuer", "", "The provider's issuer, a URL.")) is not { Length: > 0 } issuer)
        {
            return null;
        }
        var client = config.Get(new ConfigOption<string>(group, "client_id", "", "How the provider knows this cloud."));
        var audiences = config.Get(new ConfigOption<IReadOnlyList<string>>(group, "audiences", [], "Whom bearer tokens are for."));
        return new()
        {
            Issuer = issuer,
            ClientId = client,
            ClientSecret = config.Get(new ConfigOption<string>(group, "client_secret", "", "The secret of the client.") { Secret = true }),
            Scopes = config.Get(new ConfigOption<IReadOnlyList<string>>(group, "scopes", ["openid", "email", "profile"], "What is asked of the provider.")),
            Audiences = audiences.Count > 0 ? audiences : [client],
            IntrospectionEndpoint = config.Get(new ConfigOption<string>(group, "introspection_endpoint", "", "Where tokens are looked up.")),
            CaFile = config.Get(new ConfigOption<string>(group, "cafile", "", "Certificates, PEM, of the authorities that the provider's server is trusted by.")),
        };
    }
}
