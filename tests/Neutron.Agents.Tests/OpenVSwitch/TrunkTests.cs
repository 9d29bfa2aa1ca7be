using System.Net;
using System.Text.Json;
using SharpStack.Foundation.Bus;
using SharpStack.Foundation.Configuration;
using SharpStack.Neutron.Agents.OpenVSwitch;
using SharpStack.Neutron.Contracts;
using SharpStack.OpenVSwitch.OpenFlow;
using SharpStack.TestKit;
using SharpStack.TestKit.Hosts;

namespace SharpStack.Neutron.Agents.Tests.OpenVSwitch;

/// <summary>
/// Trunks from the API to packets, with the real server, the real agent and a real switch. Where the kernel has no VLAN devices, a guest's are a bridge of their own: its untagged
/// device and each tagged one are a namespace.
/// </summary>
public sealed class TrunkTests : IAsyncLifetime
{
    private const string Host = "node-1";
    private const string Guest = "br-guest";

    private readonly CancellationTokenSource limit = new(TimeSpan.FromSeconds(100));
    private readonly RecordingLog log = new();
    private OpenVSwitchSandbox sandbox = null!;
    private TestCloud cloud = null!;
    private TestClient admin = null!;
    private OpenVSwitchAgent agent = null!;
    private string group = "";

    public async ValueTask InitializeAsync()
    {
        sandbox = await OpenVSwitchSandbox.StartAsync();
        cloud = await TestCloud.StartAsync(
            [new NeutronModule()],
            [
                ("neutron", "ml2", "tenant_network_types", "local"),
                ("neutron", "DEFAULT", "notify_nova_on_port_status_changes", "false"),
                ("neutron", "DEFAULT", "notify_nova_on_port_data_changes", "false"),
            ]);
        admin = cloud.Client("neutron-server", "admin");
        agent = await StartAgentAsync();
        await EventuallyAsync(async () => (await ListAsync("agents")).GetArrayLength() == 1 && (await sandbox.VsctlAsync("list-br")).Contains("br-int", StringComparison.Ordinal), "the agent reports");
        group = await CreateAsync("security-groups", "'name': 'pings'");
        await CreateAsync("security-group-rules", $"'security_group_id': '{group}', 'direction': 'ingress', 'ethertype': 'IPv4', 'protocol': 'icmp'");
    }

    public async ValueTask DisposeAsync()
    {
        await agent.DisposeAsync();
        admin.Dispose();
        await cloud.DisposeAsync();
        await sandbox.DisposeAsync();
        limit.Dispose();
    }

    [Fact]
    public async Task Each_tag_leads_to_the_network_of_its_subport_and_to_no_other()
    {
        var (net1, net2) = (await NetworkAsync(), await NetworkAsync());
        var parent = await PortAsync(net1, "10.0.0.10");
        var sub = await PortAsync(net2, "10.0.0.20", parent.Mac);
        var peer1 = await PeerAsync(net1, "10.0.0.11");
        var peer2 = await PeerAsync(net2, "10.0.0.21");
        var trunk = await TrunkAsync(parent, (sub, 7));
        await BindAsync(parent.Id);
        var shown = await ShowAsync("ports", parent.Id);
        Assert.Equal($"tbr-{trunk[..10]}", shown.GetProperty("binding:vif_details").GetProperty("bridge_name").GetString());
        Assert.False(shown.GetProperty("binding:vif_details").GetProperty("ovs_hybrid_plug").GetBoolean());
        Assert.Equal("DOWN", await StatusAsync("trunks", trunk));

        var untagged = await PlugAsync(trunk, parent);
        var tagged = await VlanAsync(sub, 7);
        await ActiveAsync(trunk, parent, sub);
        var port = await ShowAsync("ports", sub.Id);
        Assert.Equal((Host, "trunk:subport"), (port.GetProperty("binding:host_id").GetString(), port.GetProperty("device_owner").GetString()));

        await PingsAsync(untagged, "10.0.0.11");
        await PingsAsync(tagged, "10.0.0.21");
        await PingsAsync(peer2, "10.0.0.20");
        Assert.False(await OpenVSwitchSandbox.PingAsync(untagged, "10.0.0.21"));
        Assert.False(await OpenVSwitchSandbox.PingAsync(tagged, "10.0.0.11"));
        Assert.False(await OpenVSwitchSandbox.PingAsync(peer1, "10.0.0.20"));

        // Names, tags and marks are those of OpenStack's agent.
        Assert.Equal("7\n", await sandbox.VsctlAsync("get", "Port", Name("spt-", sub), "tag"));
        Assert.Equal($"{{attached-mac=\"{sub.Mac}\", iface-id=\"{sub.Id}\"}}\n", await sandbox.VsctlAsync("get", "Interface", Name("spi-", sub), "external_ids"));
        Assert.Equal($"{{peer={Name("tpt-", parent)}}}\n", await sandbox.VsctlAsync("get", "Interface", Name("tpi-", parent), "options"));
        Assert.NotEqual(await sandbox.VsctlAsync("get", "Port", Name("tpi-", parent), "tag"), await sandbox.VsctlAsync("get", "Port", Name("spi-", sub), "tag"));
    }

