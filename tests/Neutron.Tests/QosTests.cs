using System.Text.Json;
using SharpStack.Neutron.Contracts;
using SharpStack.TestKit;
using static SharpStack.Neutron.Tests.NeutronCloud;

namespace SharpStack.Neutron.Tests;

public sealed class QosTests
{
    [Fact]
    public async Task Rules_come_and_go_by_their_policy_or_by_their_ids_and_never_contradict_each_other()
    {
        await using var cloud = await StartAsync();
        var policy = await PolicyAsync(cloud, "'name': 'gold', 'description': 'for some'");
        var path = $"/v2.0/qos/policies/{policy}";
        var limit = await RuleAsync(cloud, policy, "bandwidth_limit", "'max_kbps': 1000, 'max_burst_kbps': 100");
        Assert.Equal("egress", limit.Text("direction"));
        await RuleAsync(cloud, policy, "bandwidth_limit", "'max_kbps': 2000, 'direction': 'ingress'");
        var mark = await RuleAsync(cloud, policy, "dscp_marking", "'dscp_mark': 26");
        foreach (var (type, body, code) in ((string, string, string)[])
        [
            ("bandwidth_limit", "'max_kbps': 1", "QoSRulesConflict"), ("dscp_marking", "'dscp_mark': 8", "QoSRulesConflict"), ("minimum_bandwidth", "'min_kbps': 5000", "QoSRuleParameterConflict"),
        ])
        {
            await RefusedAsync(cloud.Admin.PostAsync($"{path}/{type}_rules", Json($"{{'{type}_rule': {{{body}}}}}")), 409, code);
        }

        await RuleAsync(cloud, policy, "minimum_packet_rate", "'min_kpps': 10, 'direction': 'any'");
        await RefusedAsync(cloud.Admin.PostAsync(path + "/minimum_packet_rate_rules", Json("{'minimum_packet_rate_rule': {'min_kpps': 5}}")), 409, "QoSRuleParameterConflict");
        foreach (var (type, body) in ((string, string)[])[("dscp_marking", "'dscp_mark': 58"), ("bandwidth_limit", "'max_burst_kbps': 1"), ("bandwidth_limit", "'max_kbps': 1, 'direction': 'up'"), ("minimum_bandwidth", "'min_kbps': -1")])
        {
            (await cloud.Admin.PostAsync($"{path}/{type}_rules", Json($"{{'{type}_rule': {{{body}}}}}"))).Expect(400);
        }

        var changed = (await cloud.Admin.PutAsync($"{path}/bandwidth_limit_rules/{limit.Id()}", Json("{'bandwidth_limit_rule': {'max_kbps': 500}}"))).Expect(200).Json.GetProperty("bandwidth_limit_rule");
        Assert.Equal((500, 100), (changed.GetProperty("max_kbps").GetInt32(), changed.GetProperty("max_burst_kbps").GetInt32()));
        await RefusedAsync(cloud.Admin.PutAsync($"{path}/bandwidth_limit_rules/{limit.Id()}", Json("{'bandwidth_limit_rule': {'direction': 'ingress'}}")), 409, "QoSRulesConflict");
        var alias = $"/v2.0/qos/alias-bandwidth-limit-rules/{limit.Id()}";
        (await cloud.Admin.PutAsync(alias, Json("{'alias_bandwidth_limit_rule': {'max_kbps': 600}}"))).Expect(200);
        Assert.Equal(600, (await cloud.Admin.GetAsync(alias)).Expect(200).Json.GetProperty("alias_bandwidth_limit_rule").GetProperty("max_kbps").GetInt32());
        (await cloud.Admin.GetAsync($"/v2.0/qos/alias-dscp-marking-rules/{limit.Id()}")).Expect(404);

        var shown = (await cloud.Admin.GetAsync(path)).Expect(200).Json.GetProperty("policy");
        Assert.Equal(["bandwidth_limit", "bandwidth_limit", "dscp_marking", "minimum_packet_rate"], shown.GetProperty("rules").EnumerateArray().Select(rule => rule.Text("type")));
        Assert.Equal(policy, shown.GetProperty("rules")[0].Text("qos_policy_id"));
        Assert.True(shown.GetProperty("revision_number").GetInt32() >= 5);
        (await cloud.Admin.DeleteAsync($"{path}/dscp_marking_rules/{mark.Id()}")).Expect(204);
        await RefusedAsync(cloud.Admin.GetAsync($"{path}/dscp_marking_rules/{mark.Id()}"), 404, "QosRuleNotFound");
        (await cloud.Admin.DeleteAsync(alias)).Expect(204);
        Assert.Single((await cloud.Admin.GetAsync(path + "/bandwidth_limit_rules")).Expect(200).Json.GetProperty("bandwidth_limit_rules").EnumerateArray());
        await RefusedAsync(cloud.Admin.PostAsync("/v2.0/qos/policies/nowhere/dscp_marking_rules", Json("{'dscp_marking_rule': {'dscp_mark': 8}}")), 404, "QosPolicyNotFound");
        (await cloud.Demo.PostAsync("/v2.0/qos/policies/nowhere/dscp_marking_rules", Json("{'dscp_marking_rule': {'dscp_mark': 8}}"))).Expect(403);
    }

