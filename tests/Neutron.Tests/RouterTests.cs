using System.Text.Json;
using SharpStack.Neutron.Contracts;
using SharpStack.TestKit;
using static SharpStack.Neutron.Tests.NeutronCloud;

namespace SharpStack.Neutron.Tests;

public sealed class RouterTests
{
    [Fact]
    public async Task No_port_pretends_to_be_of_another_projects_router_and_a_routers_port_keeps_its_addresses()
    {
        await using var cloud = await StartAsync();
        var (_, subnet) = await cloud.CreateNetworkWithSubnetAsync();
        var router = (await CreateAsync(cloud.Demo, "routers", "{'name': 'r'}")).Id();
        var inner = (await cloud.AddInterfaceAsync(router, $"'subnet_id': '{subnet}'")).Text("port_id");
        var (foreign, _) = await cloud.CreateNetworkWithSubnetAsync(client: cloud.Other);
        var pretended = $"'device_id': '{router}', 'device_owner': '{RouterPortOwners.Interface}'";
        await RefusedAsync(cloud.Other.PostAsync("/v2.0/ports", Json($"{{'port': {{'network_id': '{foreign}', {pretended}}}}}")), 409, "DeviceIDNotOwnedByTenant");
        var port = (await CreateAsync(cloud.Other, "ports", $"{{'network_id': '{foreign}', 'device_owner': '{RouterPortOwners.Interface}'}}")).Id();
        await RefusedAsync(cloud.Other.PutAsync($"/v2.0/ports/{port}", Json($"{{'port': {{'device_id': '{router}'}}}}")), 409, "DeviceIDNotOwnedByTenant");
        (await cloud.Other.PutAsync($"/v2.0/ports/{port}", Json("{'port': {'device_id': 'something-else'}}"))).Expect(200);
        await RefusedAsync(cloud.Demo.PutAsync($"/v2.0/ports/{inner}", Json("{'port': {'fixed_ips': [{'ip_address': '10.0.0.9'}]}}")), 400, "BadRequest");
        // The address that it has is no change.
        (await cloud.Demo.PutAsync($"/v2.0/ports/{inner}", Json($"{{'port': {{'name': 'inner', 'fixed_ips': [{{'subnet_id': '{subnet}'}}]}}}}"))).Expect(200);
    }

    [Fact]
    public async Task A_router_takes_a_gateway_and_gives_it_back()
    {
        await using var cloud = await StartAsync();
        var (outside, subnet) = await cloud.CreateExternalAsync();
        var router = await CreateAsync(cloud.Demo, "routers", $"{{'name': 'r1', 'external_gateway_info': {{'network_id': '{outside}'}}}}");
        var gateway = router.GetProperty("external_gateway_info");
        Assert.Equal((outside, true), (gateway.Text("network_id"), gateway.GetProperty("enable_snat").GetBoolean()));
        Assert.Equal(subnet, Assert.Single(gateway.GetProperty("external_fixed_ips").EnumerateArray()).Text("subnet_id"));
        Assert.Equal(("ACTIVE", "r1"), (router.Text("status"), router.Text("name")));
        Assert.False(router.TryGetProperty("ha", out _));
        var port = Assert.Single((await cloud.Admin.GetAsync($"/v2.0/ports?device_id={router.Id()}")).Json.GetProperty("ports").EnumerateArray());
        Assert.Equal(("network:router_gateway", ""), (port.Text("device_owner"), port.Text("project_id")));
        Assert.Equal(0, (await cloud.Demo.GetAsync($"/v2.0/ports?device_id={router.Id()}")).Json.GetProperty("ports").GetArrayLength());
        await RefusedAsync(cloud.Admin.DeleteAsync($"/v2.0/ports/{port.Id()}"), 409, "ServicePortInUse");
        var without = (await cloud.Demo.PutAsync($"/v2.0/routers/{router.Id()}", Json("{'router': {'external_gateway_info': {}}}"))).Expect(200).Json.GetProperty("router");
        Assert.Equal(JsonValueKind.Null, without.GetProperty("external_gateway_info").ValueKind);
        (await cloud.Admin.GetAsync($"/v2.0/ports/{port.Id()}")).Expect(404);
        (await cloud.Demo.DeleteAsync($"/v2.0/routers/{router.Id()}")).Expect(204);
        await RefusedAsync(cloud.Demo.GetAsync($"/v2.0/routers/{router.Id()}"), 404, "RouterNotFound");
    }

