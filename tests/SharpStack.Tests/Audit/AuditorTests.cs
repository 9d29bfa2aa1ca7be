using SharpStack.Audit;
using SharpStack.Neutron.Contracts;
using SharpStack.Nova.Contracts;

namespace SharpStack.Tests.Audit;

/// <summary>A cloud in which everything agrees, and one disagreement of each kind planted in it.</summary>
public sealed class AuditorTests
{
    private const string Server = "11111111-1111-1111-1111-111111111111";
    private const string Stranger = "99999999-9999-9999-9999-999999999999";
    private const string Node1 = "aaaaaaaa-0000-0000-0000-000000000001";
    private const string Node2 = "aaaaaaaa-0000-0000-0000-000000000002";
    private const string Network = "bbbbbbbb-0000-0000-0000-000000000001";
    private const string Subnet = "cccccccc-0000-0000-0000-000000000001";
    private const string Port = "dddddddd-0000-0000-0000-000000000001";
    private const string DhcpPort = "dddddddd-0000-0000-0000-000000000002";
    private const string GatewayPort = "dddddddd-1000-0000-0000-000000000003";
    private const string SubPort = "dddddddd-2000-0000-0000-000000000004";
    private const string Trunk = "eeeeeeee-0000-0000-0000-000000000001";
    private const string Router = "ffffffff-0000-0000-0000-000000000001";
    private const string Tap = "tapdddddddd-00";
    private const string Base = "/instances/_base/0123";
    private static readonly DateTimeOffset Now = DateTimeOffset.UnixEpoch.AddYears(50);
    private static readonly IReadOnlyDictionary<string, long> Amounts = new Dictionary<string, long> { ["VCPU"] = 1, ["MEMORY_MB"] = 512 };
    private static readonly IReadOnlyDictionary<string, IReadOnlyDictionary<string, long>> Nothing = new Dictionary<string, IReadOnlyDictionary<string, long>>();

    private static readonly ServerView Running = new(Server, "ACTIVE", null, 1, "host1", Amounts, ["10.0.0.5"]);
    private static readonly PortView Plugged = new(Port, Network, "compute:nova", Server, "fa:16:3e:00:00:05", "ACTIVE", "host1", "ovs", [(Subnet, "10.0.0.5")]);
    private static readonly PortView Dhcp = new(DhcpPort, Network, "network:dhcp", "dhcp-x", "fa:16:3e:00:00:02", "ACTIVE", "host1", "ovs", [(Subnet, "10.0.0.2")]);
    private static readonly PortView RouterGateway = new(GatewayPort, "outer", "network:router_gateway", Router, "fa:16:3e:00:00:50", "ACTIVE", "host1", "ovs", [("outer-subnet", "203.0.113.50")]);
    private static readonly ProviderView Provider1 = new(Node1, "host1", Node1, new Dictionary<string, IReadOnlyDictionary<string, long>> { [Server] = Amounts });
    private static readonly ProviderView Provider2 = new(Node2, "host2", Node2, Nothing);
    private static readonly GuestView Guest = new(Server, "instance-00000001", PowerState.Running);
    private static readonly DhcpServerView DhcpServer = new(Network, HasNamespace: true, IsRunning: true, [new DhcpEntryView("fa:16:3e:00:00:05", "10.0.0.5")]);

    private static readonly CloudView Cloud = new()
    {
        Servers = new Dictionary<string, ServerView> { [Server] = Running },
        Hypervisors = [new HypervisorView(Node1, "host1", "host1", IsUp: true), new HypervisorView(Node2, "host2", "host2", IsUp: true)],
        Providers = [Provider1, Provider2],
        Ports = new Dictionary<string, PortView> { [Port] = Plugged, [DhcpPort] = Dhcp, [GatewayPort] = RouterGateway },
        Subnets = new Dictionary<string, SubnetInfo> { [Subnet] = new(Subnet, Network, 4, HasDhcp: true) },
        Agents = [new AgentView("e1", AgentTypes.Dhcp, "host1", IsAlive: true, [Network]), new AgentView("e2", AgentTypes.L3, "host1", IsAlive: true, []) { Routers = [Router] }],
        Routers = new Dictionary<string, RouterInfo> { [Router] = new(Router, AdminStateUp: true, IsHa: false, HasGateway: true, HasSnat: true) },
        FloatingIps = [new FloatingIpInfo("f1", Router, "203.0.113.60", "10.0.0.5", "ACTIVE")],
    };

