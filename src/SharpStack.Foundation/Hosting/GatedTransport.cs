using System.Collections.Concurrent;
using System.Net;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace SharpStack.Foundation.Hosting;

/// <summary>
/// Sockets that are bound at once, so that a taken port is found before anything else is done, but accept nobody before the services behind them can answer:
/// who comes in between waits a moment and is refused by nobody.
/// </summary>
internal sealed class GatedTransport(IOptions<SocketTransportOptions> options, ILoggerFactory logs, Task open) : IConnectionListenerFactory, IConnectionListenerFactorySelector
{
    private readonly SocketTransportFactory sockets = new(options, logs);
    private readonly ConcurrentBag<Listener> bound = [];

    public bool CanBind(EndPoint endpoint) => endpoint is IPEndPoint;

    public async ValueTask<IConnectionListener> BindAsync(EndPoint endpoint, CancellationToken cancellationToken = default)
    {
        var listener = new Listener(await sockets.BindAsync(endpoint, cancellationToken), open);
        bound.Add(listener);
        return listener;
    }

    /// <summary>Lets nobody in any more.</summary>
    public async Task CloseAsync()
    {
        foreach (var listener in bound)
        {
            await listener.UnbindAsync();
        }
    }

    private sealed class Listener(IConnectionListener inner, Task open) : IConnectionListener
    {
        private readonly TaskCompletionSource unbound = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public EndPoint EndPoint => inner.EndPoint;

        public async ValueTask<ConnectionContext?> AcceptAsync(CancellationToken cancellationToken = default)
        {
            if (!open.IsCompletedSuccessfully)
            {
                await Task.WhenAny(open, unbound.Task).WaitAsync(cancellationToken);
            }

            return unbound.Task.IsCompleted ? null : await inner.AcceptAsync(cancellationToken);
        }

        public ValueTask UnbindAsync(CancellationToken cancellationToken = default)
        {
            unbound.TrySetResult();
            return inner.UnbindAsync(cancellationToken);
        }

        public ValueTask DisposeAsync()
        {
            unbound.TrySetResult();
            return inner.DisposeAsync();
        }
    }
}
