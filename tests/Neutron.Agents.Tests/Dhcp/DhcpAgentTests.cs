using System.Globalization;
using Microsoft.Extensions.Logging.Abstractions;
using SharpStack.Foundation.Bus;
using SharpStack.LinuxHost.Links;
using SharpStack.LinuxHost.Namespaces;
using SharpStack.LinuxHost.Netlink;
using SharpStack.LinuxHost.Processes;
using SharpStack.Neutron.Agents.Dhcp;
using SharpStack.Neutron.Contracts;
using SharpStack.TestKit;
using SharpStack.TestKit.Hosts;

namespace SharpStack.Neutron.Agents.Tests.Dhcp;

/// <summary>The agent with a real switch, real namespaces, a real dnsmasq and a real DHCP client.</summary>
public sealed class DhcpAgentTests : IAsyncLifetime
{
    private const string Host = "testhost";

    private readonly InProcessBus bus = new(TimeProvider.System, NullLogger<InProcessBus>.Instance);
    private readonly DhcpNetwork network = DhcpSamples.Network();
    private readonly string folder = Directory.CreateTempSubdirectory("sharpstack-dhcp-").FullName;
    private OpenVSwitchSandbox sandbox = null!;
    private DhcpServerStub server = null!;
    private DhcpAgent agent = null!;

    private string Place => DhcpDevice.NamespaceOf(network.Id);

    private string Device => DhcpDevice.NameOf(server.Networks[network.Id].Ports.First(port => port.DeviceOwner == DhcpNames.DeviceOwner));

    private string Files => Path.Combine(folder, "dhcp", network.Id);

    private int Server => int.Parse(File.ReadAllLines(Path.Combine(Files, "pid"))[0], CultureInfo.InvariantCulture);

    public async ValueTask InitializeAsync()
    {
        File.SetUnixFileMode(folder, File.GetUnixFileMode(folder) | UnixFileMode.OtherExecute);
        sandbox = await OpenVSwitchSandbox.StartAsync();
        await sandbox.VsctlAsync("add-br", "br-int", "--", "set", "Bridge", "br-int", "datapath_type=netdev");
        server = new DhcpServerStub(bus, Host);
        server.Networks[network.Id] = network;
        await StartAgentAsync();
    }

    public async ValueTask DisposeAsync()
    {
        // The agent itself clears up, as it does for a network that is gone.
        server.Networks.Clear();
        await server.HintAsync(network.Id);
        await Eventually.TrueAsync(() => !Directory.Exists(Files), "the network's files are gone");
        await agent.DisposeAsync();
        server.Dispose();
        await sandbox.DisposeAsync();
        Directory.Delete(folder, recursive: true);
    }

    [Fact]
    public async Task A_guest_gets_address_mtu_routes_and_name()
    {
        var port = DhcpSamples.Port(network, 51);
        server.AddPort(port);
        await server.HintAsync(port);
        await Eventually.TrueAsync(() => server.Ready.Contains(port.Id), "the port is reported ready");

        var lease = await LeaseAsync(port);
        Assert.Equal("10.3.0.51", lease["ip"]);
        Assert.Equal("1450", lease["mtu"]);
        Assert.Equal("169.254.169.254/32 10.3.0.2 0.0.0.0/0 10.3.0.1", lease["staticroutes"]);
        Assert.Equal("10.3.0.1", lease["router"]);
        Assert.Equal("10.3.0.2", lease["dns"]);
        Assert.Equal("openstacklocal", lease["domain"]);
        Assert.Equal("host-10-3-0-51", lease["hostname"]);

        Assert.Equal("nobody", OwnerOf(Server));
        Assert.Contains($"\"{server.Networks[network.Id].Ports.First(own => own.DeviceOwner == DhcpNames.DeviceOwner).Id}\"", await sandbox.VsctlAsync("get", "Interface", Device, "external_ids:iface-id"), StringComparison.Ordinal);
        using var links = RouteClient.Open(Place);
        Assert.Equal(1450, links.GetLink(Device).Mtu);
        Assert.Superset(new HashSet<string> { "10.3.0.2/24", "169.254.169.254/32", "fe80::a9fe:a9fe/64" }, links.ListAddresses(Device).Select(address => address.ToString()).ToHashSet());
        Assert.Equal("10.3.0.1", links.ListRoutes().Single(route => route.Destination is null && route.Gateway is not null).Gateway!.ToString());
        Assert.Contains(server.Reports, report => report is { AgentType: "DHCP agent", Start: true, Topic: "dhcp_agent" });
    }

