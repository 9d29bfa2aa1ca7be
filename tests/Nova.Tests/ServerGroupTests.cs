using System.Text.Json;
using SharpStack.Nova.ServerGroups;
using SharpStack.Nova.Storage;
using SharpStack.TestKit;

namespace SharpStack.Nova.Tests;

public sealed class ServerGroupTests
{
    [Fact]
    public async Task A_group_is_shown_in_the_shape_of_the_version()
    {
        await using var nova = await NovaCloud.StartAsync();
        var created = (await nova.Demo().PostAsync(
            "/v2.1/os-server-groups", """{"server_group": {"name": "apart", "policy": "anti-affinity", "rules": {"max_server_per_host": 3}}}""")).Expect(200).Json;
        var id = created.GetProperty("server_group").GetProperty("id").GetString()!;
        Assert.Equal(
            $$$"""{"server_group":{"id":"{{{id}}}","name":"apart","policy":"anti-affinity","rules":{"max_server_per_host":3},"members":[],"""
            + $"\"project_id\":\"{TestIdentities.DemoProject}\",\"user_id\":\"{TestIdentities.UserIdOf("demo")}\"" + "}}",
            (await nova.Demo().GetAsync($"/v2.1/os-server-groups/{id}")).Expect(200).Text);
        Assert.Equal(
            $$$"""{"server_group":{"id":"{{{id}}}","name":"apart","policies":["anti-affinity"],"metadata":{},"members":[]}}""",
            (await nova.Demo("compute 2.1").GetAsync($"/v2.1/os-server-groups/{id}")).Expect(200).Text);
        Assert.Equal(1, (await nova.Demo().GetAsync("/v2.1/os-server-groups")).Expect(200).Json.GetProperty("server_groups").GetArrayLength());
        (await nova.Demo().DeleteAsync($"/v2.1/os-server-groups/{id}")).Expect(204);
        (await nova.Demo().GetAsync($"/v2.1/os-server-groups/{id}")).Expect(404);
    }

    [Theory]
    [InlineData("2.1", """{"name": "g", "policies": ["soft-affinity"]}""")]
    [InlineData("2.1", """{"name": "g", "policies": []}""")]
    [InlineData("2.15", """{"name": "g", "policy": "affinity"}""")]
    [InlineData("2.64", """{"name": "g", "policies": ["affinity"]}""")]
    [InlineData("2.64", """{"name": "g", "policy": "affinity", "rules": {"max_server_per_host": 2}}""")]
    [InlineData("2.64", """{"name": "g", "policy": "anti-affinity", "rules": {"max_server_per_host": 0}}""")]
    [InlineData("2.64", """{"name": "", "policy": "affinity"}""")]
    public async Task What_makes_no_sense_is_refused(string version, string group)
    {
        await using var nova = await NovaCloud.StartAsync();
        (await nova.Demo("compute " + version).PostAsync("/v2.1/os-server-groups", $$"""{"server_group": {{group}} }""")).Expect(400);
        Assert.Equal(0, (await nova.Demo().GetAsync("/v2.1/os-server-groups")).Json.GetProperty("server_groups").GetArrayLength());
    }

    [Fact]
    public async Task Groups_belong_to_their_project_and_count_against_its_quota()
    {
        await using var nova = await NovaCloud.StartAsync(settings: [("nova", "quota", "server_groups", "1")]);
        var id = await GroupAsync(nova, "affinity");
        (await nova.Demo().PostAsync("/v2.1/os-server-groups", """{"server_group": {"name": "g", "policy": "affinity"}}""")).Expect(403);
        using var other = nova.Cloud.Client("nova-api", "other", "compute 2.96");
        (await other.GetAsync($"/v2.1/os-server-groups/{id}")).Expect(403);
        (await other.DeleteAsync($"/v2.1/os-server-groups/{id}")).Expect(403);
        Assert.Equal(0, (await other.GetAsync("/v2.1/os-server-groups")).Expect(200).Json.GetProperty("server_groups").GetArrayLength());
        using var reader = nova.Cloud.Client("nova-api", "reader", "compute 2.96");
        (await reader.GetAsync($"/v2.1/os-server-groups/{id}")).Expect(200);
        (await reader.DeleteAsync($"/v2.1/os-server-groups/{id}")).Expect(403);
        Assert.Equal(1, (await nova.Admin().GetAsync("/v2.1/os-server-groups?all_projects=1")).Expect(200).Json.GetProperty("server_groups").GetArrayLength());
    }

