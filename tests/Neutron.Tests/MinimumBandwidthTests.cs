using System.Text.Json;
using SharpStack.Neutron.Contracts;
using SharpStack.TestKit;
using static SharpStack.Neutron.Tests.NeutronCloud;
using static SharpStack.Neutron.Tests.QosTests;

namespace SharpStack.Neutron.Tests;

/// <summary>What ports ask of Placement, and what they get.</summary>
public sealed class MinimumBandwidthTests
{
    private const string Configurations =
        """
        {'bridge_mappings': {'physnet': 'br-phys', 'other': 'br-other'}, 'datapath_type': 'netdev', 'tunnel_types': ['vxlan'],
         'resource_provider_bandwidths': {'br-phys': {'egress': 1000, 'ingress': 500}, 'br-other': {'egress': 100, 'ingress': null}},
         'resource_provider_inventory_defaults': {'allocation_ratio': 1.0, 'min_unit': 1, 'step_size': 1, 'reserved': 0}, 'resource_provider_hypervisors': {'br-phys': 'compute1', 'br-other': 'compute1'},
         'resource_provider_packet_processing_without_direction': {'compute1': {'any': 50}}}
        """;

    /// <summary>uuid5 of neutron's namespace of the Open vSwitch driver and <c>compute1</c>, <c>compute1:br-phys</c>, as Python has them.</summary>
    private const string AgentProvider = "1b3fbba6-730a-5bac-ab80-57c3b37fe92e";
    private const string BridgeProvider = "60a9e9cb-0d04-52ce-b959-49a685c1eaa6";

    [Fact]
    public async Task A_port_asks_for_what_its_policy_or_its_networks_guarantees()
    {
        await using var cloud = await StartAsync();
        var network = await FlatAsync(cloud, "physnet");
        var policy = await PolicyAsync(cloud, "'shared': true");
        var egress = await RuleAsync(cloud, policy, "minimum_bandwidth", "'min_kbps': 100");
        var ingress = await RuleAsync(cloud, policy, "minimum_bandwidth", "'min_kbps': 50, 'direction': 'ingress'");
        var rate = await RuleAsync(cloud, policy, "minimum_packet_rate", "'min_kpps': 5, 'direction': 'any'");
        var created = await CreateAsync(cloud.Admin, "ports", $"{{'network_id': '{network}', 'qos_policy_id': '{policy}'}}");
        var port = (await cloud.Admin.GetAsync($"/v2.0/ports/{created.Id()}")).Expect(200).Json.GetProperty("port");
        Assert.Equal(created.GetProperty("resource_request").GetRawText(), port.GetProperty("resource_request").GetRawText());
        var groups = port.GetProperty("resource_request").GetProperty("request_groups");
        var (bandwidth, packets) = (groups[0], groups[1]);
        Assert.Equal(["CUSTOM_PHYSNET_PHYSNET", "CUSTOM_VNIC_TYPE_NORMAL"], Texts(bandwidth.GetProperty("required")));
        Assert.Equal("""{"NET_BW_EGR_KILOBIT_PER_SEC":100,"NET_BW_IGR_KILOBIT_PER_SEC":50}""", bandwidth.GetProperty("resources").GetRawText());
        Assert.Equal(["CUSTOM_VNIC_TYPE_NORMAL"], Texts(packets.GetProperty("required")));
        Assert.Equal("""{"NET_PACKET_RATE_KILOPACKET_PER_SEC":5}""", packets.GetProperty("resources").GetRawText());
        Assert.Equal([bandwidth.Id(), packets.Id()], Texts(port.GetProperty("resource_request").GetProperty("same_subtree")));
        Assert.Equal('5', bandwidth.Id()[14]);

        // The same group as long as the rules are the same, and another one for each port.
        (await cloud.Admin.PutAsync($"/v2.0/qos/policies/{policy}/minimum_bandwidth_rules/{egress.Id()}", Json("{'minimum_bandwidth_rule': {'min_kbps': 200}}"))).Expect(200);
        Assert.Equal((200, bandwidth.Id()), await AskedAsync(port.Id()));
        (await cloud.Admin.PutAsync($"/v2.0/networks/{network}", Json($"{{'network': {{'qos_policy_id': '{policy}'}}}}"))).Expect(200);
        var follower = (await CreateAsync(cloud.Demo, "ports", $"{{'network_id': '{network}'}}"));
        Assert.False(follower.TryGetProperty("resource_request", out _));
        Assert.NotEqual((200, bandwidth.Id()), await AskedAsync(follower.Id()));
        var limited = await PolicyAsync(cloud, "'shared': true");
        await RuleAsync(cloud, limited, "bandwidth_limit", "'max_kbps': 100");
        (await cloud.Admin.PutAsync($"/v2.0/ports/{follower.Id()}", Json($"{{'port': {{'qos_policy_id': '{limited}'}}}}"))).Expect(200);
        Assert.Null(await AskedAsync(follower.Id()));
        (await cloud.Admin.DeleteAsync($"/v2.0/qos/policies/{policy}/minimum_packet_rate_rules/{rate.Id()}")).Expect(204);
        (await cloud.Admin.DeleteAsync($"/v2.0/qos/policies/{policy}/minimum_bandwidth_rules/{egress.Id()}")).Expect(204);
        (await cloud.Admin.DeleteAsync($"/v2.0/qos/policies/{policy}/minimum_bandwidth_rules/{ingress.Id()}")).Expect(204);
        Assert.Null(await AskedAsync(port.Id()));

        async Task<(int Egress, string Id)?> AskedAsync(string id)
        {
            var listed = (await cloud.Admin.GetAsync($"/v2.0/ports?id={id}&fields=resource_request")).Expect(200).Json.GetProperty("ports")[0].GetProperty("resource_request");
            return listed.ValueKind == JsonValueKind.Null ? null
                : (listed.GetProperty("request_groups")[0].GetProperty("resources").GetProperty("NET_BW_EGR_KILOBIT_PER_SEC").GetInt32(), listed.GetProperty("request_groups")[0].Id());
        }
    }