    [Fact]
    public async Task Nobody_sends_tagged_packets_into_an_instance_by_the_network_of_its_untagged_ones()
    {
        var (net1, net2) = (await NetworkAsync(), await NetworkAsync());
        var parent = await PortAsync(net1, "10.0.0.10");
        var sub = await PortAsync(net2, "10.0.0.20", parent.Mac);
        var trunk = await TrunkAsync(parent, (sub, 7));
        await BindAsync(parent.Id);
        var untagged = await PlugAsync(trunk, parent);
        var tagged = await VlanAsync(sub, 7);
        await ActiveAsync(trunk, parent, sub);

        // An instance on the same network tags what it sends, with its own addresses.
        var attacker = await PortAsync(net1, "10.0.0.11");
        await BindAsync(attacker.Id);
        var device = $"tap{attacker.Id[..11]}";
        await GuestAsync("br-other", device);
        var plain = await BehindAsync("br-other", "other", attacker, "trunks=0");
        await sandbox.VsctlAsync("add-port", "br-int", device, "--", "set", "Interface", device, $"external_ids:iface-id={attacker.Id}");
        await PingsAsync(plain, "10.0.0.10");
        await sandbox.VsctlAsync("remove", "Port", "other", "trunks", "0", "--", "set", "Port", "other", "tag=7");
        await OpenVSwitchSandbox.RunAsync("ip", "-n", plain, "neigh", "replace", "10.0.0.20", "lladdr", parent.Mac, "dev", "eth0");
        var before = (await EchoesAsync(untagged), await EchoesAsync(tagged));
        await OpenVSwitchSandbox.TryRunAsync("ip", "netns", "exec", plain, "ping", "-c", "3", "-i", "0.2", "-W", "1", "10.0.0.20");
        Assert.Equal(before, (await EchoesAsync(untagged), await EchoesAsync(tagged)));
    }

    [Fact]
    public async Task A_subports_rules_and_addresses_hold_for_its_tag()
    {
        var (net1, net2) = (await NetworkAsync(), await NetworkAsync());
        var parent = await PortAsync(net1, "10.0.0.10");
        var sub = await PortAsync(net2, "10.0.0.20", security: (await CreateAsync("security-groups", "'name': 'closed'")));
        var peer = await PeerAsync(net2, "10.0.0.21");
        var trunk = await TrunkAsync(parent, (sub, 100));
        await BindAsync(parent.Id);
        await PlugAsync(trunk, parent);
        var tagged = await VlanAsync(sub, 100);
        await ActiveAsync(trunk, parent, sub);
        await PingsAsync(tagged, "10.0.0.21");
        Assert.False(await OpenVSwitchSandbox.PingAsync(peer, "10.0.0.20"));
        (await admin.PutAsync($"/v2.0/ports/{sub.Id}", Json($"{{'port': {{'security_groups': ['{group}']}}}}"))).Expect(200);
        await PingsAsync(peer, "10.0.0.20");

        await OpenVSwitchSandbox.RunAsync("ip", "-n", tagged, "addr", "add", "10.0.0.99/24", "dev", "eth0");
        Assert.NotEqual(0, (await OpenVSwitchSandbox.TryRunAsync("ip", "netns", "exec", tagged, "ping", "-c", "1", "-W", "1", "-I", "10.0.0.99", "10.0.0.21")).Code);
    }

