using SharpStack.Neutron.Contracts;
using SharpStack.TestKit;
using static SharpStack.Neutron.Tests.NeutronCloud;

namespace SharpStack.Neutron.Tests;

public sealed class AutoAllocationTests
{
    private const string Own = "/v2.0/auto-allocated-topology/None";

    [Fact]
    public async Task A_project_gets_a_network_with_a_way_out_once_and_can_give_it_back()
    {
        await using var cloud = await StartAsync();
        await RefusedAsync(cloud.Demo.GetAsync(Own), 409, "AutoAllocationFailure");
        var (outside, _) = await cloud.CreateExternalAsync();
        (await cloud.Admin.PutAsync($"/v2.0/networks/{outside}", Json("{'network': {'is_default': true}}"))).Expect(200);
        await RefusedAsync(cloud.Demo.GetAsync(Own + "?fields=dry-run"), 409, "AutoAllocationFailure");
        await CreateAsync(cloud.Admin, "subnetpools", "{'name': 'p', 'prefixes': ['10.0.0.0/16'], 'default_prefixlen': 24, 'is_default': true, 'shared': true}");
        await CreateAsync(cloud.Admin, "subnetpools", "{'name': 'p6', 'prefixes': ['2001:db8::/48'], 'default_prefixlen': 64, 'is_default': true, 'shared': true}");
        Assert.Equal("dry-run=pass", (await cloud.Demo.GetAsync(Own + "?fields=dry-run")).Expect(200).Json.GetProperty("auto_allocated_topology").Id());
        Assert.Equal(0, await CountAsync("networks?name=auto_allocated_network"));

        var network = (await cloud.Demo.GetAsync(Own)).Expect(200).Json.GetProperty("auto_allocated_topology").Id();
        Assert.Equal(network, (await cloud.Demo.GetAsync($"/v2.0/auto-allocated-topology/{TestIdentities.DemoProject}")).Expect(200).Json.GetProperty("auto_allocated_topology").Id());
        Assert.True((await cloud.Demo.GetAsync($"/v2.0/networks/{network}")).Expect(200).Json.GetProperty("network").GetProperty("admin_state_up").GetBoolean());
        Assert.Equal(2, await CountAsync($"subnets?network_id={network}"));
        var router = Assert.Single((await cloud.Demo.GetAsync("/v2.0/routers?name=auto_allocated_router")).Json.GetProperty("routers").EnumerateArray());
        Assert.Equal(outside, router.GetProperty("external_gateway_info").Text("network_id"));
        Assert.Equal(2, await CountAsync($"ports?network_id={network}&device_owner={RouterPortOwners.Interface}"));
        (await cloud.Other.GetAsync($"/v2.0/auto-allocated-topology/{TestIdentities.DemoProject}")).Expect(403);

        var port = (await CreateAsync(cloud.Demo, "ports", $"{{'network_id': '{network}'}}")).Id();
        await RefusedAsync(cloud.Demo.DeleteAsync(Own), 409, "NetworkInUse");
        Assert.Equal(2, await CountAsync($"ports?network_id={network}&device_owner={RouterPortOwners.Interface}"));
        (await cloud.Demo.DeleteAsync($"/v2.0/ports/{port}")).Expect(204);
        (await cloud.Demo.DeleteAsync(Own)).Expect(204);
        Assert.Equal((0, 0), (await CountAsync("networks?name=auto_allocated_network"), await CountAsync("routers?name=auto_allocated_router")));
        (await cloud.Demo.DeleteAsync(Own)).Expect(204);

        async Task<int> CountAsync(string query) => (await cloud.Demo.GetAsync("/v2.0/" + query)).Expect(200).Json.GetProperty(query.Split('?')[0]).GetArrayLength();
    }

    [Fact]
    public async Task What_cannot_be_made_whole_is_not_made_at_all()
    {
        await using var cloud = await StartAsync();
        var (outside, _) = await cloud.CreateExternalAsync();
        (await cloud.Admin.PutAsync($"/v2.0/networks/{outside}", Json("{'network': {'is_default': true}}"))).Expect(200);
        await CreateAsync(cloud.Admin, "subnetpools", "{'name': 'p', 'prefixes': ['10.0.0.0/24'], 'default_prefixlen': 24, 'is_default': true, 'shared': true}");
        (await cloud.Demo.GetAsync(Own)).Expect(200);
        await RefusedAsync(cloud.Other.GetAsync(Own), 409, "AutoAllocationFailure");
        Assert.Equal(0, (await cloud.Other.GetAsync("/v2.0/networks?name=auto_allocated_network")).Json.GetProperty("networks").GetArrayLength());
        Assert.Equal(0, (await cloud.Other.GetAsync("/v2.0/routers")).Json.GetProperty("routers").GetArrayLength());
    }
}
