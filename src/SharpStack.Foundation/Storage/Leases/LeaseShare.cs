using System.Text;

namespace SharpStack.Foundation.Storage.Leases;

/// <summary>
/// Work that is split into parts by its keys, each part a lease: the keepers of one kind hold about as many parts each. With one part, one of them does it all.
/// </summary>
public sealed class LeaseShare
{
    private readonly Lock gate = new();
    private readonly Part?[] parts;

    internal LeaseShare(string name, int count)
    {
        Name = name;
        parts = new Part[count];
    }

    public string Name { get; }

    /// <summary>Raised when parts were gained: all keys of them are to be looked at.</summary>
    public event Action? Gained;

    /// <summary>The names of the parts' leases.</summary>
    internal List<string> Names => field ??= [.. Enumerable.Range(0, parts.Length).Select(index => parts.Length == 1 ? Name : $"{Name}/{index:d3}")];

    /// <summary>Whether work on a key may be begun here.</summary>
    public bool Holds(string key)
    {
        lock (gate)
        {
            return parts[IndexOf(key)] is { Leaving: false, Lease.IsHeld: true };
        }
    }

    /// <summary>Begins work on a key; dispose at its end, for meanwhile the part is not handed over.</summary>
    /// <returns>Null where it is another's.</returns>
    public LeaseHold? TryEnter(string key)
    {
        lock (gate)
        {
            if (parts[IndexOf(key)] is not { Leaving: false, Lease.IsHeld: true } part)
            {
                return null;
            }

            part.Uses++;
            return new LeaseHold(part.Lease, () => Leave(part));
        }
    }

    /// <summary>Parts that are held and not being given up.</summary>
    public int HeldCount
    {
        get
        {
            lock (gate)
            {
                return parts.Count(part => part is { Leaving: false });
            }
        }
    }

    internal void Gain(IEnumerable<Lease> leases)
    {
        var any = false;
        lock (gate)
        {
            foreach (var lease in leases)
            {
                parts[Names.IndexOf(lease.Name)] = new Part(lease);
                any = true;
            }
        }

        if (any)
        {
            Gained?.Invoke();
        }
    }

    /// <summary>The parts were in doubt for a while, and are not any more.</summary>
    internal void Regain()
    {
        if (HeldCount > 0)
        {
            Gained?.Invoke();
        }
    }

    /// <summary>Begins to give up parts: no new work is begun on them.</summary>
    internal void GiveUp(int count)
    {
        lock (gate)
        {
            foreach (var part in parts.Where(part => part is { Leaving: false }).Take(count))
            {
                part!.Leaving = true;
            }
        }
    }

    /// <summary>Takes out the parts that are given up and on which nothing is done any more; all that are left where <paramref name="all"/>.</summary>
    internal List<Lease> TakeIdle(bool all)
    {
        lock (gate)
        {
            var idle = new List<Lease>();
            for (var i = 0; i < parts.Length; i++)
            {
                if (parts[i] is { } part && (all || (part.Leaving && part.Uses == 0)))
                {
                    part.Lease.End();
                    idle.Add(part.Lease);
                    parts[i] = null;
                }
            }

            return idle;
        }
    }

    /// <summary>The part of a key: the same in every process and release.</summary>
    internal int IndexOf(string key)
    {
        // FNV-1a.
        var hash = 2166136261u;
        foreach (var octet in Encoding.UTF8.GetBytes(key))
        {
            hash = (hash ^ octet) * 16777619u;
        }

        return (int)(hash % (uint)parts.Length);
    }

    private void Leave(Part part)
    {
        lock (gate)
        {
            part.Uses--;
        }
    }

    private sealed class Part(Lease lease)
    {
        public Lease Lease { get; } = lease;

        public int Uses { get; set; }

        public bool Leaving { get; set; }
    }
}

/// <summary>Work on a key that goes on under a lease.</summary>
public sealed class LeaseHold : IDisposable
{
    private Action? leave;

    internal LeaseHold(Lease lease, Action leave)
    {
        Lease = lease;
        this.leave = leave;
    }

    public Lease Lease { get; }

    public void Dispose() => Interlocked.Exchange(ref leave, null)?.Invoke();
}
