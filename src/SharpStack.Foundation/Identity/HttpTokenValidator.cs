using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Hosting;

namespace SharpStack.Foundation.Identity;

/// <summary>
/// Asks a Keystone elsewhere, with the service user of <c>[keystone_authtoken]</c>, and keeps its answers for
/// <c>token_cache_time</c> seconds, as keystonemiddleware does: a revoked token is refused that much later at the latest.
/// </summary>
public sealed class HttpTokenValidator : ITokenValidator
{
    public static readonly ConfigOption<int> CacheTime = new("keystone_authtoken", "token_cache_time", 300, "Seconds that a validated token is taken as valid without asking again; -1 to ask each time.");

    public static readonly ConfigOption<IReadOnlyList<string>> ServiceTokenRoles = new(
        "keystone_authtoken", "service_token_roles", ["service"], "Roles of which a token in X-Service-Token must have one to count as a service's.");

    private const int LargestCache = 10_000;

    private readonly ConcurrentDictionary<string, (RequestIdentity Identity, DateTimeOffset Until)> cache = new(StringComparer.Ordinal);
    private readonly ServiceClients clients;
    private readonly HostOptions host;
    private readonly TimeProvider time;
    private readonly ServiceConfig config;

    public HttpTokenValidator(ServiceClients clients, HostOptions host, TimeProvider time)
    {
        this.clients = clients;
        this.host = host;
        this.time = time;
        config = host.Configs.Values.FirstOrDefault(candidate => candidate.Service != "keystone") ?? ServiceConfig.Empty("keystone");
    }

    /// <inheritdoc/>
    public ValueTask<RequestIdentity?> ValidateAsync(string token, CancellationToken cancellationToken) => ValidateAsync(token, false, cancellationToken);

    /// <inheritdoc/>
    public ValueTask<RequestIdentity?> ValidateExpiredAsync(string token, CancellationToken cancellationToken) => ValidateAsync(token, true, cancellationToken);

    private async ValueTask<RequestIdentity?> ValidateAsync(string token, bool allowExpired, CancellationToken cancellationToken)
    {
        // The cache holds hashes: a dump of this process's memory should not be a bag of tokens.
        var key = Convert.ToBase64String(SHA256.HashData(Encoding.UTF8.GetBytes(token)));
        var now = time.GetUtcNow();
        if (cache.TryGetValue(key, out var cached) && cached.Until > now)
        {
            return cached.Identity;
        }

        var keystone = clients.For(config, "keystone_authtoken", "identity");
        var (service, _) = await keystone.AuthorizeAsync(cancellationToken);
        using var request = new HttpRequestMessage(HttpMethod.Get, ServiceCredentials.Read(config, "keystone_authtoken", host).AuthUrl + $"/auth/tokens?nocatalog{(allowExpired ? "&allow_expired=1" : "")}");
        request.Headers.TryAddWithoutValidation("X-Auth-Token", service);
        request.Headers.TryAddWithoutValidation("X-Subject-Token", token);
        // Keystone hides tokens with access rules from those who would not enforce them.
        request.Headers.TryAddWithoutValidation("OpenStack-Identity-Access-Rules", "1.0");
        HttpResponseMessage response;
        try
        {
            response = await keystone.Http.SendAsync(request, cancellationToken);
        }
        catch (Exception failure) when (failure is HttpRequestException or IOException)
        {
            throw CloudException.Unavailable("Keystone cannot be reached to validate the token; try again.", inner: failure);
        }

        using (response)
        {
            if (response.StatusCode == System.Net.HttpStatusCode.NotFound)
            {
                return null;
            }

            if (!response.IsSuccessStatusCode)
            {
                throw CloudException.Unavailable($"Keystone answered {(int)response.StatusCode} to a token validation; try again.");
            }

            using var document = JsonDocument.Parse(await response.Content.ReadAsByteArrayAsync(cancellationToken));
            var identity = Read(document.RootElement.GetProperty("token"));
            if (identity.ExpiresAt <= now)
            {
                // Not kept: without a service beside it, it is none.
                return allowExpired ? identity : null;
            }

            if (cache.Count >= LargestCache)
            {
                cache.Clear();
            }

            var until = now.AddSeconds(config.Get(CacheTime));
            cache[key] = (identity, until < identity.ExpiresAt ? until : identity.ExpiresAt);
            return identity;
        }
    }

    private static RequestIdentity Read(JsonElement token)
    {
        static string? Text(JsonElement parent, params ReadOnlySpan<string> path)
        {
            foreach (var name in path)
            {
                if (parent.ValueKind != JsonValueKind.Object || !parent.TryGetProperty(name, out parent))
                {
                    return null;
                }
            }

            return parent.GetString();
        }

        var roles = token.TryGetProperty("roles", out var list) ? list.EnumerateArray().ToArray() : [];
        return new RequestIdentity
        {
            UserId = Text(token, "user", "id")!,
            UserName = Text(token, "user", "name")!,
            UserDomainId = Text(token, "user", "domain", "id")!,
            UserDomainName = Text(token, "user", "domain", "name") ?? "",
            ProjectId = Text(token, "project", "id"),
            ProjectName = Text(token, "project", "name"),
            ProjectDomainId = Text(token, "project", "domain", "id"),
            ProjectDomainName = Text(token, "project", "domain", "name"),
            DomainId = Text(token, "domain", "id"),
            DomainName = Text(token, "domain", "name"),
            SystemScope = token.TryGetProperty("system", out _) ? "all" : null,
            Roles = [.. roles.Select(role => role.GetProperty("name").GetString()!)],
            RoleIds = [.. roles.Select(role => role.GetProperty("id").GetString()!)],
            IsAdminProject = !token.TryGetProperty("is_admin_project", out var adminProject) || adminProject.GetBoolean(),
            IssuedAt = token.GetProperty("issued_at").GetDateTimeOffset(),
            ExpiresAt = token.GetProperty("expires_at").GetDateTimeOffset(),
            Methods = [.. token.GetProperty("methods").EnumerateArray().Select(method => method.GetString()!)],
            AuditIds = [.. token.GetProperty("audit_ids").EnumerateArray().Select(id => id.GetString()!)],
            TrustId = Text(token, "OS-TRUST:trust", "id"),
            TrustorUserId = Text(token, "OS-TRUST:trust", "trustor_user", "id"),
            TrusteeUserId = Text(token, "OS-TRUST:trust", "trustee_user", "id"),
            ApplicationCredentialId = Text(token, "application_credential", "id"),
            IsRestricted = token.TryGetProperty("application_credential", out var credential) && credential.TryGetProperty("restricted", out var restricted) && restricted.GetBoolean(),
            AccessRules = credential.ValueKind == JsonValueKind.Object && credential.TryGetProperty("access_rules", out var rules)
                ? [.. rules.EnumerateArray().Select(rule => new AccessRule(Text(rule, "id") ?? "", Text(rule, "service")!, Text(rule, "method")!, Text(rule, "path")!))]
                : null,
            AccessTokenId = Text(token, "OS-OAUTH1", "access_token_id"),
        };
    }
}
