using System.Text.Json;
using SharpStack.TestKit;
using static SharpStack.Neutron.Tests.NeutronCloud;

namespace SharpStack.Neutron.Tests;

public sealed class NetworkTests
{
    [Fact]
    public async Task A_tenant_network_has_the_shape_of_OpenStacks_without_provider_attributes()
    {
        await using var cloud = await StartAsync();
        var network = await cloud.CreateNetworkAsync();
        Assert.Equal("net", network.Text("name"));
        Assert.Equal("ACTIVE", network.Text("status"));
        Assert.Equal(TestIdentities.DemoProject, network.Text("project_id"));
        Assert.Equal(TestIdentities.DemoProject, network.Text("tenant_id"));
        Assert.Equal(1500, network.GetProperty("mtu").GetInt32());
        Assert.False(network.GetProperty("shared").GetBoolean());
        Assert.False(network.GetProperty("router:external").GetBoolean());
        Assert.True(network.GetProperty("port_security_enabled").GetBoolean());
        Assert.Equal(0, network.GetProperty("subnets").GetArrayLength());
        Assert.False(network.TryGetProperty("provider:network_type", out _));
        Assert.Matches("^[0-9-]{10}T[0-9:]{8}Z$", network.Text("created_at"));
    }

    [Fact]
    public async Task A_flat_provider_network_shows_its_place_to_the_administrator_only()
    {
        await using var cloud = await StartAsync();
        var network = await cloud.CreateNetworkAsync(cloud.Admin, "{'name': 'demo-network', 'shared': true, 'router:external': true, 'provider:network_type': 'flat', 'provider:physical_network': 'physnet'}");
        Assert.Equal("flat", network.Text("provider:network_type"));
        Assert.Equal("physnet", network.Text("provider:physical_network"));
        Assert.Equal(JsonValueKind.Null, network.GetProperty("provider:segmentation_id").ValueKind);
        var seen = (await cloud.Demo.GetAsync($"/v2.0/networks/{network.Id()}")).Expect(200).Json.GetProperty("network");
        Assert.True(seen.GetProperty("router:external").GetBoolean());
        Assert.False(seen.TryGetProperty("provider:physical_network", out _));
    }

    [Fact]
    public async Task A_physical_network_carries_one_flat_network_until_that_is_deleted()
    {
        await using var cloud = await StartAsync();
        const string body = "{'provider:network_type': 'flat', 'provider:physical_network': 'physnet'}";
        var first = await cloud.CreateNetworkAsync(cloud.Admin, body);
        await RefusedAsync(cloud.Admin.PostAsync("/v2.0/networks", Json($"{{'network': {body}}}")), 409, "FlatNetworkInUse");
        (await cloud.Admin.DeleteAsync($"/v2.0/networks/{first.Id()}")).Expect(204);
        await cloud.CreateNetworkAsync(cloud.Admin, body);
    }

    [Theory]
    [InlineData("{'provider:network_type': 'flat'}", "InvalidInput")]
    [InlineData("{'provider:network_type': 'flat', 'provider:physical_network': 'nowhere'}", "InvalidInput")]
    [InlineData("{'provider:network_type': 'flat', 'provider:physical_network': 'physnet', 'provider:segmentation_id': 5}", "InvalidInput")]
    [InlineData("{'provider:network_type': 'carrier-pigeon'}", "InvalidInput")]
    [InlineData("{'provider:physical_network': 'physnet'}", "InvalidInput")]
    [InlineData("{'mtu': 9000}", "InvalidInput")]
    [InlineData("{'admin_state_up': 'perhaps'}", "InvalidInput")]
    [InlineData("{'name': 5}", "HTTPBadRequest")]
    [InlineData("{'colour': 'blue'}", "HTTPBadRequest")]
    [InlineData("{'status': 'ACTIVE'}", "HTTPBadRequest")]
    [InlineData("[]", "HTTPBadRequest")]
    public async Task A_wrong_network_is_refused_with_Neutrons_type(string body, string type)
    {
        await using var cloud = await StartAsync();
        await RefusedAsync(cloud.Admin.PostAsync("/v2.0/networks", Json($"{{'network': {body}}}")), 400, type);
        Assert.Equal(0, (await cloud.Admin.GetAsync("/v2.0/networks")).Json.GetProperty("networks").GetArrayLength());
    }

    [Fact]
    public async Task Without_tenant_network_types_no_plain_network_can_be_made()
    {
        await using var cloud = await StartAsync(("ml2", "tenant_network_types", ""));
        var error = await RefusedAsync(cloud.Demo.PostAsync("/v2.0/networks", Json("{'network': {'name': 'x'}}")), 503, "NoNetworkAvailable");
        Assert.Equal("Unable to create the network. No tenant network is available for allocation.", error.Text("message"));
    }

    [Fact]
    public async Task Tunnel_and_VLAN_networks_get_free_ids_and_their_MTU()
    {
        await using var cloud = await StartAsync(
            ("ml2", "tenant_network_types", "vxlan,vlan"), ("ml2_type_vxlan", "vni_ranges", "7:7"), ("ml2_type_vlan", "network_vlan_ranges", "physnet:100:101"), ("ml2", "path_mtu", "1400"));
        var networks = new List<JsonElement>();
        for (var i = 0; i < 3; i++)
        {
            networks.Add(await cloud.CreateNetworkAsync(cloud.Admin));
        }

        Assert.Equal([("vxlan", 7, 1350), ("vlan", 100, 1500), ("vlan", 101, 1500)], networks.Select(network => (network.Text("provider:network_type"), network.GetProperty("provider:segmentation_id").GetInt32(), network.GetProperty("mtu").GetInt32())));
        await RefusedAsync(cloud.Admin.PostAsync("/v2.0/networks", Json("{'network': {}}")), 503, "NoNetworkAvailable");
        await RefusedAsync(
            cloud.Admin.PostAsync("/v2.0/networks", Json("{'network': {'provider:network_type': 'vlan', 'provider:physical_network': 'physnet', 'provider:segmentation_id': 100}}")), 409, "VlanIdInUse");
    }