    [Fact]
    public async Task Bandwidth_is_guaranteed_on_physical_networks_only_and_not_changed_below_servers()
    {
        await using var cloud = await StartAsync();
        var promise = await PolicyAsync(cloud, "'shared': true");
        var rule = await RuleAsync(cloud, promise, "minimum_bandwidth", "'min_kbps': 1");
        await RefusedAsync(cloud.Demo.PostAsync("/v2.0/networks", Json($"{{'network': {{'qos_policy_id': '{promise}'}}}}")), 409, "QosRuleNotSupportedByNetwork");
        var local = (await cloud.CreateNetworkAsync()).Id();
        await RefusedAsync(cloud.Demo.PostAsync("/v2.0/ports", Json($"{{'port': {{'network_id': '{local}', 'qos_policy_id': '{promise}'}}}}")), 409, "QosRuleNotSupported");
        var plain = await PolicyAsync(cloud, "'shared': true");
        await CreateAsync(cloud.Demo, "ports", $"{{'network_id': '{local}', 'qos_policy_id': '{plain}'}}");
        await RefusedAsync(cloud.Admin.PostAsync($"/v2.0/qos/policies/{plain}/minimum_bandwidth_rules", Json("{'minimum_bandwidth_rule': {'min_kbps': 1}}")), 409, "QosRuleNotSupported");
        await RuleAsync(cloud, plain, "minimum_packet_rate", "'min_kpps': 1");

        var network = (await CreateAsync(cloud.Admin, "networks", $"{{'qos_policy_id': '{promise}', 'provider:network_type': 'flat', 'provider:physical_network': 'physnet'}}")).Id();
        await CreateAsync(cloud.Admin, "ports", $"{{'network_id': '{network}', 'device_owner': 'compute:nova', 'device_id': '{Guid.NewGuid()}'}}");
        var path = $"/v2.0/qos/policies/{promise}/minimum_bandwidth_rules";
        await RefusedAsync(cloud.Admin.PutAsync($"{path}/{rule.Id()}", Json("{'minimum_bandwidth_rule': {'min_kbps': 2}}")), 501, "NotImplementedError");
        await RefusedAsync(cloud.Admin.PostAsync(path, Json("{'minimum_bandwidth_rule': {'min_kbps': 2, 'direction': 'ingress'}}")), 501, "NotImplementedError");
        await RefusedAsync(cloud.Admin.DeleteAsync($"{path}/{rule.Id()}"), 501, "NotImplementedError");
        await RuleAsync(cloud, promise, "bandwidth_limit", "'max_kbps': 10");
    }

