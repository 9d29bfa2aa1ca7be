using SharpStack.Lab.Configuration;
using SharpStack.Lab.Definitions;
using SharpStack.Lab.Fabric;
using SharpStack.Lab.Nodes;
using SharpStack.LinuxHost.Namespaces;
using SharpStack.LinuxHost.Processes;

namespace SharpStack.Lab;

/// <summary>What the machine offers, and who tells the user of progress.</summary>
/// <param name="Virtualization"><c>qemu</c> or <c>kvm</c>.</param>
/// <param name="Datapath"><c>netdev</c> or <c>system</c>.</param>
public sealed record LabMachine(string Virtualization, string Datapath, LabProgram Program, TimeProvider Time, Action<string> Say);

/// <summary>
/// The cluster: its nodes, their wires and services. Every operation looks at what is there and does what is missing, so that each can be repeated after any crash.
/// </summary>
public sealed class LabCluster
{
    /// <summary>The node that stands for the machine on which the labs' virtual machines run.</summary>
    public const string HostName = "host";

    /// <summary>What is beyond the cloud's networks, where the lab has a way there.</summary>
    public const string OutsideName = "outside";

    internal const string ExternalBridge = "br-ext";
    private const string ProviderBridge = "br-phys";
    private const string UnderlayBridge = "br-underlay";
    private static readonly TimeSpan EngineBound = TimeSpan.FromMinutes(5);
    private static readonly TimeSpan StopBound = TimeSpan.FromSeconds(15);
    private static readonly TimeSpan EndBound = TimeSpan.FromSeconds(20);

    private readonly LabLayout layout;
    private readonly LabMachine machine;
    private readonly NodeServices services;
    private readonly NodeContainer wires;
    private readonly LabFabric fabric;
    private readonly Dictionary<string, NodeContainer> containers;

    public LabCluster(LabDefinition lab, LabLayout layout, LabState state, LabMachine machine)
    {
        this.layout = layout;
        this.machine = machine;
        Lab = lab;
        State = state;
        services = new NodeServices(lab, machine.Program);
        wires = Container(LabFabric.Name);
        fabric = new LabFabric(lab, wires);
        Host = new LabNode(HostName, lab.Networks.First(network => network.Host is not null).Host!.Split('/')[0], LabRoles.None,
            [.. lab.Networks.Where(network => network.Host is not null).Select(network => new LabInterface(network.Name, network.HostDevice, network.Host))]);
        containers = Nodes.ToDictionary(node => node.Name, node => Container(node.Name));
        if (lab.Exit is not null)
        {
            containers.Add(OutsideName, Container(OutsideName));
        }
    }

    public LabDefinition Lab { get; }

    public LabState State { get; private set; }

    /// <summary>The lab host as a node.</summary>
    public LabNode Host { get; }

    /// <summary>The lab's nodes, and the lab host where it is a node too.</summary>
    public IReadOnlyList<LabNode> Nodes => State.Attached ? Lab.Nodes : [.. Lab.Nodes, Host];

    /// <summary>The services of the lab that the program does not have yet.</summary>
    public IReadOnlyList<string> MissingServices => services.Missing;

    /// <summary>The container of a node.</summary>
    /// <exception cref="LabException">There is no such node.</exception>
    public NodeContainer this[string node] =>
        containers.GetValueOrDefault(node) ?? throw new LabException($"lab {Lab.Number} has no node {node}: it has {string.Join(", ", containers.Keys)}");

    /// <summary>What runs on a node by definition.</summary>
    public IReadOnlyList<NodeService> ServicesOf(LabNode node) => services.Of(node);

    /// <summary>Whether a node is off the management network.</summary>
    public bool IsCut(string node) => new LabProcesses(layout).InitOf(LabFabric.Name) is null || !fabric.IsConnected(node, "mgmt");

    /// <summary>Makes all of it run: nodes, wires, engines, switches, the first users, the services.</summary>
    public async Task UpAsync(CancellationToken cancellationToken)
    {
        await UpNodesAsync(cancellationToken);
        await UpServicesAsync(cancellationToken);
    }

