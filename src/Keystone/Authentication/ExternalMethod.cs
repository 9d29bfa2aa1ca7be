using System.Net;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using SharpStack.Foundation;
using SharpStack.Foundation.Configuration;
using SharpStack.Keystone.Federation;
using SharpStack.Keystone.Storage;

namespace SharpStack.Keystone.Authentication;

/// <summary>
/// <c>external</c>: a web server before this service has authenticated the user and says so in a header. Only proxies that are named in the configuration
/// are believed; from anyone else the header means nothing.
/// </summary>
internal sealed class ExternalMethod(IdentityCache cache, ServiceConfig config) : IAuthMethod
{
    private readonly IReadOnlyList<IPNetwork> proxies = [.. config.Get(KeystoneOptions.TrustedProxies).Select(Parse)];
    private readonly string userHeader = config.Get(KeystoneOptions.RemoteUserHeader);
    private readonly string domainHeader = config.Get(KeystoneOptions.RemoteDomainHeader);
    private readonly string typeHeader = config.Get(KeystoneOptions.RemoteTypeHeader);
    private readonly string variant = config.Get(KeystoneOptions.ExternalPlugin);
    private readonly string defaultDomainId = config.Get(KeystoneOptions.DefaultDomainId);

    public string Name => "external";

    /// <summary>The user that a trusted proxy names; null where none does.</summary>
    public string? RemoteUser(HttpRequest request) =>
        request.HttpContext.Connection.RemoteIpAddress is { } address
        && proxies.Any(network => network.Contains(address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address))
        && request.Headers[userHeader] is [{ Length: > 0 } user]
            ? user
            : null;

    /// <summary>What a trusted proxy says of the user whom it authenticated, by the names of its headers and as a WSGI application sees them; null where none does.</summary>
    public Assertion? Assertion(HttpRequest request)
    {
        if (RemoteUser(request) is not { } user)
        {
            return null;
        }
        var variables = request.Headers
            .SelectMany(static h => new[] { h.Key, $"HTTP_{h.Key.ToUpperInvariant().Replace('-', '_')}" }.Select(name => KeyValuePair.Create(name, h.Value.ToString())))
            .Append(KeyValuePair.Create("REMOTE_USER", user));
        return Federation.Assertion.FromVariables(variables.DistinctBy(static v => v.Key), user);
    }

    public async Task<AuthProof> ProveAsync(JsonElement payload, AuthRequest request, CancellationToken cancellationToken)
    {
        if (RemoteUser(request.Http) is not { } name
            || (variant == "KerberosDomain" && !string.Equals(request.Http.Headers[typeHeader], "Negotiate", StringComparison.OrdinalIgnoreCase)))
        {
            throw CloudException.Unauthorized();
        }
        var snapshot = cache.Current;
        var domain = variant != "DefaultDomain" && request.Http.Headers[domainHeader] is [{ Length: > 0 } named]
            ? await snapshot.ProjectByNameAsync("", named, cancellationToken)
            : await snapshot.DomainAsync(defaultDomainId, cancellationToken);
        return domain is { Enabled: true } && await snapshot.UserByNameAsync(domain.Id, name, cancellationToken) is { Enabled: true } user
            ? new(user.Id, AuthMethods.External)
            : throw CloudException.Unauthorized();
    }

    private static IPNetwork Parse(string text) =>
        IPNetwork.TryParse(text, out var network) ? network
        : IPAddress.TryParse(text, out var address) ? new(address, address.GetAddressBytes().Length * 8)
        : throw new FormatException($"[auth] trusted_proxies: {text} is no address and no network");
}
