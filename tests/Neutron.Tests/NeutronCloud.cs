using System.Collections.Concurrent;
using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.Extensions.DependencyInjection;
using SharpStack.Foundation.Bus;
using SharpStack.Foundation.Hosting;
using SharpStack.Foundation.Storage.Leases;
using SharpStack.Neutron.Contracts;
using SharpStack.TestKit;

namespace SharpStack.Neutron.Tests;

/// <summary>Neutron in this process, without Nova, with the agents that a test adds.</summary>
internal sealed class NeutronCloud : IAsyncDisposable
{
    private static readonly (string, string, string, string)[] Defaults =
    [
        ("neutron", "ml2", "tenant_network_types", "local"),
        ("neutron", "ml2_type_flat", "flat_networks", "physnet,other"),
        ("neutron", "DEFAULT", "notify_nova_on_port_status_changes", "false"),
        ("neutron", "DEFAULT", "notify_nova_on_port_data_changes", "false"),
    ];

    private NeutronCloud(TestCloud cloud)
    {
        Cloud = cloud;
        Admin = cloud.Client("neutron-server", "admin");
        Demo = cloud.Client("neutron-server", "demo");
        Other = cloud.Client("neutron-server", "other");
        Bus = cloud.Get<IMessageBus>();
    }

    public TestCloud Cloud { get; }

    public TestClient Admin { get; }

    public TestClient Demo { get; }

    public TestClient Other { get; }

    public IMessageBus Bus { get; }

    public static async Task<NeutronCloud> StartAsync(params (string Group, string Name, string Value)[] settings) =>
        new(await TestCloud.StartAsync([new NeutronModule()], [.. Defaults, .. settings.Select(setting => ("neutron", setting.Group, setting.Name, setting.Value))]));

    /// <summary>With other services beside it.</summary>
    public static async Task<NeutronCloud> StartAsync(IServiceModule[] others, params (string Group, string Name, string Value)[] settings) =>
        new(await TestCloud.StartAsync([new NeutronModule(), .. others], [.. Defaults, .. settings.Select(setting => ("neutron", setting.Group, setting.Name, setting.Value))]));

    /// <summary>A server that shares its work by quick leases, and perhaps Nova's stand-in with it.</summary>
    /// <param name="other">The server whose database and bus it joins; to be disposed after it.</param>
    public static async Task<NeutronCloud> StartServerAsync(IServiceModule? nova = null, NeutronCloud? other = null, params (string Group, string Name, string Value)[] settings) =>
        new(await TestCloud.StartAsync(
            [new NeutronModule(), .. nova is null ? Array.Empty<IServiceModule>() : [nova]],
            [
                .. Defaults.Where(setting => nova is null || !setting.Item3.StartsWith("notify", StringComparison.Ordinal)),
                .. settings.Select(setting => ("neutron", setting.Group, setting.Name, setting.Value)),
            ],
            other?.Cloud.Data,
            services: container =>
            {
                container.AddSingleton(new LeaseTimings(TimeSpan.FromMilliseconds(100), TimeSpan.FromSeconds(3)));
                if (other is not null)
                {
                    container.AddSingleton(other.Bus);
                }
            },
            keepsData: other is not null));

    public static async Task<NeutronCloud> StartAsync(TimeProvider time, params (string Group, string Name, string Value)[] settings) =>
        new(await TestCloud.StartAsync([new NeutronModule()], [.. Defaults, .. settings.Select(setting => ("neutron", setting.Group, setting.Name, setting.Value))], time: time));

    /// <summary>Creates with a body in single quotes; gives the resource.</summary>
    public static async Task<JsonElement> CreateAsync(TestClient client, string collection, string body, int status = 201)
    {
        var singular = collection.Replace('-', '_').TrimEnd('s');
        var answer = (await client.PostAsync($"/v2.0/{collection}", Json($"{{'{singular}': {body}}}"))).Expect(status);
        return answer.Json.GetProperty(singular);
    }

    /// <summary>An error answer's type.</summary>
    public static async Task<JsonElement> RefusedAsync(Task<TestAnswer> sent, int status, string type)
    {
        var answer = (await sent).Expect(status);
        var error = answer.Json.GetProperty("NeutronError");
        Assert.Equal(type, error.GetProperty("type").GetString());
        Assert.Equal(JsonValueKind.String, error.GetProperty("detail").ValueKind);
        return error;
    }

    public static string Json(string text) => text.Replace('\'', '"');