    [Theory]
    [InlineData("{'shared': true}")]
    [InlineData("{'router:external': true}")]
    [InlineData("{'provider:network_type': 'flat', 'provider:physical_network': 'physnet'}")]
    public async Task What_is_the_administrators_is_refused_to_others(string body)
    {
        await using var cloud = await StartAsync();
        await RefusedAsync(cloud.Demo.PostAsync("/v2.0/networks", Json($"{{'network': {body}}}")), 403, "PolicyNotAuthorized");
    }

    [Fact]
    public async Task Another_projects_network_does_not_exist_for_me()
    {
        await using var cloud = await StartAsync();
        var id = (await cloud.CreateNetworkAsync()).Id();
        await RefusedAsync(cloud.Other.GetAsync($"/v2.0/networks/{id}"), 404, "NetworkNotFound");
        await RefusedAsync(cloud.Other.DeleteAsync($"/v2.0/networks/{id}"), 404, "NetworkNotFound");
        await RefusedAsync(cloud.Other.PutAsync($"/v2.0/networks/{id}", Json("{'network': {'name': 'mine'}}")), 404, "NetworkNotFound");
        Assert.Equal(0, (await cloud.Other.GetAsync("/v2.0/networks")).Json.GetProperty("networks").GetArrayLength());
        using var reader = cloud.Cloud.Client("neutron-server", "reader");
        (await reader.GetAsync($"/v2.0/networks/{id}")).Expect(200);
        await RefusedAsync(reader.DeleteAsync($"/v2.0/networks/{id}"), 403, "PolicyNotAuthorized");
    }

    [Fact]
    public async Task An_update_raises_the_revision_and_If_Match_refuses_an_older_one()
    {
        await using var cloud = await StartAsync();
        var network = await cloud.CreateNetworkAsync();
        var revision = network.GetProperty("revision_number").GetInt64();
        var path = $"/v2.0/networks/{network.Id()}";
        var updated = (await cloud.Demo.PutAsync(path, Json("{'network': {'name': 'new', 'admin_state_up': false}}"))).Expect(200).Json.GetProperty("network");
        Assert.Equal("new", updated.Text("name"));
        Assert.False(updated.GetProperty("admin_state_up").GetBoolean());
        Assert.Equal(revision + 1, updated.GetProperty("revision_number").GetInt64());
        await RefusedAsync(
            cloud.Demo.SendAsync(HttpMethod.Put, path, Json("{'network': {'name': 'late'}}"), headers: ("If-Match", $"revision_number={revision}")), 412, "RevisionNumberConstraintFailed");
        (await cloud.Demo.SendAsync(HttpMethod.Put, path, Json("{'network': {'name': 'in time'}}"), headers: ("If-Match", $"revision_number={revision + 1}"))).Expect(200);
        await RefusedAsync(cloud.Demo.SendAsync(HttpMethod.Delete, path, headers: ("If-Match", "revision_number=x")), 400, "BadRequest");
    }

    [Fact]
    public async Task Many_networks_are_made_at_once_or_not_at_all()
    {
        await using var cloud = await StartAsync(("quotas", "quota_network", "3"));
        var made = (await cloud.Demo.PostAsync("/v2.0/networks", Json("{'networks': [{'name': 'a'}, {'name': 'b'}]}"))).Expect(201).Json.GetProperty("networks");
        Assert.Equal(["a", "b"], made.EnumerateArray().Select(network => network.Text("name")));
        var error = await RefusedAsync(cloud.Demo.PostAsync("/v2.0/networks", Json("{'networks': [{'name': 'c'}, {'name': 'd'}]}")), 409, "OverQuota");
        Assert.Equal("Quota exceeded for resources: ['network'].", error.Text("message"));
        Assert.Equal(2, (await cloud.Demo.GetAsync("/v2.0/networks")).Json.GetProperty("networks").GetArrayLength());
    }

    [Fact]
    public async Task A_network_with_ports_cannot_be_deleted_and_one_without_takes_its_subnets_along()
    {
        await using var cloud = await StartAsync();
        var (network, subnet) = await cloud.CreateNetworkWithSubnetAsync();
        var port = await CreateAsync(cloud.Demo, "ports", $"{{'network_id': '{network}'}}");
        await RefusedAsync(cloud.Demo.DeleteAsync($"/v2.0/networks/{network}"), 409, "NetworkInUse");
        await RefusedAsync(cloud.Demo.DeleteAsync($"/v2.0/subnets/{subnet}"), 409, "SubnetInUse");
        (await cloud.Demo.DeleteAsync($"/v2.0/ports/{port.Id()}")).Expect(204);
        (await cloud.Demo.DeleteAsync($"/v2.0/networks/{network}")).Expect(204);
        await RefusedAsync(cloud.Demo.GetAsync($"/v2.0/subnets/{subnet}"), 404, "SubnetNotFound");
    }

    [Fact]
    public async Task A_shared_network_that_others_use_stays_shared()
    {
        await using var cloud = await StartAsync();
        var network = await cloud.CreateNetworkAsync(cloud.Admin, "{'shared': true}");
        await CreateAsync(cloud.Demo, "ports", $"{{'network_id': '{network.Id()}'}}");
        await RefusedAsync(cloud.Admin.PutAsync($"/v2.0/networks/{network.Id()}", Json("{'network': {'shared': false}}")), 409, "InvalidSharedSetting");
    }
}