    [Fact]
    public async Task The_agent_of_a_port_follows_the_ports_policy_or_else_its_networks_and_hears_of_changes()
    {
        await using var cloud = await StartAsync();
        var agent = await cloud.AddAgentAsync(AgentTypes.OpenVSwitch, "compute1");
        var slow = await PolicyAsync(cloud, "'name': 'slow', 'shared': true");
        await RuleAsync(cloud, slow, "bandwidth_limit", "'max_kbps': 100, 'max_burst_kbps': 10");
        var marked = await PolicyAsync(cloud, "'name': 'marked', 'shared': true");
        var mark = await RuleAsync(cloud, marked, "dscp_marking", "'dscp_mark': 8");
        var network = (await cloud.CreateNetworkAsync(body: $"{{'qos_policy_id': '{slow}'}}")).Id();
        var port = await CreateAsync(cloud.Admin, "ports", $"{{'network_id': '{network}', 'binding:host_id': 'compute1', 'project_id': '{TestIdentities.DemoProject}'}}");
        Assert.Equal((JsonValueKind.Null, slow), (port.GetProperty("qos_policy_id").ValueKind, port.Text("qos_network_policy_id")));
        var service = (await CreateAsync(cloud.Admin, "ports", $"{{'network_id': '{network}', 'binding:host_id': 'compute1', 'device_owner': 'network:dhcp'}}")).Id();
        Assert.Equal(new BandwidthLimit("egress", 100, 10), Assert.Single((await QosAsync(port.Id()))!.BandwidthLimits));
        Assert.Null(await QosAsync(service));

        (await cloud.Demo.PutAsync($"/v2.0/ports/{port.Id()}", Json($"{{'port': {{'qos_policy_id': '{marked}'}}}}"))).Expect(200);
        var own = (await QosAsync(port.Id()))!;
        Assert.Equal((0, 8), (own.BandwidthLimits.Count, own.DscpMark));
        agent.Hints.Clear();
        (await cloud.Admin.PutAsync($"/v2.0/qos/policies/{marked}/dscp_marking_rules/{mark.Id()}", Json("{'dscp_marking_rule': {'dscp_mark': 10}}"))).Expect(200);
        await agent.SawAsync(OpenVSwitchContracts.PortChanged.Method, port.Id());
        Assert.Equal(10, (await QosAsync(port.Id()))!.DscpMark);

        (await cloud.Demo.PutAsync($"/v2.0/ports/{port.Id()}", Json("{'port': {'qos_policy_id': null}}"))).Expect(200);
        agent.Hints.Clear();
        await RuleAsync(cloud, slow, "bandwidth_limit", "'max_kbps': 200, 'direction': 'ingress'");
        await agent.SawAsync(OpenVSwitchContracts.PortChanged.Method, port.Id());
        Assert.Equal(2, (await QosAsync(port.Id()))!.BandwidthLimits.Count);
        (await cloud.Demo.PutAsync($"/v2.0/networks/{network}", Json("{'network': {'qos_policy_id': null}}"))).Expect(200);
        Assert.Null(await QosAsync(port.Id()));

        async Task<DeviceQos?> QosAsync(string id) => Assert.Single((await agent.GetDevicesAsync(id)).Devices).Qos;
    }

