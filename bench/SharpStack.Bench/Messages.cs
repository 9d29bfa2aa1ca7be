using System.Diagnostics;
using System.Text.Json.Serialization;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using SharpStack.Foundation.Bus;
using SharpStack.Foundation.Caching;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Hosting;

namespace SharpStack.Bench;

internal sealed record Ping(string Text);

[JsonSerializable(typeof(Ping))]
[JsonSerializable(typeof(Ack))]
internal sealed partial class PingJson : JsonSerializerContext;

/// <summary>Calls and casts through a broker beside those within a process, and look-ups in a shared cache.</summary>
internal static class Messages
{
    private static readonly BusTopic Topic = new("nova", $"bench-{Guid.NewGuid():N}");
    private static readonly BusContract<Ping, Ping> Echo = new(Topic, "echo", 1, PingJson.Default.Ping, PingJson.Default.Ping);
    private static readonly BusContract<Ping, Ack> Tell = new(Topic, "tell", 1, PingJson.Default.Ping, PingJson.Default.Ack);

    /// <param name="transportUrl">As in nova.conf.</param>
    /// <param name="memcached">HOST:PORT; null to leave the cache out.</param>
    /// <param name="redis">HOST:PORT; null to leave it out.</param>
    public static async Task RunAsync(string transportUrl, string? memcached, string? redis, int seconds)
    {
        Console.WriteLine($"{"messages of 1 KiB, a second",-46}{"through the broker",22}{"in process",22}");
        await using var local = Host("");
        await using var client = Host(transportUrl);
        await using var server = Host(transportUrl);
        foreach (var outstanding in (int[])[1, 16, 64])
        {
            Row($"calls, {outstanding} at once", await CallsAsync(client, server, outstanding, seconds), await CallsAsync(local, local, outstanding, seconds));
        }

        Row("casts, handled", await CastsAsync(client, server, seconds), await CastsAsync(local, local, seconds));
        if (memcached is null && redis is null)
        {
            return;
        }

        Console.WriteLine($"\n{"shared cache, 1 KiB, median / 99th percentile",-46}{"hit",22}{"miss",22}");
        foreach (var (name, backend, option, address) in ((string, string, string, string?)[])[
            ("memcached", "dogpile.cache.memcached", "memcache_servers", memcached), ("redis", "dogpile.cache.redis", "redis_server", redis)])
        {
            if (address is not null)
            {
                await using var caches = new SharedCaches(TimeProvider.System, NullLogger<SharedCaches>.Instance);
                var cache = caches.Of(ServiceConfig.Empty("nova").With("cache", "enabled", "true").With("cache", "backend", backend).With("cache", option, address));
                Row(name, await LookupsAsync(cache, true), await LookupsAsync(cache, false));
            }
        }
    }

    private static void Row(string name, string one, string other) => Console.WriteLine($"{name,-46}{one,22}{other,22}");

    private static CloudHost Host(string transportUrl) => CloudHost.Create(
        new HostOptions
        {
            DataDirectory = Path.GetTempPath(),
            Listen = null,
            Configs = new Dictionary<string, ServiceConfig> { ["nova"] = ServiceConfig.Empty("nova").With("DEFAULT", "transport_url", transportUrl) },
        },
        []);

    private static async Task<string> CallsAsync(CloudHost client, CloudHost server, int outstanding, int seconds)
    {
        using var served = server.Services.GetRequiredService<IMessageBus>().Serve(Echo, null, (ping, _) => Task.FromResult(ping));
        var bus = client.Services.GetRequiredService<IMessageBus>();
        var ping = new Ping(new string('x', 1000));
        await UntilServedAsync(() => bus.CallAsync(Echo, ping));
        var times = new List<double>();
        var started = Stopwatch.GetTimestamp();
        await Task.WhenAll(Enumerable.Range(0, outstanding).Select(async _ =>
        {
            while (Stopwatch.GetElapsedTime(started).TotalSeconds < seconds)
            {
                var at = Stopwatch.GetTimestamp();
                await bus.CallAsync(Echo, ping);
                lock (times)
                {
                    times.Add(Stopwatch.GetElapsedTime(at).TotalMilliseconds);
                }
            }
        }));
        var rate = times.Count / Stopwatch.GetElapsedTime(started).TotalSeconds;
        return $"{rate:0} (p50 {Percentile(times, 0.5):0.00} ms)";
    }

    private static async Task<string> CastsAsync(CloudHost client, CloudHost server, int seconds)
    {
        var handled = 0;
        using var served = server.Services.GetRequiredService<IMessageBus>().Serve(Tell, null, (_, _) =>
        {
            Interlocked.Increment(ref handled);
            return Task.FromResult(Ack.Ok);
        });
        var bus = client.Services.GetRequiredService<IMessageBus>();
        var ping = new Ping(new string('x', 1000));
        await UntilServedAsync(() => bus.CallAsync(Tell, ping));
        handled = 0;
        var started = Stopwatch.GetTimestamp();
        while (Stopwatch.GetElapsedTime(started).TotalSeconds < seconds)
        {
            await bus.CastAsync(Tell, ping);
        }

        return $"{Volatile.Read(ref handled) / Stopwatch.GetElapsedTime(started).TotalSeconds:0}";
    }

    private static async Task<string> LookupsAsync(ISharedCache cache, bool hit)
    {
        var key = $"bench-{Guid.NewGuid():N}";
        while (hit && await cache.FindAsync(key, CancellationToken.None) is null)
        {
            cache.Keep(key, new byte[1024], TimeSpan.FromMinutes(5));
            await Task.Yield();
        }

        var times = new List<double>();
        for (var i = 0; i < 5000; i++)
        {
            var at = Stopwatch.GetTimestamp();
            _ = await cache.FindAsync(key, CancellationToken.None);
            times.Add(Stopwatch.GetElapsedTime(at).TotalMilliseconds);
        }

        return $"{Percentile(times, 0.5):0.000} / {Percentile(times, 0.99):0.00} ms";
    }

    private static async Task UntilServedAsync(Func<Task> call)
    {
        while (true)
        {
            try
            {
                await call();
                return;
            }
            catch (Foundation.CloudException)
            {
                await Task.Yield();
            }
        }
    }

    private static double Percentile(List<double> times, double share)
    {
        times.Sort();
        return times.Count == 0 ? 0 : times[(int)Math.Min(times.Count - 1, times.Count * share)];
    }
}