    [Fact]
    public async Task Subports_come_and_go_while_the_instance_runs()
    {
        var (net1, net2, net3) = (await NetworkAsync(), await NetworkAsync(), await NetworkAsync());
        var parent = await PortAsync(net1, "10.0.0.10");
        var (first, second) = (await PortAsync(net2, "10.0.0.20"), await PortAsync(net3, "10.0.0.30"));
        var (peer2, peer3) = (await PeerAsync(net2, "10.0.0.21"), await PeerAsync(net3, "10.0.0.31"));
        var trunk = await TrunkAsync(parent);
        await BindAsync(parent.Id);
        var untagged = await PlugAsync(trunk, parent);
        await ActiveAsync(trunk, parent);

        await ChangeAsync(trunk, "add_subports", $"'port_id': '{first.Id}', 'segmentation_type': 'vlan', 'segmentation_id': 7");
        await ChangeAsync(trunk, "add_subports", $"'port_id': '{second.Id}', 'segmentation_type': 'vlan', 'segmentation_id': 8");
        var tagged = await VlanAsync(first, 7);
        await ActiveAsync(trunk, parent, first, second);
        await PingsAsync(peer2, "10.0.0.20");
        Assert.False(await OpenVSwitchSandbox.PingAsync(peer3, "10.0.0.20"));
        var pinging = OpenVSwitchSandbox.RunAsync("ip", "netns", "exec", peer2, "ping", "-c", "20", "-i", "0.1", "-q", "10.0.0.20");

        await ChangeAsync(trunk, "remove_subports", $"'port_id': '{second.Id}'");
        await ActiveAsync(trunk, parent, first);
        await EventuallyAsync(async () => !(await PatchesAsync()).Contains(Name("spi-", second), StringComparison.Ordinal), "the subport's patch ports go");
        var port = await ShowAsync("ports", second.Id);
        Assert.Equal(("DOWN", "", ""), (port.GetProperty("status").GetString(), port.GetProperty("binding:host_id").GetString(), port.GetProperty("device_owner").GetString()));
        Assert.Contains(" 0% packet loss", await pinging, StringComparison.Ordinal);

        // The same port with another tag.
        await ChangeAsync(trunk, "remove_subports", $"'port_id': '{first.Id}'");
        await ChangeAsync(trunk, "add_subports", $"'port_id': '{first.Id}', 'segmentation_type': 'vlan', 'segmentation_id': 9");
        await ActiveAsync(trunk, parent, first);
        Assert.False(await OpenVSwitchSandbox.PingAsync(peer2, "10.0.0.20"));
        await sandbox.VsctlAsync("set", "Port", "vlan7", "tag=9");
        await PingsAsync(tagged, "10.0.0.21");
        Assert.NotEqual("", untagged);
    }

