using System.Text.Json;
using SharpStack.Neutron.Contracts;
using SharpStack.TestKit;
using static SharpStack.Neutron.Tests.NeutronCloud;

namespace SharpStack.Neutron.Tests;

public sealed class FloatingIpTests
{
    [Fact]
    public async Task A_floating_ip_is_associated_moved_and_let_go()
    {
        await using var cloud = await StartAsync();
        var routed = await cloud.CreateRoutedAsync();
        var first = await CreateAsync(cloud.Demo, "ports", $"{{'network_id': '{routed.Network}', 'name': 'one'}}");
        var second = await CreateAsync(cloud.Demo, "ports", $"{{'network_id': '{routed.Network}'}}");
        var floating = await CreateAsync(cloud.Demo, "floatingips", $"{{'floating_network_id': '{routed.Outside}', 'port_id': '{first.Id()}', 'description': 'mine'}}");
        Assert.Equal((first.Id(), first.Addresses().Single(), routed.Router, "DOWN"), (floating.Text("port_id"), floating.Text("fixed_ip_address"), floating.Text("router_id"), floating.Text("status")));
        Assert.StartsWith("203.0.113.", floating.Text("floating_ip_address"), StringComparison.Ordinal);
        Assert.Equal("one", floating.GetProperty("port_details").Text("name"));
        var path = $"/v2.0/floatingips/{floating.Id()}";
        var moved = (await cloud.Demo.PutAsync(path, Json($"{{'floatingip': {{'port_id': '{second.Id()}'}}}}"))).Expect(200).Json.GetProperty("floatingip");
        Assert.Equal((second.Id(), second.Addresses().Single()), (moved.Text("port_id"), moved.Text("fixed_ip_address")));
        var described = (await cloud.Demo.PutAsync(path, Json("{'floatingip': {'description': 'other'}}"))).Expect(200).Json.GetProperty("floatingip");
        Assert.Equal((second.Id(), "other"), (described.Text("port_id"), described.Text("description")));
        await RefusedAsync(cloud.Demo.PutAsync($"/v2.0/routers/{routed.Router}/remove_router_interface", Json($"{{'subnet_id': '{routed.Subnet}'}}")), 409, "RouterInterfaceInUseByFloatingIP");
        await RefusedAsync(cloud.Demo.PutAsync($"/v2.0/routers/{routed.Router}", Json("{'router': {'external_gateway_info': {}}}")), 409, "RouterExternalGatewayInUseByFloatingIp");
        foreach (var nowhere in (string[])["{'floatingip': {'port_id': null}}", "{'floatingip': {}}"])
        {
            (await cloud.Demo.PutAsync(path, Json($"{{'floatingip': {{'port_id': '{second.Id()}'}}}}"))).Expect(200);
            var free = (await cloud.Demo.PutAsync(path, Json(nowhere))).Expect(200).Json.GetProperty("floatingip");
            Assert.All(["port_id", "fixed_ip_address", "router_id", "port_details"], name => Assert.Equal(JsonValueKind.Null, free.GetProperty(name).ValueKind));
        }

        (await cloud.Demo.DeleteAsync(path)).Expect(204);
        Assert.Equal(0, (await cloud.Admin.GetAsync($"/v2.0/ports?device_owner=network:floatingip")).Json.GetProperty("ports").GetArrayLength());
    }

    [Fact]
    public async Task A_floating_ip_has_a_name_with_its_domain_or_none()
    {
        await using var cloud = await StartAsync();
        var (outside, _) = await cloud.CreateExternalAsync();
        var floating = await CreateAsync(cloud.Demo, "floatingips", $"{{'floating_network_id': '{outside}', 'dns_name': 'Web', 'dns_domain': 'example.org.'}}");
        Assert.Equal(("web", "example.org."), (floating.Text("dns_name"), floating.Text("dns_domain")));
        foreach (var part in (string[])["'dns_name': 'web'", "'dns_domain': 'example.org.'"])
        {
            await RefusedAsync(cloud.Demo.PostAsync("/v2.0/floatingips", Json($"{{'floatingip': {{'floating_network_id': '{outside}', {part}}}}}")), 400, "BadRequest");
        }

        await RefusedAsync(cloud.Demo.PostAsync("/v2.0/floatingips", Json($"{{'floatingip': {{'floating_network_id': '{outside}', 'dns_name': 'web', 'dns_domain': 'example.org'}}}}")), 400, "HTTPBadRequest");
        await RefusedAsync(cloud.Demo.PutAsync($"/v2.0/floatingips/{floating.Id()}", Json("{'floatingip': {'dns_name': 'other'}}")), 400, "HTTPBadRequest");
        Assert.Equal("", (await CreateAsync(cloud.Demo, "floatingips", $"{{'floating_network_id': '{outside}'}}")).Text("dns_name"));
    }

