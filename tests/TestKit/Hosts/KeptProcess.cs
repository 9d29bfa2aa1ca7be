using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace SharpStack.TestKit.Hosts;

/// <summary>A server that a test kills, lets hang and starts again. It ends with this process, however that ends.</summary>
public sealed class KeptProcess : IAsyncDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private const string Keeper = """
        while read -r order; do
          case $order in
            start) "$@" >/dev/null 2>&1 </dev/null & server=$! ;;
            kill) kill -9 "$server"; wait "$server" 2>/dev/null; echo kill ;;
            pause) kill -STOP "$server"; echo pause ;;
            resume) kill -CONT "$server"; echo resume ;;
          esac
        done
        kill -9 "$server" 2>/dev/null
        """;

    private readonly Process keeper;

    private KeptProcess(int port, IEnumerable<string> command)
    {
        Port = port;
        keeper = Process.Start(new ProcessStartInfo("/bin/sh", ["-c", Keeper, "keeper", .. command]) { RedirectStandardInput = true, RedirectStandardOutput = true })!;
    }

    public int Port { get; }

    /// <summary>An empty memcached on loopback.</summary>
    public static Task<KeptProcess> MemcachedAsync()
    {
        var port = FreePorts.One();
        return StartAsync(port, ["memcached", "-l", "127.0.0.1", "-p", $"{port}", "-u", "root"]);
    }

    /// <summary>An empty Redis on loopback that keeps nothing.</summary>
    /// <param name="options">More of its options: <c>--requirepass</c>.</param>
    public static Task<KeptProcess> RedisAsync(params string[] options)
    {
        var port = FreePorts.One();
        return StartAsync(port, ["redis-server", "--bind", "127.0.0.1", "--port", $"{port}", "--save", "", "--appendonly", "no", .. options]);
    }

    /// <summary>An empty Redis on loopback that speaks TLS only.</summary>
    public static Task<KeptProcess> RedisAsync(string caFile, string certFile, string keyFile)
    {
        var port = FreePorts.One();
        return StartAsync(
            port,
            ["redis-server", "--bind", "127.0.0.1", "--port", "0", "--tls-port", $"{port}", "--tls-ca-cert-file", caFile, "--tls-cert-file", certFile, "--tls-key-file", keyFile, "--tls-auth-clients", "no", "--save", "", "--appendonly", "no"]);
    }

    /// <summary>Starts the server (again) and waits until it listens.</summary>
    public async Task StartAgainAsync()
    {
        await OrderAsync("start", false);
        using var limit = new CancellationTokenSource(Patience);
        using var poll = new PeriodicTimer(TimeSpan.FromMilliseconds(20));
        while (!await ListensAsync(limit.Token))
        {
            await poll.WaitForNextTickAsync(limit.Token);
        }
    }

    public Task KillAsync() => OrderAsync("kill", true);

    /// <summary>Lets the server hang: its connections stay, nothing is answered.</summary>
    public Task PauseAsync() => OrderAsync("pause", true);

    public Task ResumeAsync() => OrderAsync("resume", true);

    public async ValueTask DisposeAsync()
    {
        keeper.StandardInput.Close();
        await keeper.WaitForExitAsync();
        keeper.Dispose();
    }

    private static async Task<KeptProcess> StartAsync(int port, IReadOnlyList<string> command)
    {
        var process = new KeptProcess(port, command);
        try
        {
            await process.StartAgainAsync();
            return process;
        }
        catch
        {
            await process.DisposeAsync();
            throw;
        }
    }

    private async Task<bool> ListensAsync(CancellationToken cancellationToken)
    {
        try
        {
            using var client = new TcpClient();
            await client.ConnectAsync(IPAddress.Loopback, Port, cancellationToken);
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    private async Task OrderAsync(string order, bool answers)
    {
        await keeper.StandardInput.WriteLineAsync(order);
        await keeper.StandardInput.FlushAsync();
        if (answers && await keeper.StandardOutput.ReadLineAsync() is var said && said != order)
        {
            throw new InvalidOperationException($"The server was told to {order} and its keeper said {said}");
        }
    }
}
