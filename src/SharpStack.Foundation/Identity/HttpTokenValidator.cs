using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using SharpStack.Foundation.Caching;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Hosting;

namespace SharpStack.Foundation.Identity;

/// <summary>
/// Asks a Keystone elsewhere, with the service user of <c>[keystone_authtoken]</c>, and keeps its answers for <c>token_cache_time</c> seconds, as
/// keystonemiddleware does, in this process and (encrypted) in the cache that the service's nodes share. A Keystone of ours says with each answer which
/// epoch it is of; it is asked for the newest every few seconds, and answers of older ones count no more: a revoked token is refused that
/// soon. With another Keystone, or while none answers, it is <c>token_cache_time</c> at the latest.
/// </summary>
public sealed class HttpTokenValidator : ITokenValidator
{
    public static readonly ConfigOption<int> CacheTime = new("keystone_authtoken", "token_cache_time", 300, "Seconds that a validated token is taken as valid without asking again; -1 to ask each time.");

    public static readonly ConfigOption<IReadOnlyList<string>> ServiceTokenRoles = new(
        "keystone_authtoken", "service_token_roles", ["service"], "Roles of which a token in X-Service-Token must have one to count as a service's.");

    /// <summary>What every service with an API reads about tokens, for validation and samples.</summary>
    public static IEnumerable<ConfigOption> Options => [CacheTime, ServiceTokenRoles, .. CacheOptions.All];

    /// <summary>The header of Keystone's answers to validations: a number that grows with every change that may matter to a token.</summary>
    public const string EpochHeader = "X-Identity-Epoch";

    /// <summary>How old the known epoch may be.</summary>
    public static readonly TimeSpan EpochPeriod = TimeSpan.FromSeconds(5);

    private static readonly TimeSpan EpochPatience = TimeSpan.FromSeconds(1);

    private const int LargestCache = 10_000;
    private const int SharedHeader = 16;

    private readonly ConcurrentDictionary<string, Entry> cache = new(StringComparer.Ordinal);
    private readonly ISharedCache shared;
    private readonly TimeSpan lifetime;
    private readonly string tokensUrl;
    private long knownEpoch;
    private long epochCheckedAt;
    private bool hasEpochs;
    private readonly ServiceClients clients;
    private readonly TimeProvider time;
    private readonly ServiceConfig config;

    public HttpTokenValidator(ServiceClients clients, HostOptions host, TimeProvider time, SharedCaches caches)
    {
        this.clients = clients;
        this.time = time;
        config = host.Configs.Values.FirstOrDefault(candidate => candidate.Service != "keystone") ?? ServiceConfig.Empty("keystone");
        lifetime = TimeSpan.FromSeconds(Math.Max(config.Get(CacheTime), 0));
        var credentials = ServiceCredentials.Read(config, "keystone_authtoken", host);
        tokensUrl = credentials.AuthUrl + "/auth/tokens";
        shared = lifetime > TimeSpan.Zero ? caches.ForTokens(config, credentials.Password) : NoCache.Instance;
    }

    private sealed record Entry(RequestIdentity Identity, DateTimeOffset Until, long Epoch);

    /// <inheritdoc/>
    public ValueTask<RequestIdentity?> ValidateAsync(string token, CancellationToken cancellationToken) => ValidateAsync(token, false, cancellationToken);

    /// <inheritdoc/>
    public ValueTask<RequestIdentity?> ValidateExpiredAsync(string token, CancellationToken cancellationToken) => ValidateAsync(token, true, cancellationToken);

    private async ValueTask<RequestIdentity?> ValidateAsync(string token, bool allowExpired, CancellationToken cancellationToken)
    {
        // The cache holds hashes: a dump of this process's memory should not be a bag of tokens.
        var key = Convert.ToBase64String(SHA256.HashData(Encoding.UTF8.GetBytes(token)));
        await RefreshEpochAsync(cancellationToken);
        var epoch = Interlocked.Read(ref knownEpoch);
        var now = time.GetUtcNow();
        if (cache.TryGetValue(key, out var cached) && cached.Until > now && cached.Epoch >= epoch)
        {
            return cached.Identity;
        }

        // An answer that bears an epoch counts only where the newest one is known from Keystone itself.
        if (shared.IsEnabled && await shared.FindAsync(key, cancellationToken) is { } text && ReadShared(text) is { } known && known.Until > now && known.Epoch >= epoch && (known.Epoch == 0 || Volatile.Read(ref hasEpochs)))
        {
            Keep(key, known);
            return known.Identity;
        }

        using var response = await AskAsync(HttpMethod.Get, $"?nocatalog{(allowExpired ? "&allow_expired=1" : "")}", token, cancellationToken);
        if (response.StatusCode == System.Net.HttpStatusCode.NotFound)
        {
            return null;
        }

        if (!response.IsSuccessStatusCode)
        {
            throw CloudException.Unavailable($"Keystone answered {(int)response.StatusCode} to a token validation; try again.");
        }

        using var document = JsonDocument.Parse(await response.Content.ReadAsByteArrayAsync(cancellationToken));
        var subject = document.RootElement.GetProperty("token");
        var identity = Read(subject);
        if (identity.ExpiresAt <= now)
        {
            // Not kept: without a service beside it, it is none.
            return allowExpired ? identity : null;
        }

        if (lifetime > TimeSpan.Zero)
        {
            var entry = new Entry(identity, Until(now, identity), EpochOf(response) is { } answered ? Learn(answered) : 0);
            Keep(key, entry);
            if (shared.IsEnabled)
            {
                shared.Keep(key, WriteShared(now, entry.Epoch, subject), entry.Until - now);
            }
        }

        return identity;
    }

