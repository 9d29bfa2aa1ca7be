using System.Text.Json;
using SharpStack.Neutron.Contracts;
using SharpStack.TestKit;
using static SharpStack.Neutron.Tests.NeutronCloud;

namespace SharpStack.Neutron.Tests;

public sealed class PortTests
{
    [Fact]
    public async Task A_port_has_an_address_the_default_group_and_no_binding()
    {
        await using var cloud = await StartAsync();
        var (network, subnet) = await cloud.CreateNetworkWithSubnetAsync();
        var port = await CreateAsync(cloud.Demo, "ports", $"{{'network_id': '{network}', 'name': 'p'}}");
        Assert.Equal(subnet, port.GetProperty("fixed_ips")[0].Text("subnet_id"));
        Assert.StartsWith("10.0.0.", port.Addresses().Single(), StringComparison.Ordinal);
        Assert.StartsWith("fa:16:3e:", port.Text("mac_address"), StringComparison.Ordinal);
        Assert.Equal("DOWN", port.Text("status"));
        Assert.Equal("normal", port.Text("binding:vnic_type"));
        Assert.False(port.TryGetProperty("binding:vif_type", out _));
        var group = Assert.Single((await cloud.Demo.GetAsync("/v2.0/security-groups")).Json.GetProperty("security_groups").EnumerateArray());
        Assert.Equal(group.Id(), Assert.Single(port.GetProperty("security_groups").EnumerateArray()).GetString());
        var seen = (await cloud.Admin.GetAsync($"/v2.0/ports/{port.Id()}")).Json.GetProperty("port");
        Assert.Equal("unbound", seen.Text("binding:vif_type"));
        Assert.Equal("", seen.Text("binding:host_id"));
        Assert.Equal("{}", seen.GetProperty("binding:profile").GetRawText());
    }

    [Fact]
    public async Task Sixty_four_creators_never_share_an_address()
    {
        await using var cloud = await StartAsync(("quotas", "quota_port", "-1"));
        var network = (await cloud.CreateNetworkAsync()).Id();
        await CreateAsync(cloud.Demo, "subnets", $"{{'network_id': '{network}', 'ip_version': 4, 'cidr': '172.16.0.0/12', 'allocation_pools': [{{'start': '172.16.0.2', 'end': '172.16.0.81'}}]}}");
        var answers = await Task.WhenAll(Enumerable.Range(0, 64).Select(_ => Task.Run(() => cloud.Demo.PostAsync("/v2.0/ports", Json($"{{'port': {{'network_id': '{network}'}}}}")))));
        var addresses = answers.Select(answer => answer.Expect(201).Json.GetProperty("port").Addresses().Single()).ToList();
        Assert.Equal(64, addresses.Distinct().Count());
        Assert.All(addresses, address => Assert.InRange(int.Parse(address.Split('.')[3], System.Globalization.CultureInfo.InvariantCulture), 2, 81));
    }

    [Fact]
    public async Task A_pool_is_used_to_its_last_address_and_then_refuses()
    {
        await using var cloud = await StartAsync();
        var network = (await cloud.CreateNetworkAsync()).Id();
        await CreateAsync(cloud.Demo, "subnets", $"{{'network_id': '{network}', 'ip_version': 4, 'cidr': '172.16.0.0/12', 'allocation_pools': [{{'start': '172.16.0.2', 'end': '172.16.0.10'}}]}}");
        var addresses = new HashSet<string>();
        for (var i = 0; i < 9; i++)
        {
            addresses.Add((await CreateAsync(cloud.Demo, "ports", $"{{'network_id': '{network}'}}")).Addresses().Single());
        }

        Assert.Equal(9, addresses.Count);
        var error = await RefusedAsync(cloud.Demo.PostAsync("/v2.0/ports", Json($"{{'port': {{'network_id': '{network}'}}}}")), 409, "IpAddressGenerationFailure");
        Assert.Equal($"No more IP addresses available on network {network}.", error.Text("message"));
        Assert.Equal(9, (await cloud.Demo.GetAsync("/v2.0/ports")).Json.GetProperty("ports").GetArrayLength());
    }