    private static readonly ComputeView Compute1 = new("host1")
    {
        Guests = [Guest],
        Folders = [new InstanceFilesView(Server, Base, HasBacking: true)],
        Taps = [Tap],
        CachedImages = [new CachedImageView(Base, Now - TimeSpan.FromDays(30))],
    };

    private static readonly SwitchView Switch1 = new("host1", [new SwitchPortView(Tap, Port, null), new SwitchPortView("int-br-phys", null, null)]);
    private static readonly CloudView Trunked = Cloud with { Trunks = [new TrunkInfo(Trunk, Port, [new(SubPort, 7)])] };
    private static readonly TrunkBridgeView TrunkBridge1 = new("tbr-eeeeeeee-0", Port, [new(SubPort, 7)]);
    private static readonly DhcpView Dhcp1 = new("host1", [DhcpServer]);
    private static readonly RouterView Router1 = new(Router, true, ["qg-dddddddd-10"], ["203.0.113.50", "203.0.113.60"], [new FloatingIpView("203.0.113.60", "10.0.0.5")], ["203.0.113.50"]);
    private static readonly HostView Host1 = new("host1", Compute1, Switch1, Dhcp1) { Routers = new RoutersView("host1", [Router1]) };
    private static readonly HostView Host2 = new("host2", new ComputeView("host2"), new SwitchView("host2", []), new DhcpView("host2", []));

