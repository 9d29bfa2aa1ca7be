using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using SharpStack.Foundation.Bus;
using SharpStack.Foundation.Configuration;
using SharpStack.LinuxHost.Namespaces;
using SharpStack.Neutron.Agents.OpenVSwitch;
using SharpStack.Neutron.Contracts;
using SharpStack.OpenVSwitch.OpenFlow;
using SharpStack.TestKit;
using SharpStack.TestKit.Hosts;

namespace SharpStack.Neutron.Agents.Tests.OpenVSwitch;

/// <summary>The agent with a real switch, machines in namespaces and a server of dictionaries.</summary>
public sealed class OpenVSwitchAgentTests : IAsyncLifetime
{
    private const string MacA = "fa:16:3e:00:00:0a";
    private const string MacB = "fa:16:3e:00:00:0b";

    private readonly CancellationTokenSource limit = new(TimeSpan.FromSeconds(100));
    private readonly InProcessBus bus = new(TimeProvider.System, NullLogger<InProcessBus>.Instance);
    private readonly RecordingLog log = new();
    private FakeServer server = null!;
    private OpenVSwitchSandbox sandbox = null!;
    private OpenVSwitchAgent agent = null!;

    public async ValueTask InitializeAsync()
    {
        server = new FakeServer(bus);
        sandbox = await OpenVSwitchSandbox.StartAsync();
        await sandbox.VsctlAsync("add-br", "br-phys", "--", "set", "bridge", "br-phys", "datapath_type=netdev");
        agent = await StartAgentAsync();
    }

    public async ValueTask DisposeAsync()
    {
        await agent.DisposeAsync();
        await sandbox.DisposeAsync();
        server.Dispose();
        await bus.DisposeAsync();
        limit.Dispose();
    }

    [Fact]
    public async Task The_bridges_are_those_of_the_lab()
    {
        await PlugAsync("tap-a", "port-a", "internal");
        await server.SetDeviceAsync(FakeServer.Device("port-a", MacA, "10.0.0.10"));
        await server.WaitStatusAsync("port-a", "ACTIVE", limit.Token);
        await agent.WhenIdleAsync().WaitAsync(limit.Token);

        // The switch writes what its connections do into the database every few seconds.
        await EventuallyAsync(async () => Count(await sandbox.VsctlAsync("show"), "Controller \"tcp:127.0.0.1:6633\"\n            is_connected: true") == 2);
        var show = await sandbox.VsctlAsync("show");
        Assert.Equal(2, Count(show, "fail_mode: secure"));
        Assert.Contains("options: {peer=phy-br-phys}", show, StringComparison.Ordinal);
        Assert.Contains("options: {peer=int-br-phys}", show, StringComparison.Ordinal);
        Assert.Contains("Port tap-a\n            tag: 1\n", show, StringComparison.Ordinal);
        Assert.Equal("{net_uuid=net-1, network_type=flat, physical_network=physnet, tag=\"1\"}\n", await sandbox.VsctlAsync("get", "Port", "tap-a", "other_config"));

        var inside = await OfPortAsync("int-br-phys");
        var outside = await OfPortAsync("phy-br-phys");
        Assert.Equal(
            ["table=0,priority=0 actions=NORMAL", $"table=0,priority=2,in_port={outside} actions=drop", $"table=0,priority=4,in_port={outside},dl_vlan=1 actions=pop_vlan,NORMAL"],
            await sandbox.DumpFlowsAsync("br-phys"));
        var flows = await sandbox.DumpFlowsAsync("br-int");
        Assert.Contains($"table=0,priority=2,in_port={inside} actions=drop", flows);
        Assert.Contains($"table=0,priority=3,in_port={inside},vlan_tci=0x0000/0x1fff actions=push_vlan:0x8100,set_field:4097->vlan_vid,resubmit(,60)", flows);
        Assert.Contains("table=23,priority=0 actions=drop", flows);

        var report = Assert.Single(server.AgentReports);
        Assert.Equal("physnet", Assert.Single(report.Configurations["bridge_mappings"]!.AsObject()).Key);
        Assert.Equal(1000, (int?)report.Configurations["resource_provider_bandwidths"]!["br-phys"]!["egress"]);
    }

