using SharpStack.Neutron.Contracts;
using SharpStack.TestKit;
using static SharpStack.Neutron.Tests.NeutronCloud;

namespace SharpStack.Neutron.Tests;

public sealed class AddressGroupTests
{
    [Fact]
    public async Task Addresses_come_and_go_normalised_and_never_twice()
    {
        await using var cloud = await StartAsync();
        var group = await CreateAsync(cloud.Demo, "address-groups", "{'name': 'offices', 'addresses': ['10.0.0.9/24', '2001:DB8::/32']}");
        Assert.Equal(["10.0.0.0/24", "2001:db8::/32"], Of(group));
        var path = $"/v2.0/address-groups/{group.Id()}";
        var more = (await cloud.Demo.PutAsync(path + "/add_addresses", Json("{'addresses': ['192.0.2.1/32']}"))).Expect(200).Json.GetProperty("address_group");
        Assert.Equal(["10.0.0.0/24", "192.0.2.1/32", "2001:db8::/32"], Of(more));
        await RefusedAsync(cloud.Demo.PutAsync(path + "/add_addresses", Json("{'addresses': ['10.0.0.1/24']}")), 400, "AddressesAlreadyExist");
        await RefusedAsync(cloud.Demo.PutAsync(path + "/remove_addresses", Json("{'addresses': ['10.1.0.0/24']}")), 404, "AddressesNotFound");
        await RefusedAsync(cloud.Demo.PutAsync(path + "/remove_addresses", Json("{'addresses': ['10.1.0.7']}")), 404, "AddressesNotFound");
        await RefusedAsync(cloud.Demo.PutAsync(path + "/add_addresses", Json("{'addresses': ['nowhere']}")), 400, "HTTPBadRequest");
        (await cloud.Demo.PutAsync(path + "/remove_addresses", Json("{'addresses': ['10.0.0.0/24']}"))).Expect(200);
        await RefusedAsync(cloud.Other.GetAsync(path), 404, "AddressGroupNotFound");
        Assert.Equal(["192.0.2.1/32", "2001:db8::/32"], Of((await cloud.Demo.GetAsync(path)).Json.GetProperty("address_group")));
    }

    [Fact]
    public async Task A_rule_names_its_address_group_to_the_agent_which_gets_the_addresses_beside()
    {
        await using var cloud = await StartAsync();
        var agent = await cloud.AddAgentAsync(AgentTypes.OpenVSwitch, "compute1");
        var addresses = (await CreateAsync(cloud.Demo, "address-groups", "{'addresses': ['10.0.0.0/24', '2001:db8::/32']}")).Id();
        var group = (await CreateAsync(cloud.Demo, "security-groups", "{'name': 'web'}")).Id();
        var rule = await CreateAsync(cloud.Demo, "security-group-rules", $"{{'security_group_id': '{group}', 'direction': 'ingress', 'remote_address_group_id': '{addresses}'}}");
        Assert.Equal(addresses, rule.Text("remote_address_group_id"));
        Assert.Equal(["10.0.0.0/24", "2001:db8::/32"], await IngressAsync());
        (await cloud.Demo.PutAsync($"/v2.0/address-groups/{addresses}/add_addresses", Json("{'addresses': ['192.0.2.1/32']}"))).Expect(200);
        await agent.SawAsync(OpenVSwitchContracts.SecurityGroupsChanged.Method, addresses);
        Assert.Equal(["10.0.0.0/24", "192.0.2.1/32", "2001:db8::/32"], await IngressAsync());
        await RefusedAsync(cloud.Demo.DeleteAsync($"/v2.0/address-groups/{addresses}"), 409, "AddressGroupInUse");
        await RefusedAsync(
            cloud.Demo.PostAsync("/v2.0/security-group-rules", Json($"{{'security_group_rule': {{'security_group_id': '{group}', 'direction': 'ingress', 'remote_address_group_id': '{addresses}', 'remote_group_id': '{group}'}}}}")),
            400,
            "SecurityGroupMultipleRemoteEntites");
        await RefusedAsync(
            cloud.Demo.PostAsync("/v2.0/security-group-rules", Json($"{{'security_group_rule': {{'security_group_id': '{group}', 'direction': 'ingress', 'remote_address_group_id': '{Guid.NewGuid()}'}}}}")), 404, "AddressGroupNotFound");
        var foreign = (await CreateAsync(cloud.Other, "security-groups", "{'name': 'theirs'}")).Id();
        var shared = Json($"{{'rbac_policy': {{'object_type': 'address_group', 'object_id': '{addresses}', 'target_tenant': '{TestIdentities.OtherProject}', 'action': 'access_as_shared'}}}}");
        var theirs = Json($"{{'security_group_rule': {{'security_group_id': '{foreign}', 'direction': 'ingress', 'remote_address_group_id': '{addresses}'}}}}");
        await RefusedAsync(cloud.Other.PostAsync("/v2.0/security-group-rules", theirs), 404, "AddressGroupNotFound");
        var policy = (await cloud.Demo.PostAsync("/v2.0/rbac-policies", shared)).Expect(201).Json.GetProperty("rbac_policy").Id();
        (await cloud.Other.GetAsync($"/v2.0/address-groups/{addresses}")).Expect(200);
        await RefusedAsync(cloud.Other.PutAsync($"/v2.0/address-groups/{addresses}", Json("{'address_group': {'name': 'mine'}}")), 404, "HTTPNotFound");
        (await cloud.Other.PostAsync("/v2.0/security-group-rules", theirs)).Expect(201);
        await RefusedAsync(cloud.Demo.DeleteAsync($"/v2.0/rbac-policies/{policy}"), 409, "RbacPolicyInUse");
        (await cloud.Other.DeleteAsync($"/v2.0/security-groups/{foreign}")).Expect(204);
        (await cloud.Demo.DeleteAsync($"/v2.0/rbac-policies/{policy}")).Expect(204);
        (await cloud.Demo.DeleteAsync($"/v2.0/security-group-rules/{rule.Id()}")).Expect(204);
        (await cloud.Demo.DeleteAsync($"/v2.0/address-groups/{addresses}")).Expect(204);

        async Task<IEnumerable<string>> IngressAsync()
        {
            var answer = await agent.GetSecurityGroupsAsync(group);
            var only = Assert.Single(Assert.Single(answer.Groups).Rules, rule => rule.Direction == "ingress");
            Assert.Equal((rule.Id(), addresses, null), (only.Id, only.RemoteAddressGroupId, only.RemoteIpPrefix));
            Assert.All(answer.Members[addresses], member => Assert.Empty(member.MacAddress));
            return answer.Members[addresses].Select(member => member.IpAddress);
        }
    }

    private static List<string?> Of(System.Text.Json.JsonElement group) => [.. group.GetProperty("addresses").EnumerateArray().Select(address => address.GetString())];
}