    [Fact]
    public async Task A_port_is_bound_only_where_what_it_was_given_is()
    {
        await using var cloud = await StartAsync();
        await cloud.AddAgentAsync(AgentTypes.OpenVSwitch, "compute1", Configurations);
        var network = await FlatAsync(cloud, "physnet");
        var elsewhere = await FlatAsync(cloud, "other");
        var group = Guid.NewGuid();
        Assert.Equal("ovs", await BoundAsync(network, $"{{'{group}': '{BridgeProvider}'}}"));
        Assert.Equal("ovs", await BoundAsync(network, $"{{'{group}': '{BridgeProvider}', '{Guid.NewGuid()}': '{AgentProvider}'}}"));
        Assert.Equal("binding_failed", await BoundAsync(elsewhere, $"{{'{group}': '{BridgeProvider}'}}"));
        Assert.Equal("ovs", await BoundAsync(elsewhere, $"{{'{group}': '{AgentProvider}'}}"));
        Assert.Equal("binding_failed", await BoundAsync(network, $"{{'{group}': '{Guid.NewGuid()}'}}"));
        Assert.Equal("ovs", await BoundAsync(elsewhere, "{}"));

        async Task<string> BoundAsync(string on, string allocation) =>
            (await CreateAsync(cloud.Admin, "ports", $"{{'network_id': '{on}', 'binding:host_id': 'compute1', 'binding:profile': {{'allocation': {allocation}}}}}")).Text("binding:vif_type");
    }

