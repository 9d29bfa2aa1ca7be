using System.Text.Json;
using SharpStack.TestKit;
using static SharpStack.Neutron.Tests.NeutronCloud;

namespace SharpStack.Neutron.Tests;

public sealed class SecurityGroupTests
{
    [Fact]
    public async Task Each_project_has_a_default_group_with_Neutrons_rules()
    {
        await using var cloud = await StartAsync();
        var group = Assert.Single((await cloud.Demo.GetAsync("/v2.0/security-groups?name=default")).Expect(200).Json.GetProperty("security_groups").EnumerateArray());
        Assert.Equal("Default security group", group.Text("description"));
        Assert.True(group.GetProperty("stateful").GetBoolean());
        var rules = group.GetProperty("security_group_rules").EnumerateArray()
            .Select(rule => (rule.Text("direction"), rule.Text("ethertype"), rule.GetProperty("remote_group_id").GetString(), rule.GetProperty("protocol").GetString())).Order().ToList();
        Assert.Equal([("egress", "IPv4", null, null), ("egress", "IPv6", null, null), ("ingress", "IPv4", group.Id(), null), ("ingress", "IPv6", group.Id(), null)], rules);
        Assert.Single((await cloud.Demo.GetAsync("/v2.0/security-groups")).Json.GetProperty("security_groups").EnumerateArray());
        await CreateAsync(cloud.Demo, "security-groups", "{'name': 'web'}");
        foreach (var (isOfDefault, count) in ((string, int)[])[("true", 4), ("false", 2)])
        {
            var found = (await cloud.Demo.GetAsync($"/v2.0/security-group-rules?belongs_to_default_sg={isOfDefault}")).Expect(200).Json.GetProperty("security_group_rules").EnumerateArray().ToList();
            Assert.Equal(count, found.Count);
            Assert.All(found, rule => Assert.Equal(isOfDefault == "true", rule.GetProperty("belongs_to_default_sg").GetBoolean()));
        }

        Assert.NotEqual(group.Id(), (await cloud.Other.GetAsync("/v2.0/security-groups")).Json.GetProperty("security_groups")[0].Id());
    }

    [Fact]
    public async Task An_administrator_who_asks_for_a_projects_groups_finds_its_default_one()
    {
        await using var cloud = await StartAsync();
        var groups = (await cloud.Admin.GetAsync("/v2.0/security-groups?tenant_id=never-seen")).Expect(200).Json.GetProperty("security_groups").EnumerateArray();
        Assert.Equal(("default", "never-seen"), (groups.Single().Text("name"), groups.Single().Text("project_id")));
        Assert.All((await cloud.Demo.GetAsync("/v2.0/security-groups?tenant_id=unseen-too")).Expect(200).Json.GetProperty("security_groups").EnumerateArray(), group => Assert.Fail(group.Text("project_id")));
    }

    [Fact]
    public async Task Sixteen_first_requests_make_one_default_group()
    {
        await using var cloud = await StartAsync();
        await Task.WhenAll(Enumerable.Range(0, 16).Select(_ => Task.Run(() => cloud.Demo.GetAsync("/v2.0/security-groups"))));
        Assert.Single((await cloud.Demo.GetAsync("/v2.0/security-groups")).Json.GetProperty("security_groups").EnumerateArray());
    }

    [Fact]
    public async Task The_default_group_cannot_be_renamed_doubled_or_deleted_by_its_project()
    {
        await using var cloud = await StartAsync();
        var id = (await cloud.Demo.GetAsync("/v2.0/security-groups")).Json.GetProperty("security_groups")[0].Id();
        await RefusedAsync(cloud.Demo.PostAsync("/v2.0/security-groups", Json("{'security_group': {'name': 'Default'}}")), 409, "SecurityGroupDefaultAlreadyExists");
        await RefusedAsync(cloud.Demo.PutAsync($"/v2.0/security-groups/{id}", Json("{'security_group': {'name': 'x'}}")), 409, "SecurityGroupCannotUpdateDefault");
        await RefusedAsync(cloud.Demo.DeleteAsync($"/v2.0/security-groups/{id}"), 409, "SecurityGroupCannotRemoveDefault");
        await RefusedAsync(cloud.Other.GetAsync($"/v2.0/security-groups/{id}"), 404, "SecurityGroupNotFound");
    }