    [Theory]
    [InlineData("'fixed_ips': [{'ip_address': '10.0.0.7'}]", 409, "IpAddressAlreadyAllocated")]
    [InlineData("'fixed_ips': [{'ip_address': '192.168.0.7'}]", 400, "InvalidIpForNetwork")]
    [InlineData("'fixed_ips': [{'ip_address': '192.168.0.7', 'subnet_id': 'SUBNET'}]", 400, "InvalidIpForSubnet")]
    [InlineData("'fixed_ips': [{'ip_address': '10.0.0.255', 'subnet_id': 'SUBNET'}]", 400, "InvalidIpForSubnet")]
    [InlineData("'fixed_ips': [{'subnet_id': '11111111-1111-1111-1111-111111111111'}]", 400, "InvalidInput")]
    [InlineData("'fixed_ips': [{}]", 400, "InvalidInput")]
    [InlineData("'fixed_ips': [{'ip_address': '10.0.0.300'}]", 400, "HTTPBadRequest")]
    [InlineData("'fixed_ips': [{'ip_address': '10.0.0.8'}, {'ip_address': '10.0.0.8'}]", 400, "HTTPBadRequest")]
    [InlineData("'mac_address': 'fa:16:3e:00:00:07'", 409, "MacAddressInUse")]
    [InlineData("'mac_address': 'fa:16:3e'", 400, "HTTPBadRequest")]
    [InlineData("'security_groups': ['11111111-1111-1111-1111-111111111111']", 404, "SecurityGroupNotFound")]
    [InlineData("'security_groups': 'default'", 400, "HTTPBadRequest")]
    [InlineData("'port_security_enabled': false, 'allowed_address_pairs': [{'ip_address': '10.0.0.99'}]", 409, "AddressPairAndPortSecurityRequired")]
    [InlineData("'allowed_address_pairs': [{'mac_address': 'fa:16:3e:00:00:07'}]", 400, "AllowedAddressPairsMissingIP")]
    [InlineData("'binding:vnic_type': 'magic'", 400, "HTTPBadRequest")]
    [InlineData("'extra_dhcp_opts': [{'opt_name': 'x', 'opt_value': 'a\\nb'}]", 400, "HTTPBadRequest")]
    public async Task A_wrong_port_is_refused_and_leaves_nothing(string attributes, int status, string type)
    {
        await using var cloud = await StartAsync();
        var (network, subnet) = await cloud.CreateNetworkWithSubnetAsync();
        var first = await CreateAsync(cloud.Demo, "ports", $"{{'network_id': '{network}', 'mac_address': 'fa:16:3e:00:00:07', 'fixed_ips': [{{'ip_address': '10.0.0.7'}}]}}");
        await RefusedAsync(
            cloud.Demo.PostAsync("/v2.0/ports", Json($"{{'port': {{'network_id': '{network}', {attributes.Replace("SUBNET", subnet, StringComparison.Ordinal)}}}}}")), status, type);
        Assert.Equal(first.Id(), Assert.Single((await cloud.Demo.GetAsync("/v2.0/ports")).Json.GetProperty("ports").EnumerateArray()).Id());
    }

    [Fact]
    public async Task On_a_shared_network_addresses_and_hosts_are_not_everyones_to_choose()
    {
        await using var cloud = await StartAsync();
        var network = (await cloud.CreateNetworkAsync(cloud.Admin, "{'shared': true}")).Id();
        var subnet = (await CreateAsync(cloud.Admin, "subnets", $"{{'network_id': '{network}', 'ip_version': 4, 'cidr': '10.0.0.0/24'}}")).Id();
        await CreateAsync(cloud.Demo, "ports", $"{{'network_id': '{network}', 'fixed_ips': [{{'subnet_id': '{subnet}'}}]}}");
        foreach (var attributes in (string[])[
            "'fixed_ips': [{'ip_address': '10.0.0.9'}]", "'mac_address': 'fa:16:3e:00:00:07'", "'binding:host_id': 'h'", "'device_owner': 'network:dhcp'", "'port_security_enabled': false",
            "'allowed_address_pairs': [{'ip_address': '10.0.0.1'}]"])
        {
            await RefusedAsync(cloud.Demo.PostAsync("/v2.0/ports", Json($"{{'port': {{'network_id': '{network}', {attributes}}}}}")), 403, "PolicyNotAuthorized");
        }
    }