    [Fact]
    public async Task Where_a_router_serves_metadata_its_address_on_the_link_is_the_routers()
    {
        Assert.Contains("fe80::a9fe:a9fe/64", Addresses());
        var router = DhcpSamples.Port(network, 1) with { DeviceOwner = "network:router_interface" };
        server.AddPort(router);
        await server.HintAsync(network.Id);
        await Eventually.TrueAsync(() => !Addresses().Contains("fe80::a9fe:a9fe/64"), "the address is left to the router");
        server.RemovePort(router);
        await server.HintAsync(network.Id);
        await Eventually.TrueAsync(() => Addresses().Contains("fe80::a9fe:a9fe/64"), "the address is back");

        HashSet<string> Addresses()
        {
            using var links = RouteClient.Open(Place);
            return [.. links.ListAddresses(Device).Select(address => address.ToString())];
        }
    }

    [Fact]
    public async Task A_stranger_gets_nothing()
    {
        Assert.Empty(await LeaseAsync(DhcpSamples.Port(network, 99), tries: 2));
    }

    [Fact]
    public async Task Ports_come_and_go_without_a_restart()
    {
        var process = Server;
        var first = DhcpSamples.Port(network, 51);
        server.AddPort(first);
        await server.HintAsync(first);
        await Eventually.TrueAsync(() => server.Ready.Contains(first.Id), "the first port is ready");
        Assert.Equal("10.3.0.51", (await LeaseAsync(first))["ip"]);
        var second = DhcpSamples.Port(network, 52);
        server.AddPort(second);
        server.RemovePort(first);
        await server.HintAsync(second);
        await server.HintAsync(first);
        await agent.WhenIdleAsync();
        Assert.Equal("10.3.0.52", (await LeaseAsync(second))["ip"]);
        Assert.DoesNotContain(first.MacAddress, await File.ReadAllTextAsync(Path.Combine(Files, "host"), TestContext.Current.CancellationToken), StringComparison.Ordinal);
        Assert.Equal(process, Server);
    }

    [Fact]
    public async Task An_address_passes_to_another_port()
    {
        var first = DhcpSamples.Port(network, 51);
        server.AddPort(first);
        await server.HintAsync(first);
        await Eventually.TrueAsync(() => server.Ready.Contains(first.Id), "the first port is ready");
        Assert.Equal("10.3.0.51", (await LeaseAsync(first))["ip"]);
        var heir = DhcpSamples.Port(network, 52) with { FixedIps = first.FixedIps };
        server.RemovePort(first);
        server.AddPort(heir);
        await server.HintAsync(first);
        await server.HintAsync(heir);
        await Eventually.TrueAsync(() => server.Ready.Contains(heir.Id), "the heir is ready");
        Assert.Equal("10.3.0.51", (await LeaseAsync(heir))["ip"]);
    }

    [Fact]
    public async Task A_port_with_options_of_its_own_gets_them_and_others_still_follow()
    {
        var special = DhcpSamples.Port(network, 51) with { ExtraDhcpOptions = [new ExtraDhcpOption("bootfile-name", "pxelinux.0", 4)] };
        server.AddPort(special);
        await server.HintAsync(special);
        await Eventually.TrueAsync(() => server.Ready.Contains(special.Id), "the port is ready");
        Assert.Equal("pxelinux.0", (await LeaseAsync(special))["bootfile"]);
        var next = DhcpSamples.Port(network, 52);
        server.AddPort(next);
        await server.HintAsync(next);
        await Eventually.TrueAsync(() => server.Ready.Contains(next.Id), "the next port is ready");
        Assert.Equal("10.3.0.52", (await LeaseAsync(next))["ip"]);
    }

