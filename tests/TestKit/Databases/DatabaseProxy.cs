using System.Net.Sockets;
using System.Text;
using SharpStack.Foundation.Storage;

namespace SharpStack.TestKit.Databases;

/// <summary>A way to a database that a test can cut: what went through it breaks, and nobody is there until it is mended.</summary>
public sealed class DatabaseProxy : IAsyncDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("sharpstack-proxy-").FullName;
    private readonly string server;
    private readonly List<Socket> open = [];
    private Socket? listener;
    private byte[]? fatal;

    private DatabaseProxy(string server) => this.server = server;

    /// <summary>The database's URL by this way.</summary>
    public string Url { get; private set; } = "";

    private string Path => System.IO.Path.Combine(folder, System.IO.Path.GetFileName(server));

    /// <summary>A way to a database on a server.</summary>
    public static DatabaseProxy To(TestDatabase database)
    {
        var url = DatabaseUrl.Parse(database.Url);
        var (socket, parameter) = database.Engine == DatabaseEngine.PostgreSql ? ($"{url.Parameters["host"]}/.s.PGSQL.5432", "host") : (url.Parameters["unix_socket"], "unix_socket");
        var proxy = new DatabaseProxy(socket);
        proxy.Url = database.Url.Replace($"{parameter}={url.Parameters[parameter]}", $"{parameter}={(parameter == "host" ? proxy.folder : proxy.Path)}", StringComparison.Ordinal);
        proxy.Mend();
        return proxy;
    }

    /// <summary>Breaks what is open; new connections go through.</summary>
    public void Break()
    {
        lock (open)
        {
            open.ForEach(socket => socket.Dispose());
            open.Clear();
        }
    }

    /// <summary>From now on breaks each connection over which a statement with this text is sent; new connections go through.</summary>
    public void BreakOn(string text) => fatal = Encoding.UTF8.GetBytes(text);

    /// <summary>Breaks what is open, and lets nothing through.</summary>
    public void Cut()
    {
        listener?.Dispose();
        listener = null;
        File.Delete(Path);
        Break();
    }

    public void Mend()
    {
        var accepting = listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        accepting.Bind(new UnixDomainSocketEndPoint(Path));
        accepting.Listen();
        _ = AcceptAsync(accepting);
    }

    public ValueTask DisposeAsync()
    {
        Cut();
        Directory.Delete(folder, recursive: true);
        return ValueTask.CompletedTask;
    }

    private async Task AcceptAsync(Socket accepting)
    {
        try
        {
            while (true)
            {
                var client = await accepting.AcceptAsync();
                var onward = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
                await onward.ConnectAsync(new UnixDomainSocketEndPoint(server));
                lock (open)
                {
                    open.AddRange([client, onward]);
                }

                _ = PumpAsync(client, onward, () => fatal);
                _ = PumpAsync(onward, client, static () => null);
            }
        }
        catch (Exception failure) when (failure is SocketException or ObjectDisposedException)
        {
            // Cut.
        }
    }

    private static async Task PumpAsync(Socket from, Socket to, Func<byte[]?> fatal)
    {
        var buffer = new byte[16 << 10];
        try
        {
            while (await from.ReceiveAsync(buffer) is > 0 and var length && (fatal() is not { } text || buffer.AsSpan(0, length).IndexOf(text) < 0))
            {
                for (var sent = 0; sent < length;)
                {
                    sent += await to.SendAsync(buffer.AsMemory(sent, length - sent));
                }
            }
        }
        catch (Exception failure) when (failure is SocketException or ObjectDisposedException)
        {
            // One of both ends is gone, and the other with it.
        }

        from.Dispose();
        to.Dispose();
    }
}