    /// <summary>Makes the nodes and wires run, and nothing on them.</summary>
    public async Task UpNodesAsync(CancellationToken cancellationToken)
    {
        layout.Create();
        LabLayout.Write(layout.InitScript, NodeScripts.Init, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        DemoKey.Ensure(layout.DemoKey);
        foreach (var node in Lab.Nodes.Where(node => !State.HostIds.ContainsKey(node.Name)))
        {
            State.HostIds[node.Name] = Guid.NewGuid();
        }

        State.Save(layout);
        await wires.EnsureAsync(bare: true, cancellationToken);
        fabric.EnsureBridges();
        var started = await Task.WhenAll(Nodes.Select(node => EnsureNodeAsync(node, cancellationToken)));
        if (Lab.Exit is { } exit)
        {
            await this[OutsideName].EnsureAsync(bare: true, cancellationToken);
            fabric.WireOutside(OutsideName, exit, this[OutsideName].NetworkNamespace);
        }

        if (State.Attached)
        {
            fabric.Wire(HostName, Host.Interfaces, "/proc/self/ns/net");
        }

        machine.Say($"{started.Count(fresh => fresh)} of {Nodes.Count} nodes started: {string.Join(", ", Nodes.Select(node => node.Name))}");
    }

    private async Task UpServicesAsync(CancellationToken cancellationToken)
    {
        var controller = Lab.Controller;
        var hosts = Task.WhenAll(Lab.Nodes.Where(node => node.HasSwitch).Select(node => EnsureHostAsync(node, cancellationToken)));
        if (controller.HasSwitch && UnderlayOf(controller) is { } link && link.Address == controller.Address)
        {
            // The address that the engines listen at moves to a bridge first.
            await hosts;
        }

        await StartMissingAsync(controller, ServiceGroup.Engine, cancellationToken);
        await AwaitEngineAsync(controller, "mariadb", cancellationToken);
        if (!State.Bootstrapped)
        {
            // The password comes from the file that holds it: an argument could be read by others.
            await this[controller.Name].RunAsync(
                ["sh", "-c", ". /var/lib/lab/admin-openrc; OS_BOOTSTRAP_PASSWORD=$OS_PASSWORD exec \"$@\"", "sh", machine.Program.Path, "lab", "bootstrap"], cancellationToken);
            State = State with { Bootstrapped = true };
            State.Save(layout);
            machine.Say("schemas, first users and catalogue are made");
        }

        // The broker takes its time, most of it on one processor: those that all others ask and that need no broker have the other one meanwhile.
        var first = await StartMissingAsync(controller, ServiceGroup.Cloud, cancellationToken, service => !service.NeedsBroker);
        await AwaitEngineAsync(controller, "rabbitmq", cancellationToken);
        await hosts;
        var counts = await Task.WhenAll(Lab.Nodes.Select(node => StartMissingAsync(node, ServiceGroup.Cloud, cancellationToken)));
        machine.Say($"{first + counts.Sum()} services started");
    }

    /// <summary>Starts a node again, or one service.</summary>
    public async Task StartAsync(LabNode node, NodeService? service, CancellationToken cancellationToken)
    {
        if (service is not null)
        {
            if (!new LabProcesses(layout).ServicesOf(node.Name).ContainsKey(service.Name))
            {
                await this[node.Name].StartAsync(service, cancellationToken);
            }

            return;
        }

        await EnsureNodeAsync(node, cancellationToken);
        await StartMissingAsync(node, ServiceGroup.Engine, cancellationToken);
        if (node.HasSwitch)
        {
            await EnsureHostAsync(node, cancellationToken);
        }

        if (node.Roles.HasFlag(LabRoles.Controller))
        {
            await AwaitEngineAsync(node, "mariadb", cancellationToken);
            await AwaitEngineAsync(node, "rabbitmq", cancellationToken);
        }

        await StartMissingAsync(node, ServiceGroup.Cloud, cancellationToken);
    }

    /// <summary>Kills a node as if its plug were pulled: every process in it ends at once.</summary>
    public async Task KillNodeAsync(string node, CancellationToken cancellationToken)
    {
        _ = this[node];
        await EndAsync([node], cancellationToken);
    }

    /// <summary>Ends a service.</summary>
    /// <param name="gracefully">Whether it is asked to end; otherwise it is killed.</param>
    /// <param name="restart">Whether its supervisor starts it again.</param>
    public async Task EndServiceAsync(string node, NodeService service, bool gracefully, bool restart, CancellationToken cancellationToken)
    {
        if (!new LabProcesses(layout).ServicesOf(node).TryGetValue(service.Name, out var running))
        {
            throw new LabException($"{service.Name} does not run on {node}");
        }

        if (gracefully)
        {
            // Told to end, the supervisor tells the service.
            (restart && running.Process is not null ? running.Process : running.Supervisor).Signal(ManagedProcess.Terminate);
        }
        else
        {
            if (!restart)
            {
                running.Supervisor.Signal(ManagedProcess.Kill);
            }

            foreach (var process in service.OwnsChildren ? running.Family : running.Process is null ? [] : [running.Process])
            {
                process.Signal(ManagedProcess.Kill);
            }
        }

        var watched = running.Process ?? running.Supervisor;
        if (!await Wait.UntilAsync(() => Task.FromResult(!watched.IsRunning), EndBound, machine.Time, cancellationToken))
        {
            throw new LabException($"{service.Name} on {node} did not end within {EndBound.TotalSeconds} s");
        }
    }

    /// <summary>Cuts a node off the management network, or joins it again.</summary>
    public void Connect(string node, bool connected)
    {
        _ = this[node];
        fabric.Connect(node, "mgmt", connected);
    }

    /// <summary>The service of that name, on a node or, where only one node has it, on that.</summary>
    /// <param name="text"><c>NODE/SERVICE</c> or <c>SERVICE</c>.</param>
    public (LabNode Node, NodeService Service) FindService(string text)
    {
        var slash = text.IndexOf('/', StringComparison.Ordinal);
        var name = text[(slash + 1)..];
        var nodes = slash < 0 ? Lab.Nodes : [Lab.Node(text[..slash])];
        var found = nodes.SelectMany(node => services.Of(node).Where(service => service.Name == name).Select(service => (node, service))).ToArray();
        return found.Length switch
        {
            1 => found[0],
            0 => throw new LabException($"there is no service {text}; there are {string.Join(", ", Lab.Nodes.SelectMany(node => services.Of(node).Select(service => $"{node.Name}/{service.Name}")))}"),
            _ => throw new LabException($"several nodes have {name}: name one, {string.Join(" or ", found.Select(pair => $"{pair.node.Name}/{name}"))}"),
        };
    }

    /// <summary>Ends all of it: services first, that have their work in order, then the nodes with everything in them, then the wires.</summary>
    public async Task DownAsync(CancellationToken cancellationToken)
    {
        var processes = new LabProcesses(layout);
        var running = Lab.Nodes.SelectMany(node => processes.ServicesOf(node.Name).Values.Select(service => (Node: node, Service: service))).ToArray();
        foreach (var group in new[] { ServiceGroup.Cloud, ServiceGroup.Engine })
        {
            var supervisors = running
                .Where(pair => services.Of(pair.Node).FirstOrDefault(service => service.Name == pair.Service.Name) is { } known && known.Group == group && known.Name != "rabbitmq")
                .Select(pair => pair.Service.Supervisor)
                .ToArray();
            foreach (var supervisor in supervisors)
            {
                supervisor.Signal(ManagedProcess.Terminate);
            }

            await Wait.UntilAsync(() => Task.FromResult(!supervisors.Any(supervisor => supervisor.IsRunning)), StopBound, machine.Time, cancellationToken);
        }

        machine.Say("the services are stopped");
        await EndAsync([.. processes.Holders.Keys], cancellationToken);
        if (Directory.Exists(layout.Run))
        {
            Directory.Delete(layout.Run, recursive: true);
        }

        machine.Say("the nodes and their networks are gone");
    }

    private NodeContainer Container(string name) => new(layout, name, machine.Program.Path, machine.Time);

    private async Task EndAsync(IReadOnlyList<string> nodes, CancellationToken cancellationToken)
    {
        var processes = new LabProcesses(layout);
        var ending = nodes.SelectMany(processes.Of).Concat(nodes.Select(node => processes.Holders.GetValueOrDefault(node)).OfType<MachineProcess>()).ToArray();
        foreach (var holder in nodes.Select(node => processes.Holders.GetValueOrDefault(node)).OfType<MachineProcess>())
        {
            holder.Signal(ManagedProcess.Kill);
        }

        if (!await Wait.UntilAsync(() => Task.FromResult(!ending.Any(process => process.IsRunning)), EndBound, machine.Time, cancellationToken))
        {
            var left = ending.Where(process => process.IsRunning).Select(process => $"{process.Id} {Path.GetFileName(process.Arguments[0])}");
            throw new LabException($"these processes did not end within {EndBound.TotalSeconds} s: {string.Join(", ", left)}");
        }
    }

    private async Task<bool> EnsureNodeAsync(LabNode node, CancellationToken cancellationToken)
    {
        var container = this[node.Name];
        var running = new LabProcesses(layout).InitOf(node.Name) is not null;
        if (!running)
        {
            layout.CreateNode(node.Name);
            new NodeFiles(layout, Lab, State, machine.Virtualization, machine.Datapath).Write(node);
        }

        var started = await container.EnsureAsync(bare: false, cancellationToken);
        var wired = fabric.Wire(node.Name, node.Interfaces, container.NetworkNamespace);
        if (wired && !started && node.HasSwitch)
        {
            // A switch keeps a port whose link is another one now, and it is dead: it must go before it comes again.
            var taken = node.Interfaces.Where(link => link.Network != "mgmt" || link == UnderlayOf(node)).SelectMany(link => new[] { "--", "--if-exists", "del-port", link.Device });
            await container.TryAsync(["ovs-vsctl", "--timeout=10", .. taken.Skip(1)], cancellationToken);
        }

        return started;
    }

    private async Task<int> StartMissingAsync(LabNode node, ServiceGroup group, CancellationToken cancellationToken, Func<NodeService, bool>? which = null)
    {
        var running = new LabProcesses(layout).ServicesOf(node.Name);
        var missing = services.Of(node).Where(service => service.Group == group && !running.ContainsKey(service.Name) && which?.Invoke(service) != false).ToArray();
        foreach (var service in missing)
        {
            await this[node.Name].StartAsync(service, cancellationToken);
        }

        return missing.Length;
    }

    private async Task AwaitEngineAsync(LabNode node, string name, CancellationToken cancellationToken)
    {
        await this[node.Name].AwaitAsync(services.Of(node).Single(service => service.Name == name), node.Address, EngineBound, cancellationToken);
        machine.Say($"{name} answers");
    }

    /// <summary>Switch, provider bridge and libvirt of a node.</summary>
    private async Task EnsureHostAsync(LabNode node, CancellationToken cancellationToken)
    {
        var container = this[node.Name];
        await StartMissingAsync(node, ServiceGroup.Host, cancellationToken);
        await container.AwaitAsync(services.Of(node).Single(service => service.Name == "ovsdb-server"), node.Address, EngineBound, cancellationToken);
        var line = new List<string> { "ovs-vsctl", "--retry", "--timeout=30", "set-manager", "ptcp:6640:127.0.0.1" };
        line.AddRange(Bridge(ProviderBridge, "secure"));
        if (Lab.ProviderDevice is { } device)
        {
            line.AddRange(["--", "--may-exist", "add-port", ProviderBridge, device]);
        }

        if (Lab.Star is { } star)
        {
            line.AddRange(StarPorts(star, node));
        }

        if (UnderlayOf(node) is { } underlay)
        {
            line.AddRange([.. Bridge(UnderlayBridge, "standalone"), "--", "--may-exist", "add-port", UnderlayBridge, underlay.Device]);
        }

        await container.RunAsync(line, cancellationToken);
        if (UnderlayOf(node) is { Address: { } address } moved)
        {
            LabFabric.MoveAddress(container.NetworkNamespace, moved.Device, UnderlayBridge, address, Lab.Networks.Single(network => network.Name == moved.Network).PrefixLength!.Value);
        }

        if (Lab.Exit is { } exit && exit.Node == node.Name)
        {
            await OpenExitAsync(container, exit, cancellationToken);
        }

        if (services.Of(node).FirstOrDefault(service => service.Name == "libvirtd") is { } libvirt)
        {
            await container.AwaitAsync(libvirt, node.Address, EngineBound, cancellationToken);
        }
    }

    /// <summary>Lab10's physical network: br-ext on each node, joined to br-phys by a patch and by tunnels to the hub's.</summary>
    private List<string> StarPorts(LabStar star, LabNode node)
    {
        var line = new List<string>(Bridge(ExternalBridge, "standalone"));
        foreach (var (bridge, port, peer) in new[] { (ProviderBridge, "patch-br-ext", "patch-br-phys"), (ExternalBridge, "patch-br-phys", "patch-br-ext") })
        {
            line.AddRange(["--", "--may-exist", "add-port", bridge, port, "--", "set", "Interface", port, "type=patch", $"options:peer={peer}"]);
        }

        foreach (var other in node.Name == star.Hub ? Lab.Nodes.Where(other => other.HasSwitch && other.Name != star.Hub) : [Lab.Node(star.Hub)])
        {
            var remote = AddressOf(other, star);
            line.AddRange(
            [
                "--", "--may-exist", "add-port", ExternalBridge, $"vxlan-{remote}", "--", "set", "Interface", $"vxlan-{remote}", "type=vxlan",
                $"options:remote_ip={remote}", $"options:local_ip={AddressOf(node, star)}", $"options:key={star.Key}",
            ]);
        }

        return line;
    }

    private static string AddressOf(LabNode node, LabStar star) => node.Interfaces.Single(link => link.Device == star.Device).Address!;

    /// <summary>
    /// The link of a node that a bridge takes in with its address, so that tunnels can end there: a switch in user space finds the far ends of its tunnels only
    /// through a bridge that has the address itself.
    /// </summary>
    private LabInterface? UnderlayOf(LabNode node) => machine.Datapath == "netdev" ? node.Interfaces.FirstOrDefault(link => link.Device == Lab.UnderlayDevice) : null;

    /// <summary>Makes a node the gateway of the flat network and masquerades behind it, as the labs' role "router" does.</summary>
    private static async Task OpenExitAsync(NodeContainer container, LabExit exit, CancellationToken cancellationToken)
    {
        await container.RunAsync(["ovs-vsctl", "--timeout=30", "set", "Interface", ExternalBridge, $"mtu_request={exit.Mtu}"], cancellationToken);
        await container.RunAsync(
            [
                "sh", "-ec",
                """
                ip addr replace "$1" dev "$2"
                ip link set "$2" up
                ip route replace default via "$3"
                echo 1 > /proc/sys/net/ipv4/ip_forward
                iptables-restore /etc/iptables/rules.v4
                """,
                "sh", exit.Address, ExternalBridge, exit.Gateway,
            ],
            cancellationToken);
    }

    /// <summary>A bridge with its datapath in the transaction that makes it: a later one is too late.</summary>
    private IEnumerable<string> Bridge(string name, string failMode) =>
    [
        "--", "--may-exist", "add-br", name, "--", "set", "Bridge", name, $"datapath_type={machine.Datapath}", $"fail_mode={failMode}",
        "protocols=OpenFlow10,OpenFlow13,OpenFlow14,OpenFlow15",
    ];
}