    [Fact]
    public async Task Address_pairs_come_and_go_one_by_one()
    {
        await using var cloud = await StartAsync();
        var (network, _) = await cloud.CreateNetworkWithSubnetAsync();
        var port = await CreateAsync(cloud.Demo, "ports", $"{{'network_id': '{network}', 'allowed_address_pairs': [{{'ip_address': '10.0.0.90'}}]}}");
        var path = $"/v2.0/ports/{port.Id()}";
        Assert.Equal(["10.0.0.90", "10.0.0.91"], await ChangeAsync("add", "[{'ip_address': '10.0.0.91'}]"));
        Assert.Equal(["10.0.0.90", "10.0.0.91"], await ChangeAsync("add", $"[{{'ip_address': '10.0.0.90', 'mac_address': '{port.Text("mac_address").ToUpperInvariant()}'}}]"));
        Assert.Equal(["10.0.0.91"], await ChangeAsync("remove", "[{'ip_address': '10.0.0.90'}, {'ip_address': '10.0.0.99'}]"));
        Assert.Empty(await ChangeAsync("remove", "[{'ip_address': '10.0.0.91'}]"));
        await RefusedAsync(cloud.Demo.PutAsync(path + "/add_allowed_address_pairs", Json("{'port': {'allowed_address_pairs': [{'mac_address': 'fa:16:3e:00:00:07'}]}}")), 400, "AllowedAddressPairsMissingIP");
        await RefusedAsync(cloud.Demo.PutAsync(path + "/add_allowed_address_pairs", Json("{'allowed_address_pairs': []}")), 400, "HTTPBadRequest");
        await RefusedAsync(cloud.Other.PutAsync(path + "/add_allowed_address_pairs", Json("{'port': {'allowed_address_pairs': []}}")), 404, "PortNotFound");

        async Task<IEnumerable<string>> ChangeAsync(string verb, string pairs) =>
            (await cloud.Demo.PutAsync($"{path}/{verb}_allowed_address_pairs", Json($"{{'port': {{'allowed_address_pairs': {pairs}}}}}"))).Expect(200)
                .Json.GetProperty("port").GetProperty("allowed_address_pairs").EnumerateArray().Select(pair => pair.Text("ip_address"));
    }

    [Fact]
    public async Task An_update_keeps_gives_and_takes_addresses()
    {
        await using var cloud = await StartAsync();
        var (network, subnet) = await cloud.CreateNetworkWithSubnetAsync();
        var port = await CreateAsync(cloud.Demo, "ports", $"{{'network_id': '{network}', 'fixed_ips': [{{'ip_address': '10.0.0.7'}}]}}");
        var path = $"/v2.0/ports/{port.Id()}";
        async Task<List<string>> ChangeAsync(string ips) =>
            [.. (await cloud.Demo.PutAsync(path, Json($"{{'port': {{'fixed_ips': {ips}}}}}"))).Expect(200).Json.GetProperty("port").Addresses()];
        Assert.Equal(["10.0.0.7", "10.0.0.9"], await ChangeAsync("[{'ip_address': '10.0.0.7'}, {'ip_address': '10.0.0.9'}]"));
        Assert.Equal(["10.0.0.7"], await ChangeAsync($"[{{'subnet_id': '{subnet}'}}]"));
        Assert.Empty(await ChangeAsync("[]"));
        Assert.Equal(["10.0.0.9"], await ChangeAsync("[{'ip_address': '10.0.0.9'}]"));
    }

    [Fact]
    public async Task Ports_are_found_by_address_part_of_it_group_and_device()
    {
        await using var cloud = await StartAsync();
        var (network, subnet) = await cloud.CreateNetworkWithSubnetAsync();
        var a = (await CreateAsync(cloud.Demo, "ports", $"{{'network_id': '{network}', 'fixed_ips': [{{'ip_address': '10.0.0.71'}}], 'device_id': 'x'}}")).Id();
        var b = (await CreateAsync(cloud.Demo, "ports", $"{{'network_id': '{network}', 'fixed_ips': [{{'ip_address': '10.0.0.72'}}], 'security_groups': []}}")).Id();
        async Task<List<string>> FindAsync(string query) => [.. (await cloud.Demo.GetAsync("/v2.0/ports?" + query)).Expect(200).Json.GetProperty("ports").EnumerateArray().Select(port => port.Id())];
        Assert.Equal([a], await FindAsync("fixed_ips=ip_address%3D10.0.0.71"));
        Assert.Equal(2, (await FindAsync("fixed_ips=ip_address_substr%3D0.0.7")).Count);
        Assert.Equal([b], await FindAsync($"fixed_ips=ip_address%3D10.0.0.72&fixed_ips=subnet_id%3D{subnet}"));
        Assert.Equal([a], await FindAsync("device_id=x"));
        var group = (await cloud.Demo.GetAsync("/v2.0/security-groups")).Json.GetProperty("security_groups")[0].Id();
        Assert.Equal([a], await FindAsync($"security_groups={group}"));
        await RefusedAsync(cloud.Demo.GetAsync("/v2.0/ports?fixed_ips=colour%3Dblue"), 400, "InvalidInput");
    }

    [Fact]
    public async Task Port_security_is_left_only_without_groups()
    {
        await using var cloud = await StartAsync();
        var (network, _) = await cloud.CreateNetworkWithSubnetAsync();
        var path = $"/v2.0/ports/{(await CreateAsync(cloud.Demo, "ports", $"{{'network_id': '{network}'}}")).Id()}";
        await RefusedAsync(cloud.Demo.PutAsync(path, Json("{'port': {'port_security_enabled': false}}")), 409, "PortSecurityPortHasSecurityGroup");
        var open = (await cloud.Demo.PutAsync(path, Json("{'port': {'port_security_enabled': false, 'security_groups': []}}"))).Expect(200).Json.GetProperty("port");
        Assert.False(open.GetProperty("port_security_enabled").GetBoolean());
        Assert.Equal(0, open.GetProperty("security_groups").GetArrayLength());
    }