    [Fact]
    public async Task A_new_group_lets_all_out_and_nothing_in()
    {
        await using var cloud = await StartAsync();
        var group = await CreateAsync(cloud.Demo, "security-groups", "{'name': 'web', 'description': 'for the web'}");
        Assert.Equal(["egress", "egress"], group.GetProperty("security_group_rules").EnumerateArray().Select(rule => rule.Text("direction")));
        var rule = await CreateAsync(
            cloud.Demo, "security-group-rules", $"{{'security_group_id': '{group.Id()}', 'direction': 'ingress', 'protocol': 'TCP', 'port_range_min': '22', 'port_range_max': 22, 'remote_ip_prefix': '10.0.0.1/8'}}");
        Assert.Equal(("tcp", 22, 22, "IPv4"), (rule.Text("protocol"), rule.GetProperty("port_range_min").GetInt32(), rule.GetProperty("port_range_max").GetInt32(), rule.Text("ethertype")));
        Assert.Equal(("10.0.0.1/8", "10.0.0.0/8"), (rule.Text("remote_ip_prefix"), rule.Text("normalized_cidr")));
        var seen = (await cloud.Demo.GetAsync($"/v2.0/security-groups/{group.Id()}")).Json.GetProperty("security_group");
        Assert.Equal(3, seen.GetProperty("security_group_rules").GetArrayLength());
        Assert.True(seen.GetProperty("revision_number").GetInt64() > group.GetProperty("revision_number").GetInt64());
        (await cloud.Demo.DeleteAsync($"/v2.0/security-group-rules/{rule.Id()}")).Expect(204);
        await RefusedAsync(cloud.Demo.GetAsync($"/v2.0/security-group-rules/{rule.Id()}"), 404, "SecurityGroupRuleNotFound");
    }

    [Fact]
    public async Task A_rule_is_not_made_twice()
    {
        await using var cloud = await StartAsync();
        var group = (await CreateAsync(cloud.Demo, "security-groups", "{'name': 'web'}")).Id();
        var rule = $"{{'security_group_id': '{group}', 'direction': 'ingress', 'protocol': 'icmp'}}";
        var first = await CreateAsync(cloud.Demo, "security-group-rules", rule);
        var error = await RefusedAsync(cloud.Demo.PostAsync("/v2.0/security-group-rules", Json($"{{'security_group_rule': {rule.Replace("icmp'", "1', 'remote_ip_prefix': '0.0.0.0/0'", StringComparison.Ordinal)}}}")), 409, "SecurityGroupRuleExists");
        Assert.Equal($"Security group rule already exists. Rule id is {first.Id()}.", error.Text("message"));
        var twice = rule.Replace("icmp", "udp", StringComparison.Ordinal);
        await RefusedAsync(cloud.Demo.PostAsync("/v2.0/security-group-rules", Json($"{{'security_group_rules': [{twice}, {twice}]}}")), 409, "DuplicateSecurityGroupRuleInPost");
    }

