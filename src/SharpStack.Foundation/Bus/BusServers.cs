using System.Collections.Immutable;

namespace SharpStack.Foundation.Bus;

/// <summary>What a handler is found by: a message of another major version is another message.</summary>
internal sealed record BusMethod(BusTopic Topic, string Name, int Major);

/// <summary>A contract served at one place. The handler throws <see cref="UnreadableMessageException"/> where it cannot read the body.</summary>
internal sealed record BusServer(BusMethod Method, string? Host, BusVersion Version, Func<ReadOnlyMemory<byte>, CancellationToken, Task<byte[]>> HandleAsync);

/// <summary>The contracts that this process serves.</summary>
internal sealed class BusServers
{
    private readonly Lock gate = new();
    private ImmutableDictionary<BusMethod, ImmutableArray<BusServer>> servers = ImmutableDictionary<BusMethod, ImmutableArray<BusServer>>.Empty;
    private ImmutableHashSet<BusMethod> known = [];
    private int turn;

    /// <summary>Raised after each change.</summary>
    public event Action? Changed;

    public IEnumerable<BusServer> All => servers.Values.SelectMany(list => list);

    public IDisposable Add<TRequest, TReply>(BusContract<TRequest, TReply> contract, string? host, Func<TRequest, CancellationToken, Task<TReply>> handler)
    {
        var method = new BusMethod(contract.Topic, contract.Method, contract.Version.Major);
        var server = new BusServer(method, host, contract.Version, async (body, cancellation) =>
        {
            // Off the caller's stack: a handler that blocks does not block who asks.
            await Task.Yield();
            var request = BusBody.Read(body.Span, contract.Request);
            return BusBody.Write(await handler(request, cancellation), contract.Reply);
        });
        Change(method, list => list.Add(server));
        return new Registration(() => Change(method, list => list.Remove(server)));
    }

    /// <summary>Whether it is or was served here.</summary>
    public bool Knew(BusMethod method) => known.Contains(method);

    /// <summary>Everyone who serves it here.</summary>
    public ImmutableArray<BusServer> Find(BusMethod method) => servers.GetValueOrDefault(method, []);

    /// <summary>One of those who serve it here: the one at that host, or each in its turn.</summary>
    public BusServer? Pick(BusMethod method, string? host)
    {
        var all = Find(method);
        return host is not null ? all.FirstOrDefault(server => server.Host == host)
            : all.Length == 0 ? null : all[(int)((uint)Interlocked.Increment(ref turn) % (uint)all.Length)];
    }

    private void Change(BusMethod method, Func<ImmutableArray<BusServer>, ImmutableArray<BusServer>> change)
    {
        lock (gate)
        {
            var list = change(servers.GetValueOrDefault(method, []));
            known = known.Add(method);
            servers = list.Length == 0 ? servers.Remove(method) : servers.SetItem(method, list);
        }

        Changed?.Invoke();
    }

    private sealed class Registration(Action remove) : IDisposable
    {
        private Action? remove = remove;

        public void Dispose() => Interlocked.Exchange(ref remove, null)?.Invoke();
    }
}
