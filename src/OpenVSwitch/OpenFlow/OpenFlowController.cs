using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;

namespace SharpStack.OpenVSwitch.OpenFlow;

/// <summary>
/// An OpenFlow 1.4 controller that bridges dial into (<c>Bridge.controller = tcp:127.0.0.1:6633</c>). A bridge that reconnects is a new
/// <see cref="OpenFlowSwitch"/>; the one before is disconnected.
/// </summary>
public sealed class OpenFlowController : IAsyncDisposable
{
    private readonly Socket listener;
    private readonly CancellationTokenSource stop = new();
    private readonly ConcurrentDictionary<string, OpenFlowSwitch> switches = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<Task, byte> conversations = new();
    private Task accepting = Task.CompletedTask;
    private volatile TaskCompletionSource changed = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Listens at an address; port 0 takes a free one.</summary>
    public OpenFlowController(IPEndPoint address)
        : this(Bind(address))
    {
    }

    /// <summary>Uses a socket that is bound already, for one that was made in another network namespace.</summary>
    public OpenFlowController(Socket bound)
    {
        listener = bound;
        listener.Listen(64);
        EndPoint = (IPEndPoint)listener.LocalEndPoint!;
    }

    /// <summary>A bridge has connected and said its name and ports.</summary>
    public event Action<OpenFlowSwitch>? Connected;

    /// <summary>A bridge has gone, with the reason where it was an error.</summary>
    public event Action<OpenFlowSwitch, Exception?>? Disconnected;

    /// <summary>A connection failed before the bridge was known.</summary>
    public event Action<Exception>? HandshakeFailed;

    /// <summary>Where it listens.</summary>
    public IPEndPoint EndPoint { get; }

    /// <summary>The bridges connected now.</summary>
    public IReadOnlyCollection<OpenFlowSwitch> Switches => [.. switches.Values];

    /// <summary>Begins to accept bridges.</summary>
    public void Start() => accepting = AcceptAsync();

    /// <summary>The bridge of that name if it is connected.</summary>
    public OpenFlowSwitch? Find(string bridge) => switches.GetValueOrDefault(bridge);

    /// <summary>Waits until the bridge of that name is connected.</summary>
    public async Task<OpenFlowSwitch> WaitForAsync(string bridge, CancellationToken cancellationToken)
    {
        while (true)
        {
            var signal = changed.Task;
            if (Find(bridge) is { } found)
            {
                return found;
            }

            await signal.WaitAsync(cancellationToken);
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await stop.CancelAsync();
        listener.Dispose();
        await accepting;
        await Task.WhenAll(conversations.Keys);
        stop.Dispose();
    }

    private static Socket Bind(IPEndPoint address)
    {
        var socket = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.ReuseAddress, true);
        try
        {
            socket.Bind(address);
            return socket;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    private async Task AcceptAsync()
    {
        while (!stop.IsCancellationRequested)
        {
            try
            {
                var socket = await listener.AcceptAsync(stop.Token);
                socket.NoDelay = true;
                var conversation = ConverseAsync(socket);
                conversations.TryAdd(conversation, 0);
                _ = conversation.ContinueWith(done => conversations.TryRemove(done, out _), CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
            }
            catch (Exception e) when (e is OperationCanceledException or ObjectDisposedException)
            {
                return;
            }
            catch (SocketException e)
            {
                HandshakeFailed?.Invoke(e);
            }
        }
    }

    private async Task ConverseAsync(Socket socket)
    {
        await using var connection = new OpenFlowConnection(new NetworkStream(socket, ownsSocket: true));
        var reading = connection.RunAsync(stop.Token);
        OpenFlowSwitch bridge;
        try
        {
            bridge = await OpenFlowSwitch.GreetAsync(connection, stop.Token);
        }
        catch (Exception e)
        {
            await connection.DisposeAsync();
            await reading.ContinueWith(static _ => { }, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
            if (!stop.IsCancellationRequested)
            {
                HandshakeFailed?.Invoke(e);
            }

            return;
        }

        switches[bridge.Name] = bridge;
        Interlocked.Exchange(ref changed, new(TaskCreationOptions.RunContinuationsAsynchronously)).SetResult();
        Connected?.Invoke(bridge);
        Exception? reason = null;
        try
        {
            await reading;
        }
        catch (Exception e)
        {
            reason = e;
        }

        switches.TryRemove(KeyValuePair.Create(bridge.Name, bridge));
        Disconnected?.Invoke(bridge, reason);
    }
}
