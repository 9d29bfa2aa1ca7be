using SharpStack.TestKit;
using static SharpStack.Neutron.Tests.NeutronCloud;

namespace SharpStack.Neutron.Tests;

public sealed class RbacTests
{
    [Fact]
    public async Task A_network_that_is_shared_with_one_project_is_seen_and_used_by_that_one()
    {
        await using var cloud = await StartAsync();
        var (network, subnet) = await cloud.CreateNetworkWithSubnetAsync();
        await RefusedAsync(cloud.Other.GetAsync($"/v2.0/networks/{network}"), 404, "NetworkNotFound");
        var policy = await ShareAsync(cloud.Demo, "network", network, TestIdentities.OtherProject);
        var seen = (await cloud.Other.GetAsync($"/v2.0/networks/{network}")).Expect(200).Json.GetProperty("network");
        Assert.True(seen.GetProperty("shared").GetBoolean());
        Assert.False((await cloud.Demo.GetAsync($"/v2.0/networks/{network}")).Json.GetProperty("network").GetProperty("shared").GetBoolean());
        Assert.Single((await cloud.Other.GetAsync("/v2.0/networks?shared=true")).Json.GetProperty("networks").EnumerateArray());
        Assert.Empty((await cloud.Demo.GetAsync("/v2.0/networks?shared=true")).Json.GetProperty("networks").EnumerateArray());
        (await cloud.Other.GetAsync($"/v2.0/subnets/{subnet}")).Expect(200);
        var port = (await CreateAsync(cloud.Other, "ports", $"{{'network_id': '{network}', 'fixed_ips': [{{'subnet_id': '{subnet}'}}]}}")).Id();
        await RefusedAsync(cloud.Other.PostAsync("/v2.0/ports", Json($"{{'port': {{'network_id': '{network}', 'fixed_ips': [{{'ip_address': '10.0.0.9'}}]}}}}")), 403, "PolicyNotAuthorized");
        await RefusedAsync(cloud.Demo.DeleteAsync($"/v2.0/rbac-policies/{policy}"), 409, "RbacPolicyInUse");
        (await cloud.Other.DeleteAsync($"/v2.0/ports/{port}")).Expect(204);
        (await cloud.Demo.DeleteAsync($"/v2.0/rbac-policies/{policy}")).Expect(204);
        await RefusedAsync(cloud.Other.GetAsync($"/v2.0/networks/{network}"), 404, "NetworkNotFound");
    }

    [Fact]
    public async Task A_router_is_put_on_a_subnet_that_is_shared_with_its_project_by_name_but_not_with_all()
    {
        await using var cloud = await StartAsync();
        var (network, subnet) = await cloud.CreateNetworkWithSubnetAsync();
        var router = (await CreateAsync(cloud.Other, "routers", "{'name': 'theirs'}")).Id();
        var path = $"/v2.0/routers/{router}/add_router_interface";
        await RefusedAsync(cloud.Other.PutAsync(path, Json($"{{'subnet_id': '{subnet}'}}")), 404, "SubnetNotFound");
        await ShareAsync(cloud.Admin, "network", network, "*");
        await RefusedAsync(cloud.Other.PutAsync(path, Json($"{{'subnet_id': '{subnet}'}}")), 400, "BadRequest");
        await ShareAsync(cloud.Demo, "network", network, TestIdentities.OtherProject);
        await cloud.AddInterfaceAsync(router, $"'subnet_id': '{subnet}'", cloud.Other);
    }

    [Fact]
    public async Task Only_the_administrator_opens_something_to_all_and_only_owners_open_what_is_theirs()
    {
        await using var cloud = await StartAsync();
        var network = (await cloud.CreateNetworkAsync()).Id();
        await RefusedAsync(cloud.Demo.PostAsync("/v2.0/rbac-policies", Policy("network", network, "*")), 403, "PolicyNotAuthorized");
        await RefusedAsync(cloud.Other.PostAsync("/v2.0/rbac-policies", Policy("network", network, TestIdentities.OtherProject)), 400, "InvalidInput");
        await RefusedAsync(cloud.Demo.PostAsync("/v2.0/rbac-policies", Policy("network", network, "x", "access_as_king")), 400, "InvalidInput");
        await RefusedAsync(cloud.Demo.PostAsync("/v2.0/rbac-policies", Policy("pigeon", network, "x")), 400, "InvalidInput");
        var policy = await ShareAsync(cloud.Admin, "network", network, "*");
        await RefusedAsync(cloud.Admin.PostAsync("/v2.0/rbac-policies", Policy("network", network, "*")), 409, "DuplicateRbacPolicy");
        Assert.True((await cloud.Other.GetAsync($"/v2.0/networks/{network}")).Expect(200).Json.GetProperty("network").GetProperty("shared").GetBoolean());
        Assert.Single((await cloud.Admin.GetAsync($"/v2.0/rbac-policies?object_id={network}")).Json.GetProperty("rbac_policies").EnumerateArray());
        (await cloud.Admin.PutAsync($"/v2.0/networks/{network}", Json("{'network': {'shared': false}}"))).Expect(200);
        await RefusedAsync(cloud.Admin.GetAsync($"/v2.0/rbac-policies/{policy}"), 404, "RbacPolicyNotFound");
    }

