using System.Net;
using Microsoft.Extensions.Logging.Abstractions;
using SharpStack.Foundation.Bus;
using SharpStack.Foundation.Configuration;
using SharpStack.Neutron.Agents.OpenVSwitch;
using SharpStack.OpenVSwitch.OpenFlow;
using SharpStack.TestKit;
using SharpStack.TestKit.Hosts;

namespace SharpStack.Neutron.Agents.Tests.OpenVSwitch;

/// <summary>From the API of Neutron's server to packets, with the real server, the real agent and a real switch.</summary>
public sealed class ServerAndAgentTests
{
    private const string Host = "node-1";

    [Fact]
    public async Task A_port_and_a_rule_made_by_the_api_let_packets_through()
    {
        await using var sandbox = await OpenVSwitchSandbox.StartAsync();
        await sandbox.VsctlAsync("add-br", "br-phys", "--", "set", "bridge", "br-phys", "datapath_type=netdev");
        await using var cloud = await TestCloud.StartAsync(
            [new NeutronModule()],
            [
                ("neutron", "ml2", "tenant_network_types", "local"),
                ("neutron", "ml2_type_flat", "flat_networks", "physnet"),
                ("neutron", "DEFAULT", "notify_nova_on_port_status_changes", "false"),
                ("neutron", "DEFAULT", "notify_nova_on_port_data_changes", "false"),
            ]);
        using var admin = cloud.Client("neutron-server", "admin");
        using var demo = cloud.Client("neutron-server", "demo");
        var config = ServiceConfig.Empty("neutron")
            .With("ovs", "bridge_mappings", "physnet:br-phys")
            .With("ovs", "datapath_type", "netdev")
            .With("ovs", "ovsdb_connection", sandbox.Database);
        await using var agent = new OpenVSwitchAgent(
            AgentSettings.Read(config, Host), cloud.Get<IMessageBus>(), TimeProvider.System, NullLogger.Instance, () => new OpenFlowController(sandbox.Bind(new IPEndPoint(IPAddress.Loopback, 6633))));
        await agent.StartAsync(TestContext.Current.CancellationToken);
        await Eventually.TrueAsync(
            async () => (await admin.GetAsync("/v2.0/agents")).Json.GetProperty("agents").GetArrayLength() == 1 && (await sandbox.VsctlAsync("list-br")).Contains("br-int", StringComparison.Ordinal), "the agent reports");

        var network = await CreateAsync(admin, "networks", "'name': 'demo-network', 'shared': true, 'provider:network_type': 'flat', 'provider:physical_network': 'physnet'");
        await CreateAsync(admin, "subnets", $"'network_id': '{network}', 'ip_version': 4, 'cidr': '10.0.0.0/24'");

        // Unlike the default group, a new one lets nobody in.
        var group = await CreateAsync(demo, "security-groups", "'name': 'lab'");
        var (a, _) = await PlugAsync("tap-a");
        var (_, address) = await PlugAsync("tap-b");
        Assert.False(await OpenVSwitchSandbox.PingAsync(a, address));

        await CreateAsync(demo, "security-group-rules", $"'security_group_id': '{group}', 'direction': 'ingress', 'ethertype': 'IPv4', 'protocol': 'icmp', 'remote_group_id': '{group}'");
        await Eventually.TrueAsync(() => OpenVSwitchSandbox.PingAsync(a, address), "the rule lets pings through");

        var portB = (await admin.GetAsync($"/v2.0/ports?fixed_ips=ip_address%3D{address}")).Json.GetProperty("ports")[0].GetProperty("id").GetString();
        (await demo.DeleteAsync($"/v2.0/ports/{portB}")).Expect(204);
        await Eventually.TrueAsync(async () => await sandbox.VsctlAsync("get", "Port", "tap-b", "tag") == "4095\n", "the deleted port is cut off");

        async Task<(string Machine, string Address)> PlugAsync(string device)
        {
            var made = (await demo.PostAsync("/v2.0/ports", Json($"{{'port': {{'network_id': '{network}', 'security_groups': ['{group}']}}}}"))).Expect(201).Json.GetProperty("port");
            var id = made.GetProperty("id").GetString();
            var ip = made.GetProperty("fixed_ips")[0].GetProperty("ip_address").GetString()!;
            (await admin.PutAsync($"/v2.0/ports/{id}", Json($"{{'port': {{'binding:host_id': '{Host}', 'device_owner': 'compute:nova', 'device_id': '{Guid.NewGuid()}'}}}}"))).Expect(200);
            var machine = await sandbox.AddMachineAsync(device, made.GetProperty("mac_address").GetString()!, $"{ip}/24");
            await sandbox.VsctlAsync("add-port", "br-int", device, "--", "set", "Interface", device, $"external_ids:iface-id={id}", "external_ids:iface-status=active");
            await Eventually.TrueAsync(async () => (await admin.GetAsync($"/v2.0/ports/{id}")).Json.GetProperty("port").GetProperty("status").GetString() == "ACTIVE", $"port {id} is active");
            return (machine, ip);
        }
    }

    private static string Json(string text) => text.Replace('\'', '"');

    private static async Task<string> CreateAsync(TestClient client, string collection, string attributes)
    {
        var singular = collection.Replace('-', '_').TrimEnd('s');
        var answer = (await client.PostAsync($"/v2.0/{collection}", Json($"{{'{singular}': {{{attributes}}}}}"))).Expect(201);
        return answer.Json.GetProperty(singular).GetProperty("id").GetString()!;
    }
}
