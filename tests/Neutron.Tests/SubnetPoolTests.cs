using System.Text.Json;
using SharpStack.Neutron.Ipam;
using SharpStack.TestKit;
using static SharpStack.Neutron.Tests.NeutronCloud;

namespace SharpStack.Neutron.Tests;

public sealed class SubnetPoolTests
{
    [Theory]
    [InlineData("10.0.0.0/25,10.0.0.128/25", "", "10.0.0.0/24")]
    [InlineData("10.0.0.0/24,10.0.0.64/26", "", "10.0.0.0/24")]
    [InlineData("10.0.0.0/24", "10.0.0.0/26", "10.0.0.64/26,10.0.0.128/25")]
    [InlineData("10.0.0.0/24", "10.0.0.64/26", "10.0.0.0/26,10.0.0.128/25")]
    [InlineData("10.0.0.0/24", "10.0.0.0/16", "")]
    [InlineData("fd00::/16", "fd00:8000::/17", "fd00::/17")]
    [InlineData("0.0.0.0/0", "128.0.0.0/1", "0.0.0.0/1")]
    [InlineData("::/0", "", "::/0")]
    [InlineData("ffff::/16", "ffff::/17", "ffff:8000::/17")]
    public void Prefixes_are_joined_and_cut(string all, string gone, string left) =>
        Assert.Equal(left, string.Join(',', Prefixes.Except(all.Split(',').Select(Cidr.Parse), gone.Length == 0 ? [] : gone.Split(',').Select(Cidr.Parse))));

    [Fact]
    public async Task Subnets_are_taken_from_a_pool_without_overlap_until_it_is_used_up()
    {
        await using var cloud = await StartAsync();
        var pool = await CreateAsync(cloud.Demo, "subnetpools", "{'name': 'p', 'prefixes': ['10.0.0.0/25', '10.0.0.128/25'], 'default_prefixlen': 26, 'min_prefixlen': 24}");
        Assert.Equal(["10.0.0.0/24"], pool.GetProperty("prefixes").EnumerateArray().Select(prefix => prefix.GetString()));
        Assert.Equal(("24", "32", "26", 4), (pool.Text("min_prefixlen"), pool.Text("max_prefixlen"), pool.Text("default_prefixlen"), pool.GetProperty("ip_version").GetInt32()));
        var taken = new List<string>();
        foreach (var (wish, cidr) in ((string, string)[])[("", "10.0.0.0/26"), (", 'cidr': '10.0.0.128/26'", "10.0.0.128/26"), (", 'prefixlen': 27", "10.0.0.64/27"), (", 'prefixlen': 26", "10.0.0.192/26"), (", 'prefixlen': 27", "10.0.0.96/27")])
        {
            var subnet = await TakeAsync(cloud, pool.Id(), wish);
            Assert.Equal(cidr, subnet.Text("cidr"));
            Assert.Equal(pool.Id(), subnet.Text("subnetpool_id"));
            taken.Add(subnet.Id());
        }

        await RefusedAsync(PostSubnetAsync(cloud, pool.Id(), ", 'prefixlen': 27"), 500, "SubnetAllocationError");
        await RefusedAsync(PostSubnetAsync(cloud, pool.Id(), ", 'prefixlen': 23"), 400, "MinPrefixSubnetAllocationError");
        await RefusedAsync(cloud.Demo.DeleteAsync($"/v2.0/subnetpools/{pool.Id()}"), 400, "SubnetPoolDeleteError");
        (await cloud.Demo.DeleteAsync($"/v2.0/subnets/{taken[1]}")).Expect(204);
        Assert.Equal("10.0.0.128/27", (await TakeAsync(cloud, pool.Id(), ", 'prefixlen': 27")).Text("cidr"));
    }

    [Fact]
    public async Task A_pool_gives_a_project_no_more_than_its_quota()
    {
        await using var cloud = await StartAsync();
        var pool = (await CreateAsync(cloud.Demo, "subnetpools", "{'name': 'p', 'prefixes': ['10.0.0.0/16'], 'default_quota': 256}")).Id();
        await TakeAsync(cloud, pool, ", 'prefixlen': 25");
        await RefusedAsync(PostSubnetAsync(cloud, pool, ", 'prefixlen': 24"), 409, "SubnetPoolQuotaExceeded");
        await TakeAsync(cloud, pool, ", 'prefixlen': 25");
    }

    [Fact]
    public async Task Prefixes_are_added_and_taken_out_but_for_those_in_use()
    {
        await using var cloud = await StartAsync();
        var pool = (await CreateAsync(cloud.Demo, "subnetpools", "{'name': 'p', 'prefixes': ['10.0.0.0/24'], 'min_prefixlen': 24, 'default_prefixlen': 24}")).Id();
        await TakeAsync(cloud, pool, "");
        var path = $"/v2.0/subnetpools/{pool}";
        Assert.Equal("""["10.0.0.0/23"]""", (await cloud.Demo.PutAsync(path + "/add_prefixes", Json("{'prefixes': ['10.0.1.0/24']}"))).Expect(200).Json.GetProperty("prefixes").GetRawText());
        await RefusedAsync(cloud.Demo.PutAsync(path + "/remove_prefixes", Json("{'prefixes': ['10.0.0.0/25']}")), 400, "IllegalSubnetPoolPrefixUpdate");
        Assert.Equal("""["10.0.0.0/24","10.0.1.0/25"]""", (await cloud.Demo.PutAsync(path + "/remove_prefixes", Json("{'prefixes': ['10.0.1.128/25']}"))).Expect(200).Json.GetProperty("prefixes").GetRawText());
        await RefusedAsync(cloud.Demo.PutAsync(path, Json("{'subnetpool': {'prefixes': ['10.0.0.0/24']}}")), 400, "IllegalSubnetPoolPrefixUpdate");
        await RefusedAsync(cloud.Other.PutAsync(path + "/add_prefixes", Json("{'prefixes': ['10.0.1.0/24']}")), 404, "SubnetPoolNotFound");
    }