    [Fact]
    public async Task A_subport_moves_from_one_instance_to_another_on_the_same_host()
    {
        var (net1, net2) = (await NetworkAsync(), await NetworkAsync());
        var (first, second, sub) = (await PortAsync(net1, "10.0.0.10"), await PortAsync(net1, "10.0.0.11"), await PortAsync(net2, "10.0.0.20"));
        var peer = await PeerAsync(net2, "10.0.0.21");
        var (from, to) = (await TrunkAsync(first, (sub, 7)), await TrunkAsync(second));
        await BindAsync(first.Id);
        await BindAsync(second.Id);
        await PlugAsync(from, first);
        await PlugAsync(to, second, guest: "br-second");
        await VlanAsync(sub, 7);
        await ActiveAsync(from, first, sub);
        await ActiveAsync(to, second);
        await PingsAsync(peer, "10.0.0.20");

        // Both at once: the agent may see the subport where it is to be before it sees that it left.
        await ChangeAsync(from, "remove_subports", $"'port_id': '{sub.Id}'");
        await ChangeAsync(to, "add_subports", $"'port_id': '{sub.Id}', 'segmentation_type': 'vlan', 'segmentation_id': 9");
        await ActiveAsync(to, second, sub);
        await ActiveAsync(from, first);
        Assert.False(await OpenVSwitchSandbox.PingAsync(peer, "10.0.0.20"));
        Assert.Contains(Name("spt-", sub), await sandbox.VsctlAsync("list-ports", $"tbr-{to[..10]}"), StringComparison.Ordinal);
        var tagged = await VlanAsync(sub, 9, "br-second");
        await PingsAsync(tagged, "10.0.0.21");
    }

    [Fact]
    public async Task What_somebody_else_changes_is_set_right()
    {
        var parent = await PortAsync(await NetworkAsync(), "10.0.0.10");
        var sub = await PortAsync(await NetworkAsync(), "10.0.0.20");
        var trunk = await TrunkAsync(parent, (sub, 7));
        await BindAsync(parent.Id);
        await PlugAsync(trunk, parent);
        await ActiveAsync(trunk, parent, sub);
        await agent.WhenIdleAsync().WaitAsync(limit.Token);
        await sandbox.VsctlAsync("set", "Port", Name("spt-", sub), "tag=8");
        await EventuallyAsync(async () => await sandbox.VsctlAsync("get", "Port", Name("spt-", sub), "tag") == "7\n", "the tag comes back");
        await sandbox.VsctlAsync("del-port", Name("tpt-", parent));
        await EventuallyAsync(async () => (await sandbox.VsctlAsync("list-ports", $"tbr-{trunk[..10]}")).Contains(Name("tpt-", parent), StringComparison.Ordinal), "the patch port comes back");
    }

