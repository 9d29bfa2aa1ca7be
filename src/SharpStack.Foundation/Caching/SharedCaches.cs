using System.Collections.Concurrent;
using System.Globalization;
using System.Net.Security;
using Microsoft.Extensions.Logging;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Identity;
using StackExchange.Redis;

namespace SharpStack.Foundation.Caching;

/// <summary>The shared caches of this process, as the services' configurations name them.</summary>
public sealed partial class SharedCaches(TimeProvider time, ILogger<SharedCaches> log) : IAsyncDisposable
{
    private const int MemcachedPort = 11211;
    private const int RedisPort = 6379;

    private readonly ConcurrentDictionary<(string Service, string Group), ISharedCache> caches = new();

    /// <summary>The one that keeps nothing.</summary>
    public ISharedCache None => NoCache.Instance;

    /// <summary>The cache of <c>[cache]</c>, for what is no secret and cannot be forged to anybody's use; see <see cref="Sealed"/> for all else.</summary>
    public ISharedCache Of(ServiceConfig config) => caches.GetOrAdd((config.Service, "cache"), _ => config.Get(CacheOptions.Enabled) ? Open(config) : NoCache.Instance);

    /// <summary>The cache of <c>[cache]</c> with entries that only holders of the secret can read and write.</summary>
    public ISharedCache Sealed(ServiceConfig config, string purpose, string secret)
    {
        var inner = Of(config);
        return inner.IsEnabled && secret.Length > 0 ? new SealedCache(inner, purpose, secret) : NoCache.Instance;
    }

    /// <summary>The cache for validated tokens: <c>[keystone_authtoken] memcached_servers</c>, or else <c>[cache]</c>.</summary>
    public ISharedCache ForTokens(ServiceConfig config, string password)
    {
        var secret = config.Get(CacheOptions.MemcacheSecretKey) is { Length: > 0 } key ? key : password;
        var servers = config.Get(CacheOptions.MemcachedServers);
        var inner = servers.Count == 0
            ? Of(config)
            : caches.GetOrAdd((config.Service, "keystone_authtoken"), _ => Memcached(
                servers,
                config.Get(CacheOptions.TokenPoolMaxsize),
                CacheTimings.Of(config.Get(CacheOptions.MemcachePoolSocketTimeout), config.Get(CacheOptions.MemcachePoolDeadRetry)),
                config));
        if (!inner.IsEnabled)
        {
            return inner;
        }

        if (secret.Length == 0)
        {
            LogNoSecret(config.Service);
            return NoCache.Instance;
        }

        return new SealedCache(inner, "token", secret);
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var cache in caches.Values.OfType<ServerCache>())
        {
            await cache.DisposeAsync();
        }
    }

    private ISharedCache Open(ServiceConfig config)
    {
        var backend = config.Get(CacheOptions.Backend);
        var argument = config.Get(CacheOptions.BackendArgument);
        var url = argument.StartsWith("url:", StringComparison.Ordinal) ? argument[4..] : "";
        if (backend == "dogpile.cache.null")
        {
            return NoCache.Instance;
        }

        if (backend == "dogpile.cache.redis")
        {
            return new ServerCache(
                "redis", [new RedisServer(Redis(config, url))], CacheTimings.Of(config.Get(CacheOptions.RedisSocketTimeout), config.Get(CacheOptions.MemcacheDeadRetry)), time, log);
        }

        return Memcached(
            url.Length > 0 ? url.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries) : config.Get(CacheOptions.MemcacheServers),
            config.Get(CacheOptions.MemcachePoolMaxsize),
            CacheTimings.Of(config.Get(CacheOptions.MemcacheSocketTimeout), config.Get(CacheOptions.MemcacheDeadRetry)),
            config);
    }

    private ServerCache Memcached(IReadOnlyList<string> servers, int connections, CacheTimings timings, ServiceConfig config) =>
        new(
            "memcached",
            [.. servers.Select(server =>
            {
                var (host, port) = Address(config, server, MemcachedPort);
                return new MemcachedServer(host, port, connections, TimeSpan.FromSeconds(config.Get(CacheOptions.MemcachePoolUnusedTimeout)), Tls(config, host), time);
            })],
            timings, time, log);

    private static ConfigurationOptions Redis(ServiceConfig config, string url)
    {
        var options = new ConfigurationOptions();
        if (url.Length > 0)
        {
            // redis://[user[:password]@]host[:port][/database]
            if (!Uri.TryCreate(url, UriKind.Absolute, out var parsed) || parsed.Scheme is not ("redis" or "rediss"))
            {
                throw new FormatException($"{config.Service}: [cache] backend_argument: it reads url:redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]");
            }

            options.EndPoints.Add(parsed.Host, parsed.Port > 0 ? parsed.Port : RedisPort);
            options.Ssl = parsed.Scheme == "rediss";
            var credentials = parsed.UserInfo.Split(':', 2);
            if (parsed.UserInfo.Length > 0)
            {
                options.User = credentials[0].Length > 0 ? Uri.UnescapeDataString(credentials[0]) : null;
                options.Password = credentials.Length > 1 ? Uri.UnescapeDataString(credentials[1]) : null;
            }

            if (int.TryParse(parsed.AbsolutePath.AsSpan().TrimStart('/'), NumberStyles.None, CultureInfo.InvariantCulture, out var database))
            {
                options.DefaultDatabase = database;
            }
        }
        else
        {
            var (host, port) = Address(config, config.Get(CacheOptions.RedisServer), RedisPort);
            options.EndPoints.Add(host, port);
            options.User = config.Get(CacheOptions.RedisUsername) is { Length: > 0 } user ? user : null;
            options.Password = config.Get(CacheOptions.RedisPassword) is { Length: > 0 } password ? password : null;
        }

        var timeout = (int)Math.Min(config.Get(CacheOptions.RedisSocketTimeout) * 1000, CacheTimings.LongestTimeout.TotalMilliseconds);
        options.ConnectTimeout = options.AsyncTimeout = options.SyncTimeout = Math.Max(timeout, 1);
        if (Tls(config, options.EndPoints[0].ToString()!.Split(':')[0]) is { } tls)
        {
            options.Ssl = true;
            options.SslClientAuthenticationOptions = _ => tls;
        }

        return options;
    }

    private static SslClientAuthenticationOptions? Tls(ServiceConfig config, string host)
    {
        if (!config.Get(CacheOptions.TlsEnabled))
        {
            return null;
        }

        var options = new ClientTls(config.Get(CacheOptions.TlsCafile) is { Length: > 0 } file ? file : null).ToOptions();
        options.TargetHost = host;
        return options;
    }

    private static (string Host, int Port) Address(ServiceConfig config, string text, int defaultPort)
    {
        // As python-memcached has them: inet:host:port, inet6:[host]:port, host:port, host.
        var address = text.StartsWith("inet:", StringComparison.Ordinal) ? text[5..] : text.StartsWith("inet6:", StringComparison.Ordinal) ? text[6..] : text;
        return Uri.TryCreate($"tcp://{address}", UriKind.Absolute, out var parsed) && parsed.Host.Length > 0 && parsed.AbsolutePath is "" or "/"
            ? (parsed.DnsSafeHost, parsed.Port > 0 ? parsed.Port : defaultPort)
            : throw new FormatException($"{config.Service}: '{text}' is no HOST:PORT of a cache");
    }

    [LoggerMessage(EventId = 1203, Level = LogLevel.Warning, Message = "Cache: {Service} shares no validated tokens: it has neither [keystone_authtoken] memcache_secret_key nor a password to protect them with")]
    private partial void LogNoSecret(string service);
}
