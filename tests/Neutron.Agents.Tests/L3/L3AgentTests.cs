using System.Net;
using System.Net.Sockets;
using System.Text;
using SharpStack.LinuxHost.Namespaces;
using SharpStack.LinuxHost.Netlink;
using SharpStack.Neutron.Agents.L3;
using SharpStack.Neutron.Contracts;
using SharpStack.TestKit;
using SharpStack.TestKit.Hosts;

namespace SharpStack.Neutron.Agents.Tests.L3;

/// <summary>The agent with a real switch, real namespaces and the kernel's own forwarding and packet filter.</summary>
public sealed class L3AgentTests : IAsyncLifetime
{
    private const string Gateway = "203.0.113.50";
    private const string Floating = "203.0.113.60";

    private readonly L3Router router = L3Samples.Router();
    private L3Node node = null!;
    private string guest = null!;
    private string outside = null!;

    private string Place => RouterNames.NamespaceOf(router.Id);

    private static string Internal => $"qr-{L3Samples.Inner[..11]}";

    private static string External => $"qg-{L3Samples.Outer[..11]}";

    public async ValueTask InitializeAsync()
    {
        node = await L3Node.StartAsync();
        guest = await node.MachineAsync("vm1", 1, 0x11, "10.4.0.11/24", "10.4.0.1");
        outside = await node.MachineAsync("out", 3, 0x91, "203.0.113.1/24", null);
        await node.ServeAsync(router);
    }

    public ValueTask DisposeAsync() => node.DisposeAsync();

    [Fact]
    public async Task Guests_reach_each_other_and_leave_under_the_gateways_address()
    {
        var neighbour = await node.MachineAsync("vm2", 2, 0x12, "10.5.0.12/24", "10.5.0.1");
        Assert.Equal("10.4.0.11", (await L3Node.ConnectAsync(guest, "10.5.0.12", 7001, neighbour))?.ToString());
        Assert.Equal(Gateway, (await L3Node.ConnectAsync(guest, "203.0.113.1", 7002, outside))?.ToString());
        using var links = RouteClient.Open(Place);
        Assert.Equal(1450, links.GetLink(Internal).Mtu);
        Assert.Contains($"\"{L3Samples.Inner}\"", await node.Sandbox.VsctlAsync("get", "Interface", Internal, "external_ids:iface-id"), StringComparison.Ordinal);
        Assert.Contains(node.Server.Reports, report => report is { AgentType: "L3 agent", Start: true, Topic: "l3_agent" });
    }

    [Fact]
    public async Task A_floating_IP_leads_in_out_and_back_in_from_the_same_network()
    {
        var second = await node.MachineAsync("vm2", 1, 0x12, "10.4.0.12/24", "10.4.0.1");
        await node.ChangeAsync(router with { FloatingIps = [L3Samples.Floating(Floating, "10.4.0.11")] });
        Assert.Equal("203.0.113.1", (await L3Node.ConnectAsync(outside, Floating, 7001, guest))?.ToString());
        Assert.Equal(Floating, (await L3Node.ConnectAsync(guest, "203.0.113.1", 7002, outside))?.ToString());
        Assert.Equal(Gateway, (await L3Node.ConnectAsync(second, Floating, 7003, guest))?.ToString());
        Assert.Equal("ACTIVE", node.Server.FloatingIps[L3Samples.Floating(Floating, null).Id]);

        await node.ChangeAsync(router);
        Assert.Equal("DOWN", node.Server.FloatingIps[L3Samples.Floating(Floating, null).Id]);
        using var links = RouteClient.Open(Place);
        Assert.Equal(["203.0.113.50/24"], links.ListAddresses(External).Where(address => !address.Address.IsIPv6LinkLocal).Select(address => address.ToString()));
        Assert.False(await OpenVSwitchSandbox.PingAsync(outside, Floating));
    }

