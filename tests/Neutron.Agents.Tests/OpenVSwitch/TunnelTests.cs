using System.Net;
using Microsoft.Extensions.Logging.Abstractions;
using SharpStack.Foundation.Bus;
using SharpStack.Foundation.Configuration;
using SharpStack.LinuxHost.Links;
using SharpStack.Neutron.Agents.OpenVSwitch;
using SharpStack.OpenVSwitch.OpenFlow;
using SharpStack.TestKit;
using SharpStack.TestKit.Hosts;

namespace SharpStack.Neutron.Agents.Tests.OpenVSwitch;

/// <summary>Hosts with a real switch each on one underlay, their agents, and the real server.</summary>
public sealed class TunnelTests : IAsyncLifetime
{
    private readonly CancellationTokenSource limit = new(TimeSpan.FromSeconds(100));
    private readonly Dictionary<int, OpenVSwitchSandbox> hosts = [];
    private readonly Dictionary<int, OpenVSwitchAgent> agents = [];
    private TestCloud cloud = null!;
    private TestClient admin = null!;
    private TestClient demo = null!;
    private int devices;

    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public async ValueTask DisposeAsync()
    {
        foreach (var agent in agents.Values)
        {
            await agent.DisposeAsync();
        }

        foreach (var host in hosts.Values.Reverse())
        {
            await host.DisposeAsync();
        }

        await cloud.DisposeAsync();
        limit.Dispose();
    }