    [Fact]
    public async Task A_restarted_agent_finds_everything_and_changes_nothing()
    {
        var before = Snapshot();
        await agent.DisposeAsync();
        Assert.True(IsRunning(before.Process));
        await StartAgentAsync();
        Assert.Equal(before, Snapshot());
    }

    [Fact]
    public async Task A_server_that_was_killed_is_started_again()
    {
        var killed = Server;
        await OpenVSwitchSandbox.RunAsync("kill", "-9", killed.ToString(CultureInfo.InvariantCulture));
        await Eventually.TrueAsync(() => Server != killed && IsRunning(Server), "there is a new server");
        var port = DhcpSamples.Port(network, 51);
        server.AddPort(port);
        await server.HintAsync(port);
        await Eventually.TrueAsync(() => server.Ready.Contains(port.Id), "the port is ready");
        Assert.Equal("10.3.0.51", (await LeaseAsync(port))["ip"]);
    }

    [Fact]
    public async Task The_device_of_a_restarted_switch_takes_the_dead_ones_place()
    {
        var port = DhcpSamples.Port(network, 51);
        server.AddPort(port);
        await server.HintAsync(port);
        await Eventually.TrueAsync(() => server.Ready.Contains(port.Id), "the port is ready");
        var before = Snapshot();
        await sandbox.StopSwitchAsync();
        await sandbox.StartSwitchAsync();
        await Eventually.TrueAsync(() => Snapshot().Device is var now && now != 0 && now != before.Device, "the device is a new one");
        await agent.WhenIdleAsync();
        Assert.Equal("10.3.0.51", (await LeaseAsync(port))["ip"]);
    }