    [Fact]
    public async Task A_restarted_agent_changes_neither_the_database_nor_a_flow()
    {
        var (net1, net2) = (await NetworkAsync(), await NetworkAsync());
        var parent = await PortAsync(net1, "10.0.0.10");
        var sub = await PortAsync(net2, "10.0.0.20");
        var peer = await PeerAsync(net2, "10.0.0.21");
        var trunk = await TrunkAsync(parent, (sub, 7));
        await BindAsync(parent.Id);
        await PlugAsync(trunk, parent);
        await VlanAsync(sub, 7);
        await ActiveAsync(trunk, parent, sub);
        await PingsAsync(peer, "10.0.0.20");
        await agent.WhenIdleAsync().WaitAsync(limit.Token);
        var revision = (await ShowAsync("trunks", trunk)).GetProperty("revision_number").GetInt32();
        var (before, flows) = (await sandbox.VsctlAsync("get", "Open_vSwitch", ".", "next_cfg"), await sandbox.DumpFlowsAsync("br-int"));
        var pinging = OpenVSwitchSandbox.RunAsync("ip", "netns", "exec", peer, "ping", "-c", "20", "-i", "0.1", "-q", "10.0.0.20");

        await agent.DisposeAsync();
        log.Messages.Clear();
        agent = await StartAgentAsync();
        await log.WaitAsync("Reported", limit.Token);
        await agent.WhenIdleAsync().WaitAsync(limit.Token);

        Assert.Contains(" 0% packet loss", await pinging, StringComparison.Ordinal);
        Assert.Equal((before, revision), (await sandbox.VsctlAsync("get", "Open_vSwitch", ".", "next_cfg"), (await ShowAsync("trunks", trunk)).GetProperty("revision_number").GetInt32()));
        Assert.Equal(flows, await sandbox.DumpFlowsAsync("br-int"));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Nothing_is_left_of_a_trunk_whose_instance_is_gone(bool takesBridge)
    {
        var (net1, net2) = (await NetworkAsync(), await NetworkAsync());
        var before = await sandbox.VsctlAsync("list-br");
        var parent = await PortAsync(net1, "10.0.0.10");
        var sub = await PortAsync(net2, "10.0.0.20");
        var trunk = await TrunkAsync(parent, (sub, 7));
        await BindAsync(parent.Id);
        await PlugAsync(trunk, parent, device: "tap-gone");
        await ActiveAsync(trunk, parent, sub);

        // os-vif takes the trunk's bridge along; one that stays is the agent's to remove once the port is no longer this host's.
        await sandbox.VsctlAsync(takesBridge ? ["del-br", $"tbr-{trunk[..10]}"] : ["del-port", "tap-gone"]);
        if (!takesBridge)
        {
            await agent.WhenIdleAsync().WaitAsync(limit.Token);
            Assert.Contains(Name("spi-", sub), await PatchesAsync(), StringComparison.Ordinal);
        }

        (await admin.PutAsync($"/v2.0/ports/{parent.Id}", Json("{'port': {'binding:host_id': '', 'device_id': '', 'device_owner': ''}}"))).Expect(200);
        Assert.Equal("DOWN", await StatusAsync("trunks", trunk));
        await EventuallyAsync(async () => (await PatchesAsync()).Length == 0 && (await sandbox.VsctlAsync("list-br")).Split('\n').Order().SequenceEqual((before + Guest + "\n").Split('\n').Order()), "bridge and patch ports go");
        await EventuallyAsync(async () => await StatusAsync("ports", sub.Id) == "DOWN", "the subport is down");
        await EventuallyAsync(async () => !(await sandbox.DumpFlowsAsync("br-int")).Any(flow => flow.Contains(sub.Mac, StringComparison.Ordinal) || flow.Contains(parent.Mac, StringComparison.Ordinal)), "the flows go");
        (await admin.DeleteAsync($"/v2.0/trunks/{trunk}")).Expect(204);
    }

    [Fact]
    public async Task A_trunk_with_a_subport_that_cannot_be_wired_says_so()
    {
        var parent = await PortAsync(await NetworkAsync(), "10.0.0.10");
        var flat = await CreateAsync("networks", "'provider:network_type': 'flat', 'provider:physical_network': 'elsewhere'");
        var sub = await CreateAsync("ports", $"'network_id': '{flat}'");
        var trunk = await TrunkAsync(parent);
        await BindAsync(parent.Id);
        await PlugAsync(trunk, parent);
        await ActiveAsync(trunk, parent);
        await ChangeAsync(trunk, "add_subports", $"'port_id': '{sub}', 'segmentation_type': 'vlan', 'segmentation_id': 7");
        Assert.Equal("ERROR", await StatusAsync("trunks", trunk));
        Assert.Equal("binding_failed", (await ShowAsync("ports", sub)).GetProperty("binding:vif_type").GetString());
        (await admin.PutAsync($"/v2.0/trunks/{trunk}/add_subports", Json($"{{'sub_ports': [{{'port_id': '{(await PortAsync(flat, null)).Id}', 'segmentation_type': 'vlan', 'segmentation_id': 8}}]}}"))).Expect(409);
        await ChangeAsync(trunk, "remove_subports", $"'port_id': '{sub}'");
        await ActiveAsync(trunk, parent);
    }

    private static string Json(string text) => text.Replace('\'', '"');

    private static string Name(string prefix, Port port) => prefix + port.Id[..11];

    private Task EventuallyAsync(Func<Task<bool>> holds, string what) => Eventually.TrueAsync(holds, what);

    private async Task<OpenVSwitchAgent> StartAgentAsync()
    {
        var config = ServiceConfig.Empty("neutron").With("ovs", "datapath_type", "netdev").With("ovs", "ovsdb_connection", sandbox.Database);
        var started = new OpenVSwitchAgent(
            AgentSettings.Read(config, Host), cloud.Get<IMessageBus>(), TimeProvider.System, log, () => new OpenFlowController(sandbox.Bind(new IPEndPoint(IPAddress.Loopback, 6633))));
        await started.StartAsync(limit.Token);
        return started;
    }

    private async Task<string> CreateAsync(string collection, string attributes)
    {
        var singular = collection.Replace('-', '_').TrimEnd('s');
        return (await admin.PostAsync($"/v2.0/{collection}", Json($"{{'{singular}': {{{attributes}}}}}"))).Expect(201).Json.GetProperty(singular).GetProperty("id").GetString()!;
    }

    private async Task<JsonElement> ListAsync(string collection) => (await admin.GetAsync($"/v2.0/{collection}")).Expect(200).Json.GetProperty(collection);

    private async Task<JsonElement> ShowAsync(string collection, string id) => (await admin.GetAsync($"/v2.0/{collection}/{id}")).Expect(200).Json.GetProperty(collection.TrimEnd('s'));

    private async Task<string?> StatusAsync(string collection, string id) => (await ShowAsync(collection, id)).GetProperty("status").GetString();

    /// <summary>All networks have the same addresses: what a packet reaches is for its network alone to decide.</summary>
    private async Task<string> NetworkAsync()
    {
        var network = await CreateAsync("networks", "'name': 'net'");
        await CreateAsync("subnets", $"'network_id': '{network}', 'ip_version': 4, 'cidr': '10.0.0.0/24', 'enable_dhcp': false");
        return network;
    }

    private async Task<Port> PortAsync(string network, string? address, string? mac = null, string? security = null)
    {
        var id = await CreateAsync(
            "ports",
            $"'network_id': '{network}', 'security_groups': ['{security ?? group}']{(address is null ? "" : $", 'fixed_ips': [{{'ip_address': '{address}'}}]")}{(mac is null ? "" : $", 'mac_address': '{mac}'")}");
        return new Port(id, (await ShowAsync("ports", id)).GetProperty("mac_address").GetString()!, address ?? "");
    }

    private async Task<string> TrunkAsync(Port parent, params (Port Port, int Tag)[] subs) => await CreateAsync(
        "trunks",
        $"'port_id': '{parent.Id}', 'sub_ports': [{string.Join(", ", subs.Select(sub => $"{{'port_id': '{sub.Port.Id}', 'segmentation_type': 'vlan', 'segmentation_id': {sub.Tag}}}"))}]");

    private async Task ChangeAsync(string trunk, string action, string sub) => (await admin.PutAsync($"/v2.0/trunks/{trunk}/{action}", Json($"{{'sub_ports': [{{{sub}}}]}}"))).Expect(200);

    private async Task BindAsync(string port) =>
        (await admin.PutAsync($"/v2.0/ports/{port}", Json($"{{'port': {{'binding:host_id': '{Host}', 'device_owner': 'compute:nova', 'device_id': '{Guid.NewGuid()}'}}}}"))).Expect(200);

    private async Task ActiveAsync(string trunk, params Port[] ports)
    {
        foreach (var port in ports)
        {
            await EventuallyAsync(async () => await StatusAsync("ports", port.Id) == "ACTIVE", $"port {port.Address} is active");
        }

        await EventuallyAsync(async () => await StatusAsync("trunks", trunk) == DeviceTrunk.Active, "the trunk is active");
    }

    /// <summary>A machine on a network, by a port without a trunk.</summary>
    private async Task<string> PeerAsync(string network, string address)
    {
        var port = await PortAsync(network, address);
        await BindAsync(port.Id);
        var device = $"tap{port.Id[..11]}";
        var machine = await sandbox.AddMachineAsync(device, port.Mac, $"{address}/24");
        await sandbox.VsctlAsync("add-port", "br-int", device, "--", "set", "Interface", device, $"external_ids:iface-id={port.Id}");
        await EventuallyAsync(async () => await StatusAsync("ports", port.Id) == "ACTIVE", $"port {address} is active");
        return machine;
    }

    /// <summary>Plugs a guest as os-vif does; gives the namespace that stands for its untagged device.</summary>
    private async Task<string> PlugAsync(string trunk, Port parent, string? device = null, string guest = Guest)
    {
        device ??= $"tap{parent.Id[..11]}";
        await GuestAsync(guest, device);
        var untagged = await BehindAsync(guest, $"{guest[3..]}-eth0", parent, "trunks=0");
        var bridge = (await ShowAsync("ports", parent.Id)).GetProperty("binding:vif_details").GetProperty("bridge_name").GetString()!;
        Assert.Equal($"tbr-{trunk[..10]}", bridge);
        await sandbox.VsctlAsync(
            "--may-exist", "add-br", bridge, "--", "set", "Bridge", bridge, "datapath_type=netdev", "--", "add-port", bridge, device, "--", "set", "Interface", device, $"external_ids:iface-id={parent.Id}", $"external_ids:attached-mac={parent.Mac}");
        return untagged;
    }

    /// <summary>The namespace that stands for a tagged device of the guest.</summary>
    private Task<string> VlanAsync(Port sub, int tag, string guest = Guest) => BehindAsync(guest, $"vlan{tag}", sub, $"tag={tag}");

    /// <summary>A guest's own bridge on the far end of its tap device.</summary>
    private async Task GuestAsync(string bridge, string device)
    {
        var inner = $"in-{device}"[..Math.Min(15, device.Length + 3)];
        await OpenVSwitchSandbox.RunAsync("ip", "-n", sandbox.Namespace, "link", "add", device, "type", "veth", "peer", "name", inner);
        await OpenVSwitchSandbox.RunAsync("ip", "-n", sandbox.Namespace, "link", "set", device, "up");
        await OpenVSwitchSandbox.RunAsync("ip", "-n", sandbox.Namespace, "link", "set", inner, "up");
        await sandbox.VsctlAsync("add-br", bridge, "--", "set", "Bridge", bridge, "datapath_type=netdev", "--", "add-port", bridge, inner);
    }

    private async Task<string> BehindAsync(string bridge, string device, Port port, string vlan)
    {
        var machine = await sandbox.AddMachineAsync(device, port.Mac, $"{port.Address}/24");
        await sandbox.VsctlAsync("add-port", bridge, device, "--", "set", "Port", device, vlan);
        return machine;
    }

    private Task PingsAsync(string machine, string address) => EventuallyAsync(() => OpenVSwitchSandbox.PingAsync(machine, address), $"{machine} pings {address}");

    private static async Task<int> EchoesAsync(string machine)
    {
        var lines = (await OpenVSwitchSandbox.RunAsync("ip", "netns", "exec", machine, "cat", "/proc/net/snmp")).Split('\n').Where(line => line.StartsWith("Icmp: ", StringComparison.Ordinal)).Select(line => line.Split(' ')).ToList();
        return int.Parse(lines[1][Array.IndexOf(lines[0], "InEchos")], System.Globalization.CultureInfo.InvariantCulture);
    }

    /// <summary>The patch ports on the integration bridge.</summary>
    private async Task<string> PatchesAsync() => string.Concat((await sandbox.VsctlAsync("list-ports", "br-int")).Split('\n').Where(name => name.StartsWith("tpi-", StringComparison.Ordinal) || name.StartsWith("spi-", StringComparison.Ordinal)));

    private sealed record Port(string Id, string Mac, string Address);
}