    [Theory]
    [InlineData("'direction': 'sideways'", "HTTPBadRequest")]
    [InlineData("'direction': 'ingress', 'protocol': 'pigeon'", "SecurityGroupRuleInvalidProtocol")]
    [InlineData("'direction': 'ingress', 'protocol': 256", "SecurityGroupRuleInvalidProtocol")]
    [InlineData("'direction': 'ingress', 'ethertype': 'IPX'", "SecurityGroupRuleInvalidEtherType")]
    [InlineData("'direction': 'ingress', 'port_range_min': 22, 'port_range_max': 22", "SecurityGroupProtocolRequiredWithPorts")]
    [InlineData("'direction': 'ingress', 'protocol': 'tcp', 'port_range_min': 23, 'port_range_max': 22", "SecurityGroupInvalidPortRange")]
    [InlineData("'direction': 'ingress', 'protocol': 'tcp', 'port_range_min': 0, 'port_range_max': 22", "SecurityGroupInvalidPortValue")]
    [InlineData("'direction': 'ingress', 'protocol': 'tcp', 'port_range_min': 70000, 'port_range_max': 70000", "SecurityGroupInvalidPortValue")]
    [InlineData("'direction': 'ingress', 'protocol': 'icmp', 'port_range_min': 256", "SecurityGroupInvalidIcmpValue")]
    [InlineData("'direction': 'ingress', 'protocol': 'icmp', 'port_range_max': 0", "SecurityGroupMissingIcmpType")]
    [InlineData("'direction': 'ingress', 'protocol': 'gre', 'port_range_min': 1, 'port_range_max': 2", "SecurityGroupInvalidProtocolForPort")]
    [InlineData("'direction': 'ingress', 'remote_ip_prefix': '10.0.0'", "InvalidCIDR")]
    [InlineData("'direction': 'ingress', 'remote_ip_prefix': 'fd00::/8'", "SecurityGroupRuleParameterConflict")]
    [InlineData("'direction': 'ingress', 'protocol': 'ipv6-icmp'", "SecurityGroupEthertypeConflictWithProtocol")]
    [InlineData("'direction': 'ingress', 'remote_ip_prefix': '10.0.0.0/8', 'remote_group_id': 'GROUP'", "SecurityGroupMultipleRemoteEntites")]
    public async Task A_wrong_rule_is_refused(string attributes, string type)
    {
        await using var cloud = await StartAsync();
        var group = (await CreateAsync(cloud.Demo, "security-groups", "{'name': 'web'}")).Id();
        await RefusedAsync(
            cloud.Demo.PostAsync("/v2.0/security-group-rules", Json($"{{'security_group_rule': {{'security_group_id': '{group}', {attributes.Replace("GROUP", group, StringComparison.Ordinal)}}}}}")), 400, type);
    }

    [Fact]
    public async Task A_group_in_use_stays_and_one_that_rules_point_to_takes_them_along()
    {
        await using var cloud = await StartAsync();
        var (network, _) = await cloud.CreateNetworkWithSubnetAsync();
        var used = (await CreateAsync(cloud.Demo, "security-groups", "{'name': 'used'}")).Id();
        var port = (await CreateAsync(cloud.Demo, "ports", $"{{'network_id': '{network}', 'security_groups': ['{used}']}}")).Id();
        var error = await RefusedAsync(cloud.Demo.DeleteAsync($"/v2.0/security-groups/{used}"), 409, "SecurityGroupInUse");
        Assert.Equal($"Security Group {used} in use.", error.Text("message"));
        var other = (await CreateAsync(cloud.Demo, "security-groups", "{'name': 'other'}")).Id();
        var rule = (await CreateAsync(cloud.Demo, "security-group-rules", $"{{'security_group_id': '{other}', 'direction': 'ingress', 'remote_group_id': '{used}'}}")).Id();
        (await cloud.Demo.DeleteAsync($"/v2.0/ports/{port}")).Expect(204);
        (await cloud.Demo.DeleteAsync($"/v2.0/security-groups/{used}")).Expect(204);
        (await cloud.Demo.GetAsync($"/v2.0/security-group-rules/{rule}")).Expect(404);
    }

    [Fact]
    public async Task Nobody_adds_rules_to_another_projects_group()
    {
        await using var cloud = await StartAsync();
        var group = (await CreateAsync(cloud.Other, "security-groups", "{'name': 'theirs'}")).Id();
        await RefusedAsync(cloud.Demo.PostAsync("/v2.0/security-group-rules", Json($"{{'security_group_rule': {{'security_group_id': '{group}', 'direction': 'ingress'}}}}")), 404, "SecurityGroupNotFound");
        var (network, _) = await cloud.CreateNetworkWithSubnetAsync();
        await RefusedAsync(cloud.Demo.PostAsync("/v2.0/ports", Json($"{{'port': {{'network_id': '{network}', 'security_groups': ['{group}']}}}}")), 404, "SecurityGroupNotFound");
    }