    [Fact]
    public async Task What_is_already_talking_to_a_floating_IP_follows_it_to_another_guest()
    {
        var second = await node.MachineAsync("vm2", 1, 0x12, "10.4.0.12/24", "10.4.0.1");
        using var first = Listen(guest);
        using var heir = Listen(second);
        using var client = NetworkNamespace.OpenSocket(outside, AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        client.Bind(new IPEndPoint(IPAddress.Any, 7100));
        await node.ChangeAsync(router with { FloatingIps = [L3Samples.Floating(Floating, "10.4.0.11")] });
        Assert.Equal("one", await SayAsync("one", first));
        await node.ChangeAsync(router with { FloatingIps = [L3Samples.Floating(Floating, "10.4.0.12")] });
        Assert.Equal("two", await SayAsync("two", heir));
        Assert.Equal(0, first.Available);

        static Socket Listen(string machine)
        {
            var socket = NetworkNamespace.OpenSocket(machine, AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
            socket.Bind(new IPEndPoint(IPAddress.Any, 7000));
            return socket;
        }

        async Task<string> SayAsync(string word, Socket listener)
        {
            var buffer = new byte[100];
            await client.SendToAsync(Encoding.ASCII.GetBytes(word), new IPEndPoint(IPAddress.Parse(Floating), 7000));
            using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(30));
            return Encoding.ASCII.GetString(buffer, 0, await listener.ReceiveAsync(buffer, limit.Token));
        }
    }

    [Fact]
    public async Task Ports_of_a_floating_IP_lead_to_ports_of_guests_one_to_one()
    {
        await node.ChangeAsync(router with
        {
            FloatingIps =
            [
                L3Samples.Floating(Floating, null, L3Samples.Forwarding("tcp", 2022, 2022, "10.4.0.11", 22, 22), L3Samples.Forwarding("tcp", 3000, 3010, "10.4.0.11", 4000, 4010)),
            ],
        });
        Assert.Equal("203.0.113.1", (await L3Node.ConnectAsync(outside, Floating, 2022, guest, 22))?.ToString());
        Assert.Equal("203.0.113.1", (await L3Node.ConnectAsync(outside, Floating, 3004, guest, 4004))?.ToString());
        Assert.Equal("ACTIVE", node.Server.FloatingIps[L3Samples.Floating(Floating, null).Id]);
    }

    [Fact]
    public async Task Without_SNAT_guests_leave_under_their_own_addresses()
    {
        await OpenVSwitchSandbox.RunAsync("ip", "-n", outside, "route", "add", "10.4.0.0/24", "via", Gateway);
        await node.ChangeAsync(router with { Gateway = router.Gateway! with { EnableSnat = false } });
        Assert.Equal("10.4.0.11", (await L3Node.ConnectAsync(guest, "203.0.113.1", 7001, outside))?.ToString());
    }

    [Fact]
    public async Task Metadata_requests_come_to_the_routers_own_socket_and_nobody_else_does()
    {
        using var listener = NetworkNamespace.OpenSocket(Place, AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Any, 9697));
        listener.Listen();
        using var client = NetworkNamespace.OpenSocket(guest, AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        await client.ConnectAsync(IPAddress.Parse("169.254.169.254"), 80, TestContext.Current.CancellationToken);
        using var accepted = await listener.AcceptAsync(TestContext.Current.CancellationToken);
        Assert.Equal("10.4.0.11", ((IPEndPoint)accepted.RemoteEndPoint!).Address.ToString());
        Assert.Equal("9697", (await File.ReadAllTextAsync(Path.Combine(node.Files(router.Id), "metadata"), TestContext.Current.CancellationToken)).TrimEnd());

        foreach (var (machine, address) in new[] { (guest, "10.4.0.1"), (outside, Gateway) })
        {
            var (code, _, _) = await OpenVSwitchSandbox.TryRunAsync("ip", "netns", "exec", machine, "curl", "-s", "--connect-timeout", "2", $"http://{address}:9697/");
            Assert.Equal(28, code);
        }
    }

    [Fact]
    public async Task Metadata_is_on_the_link_of_guests_by_IPv6_too()
    {
        using var listener = NetworkNamespace.OpenSocket(Place, AddressFamily.InterNetworkV6, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.IPv6Any, 9697));
        listener.Listen();
        using var client = NetworkNamespace.OpenSocket(guest, AddressFamily.InterNetworkV6, SocketType.Stream, ProtocolType.Tcp);
        // An address is not used before nobody else has been found to have it.
        await Eventually.TrueAsync(() => OpenVSwitchSandbox.PingAsync(guest, "fe80::f816:3eff:fe00:101%eth0"), "the router answers on the guest's link");
        using var links = RouteClient.Open(guest);
        await client.ConnectAsync(new IPAddress(IPAddress.Parse("fe80::a9fe:a9fe").GetAddressBytes(), links.GetLink("eth0").Index), 80, TestContext.Current.CancellationToken);
        using var accepted = await listener.AcceptAsync(TestContext.Current.CancellationToken);
        Assert.Equal("fe80::f816:3eff:fe00:ff11", ((IPEndPoint)accepted.RemoteEndPoint!).Address.ToString().Split('%')[0]);

        // What is redirected is all that comes to it: not the port itself, and nothing from outside.
        foreach (var (machine, address, port) in new[] { (guest, "fe80::f816:3eff:fe00:101", 9697), (outside, "fe80::a9fe:a9fe", 80) })
        {
            Assert.Equal(28, (await OpenVSwitchSandbox.TryRunAsync("ip", "netns", "exec", machine, "curl", "-s", "-g", "--connect-timeout", "2", $"http://[{address}%25eth0]:{port}/")).Code);
        }
    }

