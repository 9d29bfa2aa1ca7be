using System.Text.Json;
using static SharpStack.Neutron.Tests.NeutronCloud;

namespace SharpStack.Neutron.Tests;

public sealed class SubnetTests
{
    [Fact]
    public async Task Service_types_are_owners_of_ports()
    {
        await using var cloud = await StartAsync();
        var network = (await cloud.CreateNetworkAsync(cloud.Admin)).Id();
        foreach (var (types, code) in ((string, string)[])[("['foo:bar']", "InvalidSubnetServiceType"), ("[7]", "InvalidInputSubnetServiceType"), ("'compute:nova'", "HTTPBadRequest")])
        {
            await RefusedAsync(cloud.Admin.PostAsync("/v2.0/subnets", Json($"{{'subnet': {{'network_id': '{network}', 'ip_version': 4, 'cidr': '10.0.0.0/24', 'service_types': {types}}}}}")), 400, code);
        }

        var subnet = await CreateAsync(cloud.Admin, "subnets", $"{{'network_id': '{network}', 'ip_version': 4, 'cidr': '10.0.0.0/24', 'service_types': ['network:router_gateway', 'compute:']}}");
        Assert.Equal(2, subnet.GetProperty("service_types").GetArrayLength());

        // As in OpenStack, nobody asks for a right to them.
        var own = (await cloud.CreateNetworkAsync(cloud.Demo)).Id();
        Assert.Equal(1, (await CreateAsync(cloud.Demo, "subnets", $"{{'network_id': '{own}', 'ip_version': 4, 'cidr': '10.0.0.0/24', 'service_types': ['test:any']}}")).GetProperty("service_types").GetArrayLength());
    }

    [Fact]
    public async Task A_large_network_with_a_pool_of_nine_addresses_is_taken_as_it_is()
    {
        await using var cloud = await StartAsync();
        var network = (await cloud.CreateNetworkAsync()).Id();
        var subnet = await CreateAsync(
            cloud.Demo, "subnets", $"{{'network_id': '{network}', 'ip_version': 4, 'cidr': '172.16.0.0/12', 'gateway_ip': '172.16.0.1', 'allocation_pools': [{{'start': '172.16.0.2', 'end': '172.16.0.10'}}], 'dns_nameservers': ['1.1.1.1']}}");
        Assert.Equal("172.16.0.0/12", subnet.Text("cidr"));
        Assert.Equal("""[{"start":"172.16.0.2","end":"172.16.0.10"}]""", JsonSerializer.Serialize(subnet.GetProperty("allocation_pools")));
        Assert.Equal("172.16.0.1", subnet.Text("gateway_ip"));
        var seen = (await cloud.Demo.GetAsync($"/v2.0/networks/{network}")).Json.GetProperty("network").GetProperty("subnets");
        Assert.Equal(subnet.Id(), seen[0].GetString());
    }

    [Fact]
    public async Task The_gateway_is_the_first_address_and_the_pool_is_the_rest()
    {
        await using var cloud = await StartAsync();
        var network = (await cloud.CreateNetworkAsync()).Id();
        var subnet = await CreateAsync(cloud.Demo, "subnets", $"{{'network_id': '{network}', 'ip_version': 4, 'cidr': '10.0.0.0/24'}}");
        Assert.Equal("10.0.0.1", subnet.Text("gateway_ip"));
        Assert.Equal("""[{"start":"10.0.0.2","end":"10.0.0.254"}]""", JsonSerializer.Serialize(subnet.GetProperty("allocation_pools")));
        var inside = await CreateAsync(cloud.Demo, "subnets", $"{{'network_id': '{network}', 'ip_version': 4, 'cidr': '10.0.1.0/24', 'gateway_ip': '10.0.1.9'}}");
        Assert.Equal("""[{"start":"10.0.1.1","end":"10.0.1.8"},{"start":"10.0.1.10","end":"10.0.1.254"}]""", JsonSerializer.Serialize(inside.GetProperty("allocation_pools")));
        var none = await CreateAsync(cloud.Demo, "subnets", $"{{'network_id': '{network}', 'ip_version': 4, 'cidr': '10.0.2.0/24', 'gateway_ip': null}}");
        Assert.Equal(JsonValueKind.Null, none.GetProperty("gateway_ip").ValueKind);
        Assert.Equal("""[{"start":"10.0.2.1","end":"10.0.2.254"}]""", JsonSerializer.Serialize(none.GetProperty("allocation_pools")));
    }