    [Fact]
    public async Task Machines_of_a_project_network_reach_each_other_through_a_full_mesh_and_nobody_elses()
    {
        await StartAsync(3, "vxlan");
        var network = await NetworkAsync(demo);
        var a = await PlugAsync(demo, network, 1);
        var b = await PlugAsync(demo, network, 2);
        await PingsAsync(a, b);
        Assert.Equal(0, (await OpenVSwitchSandbox.TryRunAsync("ip", "netns", "exec", a.Machine, "ping", "-c", "1", "-W", "5", "-M", "do", "-s", "1422", b.Address)).Code);

        // The same addresses of another project are other machines.
        var other = await NetworkAsync(admin);
        var c = await PlugAsync(admin, other, 1, a.Address);
        var d = await PlugAsync(admin, other, 2, b.Address);
        await PingsAsync(c, d);
        Assert.Contains(b.Mac, await OpenVSwitchSandbox.RunAsync("ip", "-n", a.Machine, "neigh", "show", b.Address), StringComparison.Ordinal);
        Assert.Contains(d.Mac, await OpenVSwitchSandbox.RunAsync("ip", "-n", c.Machine, "neigh", "show", d.Address), StringComparison.Ordinal);

        await QuietAsync();
        var inside = await OfPortAsync(1, "patch-int");
        var second = await OfPortAsync(1, "vxlan-0afb0002");
        var third = await OfPortAsync(1, "vxlan-0afb0003");
        Assert.Equal("{df_default=\"true\", egress_pkt_mark=\"0\", in_key=flow, local_ip=\"10.251.0.1\", out_key=flow, remote_ip=\"10.251.0.2\"}\n", await hosts[1].VsctlAsync("get", "Interface", "vxlan-0afb0002", "options"));
        var flows = await hosts[1].DumpFlowsAsync("br-tun");
        string[] flood = second < third ? [$"output:{second}", $"output:{third}"] : [$"output:{third}", $"output:{second}"];
        string[] expected =
        [
            "table=0,priority=0 actions=drop",
            $"table=0,priority=1,in_port={inside} actions=resubmit(,2)",
            $"table=0,priority=1,in_port={second} actions=resubmit(,4)",
            $"table=0,priority=1,in_port={third} actions=resubmit(,4)",
            "table=2,priority=0,dl_dst=00:00:00:00:00:00/01:00:00:00:00:00 actions=resubmit(,20)",
            "table=2,priority=0,dl_dst=01:00:00:00:00:00/01:00:00:00:00:00 actions=resubmit(,22)",
            "table=3,priority=0 actions=drop",
            "table=4,priority=0 actions=drop",
            "table=4,priority=1,tun_id=0x7d0 actions=push_vlan:0x8100,set_field:4097->vlan_vid,resubmit(,10)",
            "table=4,priority=1,tun_id=0x7d1 actions=push_vlan:0x8100,set_field:4098->vlan_vid,resubmit(,10)",
            "table=6,priority=0 actions=drop",
            $"table=10,priority=1 actions=learn(table=20,hard_timeout=300,priority=1,cookie=0x536861727053746c,NXM_OF_VLAN_TCI[0..11],NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],load:0->NXM_OF_VLAN_TCI[],load:NXM_NX_TUN_ID[]->NXM_NX_TUN_ID[],output:NXM_OF_IN_PORT[]),output:{inside}",
            "table=20,priority=0 actions=resubmit(,22)",
            "table=22,priority=0 actions=drop",
            $"table=22,priority=1,dl_vlan=1 actions=pop_vlan,set_field:0x7d0->tun_id,{string.Join(',', flood)}",
            $"table=22,priority=1,dl_vlan=2 actions=pop_vlan,set_field:0x7d1->tun_id,{string.Join(',', flood)}",
        ];
        Assert.Equal(expected.Order(StringComparer.Ordinal), flows.Where(flow => !flow.Contains("hard_timeout=300,priority=1,vlan_tci", StringComparison.Ordinal)));
        Assert.Contains($"table=20,hard_timeout=300,priority=1,vlan_tci=0x0001/0x0fff,dl_dst={b.Mac} actions=load:0->NXM_OF_VLAN_TCI[],load:0x7d0->NXM_NX_TUN_ID[],output:{second}", flows);

        // A host that is gone for good takes its tunnels along; a stranger's tunnel stays.
        await hosts[1].VsctlAsync("add-port", "br-tun", "strange", "--", "set", "Interface", "strange", "type=vxlan", "options:remote_ip=10.251.0.9", "options:key=7");
        await agents[3].DisposeAsync();
        var gone = (await admin.GetAsync("/v2.0/agents?host=node-3")).Json.GetProperty("agents")[0].GetProperty("id").GetString();
        (await admin.DeleteAsync($"/v2.0/agents/{gone}")).Expect(204);
        await EventuallyAsync(async () => !(await hosts[1].VsctlAsync("list-ports", "br-tun")).Contains("vxlan-0afb0003", StringComparison.Ordinal), "the tunnel goes");
        Assert.Contains("strange", await hosts[1].VsctlAsync("list-ports", "br-tun"), StringComparison.Ordinal);
        await PingsAsync(a, b);
        Assert.DoesNotContain(await hosts[1].DumpFlowsAsync("br-tun"), flow => flow.Contains($"in_port={third} ", StringComparison.Ordinal) || flow.EndsWith($"output:{third}", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("gre", "table=3,")]
    [InlineData("geneve", "table=6,")]
    public async Task Other_tunnels_carry_networks_too(string type, string table)
    {
        await StartAsync(2, type);
        var network = await NetworkAsync(demo);
        var a = await PlugAsync(demo, network, 1);
        var b = await PlugAsync(demo, network, 2);
        await PingsAsync(a, b);
        Assert.Contains($"{type}-0afb0002", await hosts[1].VsctlAsync("list-ports", "br-tun"), StringComparison.Ordinal);
        Assert.Contains(await hosts[1].DumpFlowsAsync("br-tun"), flow => flow.StartsWith(table, StringComparison.Ordinal) && flow.Contains("tun_id=", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_restarted_agent_and_a_restarted_switch_find_their_tunnels_again()
    {
        await StartAsync(2, "vxlan");
        var network = await NetworkAsync(demo);
        var a = await PlugAsync(demo, network, 1);
        var b = await PlugAsync(demo, network, 2);
        await PingsAsync(a, b);
        await QuietAsync();
        var before = await OwnFlowsAsync(1);
        var pinging = OpenVSwitchSandbox.RunAsync("ip", "netns", "exec", a.Machine, "ping", "-c", "20", "-i", "0.1", "-q", b.Address);
        await agents[1].DisposeAsync();
        await StartAgentAsync(1);
        await QuietAsync();
        Assert.Contains(" 0% packet loss", await pinging, StringComparison.Ordinal);
        Assert.Equal(before, await OwnFlowsAsync(1));

        await hosts[1].StopSwitchAsync();
        await hosts[1].StartSwitchAsync();
        await PingsAsync(a, b);
        await QuietAsync();
        Assert.Equal(before, await OwnFlowsAsync(1));
    }

    [Fact]
    public async Task With_l2population_the_server_says_where_machines_are()
    {
        await StartAsync(3, "vxlan", populate: true);
        var network = await NetworkAsync(demo);
        var a = await PlugAsync(demo, network, 1);
        await QuietAsync();
        Assert.DoesNotContain("vxlan", await hosts[1].VsctlAsync("list-ports", "br-tun"), StringComparison.Ordinal);
        var b = await PlugAsync(demo, network, 2);
        await EventuallyAsync(async () => (await hosts[1].VsctlAsync("list-ports", "br-tun")).Contains("vxlan-0afb0002", StringComparison.Ordinal), "the tunnel comes with the first port");
        await PingsAsync(a, b);
        await QuietAsync();
        var tunnel = await OfPortAsync(1, "vxlan-0afb0002");
        var flows = await hosts[1].DumpFlowsAsync("br-tun");
        Assert.Contains($"table=20,priority=2,dl_vlan=1,dl_dst={b.Mac} actions=pop_vlan,set_field:0x7d0->tun_id,output:{tunnel}", flows);
        Assert.Contains($"table=22,priority=1,dl_vlan=1 actions=pop_vlan,set_field:0x7d0->tun_id,output:{tunnel}", flows);
        Assert.Contains("table=2,priority=1,arp,dl_dst=ff:ff:ff:ff:ff:ff actions=resubmit(,21)", flows);
        var reply = Assert.Single(flows, flow => flow.StartsWith($"table=21,priority=1,arp,dl_vlan=1,arp_tpa={b.Address} actions=", StringComparison.Ordinal));
        Assert.Contains($"set_field:{b.Mac}->eth_src", reply, StringComparison.Ordinal);

        // The question for the neighbour's address is answered here, and goes nowhere.
        await OpenVSwitchSandbox.RunAsync("ip", "-n", a.Machine, "neigh", "flush", "all");
        var answered = await AnsweredAsync(b.Address);
        await PingsAsync(a, b);
        Assert.Contains(b.Mac, await OpenVSwitchSandbox.RunAsync("ip", "-n", a.Machine, "neigh", "show", b.Address), StringComparison.Ordinal);
        await EventuallyAsync(async () => await AnsweredAsync(b.Address) > answered, "the switch has counted its answer");

        // A port that goes takes its flows along, and the last one the tunnel.
        (await demo.DeleteAsync($"/v2.0/ports/{b.Id}")).Expect(204);
        await EventuallyAsync(async () => !(await hosts[1].VsctlAsync("list-ports", "br-tun")).Contains("vxlan", StringComparison.Ordinal), "the tunnel goes with the last port");
        Assert.DoesNotContain(await hosts[1].DumpFlowsAsync("br-tun"), flow => flow.Contains(b.Mac, StringComparison.Ordinal) || flow.Contains(b.Address, StringComparison.Ordinal));
    }

    /// <summary>How many questions for an address the first host has answered.</summary>
    private async Task<int> AnsweredAsync(string address) => int.Parse(
        (await hosts[1].RunToolAsync("ovs-ofctl", "-O", "OpenFlow14", "dump-aggregate", $"unix:{hosts[1].Directory}/br-tun.mgmt", $"table=21,arp,dl_vlan=1,arp_tpa={address}"))
            .Split("packet_count=")[1].Split(' ')[0],
        System.Globalization.CultureInfo.InvariantCulture);

    private async Task StartAsync(int count, string type, bool populate = false)
    {
        cloud = await TestCloud.StartAsync(
            [new NeutronModule()],
            [
                ("neutron", "ml2", "type_drivers", $"local,flat,{type}"),
                ("neutron", "ml2", "tenant_network_types", type),
                ("neutron", "ml2", "mechanism_drivers", populate ? "openvswitch,l2population" : "openvswitch"),
                ("neutron", $"ml2_type_{type}", type == "gre" ? "tunnel_id_ranges" : "vni_ranges", "2000:2100"),
                ("neutron", "DEFAULT", "notify_nova_on_port_status_changes", "false"),
                ("neutron", "DEFAULT", "notify_nova_on_port_data_changes", "false"),
            ]);
        admin = cloud.Client("neutron-server", "admin");
        demo = cloud.Client("neutron-server", "demo");
        string? underlay = null;
        for (var number = 1; number <= count; number++)
        {
            var host = hosts[number] = await OpenVSwitchSandbox.StartAsync();
            if (underlay is null)
            {
                underlay = $"{host.Namespace}-underlay";
                await host.AddNamespaceAsync(underlay);
                await OpenVSwitchSandbox.RunAsync("ip", "-n", underlay, "link", "add", "wire", "up", "type", "bridge");
            }

            await OpenVSwitchSandbox.RunAsync("ip", "-n", underlay, "link", "add", $"tun{number}", "up", "master", "wire", "type", "veth", "peer", "name", "tun0", "netns", host.Namespace);
            Offloads.SetTransmitChecksumming("tun0", enabled: false, host.Namespace);
            await OpenVSwitchSandbox.RunAsync("ip", "-n", host.Namespace, "link", "set", "tun0", "up");
            await host.VsctlAsync("add-br", "br-underlay", "--", "set", "bridge", "br-underlay", "datapath_type=netdev", "--", "add-port", "br-underlay", "tun0");
            await OpenVSwitchSandbox.RunAsync("ip", "-n", host.Namespace, "addr", "add", $"10.251.0.{number}/24", "dev", "br-underlay");
            await OpenVSwitchSandbox.RunAsync("ip", "-n", host.Namespace, "link", "set", "br-underlay", "up");
            await StartAgentAsync(number, type, populate);
        }

        await EventuallyAsync(async () => (await admin.GetAsync("/v2.0/agents")).Json.GetProperty("agents").GetArrayLength() == count, "all agents report");
    }

    private async Task StartAgentAsync(int number, string type = "vxlan", bool populate = false)
    {
        var config = ServiceConfig.Empty("neutron")
            .With("ovs", "datapath_type", "netdev")
            .With("ovs", "ovsdb_connection", hosts[number].Database)
            .With("ovs", "local_ip", $"10.251.0.{number}")
            .With("agent", "tunnel_types", type)
            .With("agent", "l2_population", $"{populate}")
            .With("agent", "arp_responder", $"{populate}");
        agents[number] = new OpenVSwitchAgent(
            AgentSettings.Read(config, $"node-{number}"),
            cloud.Get<IMessageBus>(),
            TimeProvider.System,
            NullLogger.Instance,
            () => new OpenFlowController(hosts[number].Bind(new IPEndPoint(IPAddress.Loopback, 6633))));
        await agents[number].StartAsync(limit.Token);
    }

    private static async Task<string> NetworkAsync(TestClient owner)
    {
        var network = (await owner.PostAsync("/v2.0/networks", """{"network": {"name": "own"}}""")).Expect(201).Json.GetProperty("network");
        Assert.InRange(network.GetProperty("mtu").GetInt32(), 1400, 1458);
        var id = network.GetProperty("id").GetString()!;
        (await owner.PostAsync("/v2.0/subnets", $$$"""{"subnet": {"network_id": "{{{id}}}", "ip_version": 4, "cidr": "10.3.0.0/24"}}""")).Expect(201);
        return id;
    }

    private async Task<TestMachine> PlugAsync(TestClient owner, string network, int host, string? address = null)
    {
        var fixedIps = address is null ? "" : $$""", "fixed_ips": [{"ip_address": "{{address}}"}]""";
        var port = (await owner.PostAsync("/v2.0/ports", $$$"""{"port": {"network_id": "{{{network}}}"{{{fixedIps}}} }}""")).Expect(201).Json.GetProperty("port");
        var id = port.GetProperty("id").GetString()!;
        var mac = port.GetProperty("mac_address").GetString()!;
        var ip = port.GetProperty("fixed_ips")[0].GetProperty("ip_address").GetString()!;
        (await admin.PutAsync($"/v2.0/ports/{id}", $$$"""{"port": {"binding:host_id": "node-{{{host}}}", "device_owner": "compute:nova"}}""")).Expect(200);
        var device = $"tap{++devices}";
        var machine = await hosts[host].AddMachineAsync(device, mac, $"{ip}/24");
        await EventuallyAsync(async () => (await hosts[host].VsctlAsync("list-br")).Contains("br-int", StringComparison.Ordinal), "br-int is there");
        await hosts[host].VsctlAsync("add-port", "br-int", device, "--", "set", "Interface", device, $"external_ids:iface-id={id}");
        await EventuallyAsync(async () => (await admin.GetAsync($"/v2.0/ports/{id}")).Json.GetProperty("port").GetProperty("status").GetString() == "ACTIVE", $"port {id} is active");
        return new(id, machine, mac, ip);
    }

    /// <summary>The default group lets its own members in.</summary>
    private Task PingsAsync(TestMachine from, TestMachine to) => EventuallyAsync(() => OpenVSwitchSandbox.PingAsync(from.Machine, to.Address), $"{from.Machine} reaches {to.Address}");

    private Task EventuallyAsync(Func<Task<bool>> holds, string what) => Eventually.TrueAsync(holds, what);

    private async Task QuietAsync()
    {
        foreach (var agent in agents.Values)
        {
            await agent.WhenIdleAsync().WaitAsync(limit.Token);
        }
    }

    private async Task<IReadOnlyList<string>> OwnFlowsAsync(int host) =>
        [.. (await hosts[host].DumpFlowsAsync("br-tun")).Concat(await hosts[host].DumpFlowsAsync("br-int")).Where(flow => !flow.Contains("hard_timeout=300,priority=1,vlan_tci", StringComparison.Ordinal))];

    private async Task<int> OfPortAsync(int host, string name) => int.Parse(await hosts[host].VsctlAsync("get", "Interface", name, "ofport"), System.Globalization.CultureInfo.InvariantCulture);

    private sealed record TestMachine(string Id, string Machine, string Mac, string Address);
}
