using System.Diagnostics.Metrics;

namespace SharpStack.Foundation.Caching;

/// <summary>
/// A cache that processes and nodes share. It is never needed: a value that it does not give is asked for where it comes from, and it neither fails nor makes
/// anybody wait for longer than its time-out, once for each time that a server is left alone after.
/// </summary>
public interface ISharedCache
{
    /// <summary>Whether there is one at all; where not, nothing needs to be made ready for it.</summary>
    bool IsEnabled { get; }

    /// <param name="key">At most 200 printable characters without spaces.</param>
    /// <returns>Null where it is not known, or the cache does not answer. Anybody with access to the cache may have written it.</returns>
    ValueTask<byte[]?> FindAsync(string key, CancellationToken cancellationToken);

    /// <summary>Keeps a value, later and if the cache likes.</summary>
    void Keep(string key, byte[] value, TimeSpan lifetime);
}

/// <summary>No cache.</summary>
internal sealed class NoCache : ISharedCache
{
    public static readonly NoCache Instance = new();

    public bool IsEnabled => false;

    public ValueTask<byte[]?> FindAsync(string key, CancellationToken cancellationToken) => ValueTask.FromResult<byte[]?>(null);

    public void Keep(string key, byte[] value, TimeSpan lifetime)
    {
    }
}

internal static class CacheMetrics
{
    private static readonly Meter Meter = new("SharpStack.Caching");

    private static readonly Counter<long> Lookups = Meter.CreateCounter<long>("sharpstack.cache.lookups", null, "Values asked for in a shared cache, by outcome (hit, miss, failed, skipped, forged).");

    public static void Looked(string backend, string outcome) =>
        Lookups.Add(1, new KeyValuePair<string, object?>("backend", backend), new KeyValuePair<string, object?>("outcome", outcome));
}