    [Fact]
    public async Task Only_administrators_choose_the_gateways_address_and_its_translation()
    {
        await using var cloud = await StartAsync();
        var (outside, subnet) = await cloud.CreateExternalAsync();
        var router = (await CreateAsync(cloud.Demo, "routers", "{}")).Id();
        foreach (var part in new[] { "'enable_snat': false", $"'external_fixed_ips': [{{'subnet_id': '{subnet}', 'ip_address': '203.0.113.9'}}]" })
        {
            var body = Json($"{{'router': {{'external_gateway_info': {{'network_id': '{outside}', {part}}}}}}}");
            await RefusedAsync(cloud.Demo.PutAsync($"/v2.0/routers/{router}", body), 403, "PolicyNotAuthorized");
            (await cloud.Admin.PutAsync($"/v2.0/routers/{router}", body)).Expect(200);
        }

        var seen = (await cloud.Demo.GetAsync($"/v2.0/routers/{router}")).Json.GetProperty("router").GetProperty("external_gateway_info");
        Assert.Equal(("203.0.113.9", true), (seen.GetProperty("external_fixed_ips")[0].Text("ip_address"), seen.GetProperty("enable_snat").GetBoolean()));
        var (inside, _) = await cloud.CreateNetworkWithSubnetAsync();
        await RefusedAsync(cloud.Demo.PutAsync($"/v2.0/routers/{router}", Json($"{{'router': {{'external_gateway_info': {{'network_id': '{inside}'}}}}}}")), 400, "BadRequest");
        await RefusedAsync(
            cloud.Admin.PutAsync($"/v2.0/routers/{router}", Json($"{{'router': {{'external_gateway_info': {{'network_id': '{outside}', 'external_fixed_ips': [{{'ip_address': '203.0.113.1'}}]}}}}}}")), 400, "BadRequest");
    }

    [Fact]
    public async Task An_interface_takes_the_subnets_gateway_address_and_goes_again()
    {
        await using var cloud = await StartAsync();
        var (network, subnet) = await cloud.CreateNetworkWithSubnetAsync();
        var router = (await CreateAsync(cloud.Demo, "routers", "{}")).Id();
        var added = await cloud.AddInterfaceAsync(router, $"'subnet_id': '{subnet}'");
        Assert.Equal((router, network, subnet, TestIdentities.DemoProject), (added.Id(), added.Text("network_id"), added.Text("subnet_id"), added.Text("tenant_id")));
        Assert.Equal([subnet], added.GetProperty("subnet_ids").EnumerateArray().Select(id => id.GetString()));
        var port = (await cloud.Demo.GetAsync($"/v2.0/ports/{added.Text("port_id")}")).Json.GetProperty("port");
        Assert.Equal((router, "network:router_interface", "10.0.0.1"), (port.Text("device_id"), port.Text("device_owner"), port.Addresses().Single()));
        await RefusedAsync(cloud.Demo.PutAsync($"/v2.0/routers/{router}/add_router_interface", Json($"{{'subnet_id': '{subnet}'}}")), 400, "BadRequest");
        await RefusedAsync(cloud.Demo.DeleteAsync($"/v2.0/ports/{port.Id()}"), 409, "ServicePortInUse");
        await RefusedAsync(cloud.Demo.DeleteAsync($"/v2.0/subnets/{subnet}"), 409, "SubnetInUse");
        await RefusedAsync(cloud.Demo.DeleteAsync($"/v2.0/networks/{network}"), 409, "NetworkInUse");
        var error = await RefusedAsync(cloud.Demo.DeleteAsync($"/v2.0/routers/{router}"), 409, "RouterInUse");
        Assert.Equal($"Router {router} has ports still attached: {port.Id()}", error.Text("message"));
        var removed = (await cloud.Demo.PutAsync($"/v2.0/routers/{router}/remove_router_interface", Json($"{{'subnet_id': '{subnet}'}}"))).Expect(200).Json;
        Assert.Equal(port.Id(), removed.Text("port_id"));
        (await cloud.Demo.GetAsync($"/v2.0/ports/{port.Id()}")).Expect(404);
        await RefusedAsync(cloud.Demo.PutAsync($"/v2.0/routers/{router}/remove_router_interface", Json($"{{'subnet_id': '{subnet}'}}")), 404, "RouterInterfaceNotFoundForSubnet");
        await RefusedAsync(cloud.Demo.PutAsync($"/v2.0/routers/{router}/remove_router_interface", Json($"{{'port_id': '{port.Id()}'}}")), 404, "RouterInterfaceNotFound");
    }

