using System.Collections.Concurrent;
using SharpStack.Foundation.Configuration;
using SharpStack.Keystone.Federation.OpenIdConnect;
using SharpStack.Keystone.Federation.Saml;

namespace SharpStack.Keystone.Federation;

/// <summary>The providers that this process talks to by itself, by the identity providers' ids: those with an <c>[oidc_ID]</c> or <c>[saml2_ID]</c> in the configuration.</summary>
internal sealed class FederationProviders(ServiceConfig config, TimeProvider time) : IDisposable
{
    private readonly ConcurrentDictionary<string, Lazy<OpenIdProvider?>> openId = new();
    private readonly ConcurrentDictionary<string, Lazy<SamlProvider?>> saml = new();

    /// <summary>Null where the configuration has none of that id.</summary>
    public OpenIdProvider? OpenId(string idp) => openId.GetOrAdd(
        idp, id => new(() => OpenIdOptions.Read(config, id) is { } options ? new OpenIdProvider(options, time) : null, LazyThreadSafetyMode.PublicationOnly)).Value;

    /// <inheritdoc cref="OpenId"/>
    public SamlProvider? Saml(string idp) => saml.GetOrAdd(idp, id => new(() => SamlProvider.Read(config, id, time), LazyThreadSafetyMode.PublicationOnly)).Value;

    public void Dispose()
    {
        foreach (var provider in openId.Values.Where(static p => p.IsValueCreated))
        {
            provider.Value?.Dispose();
        }
    }
}