    [Fact]
    public async Task The_L3_agent_limits_floating_IPs_and_gateways()
    {
        await using var cloud = await StartAsync();
        var agent = await cloud.AddAgentAsync(AgentTypes.L3, "network1", "{}");
        var routed = await cloud.CreateRoutedAsync();
        var policy = await PolicyAsync(cloud, "'shared': true");
        await RuleAsync(cloud, policy, "bandwidth_limit", "'max_kbps': 100");
        var other = await PolicyAsync(cloud, "'shared': true");
        var rule = await RuleAsync(cloud, other, "bandwidth_limit", "'max_kbps': 300, 'direction': 'ingress'");
        var port = (await CreateAsync(cloud.Demo, "ports", $"{{'network_id': '{routed.Network}'}}")).Id();
        (await cloud.Admin.PutAsync($"/v2.0/networks/{routed.Outside}", Json($"{{'network': {{'qos_policy_id': '{policy}'}}}}"))).Expect(200);
        var floating = await CreateAsync(cloud.Demo, "floatingips", $"{{'floating_network_id': '{routed.Outside}', 'port_id': '{port}'}}");
        Assert.Equal((JsonValueKind.Null, policy), (floating.GetProperty("qos_policy_id").ValueKind, floating.Text("qos_network_policy_id")));
        Assert.Equal(100, Assert.Single(Assert.Single((await RouterAsync()).FloatingIps).BandwidthLimits).MaxKbps);
        Assert.Empty((await RouterAsync()).Gateway!.BandwidthLimits);

        (await cloud.Demo.PutAsync($"/v2.0/floatingips/{floating.Id()}", Json($"{{'floatingip': {{'qos_policy_id': '{other}'}}}}"))).Expect(200);
        var gateway = (await cloud.Demo.PutAsync($"/v2.0/routers/{routed.Router}", Json($"{{'router': {{'external_gateway_info': {{'network_id': '{routed.Outside}', 'qos_policy_id': '{policy}'}}}}}}"))).Expect(200)
            .Json.GetProperty("router").GetProperty("external_gateway_info");
        Assert.Equal(policy, gateway.Text("qos_policy_id"));
        Assert.Equal([new BandwidthLimit("egress", 100, 0)], (await RouterAsync()).Gateway!.BandwidthLimits);
        Assert.Equal([new BandwidthLimit("ingress", 300, 0)], Assert.Single((await RouterAsync()).FloatingIps).BandwidthLimits);
        agent.Hints.Clear();
        (await cloud.Admin.PutAsync($"/v2.0/qos/alias-bandwidth-limit-rules/{rule.Id()}", Json("{'alias_bandwidth_limit_rule': {'max_kbps': 400}}"))).Expect(200);
        await agent.SawAsync(L3Contracts.RoutersChanged.Method, routed.Router);

        (await cloud.Demo.PutAsync($"/v2.0/floatingips/{floating.Id()}", Json("{'floatingip': {'description': 'kept'}}"))).Expect(200);
        await RefusedAsync(cloud.Admin.DeleteAsync($"/v2.0/qos/policies/{other}"), 409, "QosPolicyInUse");
        (await cloud.Admin.PutAsync($"/v2.0/networks/{routed.Outside}", Json("{'network': {'qos_policy_id': null}}"))).Expect(200);
        await RefusedAsync(cloud.Admin.DeleteAsync($"/v2.0/qos/policies/{policy}"), 409, "QosPolicyInUse");
        (await cloud.Demo.PutAsync($"/v2.0/routers/{routed.Router}", Json($"{{'router': {{'external_gateway_info': {{'network_id': '{routed.Outside}', 'qos_policy_id': null}}}}}}"))).Expect(200);
        (await cloud.Admin.DeleteAsync($"/v2.0/qos/policies/{policy}")).Expect(204);

        async Task<L3Router> RouterAsync() => Assert.Single((await agent.GetRoutersAsync(null)).Routers);
    }

