using System.Net.Sockets;
using SharpStack.LinuxHost.Namespaces;
using SharpStack.LinuxHost.Processes;

namespace SharpStack.Lab.Nodes;

/// <summary>
/// A node: network, mount, host name, IPC and PID namespaces around one first process. Everything in it ends with that process, and the process with its
/// holder: nothing of a node can outlive it.
/// </summary>
public sealed class NodeContainer(LabLayout layout, string name, string program, TimeProvider time)
{
    private static readonly TimeSpan Bound = TimeSpan.FromSeconds(20);

    private MachineProcess? init;

    public string Name => name;

    /// <summary>The first process.</summary>
    /// <exception cref="LabException">The node does not run.</exception>
    public MachineProcess Init => (init ??= new LabProcesses(layout).InitOf(name)) ?? throw new LabException($"{name} does not run: start it with 'sharpstack lab up' or 'sharpstack lab start {name}'");

    /// <summary>The file of its network namespace.</summary>
    public string NetworkNamespace => Init.NetworkNamespace;

    /// <summary>Starts the node where it does not run.</summary>
    /// <param name="bare">Whether it is only a network: it has no folder of its own.</param>
    /// <returns>Whether it was started now.</returns>
    public async Task<bool> EnsureAsync(bool bare, CancellationToken cancellationToken)
    {
        if (new LabProcesses(layout).InitOf(name) is { } running && IsReady(running))
        {
            init = running;
            return false;
        }

        var log = Path.Combine(layout.Run, $"{name}.log");
        File.Delete(log);
        if (!bare)
        {
            layout.CreateNode(name);
            LabLayout.Write(Path.Combine(layout.Var(name), NodeScripts.Supervise["/var/".Length..]), NodeScripts.Supervisor, UnixFileMode.UserRead | UnixFileMode.UserWrite);
            foreach (var (link, target) in new[] { ("run", "/run"), ("lock", "/run/lock") })
            {
                var path = Path.Combine(layout.Var(name), link);
                if (!File.Exists(path) && !Directory.Exists(path) && new FileInfo(path).LinkTarget is null)
                {
                    File.CreateSymbolicLink(path, target);
                }
            }
        }

        var holder = ManagedProcess.Start(new ProcessSpec
        {
            FileName = "unshare",
            Arguments =
            [
                "--mount", "--uts", "--ipc", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private", "--", "sh", layout.InitScript, name,
                bare ? "" : layout.Node(name), Path.GetDirectoryName(program)!,
            ],
            PidFile = Path.Combine(layout.Run, $"{name}.pid"),
            LogFile = log,
        });
        var ready = await Wait.UntilAsync(
            () =>
            {
                init = new LabProcesses(layout).InitOf(name);
                return Task.FromResult(holder.Exited.IsCompleted || (init is not null && IsReady(init)));
            },
            Bound,
            time,
            cancellationToken);
        if (!ready || holder.Exited.IsCompleted)
        {
            var words = File.Exists(log) ? (await File.ReadAllTextAsync(log, cancellationToken)).Trim() : "";
            throw new LabException($"node {name} did not start: {(words.Length > 0 ? words : "it said nothing")}{(words.Contains("overlay", StringComparison.Ordinal) ? $" (its /etc is an overlay: {layout.Data} must be on a file system that can be its upper layer, such as ext4, xfs or tmpfs)" : "")}");
        }

        return true;
    }

    /// <summary>The command that runs another one in the node.</summary>
    public IReadOnlyList<string> Command(params IEnumerable<string> words) =>
    [
        "nsenter", "--target", FormattableString.Invariant($"{Init.Id}"), "--mount", "--uts", "--ipc", "--net", "--pid", "--", "env", "-i", .. EnvironmentOf(), .. words,
    ];

    /// <summary>Runs a command in the node to its end.</summary>
    public Task<ShellOutcome> TryAsync(IEnumerable<string> words, CancellationToken cancellationToken)
    {
        var line = Command(words);
        return Shell.TryAsync(line[0], line.Skip(1), cancellationToken);
    }

    /// <inheritdoc cref="TryAsync"/>
    /// <returns>What it printed.</returns>
    public async Task<string> RunAsync(IEnumerable<string> words, CancellationToken cancellationToken)
    {
        var list = words.ToArray();
        var outcome = await TryAsync(list, cancellationToken);
        return outcome.Succeeded ? outcome.Output : throw new LabException($"'{string.Join(' ', list)}' failed on {name}: {(outcome.Error.Length > 0 ? outcome.Error : outcome.Output).Trim()}");
    }

    /// <summary>Starts a service under its supervisor, which stays when this program ends.</summary>
    public Task StartAsync(NodeService service, CancellationToken cancellationToken) =>
        RunAsync(["sh", "-c", "setsid --fork \"$@\" </dev/null >/dev/null 2>&1", "sh", "sh", NodeScripts.Supervise, service.Name, .. service.Line], cancellationToken);

    /// <summary>Waits until a service listens.</summary>
    /// <exception cref="LabException">It does not within the bound; the message has the end of its log.</exception>
    public async Task AwaitAsync(NodeService service, string address, TimeSpan bound, CancellationToken cancellationToken)
    {
        if (!await Wait.UntilAsync(() => Task.FromResult(Listens(service, address)), bound, time, cancellationToken))
        {
            throw new LabException($"{service.Name} on {name} does not answer within {bound.TotalSeconds} s; the end of its log:\n{Tail(service.Name)}");
        }
    }

    /// <summary>The last lines of a service's logs.</summary>
    public string Tail(string service)
    {
        var logs = layout.Logs(name, service);
        return logs.Count > 0 ? string.Join('\n', logs.SelectMany(log => File.ReadLines(log).TakeLast(15))) : "(no log)";
    }

    private bool Listens(NodeService service, string address)
    {
        try
        {
            if (service.Socket is { } path)
            {
                using var local = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
                local.Connect(new UnixDomainSocketEndPoint(Init.Root + path));
            }
            else if (service.Port is { } port)
            {
                using var socket = LinuxHost.Namespaces.NetworkNamespace.OpenSocket(NetworkNamespace, AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
                socket.Connect(address, port);
            }

            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    private static bool IsReady(MachineProcess process) => File.Exists(process.Root + "/run/lab/ready");

    private static IEnumerable<string> EnvironmentOf()
    {
        yield return "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        yield return "HOME=/var/lib/lab";
        yield return "LANG=C.UTF-8";
        // Sockets of diagnosis are named by process ids, which nodes share.
        yield return "TMPDIR=/run/tmp";
        foreach (var variable in new[] { "TERM", "DOTNET_ROOT" })
        {
            if (Environment.GetEnvironmentVariable(variable) is { Length: > 0 } value)
            {
                yield return $"{variable}={value}";
            }
        }
    }
}
