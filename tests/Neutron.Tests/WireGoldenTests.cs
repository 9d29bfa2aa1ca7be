using System.Text.Json;
using SharpStack.Neutron.Contracts;
using SharpStack.TestKit;
using static SharpStack.Neutron.Tests.NeutronCloud;

namespace SharpStack.Neutron.Tests;

/// <summary>Every member of OpenStack's own response samples is in our answers, in the same place and of the same type, but for those of extensions that are not listed.</summary>
public sealed class WireGoldenTests
{
    private static readonly Dictionary<string, string[]> Absent = new()
    {
        ["network"] = ["is_default", "pvlan", "qinq", "vlan_transparent"],
        ["subnet"] = ["router:external"],
        ["port"] =
        [
            "hardware_offload_type", "pvlan_community", "pvlan_type",
            "device_profile", "numa_affinity_policy", "trunk_details", "hints", "trusted", "mac_learning_enabled",
        ],
        ["security_group_rule"] = ["tags"],
        ["agent"] = ["resource_versions"],
        ["router"] = ["flavor_id", "service_type_id"],
        ["network_ip_availability"] = ["ip_availability_details"],
        ["subnet_ip_availability"] = ["ip_availability_details"],
    };

    [Fact]
    public async Task Answers_have_the_shapes_of_openstacks_samples()
    {
        await using var cloud = await StartAsync();
        var network = (await cloud.CreateNetworkAsync(cloud.Admin, "{'name': 'n', 'provider:network_type': 'flat', 'provider:physical_network': 'physnet', 'availability_zone_hints': ['nova']}")).Id();
        await cloud.AddAgentAsync(AgentTypes.OpenVSwitch, "compute1");
        await cloud.AddAgentAsync(AgentTypes.Dhcp, "compute1", "{}");
        var subnet = (await CreateAsync(
            cloud.Admin, "subnets", $"{{'network_id': '{network}', 'ip_version': 4, 'cidr': '10.0.0.0/24', 'host_routes': [{{'destination': '10.9.0.0/16', 'nexthop': '10.0.0.9'}}], 'dns_nameservers': ['1.1.1.1']}}")).Id();
        var port = (await CreateAsync(
            cloud.Admin, "ports", $"{{'network_id': '{network}', 'binding:host_id': 'compute1', 'allowed_address_pairs': [{{'ip_address': '10.0.0.99'}}], 'extra_dhcp_opts': [{{'opt_name': 'mtu', 'opt_value': '1400'}}]}}")).Id();
        var instance = (await CreateAsync(cloud.Admin, "ports", $"{{'network_id': '{network}', 'binding:host_id': 'compute1', 'device_owner': 'compute:nova'}}")).Id();
        var scope = (await CreateAsync(cloud.Admin, "address-scopes", "{'name': 's', 'ip_version': 4}")).Id();
        var pool = (await CreateAsync(cloud.Admin, "subnetpools", "{'name': 'p', 'prefixes': ['10.0.0.0/8']}")).Id();
        var segment = (await cloud.Admin.GetAsync($"/v2.0/segments?network_id={network}")).Json.GetProperty("segments")[0].Id();
        var policy = (await cloud.Admin.PostAsync("/v2.0/rbac-policies", Json($"{{'rbac_policy': {{'object_type': 'network', 'object_id': '{network}', 'target_tenant': '*', 'action': 'access_as_shared'}}}}"))).Expect(201).Json.GetProperty("rbac_policy").Id();
        var range = (await cloud.Admin.PostAsync("/v2.0/network_segment_ranges", Json("{'network_segment_range': {'network_type': 'vxlan', 'minimum': 1, 'maximum': 9}}"))).Expect(201).Json.GetProperty("network_segment_range").Id();
        var group = (await cloud.Admin.GetAsync("/v2.0/security-groups")).Json.GetProperty("security_groups")[0];
        var template = (await cloud.Admin.GetAsync("/v2.0/default-security-group-rules")).Json.GetProperty("default_security_group_rules")[0].Id();
        var agent = (await cloud.Admin.GetAsync("/v2.0/agents?host=compute1")).Json.GetProperty("agents")[0].Id();
        foreach (var (sample, path) in ((string, string)[])
        [
            ("network-show-response", $"networks/{network}"), ("networks-list-response", "networks"), ("network-provider-show-response", $"networks/{network}"),
            ("subnet-show-response", $"subnets/{subnet}"), ("subnets-list-response", "subnets"),
            ("port-show-response", $"ports/{port}"), ("ports-list-response", "ports"), ("port-bind-show-response", $"ports/{port}"),
            ("port-binding-list-response", $"ports/{instance}/bindings"), ("address-scope-show-response", $"address-scopes/{scope}"), ("subnetpool-show-response", $"subnetpools/{pool}"),
            ("segment-show-response", $"segments/{segment}"), ("rbac-policy-show-response", $"rbac-policies/{policy}"), ("network_segment_range-show-response", $"network_segment_ranges/{range}"),
            ("security-group-show-response", $"security-groups/{group.Id()}"), ("security-groups-list-response", "security-groups"),
            ("security-group-rule-show-response", $"security-group-rules/{group.GetProperty("security_group_rules")[0].Id()}"), ("security-group-rules-list-response", "security-group-rules"),
            ("security-group-default-rule-show-response", $"default-security-group-rules/{template}"),
            ("agent-show-response", $"agents/{agent}"), ("agents-list-response", "agents"),
            ("extensions-list-response", "extensions"), ("extension-show-response", "extensions/agent"),
            ("quotas-list-for-project-response", $"quotas/{TestIdentities.DemoProject}"), ("quota-details-show-for-project-response", $"quotas/{TestIdentities.DemoProject}/details"),
            ("network-ip-availability-show", $"network-ip-availabilities/{network}"), ("azs-list-response", "availability_zones"),
        ])
        {
            Compare(sample, (await cloud.Admin.GetAsync($"/v2.0/{path}")).Expect(200));
        }

        await cloud.AddAgentAsync(AgentTypes.L3, "compute1", "{}");
        var routed = await cloud.CreateRoutedAsync("10.3.0.0/24");
        await CreateAsync(cloud.Demo, "floatingips", $"{{'floating_network_id': '{routed.Outside}', 'port_id': '{(await CreateAsync(cloud.Demo, "ports", $"{{'network_id': '{routed.Network}'}}")).Id()}'}}");
        var forwarding = (await CreateAsync(cloud.Demo, "floatingips", $"{{'floating_network_id': '{routed.Outside}'}}")).Id();
        var inner = (await CreateAsync(cloud.Demo, "ports", $"{{'network_id': '{routed.Network}'}}")).Id();
        var one = (await cloud.Demo.PostAsync($"/v2.0/floatingips/{forwarding}/port_forwardings", Json($"{{'port_forwarding': {{'protocol': 'tcp', 'internal_port_id': '{inner}', 'external_port': 80, 'internal_port': 80}}}}"))).Expect(201)
            .Json.GetProperty("port_forwarding").Id();
        var l3 = (await cloud.Admin.GetAsync("/v2.0/agents?agent_type=L3 agent")).Json.GetProperty("agents")[0].Id();
        foreach (var (sample, path) in ((string, string)[])
        [
            ("router-show-response", $"routers/{routed.Router}"), ("routers-list-response", "routers"),
            ("floatingip-show-response", $"floatingips/{forwarding}"), ("floating-ips-list-response", "floatingips"), ("floating-ip-pools-list-response", "floatingip_pools"),
            ("port-fowarding-show-response", $"floatingips/{forwarding}/port_forwardings/{one}"), ("port-fowarding-list-response", $"floatingips/{forwarding}/port_forwardings"),
            ("router-l3-agent-list-response", $"routers/{routed.Router}/l3-agents"), ("agent-l3-routers-list-response", $"agents/{l3}/l3-routers"),
        ])
        {
            Compare(sample, (await cloud.Admin.GetAsync($"/v2.0/{path}")).Expect(200));
        }

        var qos = (await cloud.Admin.PostAsync("/v2.0/qos/policies", Json("{'policy': {'name': '10Mbit'}}"))).Expect(201).Json.GetProperty("policy").Id();
        foreach (var (kind, attribute, value) in ((string, string, int)[])
            [("bandwidth_limit", "max_kbps", 10000), ("dscp_marking", "dscp_mark", 26), ("minimum_bandwidth", "min_kbps", 10), ("minimum_packet_rate", "min_kpps", 10), ("packet_rate_limit", "max_kpps", 10)])
        {
            var rules = $"/v2.0/qos/policies/{qos}/{kind}_rules";
            var rule = (await cloud.Admin.PostAsync(rules, Json($"{{'{kind}_rule': {{'{attribute}': {value}}}}}"))).Expect(201).Json.GetProperty($"{kind}_rule").Id();
            Compare($"{kind}_rule-show-response", (await cloud.Admin.GetAsync($"{rules}/{rule}")).Expect(200));
            Compare($"{kind}_rules-list-response", (await cloud.Admin.GetAsync(rules)).Expect(200));
        }

        foreach (var (sample, path) in ((string, string)[])[("policy-show-response", $"qos/policies/{qos}"), ("policies-list-response", "qos/policies"), ("rule_types-list-response", "qos/rule-types")])
        {
            Compare(sample, (await cloud.Admin.GetAsync($"/v2.0/{path}")).Expect(200));
        }

        var (_, more) = await cloud.CreateNetworkWithSubnetAsync("10.4.0.0/24");
        Compare("router-add-interface-response", (await cloud.Demo.PutAsync($"/v2.0/routers/{routed.Router}/add_router_interface", Json($"{{'subnet_id': '{more}'}}"))).Expect(200));
        Compare("router-remove-interface-response", (await cloud.Demo.PutAsync($"/v2.0/routers/{routed.Router}/remove_router_interface", Json($"{{'subnet_id': '{more}'}}"))).Expect(200));
        Compare("router-add-extraroutes-response", (await cloud.Demo.PutAsync($"/v2.0/routers/{routed.Router}/add_extraroutes", Json("{'router': {'routes': [{'destination': '10.9.0.0/16', 'nexthop': '10.3.0.9'}]}}"))).Expect(200));
        Compare("versions-list-response", (await cloud.Admin.GetAsync("/")).Expect(200));
    }

