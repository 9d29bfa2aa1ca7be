using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using System.Threading.Channels;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.Logging;
using SharpStack.LinuxHost.Namespaces;

namespace SharpStack.LinuxHost.Kestrel;

/// <summary>On each connection that came in through a network namespace: which one.</summary>
public interface INetworkNamespaceFeature
{
    /// <summary>The namespace's name, null for the program's own.</summary>
    string? NetworkNamespace { get; }
}

/// <summary>
/// Sockets inside network namespaces that one web server answers; they come and go while it runs. The server listens on
/// <see cref="EndPoint"/>, which stands for all of them.
/// </summary>
public sealed class NamespaceListeners : IDisposable
{
    private const int Backlog = 128;

    private readonly ConcurrentDictionary<(string? Namespace, IPEndPoint Address), Listening> listening = new();
    private readonly Channel<ConnectionContext> accepted = Channel.CreateBounded<ConnectionContext>(256);
    private readonly SocketConnectionContextFactory contexts;

    public NamespaceListeners(ILoggerFactory logging) =>
        contexts = new SocketConnectionContextFactory(new SocketConnectionFactoryOptions(),
            logging.CreateLogger<NamespaceListeners>());

    /// <summary>Give this to <c>KestrelServerOptions.Listen</c>.</summary>
    public EndPoint EndPoint { get; } = new NamespacesEndPoint();

    internal ChannelReader<ConnectionContext> Accepted => accepted.Reader;

    /// <summary>Where there are sockets now.</summary>
    public IReadOnlyCollection<(string? Namespace, IPEndPoint Address)> Addresses => [.. listening.Keys];

    /// <summary>Starts to listen; true when it was not listening there before.</summary>
    /// <exception cref="SocketException">The address is in use or not there.</exception>
    public bool Add(string? networkNamespace, IPEndPoint address)
    {
        var key = (networkNamespace, address);
        if (listening.ContainsKey(key))
        {
            return false;
        }
        var socket = NetworkNamespace.OpenSocket(networkNamespace, address.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            socket.Bind(address);
            socket.Listen(Backlog);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
        var entry = new Listening(socket);
        if (!listening.TryAdd(key, entry))
        {
            socket.Dispose();
            return false;
        }
        entry.Loop = AcceptAsync(networkNamespace, socket);
        return true;
    }

    /// <summary>Stops listening; connections that are open stay open. False when there was no such socket.</summary>
    public bool Remove(string? networkNamespace, IPEndPoint address)
    {
        if (!listening.TryRemove((networkNamespace, address), out var entry))
        {
            return false;
        }
        entry.Socket.Dispose();
        return true;
    }

    /// <summary>Stops listening everywhere in the namespace.</summary>
    public void RemoveAll(string? networkNamespace)
    {
        foreach (var (name, address) in listening.Keys)
        {
            if (name == networkNamespace)
            {
                Remove(name, address);
            }
        }
    }

    public void Dispose()
    {
        foreach (var (name, address) in listening.Keys)
        {
            Remove(name, address);
        }
        contexts.Dispose();
    }

    private async Task AcceptAsync(string? networkNamespace, Socket socket)
    {
        while (true)
        {
            Socket connection;
            try
            {
                connection = await socket.AcceptAsync();
            }
            catch (Exception failure) when (failure is ObjectDisposedException
                or SocketException { SocketErrorCode: SocketError.OperationAborted or SocketError.Interrupted })
            {
                return;
            }
            catch (SocketException)
            {
                // The client gave up before it was accepted.
                continue;
            }
            var context = contexts.Create(connection);
            if (context.LocalEndPoint is IPEndPoint { Address.IsIPv6LinkLocal: true })
            {
                context.Transport = new ZoneFilter(context.Transport);
            }
            context.Features.Set<INetworkNamespaceFeature>(new NamespaceFeature(networkNamespace));
            await accepted.Writer.WriteAsync(context);
        }
    }

    private sealed record NamespaceFeature(string? NetworkNamespace) : INetworkNamespaceFeature;

    private sealed class Listening(Socket socket)
    {
        public Socket Socket { get; } = socket;

        public Task? Loop { get; set; }
    }
}

/// <summary>Stands for all the sockets of <see cref="NamespaceListeners"/>.</summary>
internal sealed class NamespacesEndPoint : EndPoint
{
    public override string ToString() => "network namespaces";
}