    [Fact]
    public async Task A_fixed_address_has_one_floating_ip_of_a_network()
    {
        await using var cloud = await StartAsync();
        var routed = await cloud.CreateRoutedAsync();
        var port = await CreateAsync(cloud.Demo, "ports", $"{{'network_id': '{routed.Network}'}}");
        await CreateAsync(cloud.Demo, "floatingips", $"{{'floating_network_id': '{routed.Outside}', 'port_id': '{port.Id()}'}}");
        await RefusedAsync(cloud.Demo.PostAsync("/v2.0/floatingips", Json($"{{'floatingip': {{'floating_network_id': '{routed.Outside}', 'port_id': '{port.Id()}'}}}}")), 409, "FloatingIPPortAlreadyAssociated");
        Assert.Single((await cloud.Demo.GetAsync("/v2.0/floatingips")).Json.GetProperty("floatingips").EnumerateArray());
    }

    [Fact]
    public async Task Floating_IPs_that_lead_nowhere_go_with_their_network_and_others_keep_it()
    {
        await using var cloud = await StartAsync();
        var routed = await cloud.CreateRoutedAsync();
        var port = await CreateAsync(cloud.Demo, "ports", $"{{'network_id': '{routed.Network}'}}");
        var led = await CreateAsync(cloud.Demo, "floatingips", $"{{'floating_network_id': '{routed.Outside}', 'port_id': '{port.Id()}'}}");
        var (outside, _) = await cloud.CreateExternalAsync();
        var idle = await CreateAsync(cloud.Demo, "floatingips", $"{{'floating_network_id': '{outside}'}}");

        await RefusedAsync(cloud.Admin.DeleteAsync($"/v2.0/networks/{routed.Outside}"), 409, "NetworkInUse");
        (await cloud.Demo.GetAsync($"/v2.0/floatingips/{led.Id()}")).Expect(200);
        (await cloud.Admin.DeleteAsync($"/v2.0/networks/{outside}")).Expect(204);
        (await cloud.Demo.GetAsync($"/v2.0/floatingips/{idle.Id()}")).Expect(404);
        Assert.Equal(0, (await cloud.Admin.GetAsync($"/v2.0/ports?network_id={outside}")).Json.GetProperty("ports").GetArrayLength());
    }

    [Fact]
    public async Task What_cannot_be_reached_is_refused_and_leaves_nothing()
    {
        await using var cloud = await StartAsync();
        var (outside, subnet) = await cloud.CreateExternalAsync();
        var (network, _) = await cloud.CreateNetworkWithSubnetAsync();
        var port = (await CreateAsync(cloud.Demo, "ports", $"{{'network_id': '{network}'}}")).Id();
        foreach (var (body, status, type) in ((string, int, string)[])
        [
            ($"'floating_network_id': '{outside}', 'port_id': '{port}'", 404, "ExternalGatewayForFloatingIPNotFound"),
            ($"'floating_network_id': '{network}'", 400, "BadRequest"),
            ($"'floating_network_id': '{Guid.NewGuid()}'", 404, "NetworkNotFound"),
            ($"'floating_network_id': '{outside}', 'fixed_ip_address': '10.0.0.5'", 400, "BadRequest"),
            ($"'floating_network_id': '{outside}', 'port_id': '{Guid.NewGuid()}'", 404, "PortNotFound"),
            ($"'floating_network_id': '{outside}', 'port_id': '{port}', 'fixed_ip_address': '10.0.0.250'", 400, "BadRequest"),
            ($"'floating_network_id': '{outside}', 'floating_ip_address': '203.0.113.7'", 403, "PolicyNotAuthorized"),
        ])
        {
            await RefusedAsync(cloud.Demo.PostAsync("/v2.0/floatingips", Json($"{{'floatingip': {{{body}}}}}")), status, type);
        }

        Assert.Equal(0, (await cloud.Admin.GetAsync($"/v2.0/ports?network_id={outside}")).Json.GetProperty("ports").GetArrayLength());
        var wanted = await CreateAsync(cloud.Admin, "floatingips", $"{{'floating_network_id': '{outside}', 'floating_ip_address': '203.0.113.7', 'subnet_id': '{subnet}'}}");
        Assert.Equal("203.0.113.7", wanted.Text("floating_ip_address"));
        await RefusedAsync(cloud.Admin.PostAsync("/v2.0/floatingips", Json($"{{'floatingip': {{'floating_network_id': '{outside}', 'floating_ip_address': '203.0.113.7'}}}}")), 409, "IpAddressAlreadyAllocated");
        (await cloud.Other.GetAsync($"/v2.0/floatingips/{wanted.Id()}")).Expect(404);
    }