    /// <summary>What is planted, and the one finding that it leads to: kind, id, host.</summary>
    private static readonly Dictionary<string, (CloudView Cloud, HostView Host1, HostView Host2, string Id, string? Host)> Planted = new()
    {
        ["allocation-leaked"] = (Cloud with { Providers = [Provider1, Provider2 with { Consumers = Held(Stranger) }] }, Host1, Host2, Stranger, "host2"),
        ["allocation-missing"] = (Cloud with { Providers = [Provider1 with { Consumers = Nothing }, Provider2] }, Host1, Host2, Server, "host1"),
        ["allocation-elsewhere"] = (Cloud with { Providers = [Provider1 with { Consumers = Nothing }, Provider2 with { Consumers = Held(Server) }] }, Host1, Host2, Server, "host2"),
        ["allocation-differs"] = (With(Running with { Resources = new Dictionary<string, long> { ["VCPU"] = 2, ["MEMORY_MB"] = 512 } }), Host1, Host2, Server, "host1"),
        ["provider-missing"] = (Cloud with { Providers = [Provider1] }, Host1, Host2, Node2, "host2"),
        ["provider-leaked"] = (Cloud with { Providers = [Provider1, Provider2, new ProviderView(Stranger, "gone", Stranger, Nothing)] }, Host1, Host2, Stranger, null),
        ["port-leaked"] = (With(Plugged with { Id = Stranger, DeviceId = Stranger, Host = null, FixedIps = [] }), Host1, Host2, Stranger, null),
        ["port-missing"] = (With(Running with { Addresses = ["10.0.0.5", "10.0.0.6"] }), Host1, Host2, Server, "host1"),
        ["port-unlisted"] = (
            With(Plugged with { Id = Stranger, FixedIps = [("other", "10.9.9.9")] }), With(Compute1 with { Taps = [Tap, "tap99999999-99"] }, Switch1 with { Ports = [.. Switch1.Ports, new("tap99999999-99", Stranger, null)] }), Host2, Stranger, "host1"),
        ["port-unbound"] = (With(Plugged with { VifType = "binding_failed" }), Host1, Host2, Port, "host1"),
        ["port-down"] = (With(Plugged with { Status = "DOWN" }), Host1, Host2, Port, "host1"),
        ["router-leaked"] = (Cloud, Host1, Host2 with { Routers = new RoutersView("host2", [Router1]) }, Router, "host2"),
        ["router-missing"] = (Cloud, WithRouter(Router1 with { HasNamespace = false }), Host2, Router, "host1"),
        ["router-device-missing"] = (Cloud, WithRouter(Router1 with { Devices = [] }), Host2, "qg-dddddddd-10", "host1"),
        ["router-device-leaked"] = (Cloud, WithRouter(Router1 with { Devices = ["qg-dddddddd-10", "qr-left"] }), Host2, "qr-left", "host1"),
        ["nat-missing"] = (Cloud, WithRouter(Router1 with { FloatingIps = [] }), Host2, "203.0.113.60", "host1"),
        ["nat-leaked"] = (Cloud, WithRouter(Router1 with { FloatingIps = [.. Router1.FloatingIps, new FloatingIpView("203.0.113.61", "10.0.0.6")] }), Host2, "203.0.113.61", "host1"),
        ["snat-differs"] = (Cloud, WithRouter(Router1 with { SourceAddresses = [] }), Host2, Router, "host1"),
        ["floating-ip-missing"] = (Cloud, WithRouter(Router1 with { OuterAddresses = ["203.0.113.50"] }), Host2, "203.0.113.60", "host1"),
        ["floating-ip-leaked"] = (Cloud, WithRouter(Router1 with { OuterAddresses = [.. Router1.OuterAddresses, "203.0.113.99"] }), Host2, "203.0.113.99", "host1"),
        ["guest-leaked"] = (Cloud, Host1, With2(guests: [Guest]), Server, "host2"),
        ["guest-missing"] = (Cloud, With(Compute1 with { Guests = [] }), Host2, Server, "host1"),
        ["guest-differs"] = (Cloud, With(Compute1 with { Guests = [Guest with { Power = PowerState.Shutdown }] }), Host2, Server, "host1"),
        ["files-leaked"] = (Cloud, Host1, With2(folders: [new InstanceFilesView(Stranger, null, HasBacking: true)]), Stranger, "host2"),
        ["files-missing"] = (Cloud, With(Compute1 with { Folders = [], CachedImages = [] }), Host2, Server, "host1"),
        ["image-missing"] = (Cloud, With(Compute1 with { Folders = [new InstanceFilesView(Server, Base, HasBacking: false)] }), Host2, Server, "host1"),
        ["image-stale"] = (Cloud, Host1, With2(images: [new CachedImageView(Base, Now - TimeSpan.FromDays(3))]), Base, "host2"),
        ["tap-leaked"] = (Cloud, Host1, With2(taps: ["tap12345678-90"]), "tap12345678-90", "host2"),
        ["tap-missing"] = (Cloud, With(Compute1 with { Taps = [] }), Host2, Tap, "host1"),
        ["switch-port-leaked"] = (Cloud, Host1, Host2 with { Switch = new SwitchView("host2", [new SwitchPortView("tap12345678-90", Stranger, null)]) }, "tap12345678-90", "host2"),
        ["switch-port-missing"] = (Cloud, Host1 with { Switch = new SwitchView("host1", []) }, Host2, Port, "host1"),
        ["switch-port-broken"] = (Cloud, Host1 with { Switch = new SwitchView("host1", [new SwitchPortView(Tap, Port, "could not open network device")]) }, Host2, Tap, "host1"),
        ["trunk-leaked"] = (Cloud, Host1, Host2 with { Switch = new SwitchView("host2", []) { Trunks = [TrunkBridge1] } }, TrunkBridge1.Name, "host2"),
        ["trunk-missing"] = (Trunked, Host1, Host2, Trunk, "host1"),
        ["trunk-differs"] = (Trunked, With(Compute1, Switch1 with { Trunks = [TrunkBridge1 with { SubPorts = [new(SubPort, 8)] }] }), Host2, Trunk, "host1"),
        ["dhcp-leaked"] = (Cloud, Host1, Host2 with { Dhcp = new DhcpView("host2", [DhcpServer]) }, Network, "host2"),
        ["dhcp-missing"] = (Cloud, Host1 with { Dhcp = new DhcpView("host1", [DhcpServer with { IsRunning = false }]) }, Host2, Network, "host1"),
        ["dhcp-entry-missing"] = (Cloud, Host1 with { Dhcp = new DhcpView("host1", [DhcpServer with { Entries = [] }]) }, Host2, "10.0.0.5", "host1"),
        ["dhcp-entry-leaked"] = (
            Cloud, Host1 with { Dhcp = new DhcpView("host1", [DhcpServer with { Entries = [.. DhcpServer.Entries, new("fa:16:3e:00:00:09", "10.0.0.9")] }]) }, Host2, "10.0.0.9", "host1"),
    };

    public static TheoryData<string> Kinds => [.. Planted.Keys];

    [Fact]
    public void Where_everything_agrees_nothing_is_found() => Assert.Empty(Auditor.Compare(Cloud, [Host1, Host2], Now));

    [Fact]
    public void A_routers_port_in_an_outer_network_is_served_by_its_DHCP_server()
    {
        var gateway = RouterGateway with { NetworkId = Network, FixedIps = [(Subnet, "203.0.113.50")] };
        var served = DhcpServer with { Entries = [.. DhcpServer.Entries, new(gateway.MacAddress, "203.0.113.50")] };
        Assert.Empty(Auditor.Compare(With(gateway), [Host1 with { Dhcp = new DhcpView("host1", [served]) }, Host2], Now));
    }

    [Fact]
    public void A_trunk_whose_tags_are_on_the_host_is_as_it_should_be() =>
        Assert.Empty(Auditor.Compare(Trunked, [With(Compute1, Switch1 with { Trunks = [TrunkBridge1] }), Host2], Now));