    internal static void Compare(string sample, TestAnswer answer)
    {
        using var stream = typeof(WireGoldenTests).Assembly.GetManifestResourceStream(sample)!;
        using var expected = JsonDocument.Parse(stream);
        Compare(sample, "", expected.RootElement, answer.Json);
    }

    private static void Compare(string sample, string resource, JsonElement expected, JsonElement actual)
    {
        if (expected.ValueKind == JsonValueKind.Null || actual.ValueKind == JsonValueKind.Null)
        {
            return;
        }

        Assert.True(Kind(expected) == Kind(actual), $"{sample}: {resource} is {actual.ValueKind}, the sample has {expected.ValueKind}");
        switch (expected.ValueKind)
        {
            // What an agent says of itself, and how a port is plugged, is data.
            case JsonValueKind.Object when resource is not ("configurations" or "binding:vif_details" or "binding:profile" or "vif_details" or "used"):
                foreach (var property in expected.EnumerateObject())
                {
                    if (actual.TryGetProperty(property.Name, out var value))
                    {
                        Compare(sample, property.Name, property.Value, value);
                    }
                    else
                    {
                        var kind = resource.EndsWith("ies", StringComparison.Ordinal) ? resource[..^3] + "y" : resource.TrimEnd('s');
                        Assert.True(Absent.GetValueOrDefault(kind, []).Contains(property.Name), $"{sample}: {resource}.{property.Name} is missing in {actual.GetRawText()}");
                    }
                }

                break;
            case JsonValueKind.Array when expected.GetArrayLength() > 0:
                foreach (var item in actual.EnumerateArray().Take(1))
                {
                    Compare(sample, resource, expected[0], item);
                }

                break;
        }
    }

    private static JsonValueKind Kind(JsonElement element) => element.ValueKind == JsonValueKind.False ? JsonValueKind.True : element.ValueKind;
}
