using System.Net.Http.Headers;
using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.Json;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Tokens;
using SharpStack.Foundation;

namespace SharpStack.Keystone.Federation.OpenIdConnect;

/// <summary>A provider by OpenID Connect (OpenID Connect Core 1.0, Discovery 1.0; RFC 7662 introspection; RFC 7636 PKCE).</summary>
internal sealed class OpenIdProvider : IDisposable
{
    private const int LargestAnswer = 1 << 20;

    /// <summary>Unknown keys make the published ones be read again, at most so often.</summary>
    private static readonly TimeSpan KeysPause = TimeSpan.FromSeconds(30);

    private static readonly TimeSpan MetadataAge = TimeSpan.FromHours(1);

    private static readonly string[] Algorithms =
    [
        SecurityAlgorithms.RsaSha256, SecurityAlgorithms.RsaSha384, SecurityAlgorithms.RsaSha512,
        SecurityAlgorithms.RsaSsaPssSha256, SecurityAlgorithms.RsaSsaPssSha384, SecurityAlgorithms.RsaSsaPssSha512,
        SecurityAlgorithms.EcdsaSha256, SecurityAlgorithms.EcdsaSha384, SecurityAlgorithms.EcdsaSha512,
    ];

    private readonly OpenIdOptions options;
    private readonly TimeProvider time;
    private readonly HttpClient http;
    private readonly JsonWebTokenHandler tokens = new() { MapInboundClaims = false };
    private readonly SemaphoreSlim reading = new(1);
    private Metadata? known;

