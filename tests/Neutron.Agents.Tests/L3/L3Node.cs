using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging.Abstractions;
using SharpStack.Foundation.Bus;
using SharpStack.LinuxHost.Namespaces;
using SharpStack.Neutron.Agents.L3;
using SharpStack.Neutron.Contracts;
using SharpStack.TestKit;
using SharpStack.TestKit.Hosts;

namespace SharpStack.Neutron.Agents.Tests.L3;

/// <summary>A switch, an L3 agent on it, and a stub of the server. The test wires ports, since no OVS agent is there.</summary>
internal sealed class L3Node : IAsyncDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly InProcessBus bus = new(TimeProvider.System, NullLogger<InProcessBus>.Instance);
    private readonly string folder = Directory.CreateTempSubdirectory("sharpstack-l3-").FullName;
    private readonly string host;

    private L3Node(string host, OpenVSwitchSandbox sandbox)
    {
        this.host = host;
        Sandbox = sandbox;
        Server = new L3ServerStub(bus, host);
    }

    public OpenVSwitchSandbox Sandbox { get; }

    public L3ServerStub Server { get; }

    public L3Agent Agent { get; private set; } = null!;

    public string Files(string routerId) => Path.Combine(folder, "l3", routerId);

    public static async Task<L3Node> StartAsync(string host = "net1")
    {
        var sandbox = await OpenVSwitchSandbox.StartAsync();
        var node = new L3Node(host, sandbox);
        try
        {
            File.SetUnixFileMode(node.folder, File.GetUnixFileMode(node.folder) | UnixFileMode.OtherExecute);
            await sandbox.VsctlAsync("add-br", "br-int", "--", "set", "Bridge", "br-int", "datapath_type=netdev");
            await node.StartAgentAsync();
            return node;
        }
        catch
        {
            await node.DisposeAsync();
            throw;
        }
    }

    public async Task StartAgentAsync()
    {
        var settings = new L3Settings
        {
            Host = host,
            Directory = Path.Combine(folder, "l3"),
            Bridge = "br-int",
            OvsdbConnection = Sandbox.Database,
            SwitchNamespace = Sandbox.Namespace,
            MinAdvertisement = 3,
            MaxAdvertisement = 4,
            VrrpInterval = 1,
        };
        Agent = new L3Agent(settings, bus, TimeProvider.System, NullLogger<L3Agent>.Instance, []);
        await Agent.StartAsync(CancellationToken.None);
    }

    /// <summary>Gives the router to the agent, wires its devices, and waits until all is done.</summary>
    public async Task ServeAsync(L3Router router)
    {
        await Server.SetAsync(router);
        foreach (var device in RouterHost.DevicesOf(router))
        {
            await WireAsync(device);
        }

        await SettleAsync(router);
    }

    /// <summary>What the Open vSwitch agent does with a device.</summary>
    public async Task WireAsync(NamespaceDevice device)
    {
        var tag = device.PortId switch { L3Samples.Inner => 1, L3Samples.Other => 2, L3Samples.Outer => 3, _ => 4 };
        await Eventually.TrueAsync(async () => (await Sandbox.VsctlAsync("list-ports", "br-int")).Contains(device.Name, StringComparison.Ordinal), $"{device.Name} is on the switch");
        await Sandbox.VsctlAsync("set", "Port", device.Name, $"tag={tag}");
    }

    /// <summary>Waits until the agent has done all that the last change asks for.</summary>
    public async Task SettleAsync(L3Router router)
    {
        await Eventually.TrueAsync(
            () => File.Exists(Path.Combine(Files(router.Id), "translations")) && File.ReadAllLines(Path.Combine(Files(router.Id), "translations")).ToHashSet().SetEquals(Translations.Of(router)),
            "the router is as it should be");
        await Agent.WhenIdleAsync();
    }

    public async Task ChangeAsync(L3Router router)
    {
        await Server.SetAsync(router);
        await SettleAsync(router);
    }

    /// <summary>A machine on a VLAN with a default route.</summary>
    public async Task<string> MachineAsync(string name, int vlan, byte last, string address, string? gateway)
    {
        var machine = await Sandbox.AddMachineAsync(name, $"fa:16:3e:00:ff:{last:x2}", address);
        await Sandbox.VsctlAsync("add-port", "br-int", name, $"tag={vlan}");
        if (gateway is not null)
        {
            await OpenVSwitchSandbox.RunAsync("ip", "-n", machine, "route", "add", "default", "via", gateway);
        }

        return machine;
    }

    /// <summary>Connects from one machine to an address that leads to another.</summary>
    /// <returns>The address that the other saw it come from; null where it did not get there.</returns>
    public static async Task<IPAddress?> ConnectAsync(string from, string address, int port, string to, int? inner = null)
    {
        using var listener = NetworkNamespace.OpenSocket(to, AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.ReuseAddress, true);
        listener.Bind(new IPEndPoint(IPAddress.Any, inner ?? port));
        listener.Listen();
        using var client = NetworkNamespace.OpenSocket(from, AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        using var limit = new CancellationTokenSource(Patience);
        try
        {
            var connecting = client.ConnectAsync(IPAddress.Parse(address), port, limit.Token);
            using var accepted = await listener.AcceptAsync(limit.Token);
            await connecting;
            return ((IPEndPoint)accepted.RemoteEndPoint!).Address;
        }
        catch (Exception failure) when (failure is OperationCanceledException or SocketException)
        {
            return null;
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (Agent is not null)
        {
            // The agent itself clears up, as it does for routers that are gone.
            foreach (var id in Server.Routers.Keys.ToList())
            {
                Server.Routers.TryRemove(id, out _);
                await Server.HintAsync(id);
                await Eventually.TrueAsync(() => !Directory.Exists(Files(id)), "the router's files are gone");
            }

            await Agent.DisposeAsync();
        }

        Server.Dispose();
        await Sandbox.DisposeAsync();
        Directory.Delete(folder, recursive: true);
    }
}