    [Fact]
    public async Task A_port_becomes_an_interface_once()
    {
        await using var cloud = await StartAsync();
        var (network, _) = await cloud.CreateNetworkWithSubnetAsync();
        var first = (await CreateAsync(cloud.Demo, "routers", "{}")).Id();
        var second = (await CreateAsync(cloud.Demo, "routers", "{}")).Id();
        var port = (await CreateAsync(cloud.Demo, "ports", $"{{'network_id': '{network}'}}")).Id();
        await cloud.AddInterfaceAsync(first, $"'port_id': '{port}'");
        var owned = (await cloud.Demo.GetAsync($"/v2.0/ports/{port}")).Json.GetProperty("port");
        Assert.Equal((first, "network:router_interface", 0), (owned.Text("device_id"), owned.Text("device_owner"), owned.GetProperty("security_groups").GetArrayLength()));
        await RefusedAsync(cloud.Demo.PutAsync($"/v2.0/routers/{second}/add_router_interface", Json($"{{'port_id': '{port}'}}")), 409, "PortInUse");
        var bare = (await CreateAsync(cloud.Demo, "ports", $"{{'network_id': '{network}', 'fixed_ips': []}}")).Id();
        await RefusedAsync(cloud.Demo.PutAsync($"/v2.0/routers/{second}/add_router_interface", Json($"{{'port_id': '{bare}'}}")), 400, "BadRequest");
        await RefusedAsync(cloud.Demo.PutAsync($"/v2.0/routers/{second}/add_router_interface", Json("{}")), 400, "BadRequest");
        await RefusedAsync(cloud.Demo.PutAsync($"/v2.0/routers/{second}/add_router_interface", Json($"{{'port_id': '{bare}', 'subnet_id': '{bare}'}}")), 400, "BadRequest");
        (await cloud.Demo.PutAsync($"/v2.0/routers/{first}/remove_router_interface", Json($"{{'port_id': '{port}'}}"))).Expect(200);
        (await cloud.Demo.GetAsync($"/v2.0/ports/{port}")).Expect(404);
    }

    [Fact]
    public async Task Overlapping_subnets_do_not_meet_in_a_router()
    {
        await using var cloud = await StartAsync();
        var (_, first) = await cloud.CreateNetworkWithSubnetAsync("10.0.0.0/16");
        var (_, second) = await cloud.CreateNetworkWithSubnetAsync("10.0.5.0/24");
        var (outside, _) = await cloud.CreateExternalAsync("10.0.7.0/24");
        var router = (await CreateAsync(cloud.Demo, "routers", "{}")).Id();
        await cloud.AddInterfaceAsync(router, $"'subnet_id': '{first}'");
        var error = await RefusedAsync(cloud.Demo.PutAsync($"/v2.0/routers/{router}/add_router_interface", Json($"{{'subnet_id': '{second}'}}")), 400, "BadRequest");
        Assert.Equal($"Bad router request: Cidr 10.0.5.0/24 of subnet {second} overlaps with cidr 10.0.0.0/16 of subnet {first}.", error.Text("message"));
        await RefusedAsync(cloud.Demo.PutAsync($"/v2.0/routers/{router}", Json($"{{'router': {{'external_gateway_info': {{'network_id': '{outside}'}}}}}}")), 400, "BadRequest");
        Assert.Single((await cloud.Admin.GetAsync($"/v2.0/ports?device_id={router}")).Json.GetProperty("ports").EnumerateArray());
    }

    [Fact]
    public async Task Other_projects_neither_see_nor_change_a_router()
    {
        await using var cloud = await StartAsync();
        var router = (await CreateAsync(cloud.Demo, "routers", "{}")).Id();
        var (_, theirs) = await cloud.CreateNetworkWithSubnetAsync("10.9.0.0/24", cloud.Other);
        await RefusedAsync(cloud.Other.GetAsync($"/v2.0/routers/{router}"), 404, "RouterNotFound");
        await RefusedAsync(cloud.Other.PutAsync($"/v2.0/routers/{router}/add_router_interface", Json($"{{'subnet_id': '{theirs}'}}")), 404, "RouterNotFound");
        await RefusedAsync(cloud.Demo.PutAsync($"/v2.0/routers/{router}/add_router_interface", Json($"{{'subnet_id': '{theirs}'}}")), 404, "SubnetNotFound");
        Assert.Equal(0, (await cloud.Other.GetAsync("/v2.0/routers")).Json.GetProperty("routers").GetArrayLength());
    }

