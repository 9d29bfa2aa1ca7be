using System.Net;
using System.Net.Sockets;
using System.Text;
using SharpStack.Foundation.Caching;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Tests.Bus;
using SharpStack.TestKit;
using SharpStack.TestKit.Hosts;

namespace SharpStack.Foundation.Tests.Caching;

/// <summary>Shared caches with real servers that die and hang.</summary>
public sealed class SharedCacheTests : IAsyncDisposable
{
    // A machine with much else to do.
    private static readonly TimeSpan Slack = TimeSpan.FromSeconds(2);

    private readonly List<IAsyncDisposable> owned = [];
    private readonly LogLines log = new();

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public async ValueTask DisposeAsync()
    {
        owned.Reverse();
        foreach (var each in owned)
        {
            await each.DisposeAsync();
        }
    }

    [Theory]
    [InlineData("memcached")]
    [InlineData("redis")]
    public async Task What_one_process_keeps_another_finds_until_its_time_is_over(string backend)
    {
        var server = await StartAsync(backend);
        var (one, other) = (Open(backend, server), Open(backend, server));
        var value = Encoding.UTF8.GetBytes(new string('x', 100_000) + "\r\nEND\r\n");
        one.Keep("long", value, TimeSpan.FromMinutes(1));
        await Eventually.TrueAsync(async () => await other.FindAsync("long", Cancelled) is { } found && found.AsSpan().SequenceEqual(value), "the value");
        Assert.Null(await other.FindAsync("unknown", Cancelled));
        one.Keep("short", [1], TimeSpan.FromSeconds(2));
        await Eventually.TrueAsync(async () => await other.FindAsync("short", Cancelled) is not null, "the short one");
        await Eventually.TrueAsync(async () => await other.FindAsync("short", Cancelled) is null, "its end");
        Assert.NotNull(await other.FindAsync("long", Cancelled));
    }

