using System.Threading.Channels;

namespace SharpStack.Libvirt;

/// <summary>
/// A hypervisor that stays reachable: opens its connection when first needed, again after it was lost, and runs the blocking
/// calls on threads made for waiting, a bounded number at a time.
/// </summary>
/// <param name="uri">For instance "qemu:///system".</param>
/// <param name="concurrency">Calls at a time. libvirtd itself serves 20 workers.</param>
public sealed class LibvirtHost(string uri, int concurrency = 8) : IAsyncDisposable
{
    private readonly SemaphoreSlim calls = new(concurrency);
    private readonly SemaphoreSlim opening = new(1);
    private readonly Channel<DomainEvent> events = Channel.CreateUnbounded<DomainEvent>();
    private readonly Channel<bool> connections = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropOldest });
    private LibvirtConnection? connection;
    private bool disposed;

    public string Uri => uri;

    /// <summary>Lifecycle events of all connections so far. Those that fell into a gap are lost: look again after each connection.</summary>
    public ChannelReader<DomainEvent> Events => events.Reader;

    /// <summary>One item after each new connection: what was missed before it must be looked up.</summary>
    public ChannelReader<bool> Connections => connections.Reader;

    /// <summary>Runs a call with the connection, opening it if needed.</summary>
    /// <exception cref="LibvirtException">The call failed, or the hypervisor cannot be reached.</exception>
    public async Task<T> RunAsync<T>(Func<LibvirtConnection, T> call, CancellationToken cancellationToken)
    {
        await calls.WaitAsync(cancellationToken);
        try
        {
            var current = await ConnectAsync(cancellationToken);
            return await OnWaitingThread(() => call(current));
        }
        finally
        {
            calls.Release();
        }
    }

    /// <inheritdoc cref="RunAsync{T}(Func{LibvirtConnection, T}, CancellationToken)"/>
    public Task RunAsync(Action<LibvirtConnection> call, CancellationToken cancellationToken) => RunAsync(current =>
    {
        call(current);
        return true;
    }, cancellationToken);

    /// <summary>Runs a call with the domain of that uuid.</summary>
    /// <returns>The call's result, or <paramref name="otherwise"/> when there is no such domain (any more).</returns>
    public Task<T> WithDomainAsync<T>(Guid uuid, Func<Domain, T> call, T otherwise, CancellationToken cancellationToken) =>
        RunAsync(current =>
        {
            using var domain = current.Find(uuid);
            try
            {
                return domain is null ? otherwise : call(domain);
            }
            catch (LibvirtException failure) when (failure.IsNoDomain)
            {
                return otherwise;
            }
        }, cancellationToken);

    public async ValueTask DisposeAsync()
    {
        await opening.WaitAsync();
        disposed = true;
        if (connection is { } current)
        {
            await OnWaitingThread(() =>
            {
                current.Dispose();
                return true;
            });
        }
        events.Writer.TryComplete();
        connections.Writer.TryComplete();
        opening.Release();
    }

    private static Task<T> OnWaitingThread<T>(Func<T> call) =>
        Task.Factory.StartNew(call, CancellationToken.None, TaskCreationOptions.LongRunning | TaskCreationOptions.DenyChildAttach, TaskScheduler.Default);

    private async Task<LibvirtConnection> ConnectAsync(CancellationToken cancellationToken)
    {
        await opening.WaitAsync(cancellationToken);
        try
        {
            ObjectDisposedException.ThrowIf(disposed, this);
            if (connection is { Closed.IsCompleted: false } open)
            {
                return open;
            }
            var lost = connection;
            var fresh = await OnWaitingThread(() =>
            {
                lost?.Dispose();
                return LibvirtConnection.Open(uri);
            });
            connection = fresh;
            _ = ForwardAsync(fresh);
            connections.Writer.TryWrite(true);
            return fresh;
        }
        finally
        {
            opening.Release();
        }
    }

    private async Task ForwardAsync(LibvirtConnection source)
    {
        await foreach (var item in source.Events.ReadAllAsync())
        {
            events.Writer.TryWrite(item);
        }
    }
}