    [Fact]
    public async Task Ping_and_ssh_pass_after_their_rules_and_not_before()
    {
        var (a, b) = await TwoMachinesAsync();
        using var listener = await ListenAsync(b, "10.0.0.11", 22);
        Assert.False(await OpenVSwitchSandbox.PingAsync(a, "10.0.0.11"));
        Assert.False(await ConnectAsync(a, "10.0.0.11", 22, seconds: 1));

        await server.SetGroupAsync("default", FakeServer.Rule("ingress", protocol: 1));
        await EventuallyAsync(() => OpenVSwitchSandbox.PingAsync(a, "10.0.0.11"));
        Assert.False(await ConnectAsync(a, "10.0.0.11", 22, seconds: 1));

        await server.SetGroupAsync("default", FakeServer.Rule("ingress", protocol: 1), FakeServer.Rule("ingress", 6, 22, 22));
        await EventuallyAsync(() => ConnectAsync(a, "10.0.0.11", 22, seconds: 1));

        await server.SetGroupAsync("default");
        await EventuallyAsync(async () => !await OpenVSwitchSandbox.PingAsync(a, "10.0.0.11"));
        Assert.False(await ConnectAsync(a, "10.0.0.11", 22, seconds: 1));
    }

    [Fact]
    public async Task A_machine_cannot_speak_for_an_address_that_is_not_its_own()
    {
        var (a, b) = await TwoMachinesAsync(FakeServer.Rule("ingress"));
        Assert.True(await OpenVSwitchSandbox.PingAsync(a, "10.0.0.11", 5));
        await OpenVSwitchSandbox.RunAsync("ip", "-n", a, "addr", "add", "10.0.0.99/24", "dev", "eth0");
        Assert.NotEqual(0, (await OpenVSwitchSandbox.TryRunAsync("ip", "netns", "exec", a, "ping", "-c", "1", "-W", "1", "-I", "10.0.0.99", "10.0.0.11")).Code);
        await OpenVSwitchSandbox.RunAsync("ip", "-n", a, "link", "set", "eth0", "address", "fa:16:3e:00:00:ee");
        await OpenVSwitchSandbox.RunAsync("ip", "-n", b, "neigh", "flush", "all");
        Assert.False(await OpenVSwitchSandbox.PingAsync(a, "10.0.0.11"));
    }

    [Fact]
    public async Task Ipv6_passes_by_its_own_rules()
    {
        await server.SetGroupAsync("default", FakeServer.Rule("ingress", protocol: 1));
        async Task<string> MachineV6Async(string device, string port, string mac, string ip)
        {
            var machine = await sandbox.AddMachineAsync(device, mac, $"{ip}/64");
            await PlugAsync(device, port);
            await server.SetDeviceAsync(FakeServer.Device(port, mac, ip, groups: "default"));
            await server.WaitStatusAsync(port, "ACTIVE", limit.Token);
            return machine;
        }

        var a = await MachineV6Async("tap-a", "port-a", MacA, "2001:db8::a");
        await MachineV6Async("tap-b", "port-b", MacB, "2001:db8::b");
        Assert.False(await OpenVSwitchSandbox.PingAsync(a, "2001:db8::b"));
        await server.SetGroupAsync("default", FakeServer.Rule("ingress", protocol: 58, group: "default", etherType: "IPv6"));
        await EventuallyAsync(() => OpenVSwitchSandbox.PingAsync(a, "2001:db8::b"));
    }

    [Fact]
    public async Task Lost_and_doubled_hints_cost_time_only()
    {
        var (a, _) = await TwoMachinesAsync();
        bus.Chaos = _ => 0;
        await server.SetGroupAsync("default", FakeServer.Rule("ingress", protocol: 1));
        await agent.WhenIdleAsync().WaitAsync(limit.Token);
        Assert.False(await OpenVSwitchSandbox.PingAsync(a, "10.0.0.11"));
        bus.RaiseReconnected();
        await EventuallyAsync(() => OpenVSwitchSandbox.PingAsync(a, "10.0.0.11"));
        await agent.WhenIdleAsync().WaitAsync(limit.Token);
        var before = await sandbox.DumpFlowsAsync("br-int");
        bus.Chaos = _ => 2;
        var asked = server.GroupQuestions;
        await server.SetGroupAsync("default", FakeServer.Rule("ingress", protocol: 1));
        await Eventually.TrueAsync(() => server.GroupQuestions > asked, "the agent asks for the group");
        await agent.WhenIdleAsync().WaitAsync(limit.Token);
        Assert.Equal(before, await sandbox.DumpFlowsAsync("br-int"));
    }