    [Fact]
    public async Task A_deleted_port_frees_its_floating_ip()
    {
        await using var cloud = await StartAsync();
        var routed = await cloud.CreateRoutedAsync();
        var port = (await CreateAsync(cloud.Demo, "ports", $"{{'network_id': '{routed.Network}'}}")).Id();
        var floating = (await CreateAsync(cloud.Demo, "floatingips", $"{{'floating_network_id': '{routed.Outside}', 'port_id': '{port}'}}")).Id();
        (await cloud.Demo.DeleteAsync($"/v2.0/ports/{port}")).Expect(204);
        var left = (await cloud.Demo.GetAsync($"/v2.0/floatingips/{floating}")).Expect(200).Json.GetProperty("floatingip");
        Assert.All(["port_id", "fixed_ip_address", "router_id"], name => Assert.Equal(JsonValueKind.Null, left.GetProperty(name).ValueKind));
    }

    [Fact]
    public async Task A_port_that_changes_its_address_loses_the_floating_ip_of_the_old_one()
    {
        await using var cloud = await StartAsync();
        var routed = await cloud.CreateRoutedAsync();
        var port = (await CreateAsync(cloud.Demo, "ports", $"{{'network_id': '{routed.Network}', 'fixed_ips': [{{'ip_address': '10.0.0.50'}}]}}")).Id();
        var floating = (await CreateAsync(cloud.Demo, "floatingips", $"{{'floating_network_id': '{routed.Outside}', 'port_id': '{port}'}}")).Id();
        (await cloud.Demo.PutAsync($"/v2.0/ports/{port}", Json("{'port': {'fixed_ips': [{'ip_address': '10.0.0.60'}]}}"))).Expect(200);
        Assert.Equal(JsonValueKind.Null, (await cloud.Demo.GetAsync($"/v2.0/floatingips/{floating}")).Json.GetProperty("floatingip").GetProperty("port_id").ValueKind);
    }

    [Fact]
    public async Task Pools_are_the_external_subnets()
    {
        await using var cloud = await StartAsync();
        var (outside, subnet) = await cloud.CreateExternalAsync();
        await cloud.CreateNetworkWithSubnetAsync();
        var pool = Assert.Single((await cloud.Demo.GetAsync("/v2.0/floatingip_pools")).Expect(200).Json.GetProperty("floatingip_pools").EnumerateArray());
        Assert.Equal((outside, subnet, "203.0.113.0/24"), (pool.Text("network_id"), pool.Text("subnet_id"), pool.Text("cidr")));
    }

    [Fact]
    public async Task Floating_ips_made_at_the_same_time_through_two_servers_never_share_an_address()
    {
        (string, string, string) noLimit = ("quotas", "quota_floatingip", "-1");
        await using var first = await StartServerAsync(settings: noLimit);
        await using var second = await StartServerAsync(other: first, settings: noLimit);
        var (outside, _) = await first.CreateExternalAsync("203.0.113.0/27", ", 'allocation_pools': [{'start': '203.0.113.4', 'end': '203.0.113.23'}]");
        var answers = await Task.WhenAll(Enumerable.Range(0, 26).Select(index =>
            (index % 2 == 0 ? first : second).Demo.PostAsync("/v2.0/floatingips", Json($"{{'floatingip': {{'floating_network_id': '{outside}'}}}}"))));
        var made = answers.Where(answer => answer.Status == 201).Select(answer => answer.Json.GetProperty("floatingip").Text("floating_ip_address")).ToList();
        Assert.Equal(20, made.Count);
        Assert.Equal(20, made.Distinct().Count());
        Assert.All(answers.Where(answer => answer.Status != 201), answer => answer.Expect(409));
    }