    [Fact]
    public async Task A_policy_is_for_those_that_it_is_shared_with_and_stays_where_others_put_it()
    {
        await using var cloud = await StartAsync();
        var policy = await PolicyAsync(cloud, "'name': 'p'");
        await RefusedAsync(cloud.Demo.GetAsync($"/v2.0/qos/policies/{policy}"), 404, "QosPolicyNotFound");
        await RefusedAsync(cloud.Demo.PostAsync("/v2.0/networks", Json($"{{'network': {{'qos_policy_id': '{policy}'}}}}")), 404, "QosPolicyNotFound");
        await RefusedAsync(cloud.Demo.PostAsync("/v2.0/qos/policies", Json("{'policy': {'name': 'mine'}}")), 403, "PolicyNotAuthorized");
        var own = await PolicyAsync(cloud, $"'project_id': '{TestIdentities.DemoProject}'");
        await RefusedAsync(cloud.Demo.PutAsync($"/v2.0/qos/policies/{own}", Json("{'policy': {'name': 'x'}}")), 403, "PolicyNotAuthorized");

        var network = (await cloud.CreateNetworkAsync()).Id();
        (await cloud.Admin.PutAsync($"/v2.0/networks/{network}", Json($"{{'network': {{'qos_policy_id': '{policy}'}}}}"))).Expect(200);
        await RefusedAsync(cloud.Demo.PutAsync($"/v2.0/networks/{network}", Json("{'network': {'qos_policy_id': null}}")), 403, "PolicyRemoveAuthorizationError");
        (await cloud.Demo.PutAsync($"/v2.0/networks/{network}", Json("{'network': {'name': 'renamed'}}"))).Expect(200);
        await RefusedAsync(cloud.Admin.DeleteAsync($"/v2.0/qos/policies/{policy}"), 409, "QosPolicyInUse");

        var rbac = (await cloud.Admin.PostAsync("/v2.0/rbac-policies", Json($"{{'rbac_policy': {{'object_type': 'qos_policy', 'object_id': '{policy}', 'target_tenant': '{TestIdentities.DemoProject}', 'action': 'access_as_shared'}}}}")))
            .Expect(201).Json.GetProperty("rbac_policy").Id();
        Assert.True((await cloud.Demo.GetAsync($"/v2.0/qos/policies/{policy}")).Expect(200).Json.GetProperty("policy").GetProperty("shared").GetBoolean());
        await RefusedAsync(cloud.Admin.DeleteAsync($"/v2.0/rbac-policies/{rbac}"), 409, "RbacPolicyInUse");
        (await cloud.Demo.PutAsync($"/v2.0/networks/{network}", Json("{'network': {'qos_policy_id': null}}"))).Expect(200);
        (await cloud.Admin.DeleteAsync($"/v2.0/rbac-policies/{rbac}")).Expect(204);

        (await cloud.Admin.PutAsync($"/v2.0/qos/policies/{policy}", Json("{'policy': {'shared': true}}"))).Expect(200);
        (await cloud.Demo.PutAsync($"/v2.0/networks/{network}", Json($"{{'network': {{'qos_policy_id': '{policy}'}}}}"))).Expect(200);
        var rule = await RuleAsync(cloud, policy, "dscp_marking", "'dscp_mark': 8");
        (await cloud.Demo.GetAsync($"/v2.0/qos/policies/{policy}/dscp_marking_rules/{rule.Id()}")).Expect(200);
        await RefusedAsync(cloud.Admin.PutAsync($"/v2.0/qos/policies/{policy}", Json("{'policy': {'shared': false}}")), 409, "RbacPolicyInUse");
        var wildcard = (await cloud.Admin.GetAsync($"/v2.0/rbac-policies?object_id={policy}")).Json.GetProperty("rbac_policies")[0].Id();
        await RefusedAsync(cloud.Admin.PutAsync($"/v2.0/rbac-policies/{wildcard}", Json($"{{'rbac_policy': {{'target_tenant': '{TestIdentities.DemoProject}'}}}}")), 409, "RbacPolicyInUse");
        (await cloud.Demo.DeleteAsync($"/v2.0/networks/{network}")).Expect(204);
        (await cloud.Admin.PutAsync($"/v2.0/qos/policies/{policy}", Json("{'policy': {'shared': false}}"))).Expect(200);
        (await cloud.Admin.DeleteAsync($"/v2.0/qos/policies/{policy}")).Expect(204);
    }