    [Fact]
    public async Task Nothing_is_left_of_a_network_that_is_gone()
    {
        var device = Device;
        var process = Server;
        server.Networks.Clear();
        await server.HintAsync(network.Id);
        await Eventually.TrueAsync(() => server.Released.Contains(network.Id), "the port is released");
        Assert.False(IsRunning(process));
        Assert.False(NetworkNamespace.Exists(Place));
        Assert.False(Directory.Exists(Files));
        Assert.DoesNotContain(device, await sandbox.VsctlAsync("list-ports", "br-int"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_network_that_went_away_while_no_agent_ran_is_cleared_up_by_the_next()
    {
        var process = Server;
        await agent.DisposeAsync();
        server.Networks.Clear();
        await StartAgentAsync();
        await Eventually.TrueAsync(() => !Directory.Exists(Files), "its files are gone");
        Assert.False(IsRunning(process));
        Assert.False(NetworkNamespace.Exists(Place));
        Assert.Equal("", await sandbox.VsctlAsync("list-ports", "br-int"));
    }

    [Fact]
    public async Task A_network_whose_subnets_lose_DHCP_is_served_no_more_and_again_later()
    {
        server.Networks[network.Id] = server.Networks[network.Id] with { Subnets = [network.Subnets[0] with { EnableDhcp = false }] };
        await server.HintAsync(network.Id);
        await Eventually.TrueAsync(() => server.Released.Contains(network.Id), "the port is released");
        Assert.False(NetworkNamespace.Exists(Place));
        server.Networks[network.Id] = network;
        await server.HintAsync(network.Id);
        await Eventually.TrueAsync(() => File.Exists(Path.Combine(Files, "pid")) && IsRunning(Server), "it is served again");
    }

    [Fact]
    public async Task Subnets_of_both_versions_are_served_beside_each_other()
    {
        await AddSubnetAsync("dhcpv6-stateful");
        var port = DhcpSamples.Port(network, 51);
        port = port with { FixedIps = [.. port.FixedIps, new DhcpAddress("fd00:3::51", Sixth)] };
        server.AddPort(port);
        await server.HintAsync(port);
        await Eventually.TrueAsync(() => server.Ready.Contains(port.Id), "the port is ready");
        Assert.Equal("10.3.0.51", (await LeaseAsync(port))["ip"]);
        var (client, outside) = await ClientAsync(port);
        var answer = await Dhcp6Client.AskAsync(client, Dhcp6Client.Solicit, tries: 20);
        Assert.Equal(["fd00:3::51"], answer?.Addresses.Select(address => address.ToString()));
        Assert.Equal(["fd00::53"], answer?.NameServers.Select(address => address.ToString()));
        await sandbox.VsctlAsync("del-port", outside);
    }

    [Fact]
    public async Task Guests_that_made_their_addresses_themselves_are_told_the_rest()
    {
        await AddSubnetAsync("dhcpv6-stateless");
        var port = DhcpSamples.Port(network, 51);
        port = port with { FixedIps = [new DhcpAddress("fd00:3::f816:3eff:fe00:33", Sixth)] };
        server.AddPort(port);
        await server.HintAsync(port);
        await Eventually.TrueAsync(() => server.Ready.Contains(port.Id), "the port is ready");
        var (client, outside) = await ClientAsync(port);
        var answer = await Dhcp6Client.AskAsync(client, Dhcp6Client.InformationRequest, tries: 20);
        Assert.Equal(["fd00::53"], answer?.NameServers.Select(address => address.ToString()));
        Assert.Empty(answer!.Value.Addresses);
        await sandbox.VsctlAsync("del-port", outside);
    }

    [Fact]
    public async Task A_network_where_all_guests_make_their_addresses_themselves_has_names()
    {
        var slaac = Subnet6("slaac");
        server.Networks[network.Id] = server.Networks[network.Id] with { Subnets = [slaac] };
        SetOwnAddresses(new DhcpAddress("fd00:3::2", Sixth));
        await server.HintAsync(network.Id);
        var port = DhcpSamples.Port(network, 51) with { FixedIps = [new DhcpAddress("fd00:3::f816:3eff:fe00:33", Sixth)], DnsName = "vm" };
        server.AddPort(port);
        await server.HintAsync(port);
        await Eventually.TrueAsync(() => server.Ready.Contains(port.Id), "the port is ready");
        Assert.Contains("fd00:3::f816:3eff:fe00:33\tvm.openstacklocal vm\n", await File.ReadAllTextAsync(Path.Combine(Files, "addn_hosts"), TestContext.Current.CancellationToken), StringComparison.Ordinal);
        Assert.True(IsRunning(Server));
    }

    private const string Sixth = "6e1b5c3a-0000-4000-8000-000000000006";

    private static DhcpSubnet Subnet6(string mode) =>
        new(Sixth, "six", "fd00:3::/64", 6, "fd00:3::1", true, [new AddressRange("fd00:3::2", "fd00:3::ffff")], ["fd00::53"], [], mode, mode);

    /// <summary>Gives the network an IPv6 subnet, and the agent's port an address in it.</summary>
    private async Task AddSubnetAsync(string mode)
    {
        var before = server.Networks[network.Id];
        server.Networks[network.Id] = before with { Subnets = [.. before.Subnets, Subnet6(mode)] };
        SetOwnAddresses(new DhcpAddress("10.3.0.2", network.Subnets[0].Id), new DhcpAddress("fd00:3::2", Sixth));
        await server.HintAsync(network.Id);
        await agent.WhenIdleAsync();
    }

    private void SetOwnAddresses(params DhcpAddress[] addresses)
    {
        var now = server.Networks[network.Id];
        server.Networks[network.Id] = now with { Ports = [.. now.Ports.Select(port => port.DeviceOwner == DhcpNames.DeviceOwner ? port with { FixedIps = addresses } : port)] };
    }

    private static bool IsRunning(int process) => Directory.Exists($"/proc/{process}") && !File.ReadAllText($"/proc/{process}/stat").Contains(") Z ", StringComparison.Ordinal);

    private static string OwnerOf(int process)
    {
        var uid = File.ReadLines($"/proc/{process}/status").First(line => line.StartsWith("Uid:", StringComparison.Ordinal)).Split('\t')[2];
        return File.ReadLines("/etc/passwd").Select(line => line.Split(':')).First(fields => fields[2] == uid)[0];
    }

    private async Task StartAgentAsync()
    {
        var settings = new DhcpSettings
        {
            Host = Host,
            Directory = Path.Combine(folder, "dhcp"),
            IsolatedMetadata = true,
            Bridge = "br-int",
            OvsdbConnection = sandbox.Database,
            SwitchNamespace = sandbox.Namespace,
        };
        agent = new DhcpAgent(settings, bus, TimeProvider.System, NullLogger<DhcpAgent>.Instance, []);
        var reported = server.Ready.Count;
        await agent.StartAsync(TestContext.Current.CancellationToken);
        if (server.Networks.IsEmpty)
        {
            return;
        }

        await Eventually.TrueAsync(() => server.Ready.Count > reported, "the network is served");
        await agent.WhenIdleAsync();
        // No OVS agent is here to wire the port.
        await sandbox.VsctlAsync("clear", "Port", Device, "tag");
        await agent.WhenIdleAsync();
    }

    private (int Process, int Device, DateTime Hosts, DateTime Options, DateTime Leases) Snapshot()
    {
        using var links = RouteClient.Open(Place);
        return (
            Server,
            links.FindLink(Device)?.Index ?? 0,
            File.GetLastWriteTimeUtc(Path.Combine(Files, "host")),
            File.GetLastWriteTimeUtc(Path.Combine(Files, "opts")),
            File.GetLastWriteTimeUtc(Path.Combine(Files, "leases")));
    }

    /// <summary>What a DHCP client with the port's hardware address is told; empty where it is told nothing.</summary>
    private async Task<IReadOnlyDictionary<string, string>> LeaseAsync(DhcpPort port, int tries = 10)
    {
        var (client, outside) = await ClientAsync(port);
        var id = outside[3..];
        var script = Path.Combine(folder, $"{id}.sh");
        var output = Path.Combine(folder, $"{id}.env");
        await File.WriteAllTextAsync(script, $"#!/bin/sh\n[ \"$1\" = bound ] && env > {output}\nexit 0\n");
        File.SetUnixFileMode(script, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        await OpenVSwitchSandbox.TryRunAsync(
            "ip", "netns", "exec", client, "busybox", "udhcpc", "-i", "eth0", "-n", "-q", "-f", "-t", tries.ToString(CultureInfo.InvariantCulture), "-T", "1", "-O", "121", "-O", "26", "-O", "67", "-s", script);
        await sandbox.VsctlAsync("del-port", outside);
        return File.Exists(output)
            ? (await File.ReadAllLinesAsync(output)).Select(line => line.Split('=', 2)).Where(pair => pair.Length == 2).ToDictionary(pair => pair[0], pair => pair[1])
            : new Dictionary<string, string>();
    }

    /// <summary>A guest with the port's hardware address, and its device on the switch.</summary>
    private async Task<(string Client, string Outside)> ClientAsync(DhcpPort port)
    {
        var id = Guid.NewGuid().ToString("N")[..8];
        var (client, outside) = ($"cl-{id}", $"vm-{id}");
        await sandbox.AddNamespaceAsync(client);
        using (var links = RouteClient.Open(sandbox.Namespace))
        {
            links.CreateVeth(outside, "eth0", client);
            links.SetUp(outside);
        }

        // Its link-local address is usable at once.
        NetworkNamespace.WriteSysctl(client, "net/ipv6/conf/eth0/accept_dad", "0");
        using (var links = RouteClient.Open(client))
        {
            links.SetMac("eth0", port.MacAddress);
            links.SetUp("eth0");
        }

        Offloads.SetTransmitChecksumming("eth0", enabled: false, client);
        await sandbox.VsctlAsync("add-port", "br-int", outside);
        return (client, outside);
    }
}