    [Fact]
    public async Task Hints_that_come_while_it_works_are_followed_in_one_pass()
    {
        await EventuallyAsync(() => Task.FromResult(!server.DeviceQuestions.IsEmpty));
        await agent.WhenIdleAsync().WaitAsync(limit.Token);
        var release = new TaskCompletionSource();
        server.BeforeDevices = release.Task;
        server.DeviceQuestions.Clear();
        string[] ids = [.. Enumerable.Range(0, 30).Select(number => $"port-{number:00}")];
        await HintAsync(ids[0]);
        await EventuallyAsync(() => Task.FromResult(!server.DeviceQuestions.IsEmpty));
        foreach (var id in ids[1..])
        {
            await HintAsync(id);
        }

        release.SetResult();
        await agent.WhenIdleAsync().WaitAsync(limit.Token);
        Assert.Equal([ids[..1], ids[1..]], server.DeviceQuestions.Select(asked => asked.Order().ToArray()));

        Task HintAsync(string id) => bus.CallAsync(OpenVSwitchContracts.PortChanged, new PortHint(id, "net-1", 1), FakeServer.Host, null, limit.Token);
    }

    [Fact]
    public async Task A_rule_for_a_remote_group_lets_its_members_in_and_nobody_else()
    {
        await server.SetGroupAsync("clients");
        await server.SetGroupAsync("servers", FakeServer.Rule("ingress", 6, 5000, 5001, group: "clients"), FakeServer.Rule("ingress", 6, 5001, 5010, group: "admins"));
        var a = await MachineAsync("tap-a", "port-a", MacA, "10.0.0.10", "clients");
        var b = await MachineAsync("tap-b", "port-b", MacB, "10.0.0.11", "servers");
        var c = await MachineAsync("tap-c", "port-c", "fa:16:3e:00:00:0c", "10.0.0.12");
        await server.SetGroupAsync("clients");
        using var first = await ListenAsync(b, "10.0.0.11", 5000);
        using var second = await ListenAsync(b, "10.0.0.11", 5001);
        using var third = await ListenAsync(b, "10.0.0.11", 5002);
        await EventuallyAsync(() => ConnectAsync(a, "10.0.0.11", 5000, seconds: 1));
        Assert.True(await ConnectAsync(a, "10.0.0.11", 5001, seconds: 5));
        Assert.False(await ConnectAsync(a, "10.0.0.11", 5002, seconds: 1));
        Assert.False(await ConnectAsync(c, "10.0.0.11", 5000, seconds: 1));
    }