    private async Task<HttpResponseMessage> AskAsync(HttpMethod method, string query, string? subject, CancellationToken cancellationToken)
    {
        var keystone = clients.For(config, "keystone_authtoken", "identity");
        var (service, _) = await keystone.AuthorizeAsync(cancellationToken);
        using var request = new HttpRequestMessage(method, tokensUrl + query);
        request.Headers.TryAddWithoutValidation("X-Auth-Token", service);
        request.Headers.TryAddWithoutValidation("X-Subject-Token", subject ?? service);
        // Keystone hides tokens with access rules from those who would not enforce them.
        request.Headers.TryAddWithoutValidation("OpenStack-Identity-Access-Rules", "1.0");
        try
        {
            return await keystone.Http.SendAsync(request, cancellationToken);
        }
        catch (Exception failure) when (failure is HttpRequestException or IOException)
        {
            throw CloudException.Unavailable("Keystone cannot be reached to validate the token; try again.", inner: failure);
        }
    }

    /// <summary>Asks for the newest epoch where the known one is old. One request does, and waits a bounded time; the others go on with what is known.</summary>
    private async ValueTask RefreshEpochAsync(CancellationToken cancellationToken)
    {
        var checkedAt = Interlocked.Read(ref epochCheckedAt);
        if (!Volatile.Read(ref hasEpochs) || time.GetElapsedTime(checkedAt) < EpochPeriod
            || Interlocked.CompareExchange(ref epochCheckedAt, time.GetTimestamp(), checkedAt) != checkedAt)
        {
            return;
        }

        using var patience = new CancellationTokenSource(EpochPatience, time);
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(patience.Token, cancellationToken);
        try
        {
            // The service's own token: whoever it is, the answer bears the epoch.
            using var response = await AskAsync(HttpMethod.Head, "", null, limit.Token);
            if (EpochOf(response) is { } epoch)
            {
                // Not the greatest ever seen: a database that was restored begins lower.
                Interlocked.Exchange(ref knownEpoch, epoch);
            }
        }
        catch (Exception failure) when (failure is CloudException || (failure is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            // While Keystone does not answer, what was valid stays so for its time.
        }
    }

    private static long? EpochOf(HttpResponseMessage response) =>
        response.Headers.TryGetValues(EpochHeader, out var values) && long.TryParse(values.First(), NumberStyles.None, CultureInfo.InvariantCulture, out var epoch) ? epoch : null;

    private long Learn(long epoch)
    {
        if (!Volatile.Read(ref hasEpochs))
        {
            Interlocked.Exchange(ref epochCheckedAt, time.GetTimestamp());
            Volatile.Write(ref hasEpochs, true);
        }

        var known = Interlocked.Read(ref knownEpoch);
        while (epoch > known && Interlocked.CompareExchange(ref knownEpoch, epoch, known) is var before && before != known)
        {
            known = before;
        }

        return epoch;
    }

    private DateTimeOffset Until(DateTimeOffset validatedAt, RequestIdentity identity) =>
        validatedAt + lifetime is var until && until < identity.ExpiresAt ? until : identity.ExpiresAt;

    private void Keep(string key, Entry entry)
    {
        if (cache.Count >= LargestCache)
        {
            cache.Clear();
        }

        cache[key] = entry;
    }

    private static byte[] WriteShared(DateTimeOffset validatedAt, long epoch, JsonElement token)
    {
        var text = Encoding.UTF8.GetBytes(token.GetRawText());
        var value = new byte[SharedHeader + text.Length];
        BinaryPrimitives.WriteInt64BigEndian(value, validatedAt.UtcTicks);
        BinaryPrimitives.WriteInt64BigEndian(value.AsSpan(8), epoch);
        text.CopyTo(value, SharedHeader);
        return value;
    }

    /// <summary>What another process kept: valid from when that one asked, not from now. Null for what another release wrote.</summary>
    private Entry? ReadShared(byte[] value)
    {
        if (value.Length <= SharedHeader)
        {
            return null;
        }

        try
        {
            using var document = JsonDocument.Parse(value.AsMemory(SharedHeader));
            var identity = Read(document.RootElement);
            return new Entry(identity, Until(new DateTimeOffset(BinaryPrimitives.ReadInt64BigEndian(value), TimeSpan.Zero), identity), BinaryPrimitives.ReadInt64BigEndian(value.AsSpan(8)));
        }
        catch (Exception failure) when (failure is JsonException or KeyNotFoundException or InvalidOperationException or FormatException or ArgumentOutOfRangeException)
        {
            return null;
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
