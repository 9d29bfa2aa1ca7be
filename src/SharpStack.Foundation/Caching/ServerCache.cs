using Microsoft.Extensions.Logging;

namespace SharpStack.Foundation.Caching;

/// <summary>One server of a shared cache.</summary>
internal interface ICacheServer : IAsyncDisposable
{
    string Name { get; }

    /// <summary>Takes one of the places at the server, where it has a number of them; false where none came free in that time.</summary>
    Task<bool> EnterAsync(TimeSpan limit, CancellationToken cancellationToken);

    void Leave();

    Task<byte[]?> GetAsync(string key, CancellationToken cancellationToken);

    Task SetAsync(string key, byte[] value, TimeSpan lifetime, CancellationToken cancellationToken);
}

internal sealed record CacheTimings(TimeSpan Timeout, TimeSpan LeftAlone)
{
    /// <summary>What Keystone itself takes at most; a cache that is slower is none.</summary>
    public static readonly TimeSpan LongestTimeout = TimeSpan.FromMilliseconds(500);

    public static CacheTimings Of(double seconds, int leftAlone) =>
        new(TimeSpan.FromSeconds(Math.Min(seconds, LongestTimeout.TotalSeconds)), TimeSpan.FromSeconds(leftAlone));
}

/// <summary>
/// Spreads keys over servers by consistent hashing: a server that is left alone hands its keys to its neighbours, and only its keys. Every look has a bound, and
/// writes are made behind the request, a bounded number at once.
/// </summary>
internal sealed partial class ServerCache : ISharedCache, IAsyncDisposable
{
    private const int MaxWrites = 128;

    private readonly string backend;
    private readonly IReadOnlyList<(ICacheServer Server, CacheHealth Health)> servers;
    private readonly HashRing ring;
    private readonly CacheTimings timings;
    private readonly TimeProvider time;
    private readonly ILogger log;
    private readonly CancellationTokenSource stopping = new();
    private int writes;
    private bool disposed;

    public ServerCache(string backend, IReadOnlyList<ICacheServer> servers, CacheTimings timings, TimeProvider time, ILogger log)
    {
        this.backend = backend;
        this.servers = [.. servers.Select(server => (server, new CacheHealth(time, timings.LeftAlone)))];
        ring = new HashRing([.. servers.Select(server => server.Name)]);
        this.timings = timings;
        this.time = time;
        this.log = log;
    }

    public bool IsEnabled => true;

    public async ValueTask<byte[]?> FindAsync(string key, CancellationToken cancellationToken)
    {
        if (Choose(key) is not { } chosen)
        {
            CacheMetrics.Looked(backend, "skipped");
            return null;
        }

        var (worked, value) = await TryAsync(chosen, (server, limit) => server.GetAsync(key, limit), cancellationToken);
        CacheMetrics.Looked(backend, !worked ? "failed" : value is null ? "miss" : "hit");
        return value;
    }

    public void Keep(string key, byte[] value, TimeSpan lifetime)
    {
        if (lifetime <= TimeSpan.Zero || Choose(key) is not { } chosen)
        {
            return;
        }

        if (Interlocked.Increment(ref writes) > MaxWrites)
        {
            Interlocked.Decrement(ref writes);
            return;
        }

        _ = WriteAsync();

        async Task WriteAsync()
        {
            try
            {
                await TryAsync(
                    chosen,
                    async (server, limit) =>
                    {
                        await server.SetAsync(key, value, lifetime, limit);
                        return true;
                    },
                    stopping.Token);
            }
            catch (OperationCanceledException)
            {
            }
            finally
            {
                Interlocked.Decrement(ref writes);
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref disposed, true))
        {
            return;
        }

        await stopping.CancelAsync();
        foreach (var (server, _) in servers)
        {
            await server.DisposeAsync();
        }
    }

    private (ICacheServer Server, CacheHealth Health)? Choose(string key)
    {
        foreach (var index in ring.Order(key))
        {
            if (servers[index].Health.MayTry())
            {
                return servers[index];
            }
        }

        return null;
    }

    private async Task<(bool Worked, T? Value)> TryAsync<T>((ICacheServer Server, CacheHealth Health) chosen, Func<ICacheServer, CancellationToken, Task<T>> work, CancellationToken cancellationToken)
    {
        // The one that looks whether a dead server is back.
        var tries = chosen.Health.IsDead;
        if (!await chosen.Server.EnterAsync(timings.Timeout, cancellationToken))
        {
            // Many want it at once: that is not the server's fault.
            return (false, default);
        }

        using var late = new CancellationTokenSource(timings.Timeout, time);
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(late.Token, cancellationToken);
        try
        {
            if (chosen.Health.IsDead && !tries)
            {
                // It failed while this one waited for its place.
                return (false, default);
            }

            // The bound holds even for a client that does not look at its token.
            var value = await work(chosen.Server, limit.Token).WaitAsync(limit.Token);
            if (chosen.Health.Answered())
            {
                LogBack(backend, chosen.Server.Name);
            }

            return (true, value);
        }
        catch (Exception failure) when (!cancellationToken.IsCancellationRequested)
        {
            if (chosen.Health.Failed())
            {
                LogDead(backend, chosen.Server.Name, timings.LeftAlone.TotalSeconds, failure is OperationCanceledException ? "no answer in time" : failure.GetBaseException().Message);
            }

            return (false, default);
        }
        finally
        {
            chosen.Server.Leave();
        }
    }

    [LoggerMessage(EventId = 1201, Level = LogLevel.Warning, Message = "Cache: {Backend} at {Server} is left alone for {Seconds} s: {Reason}. Everything works without it, more slowly")]
    private partial void LogDead(string backend, string server, double seconds, string reason);

    [LoggerMessage(EventId = 1202, Level = LogLevel.Information, Message = "Cache: {Backend} at {Server} answers again")]
    private partial void LogBack(string backend, string server);
}