    [Fact]
    public async Task A_networks_subnets_join_a_pool()
    {
        await using var cloud = await StartAsync();
        var (network, subnet) = await cloud.CreateNetworkWithSubnetAsync("192.168.5.0/24");
        var pool = (await CreateAsync(cloud.Demo, "subnetpools", "{'name': 'p', 'prefixes': ['10.0.0.0/24']}")).Id();
        (await cloud.Demo.PutAsync($"/v2.0/subnetpools/{pool}/onboard_network_subnets", Json($"{{'network_id': '{network}'}}"))).Expect(200);
        Assert.Equal(pool, (await cloud.Demo.GetAsync($"/v2.0/subnets/{subnet}")).Json.GetProperty("subnet").Text("subnetpool_id"));
        Assert.Equal(2, (await cloud.Demo.GetAsync($"/v2.0/subnetpools/{pool}")).Json.GetProperty("subnetpool").GetProperty("prefixes").GetArrayLength());
    }

    [Fact]
    public async Task Pools_of_an_address_scope_share_no_address_and_a_networks_subnets_are_of_one_scope()
    {
        await using var cloud = await StartAsync();
        var scope = (await CreateAsync(cloud.Demo, "address-scopes", "{'name': 's', 'ip_version': 4}")).Id();
        var pool = (await CreateAsync(cloud.Demo, "subnetpools", $"{{'name': 'a', 'prefixes': ['10.0.0.0/16'], 'address_scope_id': '{scope}', 'default_prefixlen': 24}}")).Id();
        await RefusedAsync(
            cloud.Demo.PostAsync("/v2.0/subnetpools", Json($"{{'subnetpool': {{'name': 'b', 'prefixes': ['10.0.3.0/24'], 'address_scope_id': '{scope}'}}}}")), 409, "AddressScopePrefixConflict");
        await RefusedAsync(
            cloud.Demo.PostAsync("/v2.0/subnetpools", Json($"{{'subnetpool': {{'name': 'b', 'prefixes': ['fd00::/48'], 'address_scope_id': '{scope}'}}}}")), 400, "IllegalSubnetPoolIpVersionAssociationToAddressScope");
        await RefusedAsync(cloud.Demo.DeleteAsync($"/v2.0/address-scopes/{scope}"), 409, "AddressScopeInUse");
        var subnet = await TakeAsync(cloud, pool, "");
        var network = (await cloud.Demo.GetAsync($"/v2.0/networks/{subnet.Text("network_id")}")).Json.GetProperty("network");
        Assert.Equal(scope, network.Text("ipv4_address_scope"));
        Assert.Equal(JsonValueKind.Null, network.GetProperty("ipv6_address_scope").ValueKind);
        await RefusedAsync(
            cloud.Demo.PostAsync("/v2.0/subnets", Json($"{{'subnet': {{'network_id': '{network.Id()}', 'ip_version': 4, 'cidr': '192.168.0.0/24'}}}}")), 400, "NetworkSubnetPoolAffinityError");
    }

    [Fact]
    public async Task The_default_pool_serves_who_asks_for_it()
    {
        await using var cloud = await StartAsync();
        var network = (await cloud.CreateNetworkAsync()).Id();
        var body = Json($"{{'subnet': {{'network_id': '{network}', 'ip_version': 4, 'use_default_subnetpool': true}}}}");
        await RefusedAsync(cloud.Demo.PostAsync("/v2.0/subnets", body), 400, "BadRequest");
        await CreateAsync(cloud.Admin, "subnetpools", "{'name': 'all', 'shared': true, 'is_default': true, 'prefixes': ['10.0.0.0/16'], 'default_prefixlen': 24}");
        await RefusedAsync(cloud.Admin.PostAsync("/v2.0/subnetpools", Json("{'subnetpool': {'name': 'b', 'is_default': true, 'prefixes': ['11.0.0.0/16']}}")), 400, "InvalidInput");
        Assert.Equal("10.0.0.0/24", (await cloud.Demo.PostAsync("/v2.0/subnets", body)).Expect(201).Json.GetProperty("subnet").Text("cidr"));
    }

    private static async Task<JsonElement> TakeAsync(NeutronCloud cloud, string pool, string wish) => (await PostSubnetAsync(cloud, pool, wish)).Expect(201).Json.GetProperty("subnet");

    private static async Task<TestAnswer> PostSubnetAsync(NeutronCloud cloud, string pool, string wish)
    {
        var network = (await cloud.CreateNetworkAsync()).Id();
        return await cloud.Demo.PostAsync("/v2.0/subnets", Json($"{{'subnet': {{'network_id': '{network}', 'ip_version': 4, 'subnetpool_id': '{pool}'{wish}}}}}"));
    }
}
