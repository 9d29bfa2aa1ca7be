using System.Net;
using System.Threading.Channels;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;

namespace SharpStack.LinuxHost.Kestrel;

public static class NamespaceTransportExtensions
{
    /// <summary>
    /// Adds <see cref="NamespaceListeners"/> and the transport that Kestrel uses for its end point. Other end points keep the
    /// socket transport.
    /// </summary>
    public static IServiceCollection AddNamespaceListeners(this IServiceCollection services)
    {
        services.TryAddSingleton<NamespaceListeners>();
        services.TryAddEnumerable(ServiceDescriptor.Singleton<IConnectionListenerFactory, NamespaceTransport>());
        return services;
    }
}

internal sealed class NamespaceTransport(NamespaceListeners listeners) : IConnectionListenerFactory, IConnectionListenerFactorySelector
{
    public bool CanBind(EndPoint endpoint) => endpoint is NamespacesEndPoint;

    public ValueTask<IConnectionListener> BindAsync(EndPoint endpoint, CancellationToken cancellationToken = default) =>
        ValueTask.FromResult<IConnectionListener>(new Listener(endpoint, listeners.Accepted));

    private sealed class Listener(EndPoint endpoint, ChannelReader<ConnectionContext> accepted) : IConnectionListener
    {
        private readonly CancellationTokenSource unbound = new();

        public EndPoint EndPoint => endpoint;

        public async ValueTask<ConnectionContext?> AcceptAsync(CancellationToken cancellationToken = default)
        {
            using var either = CancellationTokenSource.CreateLinkedTokenSource(unbound.Token, cancellationToken);
            try
            {
                return await accepted.ReadAsync(either.Token);
            }
            catch (OperationCanceledException) when (unbound.IsCancellationRequested)
            {
                return null;
            }
        }

        public ValueTask UnbindAsync(CancellationToken cancellationToken = default)
        {
            unbound.Cancel();
            return ValueTask.CompletedTask;
        }

        public ValueTask DisposeAsync()
        {
            unbound.Dispose();
            return ValueTask.CompletedTask;
        }
    }
}