    [Fact]
    public async Task A_server_holds_what_the_policy_of_its_port_asks_for_when_that_changes_and_no_more_than_there_is()
    {
        await using var cloud = await PlacementCloud.StartAsync();
        var neutron = cloud.Neutron;
        var provider = await cloud.AddProviderAsync("compute1");
        (await cloud.SendAsync(HttpMethod.Put, $"/resource_providers/{provider}/inventories", Json("{'resource_provider_generation': 0, 'inventories': {'NET_BW_EGR_KILOBIT_PER_SEC': {'total': 1000}, 'VCPU': {'total': 8}}}"))).Expect(200);
        var (small, large, most, unlimited) = (await MinimumAsync(100), await MinimumAsync(600), await MinimumAsync(1001), await PolicyAsync(neutron, "'shared': true"));
        var network = (await CreateAsync(neutron.Admin, "networks", $"{{'qos_policy_id': '{small}', 'provider:network_type': 'flat', 'provider:physical_network': 'physnet'}}")).Id();
        var (own, first) = await GivenAsync($", 'qos_policy_id': '{small}'");
        var (following, second) = await GivenAsync("");

        Assert.Equal("600", await ChangedAsync("port", own, $"'{large}'", own, first));
        Assert.Equal("300", await ChangedAsync("network", network, $"'{await MinimumAsync(300)}'", following, second));
        Assert.Equal("600", await HeldAsync(first));
        await RefusedAsync(neutron.Admin.PutAsync($"/v2.0/ports/{own}", Json($"{{'port': {{'qos_policy_id': '{most}'}}}}")), 409, "QosPlacementAllocationUpdateConflict");
        await RefusedAsync(neutron.Admin.PutAsync($"/v2.0/networks/{network}", Json($"{{'network': {{'qos_policy_id': '{most}'}}}}")), 409, "QosPlacementAllocationUpdateConflict");
        Assert.Equal(("600", "300"), (await HeldAsync(first), await HeldAsync(second)));

        // What is refused by Neutron itself after Placement agreed is given back there.
        (await neutron.Admin.SendAsync(HttpMethod.Put, $"/v2.0/ports/{own}", Json($"{{'port': {{'qos_policy_id': '{small}'}}}}"), headers: ("If-Match", "revision_number=99"))).Expect(412);
        Assert.Equal("600", await HeldAsync(first));
        Assert.Equal("none", await ChangedAsync("port", own, $"'{unlimited}'", own, first));

        async Task<string> MinimumAsync(int egress)
        {
            var policy = await PolicyAsync(neutron, "'shared': true");
            await RuleAsync(neutron, policy, "minimum_bandwidth", $"'min_kbps': {egress}");
            return policy;
        }

        // As Nova leaves them: claimed, and the port told of it.
        async Task<(string Port, string Server)> GivenAsync(string more)
        {
            var server = Guid.NewGuid().ToString();
            var port = (await CreateAsync(neutron.Admin, "ports", $"{{'network_id': '{network}', 'device_owner': 'compute:nova', 'device_id': '{server}'{more}}}")).Id();
            (await cloud.SendAsync(
                HttpMethod.Put,
                $"/allocations/{server}",
                Json($"{{'allocations': {{'{provider}': {{'resources': {{'NET_BW_EGR_KILOBIT_PER_SEC': 100, 'VCPU': 1}}}}}}, 'project_id': 'p', 'user_id': 'u', 'consumer_generation': null}}"))).Expect(204);
            (await neutron.Admin.PutAsync($"/v2.0/ports/{port}", Json($"{{'port': {{'binding:profile': {{'allocation': {{'{await GroupAsync(port)}': '{provider}'}}}}}}}}"))).Expect(200);
            return (port, server);
        }

        async Task<string?> GroupAsync(string port)
        {
            var request = (await neutron.Admin.GetAsync($"/v2.0/ports/{port}")).Expect(200).Json.GetProperty("port").GetProperty("resource_request");
            return request.ValueKind == JsonValueKind.Null ? null : request.GetProperty("request_groups")[0].Id();
        }

        async Task<string> ChangedAsync(string what, string id, string policy, string port, string server)
        {
            (await neutron.Admin.PutAsync($"/v2.0/{what}s/{id}", Json($"{{'{what}': {{'qos_policy_id': {policy}}}}}"))).Expect(200);
            var given = (await neutron.Admin.GetAsync($"/v2.0/ports/{port}")).Json.GetProperty("port").GetProperty("binding:profile").GetProperty("allocation").EnumerateObject().ToList();
            Assert.All(given, group => Assert.Equal(provider, group.Value.GetString()));
            Assert.Equal(await GroupAsync(port), given.Select(group => group.Name).SingleOrDefault());
            return await HeldAsync(server);
        }

        async Task<string> HeldAsync(string server)
        {
            var resources = (await cloud.SendAsync(HttpMethod.Get, $"/allocations/{server}")).Expect(200).Json.GetProperty("allocations").GetProperty(provider).GetProperty("resources");
            Assert.Equal(1, resources.GetProperty("VCPU").GetInt32());
            return resources.TryGetProperty("NET_BW_EGR_KILOBIT_PER_SEC", out var held) ? held.GetRawText() : "none";
        }
    }