    [Fact]
    public async Task Extra_routes_are_set_and_taken_away_also_over_several_next_hops()
    {
        await node.ChangeAsync(router with { Routes = [new HostRoute("10.9.0.0/16", "10.4.0.7"), new HostRoute("10.9.0.0/16", "10.4.0.8"), new HostRoute("10.8.0.0/16", "10.5.0.9"), new HostRoute("10.7.0.0/16", "192.0.2.1")] });
        await Eventually.TrueAsync(() => Routes().Count() == 4, "the routes are set");
        Assert.Equal(["10.8.0.0/16 10.5.0.9", "10.9.0.0/16 10.4.0.7", "10.9.0.0/16 10.4.0.8", "default 203.0.113.1"], Routes());
        await node.ChangeAsync(router with { Routes = [new HostRoute("10.9.0.0/16", "10.4.0.8")] });
        await Eventually.TrueAsync(() => Routes().Count() == 2, "the routes are gone");
        Assert.Equal(["10.9.0.0/16 10.4.0.8", "default 203.0.113.1"], Routes());

        IEnumerable<string> Routes()
        {
            using var links = RouteClient.Open(Place);
            return [.. links.ListRoutes().Where(route => route.Gateway is not null).Select(route => $"{route.Destination?.ToString() ?? "default"} {route.Gateway}").Order(StringComparer.Ordinal)];
        }
    }

    [Fact]
    public async Task A_restarted_agent_finds_everything_and_changes_nothing()
    {
        var full = router with
        {
            FloatingIps = [L3Samples.Floating(Floating, "10.4.0.11", L3Samples.Forwarding("udp", 53, 53, "10.4.0.11", 53, 53)) with { Status = "ACTIVE", BandwidthLimits = [new BandwidthLimit("ingress", 3000, 0), new BandwidthLimit("egress", 1000, 2000)] }],
            Interfaces = [.. router.Interfaces, L3Samples.Port("4a1b1c1d-0000-4000-8000-000000000004", "fa:16:3e:00:04:01", "fd00:4::1", "fd00:4::/64", "fd00:4::1", "slaac", "a-scope")],
            Routes = [new HostRoute("10.9.0.0/16", "10.4.0.7"), new HostRoute("10.9.0.0/16", "10.4.0.8")],
            ConntrackHelpers = [new L3ConntrackHelper("tcp", 21, "ftp")],
        };
        await node.ServeAsync(full);
        await Eventually.TrueAsync(() => File.Exists(Path.Combine(node.Files(router.Id), "radvd.pid")), "radvd runs");
        await node.Agent.WhenIdleAsync();
        await node.Agent.DisposeAsync();
        // Traffic goes on without it, and leaves its counts at the rules.
        Assert.NotNull(await L3Node.ConnectAsync(outside, Floating, 7001, guest));
        var before = await SnapshotAsync();
        var reports = node.Server.Reports.Count;
        await node.StartAgentAsync();
        await Eventually.TrueAsync(() => node.Server.Reports.Count > reports, "the agent is there");
        await node.Agent.WhenIdleAsync();
        await node.Server.HintAsync(router.Id);
        await node.Agent.WhenIdleAsync();
        Assert.Equal(before, await SnapshotAsync());
    }

