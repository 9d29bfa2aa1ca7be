namespace SharpStack.Foundation.Caching;

/// <summary>Whether a server may be asked: one that failed is left alone for a while, then one request tries it again.</summary>
internal sealed class CacheHealth(TimeProvider time, TimeSpan leftAlone)
{
    private long deadSince;
    private int dead;

    public bool IsDead => Volatile.Read(ref dead) != 0;

    public bool MayTry()
    {
        if (!IsDead)
        {
            return true;
        }

        var since = Interlocked.Read(ref deadSince);
        // Only the first one after the pause: it moves the time on, and the others go on without.
        return time.GetElapsedTime(since) >= leftAlone && Interlocked.CompareExchange(ref deadSince, time.GetTimestamp(), since) == since;
    }

    /// <returns>Whether that is news.</returns>
    public bool Failed()
    {
        Interlocked.Exchange(ref deadSince, time.GetTimestamp());
        return Interlocked.Exchange(ref dead, 1) == 0;
    }

    /// <returns>Whether that is news.</returns>
    public bool Answered() => IsDead && Interlocked.Exchange(ref dead, 0) != 0;
}