    [Fact]
    public async Task Ports_are_forwarded_where_nothing_collides()
    {
        await using var cloud = await StartAsync();
        var routed = await cloud.CreateRoutedAsync();
        var port = await CreateAsync(cloud.Demo, "ports", $"{{'network_id': '{routed.Network}'}}");
        var floating = (await CreateAsync(cloud.Demo, "floatingips", $"{{'floating_network_id': '{routed.Outside}'}}")).Id();
        var path = $"/v2.0/floatingips/{floating}/port_forwardings";
        string Body(string more) => Json($"{{'port_forwarding': {{'protocol': 'tcp', 'internal_port_id': '{port.Id()}', 'internal_ip_address': '{port.Addresses().Single()}', {more}}}}}");
        var one = (await cloud.Demo.PostAsync(path, Body("'external_port': 2222, 'internal_port': 22, 'description': 'ssh'"))).Expect(201).Json.GetProperty("port_forwarding");
        Assert.Equal((2222, 22, "ssh", "2222:2222"), (one.GetProperty("external_port").GetInt32(), one.GetProperty("internal_port").GetInt32(), one.Text("description"), one.Text("external_port_range")));
        var many = (await cloud.Demo.PostAsync(path, Body("'external_port_range': '8000:8010', 'internal_port_range': '9000:9010'"))).Expect(201).Json.GetProperty("port_forwarding");
        Assert.Equal(("9000:9010", JsonValueKind.Null), (many.Text("internal_port_range"), many.GetProperty("external_port").ValueKind));
        await RefusedAsync(cloud.Demo.PostAsync(path, Body("'external_port': 8005, 'internal_port': 23")), 400, "BadRequest");
        await RefusedAsync(cloud.Demo.PostAsync(path, Body("'external_port': 7000, 'internal_port': 22")), 400, "BadRequest");
        await RefusedAsync(cloud.Demo.PostAsync(path, Body("'external_port_range': '100:110', 'internal_port_range': '100:105'")), 400, "BadRequest");
        var shown = (await cloud.Demo.GetAsync($"/v2.0/floatingips/{floating}")).Json.GetProperty("floatingip");
        Assert.Equal((routed.Router, 2), (shown.Text("router_id"), shown.GetProperty("port_forwardings").GetArrayLength()));
        await RefusedAsync(cloud.Demo.DeleteAsync($"/v2.0/floatingips/{floating}"), 409, "FipInUseByPortForwarding");
        await RefusedAsync(cloud.Demo.PutAsync($"/v2.0/floatingips/{floating}", Json($"{{'floatingip': {{'port_id': '{port.Id()}'}}}}")), 409, "FipInUseByPortForwarding");
        await RefusedAsync(cloud.Demo.PutAsync($"/v2.0/routers/{routed.Router}/remove_router_interface", Json($"{{'subnet_id': '{routed.Subnet}'}}")), 409, "RouterInterfaceInUseByFloatingIP");
        Assert.Equal(2222, (await cloud.Demo.PutAsync($"{path}/{one.Id()}", Json("{'port_forwarding': {'internal_port': 2200}}"))).Expect(200).Json.GetProperty("port_forwarding").GetProperty("external_port").GetInt32());
        (await cloud.Other.GetAsync(path)).Expect(404);
        (await cloud.Demo.DeleteAsync($"{path}/{many.Id()}")).Expect(204);
        (await cloud.Demo.DeleteAsync($"/v2.0/ports/{port.Id()}")).Expect(204);
        (await cloud.Demo.GetAsync($"{path}/{one.Id()}")).Expect(404);
        (await cloud.Demo.DeleteAsync($"/v2.0/floatingips/{floating}")).Expect(204);
    }
}
