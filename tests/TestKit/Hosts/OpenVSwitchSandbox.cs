using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using SharpStack.LinuxHost.Links;
using SharpStack.LinuxHost.Namespaces;

namespace SharpStack.TestKit.Hosts;

/// <summary>
/// A real Open vSwitch in a network namespace and a run directory of its own. All that was made goes with it, also after a failed test.
/// Needs root and the packages openvswitch-switch and iproute2.
/// </summary>
public sealed class OpenVSwitchSandbox : IAsyncDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly List<string> namespaces = [];
    private Process? database;
    private Process? daemon;

    private OpenVSwitchSandbox()
    {
        var id = Convert.ToHexStringLower(Guid.NewGuid().ToByteArray().AsSpan(0, 4));
        Namespace = $"ovs-{id}";
        Directory = Path.Combine(Path.GetTempPath(), $"sharpstack-ovs-{id}");
    }

    /// <summary>The network namespace that the switch runs in.</summary>
    public string Namespace { get; }

    /// <summary>The run directory.</summary>
    public string Directory { get; }

    /// <summary>The database's socket in ovsdb-server's notation.</summary>
    public string Database => $"unix:{Directory}/db.sock";

    /// <summary>Starts ovsdb-server and, unless told otherwise, ovs-vswitchd.</summary>
    public static async Task<OpenVSwitchSandbox> StartAsync(bool withSwitch = true)
    {
        var sandbox = new OpenVSwitchSandbox();
        try
        {
            System.IO.Directory.CreateDirectory(sandbox.Directory);
            await sandbox.AddNamespaceAsync(sandbox.Namespace);
            await RunAsync("ovsdb-tool", "create", $"{sandbox.Directory}/conf.db", "/usr/share/openvswitch/vswitch.ovsschema");
            sandbox.StartDatabase();
            await sandbox.VsctlAsync("--no-wait", "init");
            if (withSwitch)
            {
                await sandbox.StartSwitchAsync();
            }

            return sandbox;
        }
        catch
        {
            await sandbox.DisposeAsync();
            throw;
        }
    }

    /// <summary>Starts ovs-vswitchd and waits until it has configured itself.</summary>
    public async Task StartSwitchAsync()
    {
        daemon = StartDaemon("ovs-vswitchd", Database, $"--pidfile={Directory}/ovs-vswitchd.pid", $"--unixctl={Directory}/ovs-vswitchd.ctl", $"--log-file={Directory}/ovs-vswitchd.log", "-vconsole:off");
        await VsctlAsync("set", "Open_vSwitch", ".", $"external_ids:started={daemon.Id}");
    }

    /// <summary>Kills ovs-vswitchd, as a crash would.</summary>
    public Task StopSwitchAsync() => StopAsync(ref daemon);

    /// <summary>Starts ovsdb-server.</summary>
    public void StartDatabase() =>
        database = StartDaemon("ovsdb-server", $"{Directory}/conf.db", $"--remote=punix:{Directory}/db.sock", $"--pidfile={Directory}/ovsdb-server.pid", $"--unixctl={Directory}/ovsdb-server.ctl", $"--log-file={Directory}/ovsdb-server.log", "-vconsole:off");

    /// <summary>Kills ovsdb-server.</summary>
    public async Task StopDatabaseAsync()
    {
        await StopAsync(ref database);
        File.Delete($"{Directory}/db.sock");
    }

    /// <summary>Runs ovs-vsctl; with the switch running it waits for the switch.</summary>
    public Task<string> VsctlAsync(params string[] arguments) => RunAsync("ovs-vsctl", [$"--db={Database}", "--retry", "-t", "30", .. arguments]);

    /// <summary>The flows of a bridge in ovs-ofctl's words, without cookies and counters, sorted: <c>table=0,priority=1,ip actions=drop</c>.</summary>
    public async Task<IReadOnlyList<string>> DumpFlowsAsync(string bridge)
    {
        var output = await RunAsync("ovs-ofctl", "-O", "OpenFlow14", "--no-stats", "--no-names", "dump-flows", $"unix:{Directory}/{bridge}.mgmt");
        return [.. output.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).Select(Normalize).Order(StringComparer.Ordinal)];
    }

    /// <summary>Runs a tool against the switch with its run directory, such as <c>ovs-ofctl</c> or <c>ovs-appctl</c>.</summary>
    public Task<string> RunToolAsync(string tool, params string[] arguments) => RunAsync("env", [$"OVS_RUNDIR={Directory}", tool, .. arguments]);

    /// <summary>Runs a program in the switch's network namespace; a failure is an exception with what it printed.</summary>
    public Task<string> RunInNamespaceAsync(string program, params string[] arguments) => RunAsync("ip", ["netns", "exec", Namespace, program, .. arguments]);

    /// <summary>Makes another namespace that goes with the sandbox.</summary>
    public async Task AddNamespaceAsync(string name)
    {
        await RunAsync("ip", "netns", "add", name);
        namespaces.Add(name);
        await RunAsync("ip", "-n", name, "link", "set", "lo", "up");
    }

    /// <summary>A TCP socket bound inside the switch's namespace.</summary>
    public Socket Bind(IPEndPoint address)
    {
        var socket = NetworkNamespace.OpenSocket(Namespace, address.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.ReuseAddress, true);
        socket.Bind(address);
        return socket;
    }

    /// <summary>
    /// A "machine" on a port: a namespace with eth0, whose other end is a device of the switch's namespace. It sends whole checksums, as
    /// the userspace datapath needs.
    /// </summary>
    /// <param name="device">The device's name on the switch, at most 15 characters.</param>
    /// <param name="mac">eth0's MAC address.</param>
    /// <param name="addresses">Addresses with prefix lengths.</param>
    /// <returns>The machine's namespace.</returns>
    public async Task<string> AddMachineAsync(string device, string mac, params string[] addresses)
    {
        var machine = $"{Namespace}-{device}";
        await AddNamespaceAsync(machine);
        await RunAsync("ip", "-n", Namespace, "link", "add", device, "type", "veth", "peer", "name", "eth0", "netns", machine);
        await RunAsync("ip", "-n", machine, "link", "set", "eth0", "address", mac);
        Offloads.SetTransmitChecksumming("eth0", enabled: false, machine);
        await RunAsync("ip", "-n", Namespace, "link", "set", device, "up");
        await RunAsync("ip", "-n", machine, "link", "set", "eth0", "up");
        foreach (var address in addresses)
        {
            await RunAsync("ip", "-n", machine, "addr", "add", address, "dev", "eth0", "nodad");
        }

        return machine;
    }

    /// <summary>Whether a ping from a machine is answered, within the given number of seconds.</summary>
    public static async Task<bool> PingAsync(string machine, string address, int seconds = 1) =>
        (await TryRunAsync("ip", "netns", "exec", machine, "ping", "-c", "1", "-W", $"{seconds}", address)).Code == 0;

    /// <summary>Runs a program to its end and returns its standard output.</summary>
    /// <exception cref="InvalidOperationException">It failed; the message has what it printed.</exception>
    public static async Task<string> RunAsync(string program, params string[] arguments)
    {
        var (code, output, error) = await TryRunAsync(program, arguments);
        return code == 0 ? output : throw new InvalidOperationException($"{program} {string.Join(' ', arguments)} ended with {code}: {error}{output}");
    }

    /// <summary>Runs a program to its end, however it ends.</summary>
    public static async Task<(int Code, string Output, string Error)> TryRunAsync(string program, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        using var limit = new CancellationTokenSource(Patience);
        try
        {
            var output = process.StandardOutput.ReadToEndAsync(limit.Token);
            var error = process.StandardError.ReadToEndAsync(limit.Token);
            await process.WaitForExitAsync(limit.Token);
            return (process.ExitCode, await output, await error);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            throw new TimeoutException($"{program} {string.Join(' ', arguments)} did not end in {Patience.TotalSeconds} seconds.");
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await StopAsync(ref daemon);
        await StopAsync(ref database);
        foreach (var name in namespaces)
        {
            await TryRunAsync("ip", "netns", "del", name);
        }

        if (System.IO.Directory.Exists(Directory))
        {
            System.IO.Directory.Delete(Directory, recursive: true);
        }
    }

    private static string Normalize(string line)
    {
        // " cookie=0x1, table=72, priority=74,ip actions=drop": table 0 is left out, and so is the default priority.
        var flow = line;
        if (flow.StartsWith("cookie=", StringComparison.Ordinal))
        {
            flow = flow[(flow.IndexOf(", ", StringComparison.Ordinal) + 2)..];
        }

        flow = flow.StartsWith("table=", StringComparison.Ordinal) ? flow : $"table=0, {flow}";
        var actions = flow.IndexOf(" actions=", StringComparison.Ordinal);
        return string.Concat(flow.AsSpan(0, actions).ToString().Replace(", ", ",", StringComparison.Ordinal), flow.AsSpan(actions));
    }

    private static Task StopAsync(ref Process? process)
    {
        var stopping = Interlocked.Exchange(ref process, null);
        if (stopping is null)
        {
            return Task.CompletedTask;
        }

        stopping.Kill();
        return WaitAsync();

        async Task WaitAsync()
        {
            await stopping.WaitForExitAsync().WaitAsync(Patience);
            stopping.Dispose();
        }
    }

    private Process StartDaemon(string program, params string[] arguments)
    {
        // Whoever reads the streams of a daemon that prints nothing would only wait: they go to a file.
        var start = new ProcessStartInfo("ip", ["netns", "exec", Namespace, program, .. arguments]);
        foreach (var variable in new[] { "OVS_RUNDIR", "OVS_DBDIR", "OVS_LOGDIR" })
        {
            start.Environment[variable] = Directory;
        }

        return Process.Start(start)!;
    }
}