    public Task<JsonElement> CreateNetworkAsync(TestClient? client = null, string body = "{'name': 'net'}") => CreateAsync(client ?? Demo, "networks", body);

    public async Task<(string Network, string Subnet)> CreateNetworkWithSubnetAsync(string cidr = "10.0.0.0/24", TestClient? client = null)
    {
        var network = (await CreateNetworkAsync(client)).Id();
        return (network, (await CreateAsync(client ?? Demo, "subnets", $"{{'network_id': '{network}', 'ip_version': {(cidr.Contains(':', StringComparison.Ordinal) ? 6 : 4)}, 'cidr': '{cidr}'}}")).Id());
    }

    /// <summary>An external network of the administrator's, with one subnet.</summary>
    public async Task<(string Network, string Subnet)> CreateExternalAsync(string cidr = "203.0.113.0/24", string more = "")
    {
        var network = (await CreateAsync(Admin, "networks", "{'name': 'outside', 'router:external': true}")).Id();
        return (network, (await CreateAsync(Admin, "subnets", $"{{'network_id': '{network}', 'ip_version': 4, 'cidr': '{cidr}', 'enable_dhcp': false{more}}}")).Id());
    }

    /// <summary>A router between an external network and a subnet, both new.</summary>
    public async Task<Routed> CreateRoutedAsync(string cidr = "10.0.0.0/24", string external = "203.0.113.0/24")
    {
        var (outside, outsideSubnet) = await CreateExternalAsync(external);
        var (network, subnet) = await CreateNetworkWithSubnetAsync(cidr);
        var router = (await CreateAsync(Demo, "routers", $"{{'name': 'r', 'external_gateway_info': {{'network_id': '{outside}'}}}}")).Id();
        await AddInterfaceAsync(router, $"'subnet_id': '{subnet}'");
        return new Routed(router, network, subnet, outside, outsideSubnet);
    }

    public async Task<JsonElement> AddInterfaceAsync(string router, string what, TestClient? client = null) =>
        (await (client ?? Demo).PutAsync($"/v2.0/routers/{router}/add_router_interface", Json($"{{{what}}}"))).Expect(200).Json;

    public async Task<FakeAgent> AddAgentAsync(string type, string host, string configurations = "{'bridge_mappings': {'physnet': 'br-phys'}, 'datapath_type': 'netdev'}")
    {
        var agent = new FakeAgent(Bus, type, host, configurations);
        await agent.ReportAsync();
        return agent;
    }

    public async ValueTask DisposeAsync()
    {
        Admin.Dispose();
        Demo.Dispose();
        Other.Dispose();
        await Cloud.DisposeAsync();
    }
}

/// <summary>An agent that only talks: it reports, asks, and remembers the hints.</summary>
internal sealed class FakeAgent
{
    private readonly IMessageBus bus;
    private readonly string type;
    private readonly string host;
    private readonly string configurations;

    public FakeAgent(IMessageBus bus, string type, string host, string configurations)
    {
        this.bus = bus;
        this.type = type;
        this.host = host;
        this.configurations = configurations;
        if (type == AgentTypes.OpenVSwitch)
        {
            Note(OpenVSwitchContracts.PortChanged, hint => hint.PortId);
            Note(OpenVSwitchContracts.PortDeleted, hint => hint.PortId);
            Note(OpenVSwitchContracts.SecurityGroupsChanged, hint => string.Join(',', hint.SecurityGroupIds));
            Note(OpenVSwitchContracts.NetworkChanged, hint => hint.NetworkId);
        }
        else if (type == AgentTypes.L3)
        {
            Note(L3Contracts.RoutersChanged, hint => string.Join(',', hint.RouterIds));
        }
        else
        {
            Note(DhcpContracts.PortChanged, hint => hint.PortId);
            Note(DhcpContracts.NetworkChanged, hint => hint.NetworkId);
        }
    }

    /// <summary>Method and id of each hint.</summary>
    public ConcurrentQueue<(string Method, string Id)> Hints { get; } = new();

    public Task<AgentReportAnswer> ReportAsync(bool start = true) =>
        bus.CallAsync(
            AgentContracts.ReportState,
            new AgentReport(type, type switch { AgentTypes.Dhcp => AgentTypes.DhcpBinary, AgentTypes.L3 => AgentTypes.L3Binary, _ => AgentTypes.OpenVSwitchBinary }, host, JsonNode.Parse(NeutronCloud.Json(configurations))!.AsObject(), start),
            cancellationToken: TestContext.Current.CancellationToken);