    [Fact]
    public async Task Extra_routes_lead_over_connected_hops_and_hold_their_interface()
    {
        await using var cloud = await StartAsync();
        var routed = await cloud.CreateRoutedAsync();
        var path = $"/v2.0/routers/{routed.Router}";
        await RefusedAsync(cloud.Demo.PutAsync(path, Json("{'router': {'routes': [{'destination': '192.168.0.0/24', 'nexthop': '10.5.0.1'}]}}")), 400, "InvalidRoutes");
        await RefusedAsync(cloud.Demo.PutAsync(path, Json("{'router': {'routes': [{'destination': '192.168.0.0/24', 'nexthop': '10.0.0.1'}]}}")), 400, "InvalidRoutes");
        (await cloud.Demo.PutAsync(path, Json("{'router': {'routes': [{'destination': '192.168.0.0/24', 'nexthop': '10.0.0.9'}]}}"))).Expect(200);
        var both = (await cloud.Demo.PutAsync(path + "/add_extraroutes", Json("{'router': {'routes': [{'destination': '192.168.1.0/24', 'nexthop': '203.0.113.77'}, {'destination': '192.168.0.0/24', 'nexthop': '10.0.0.9'}]}}"))).Expect(200);
        Assert.Equal(2, both.Json.GetProperty("router").GetProperty("routes").GetArrayLength());
        await RefusedAsync(cloud.Demo.PutAsync(path + "/remove_router_interface", Json($"{{'subnet_id': '{routed.Subnet}'}}")), 409, "RouterInterfaceInUseByRoute");
        await RefusedAsync(cloud.Demo.PutAsync(path, Json("{'router': {'external_gateway_info': null}}")), 400, "InvalidRoutes");
        var one = (await cloud.Demo.PutAsync(path + "/remove_extraroutes", Json("{'router': {'routes': [{'destination': '192.168.0.0/24', 'nexthop': '10.0.0.9'}]}}"))).Expect(200);
        Assert.Equal("203.0.113.77", Assert.Single(one.Json.GetProperty("router").GetProperty("routes").EnumerateArray()).Text("nexthop"));
        (await cloud.Demo.PutAsync(path + "/remove_router_interface", Json($"{{'subnet_id': '{routed.Subnet}'}}"))).Expect(200);
    }

    [Fact]
    public async Task Routers_appear_only_with_their_service_plugin()
    {
        await using var with = await StartAsync();
        await using var without = await StartAsync(("DEFAULT", "service_plugins", ""));
        Assert.Contains("l3-ha", await AliasesAsync(with));
        Assert.DoesNotContain("router", await AliasesAsync(without));
        (await without.Demo.GetAsync("/v2.0/routers")).Expect(404);
        (await without.Demo.GetAsync("/v2.0/floatingips")).Expect(404);

        static async Task<List<string>> AliasesAsync(NeutronCloud cloud) =>
            [.. (await cloud.Demo.GetAsync("/v2.0/extensions")).Json.GetProperty("extensions").EnumerateArray().Select(extension => extension.Text("alias"))];
    }

    [Fact]
    public async Task Helpers_of_conntrack_are_those_that_Neutron_knows()
    {
        await using var cloud = await StartAsync();
        var router = (await CreateAsync(cloud.Demo, "routers", "{}")).Id();
        var path = $"/v2.0/routers/{router}/conntrack_helpers";
        var helper = (await cloud.Demo.PostAsync(path, Json("{'conntrack_helper': {'protocol': 'tcp', 'port': 21, 'helper': 'ftp'}}"))).Expect(201).Json.GetProperty("conntrack_helper");
        Assert.Equal(21, (await cloud.Demo.GetAsync($"/v2.0/routers/{router}")).Json.GetProperty("router").GetProperty("conntrack_helpers")[0].GetProperty("port").GetInt32());
        await RefusedAsync(cloud.Demo.PostAsync(path, Json("{'conntrack_helper': {'protocol': 'tcp', 'port': 21, 'helper': 'ftp'}}")), 400, "BadRequest");
        await RefusedAsync(cloud.Demo.PostAsync(path, Json("{'conntrack_helper': {'protocol': 'udp', 'port': 21, 'helper': 'ftp'}}")), 400, "InvalidProtocolForHelper");
        await RefusedAsync(cloud.Demo.PostAsync(path, Json("{'conntrack_helper': {'protocol': 'udp', 'port': 21, 'helper': 'evil'}}")), 400, "ConntrackHelperNotAllowed");
        (await cloud.Other.GetAsync(path)).Expect(404);
        (await cloud.Demo.DeleteAsync($"{path}/{helper.Id()}")).Expect(204);
    }

    [Fact]
    public async Task Sixteen_who_add_one_subnet_to_a_router_make_one_interface()
    {
        await using var first = await StartServerAsync();
        await using var second = await StartServerAsync(other: first);
        var (_, subnet) = await first.CreateNetworkWithSubnetAsync();
        var router = (await CreateAsync(first.Demo, "routers", "{}")).Id();
        var answers = await Task.WhenAll(Enumerable.Range(0, 16).Select(index =>
            (index % 2 == 0 ? first : second).Demo.PutAsync($"/v2.0/routers/{router}/add_router_interface", Json($"{{'subnet_id': '{subnet}'}}"))));
        Assert.Single(answers, answer => answer.Status == 200);
        Assert.All(answers.Where(answer => answer.Status != 200), answer => answer.Expect(400));
        Assert.Single((await first.Demo.GetAsync($"/v2.0/ports?device_id={router}")).Json.GetProperty("ports").EnumerateArray());
    }
}