    [Fact]
    public async Task What_agents_guarantee_is_kept_in_Placement_below_their_hypervisors()
    {
        await using var cloud = await PlacementCloud.StartAsync();
        var agent = await cloud.Neutron.AddAgentAsync(AgentTypes.OpenVSwitch, "compute1", Configurations);
        await SyncedAsync(false);

        // Nova's compute node comes; nobody tells Neutron of it.
        var root = await cloud.AddProviderAsync("compute1");
        await SyncedAsync(true);
        var tree = await cloud.TreeAsync(root);
        Assert.Equal(["compute1", "compute1:Open vSwitch agent", "compute1:Open vSwitch agent:br-other", "compute1:Open vSwitch agent:br-phys"], tree.Select(provider => provider.Text("name")).Order(StringComparer.Ordinal));
        var bridge = tree.Single(provider => provider.Text("name").EndsWith(":br-phys", StringComparison.Ordinal));
        Assert.Equal((BridgeProvider, AgentProvider), (bridge.Text("uuid"), bridge.Text("parent_provider_uuid")));
        Assert.Equal(root, tree.Single(provider => provider.Text("uuid") == AgentProvider).Text("parent_provider_uuid"));
        Assert.Equal(["CUSTOM_PHYSNET_PHYSNET", "CUSTOM_VNIC_TYPE_NORMAL"], Texts((await cloud.PlacementAsync(BridgeProvider, "traits")).GetProperty("traits")).Order(StringComparer.Ordinal));
        var inventories = (await cloud.PlacementAsync(BridgeProvider, "inventories")).GetProperty("inventories");
        Assert.Equal((1000, 500), (Total(inventories, "NET_BW_EGR_KILOBIT_PER_SEC"), Total(inventories, "NET_BW_IGR_KILOBIT_PER_SEC")));
        Assert.Equal(50, Total((await cloud.PlacementAsync(AgentProvider, "inventories")).GetProperty("inventories"), "NET_PACKET_RATE_KILOPACKET_PER_SEC"));

        // Reports that come to the same leave Placement alone, others change it.
        var generation = (await cloud.PlacementAsync(BridgeProvider, "inventories")).GetProperty("resource_provider_generation").GetInt32();
        await agent.ReportAsync();
        await cloud.Neutron.AddAgentAsync(AgentTypes.OpenVSwitch, "compute1", Configurations.Replace("'br-other': {'egress': 100, 'ingress': null}", "'br-phys2': {'egress': 7}", StringComparison.Ordinal).Replace("'egress': 1000", "'egress': 2000", StringComparison.Ordinal));
        await Eventually.TrueAsync(async () => Total((await cloud.PlacementAsync(BridgeProvider, "inventories")).GetProperty("inventories"), "NET_BW_EGR_KILOBIT_PER_SEC") == 2000, "the new amount");
        await Eventually.TrueAsync(async () => (await cloud.TreeAsync(root)).Count == 3, "the bridge that is not told of any more goes");
        Assert.Equal(generation + 1, (await cloud.PlacementAsync(BridgeProvider, "inventories")).GetProperty("resource_provider_generation").GetInt32());

        // What servers hold something of stays as long as they do.
        var server = $"/allocations/{Guid.NewGuid()}";
        (await cloud.SendAsync(
            HttpMethod.Put, server, Json($"{{'allocations': {{'{BridgeProvider}': {{'resources': {{'NET_BW_EGR_KILOBIT_PER_SEC': 1}}}}}}, 'project_id': 'p', 'user_id': 'u', 'consumer_generation': null}}"))).Expect(204);
        var silent = await cloud.Neutron.AddAgentAsync(AgentTypes.OpenVSwitch, "compute1", "{'bridge_mappings': {'physnet': 'br-phys'}}");
        await SyncedAsync(false);
        Assert.Contains(await cloud.TreeAsync(root), provider => provider.Text("uuid") == BridgeProvider);
        (await cloud.SendAsync(HttpMethod.Delete, server)).Expect(204);
        await silent.ReportAsync();
        await SyncedAsync(null);
        Assert.Single(await cloud.TreeAsync(root));

        Task SyncedAsync(bool? wanted) => Eventually.TrueAsync(
            async () => (await cloud.Neutron.Admin.GetAsync("/v2.0/agents")).Expect(200).Json.GetProperty("agents")[0].GetProperty("resources_synced").ValueKind
                == wanted switch { true => JsonValueKind.True, false => JsonValueKind.False, null => JsonValueKind.Null },
            $"resources_synced is {wanted}");
    }

    [Fact]
    public async Task Extensions_tell_of_it_where_the_plugins_are_on()
    {
        await using var cloud = await StartAsync();
        await using var without = await StartAsync(("DEFAULT", "service_plugins", "router"));
        foreach (var alias in (string[])["port-resource-request", "port-resource-request-groups", "agent-resources-synced"])
        {
            (await cloud.Demo.GetAsync($"/v2.0/extensions/{alias}")).Expect(200);
            (await without.Demo.GetAsync($"/v2.0/extensions/{alias}")).Expect(404);
        }
    }

    private static async Task<string> FlatAsync(NeutronCloud cloud, string physical) =>
        (await CreateAsync(cloud.Admin, "networks", $"{{'shared': true, 'provider:network_type': 'flat', 'provider:physical_network': '{physical}'}}")).Id();

    private static IEnumerable<string> Texts(JsonElement list) => list.EnumerateArray().Select(item => item.GetString()!);

    private static int Total(JsonElement inventories, string resource) => inventories.GetProperty(resource).GetProperty("total").GetInt32();
}