    public Task<DevicesAnswer> GetDevicesAsync(params string[]? ports) =>
        bus.CallAsync(OpenVSwitchContracts.GetDevices, new DevicesRequest(host, ports), cancellationToken: TestContext.Current.CancellationToken);

    public Task<DeviceStatusAnswer> UpAsync(string port) =>
        bus.CallAsync(OpenVSwitchContracts.ReportDevices, new DeviceStatusReport(host, [new DeviceSeen(port, 1)], []), cancellationToken: TestContext.Current.CancellationToken);

    public Task<DeviceStatusAnswer> DownAsync(string port) =>
        bus.CallAsync(OpenVSwitchContracts.ReportDevices, new DeviceStatusReport(host, [], [new DeviceSeen(port, 0)]), cancellationToken: TestContext.Current.CancellationToken);

    public Task<TrunkStatusAnswer> SayTrunkAsync(string trunk, long revision, string status) =>
        bus.CallAsync(OpenVSwitchContracts.ReportTrunks, new TrunkStatusReport(host, [new TrunkSeen(trunk, revision, status)]), cancellationToken: TestContext.Current.CancellationToken);

    public Task<SecurityGroupsAnswer> GetSecurityGroupsAsync(params string[] ids) =>
        bus.CallAsync(OpenVSwitchContracts.GetSecurityGroups, new SecurityGroupsRequest(host, ids), cancellationToken: TestContext.Current.CancellationToken);

    public Task<DhcpNetworksAnswer> GetNetworksAsync(params string[]? ids) =>
        bus.CallAsync(DhcpContracts.GetNetworks, new DhcpNetworksRequest(host, ids), cancellationToken: TestContext.Current.CancellationToken);

    public Task<DhcpPortsAnswer> GetPortsAsync(params string[] ids) =>
        bus.CallAsync(DhcpContracts.GetPorts, new DhcpPortsRequest(host, ids), cancellationToken: TestContext.Current.CancellationToken);

    public async Task<DhcpPort?> EnsurePortAsync(string network) =>
        (await bus.CallAsync(DhcpContracts.EnsureDhcpPort, new DhcpPortRequest(host, network), cancellationToken: TestContext.Current.CancellationToken)).Port;

    public Task<L3RoutersAnswer> GetRoutersAsync(params string[]? ids) =>
        bus.CallAsync(L3Contracts.GetRouters, new L3RoutersRequest(host, ids), cancellationToken: TestContext.Current.CancellationToken);

    public Task SayFloatingIpAsync(string router, string id, string status) =>
        bus.CallAsync(L3Contracts.ReportFloatingIps, new L3FloatingIpReport(host, router, [new L3FloatingIpSeen(id, status)]), cancellationToken: TestContext.Current.CancellationToken);

    public Task SayStateAsync(string router, string state) =>
        bus.CallAsync(L3Contracts.ReportStates, new L3RouterStateReport(host, [new L3RouterState(router, state)]), cancellationToken: TestContext.Current.CancellationToken);

    public Task ReleasePortAsync(string network) =>
        bus.CallAsync(DhcpContracts.ReleaseDhcpPort, new DhcpPortRequest(host, network), cancellationToken: TestContext.Current.CancellationToken);

    public Task ReadyAsync(params string[] ports) =>
        bus.CallAsync(DhcpContracts.ReportReady, new DhcpReadyReport(host, ports), cancellationToken: TestContext.Current.CancellationToken);

    public Task SawAsync(string method, string id) => Eventually.TrueAsync(() => Hints.Contains((method, id)), $"hint {method} {id}");

    private void Note<T>(BusContract<T, Ack> contract, Func<T, string> id) =>
        bus.Serve(contract, host, (hint, _) =>
        {
            Hints.Enqueue((contract.Method, id(hint)));
            return Task.FromResult(Ack.Ok);
        });
}

/// <summary>A router and the networks on both of its sides.</summary>
internal sealed record Routed(string Router, string Network, string Subnet, string Outside, string OutsideSubnet);

internal static class Elements
{
    public static string Id(this JsonElement element) => element.GetProperty("id").GetString()!;

    public static string Text(this JsonElement element, string name) => element.GetProperty(name).GetString()!;

    public static IEnumerable<string> Addresses(this JsonElement port) => port.GetProperty("fixed_ips").EnumerateArray().Select(ip => ip.Text("ip_address"));
}