    [Fact]
    public async Task A_server_created_with_the_hint_is_a_member_until_it_is_deleted()
    {
        await using var nova = await NovaCloud.StartAsync(settings: [("nova", "quota", "server_group_members", "1")]);
        var group = await GroupAsync(nova, "soft-anti-affinity");
        var id = await CreateAsync(nova, group);
        await nova.WaitForStatusAsync(id, "ACTIVE");
        Assert.Equal([id], await MembersAsync(nova, group));
        Assert.Equal(group, Assert.Single((await nova.ShowAsync(id)).GetProperty("server_groups").EnumerateArray()).GetString());
        (await nova.Demo().PostAsync("/v2.1/servers", Body(nova, group))).Expect(403);
        (await nova.Demo().PostAsync("/v2.1/servers", Body(nova, Guid.NewGuid().ToString()))).Expect(400);
        (await nova.Demo().DeleteAsync($"/v2.1/servers/{id}")).Expect(204);
        await nova.WaitForGoneAsync(id);
        Assert.Empty(await MembersAsync(nova, group));
    }

    [Fact]
    public async Task The_scheduler_is_told_where_the_other_members_are_and_a_host_is_checked_again_as_it_is_written()
    {
        await using var nova = await NovaCloud.StartAsync();
        var group = await GroupAsync(nova, "anti-affinity");
        var first = await CreateAsync(nova, group);
        await nova.WaitForStatusAsync(first, "ACTIVE");
        var second = await CreateAsync(nova, group);
        await using var session = nova.Cloud.Get<NovaStore>().Read();
        var rule = await ServerGroupStore.RuleOfAsync(session, second, NovaCloud.Cancelled);
        Assert.Equal(("anti-affinity", 1), (rule!.Policy, rule.MaxPerHost));
        Assert.Equal([first], rule.MemberIds);
        Assert.Equal(["host1"], rule.Hosts);
        var refused = await Assert.ThrowsAsync<Foundation.CloudException>(() => ServerGroupStore.CheckAsync(session, second, "host1", NovaCloud.Cancelled));
        Assert.True(refused.IsTransient);
        await ServerGroupStore.CheckAsync(session, second, "host2", NovaCloud.Cancelled);
    }

    private static async Task<string> GroupAsync(NovaCloud nova, string policy) =>
        (await nova.Demo().PostAsync("/v2.1/os-server-groups", $$"""{"server_group": {"name": "group", "policy": "{{policy}}"} }""")).Expect(200)
            .Json.GetProperty("server_group").GetProperty("id").GetString()!;

    private static string Body(NovaCloud nova, string group) =>
        $$"""{{nova.ServerBody().TrimEnd()[..^1]}}, "os:scheduler_hints": {"group": "{{group}}"} }""";

    private static async Task<string> CreateAsync(NovaCloud nova, string group) =>
        (await nova.Demo().PostAsync("/v2.1/servers", Body(nova, group))).Expect(202).Json.GetProperty("server").GetProperty("id").GetString()!;

    private static async Task<List<string?>> MembersAsync(NovaCloud nova, string group) =>
        [.. (await nova.Demo().GetAsync($"/v2.1/os-server-groups/{group}")).Expect(200).Json.GetProperty("server_group").GetProperty("members").EnumerateArray().Select(item => item.GetString())];
}