    [Fact]
    public async Task New_groups_begin_with_the_rules_that_an_administrator_chose()
    {
        await using var cloud = await StartAsync();
        var old = (await CreateAsync(cloud.Demo, "security-groups", "{'name': 'old'}")).Id();
        var addresses = (await CreateAsync(cloud.Admin, "address-groups", "{'addresses': ['10.0.0.0/24']}")).Id();
        const string Ssh = "'direction': 'ingress', 'protocol': 'tcp', 'port_range_min': '22', 'port_range_max': '22'";
        var ssh = await CreateRuleAsync(Ssh);
        Assert.Equal((22, false, true), (ssh.GetProperty("port_range_min").GetInt32(), ssh.GetProperty("used_in_default_sg").GetBoolean(), ssh.GetProperty("used_in_non_default_sg").GetBoolean()));
        await CreateRuleAsync("'direction': 'ingress', 'protocol': 'udp', 'remote_group_id': 'PARENT', 'used_in_default_sg': true, 'used_in_non_default_sg': false");
        await CreateRuleAsync($"'direction': 'ingress', 'protocol': 'icmp', 'remote_address_group_id': '{addresses}'");
        var all = (await cloud.Admin.GetAsync("/v2.0/default-security-group-rules?protocol=tcp&used_in_default_sg=false")).Json.GetProperty("default_security_group_rules").EnumerateArray();
        Assert.Equal(ssh.Id(), Assert.Single(all).Id());

        var made = await CreateAsync(cloud.Demo, "security-groups", "{'name': 'new'}");
        Assert.Equal(["egress any", "egress any", $"ingress icmp {addresses}", "ingress tcp"], Shown(made));
        var theirs = (await cloud.Other.GetAsync("/v2.0/security-groups?name=default")).Json.GetProperty("security_groups")[0];
        Assert.Equal(["egress any", "egress any", $"ingress any {theirs.Id()}", $"ingress any {theirs.Id()}", $"ingress udp {theirs.Id()}"], Shown(theirs));
        Assert.Equal(["egress any", "egress any"], Shown((await cloud.Demo.GetAsync($"/v2.0/security-groups/{old}")).Json.GetProperty("security_group")));

        // The same for the same groups is refused; for other groups it is another rule.
        await RefusedAsync(PostAsync(cloud.Admin, Ssh + ", 'used_in_default_sg': true"), 409, "DefaultSecurityGroupRuleExists");
        await CreateRuleAsync(Ssh + ", 'used_in_default_sg': true, 'used_in_non_default_sg': false");
        await RefusedAsync(PostAsync(cloud.Admin, $"'direction': 'ingress', 'remote_group_id': '{Guid.NewGuid()}'"), 404, "SecurityGroupNotFound");
        await RefusedAsync(cloud.Admin.DeleteAsync($"/v2.0/address-groups/{addresses}"), 409, "AddressGroupInUse");
        await RefusedAsync(PostAsync(cloud.Demo, "'direction': 'ingress', 'protocol': 'tcp'"), 403, "PolicyNotAuthorized");
        (await cloud.Demo.GetAsync($"/v2.0/default-security-group-rules/{ssh.Id()}")).Expect(200);
        await RefusedAsync(cloud.Demo.DeleteAsync($"/v2.0/default-security-group-rules/{ssh.Id()}"), 403, "PolicyNotAuthorized");
        (await cloud.Admin.DeleteAsync($"/v2.0/default-security-group-rules/{ssh.Id()}")).Expect(204);
        await RefusedAsync(cloud.Admin.GetAsync($"/v2.0/default-security-group-rules/{ssh.Id()}"), 404, "DefaultSecurityGroupRuleNotFound");
        Assert.Equal(["egress any", "egress any", $"ingress icmp {addresses}"], Shown(await CreateAsync(cloud.Demo, "security-groups", "{'name': 'newer'}")));

        // A rule for a group that goes is no rule for groups to come.
        await CreateRuleAsync($"'direction': 'ingress', 'protocol': 'sctp', 'remote_group_id': '{old}'");
        (await cloud.Demo.DeleteAsync($"/v2.0/security-groups/{old}")).Expect(204);
        await CreateAsync(cloud.Demo, "security-groups", "{'name': 'newest'}");

        static IEnumerable<string> Shown(JsonElement group) => group.GetProperty("security_group_rules").EnumerateArray()
            .Select(rule => $"{rule.Text("direction")} {rule.Text("protocol") ?? "any"} {rule.Text("remote_group_id") ?? rule.Text("remote_address_group_id")}".TrimEnd()).Order();
        async Task<JsonElement> CreateRuleAsync(string attributes) => (await PostAsync(cloud.Admin, attributes)).Expect(201).Json.GetProperty("default_security_group_rule");
        static Task<TestAnswer> PostAsync(TestClient client, string attributes) => client.PostAsync("/v2.0/default-security-group-rules", Json($"{{'default_security_group_rule': {{{attributes}}}}}"));
    }
}
