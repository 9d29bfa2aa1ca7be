using System.Diagnostics;
using System.Globalization;
using System.Net;
using SharpStack.CommandLine;
using SharpStack.Demo;
using SharpStack.Lab;
using SharpStack.Lab.Definitions;
using SharpStack.Lab.Nodes;
using SharpStack.Machine;

namespace SharpStack.Labs;

/// <summary><c>sharpstack lab</c>: a cluster of several nodes on this machine, each a set of namespaces with its own switch, libvirt and services.</summary>
internal sealed class LabCommand
{
    public const string Usage =
        "lab up N [--image FILE] [--attach] [--nodes-only] | lab demo [N] | lab status | lab diagram [NODE] | lab enter NODE [-- COMMAND...] | lab logs NODE SERVICE [--follow]\n"
        + "  lab kill NODE|[NODE/]SERVICE [--term] [--no-restart] | lab start NODE|[NODE/]SERVICE | lab cut NODE | lab mend NODE | lab down [--purge]   [--data DIR]";

    private static readonly string[] Tools =
        ["unshare", "nsenter", "setpriv", "ovs-vswitchd", "ovsdb-server", "ovs-vsctl", "libvirtd", "qemu-img", "dnsmasq", "iptables-restore", "mariadbd", "mariadb-install-db", "rabbitmq-server", "memcached"];

    private readonly Arguments arguments;
    private readonly IReadOnlyList<string> command;
    private readonly LabLayout layout;
    private readonly TimeProvider time;
    private readonly long started;

    public LabCommand(IReadOnlyList<string> words, TimeProvider time)
    {
        // What follows two dashes is another program's.
        var own = words.TakeWhile(word => word != "--").ToArray();
        command = [.. words.Skip(own.Length + 1)];
        arguments = Arguments.Parse(own, ["--data", "--image"], ["--purge", "--attach", "--follow", "--no-restart", "--term", "--nodes-only"]);
        layout = new LabLayout(Path.GetFullPath(arguments.Value("--data") ?? LabLayout.DefaultData));
        this.time = time;
        started = time.GetTimestamp();
    }

    public async Task<int> RunAsync(CancellationToken cancellationToken)
    {
        if (arguments.Words is ["bootstrap"])
        {
            await LabBootstrap.RunAsync(arguments, time, cancellationToken);
            return 0;
        }

        if (arguments.Words.Count > 0 && !Environment.IsPrivilegedProcess)
        {
            throw new CommandException("a lab needs root (namespaces, networks, virtual machines)");
        }

        switch (arguments.Words.ToArray())
        {
            case ["up", .. var rest]:
                await UpAsync(Number(rest), cancellationToken);
                return 0;
            case ["demo", .. var rest]:
                await DemoAsync(Number(rest), cancellationToken);
                return 0;
            case ["status"]:
                await LabStatus.WriteAsync(await OpenAsync(cancellationToken), Console.Out, cancellationToken);
                return 0;
            case ["diagram", .. var rest] when rest.Length < 2:
                Console.Out.Write(await LabDiagram.DrawAsync(await OpenAsync(cancellationToken), rest.FirstOrDefault(), time, cancellationToken));
                return 0;
            case ["enter", var node]:
                return await EnterAsync((await OpenAsync(cancellationToken)).Cluster[node], cancellationToken);
            case ["logs", var node, var service]:
                return await LogsAsync((await OpenAsync(cancellationToken)).Cluster.FindService($"{node}/{service}"), cancellationToken);
            case ["kill", var target]:
                await KillAsync(await OpenAsync(cancellationToken), target, cancellationToken);
                return 0;
            case ["start", var target]:
                await StartAsync(await OpenAsync(cancellationToken), target, cancellationToken);
                return 0;
            case ["cut" or "mend", var node]:
                (await OpenAsync(cancellationToken)).Cluster.Connect(node, arguments.Words[0] == "mend");
                Say($"{node} is {(arguments.Words[0] == "mend" ? "back on" : "cut off")} the management network");
                return 0;
            case ["down"]:
                await DownAsync(cancellationToken);
                return 0;
            default:
                throw new UsageException(Usage);
        }
    }

    private static int? Number(string[] words) => words switch
    {
        [] => null,
        [var word] when int.TryParse(word, NumberStyles.None, CultureInfo.InvariantCulture, out var number) => number,
        _ => throw new UsageException($"a lab is named by its number: {string.Join(", ", LabCatalog.All.Select(lab => lab.Number))}"),
    };