    [Theory]
    [InlineData("memcached")]
    [InlineData("redis")]
    public async Task A_server_that_dies_is_left_alone_and_comes_back(string backend)
    {
        var server = await StartAsync(backend);
        var cache = Open(backend, server);
        await HoldsAsync(cache);
        await server.KillAsync();
        await Eventually.TrueAsync(async () => await cache.FindAsync("key", Cancelled) is null && log.Lines.Any(line => line.Contains("is left alone", StringComparison.Ordinal)), "the end");
        await server.StartAgainAsync();
        await HoldsAsync(cache);
        Assert.Contains(log.Lines, line => line.Contains("answers again", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("memcached")]
    [InlineData("redis")]
    public async Task A_server_that_hangs_costs_one_time_out_and_no_more(string backend)
    {
        var server = await StartAsync(backend);
        var cache = Open(backend, server, leftAlone: 30);
        await HoldsAsync(cache);
        await server.PauseAsync();
        var started = TimeProvider.System.GetTimestamp();
        Assert.Null(await cache.FindAsync("key", Cancelled));
        Assert.InRange(TimeProvider.System.GetElapsedTime(started), TimeSpan.Zero, TimeSpan.FromSeconds(0.5) + Slack);
        started = TimeProvider.System.GetTimestamp();
        for (var i = 0; i < 1000; i++)
        {
            Assert.Null(await cache.FindAsync("key", Cancelled));
            cache.Keep("key", [1], TimeSpan.FromMinutes(1));
        }

        // A thousand of them would wait for minutes if each asked.
        Assert.InRange(TimeProvider.System.GetElapsedTime(started), TimeSpan.Zero, Slack);
    }

    [Theory]
    [InlineData("memcached", true)]
    [InlineData("memcached", false)]
    [InlineData("redis", true)]
    [InlineData("redis", false)]
    public async Task Requests_under_way_neither_fail_nor_wait_when_the_server_goes(string backend, bool hangs)
    {
        var server = await StartAsync(backend);
        var cache = Open(backend, server);
        await HoldsAsync(cache);
        var (done, longest) = (0, 0L);
        using var stop = new CancellationTokenSource();
        var workers = Enumerable.Range(0, 8).Select(worker => Task.Run(async () =>
        {
            // Requests that come now and then: a loop that spins would measure its own hunger.
            using var pace = new PeriodicTimer(TimeSpan.FromMilliseconds(2));
            while (!stop.IsCancellationRequested && await pace.WaitForNextTickAsync(CancellationToken.None))
            {
                var started = TimeProvider.System.GetTimestamp();
                _ = await cache.FindAsync("key", CancellationToken.None);
                cache.Keep("key", [1, 2, 3], TimeSpan.FromMinutes(1));
                Max(ref longest, TimeProvider.System.GetElapsedTime(started).Ticks);
                Interlocked.Increment(ref done);
            }
        })).ToList();
        await Eventually.TrueAsync(() => done > 200, "requests");
        await (hangs ? server.PauseAsync() : server.KillAsync());
        var before = done;
        await Eventually.TrueAsync(() => done > before + 800, "requests without it");
        await (hangs ? server.ResumeAsync() : server.StartAgainAsync());
        await HoldsAsync(cache);
        await stop.CancelAsync();
        await Task.WhenAll(workers);
        Assert.InRange(TimeSpan.FromTicks(longest), TimeSpan.Zero, TimeSpan.FromSeconds(0.5) + Slack);
    }

    [Fact]
    public async Task Keys_are_spread_and_one_servers_end_moves_its_keys_only()
    {
        var (one, two) = (await StartAsync("memcached"), await StartAsync("memcached"));
        var cache = Open(config => config.With("cache", "memcache_servers", $"127.0.0.1:{one.Port},127.0.0.1:{two.Port}"), "oslo_cache.memcache_pool", 30);
        var keys = Enumerable.Range(0, 60).Select(i => $"key-{i}").ToList();
        foreach (var key in keys)
        {
            cache.Keep(key, [7], TimeSpan.FromMinutes(1));
            await Eventually.TrueAsync(async () => await cache.FindAsync(key, Cancelled) is not null, key);
        }

        await one.KillAsync();
        var left = 0;
        foreach (var key in keys)
        {
            left += await cache.FindAsync(key, Cancelled) is null ? 0 : 1;
        }

        Assert.InRange(left, 10, 50);
        var ring = new HashRing(["a", "b", "c"]);
        var smaller = new HashRing(["a", "b"]);
        Assert.All(keys, key => Assert.True(ring.Order(key).First() == 2 || ring.Order(key).First() == smaller.Order(key).First()));
        Assert.Equal([0, 1, 2], keys.Select(key => ring.Order(key).First()).Distinct().Order());
    }

    [Fact]
    public async Task A_server_that_talks_nonsense_is_none()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var talking = Task.Run(async () =>
        {
            while (true)
            {
                using var client = await listener.AcceptTcpClientAsync(Cancelled);
                await client.GetStream().WriteAsync("VALUE other 0 99999999999\r\nHTTP/1.1 400\r\n"u8.ToArray(), Cancelled);
            }
        }, Cancelled);
        var cache = Open(config => config.With("cache", "backend_argument", $"url:127.0.0.1:{((IPEndPoint)listener.LocalEndpoint).Port}"), "dogpile.cache.memcached", 30);
        Assert.Null(await cache.FindAsync("key", Cancelled));
        Assert.Contains(log.Lines, line => line.Contains("is left alone", StringComparison.Ordinal));
        listener.Stop();
        await Assert.ThrowsAnyAsync<Exception>(() => talking);
    }

    [Fact]
    public async Task Sealed_entries_are_read_and_written_by_holders_of_the_secret_only()
    {
        var server = await StartAsync("memcached");
        var raw = (ServerCache)Open("memcached", server);
        var sealedCache = new SealedCache(raw, "token", "hunter2");
        sealedCache.Keep("a", "the user is admin"u8.ToArray(), TimeSpan.FromMinutes(1));
        sealedCache.Keep("b", "the user is nobody"u8.ToArray(), TimeSpan.FromMinutes(1));
        await Eventually.TrueAsync(async () => await sealedCache.FindAsync("a", Cancelled) is not null && await sealedCache.FindAsync("b", Cancelled) is not null, "both");
        Assert.Equal("the user is nobody", Encoding.UTF8.GetString((await sealedCache.FindAsync("b", Cancelled))!));
        Assert.Null(await new SealedCache(raw, "token", "hunter3").FindAsync("a", Cancelled));
        Assert.Null(await new SealedCache(raw, "other", "hunter2").FindAsync("a", Cancelled));

        // Whoever reaches the server sees two boxes. Neither name nor content tells anything, and none can be changed or put elsewhere.
        var names = await DumpAsync(server);
        Assert.Equal(2, names.Count);
        var boxes = new List<byte[]>();
        foreach (var name in names)
        {
            var box = (await raw.FindAsync(name, Cancelled))!;
            Assert.DoesNotContain("user", Encoding.Latin1.GetString(box), StringComparison.Ordinal);
            boxes.Add(box);
        }

        raw.Keep(names[0], boxes[1], TimeSpan.FromMinutes(1));
        boxes[1][^1] ^= 1;
        raw.Keep(names[1], boxes[1], TimeSpan.FromMinutes(1));
        await Eventually.TrueAsync(
            async () => await sealedCache.FindAsync("a", Cancelled) is null && await sealedCache.FindAsync("b", Cancelled) is null, "neither is believed");
    }

    [Fact]
    public async Task Redis_is_reached_over_tls_and_with_a_password()
    {
        var folder = Directory.CreateTempSubdirectory("sharpstack-redis-").FullName;
        try
        {
            using var authority = new TestAuthority(folder);
            var (certificate, key) = authority.Issue("redis", "127.0.0.1", "localhost");
            var secure = await KeptProcess.RedisAsync(authority.CaFile, certificate, key);
            owned.Add(secure);
            await HoldsAsync(Open(
                config => config.With("cache", "redis_server", $"127.0.0.1:{secure.Port}").With("cache", "tls_enabled", "true").With("cache", "tls_cafile", authority.CaFile), "dogpile.cache.redis", 1));
            using var stranger = new TestAuthority(folder, "stranger");
            var distrusting = Open(
                config => config.With("cache", "redis_server", $"127.0.0.1:{secure.Port}").With("cache", "tls_enabled", "true").With("cache", "tls_cafile", stranger.CaFile), "dogpile.cache.redis", 30);
            distrusting.Keep("key", [1], TimeSpan.FromMinutes(1));
            Assert.Null(await distrusting.FindAsync("key", Cancelled));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }

        var guarded = await KeptProcess.RedisAsync("--requirepass", "hunter2");
        owned.Add(guarded);
        await HoldsAsync(Open(config => config.With("cache", "backend_argument", $"url:redis://:hunter2@127.0.0.1:{guarded.Port}/1"), "dogpile.cache.redis", 1));
        Assert.DoesNotContain(log.Lines, line => line.Contains("hunter2", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Without_a_backend_or_a_secret_nothing_is_shared()
    {
        await using var caches = new SharedCaches(TimeProvider.System, new TypedLog<SharedCaches>(log));
        Assert.False(caches.Of(ServiceConfig.Empty("nova")).IsEnabled);
        Assert.False(caches.Of(ServiceConfig.Empty("glance").With("cache", "enabled", "true")).IsEnabled);
        var config = ServiceConfig.Empty("neutron").With("keystone_authtoken", "memcached_servers", "127.0.0.1:1");
        Assert.False(caches.ForTokens(config, "").IsEnabled);
        Assert.True(caches.ForTokens(config, "password").IsEnabled);
        Assert.Contains(log.Lines, line => line.Contains("memcache_secret_key", StringComparison.Ordinal));
        Assert.Throws<FormatException>(() => caches.ForTokens(ServiceConfig.Empty("nova").With("keystone_authtoken", "memcached_servers", "a b"), "password"));
    }

    private static void Max(ref long target, long value)
    {
        var seen = Volatile.Read(ref target);
        while (value > seen && Interlocked.CompareExchange(ref target, value, seen) is var before && before != seen)
        {
            seen = before;
        }
    }

    private static async Task HoldsAsync(ISharedCache cache) =>
        await Eventually.TrueAsync(
            async () =>
            {
                cache.Keep("key", [1, 2, 3], TimeSpan.FromMinutes(1));
                return await cache.FindAsync("key", Cancelled) is [1, 2, 3];
            },
            "a cache that holds");

    /// <summary>The names of all entries, as anybody may ask for them.</summary>
    private static async Task<List<string>> DumpAsync(KeptProcess server)
    {
        using var client = new TcpClient();
        await client.ConnectAsync(IPAddress.Loopback, server.Port, Cancelled);
        using var reader = new StreamReader(client.GetStream());
        await client.GetStream().WriteAsync("lru_crawler metadump all\r\n"u8.ToArray(), Cancelled);
        var names = new List<string>();
        while (await reader.ReadLineAsync(Cancelled) is { } line && line != "END")
        {
            names.Add(Uri.UnescapeDataString(line.Split(' ')[0]["key=".Length..]));
        }

        return names;
    }

    private async Task<KeptProcess> StartAsync(string backend)
    {
        var server = await (backend == "redis" ? KeptProcess.RedisAsync() : KeptProcess.MemcachedAsync());
        owned.Add(server);
        return server;
    }

    private ISharedCache Open(string backend, KeptProcess server, int leftAlone = 1) => backend == "redis"
        ? Open(config => config.With("cache", "redis_server", $"127.0.0.1:{server.Port}"), "dogpile.cache.redis", leftAlone)
        : Open(config => config.With("cache", "memcache_servers", $"127.0.0.1:{server.Port}"), "dogpile.cache.memcached", leftAlone);

    private ISharedCache Open(Action<ServiceConfig> configure, string backend, int leftAlone)
    {
        var config = ServiceConfig.Empty("nova").With("cache", "enabled", "true").With("cache", "backend", backend).With("cache", "memcache_dead_retry", $"{leftAlone}");
        configure(config);
        var caches = new SharedCaches(TimeProvider.System, new TypedLog<SharedCaches>(log));
        owned.Add(caches);
        return caches.Of(config);
    }
}