    [Theory]
    [InlineData("'ip_version': 4, 'cidr': '10.0.0.128/25'", 400, "InvalidInput")]
    [InlineData("'ip_version': 6, 'cidr': '10.1.0.0/24'", 400, "InvalidInput")]
    [InlineData("'ip_version': 4, 'cidr': '0.0.0.0/0'", 400, "InvalidInput")]
    [InlineData("'ip_version': 4, 'cidr': '10.1.0.0/31'", 400, "InvalidInput")]
    [InlineData("'ip_version': 4, 'cidr': '224.0.0.0/24'", 400, "InvalidInput")]
    [InlineData("'ip_version': 4, 'cidr': '10.1.0.0/24', 'gateway_ip': '10.1.0.255'", 400, "InvalidInput")]
    [InlineData("'ip_version': 4, 'cidr': '10.1.0.0/24', 'gateway_ip': 'fe80::1'", 400, "InvalidInput")]
    [InlineData("'ip_version': 4, 'cidr': '10.1.0.0/24', 'allocation_pools': [{'start': '10.1.0.9', 'end': '10.1.0.2'}]", 400, "InvalidAllocationPool")]
    [InlineData("'ip_version': 4, 'cidr': '10.1.0.0/24', 'allocation_pools': [{'start': '10.2.0.2', 'end': '10.2.0.9'}]", 400, "OutOfBoundsAllocationPool")]
    [InlineData("'ip_version': 4, 'cidr': '10.1.0.0/24', 'allocation_pools': [{'start': '10.1.0.2', 'end': '10.1.0.9'}, {'start': '10.1.0.9', 'end': '10.1.0.20'}]", 409, "OverlappingAllocationPools")]
    [InlineData("'ip_version': 4, 'cidr': '10.1.0.0/24', 'allocation_pools': [{'start': '10.1.0.1', 'end': '10.1.0.9'}]", 409, "GatewayConflictWithAllocationPools")]
    [InlineData("'ip_version': 4, 'cidr': '10.1.0.0/24', 'allocation_pools': [{'start': '10.1.0.1'}]", 400, "HTTPBadRequest")]
    [InlineData("'ip_version': 4, 'cidr': '10.1.0.0/33'", 400, "HTTPBadRequest")]
    [InlineData("'ip_version': 4, 'cidr': '10.1.0'", 400, "HTTPBadRequest")]
    [InlineData("'ip_version': 5, 'cidr': '10.1.0.0/24'", 400, "HTTPBadRequest")]
    [InlineData("'cidr': '10.1.0.0/24'", 400, "HTTPBadRequest")]
    [InlineData("'ip_version': 4", 400, "BadRequest")]
    [InlineData("'ip_version': 4, 'cidr': '10.1.0.0/24', 'dns_nameservers': ['dns.example']", 400, "HTTPBadRequest")]
    [InlineData("'ip_version': 4, 'cidr': '10.1.0.0/24', 'dns_nameservers': ['1.1.1.1', '1.1.1.2', '1.1.1.3', '1.1.1.4', '1.1.1.5', '1.1.1.6']", 400, "DNSNameServersExhausted")]
    [InlineData("'ip_version': 4, 'cidr': '10.1.0.0/24', 'host_routes': [{'destination': '10.0.0.0/8'}]", 400, "HTTPBadRequest")]
    [InlineData("'ip_version': 4, 'cidr': '10.1.0.0/24', 'ipv6_ra_mode': 'slaac'", 400, "InvalidInput")]
    [InlineData("'ip_version': 6, 'cidr': 'fd00::/80', 'ipv6_address_mode': 'slaac'", 400, "InvalidInput")]
    public async Task A_wrong_subnet_is_refused_and_leaves_nothing(string attributes, int status, string type)
    {
        await using var cloud = await StartAsync();
        var (network, subnet) = await cloud.CreateNetworkWithSubnetAsync();
        await RefusedAsync(cloud.Demo.PostAsync("/v2.0/subnets", Json($"{{'subnet': {{'network_id': '{network}', {attributes}}}}}")), status, type);
        var left = (await cloud.Demo.GetAsync("/v2.0/subnets")).Json.GetProperty("subnets");
        Assert.Equal(subnet, Assert.Single(left.EnumerateArray()).Id());
    }