    [Theory]
    [MemberData(nameof(Kinds))]
    public void A_planted_disagreement_is_found_alone_with_what_to_do(string kind)
    {
        var (cloud, host1, host2, id, host) = Planted[kind];
        var finding = Assert.Single(Auditor.Compare(cloud, [host1, host2], Now));
        Assert.Equal((kind, id, host), finding.Key);
        Assert.NotEmpty(finding.Message);
        Assert.NotEmpty(finding.Advice);
    }

    [Fact]
    public void A_port_bound_to_another_host_than_its_servers_is_found()
    {
        var findings = Auditor.Compare(With(Plugged with { Host = "host2" }), [Host1, Host2], Now);
        Assert.Contains(findings, finding => finding.Key == ("port-elsewhere", Port, "host2"));
    }

    [Fact]
    public void What_a_server_that_failed_still_holds_is_found()
    {
        var failed = With(Running with { Status = "ERROR", Host = null, Addresses = [] });
        var kinds = Auditor.Compare(failed, [Host1, Host2], Now).Select(finding => finding.Kind);
        Assert.Equal(["allocation-leaked", "files-leaked", "guest-leaked", "port-leaked"], kinds);
    }

    [Theory]
    [InlineData("BUILD", "spawning")]
    [InlineData("ACTIVE", "deleting")]
    [InlineData("REBOOT", "rebooting")]
    public void A_server_that_something_is_being_done_with_lacks_nothing(string status, string task)
    {
        var cloud = With(Running with { Status = status, TaskState = task }) with { Providers = [Provider1 with { Consumers = Nothing }, Provider2] };
        Assert.Empty(Auditor.Compare(cloud, [With(Compute1 with { Guests = [], Folders = [], Taps = [], CachedImages = [] }, new SwitchView("host1", [])), Host2], Now));
    }

    [Fact]
    public void A_host_that_was_not_looked_at_has_no_findings()
    {
        Assert.Empty(Auditor.Compare(Cloud, [], Now));
        Assert.Empty(Auditor.Compare(Cloud, [new HostView("host1", null, null, null)], Now));
    }

    [Fact]
    public void A_simulated_host_has_guests_and_no_files()
    {
        var simulated = new HostView("host1", new ComputeView("host1") { IsSimulated = true, Guests = [Guest] }, null, null);
        Assert.Empty(Auditor.Compare(Cloud, [simulated], Now));
        var finding = Assert.Single(Auditor.Compare(Cloud, [simulated with { Compute = simulated.Compute! with { Guests = [] } }], Now));
        Assert.Equal("guest-missing", finding.Kind);
    }

    [Fact]
    public void A_router_on_two_hosts_may_have_its_ports_on_both_and_its_addresses_on_either()
    {
        var device = new SwitchPortView("qg-dddddddd-10", GatewayPort, null);
        var ha = Cloud with
        {
            Routers = new Dictionary<string, RouterInfo> { [Router] = Cloud.Routers[Router] with { IsHa = true } },
            Agents = [.. Cloud.Agents, new AgentView("e3", AgentTypes.L3, "host2", IsAlive: true, []) { Routers = [Router] }],
        };
        var standby = Host2 with { Switch = new SwitchView("host2", [device]), Routers = new RoutersView("host2", [Router1 with { OuterAddresses = [] }]) };
        Assert.Empty(Auditor.Compare(ha, [Host1 with { Switch = Switch1 with { Ports = [.. Switch1.Ports, device] } }, standby], Now));
    }

    private static HostView WithRouter(RouterView router) => Host1 with { Routers = new RoutersView("host1", [router]) };

    private static Dictionary<string, IReadOnlyDictionary<string, long>> Held(string consumer) => new() { [consumer] = Amounts };

    private static CloudView With(ServerView server) => Cloud with { Servers = new Dictionary<string, ServerView> { [Server] = server } };

    private static CloudView With(PortView port) => Cloud with { Ports = new Dictionary<string, PortView>(Cloud.Ports) { [port.Id] = port } };

    private static HostView With(ComputeView compute, SwitchView? vswitch = null) => Host1 with { Compute = compute, Switch = vswitch ?? Switch1 };

    private static HostView With2(GuestView[]? guests = null, InstanceFilesView[]? folders = null, string[]? taps = null, CachedImageView[]? images = null) =>
        Host2 with { Compute = new ComputeView("host2") { Guests = guests ?? [], Folders = folders ?? [], Taps = taps ?? [], CachedImages = images ?? [] } };
}
