using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace SharpStack.TestKit.Hosts;

/// <summary>
/// A real RabbitMQ on ports and in a folder of its own, with its own Erlang port mapper, all on loopback. It ends with this process, however that ends.
/// Needs root (or the user rabbitmq) and the package rabbitmq-server.
/// </summary>
public sealed class RabbitBroker : IAsyncDisposable
{
    public const string User = "sharp";

    /// <summary>Says something in a URL only when it is encoded.</summary>
    public const string Password = "s3cr3t/@:word";

    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(10);
    private static readonly Lazy<Task<RabbitBroker>> SharedBroker = new(StartAsync);

    // The server's scripts leave children behind when they are killed; this one waits for orders and ends everything when its input does.
    private const string Keeper = """
        epmd -port "$ERL_EPMD_PORT" -address 127.0.0.1 & mapper=$!
        while read -r order; do
          case $order in
            start) rm -f "$RABBITMQ_PID_FILE"; /usr/lib/rabbitmq/bin/rabbitmq-server >>"$RABBITMQ_LOG_BASE/out" 2>&1 </dev/null & ;;
            kill) kill -9 "$(cat "$RABBITMQ_PID_FILE")"; wait "$!" 2>/dev/null; echo killed ;;
            pause) kill -STOP "$(cat "$RABBITMQ_PID_FILE")"; echo paused ;;
            resume) kill -CONT "$(cat "$RABBITMQ_PID_FILE")"; echo resumed ;;
            wipe) rm -rf "$RABBITMQ_MNESIA_BASE"; echo wiped ;;
          esac
        done
        kill -9 "$(cat "$RABBITMQ_PID_FILE" 2>/dev/null)" 2>/dev/null
        kill -9 "$mapper"
        rm -rf "$HOME"
        """;

    private readonly Process keeper;
    private readonly TestAuthority authority;

    private RabbitBroker()
    {
        Directory = System.IO.Directory.CreateTempSubdirectory("sharpstack-rabbit-").FullName;
        (Port, TlsPort) = (FreePorts.One(), FreePorts.One());
        var certificates = System.IO.Directory.CreateDirectory(Path.Combine(Directory, "tls")).FullName;
        authority = new TestAuthority(certificates);
        var (certificate, key) = authority.Issue("broker", "localhost", "127.0.0.1");
        File.WriteAllText(Path.Combine(Directory, "rabbitmq.conf"), $"""
            listeners.tcp.1 = 127.0.0.1:{Port}
            listeners.ssl.1 = 127.0.0.1:{TlsPort}
            ssl_options.cacertfile = {authority.CaFile}
            ssl_options.certfile = {certificate}
            ssl_options.keyfile = {key}
            ssl_options.verify = verify_peer
            ssl_options.fail_if_no_peer_cert = false
            default_user = {User}
            default_pass = {Password}
            loopback_users.{User} = false
            """);
        File.WriteAllText(Path.Combine(Directory, "enabled_plugins"), "[].");
        File.WriteAllText(Path.Combine(Directory, "rabbitmq-env.conf"), "");
        keeper = Process.Start(new ProcessStartInfo("/bin/sh", ["-c", Keeper])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            WorkingDirectory = Directory,
            Environment =
            {
                ["HOME"] = Directory,
                ["ERL_EPMD_PORT"] = $"{FreePorts.One()}",
                ["ERL_EPMD_ADDRESS"] = "127.0.0.1",
                ["RABBITMQ_NODENAME"] = $"sharpstack{Port}@localhost",
                ["RABBITMQ_DIST_PORT"] = $"{FreePorts.One()}",
                ["RABBITMQ_MNESIA_BASE"] = Path.Combine(Directory, "mnesia"),
                ["RABBITMQ_LOG_BASE"] = Path.Combine(Directory, "log"),
                ["RABBITMQ_CONFIG_FILE"] = Path.Combine(Directory, "rabbitmq.conf"),
                ["RABBITMQ_CONF_ENV_FILE"] = Path.Combine(Directory, "rabbitmq-env.conf"),
                ["RABBITMQ_ENABLED_PLUGINS_FILE"] = Path.Combine(Directory, "enabled_plugins"),
                ["RABBITMQ_PID_FILE"] = Path.Combine(Directory, "pid"),
                ["RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS"] = "-kernel inet_dist_use_interface {127,0,0,1} +S 2:2",
            },
        })!;
        System.IO.Directory.CreateDirectory(Path.Combine(Directory, "log"));
    }

    public int Port { get; }

    public int TlsPort { get; }

    /// <summary>Everything that the broker writes.</summary>
    public string Directory { get; }

    /// <summary>The authority of the broker's certificate, which names <c>localhost</c> and <c>127.0.0.1</c>.</summary>
    public string CaFile => authority.CaFile;

    /// <summary>A transport URL without its virtual host and options: <c>rabbit://user:password@127.0.0.1:port</c>.</summary>
    public string Url => $"rabbit://{User}:{Uri.EscapeDataString(Password)}@127.0.0.1:{Port}";

    /// <summary>The one broker of this test process, started with the first test that needs it.</summary>
    public static Task<RabbitBroker> SharedAsync() => SharedBroker.Value;

    /// <summary>Starts a broker of the caller's own, to be stopped and wiped.</summary>
    public static async Task<RabbitBroker> StartAsync()
    {
        var broker = new RabbitBroker();
        try
        {
            await broker.StartAgainAsync();
            return broker;
        }
        catch
        {
            await broker.DisposeAsync();
            throw;
        }
    }

    /// <summary>A broker that is not started yet: its ports refuse.</summary>
    public static RabbitBroker Prepare() => new();

    /// <summary>Starts the broker (again) and waits until it listens.</summary>
    public async Task StartAgainAsync()
    {
        await OrderAsync("start", null);
        using var limit = new CancellationTokenSource(Patience);
        using var poll = new PeriodicTimer(TimeSpan.FromMilliseconds(50));
        foreach (var port in (int[])[Port, TlsPort])
        {
            while (!await ListensAsync(port, limit.Token))
            {
                await poll.WaitForNextTickAsync(limit.Token);
            }
        }
    }

    /// <summary>Ends the broker as a power cut would.</summary>
    public Task KillAsync() => OrderAsync("kill", "killed");

    /// <summary>Lets the broker hang: its connections stay, nothing is answered.</summary>
    public Task PauseAsync() => OrderAsync("pause", "paused");

    public Task ResumeAsync() => OrderAsync("resume", "resumed");

    /// <summary>Removes everything that the broker keeps, users and queues; it has been killed before.</summary>
    public Task WipeAsync() => OrderAsync("wipe", "wiped");

    public async ValueTask DisposeAsync()
    {
        keeper.StandardInput.Close();
        await keeper.WaitForExitAsync();
        keeper.Dispose();
        authority.Dispose();
    }

    private static async Task<bool> ListensAsync(int port, CancellationToken cancellationToken)
    {
        try
        {
            using var client = new TcpClient();
            await client.ConnectAsync(IPAddress.Loopback, port, cancellationToken);
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    private async Task OrderAsync(string order, string? answer)
    {
        await keeper.StandardInput.WriteLineAsync(order);
        await keeper.StandardInput.FlushAsync();
        if (answer is not null && await keeper.StandardOutput.ReadLineAsync() is var said && said != answer)
        {
            throw new InvalidOperationException($"The broker was told to {order} and said {said}");
        }
    }
}