    [Fact]
    public async Task A_subnet_of_an_unknown_network_is_refused()
    {
        await using var cloud = await StartAsync();
        await RefusedAsync(cloud.Demo.PostAsync("/v2.0/subnets", Json($"{{'subnet': {{'network_id': '{Guid.NewGuid()}', 'ip_version': 4, 'cidr': '10.0.0.0/24'}}}}")), 404, "NetworkNotFound");
        var foreign = (await cloud.CreateNetworkAsync(cloud.Other)).Id();
        var answer = await cloud.Demo.PostAsync("/v2.0/subnets", Json($"{{'subnet': {{'network_id': '{foreign}', 'ip_version': 4, 'cidr': '10.0.0.0/24'}}}}"));
        answer.Expect(404);
    }

    [Fact]
    public async Task An_update_changes_pools_gateway_and_lists_and_counts_for_the_network()
    {
        await using var cloud = await StartAsync();
        var (network, subnet) = await cloud.CreateNetworkWithSubnetAsync();
        var before = (await cloud.Demo.GetAsync($"/v2.0/networks/{network}")).Json.GetProperty("network").GetProperty("revision_number").GetInt64();
        var path = $"/v2.0/subnets/{subnet}";
        var updated = (await cloud.Demo.PutAsync(path, Json("{'subnet': {'allocation_pools': [{'start': '10.0.0.5', 'end': '10.0.0.6'}], 'gateway_ip': '10.0.0.200', 'host_routes': [{'destination': '10.9.0.0/16', 'nexthop': '10.0.0.9'}], 'enable_dhcp': false}}")))
            .Expect(200).Json.GetProperty("subnet");
        Assert.Equal("10.0.0.200", updated.Text("gateway_ip"));
        Assert.Equal("10.9.0.0/16", updated.GetProperty("host_routes")[0].Text("destination"));
        Assert.False(updated.GetProperty("enable_dhcp").GetBoolean());
        Assert.True((await cloud.Demo.GetAsync($"/v2.0/networks/{network}")).Json.GetProperty("network").GetProperty("revision_number").GetInt64() > before);
        await RefusedAsync(cloud.Demo.PutAsync(path, Json("{'subnet': {'gateway_ip': '10.0.0.5'}}")), 409, "GatewayConflictWithAllocationPools");
        await RefusedAsync(cloud.Demo.PutAsync(path, Json("{'subnet': {'cidr': '10.0.0.0/23'}}")), 400, "HTTPBadRequest");
    }

    [Fact]
    public async Task Ports_of_a_network_with_automatic_addresses_get_theirs_from_the_MAC()
    {
        await using var cloud = await StartAsync();
        var network = (await cloud.CreateNetworkAsync(cloud.Admin)).Id();
        var early = await CreateAsync(cloud.Admin, "ports", $"{{'network_id': '{network}', 'mac_address': 'fa:16:3e:01:02:03'}}");
        await CreateAsync(cloud.Admin, "subnets", $"{{'network_id': '{network}', 'ip_version': 6, 'cidr': 'fd00:1::/64', 'ipv6_address_mode': 'slaac', 'ipv6_ra_mode': 'slaac'}}");
        var late = await CreateAsync(cloud.Admin, "ports", $"{{'network_id': '{network}', 'mac_address': 'fa:16:3e:01:02:04'}}");
        Assert.Equal(["fd00:1::f816:3eff:fe01:204"], late.Addresses());
        Assert.Equal(["fd00:1::f816:3eff:fe01:203"], (await cloud.Admin.GetAsync($"/v2.0/ports/{early.Id()}")).Json.GetProperty("port").Addresses());
    }
}