    [Fact]
    public async Task A_network_is_external_for_those_that_a_policy_names()
    {
        await using var cloud = await StartAsync();
        var network = (await cloud.CreateNetworkAsync(cloud.Admin)).Id();
        await RefusedAsync(cloud.Demo.GetAsync($"/v2.0/networks/{network}"), 404, "NetworkNotFound");
        var policy = (await cloud.Admin.PostAsync("/v2.0/rbac-policies", Policy("network", network, TestIdentities.DemoProject, "access_as_external"))).Expect(201).Json.GetProperty("rbac_policy").Id();
        var seen = (await cloud.Demo.GetAsync($"/v2.0/networks/{network}")).Expect(200).Json.GetProperty("network");
        Assert.True(seen.GetProperty("router:external").GetBoolean());
        Assert.False(seen.GetProperty("shared").GetBoolean());
        await RefusedAsync(cloud.Other.GetAsync($"/v2.0/networks/{network}"), 404, "NetworkNotFound");
        await CreateAsync(cloud.Admin, "subnets", $"{{'network_id': '{network}', 'ip_version': 4, 'cidr': '203.0.113.0/24'}}");
        var router = (await CreateAsync(cloud.Demo, "routers", $"{{'external_gateway_info': {{'network_id': '{network}'}}}}")).Id();
        await RefusedAsync(cloud.Admin.DeleteAsync($"/v2.0/rbac-policies/{policy}"), 409, "RbacPolicyInUse");
        await RefusedAsync(cloud.Admin.PutAsync($"/v2.0/rbac-policies/{policy}", Json($"{{'rbac_policy': {{'target_tenant': '{TestIdentities.OtherProject}'}}}}")), 409, "RbacPolicyInUse");
        (await cloud.Demo.DeleteAsync($"/v2.0/routers/{router}")).Expect(204);
        (await cloud.Admin.DeleteAsync($"/v2.0/rbac-policies/{policy}")).Expect(204);
        await RefusedAsync(cloud.Demo.GetAsync($"/v2.0/networks/{network}"), 404, "NetworkNotFound");
    }

    [Fact]
    public async Task A_default_external_network_stays_external_for_all_and_a_pool_is_shared_no_further_than_its_scope()
    {
        await using var cloud = await StartAsync();
        var (outside, _) = await cloud.CreateExternalAsync();
        (await cloud.Admin.PutAsync($"/v2.0/networks/{outside}", Json("{'network': {'is_default': true}}"))).Expect(200);
        var wildcard = (await cloud.Admin.GetAsync($"/v2.0/rbac-policies?object_id={outside}&action=access_as_external")).Json.GetProperty("rbac_policies")[0].Id();
        await RefusedAsync(cloud.Admin.DeleteAsync($"/v2.0/rbac-policies/{wildcard}"), 409, "RbacPolicyInUse");
        (await cloud.Admin.PutAsync($"/v2.0/networks/{outside}", Json("{'network': {'is_default': false}}"))).Expect(200);
        (await cloud.Admin.DeleteAsync($"/v2.0/rbac-policies/{wildcard}")).Expect(204);

        var scope = (await CreateAsync(cloud.Admin, "address-scopes", "{'name': 's', 'ip_version': 4}")).Id();
        var body = $"{{'name': 'p', 'prefixes': ['10.0.0.0/8'], 'address_scope_id': '{scope}'}}";
        await RefusedAsync(cloud.Demo.PostAsync("/v2.0/subnetpools", Json($"{{'subnetpool': {body}}}")), 404, "AddressScopeNotFound");
        await ShareAsync(cloud.Admin, "address_scope", scope, TestIdentities.DemoProject);
        var pool = (await CreateAsync(cloud.Demo, "subnetpools", body)).Id();
        await RefusedAsync(cloud.Demo.PostAsync("/v2.0/rbac-policies", Policy("subnetpool", pool, TestIdentities.OtherProject)), 400, "RbacPolicyInitError");
        await ShareAsync(cloud.Admin, "address_scope", scope, TestIdentities.OtherProject);
        await ShareAsync(cloud.Demo, "subnetpool", pool, TestIdentities.OtherProject);
    }

    [Fact]
    public async Task Pools_scopes_and_groups_are_shared_with_one_project_too()
    {
        await using var cloud = await StartAsync();
        var scope = (await CreateAsync(cloud.Demo, "address-scopes", "{'name': 's', 'ip_version': 4}")).Id();
        var pool = (await CreateAsync(cloud.Demo, "subnetpools", "{'name': 'p', 'prefixes': ['10.0.0.0/8']}")).Id();
        var group = (await CreateAsync(cloud.Demo, "security-groups", "{'name': 'g'}")).Id();
        var addresses = (await CreateAsync(cloud.Demo, "address-groups", "{'addresses': ['10.0.0.0/24']}")).Id();
        foreach (var (type, path) in ((string, string)[])[("address_group", $"address-groups/{addresses}"), ("address_scope", $"address-scopes/{scope}"), ("subnetpool", $"subnetpools/{pool}"), ("security_group", $"security-groups/{group}")])
        {
            (await cloud.Other.GetAsync($"/v2.0/{path}")).Expect(404);
            var policy = await ShareAsync(cloud.Demo, type, path.Split('/')[1], TestIdentities.OtherProject);
            Assert.True((await cloud.Other.GetAsync($"/v2.0/{path}")).Expect(200).Json.GetProperty(type).GetProperty("shared").GetBoolean());
            (await cloud.Other.DeleteAsync($"/v2.0/{path}")).Expect(403);
            (await cloud.Demo.DeleteAsync($"/v2.0/rbac-policies/{policy}")).Expect(204);
            (await cloud.Other.GetAsync($"/v2.0/{path}")).Expect(404);
        }
    }

    private static async Task<string> ShareAsync(TestClient client, string type, string id, string target) =>
        (await client.PostAsync("/v2.0/rbac-policies", Policy(type, id, target))).Expect(201).Json.GetProperty("rbac_policy").Id();

    private static string Policy(string type, string id, string target, string action = "access_as_shared") =>
        Json($"{{'rbac_policy': {{'object_type': '{type}', 'object_id': '{id}', 'target_tenant': '{target}', 'action': '{action}'}}}}");
}
