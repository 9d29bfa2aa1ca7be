using SharpStack.Foundation.Configuration;

namespace SharpStack.Foundation.Caching;

/// <summary>oslo.cache's options in <c>[cache]</c>, and keystonemiddleware's for its tokens in <c>[keystone_authtoken]</c>.</summary>
public static class CacheOptions
{
    private const string Group = "cache";
    private const string TokenGroup = "keystone_authtoken";

    public static readonly ConfigOption<bool> Enabled = new(Group, "enabled", false, "Keep what is asked for often in a cache that processes and nodes share.");

    public static readonly ConfigOption<string> Backend = new(Group, "backend", "dogpile.cache.null", "Which cache: dogpile.cache.memcached, oslo_cache.memcache_pool, dogpile.cache.redis, or dogpile.cache.null for none.")
    {
        Choices = ["dogpile.cache.null", "dogpile.cache.memcached", "dogpile.cache.pymemcache", "dogpile.cache.pylibmc", "dogpile.cache.bmemcached", "oslo_cache.memcache_pool", "dogpile.cache.redis"],
    };

    public static readonly ConfigOption<string> BackendArgument = new(Group, "backend_argument", "", "url:ADDRESS of the cache, instead of memcache_servers or redis_server.") { Secret = true };

    public static readonly ConfigOption<int> ExpirationTime = new(Group, "expiration_time", 600, "Seconds that an entry without a time of its own is kept.") { Min = 1 };

    public static readonly ConfigOption<IReadOnlyList<string>> MemcacheServers = new(Group, "memcache_servers", ["localhost:11211"], "The memcached servers, as HOST:PORT.");

    public static readonly ConfigOption<double> MemcacheSocketTimeout = new(Group, "memcache_socket_timeout", 1.0, "Seconds to wait for a server; half a second at most, as a cache that is slower is none.") { Min = 0.001 };

    public static readonly ConfigOption<int> MemcacheDeadRetry = new(Group, "memcache_dead_retry", 300, "Seconds that a server is left alone after it failed.") { Min = 0 };

    public static readonly ConfigOption<int> MemcachePoolMaxsize = new(Group, "memcache_pool_maxsize", 10, "Connections to each server.") { Min = 1 };

    public static readonly ConfigOption<int> MemcachePoolUnusedTimeout = new(Group, "memcache_pool_unused_timeout", 60, "Seconds after which an unused connection is closed.") { Min = 1 };

    public static readonly ConfigOption<string> RedisServer = new(Group, "redis_server", "localhost:6379", "The Redis server, as HOST:PORT.");

    public static readonly ConfigOption<string> RedisUsername = new(Group, "redis_username", "", "The user at the Redis server.");

    public static readonly ConfigOption<string> RedisPassword = new(Group, "redis_password", "", "The password at the Redis server.") { Secret = true };

    public static readonly ConfigOption<double> RedisSocketTimeout = new(Group, "redis_socket_timeout", 1.0, "Seconds to wait for the server; half a second at most.") { Min = 0.001 };

    public static readonly ConfigOption<bool> TlsEnabled = new(Group, "tls_enabled", false, "Reach the cache over TLS.");

    public static readonly ConfigOption<string> TlsCafile = new(Group, "tls_cafile", "", "The authorities (PEM) that the cache's certificate has to come from; the system's where empty.");

    public static readonly ConfigOption<IReadOnlyList<string>> MemcachedServers = new(TokenGroup, "memcached_servers", [], "The memcached servers that validated tokens are shared by; where empty, what [cache] says.") { DeprecatedNames = ["memcache_servers"] };

    public static readonly ConfigOption<string> MemcacheSecurityStrategy = new(TokenGroup, "memcache_security_strategy", "None", "Read for compatibility: validated tokens are always encrypted and signed in a shared cache.") { Choices = ["None", "MAC", "ENCRYPT"] };

    public static readonly ConfigOption<string> MemcacheSecretKey = new(TokenGroup, "memcache_secret_key", "", "What shared tokens are encrypted and signed with; the service user's password where empty.") { Secret = true };

    public static readonly ConfigOption<int> MemcachePoolDeadRetry = new(TokenGroup, "memcache_pool_dead_retry", 300, "Seconds that a server is left alone after it failed.") { Min = 0 };

    public static readonly ConfigOption<double> MemcachePoolSocketTimeout = new(TokenGroup, "memcache_pool_socket_timeout", 3, "Seconds to wait for a server; half a second at most.") { Min = 0.001 };

    public static readonly ConfigOption<int> TokenPoolMaxsize = new(TokenGroup, "memcache_pool_maxsize", 10, "Connections to each server.") { Min = 1 };

    /// <summary>What a service reads that validates tokens of a Keystone elsewhere; Keystone itself has those of <c>[cache]</c> only.</summary>
    public static IReadOnlyList<ConfigOption> All { get; } = [.. ConfigOption.DeclaredIn(typeof(CacheOptions))];

    public static IReadOnlyList<ConfigOption> Shared { get; } = [.. All.Where(option => option.Group == Group)];
}