    [Fact]
    public async Task A_port_binds_where_a_live_agent_reaches_its_network()
    {
        await using var cloud = await StartAsync();
        var agent = await cloud.AddAgentAsync(AgentTypes.OpenVSwitch, "compute1");
        var network = (await cloud.CreateNetworkAsync(cloud.Admin, "{'provider:network_type': 'flat', 'provider:physical_network': 'physnet'}")).Id();
        var bound = await CreateAsync(cloud.Admin, "ports", $"{{'network_id': '{network}', 'binding:host_id': 'compute1'}}");
        Assert.Equal("ovs", bound.Text("binding:vif_type"));
        var details = bound.GetProperty("binding:vif_details");
        Assert.True(details.GetProperty("port_filter").GetBoolean());
        Assert.Equal("l2", details.Text("connectivity"));
        Assert.Equal("br-int", details.Text("bridge_name"));
        Assert.Equal("netdev", details.Text("datapath_type"));
        Assert.Equal("openvswitch", details.GetProperty("bound_drivers").Text("0"));
        await agent.SawAsync("port_update", bound.Id());

        Assert.Equal("binding_failed", (await CreateAsync(cloud.Admin, "ports", $"{{'network_id': '{network}', 'binding:host_id': 'nowhere'}}")).Text("binding:vif_type"));
        var far = (await cloud.CreateNetworkAsync(cloud.Admin, "{'provider:network_type': 'flat', 'provider:physical_network': 'other'}")).Id();
        Assert.Equal("binding_failed", (await CreateAsync(cloud.Admin, "ports", $"{{'network_id': '{far}', 'binding:host_id': 'compute1'}}")).Text("binding:vif_type"));
    }

    [Fact]
    public async Task A_port_that_could_not_be_bound_is_bound_when_the_agent_comes()
    {
        await using var cloud = await StartAsync();
        var (network, _) = await cloud.CreateNetworkWithSubnetAsync();
        var port = await CreateAsync(cloud.Admin, "ports", $"{{'network_id': '{network}', 'binding:host_id': 'compute1'}}");
        Assert.Equal("binding_failed", port.Text("binding:vif_type"));
        var agent = await cloud.AddAgentAsync(AgentTypes.OpenVSwitch, "compute1");
        Assert.Equal("ovs", (await cloud.Admin.GetAsync($"/v2.0/ports/{port.Id()}")).Json.GetProperty("port").Text("binding:vif_type"));
        await agent.SawAsync("port_update", port.Id());
    }

    [Fact]
    public async Task A_port_moves_to_another_host_and_both_hear_of_it()
    {
        await using var cloud = await StartAsync();
        var one = await cloud.AddAgentAsync(AgentTypes.OpenVSwitch, "compute1");
        var two = await cloud.AddAgentAsync(AgentTypes.OpenVSwitch, "compute2");
        var (network, _) = await cloud.CreateNetworkWithSubnetAsync();
        var port = (await CreateAsync(cloud.Admin, "ports", $"{{'network_id': '{network}', 'binding:host_id': 'compute1'}}")).Id();
        await one.UpAsync(port);
        Assert.Equal("ACTIVE", await StatusAsync(cloud, port));
        (await cloud.Admin.PutAsync($"/v2.0/ports/{port}", Json("{'port': {'binding:host_id': 'compute2'}}"))).Expect(200);
        Assert.Equal("DOWN", await StatusAsync(cloud, port));
        await two.SawAsync("port_update", port);
        Assert.Equal([port], (await one.GetDevicesAsync(port)).Unknown);
        Assert.Equal([port], (await one.UpAsync(port)).LookAgain);
        Assert.Equal("DOWN", await StatusAsync(cloud, port));
        await two.UpAsync(port);
        Assert.Equal("ACTIVE", await StatusAsync(cloud, port));
        (await cloud.Admin.PutAsync($"/v2.0/ports/{port}", Json("{'port': {'binding:host_id': '', 'device_id': ''}}"))).Expect(200);
        Assert.Equal("DOWN", await StatusAsync(cloud, port));
    }

    private static async Task<string> StatusAsync(NeutronCloud cloud, string port) =>
        (await cloud.Admin.GetAsync($"/v2.0/ports/{port}")).Expect(200).Json.GetProperty("port").Text("status");
}