    private async Task<LabSession> OpenAsync(CancellationToken cancellationToken) =>
        await LabSession.OpenAsync(layout, LabState.Load(layout) ?? throw new CommandException($"there is no lab in {layout.Data}: make one with 'sharpstack lab up N'"), time, Say, cancellationToken);

    private async Task UpAsync(int? number, CancellationToken cancellationToken)
    {
        var before = LabState.Load(layout);
        if (before is not null && number is not null && before.Number != number)
        {
            throw new CommandException($"{layout.Data} holds lab {before.Number}: end it with 'sharpstack lab down --purge', or give this one another folder with --data DIR");
        }

        var missing = Tools.Where(tool => !IsInstalled(tool)).ToArray();
        if (missing.Length > 0)
        {
            throw new CommandException($"these programs are missing: {string.Join(", ", missing)}. ./lab installs their packages; by hand: apt-get install qemu-system-x86 qemu-utils "
                + "libvirt-daemon libvirt-daemon-driver-qemu openvswitch-switch dnsmasq-base iptables util-linux mariadb-server rabbitmq-server memcached");
        }

        if (layout.Data.AsSpan().ContainsAny(":,\\"))
        {
            throw new CommandException($"{layout.Data}: a lab's folder cannot have a colon, a comma or a backslash in its name, which overlays take for something else");
        }

        var state = before ?? new LabState { Number = LabCatalog.Get(number ?? throw new UsageException("lab up needs the lab's number")).Number, Secrets = LabSecrets.Create(), Bare = arguments.Has("--nodes-only") };
        if (arguments.Has("--attach") && !state.Attached)
        {
            state = Attach(state);
        }

        var session = await LabSession.OpenAsync(layout, state, time, Say, cancellationToken);
        Say($"lab {session.Lab.Number}: {session.Lab.Title}");
        if (arguments.Has("--nodes-only"))
        {
            await session.Cluster.UpNodesAsync(cancellationToken);
            return;
        }

        await session.Cluster.UpAsync(cancellationToken);
        using var admin = await new LabReadiness(session, time).AwaitAsync(cancellationToken);
        Say("the cluster is ready: every service is up");
        if (ImageFile() is { } image)
        {
            await DemoCloud.EnsureImageAsync(admin, image, Say, cancellationToken);
        }

        if (session.Cluster.MissingServices is { Count: > 0 } absent)
        {
            Say($"not in this release: {string.Join(", ", absent)}");
        }

        Summarise(session);
    }

    /// <summary>Has this machine be the lab host, on the labs' addresses.</summary>
    private LabState Attach(LabState state)
    {
        if (new LabProcesses(layout).Holders.Count > 0)
        {
            throw new CommandException("the lab runs with a host of its own: 'sharpstack lab down' first, then 'lab up --attach'");
        }

        var taken = Routes.Taken("");
        foreach (var network in LabCatalog.Get(state.Number).Networks.Where(network => network.Host is not null))
        {
            var address = IPAddress.Parse(network.Host!.Split('/')[0]);
            if (taken.FirstOrDefault(route => route.Contains(address)) is { PrefixLength: > 0 } other)
            {
                throw new CommandException($"this machine routes {other} elsewhere, and the lab host would be {network.Host}: a lab can be here only without --attach");
            }
        }

        return state with { Attached = true };
    }

    private void Summarise(LabSession session)
    {
        var data = arguments.Value("--data") is { } folder ? $" --data {folder}" : "";
        var output = Console.Out;
        output.WriteLine();
        output.WriteLine($"  nodes        {string.Join(", ", session.Cluster.Nodes.Select(node => $"{node.Name} {node.Address}"))}");
        output.WriteLine("  credentials  admin-openrc, demo-openrc and demo-key in the home of each node");
        output.WriteLine();
        output.WriteLine("  Try next:");
        output.WriteLine($"    sharpstack lab demo{data}");
        output.WriteLine($"    sharpstack lab status{data}");
        output.WriteLine($"    sharpstack lab enter controller{data} -- openstack --os-cloud admin hypervisor list");
    }

    private async Task DemoAsync(int? number, CancellationToken cancellationToken)
    {
        var session = await OpenAsync(cancellationToken);
        if (number is not null && number != session.Lab.Number)
        {
            throw new CommandException($"lab {session.Lab.Number} is in {layout.Data}, not lab {number}");
        }

        await new LabDemo(session, ImageFile(), arguments.Value("--data"), time, Say).RunAsync(cancellationToken);
    }

