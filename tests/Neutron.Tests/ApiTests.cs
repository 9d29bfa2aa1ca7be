using System.Text.Json;
using SharpStack.TestKit;
using static SharpStack.Neutron.Tests.NeutronCloud;

namespace SharpStack.Neutron.Tests;

public sealed class ApiTests
{
    [Fact]
    public async Task Every_route_has_a_policy_and_keeps_it()
    {
        await using var cloud = await StartAsync();
        RouteWalk.EachRouteDeclaresItsPolicy(cloud.Cloud, "neutron-server");
        await RouteWalk.EachRouteRefusesAnonymous(cloud.Cloud, "neutron-server");
        await RouteWalk.EachRouteRefusesWithoutRights(cloud.Cloud, "neutron-server");
    }

    [Fact]
    public async Task The_versions_are_public_and_the_resources_are_not()
    {
        await using var cloud = await StartAsync();
        using var nobody = cloud.Cloud.Client("neutron-server", token: null);
        var version = (await nobody.GetAsync("/")).Expect(200).Json.GetProperty("versions")[0];
        Assert.Equal(("v2.0", "CURRENT"), (version.Id(), version.Text("status")));
        Assert.EndsWith("/v2.0/", version.GetProperty("links")[0].Text("href"), StringComparison.Ordinal);
        Assert.Equal(401, (await nobody.GetAsync("/v2.0")).Expect(401).Json.GetProperty("error").GetProperty("code").GetInt32());
        var resources = (await cloud.Demo.GetAsync("/v2.0/")).Expect(200).Json.GetProperty("resources").EnumerateArray().Select(resource => resource.Text("collection")).ToList();
        Assert.Contains("networks", resources);
    }

    [Fact]
    public async Task Each_of_several_may_be_written_like_a_single_one()
    {
        await using var cloud = await StartAsync();
        var network = (await cloud.CreateNetworkAsync(cloud.Demo)).Id();
        var made = (await cloud.Demo.PostAsync("/v2.0/ports", Json($"{{'ports': [{{'port': {{'network_id': '{network}', 'name': 'one'}}}}, {{'network_id': '{network}', 'name': 'two'}}]}}")))
            .Expect(201).Json.GetProperty("ports").EnumerateArray();
        Assert.Equal(["one", "two"], made.Select(port => port.Text("name")));
    }

    [Theory]
    [InlineData("network_segment_ranges", "network-segment-ranges")]
    [InlineData("floatingip_pools", "floatingip-pools")]
    public async Task A_name_is_served_as_clients_write_it(string name, string other)
    {
        await using var cloud = await StartAsync();
        Assert.Equal((await cloud.Admin.GetAsync($"/v2.0/{name}")).Expect(200).Text, (await cloud.Admin.GetAsync($"/v2.0/{other}")).Expect(200).Text);
    }

    [Fact]
    public async Task Every_listed_extension_is_shown_and_others_are_not_found()
    {
        await using var cloud = await StartAsync(("DEFAULT", "service_plugins", ""));
        var aliases = (await cloud.Demo.GetAsync("/v2.0/extensions")).Expect(200).Json.GetProperty("extensions").EnumerateArray().Select(extension => extension.Text("alias")).ToList();
        Assert.Contains("security-group", aliases);
        Assert.Contains("port-security", aliases);
        Assert.DoesNotContain("router", aliases);
        Assert.Equal(aliases.Count, aliases.Distinct().Count());
        foreach (var alias in aliases)
        {
            Assert.Equal(alias, (await cloud.Demo.GetAsync($"/v2.0/extensions/{alias}")).Expect(200).Json.GetProperty("extension").Text("alias"));
        }

        await RefusedAsync(cloud.Demo.GetAsync("/v2.0/extensions/router"), 404, "HTTPNotFound");
    }

    [Fact]
    public async Task Without_the_port_security_driver_its_attribute_does_not_exist()
    {
        await using var cloud = await StartAsync(("ml2", "extension_drivers", ""));
        Assert.False((await cloud.CreateNetworkAsync()).TryGetProperty("port_security_enabled", out _));
        await RefusedAsync(cloud.Demo.GetAsync("/v2.0/extensions/port-security"), 404, "HTTPNotFound");
        await RefusedAsync(cloud.Demo.PostAsync("/v2.0/networks", Json("{'network': {'port_security_enabled': false}}")), 400, "HTTPBadRequest");
    }