    [Fact]
    public async Task Replies_to_a_stateless_group_need_a_rule_of_their_own()
    {
        await server.SetGroupAsync("default", FakeServer.Rule("ingress", 6, 5000, 5000));
        server.Groups["default"] = server.Groups["default"] with { Stateful = false };
        await server.SetGroupAsync("open", FakeServer.Rule("ingress"));
        var a = await MachineAsync("tap-a", "port-a", MacA, "10.0.0.10", "default");
        var b = await MachineAsync("tap-b", "port-b", MacB, "10.0.0.11", "open");
        using var there = await ListenAsync(b, "10.0.0.11", 5000);
        using var here = await ListenAsync(a, "10.0.0.10", 5000);
        await EventuallyAsync(() => ConnectAsync(b, "10.0.0.10", 5000, seconds: 1));
        Assert.False(await ConnectAsync(a, "10.0.0.11", 5000, seconds: 1));
        await server.SetGroupAsync("default", FakeServer.Rule("ingress", 6));
        server.Groups["default"] = server.Groups["default"] with { Stateful = false };
        bus.RaiseReconnected();
        await EventuallyAsync(() => ConnectAsync(a, "10.0.0.11", 5000, seconds: 1));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Limits_of_a_port_are_meters_that_come_and_go_with_it(bool portSecurity)
    {
        await server.SetGroupAsync("default", FakeServer.Rule("ingress"));
        var a = await MachineAsync("tap-a", "port-a", MacA, "10.0.0.10", "default");
        var b = await MachineAsync("tap-b", "port-b", MacB, "10.0.0.11", "default");
        var plain = await sandbox.DumpFlowsAsync("br-int");
        var device = server.Devices["port-b"] with { PortSecurityEnabled = portSecurity };
        await server.SetDeviceAsync(device with { Revision = 2, Qos = new([new("egress", 2000, 0), new("ingress", 100, 100)], 26) });
        var number = int.Parse(await OfPortAsync("tap-b"), System.Globalization.CultureInfo.InvariantCulture);
        var egress = 0x10000 + (2 * number);
        await EventuallyAsync(async () => (await MetersAsync()).Contains($"meter={egress + 1} ", StringComparison.Ordinal));
        await agent.WhenIdleAsync().WaitAsync(limit.Token);
        Assert.Contains($"meter={egress} kbps burst stats bands=\ntype=drop rate=2000 burst_size=1600", await MetersAsync(), StringComparison.Ordinal);
        Assert.Contains($"meter={egress + 1} kbps burst stats bands=\ntype=drop rate=100 burst_size=100", await MetersAsync(), StringComparison.Ordinal);
        Assert.Contains(await sandbox.DumpFlowsAsync("br-int"), flow => flow.StartsWith($"table=60,priority=101,ip,in_port={number} actions=meter:{egress},set_field:26->ip_dscp,", StringComparison.Ordinal));

        // A megabit, at 100 kilobits a second and 100 at once, cannot arrive whole; what it sends itself has another limit.
        Assert.InRange(await BlastAsync(a, b, "10.0.0.11"), 1, 60);
        Assert.InRange(await BlastAsync(b, a, "10.0.0.10"), 90, 100);

        // A restarted switch gets its meters back, and a port without limits has none.
        await sandbox.StopSwitchAsync();
        await sandbox.StartSwitchAsync();
        await EventuallyAsync(async () => (await MetersAsync()).Contains($"meter={egress + 1} ", StringComparison.Ordinal));
        await server.SetDeviceAsync(server.Devices["port-b"] with { Revision = 3, PortSecurityEnabled = true, Qos = null });
        await EventuallyAsync(async () => !(await MetersAsync()).Contains("meter=", StringComparison.Ordinal));
        await agent.WhenIdleAsync().WaitAsync(limit.Token);
        Assert.Equal(plain, await sandbox.DumpFlowsAsync("br-int"));
    }

    [Fact]
    public async Task A_flat_and_a_vlan_network_reach_the_physical_network_each_with_its_tag()
    {
        var outside = await sandbox.AddMachineAsync("phys0", "02:00:00:00:00:01", "10.0.0.1/24");
        await sandbox.VsctlAsync("add-port", "br-phys", "phys0");
        var a = await MachineAsync("tap-a", "port-a", MacA, "10.0.0.10", "open");
        await server.SetGroupAsync("open", FakeServer.Rule("ingress"));
        await EventuallyAsync(() => OpenVSwitchSandbox.PingAsync(outside, "10.0.0.10"));
        Assert.True(await OpenVSwitchSandbox.PingAsync(a, "10.0.0.1", 5));

        // The same addresses on VLAN 100 are another network.
        await sandbox.AddMachineAsync("tap-b", MacB, "10.0.0.11/24");
        await PlugAsync("tap-b", "port-b");
        await server.SetDeviceAsync(FakeServer.Device("port-b", MacB, "10.0.0.11", "net-2", "vlan", 100, groups: "open"));
        await server.WaitStatusAsync("port-b", "ACTIVE", limit.Token);
        Assert.False(await OpenVSwitchSandbox.PingAsync(outside, "10.0.0.11"));
        await sandbox.VsctlAsync("set", "Port", "phys0", "tag=100");
        await EventuallyAsync(() => OpenVSwitchSandbox.PingAsync(outside, "10.0.0.11"));
        Assert.Contains(await sandbox.DumpFlowsAsync("br-phys"), flow => flow.EndsWith("dl_vlan=2 actions=set_field:4196->vlan_vid,NORMAL", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_restarted_agent_finds_everything_as_it_is_and_no_packet_is_lost()
    {
        var (a, _) = await TwoMachinesAsync(FakeServer.Rule("ingress", group: "default"));
        Assert.True(await OpenVSwitchSandbox.PingAsync(a, "10.0.0.11", 5));
        await agent.WhenIdleAsync().WaitAsync(limit.Token);
        await sandbox.RunToolAsync("ovs-ofctl", "-O", "OpenFlow14", "add-flow", $"unix:{sandbox.Directory}/br-int.mgmt", "cookie=0x1,table=99,priority=7,actions=drop");
        var before = await sandbox.DumpFlowsAsync("br-int");
        var pinging = OpenVSwitchSandbox.RunAsync("ip", "netns", "exec", a, "ping", "-c", "30", "-i", "0.1", "-q", "10.0.0.11");

        await agent.DisposeAsync();
        log.Messages.Clear();
        agent = await StartAgentAsync();
        await log.WaitAsync("Reported", limit.Token);
        await agent.WhenIdleAsync().WaitAsync(limit.Token);

        Assert.Contains(" 0% packet loss", await pinging, StringComparison.Ordinal);
        Assert.Equal(before, await sandbox.DumpFlowsAsync("br-int"));
        Assert.DoesNotContain(log.Messages, message => message.StartsWith("Flows of", StringComparison.Ordinal));
        Assert.Equal("1\n", await sandbox.VsctlAsync("get", "Port", "tap-a", "tag"));
    }

    [Fact]
    public async Task A_restarted_switch_gets_its_flows_back()
    {
        var (a, _) = await TwoMachinesAsync(FakeServer.Rule("ingress"));
        Assert.True(await OpenVSwitchSandbox.PingAsync(a, "10.0.0.11", 5));
        await agent.WhenIdleAsync().WaitAsync(limit.Token);
        var before = await sandbox.DumpFlowsAsync("br-int");
        await sandbox.StopSwitchAsync();
        await sandbox.StartSwitchAsync();
        await EventuallyAsync(() => OpenVSwitchSandbox.PingAsync(a, "10.0.0.11"));
        await agent.WhenIdleAsync().WaitAsync(limit.Token);
        Assert.Equal(before, await sandbox.DumpFlowsAsync("br-int"));
    }

    [Fact]
    public async Task A_restarted_database_changes_no_flow_and_new_ports_are_wired_after_it()
    {
        var (a, _) = await TwoMachinesAsync(FakeServer.Rule("ingress"));
        var before = await sandbox.DumpFlowsAsync("br-int");
        await sandbox.StopDatabaseAsync();
        sandbox.StartDatabase();
        await EventuallyAsync(() => OpenVSwitchSandbox.PingAsync(a, "10.0.0.11"));
        await MachineAsync("tap-c", "port-c", "fa:16:3e:00:00:0c", "10.0.0.12", "default");
        await EventuallyAsync(() => OpenVSwitchSandbox.PingAsync(a, "10.0.0.12"));
        await sandbox.VsctlAsync("del-port", "tap-c");
        await server.WaitStatusAsync("port-c", "DOWN", limit.Token);
        Assert.Equal(before, await sandbox.DumpFlowsAsync("br-int"));
    }

    [Fact]
    public async Task Agent_switch_and_database_heal_where_all_of_them_were_restarted()
    {
        var (a, _) = await TwoMachinesAsync(FakeServer.Rule("ingress"));
        Assert.True(await OpenVSwitchSandbox.PingAsync(a, "10.0.0.11", 5));
        await agent.WhenIdleAsync().WaitAsync(limit.Token);
        var before = await sandbox.DumpFlowsAsync("br-int");
        await agent.DisposeAsync();
        await sandbox.StopSwitchAsync();
        await sandbox.StopDatabaseAsync();
        sandbox.StartDatabase();
        await sandbox.StartSwitchAsync();
        agent = await StartAgentAsync();
        await EventuallyAsync(() => OpenVSwitchSandbox.PingAsync(a, "10.0.0.11"));
        await agent.WhenIdleAsync().WaitAsync(limit.Token);
        Assert.Equal(before, await sandbox.DumpFlowsAsync("br-int"));
    }

    [Fact]
    public async Task Flows_deleted_behind_its_back_come_back_with_the_slow_look()
    {
        await TwoMachinesAsync();
        await agent.WhenIdleAsync().WaitAsync(limit.Token);
        var before = await sandbox.DumpFlowsAsync("br-int");
        await sandbox.RunToolAsync("ovs-ofctl", "-O", "OpenFlow14", "del-flows", $"unix:{sandbox.Directory}/br-int.mgmt");
        bus.RaiseReconnected();
        await EventuallyAsync(async () => (await sandbox.DumpFlowsAsync("br-int")).SequenceEqual(before));
    }

    [Fact]
    public async Task An_unplugged_port_leaves_no_flow_and_is_reported_down()
    {
        await MachineAsync("tap-a", "port-a", MacA, "10.0.0.10", "default");
        await agent.WhenIdleAsync().WaitAsync(limit.Token);
        var one = await sandbox.DumpFlowsAsync("br-int");
        await MachineAsync("tap-b", "port-b", MacB, "10.0.0.11", "default");
        await sandbox.VsctlAsync("del-port", "tap-b");
        await server.WaitStatusAsync("port-b", "DOWN", limit.Token);
        Assert.Equal(one, await sandbox.DumpFlowsAsync("br-int"));
        Assert.Equal("ACTIVE", server.Status["port-a"]);
    }

    [Fact]
    public async Task A_port_that_the_server_does_not_know_is_cut_off()
    {
        var (a, _) = await TwoMachinesAsync(FakeServer.Rule("ingress"));
        Assert.True(await OpenVSwitchSandbox.PingAsync(a, "10.0.0.11", 5));
        await server.DeleteDeviceAsync("port-b");
        await EventuallyAsync(async () => await sandbox.VsctlAsync("get", "Port", "tap-b", "tag") == "4095\n");
        Assert.False(await OpenVSwitchSandbox.PingAsync(a, "10.0.0.11"));
        Assert.DoesNotContain(await sandbox.DumpFlowsAsync("br-int"), flow => flow.Contains(MacB, StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_service_port_and_a_port_without_security_reach_machines_by_the_rules_only()
    {
        await server.SetGroupAsync("default");
        var a = await MachineAsync("tap-a", "port-a", MacA, "10.0.0.10", "default");
        await sandbox.AddMachineAsync("tap-d", MacB, "10.0.0.2/24");
        await PlugAsync("tap-d", "port-d");
        await server.SetDeviceAsync(FakeServer.Device("port-d", MacB, "10.0.0.2", owner: "network:dhcp", groups: []));
        await server.WaitStatusAsync("port-d", "ACTIVE", limit.Token);
        await EventuallyAsync(() => OpenVSwitchSandbox.PingAsync(a, "10.0.0.2"));
        Assert.False(await OpenVSwitchSandbox.PingAsync($"{sandbox.Namespace}-tap-d", "10.0.0.10"));

        await server.SetDeviceAsync(FakeServer.Device("port-a", MacA, "10.0.0.10", portSecurity: false) with { Revision = 2 });
        await EventuallyAsync(() => OpenVSwitchSandbox.PingAsync($"{sandbox.Namespace}-tap-d", "10.0.0.10"));
    }

    [Fact]
    public async Task A_tag_changed_by_somebody_else_is_set_right()
    {
        await MachineAsync("tap-a", "port-a", MacA, "10.0.0.10", "default");
        await agent.WhenIdleAsync().WaitAsync(limit.Token);
        await sandbox.VsctlAsync("set", "Port", "tap-a", "tag=77");
        await EventuallyAsync(async () => await sandbox.VsctlAsync("get", "Port", "tap-a", "tag") == "1\n");
    }

    [Fact]
    public async Task A_port_disabled_by_its_owner_is_cut_off_and_down_until_it_is_enabled()
    {
        var (a, _) = await TwoMachinesAsync(FakeServer.Rule("ingress"));
        var device = server.Devices["port-b"];
        await server.SetDeviceAsync(device with { AdminStateUp = false, Revision = 2 });
        await server.WaitStatusAsync("port-b", "DOWN", limit.Token);
        Assert.False(await OpenVSwitchSandbox.PingAsync(a, "10.0.0.11"));
        await server.SetDeviceAsync(device with { Revision = 3 });
        await server.WaitStatusAsync("port-b", "ACTIVE", limit.Token);
        await EventuallyAsync(() => OpenVSwitchSandbox.PingAsync(a, "10.0.0.11"));
    }

    private Task<string> MetersAsync() => sandbox.RunToolAsync("ovs-ofctl", "-O", "OpenFlow14", "dump-meters", $"unix:{sandbox.Directory}/br-int.mgmt");

    /// <summary>How many of 100 pings of 1250 bytes, sent at once, arrive.</summary>
    private static async Task<int> BlastAsync(string from, string to, string address)
    {
        var before = await EchoesAsync(to);
        await OpenVSwitchSandbox.TryRunAsync("ip", "netns", "exec", from, "ping", "-q", "-i", "0.002", "-l", "50", "-c", "100", "-W", "1", "-s", "1208", address);
        return await EchoesAsync(to) - before;
    }

    private static async Task<int> EchoesAsync(string machine)
    {
        var lines = (await OpenVSwitchSandbox.RunAsync("ip", "netns", "exec", machine, "cat", "/proc/net/snmp")).Split('\n').Where(line => line.StartsWith("Icmp: ", StringComparison.Ordinal)).Select(line => line.Split(' ')).ToList();
        return int.Parse(lines[1][Array.IndexOf(lines[0], "InEchos")], System.Globalization.CultureInfo.InvariantCulture);
    }

    private static int Count(string text, string part) => text.Split(part).Length - 1;

    private async Task<string> OfPortAsync(string name) => (await sandbox.VsctlAsync("get", "Interface", name, "ofport")).Trim();

    private async Task<OpenVSwitchAgent> StartAgentAsync()
    {
        var config = ServiceConfig.Empty("neutron")
            .With("ovs", "bridge_mappings", "physnet:br-phys")
            .With("ovs", "resource_provider_bandwidths", "br-phys:1000:")
            .With("ovs", "datapath_type", "netdev")
            .With("ovs", "ovsdb_connection", sandbox.Database);
        var settings = AgentSettings.Read(config, FakeServer.Host);
        var started = new OpenVSwitchAgent(settings, bus, TimeProvider.System, log, () => new OpenFlowController(sandbox.Bind(new IPEndPoint(IPAddress.Loopback, 6633))));
        await started.StartAsync(limit.Token);
        return started;
    }

    private async Task PlugAsync(string device, string port, string type = "")
    {
        await EventuallyAsync(async () => (await sandbox.VsctlAsync("list-br")).Contains("br-int", StringComparison.Ordinal));
        await sandbox.VsctlAsync("add-port", "br-int", device, "--", "set", "Interface", device, $"type={(type.Length == 0 ? "\"\"" : type)}", $"external_ids:iface-id={port}", "external_ids:iface-status=active");
    }

    private async Task<string> MachineAsync(string device, string port, string mac, string ip, params string[] groups)
    {
        var machine = await sandbox.AddMachineAsync(device, mac, $"{ip}/24");
        await PlugAsync(device, port);
        await server.SetDeviceAsync(FakeServer.Device(port, mac, ip, groups: groups));
        await server.WaitStatusAsync(port, "ACTIVE", limit.Token);
        return machine;
    }

    private async Task<(string A, string B)> TwoMachinesAsync(params SecurityGroupRuleDetails[] rules)
    {
        await server.SetGroupAsync("default", rules);
        var a = await MachineAsync("tap-a", "port-a", MacA, "10.0.0.10", "default");
        var b = await MachineAsync("tap-b", "port-b", MacB, "10.0.0.11", "default");

        // The members are known only now; when the agent has asked and is idle, no hint is under way any more.
        await agent.WhenIdleAsync().WaitAsync(limit.Token);
        var asked = server.GroupQuestions;
        await server.SetGroupAsync("default", rules);
        await Eventually.TrueAsync(() => server.GroupQuestions > asked, "the agent asks for the group");
        await agent.WhenIdleAsync().WaitAsync(limit.Token);
        return (a, b);
    }

    private static Task<Socket> ListenAsync(string machine, string address, int port)
    {
        var socket = NetworkNamespace.OpenSocket(machine, AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Parse(address), port));
        socket.Listen();
        return Task.FromResult(socket);
    }

    private async Task<bool> ConnectAsync(string machine, string address, int port, int seconds)
    {
        using var socket = NetworkNamespace.OpenSocket(machine, AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(limit.Token);
        patience.CancelAfter(TimeSpan.FromSeconds(seconds));
        try
        {
            await socket.ConnectAsync(new IPEndPoint(IPAddress.Parse(address), port), patience.Token);
            return true;
        }
        catch (OperationCanceledException) when (!limit.IsCancellationRequested)
        {
            return false;
        }
    }

    /// <summary>Tries until it holds; each try takes its own time.</summary>
    private async Task EventuallyAsync(Func<Task<bool>> holds)
    {
        while (!await holds())
        {
            limit.Token.ThrowIfCancellationRequested();
        }
    }
}