    [Fact]
    public async Task New_networks_of_a_project_get_its_default_policy()
    {
        await using var cloud = await StartAsync();
        var policy = await PolicyAsync(cloud, $"'is_default': true, 'project_id': '{TestIdentities.DemoProject}'");
        await RefusedAsync(cloud.Admin.PostAsync("/v2.0/qos/policies", Json($"{{'policy': {{'is_default': true, 'project_id': '{TestIdentities.DemoProject}'}}}}")), 409, "QoSPolicyDefaultAlreadyExists");
        await PolicyAsync(cloud, "'is_default': true");
        Assert.Equal(policy, (await cloud.CreateNetworkAsync()).Text("qos_policy_id"));
        (await cloud.Admin.PutAsync($"/v2.0/qos/policies/{policy}", Json("{'policy': {'is_default': false}}"))).Expect(200);
        Assert.Equal(JsonValueKind.Null, (await cloud.CreateNetworkAsync()).GetProperty("qos_policy_id").ValueKind);
    }

    [Fact]
    public async Task What_no_agent_follows_is_refused_by_ports_and_networks_and_not_listed()
    {
        await using var cloud = await StartAsync();
        var promise = await PolicyAsync(cloud, "'shared': true");
        await RuleAsync(cloud, promise, "packet_rate_limit", "'max_kpps': 1");
        await RefusedAsync(cloud.Demo.PostAsync("/v2.0/networks", Json($"{{'network': {{'qos_policy_id': '{promise}'}}}}")), 409, "QosRuleNotSupportedByNetwork");
        var network = (await cloud.CreateNetworkAsync()).Id();
        await RefusedAsync(cloud.Demo.PostAsync("/v2.0/ports", Json($"{{'port': {{'network_id': '{network}', 'qos_policy_id': '{promise}'}}}}")), 409, "QosRuleNotSupported");
        var used = await PolicyAsync(cloud, "'shared': true");
        await CreateAsync(cloud.Demo, "ports", $"{{'network_id': '{network}', 'qos_policy_id': '{used}'}}");
        await RefusedAsync(cloud.Admin.PostAsync($"/v2.0/qos/policies/{used}/packet_rate_limit_rules", Json("{'packet_rate_limit_rule': {'max_kpps': 1}}")), 409, "QosRuleNotSupported");

        Assert.Equal(["bandwidth_limit", "dscp_marking", "minimum_bandwidth", "minimum_packet_rate"], await TypesAsync(""));
        Assert.Equal(5, (await TypesAsync("?all_rules=True")).Count);
        var details = (await cloud.Admin.GetAsync("/v2.0/qos/rule-types/dscp_marking")).Expect(200).Json.GetProperty("rule_type");
        Assert.Equal("openvswitch", details.GetProperty("drivers")[0].Text("name"));
        (await cloud.Demo.GetAsync("/v2.0/qos/rule-types/dscp_marking")).Expect(403);

        async Task<List<string>> TypesAsync(string query) =>
            [.. (await cloud.Demo.GetAsync("/v2.0/qos/rule-types" + query)).Expect(200).Json.GetProperty("rule_types").EnumerateArray().Select(type => type.Text("type"))];
    }

    [Fact]
    public async Task Without_the_plugin_there_is_nothing_of_it()
    {
        await using var cloud = await StartAsync(("DEFAULT", "service_plugins", "router"));
        Assert.False((await cloud.CreateNetworkAsync()).TryGetProperty("qos_policy_id", out _));
        (await cloud.Admin.GetAsync("/v2.0/qos/policies")).Expect(404);
        Assert.DoesNotContain((await cloud.Admin.GetAsync("/v2.0/extensions")).Json.GetProperty("extensions").EnumerateArray(), extension => extension.Text("alias").StartsWith("qos", StringComparison.Ordinal));
    }

    internal static async Task<string> PolicyAsync(NeutronCloud cloud, string body) =>
        (await cloud.Admin.PostAsync("/v2.0/qos/policies", Json($"{{'policy': {{{body}}}}}"))).Expect(201).Json.GetProperty("policy").Id();

    internal static async Task<JsonElement> RuleAsync(NeutronCloud cloud, string policy, string type, string body) =>
        (await cloud.Admin.PostAsync($"/v2.0/qos/policies/{policy}/{type}_rules", Json($"{{'{type}_rule': {{{body}}}}}"))).Expect(201).Json.GetProperty($"{type}_rule");
}