    public OpenIdProvider(OpenIdOptions options, TimeProvider time)
    {
        this.options = options;
        this.time = time;
        var issuer = new Uri(options.Issuer);
        if (issuer.Scheme != Uri.UriSchemeHttps && !issuer.IsLoopback)
        {
            throw CloudException.Unavailable($"The issuer {options.Issuer} must be reached by https.");
        }
        var handler = new SocketsHttpHandler { AllowAutoRedirect = false, ConnectTimeout = TimeSpan.FromSeconds(5), PooledConnectionLifetime = TimeSpan.FromMinutes(5) };
        if (options.CaFile.Length > 0)
        {
            var authorities = new X509Certificate2Collection();
            authorities.ImportFromPemFile(options.CaFile);
            handler.SslOptions.CertificateChainPolicy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck };
            handler.SslOptions.CertificateChainPolicy.CustomTrustStore.AddRange(authorities);
        }
        http = new HttpClient(handler) { Timeout = TimeSpan.FromSeconds(30), MaxResponseContentBufferSize = LargestAnswer };
    }

    private sealed record Metadata(
        string Issuer, string AuthorizationEndpoint, string TokenEndpoint, string? IntrospectionEndpoint, string? UserInfoEndpoint, IReadOnlyList<SecurityKey> Keys, DateTimeOffset ReadAt);

    /// <summary>Where a browser is sent to log in.</summary>
    public async Task<string> AuthorizationUrlAsync(string redirectUri, string state, string nonce, string verifier, CancellationToken cancellationToken)
    {
        var metadata = await MetadataAsync(cancellationToken);
        var query = new Dictionary<string, string>
        {
            ["response_type"] = "code",
            ["client_id"] = options.ClientId,
            ["redirect_uri"] = redirectUri,
            ["scope"] = string.Join(' ', options.Scopes),
            ["state"] = state,
            ["nonce"] = nonce,
            ["code_challenge"] = Base64UrlEncoder.Encode(SHA256.HashData(Encoding.ASCII.GetBytes(verifier))),
            ["code_challenge_method"] = "S256",
        };
        var separator = metadata.AuthorizationEndpoint.Contains('?', StringComparison.Ordinal) ? '&' : '?';
        return $"{metadata.AuthorizationEndpoint}{separator}{string.Join('&', query.Select(static q => $"{q.Key}={Uri.EscapeDataString(q.Value)}"))}";
    }

    /// <summary>Exchanges the code that a browser brought back for what the provider says of its user.</summary>
    /// <exception cref="CloudException">The provider refuses the code, or its answer does not prove itself (401).</exception>
    public async Task<Assertion> ByCodeAsync(string code, string redirectUri, string nonce, string verifier, CancellationToken cancellationToken)
    {
        var metadata = await MetadataAsync(cancellationToken);
        using var answer = await PostAsync(
            metadata.TokenEndpoint,
            new() { ["grant_type"] = "authorization_code", ["code"] = code, ["redirect_uri"] = redirectUri, ["code_verifier"] = verifier },
            cancellationToken);
        var idToken = answer.RootElement.Text("id_token") ?? throw CloudException.Unauthorized("The identity provider gave no ID token.");
        var claims = await VerifyAsync(idToken, [options.ClientId], cancellationToken);
        if (!Same(claims.GetValueOrDefault("nonce"), nonce))
        {
            throw CloudException.Unauthorized("The identity provider's answer is not for this login.");
        }
        if (metadata.UserInfoEndpoint is { } userInfo && answer.RootElement.Text("access_token") is { } access)
        {
            await AddUserInfoAsync(claims, userInfo, access, cancellationToken);
        }
        return AssertionOf(claims);
    }

    /// <summary>What the provider says of the user that a bearer token stands for.</summary>
    /// <exception cref="CloudException">The token is not this provider's, not for us, or not valid (401).</exception>
    public async Task<Assertion> ByBearerAsync(string token, CancellationToken cancellationToken)
    {
        var lookUp = options.IntrospectionEndpoint.Length > 0 || !tokens.CanReadToken(token);
        return AssertionOf(lookUp ? await IntrospectAsync(token, cancellationToken) : await VerifyAsync(token, options.Audiences, cancellationToken));
    }

    public void Dispose()
    {
        http.Dispose();
        reading.Dispose();
    }

    private static bool Same(object? claim, string expected) =>
        claim is JsonElement { ValueKind: JsonValueKind.String } text
        && CryptographicOperations.FixedTimeEquals(Encoding.UTF8.GetBytes(text.GetString()!), Encoding.UTF8.GetBytes(expected));

    private async Task<Dictionary<string, object?>> VerifyAsync(string token, IReadOnlyList<string> audiences, CancellationToken cancellationToken)
    {
        var result = await ValidateAsync(token, audiences, await MetadataAsync(cancellationToken));
        if (result.Exception is SecurityTokenSignatureKeyNotFoundException)
        {
            // The provider may have changed its keys.
            result = await ValidateAsync(token, audiences, await MetadataAsync(cancellationToken, KeysPause));
        }
        if (!result.IsValid)
        {
            throw CloudException.Unauthorized($"The identity provider's token is not valid: {Reason(result.Exception)}");
        }
        using var payload = JsonDocument.Parse(Base64UrlEncoder.DecodeBytes(((JsonWebToken)result.SecurityToken).EncodedPayload));
        return payload.RootElement.EnumerateObject().DistinctBy(static p => p.Name).ToDictionary(static p => p.Name, static p => (object?)p.Value.Clone());
    }

    private Task<TokenValidationResult> ValidateAsync(string token, IReadOnlyList<string> audiences, Metadata metadata) =>
        tokens.ValidateTokenAsync(token, new TokenValidationParameters
        {
            ValidIssuer = metadata.Issuer,
            ValidAudiences = audiences,
            IssuerSigningKeys = metadata.Keys,
            ValidAlgorithms = Algorithms,
            RequireExpirationTime = true,
            RequireSignedTokens = true,
            ClockSkew = TimeSpan.FromSeconds(30),
            LifetimeValidator = (from, until, _, parameters) =>
                until is not null && time.GetUtcNow().UtcDateTime < until + parameters.ClockSkew && (from is null || from - parameters.ClockSkew <= time.GetUtcNow().UtcDateTime),
        });

    private static string Reason(Exception failure) => failure switch
    {
        SecurityTokenInvalidLifetimeException or SecurityTokenExpiredException or SecurityTokenNoExpirationException => "it has expired.",
        SecurityTokenInvalidAudienceException => "it is for somebody else.",
        SecurityTokenInvalidIssuerException => "another provider issued it.",
        _ => "its signature does not hold.",
    };

    private async Task<Dictionary<string, object?>> IntrospectAsync(string token, CancellationToken cancellationToken)
    {
        var endpoint = options.IntrospectionEndpoint.Length > 0
            ? options.IntrospectionEndpoint
            : (await MetadataAsync(cancellationToken)).IntrospectionEndpoint ?? throw CloudException.Unauthorized("The token is no JWT, and the identity provider offers no introspection.");
        using var answer = await PostAsync(endpoint, new() { ["token"] = token, ["token_type_hint"] = "access_token" }, cancellationToken);
        var claims = answer.RootElement;
        if (claims.Flag("active") != true || (claims.Text("iss") is { } issuer && issuer.TrimEnd('/') != options.Issuer.TrimEnd('/')))
        {
            throw CloudException.Unauthorized("The identity provider says that the token is not valid.");
        }
        var audiences = claims.TryGetProperty("aud", out var aud) ? Texts(aud) : [claims.Text("client_id") ?? ""];
        if (!audiences.Any(options.Audiences.Contains))
        {
            throw CloudException.Unauthorized("The identity provider's token is for somebody else.");
        }
        var found = claims.EnumerateObject().DistinctBy(static p => p.Name).ToDictionary(static p => p.Name, static p => (object?)p.Value.Clone());
        found.TryAdd("iss", JsonSerializer.SerializeToElement(options.Issuer));
        return found;
    }

    private async Task AddUserInfoAsync(Dictionary<string, object?> claims, string endpoint, string accessToken, CancellationToken cancellationToken)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, endpoint);
        request.Headers.Authorization = new("Bearer", accessToken);
        using var answer = await SendAsync(request, cancellationToken);
        // OpenID Connect Core 5.3.2: an answer about another subject must not be used.
        if (answer.RootElement.Text("sub") is { } subject && claims.TryGetValue("sub", out var sub) && sub is JsonElement known && known.GetString() == subject)
        {
            foreach (var property in answer.RootElement.EnumerateObject())
            {
                claims.TryAdd(property.Name, property.Value.Clone());
            }
        }
    }

    /// <summary>Claims under the names that Apache's module gives them: <c>OIDC-email</c>, and <c>HTTP_OIDC_EMAIL</c> as a WSGI application sees it.</summary>
    private Assertion AssertionOf(Dictionary<string, object?> claims)
    {
        var attributes = new Dictionary<string, IReadOnlyList<string>>();
        foreach (var (name, value) in claims)
        {
            if (value is JsonElement element && Texts(element) is { Count: > 0 } texts)
            {
                attributes[$"OIDC-{name}"] = texts;
                attributes[$"HTTP_OIDC_{name.ToUpperInvariant().Replace('-', '_')}"] = texts;
            }
        }
        var subject = attributes.TryGetValue("OIDC-sub", out var sub) ? sub[0] : throw CloudException.Unauthorized("The identity provider's token names no subject.");
        var issuer = new Uri(options.Issuer);
        var remoteUser = $"{subject}@{issuer.Authority}{issuer.AbsolutePath.TrimEnd('/')}";
        attributes["REMOTE_USER"] = [remoteUser];
        return new(attributes, remoteUser);
    }

    private static IReadOnlyList<string> Texts(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.String => [value.GetString()!],
        JsonValueKind.Array => [.. value.EnumerateArray().SelectMany(Texts)],
        JsonValueKind.Null or JsonValueKind.Undefined => [],
        _ => [value.GetRawText()],
    };

    private async Task<JsonDocument> PostAsync(string endpoint, Dictionary<string, string> form, CancellationToken cancellationToken)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, endpoint) { Content = new FormUrlEncodedContent(form) };
        // RFC 6749, 2.3.1: both parts are form-encoded before they are joined.
        request.Headers.Authorization = new(
            "Basic", Convert.ToBase64String(Encoding.UTF8.GetBytes($"{Uri.EscapeDataString(options.ClientId)}:{Uri.EscapeDataString(options.ClientSecret)}")));
        return await SendAsync(request, cancellationToken);
    }

    private async Task<JsonDocument> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        request.Headers.Accept.Add(new MediaTypeWithQualityHeaderValue("application/json"));
        try
        {
            using var response = await http.SendAsync(request, cancellationToken);
            if ((int)response.StatusCode is >= 400 and < 500)
            {
                throw CloudException.Unauthorized($"The identity provider refused: it answered {(int)response.StatusCode}.");
            }
            if (!response.IsSuccessStatusCode)
            {
                throw CloudException.Unavailable($"The identity provider {options.Issuer} answered {(int)response.StatusCode}; try again later.");
            }
            var document = JsonDocument.Parse(await response.Content.ReadAsByteArrayAsync(cancellationToken));
            if (document.RootElement.ValueKind == JsonValueKind.Object)
            {
                return document;
            }
            document.Dispose();
            throw CloudException.Unavailable($"The identity provider {options.Issuer} did not answer with an object.");
        }
        catch (Exception failure) when (failure is HttpRequestException or JsonException || (failure is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            throw CloudException.Unavailable($"The identity provider {options.Issuer} cannot be asked at the moment; try again later.", inner: failure);
        }
    }

    private async Task<Metadata> MetadataAsync(CancellationToken cancellationToken, TimeSpan? oldest = null)
    {
        var age = oldest ?? MetadataAge;
        if (Volatile.Read(ref known) is { } current && time.GetUtcNow() - current.ReadAt < age)
        {
            return current;
        }
        await reading.WaitAsync(cancellationToken);
        try
        {
            if (known is not null && time.GetUtcNow() - known.ReadAt < age)
            {
                return known;
            }
            using var discovery = new HttpRequestMessage(HttpMethod.Get, $"{options.Issuer.TrimEnd('/')}/.well-known/openid-configuration");
            using var document = await SendAsync(discovery, cancellationToken);
            var root = document.RootElement;
            if (root.Text("issuer")?.TrimEnd('/') != options.Issuer.TrimEnd('/'))
            {
                throw CloudException.Unavailable($"The identity provider at {options.Issuer} calls itself {root.Text("issuer")}: set issuer to that.");
            }
            using var keysRequest = new HttpRequestMessage(HttpMethod.Get, Endpoint(root, "jwks_uri"));
            using var keys = await SendAsync(keysRequest, cancellationToken);
            var fresh = new Metadata(
                root.Text("issuer")!,
                Endpoint(root, "authorization_endpoint"),
                Endpoint(root, "token_endpoint"),
                root.Text("introspection_endpoint"),
                root.Text("userinfo_endpoint"),
                [.. new JsonWebKeySet(keys.RootElement.GetRawText()).GetSigningKeys()],
                time.GetUtcNow());
            Volatile.Write(ref known, fresh);
            return fresh;
        }
        finally
        {
            reading.Release();
        }
    }

    private string Endpoint(JsonElement metadata, string name) =>
        metadata.Text(name) ?? throw CloudException.Unavailable($"The identity provider {options.Issuer} publishes no {name}.");
}