    /// <summary>The guest's image: the one given, or the newest that deploy/guest/build has made.</summary>
    private string? ImageFile()
    {
        if (arguments.Value("--image") is { } given)
        {
            return File.Exists(given) ? given : throw new CommandException($"there is no image file {given}");
        }

        var cache = Environment.GetEnvironmentVariable("GUEST_CACHE")
            ?? Path.Combine(Environment.GetEnvironmentVariable("XDG_CACHE_HOME") ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache"), "sharpstack", "guest");
        return Directory.Exists(cache) ? Directory.EnumerateFiles(cache, "guest-*.qcow2").OrderByDescending(File.GetLastWriteTimeUtc).FirstOrDefault() : null;
    }

    private async Task<int> EnterAsync(NodeContainer node, CancellationToken cancellationToken)
    {
        var line = node.Command(["sh", "-c", "cd; exec \"$@\"", "sh", .. command.Count > 0 ? command : ["bash", "-i"]]);
        return await ForegroundAsync(line, cancellationToken);
    }

    private async Task<int> LogsAsync((LabNode Node, NodeService Service) found, CancellationToken cancellationToken)
    {
        var logs = layout.Logs(found.Node.Name, found.Service.Name);
        if (logs.Count == 0)
        {
            throw new CommandException($"{found.Service.Name} on {found.Node.Name} has written no log");
        }

        return await ForegroundAsync(arguments.Has("--follow") ? ["tail", "-q", "-n", "100", "-F", .. logs] : ["cat", .. logs], cancellationToken);
    }

    /// <summary>Runs a program on this terminal, whose keys are for it alone.</summary>
    private static async Task<int> ForegroundAsync(IReadOnlyList<string> line, CancellationToken cancellationToken)
    {
        using var process = Process.Start(new ProcessStartInfo(line[0], line.Skip(1)))!;
        try
        {
            await process.WaitForExitAsync(cancellationToken);
        }
        catch (OperationCanceledException)
        {
            // The terminal told the program too; its end is waited for.
            await process.WaitForExitAsync(CancellationToken.None);
        }

        return process.ExitCode;
    }

    private async Task KillAsync(LabSession session, string target, CancellationToken cancellationToken)
    {
        if (session.Cluster.Nodes.Any(node => node.Name == target))
        {
            await session.Cluster.KillNodeAsync(target, cancellationToken);
            Say($"{target} is dead, and all that ran on it");
            return;
        }

        var (node, service) = session.Cluster.FindService(target);
        await session.Cluster.EndServiceAsync(node.Name, service, arguments.Has("--term"), restart: !arguments.Has("--no-restart"), cancellationToken);
        Say($"{service.Name} on {node.Name} was {(arguments.Has("--term") ? "asked to end and has" : "killed")}{(arguments.Has("--no-restart") ? "" : "; its supervisor starts it again where it failed")}");
    }

    private async Task StartAsync(LabSession session, string target, CancellationToken cancellationToken)
    {
        if (session.Cluster.Nodes.FirstOrDefault(node => node.Name == target) is { } whole)
        {
            await session.Cluster.StartAsync(whole, null, cancellationToken);
            Say($"{target} runs");
            return;
        }

        var (node, service) = session.Cluster.FindService(target);
        await session.Cluster.StartAsync(node, service, cancellationToken);
        Say($"{service.Name} on {node.Name} runs");
    }

    private async Task DownAsync(CancellationToken cancellationToken)
    {
        if (LabState.Load(layout) is not { } state)
        {
            Console.Out.WriteLine($"there is no lab in {layout.Data}");
            return;
        }

        await (await LabSession.OpenAsync(layout, state, time, Say, cancellationToken)).Cluster.DownAsync(cancellationToken);
        if (arguments.Has("--purge"))
        {
            Directory.Delete(layout.Data, recursive: true);
            Say($"{layout.Data} is deleted");
        }
        else
        {
            Say($"the state stays in {layout.Data}; 'sharpstack lab up' resumes, 'sharpstack lab down --purge' deletes it");
        }
    }

    private static bool IsInstalled(string tool) =>
        "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".Split(':').Any(folder => File.Exists(Path.Combine(folder, tool)));

    private void Say(string text) => Console.Out.WriteLine($"[{time.GetElapsedTime(started).TotalSeconds,5:0.0}s] {text}");
}