    [Fact]
    public async Task A_router_that_went_away_while_no_agent_ran_is_cleared_up_by_the_next()
    {
        await node.Agent.DisposeAsync();
        node.Server.Routers.Clear();
        await node.StartAgentAsync();
        await Eventually.TrueAsync(() => !Directory.Exists(node.Files(router.Id)), "its files are gone");
        Assert.False(NetworkNamespace.Exists(Place));
        Assert.DoesNotContain("qr-", await node.Sandbox.VsctlAsync("list-ports", "br-int"), StringComparison.Ordinal);
        Assert.DoesNotContain("qg-", await node.Sandbox.VsctlAsync("list-ports", "br-int"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_router_half_made_by_an_agent_that_died_is_finished_by_the_next()
    {
        await node.Agent.DisposeAsync();
        foreach (var command in new[] { "iptables -t nat -F", "iptables -t nat -X", $"ip addr flush dev {External}", "sysctl -qw net.ipv4.ip_forward=0" })
        {
            await OpenVSwitchSandbox.RunAsync("ip", ["netns", "exec", Place, .. command.Split(' ')]);
        }

        File.Delete(Path.Combine(node.Files(router.Id), "translations"));
        await node.StartAgentAsync();
        await node.SettleAsync(router);
        Assert.Equal(Gateway, (await L3Node.ConnectAsync(guest, "203.0.113.1", 7001, outside))?.ToString());
    }

    [Fact]
    public async Task The_devices_of_a_restarted_switch_take_the_dead_ones_places()
    {
        var before = Index();
        await node.Sandbox.StopSwitchAsync();
        await node.Sandbox.StartSwitchAsync();
        await Eventually.TrueAsync(() => Index() is var now && now != 0 && now != before, "the device is a new one");
        await node.Agent.WhenIdleAsync();
        Assert.Equal(Gateway, (await L3Node.ConnectAsync(guest, "203.0.113.1", 7001, outside))?.ToString());

        int Index()
        {
            using var links = RouteClient.Open(Place);
            return links.FindLink(External)?.Index ?? 0;
        }
    }

    [Fact]
    public async Task A_router_that_is_administratively_down_has_no_ports()
    {
        var down = router with { AdminStateUp = false };
        await node.Server.SetAsync(down);
        await Eventually.TrueAsync(async () => !(await node.Sandbox.VsctlAsync("list-ports", "br-int")).Contains("qr-", StringComparison.Ordinal), "its devices are gone");
        Assert.True(NetworkNamespace.Exists(Place));
        await node.ServeAsync(router);
        Assert.True(await OpenVSwitchSandbox.PingAsync(guest, "203.0.113.1", 10));
    }

    [Fact]
    public async Task IPv6_guests_find_address_and_router_by_radvd_which_is_started_again_where_it_dies()
    {
        await node.ServeAsync(router with
        {
            Interfaces =
            [
                L3Samples.Port(L3Samples.Inner, "fa:16:3e:00:01:01", "fd00:4::1", "fd00:4::/64", "fd00:4::1", "slaac"),
                L3Samples.Port(L3Samples.Other, "fa:16:3e:00:02:01", "fd00:5::1", "fd00:5::/64", "fd00:5::1"),
            ],
        });
        var one = await node.MachineAsync("six1", 1, 0x16, "192.0.2.2/24", null);
        var other = await node.MachineAsync("six2", 2, 0x26, "fd00:5::26/64", "fd00:5::1");
        await Eventually.TrueAsync(() => Has(one, "fd00:4:"), "it has an address of the prefix");
        // An address is not used before nobody else has been found to have it.
        await Eventually.TrueAsync(() => OpenVSwitchSandbox.PingAsync(one, "fd00:5::26"), "it reaches the other network");
        using (var links = RouteClient.Open(one))
        {
            // The router advertises itself by its own address, though it has the metadata service's too.
            Assert.Equal("fe80::f816:3eff:fe00:101", links.ListRoutes().Single(route => route is { Destination: null, Family: AddressFamily.InterNetworkV6 }).Gateway!.ToString().Split('%')[0]);
        }

        var pidFile = Path.Combine(node.Files(router.Id), "radvd.pid");
        var killed = (await File.ReadAllLinesAsync(pidFile, TestContext.Current.CancellationToken))[0];
        await OpenVSwitchSandbox.RunAsync("kill", "-9", killed);
        await Eventually.TrueAsync(() => File.ReadAllLines(pidFile) is [var pid, ..] && pid != killed && Directory.Exists($"/proc/{pid}"), "radvd runs again");
        Assert.NotEmpty(other);

        static bool Has(string machine, string prefix)
        {
            using var links = RouteClient.Open(machine);
            return links.ListAddresses("eth0").Any(address => address.Address.ToString().StartsWith(prefix, StringComparison.Ordinal));
        }
    }

    /// <summary>Counters start anew where a table is written again, and the switch counts its changes.</summary>
    private async Task<string> SnapshotAsync()
    {
        using var links = RouteClient.Open(Place);
        var rules = await OpenVSwitchSandbox.RunAsync("ip", "netns", "exec", Place, "iptables-save", "-c", "-t", "nat");
        return string.Join(
            '\n',
            [
                .. links.ListLinks().Select(link => link.ToString()),
                .. links.ListLinks().SelectMany(link => links.ListAddresses(link.Name).Select(address => address.ToString())),
                .. links.ListRoutes().Select(route => route.ToString()),
                .. rules.Split('\n').Where(line => !line.StartsWith('#')),
                await node.Sandbox.VsctlAsync("get", "Open_vSwitch", ".", "next_cfg"),
                await File.ReadAllTextAsync(Path.Combine(node.Files(router.Id), "radvd.pid")),
            ]);
    }
}