    [Fact]
    public async Task Limits_are_set_shown_counted_and_reset()
    {
        await using var cloud = await StartAsync();
        var path = $"/v2.0/quotas/{TestIdentities.DemoProject}";
        Assert.Equal(100, (await cloud.Demo.GetAsync(path)).Expect(200).Json.GetProperty("quota").GetProperty("network").GetInt32());
        await RefusedAsync(cloud.Demo.PutAsync(path, Json("{'quota': {'network': 1}}")), 403, "PolicyNotAuthorized");
        await RefusedAsync(cloud.Other.GetAsync(path), 403, "PolicyNotAuthorized");
        await RefusedAsync(cloud.Admin.PutAsync(path, Json("{'quota': {'spoons': 1}}")), 400, "HTTPBadRequest");
        await RefusedAsync(cloud.Admin.PutAsync(path, Json("{'quota': {'network': -2}}")), 400, "HTTPBadRequest");
        Assert.Equal(1, (await cloud.Admin.PutAsync(path, Json("{'quota': {'network': 1}}"))).Expect(200).Json.GetProperty("quota").GetProperty("network").GetInt32());
        await cloud.CreateNetworkAsync();
        await RefusedAsync(cloud.Demo.PostAsync("/v2.0/networks", Json("{'network': {}}")), 409, "OverQuota");
        await RefusedAsync(cloud.Admin.PutAsync(path, Json("{'quota': {'network': 0, 'check_limit': true}}")), 400, "HTTPBadRequest");
        (await cloud.Admin.PutAsync(path, Json("{'quota': {'network': 1, 'check_limit': true}}"))).Expect(200);
        var details = (await cloud.Demo.GetAsync(path + "/details")).Expect(200).Json.GetProperty("quota").GetProperty("network");
        Assert.Equal((1, 1, 0), (details.GetProperty("limit").GetInt32(), details.GetProperty("used").GetInt32(), details.GetProperty("reserved").GetInt32()));
        Assert.Single((await cloud.Admin.GetAsync("/v2.0/quotas")).Expect(200).Json.GetProperty("quotas").EnumerateArray());
        (await cloud.Admin.DeleteAsync(path)).Expect(204);
        await RefusedAsync(cloud.Admin.DeleteAsync(path), 404, "TenantQuotaNotFound");
        await cloud.CreateNetworkAsync();
    }

    [Fact]
    public async Task Availability_counts_the_addresses_of_the_pools()
    {
        await using var cloud = await StartAsync();
        var (network, _) = await cloud.CreateNetworkWithSubnetAsync();
        await CreateAsync(cloud.Demo, "ports", $"{{'network_id': '{network}'}}");
        var shown = (await cloud.Admin.GetAsync($"/v2.0/network-ip-availabilities/{network}")).Expect(200).Json.GetProperty("network_ip_availability");
        Assert.Equal((253, 1), (shown.GetProperty("total_ips").GetInt32(), shown.GetProperty("used_ips").GetInt32()));
        Assert.Equal(1, (await cloud.Admin.GetAsync("/v2.0/network-ip-availabilities?ip_version=4")).Expect(200).Json.GetProperty("network_ip_availabilities").GetArrayLength());
    }

    [Theory]
    [InlineData("this is no JSON")]
    [InlineData("[]")]
    [InlineData("{}")]
    [InlineData("{\"network\": null}")]
    [InlineData("{\"network\": 5}")]
    [InlineData("{\"networks\": []}")]
    [InlineData("{\"networks\": [5]}")]
    [InlineData("{\"network\": {\"name\": null}}")]
    [InlineData("{\"network\": {\"name\": {\"a\": []}}}")]
    [InlineData("{\"network\": {\"mtu\": 1e99}}")]
    [InlineData("{\"network\": {\"availability_zone_hints\": [1]}}")]
    [InlineData("{\"network\": {\"provider:segmentation_id\": \"x\", \"provider:network_type\": \"vlan\"}}")]
    [InlineData("{\"network\": {\"project_id\": [1]}}")]
    [InlineData("{\"network\": {\"name\": \"a\", \"name\": \"b\"}}")]
    public async Task Nonsense_is_answered_with_400(string body)
    {
        await using var cloud = await StartAsync();
        var error = (await cloud.Admin.PostAsync("/v2.0/networks", body)).Expect(400).Json.GetProperty("NeutronError");
        Assert.NotEmpty(error.Text("message"));
    }

    [Theory]
    [InlineData("\"fixed_ips\": null")]
    [InlineData("\"fixed_ips\": [{\"ip_address\": null}]")]
    [InlineData("\"fixed_ips\": [null]")]
    [InlineData("\"security_groups\": [null]")]
    [InlineData("\"security_groups\": null")]
    [InlineData("\"allowed_address_pairs\": [null]")]
    [InlineData("\"allowed_address_pairs\": [{\"ip_address\": 5}]")]
    [InlineData("\"allowed_address_pairs\": {}")]
    [InlineData("\"extra_dhcp_opts\": [{}]")]
    [InlineData("\"extra_dhcp_opts\": [{\"opt_name\": \"a\", \"opt_value\": 5}]")]
    [InlineData("\"binding:profile\": []")]
    [InlineData("\"binding:profile\": null")]
    [InlineData("\"binding:host_id\": null")]
    [InlineData("\"binding:vnic_type\": null")]
    [InlineData("\"mac_address\": null")]
    [InlineData("\"device_owner\": null")]
    [InlineData("\"device_id\": null")]
    [InlineData("\"port_security_enabled\": null")]
    [InlineData("\"network_id\": 7")]
    [InlineData("\"network_id\": \"not-a-uuid\"")]
    public async Task No_value_of_a_port_is_an_internal_error(string attribute)
    {
        await using var cloud = await StartAsync();
        var network = (await cloud.CreateNetworkAsync(cloud.Admin)).Id();
        var port = (await CreateAsync(cloud.Admin, "ports", $"{{'network_id': '{network}'}}")).Id();
        var separate = attribute.StartsWith("\"network_id\"", StringComparison.Ordinal) ? attribute : $"\"network_id\": \"{network}\", {attribute}";
        Assert.InRange((await cloud.Admin.PostAsync("/v2.0/ports", $"{{\"port\": {{{separate}}}}}")).Status, 200, 499);
        Assert.InRange((await cloud.Admin.PutAsync($"/v2.0/ports/{port}", $"{{\"port\": {{{attribute}}}}}")).Status, 200, 499);
    }
}
