namespace SharpStack.Keystone.Tests.Limits;

public class LimitApiTests
{
    [Fact]
    public async Task Registered_limits_are_made_in_bulk_listed_changed_and_deleted()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var service = await ServiceAsync(cloud);

        var made = (await cloud.Admin.PostAsync("/v3/registered_limits", $$"""
            {"registered_limits": [
                {"service_id": "{{service}}", "region_id": "RegionOne", "resource_name": "snapshot", "default_limit": 5},
                {"service_id": "{{service}}", "resource_name": "volume", "default_limit": 10, "description": "Number of volumes"}
            ]}
            """)).Expect(201).Json;
        Assert.Equal(["registered_limits"], made.Names());
        var limits = made.GetProperty("registered_limits");
        Assert.Equal(
            ["default_limit", "description", "id", "links", "region_id", "resource_name", "service_id"], limits[0].Names().Order());
        Assert.Equal("RegionOne", limits[0].GetProperty("region_id").GetString());
        Assert.Equal(System.Text.Json.JsonValueKind.Null, limits[1].GetProperty("region_id").ValueKind);
        var id = limits[1].GetProperty("id").GetString();

        Assert.Equal(["volume"], (await cloud.Admin.GetAsync("/v3/registered_limits?resource_name=volume")).Expect(200).Json.GetProperty("registered_limits").Texts("resource_name"));
        Assert.Equal(["snapshot"], (await cloud.Admin.GetAsync("/v3/registered_limits?region_id=RegionOne")).Expect(200).Json.GetProperty("registered_limits").Texts("resource_name"));
        var changed = (await cloud.Admin.PatchAsync($"/v3/registered_limits/{id}", """{"registered_limit": {"default_limit": 7}}""")).Expect(200).Json;
        Assert.Equal(7, changed.GetProperty("registered_limit").GetProperty("default_limit").GetInt32());
        (await cloud.Admin.DeleteAsync($"/v3/registered_limits/{id}")).Expect(204);
        var gone = (await cloud.Admin.GetAsync($"/v3/registered_limits/{id}")).Expect(404);
        Assert.Equal($"Could not find registered limit for {id}.", gone.Json.GetProperty("error").GetProperty("message").GetString());
    }

    [Theory]
    [InlineData("""{"service_id": "none", "resource_name": "x", "default_limit": 1}""", 400)]
    [InlineData("""{"service_id": "SERVICE", "region_id": "none", "resource_name": "x", "default_limit": 1}""", 400)]
    [InlineData("""{"service_id": "SERVICE", "resource_name": "x", "default_limit": -2}""", 400)]
    [InlineData("""{"service_id": "SERVICE", "resource_name": "x", "default_limit": 2147483648}""", 400)]
    [InlineData("""{"service_id": "SERVICE", "resource_name": "x", "default_limit": 1, "other": 1}""", 400)]
    [InlineData("""{"service_id": "SERVICE", "resource_name": "volume", "default_limit": 1}""", 409)]
    public async Task A_bad_registered_limit_is_refused_and_the_others_of_its_request_too(string bad, int status)
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var service = await ServiceAsync(cloud);
        await RegisterAsync(cloud, service, "volume", 10);

        (await cloud.Admin.PostAsync("/v3/registered_limits", $$"""
            {"registered_limits": [{"service_id": "{{service}}", "resource_name": "good", "default_limit": 1}, {{bad.Replace("SERVICE", service)}}]}
            """)).Expect(status);

        Assert.Equal(["volume"], (await cloud.Admin.GetAsync("/v3/registered_limits")).Json.GetProperty("registered_limits").Texts("resource_name"));
    }

    [Fact]
    public async Task A_limit_needs_a_registered_one_and_holds_it()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var service = await ServiceAsync(cloud);
        var project = await cloud.CreateProjectAsync("limited");
        string Body(string owner, int most) => $$"""{"limits": [{"{{owner}}", "service_id": "{{service}}", "resource_name": "volume", "resource_limit": {{most}} }]}"""
            .Replace("=", "\": \"");

        var refused = (await cloud.Admin.PostAsync("/v3/limits", Body($"project_id={project}", 5))).Expect(403);
        Assert.Equal("Unable to create a limit that has no corresponding registered limit.", refused.Json.GetProperty("error").GetProperty("message").GetString());
        var registered = await RegisterAsync(cloud, service, "volume", 10);
        var limit = (await cloud.Admin.PostAsync("/v3/limits", Body($"project_id={project}", 5))).Expect(201).Json.GetProperty("limits")[0];
        Assert.Equal(
            ["description", "domain_id", "id", "links", "project_id", "region_id", "resource_limit", "resource_name", "service_id"], limit.Names().Order());
        (await cloud.Admin.PostAsync("/v3/limits", Body($"project_id={project}", 6))).Expect(409);
        (await cloud.Admin.PostAsync("/v3/limits", Body("project_id=none", 6))).Expect(400);
        (await cloud.Admin.PatchAsync($"/v3/registered_limits/{registered}", """{"registered_limit": {"default_limit": 7}}""")).Expect(403);
        (await cloud.Admin.DeleteAsync($"/v3/registered_limits/{registered}")).Expect(403);
        // A project that acts as a domain is limited as the domain.
        var ofDomain = (await cloud.Admin.PostAsync("/v3/limits", Body("project_id=default", 50))).Expect(201).Json.GetProperty("limits")[0];
        Assert.Equal("default", ofDomain.GetProperty("domain_id").GetString());

        var id = limit.GetProperty("id").GetString();
        Assert.Equal(8, (await cloud.Admin.PatchAsync($"/v3/limits/{id}", """{"limit": {"resource_limit": 8}}""")).Expect(200).Json
            .GetProperty("limit").GetProperty("resource_limit").GetInt32());
        (await cloud.Admin.PatchAsync($"/v3/limits/{id}", """{"limit": {"project_id": "x"}}""")).Expect(400);
        (await cloud.Admin.DeleteAsync($"/v3/projects/{project}")).Expect(204);
        (await cloud.Admin.GetAsync($"/v3/limits/{id}")).Expect(404);
    }

    [Fact]
    public async Task Limits_are_listed_for_the_own_scope_and_all_for_the_system()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var service = await ServiceAsync(cloud);
        await RegisterAsync(cloud, service, "volume", 10);
        var person = await cloud.PersonAsync("reader", "reader");
        var other = await cloud.CreateProjectAsync("other");
        foreach (var project in (string[])[person.ProjectId, other])
        {
            (await cloud.Admin.PostAsync("/v3/limits", $$"""
                {"limits": [{"project_id": "{{project}}", "service_id": "{{service}}", "resource_name": "volume", "resource_limit": 5}]}
                """)).Expect(201);
        }
        using var reader = cloud.Client(person.Token);
        using var system = cloud.Client(await cloud.TokenAsync("admin", IdentityCloud.AdminPassword, IdentityCloud.SystemScope));

        Assert.Equal([person.ProjectId], (await reader.GetAsync("/v3/limits")).Expect(200).Json.GetProperty("limits").Texts("project_id"));
        var all = (await system.GetAsync("/v3/limits")).Expect(200).Json.GetProperty("limits");
        Assert.Equal(2, all.GetArrayLength());
        foreach (var limit in all.EnumerateArray())
        {
            var own = limit.GetProperty("project_id").GetString() == person.ProjectId;
            (await reader.GetAsync($"/v3/limits/{limit.GetProperty("id").GetString()}")).Expect(own ? 200 : 403);
        }
        Assert.Equal("flat", (await reader.GetAsync("/v3/limits/model")).Expect(200).Json.GetProperty("model").GetProperty("name").GetString());
    }

    [Fact]
    public async Task The_projects_of_a_tree_are_shown_with_their_limits_when_asked_for()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var service = await ServiceAsync(cloud);
        await RegisterAsync(cloud, service, "volume", 10);
        var person = await cloud.PersonAsync("top", "admin");
        var child = await cloud.CreateAsync("projects", "project", $$"""{"name": "child", "parent_id": "{{person.ProjectId}}" }""");
        (await cloud.Admin.PutAsync($"/v3/projects/{child}/users/{person.UserId}/roles/{await cloud.IdOfAsync("roles", "admin")}")).Expect(204);
        var limit = (await cloud.Admin.PostAsync("/v3/limits", $$"""
            {"limits": [{"project_id": "{{child}}", "service_id": "{{service}}", "resource_name": "volume", "resource_limit": 5}]}
            """)).Expect(201).Json.GetProperty("limits")[0];
        using var client = cloud.Client(person.Token);

        var below = (await client.GetAsync($"/v3/projects/{person.ProjectId}?subtree_as_list&include_limits")).Expect(200).Json.GetProperty("project").GetProperty("subtree")[0].GetProperty("project");
        var above = (await client.GetAsync($"/v3/projects/{child}?parents_as_list&include_limits=1")).Expect(200).Json.GetProperty("project").GetProperty("parents")[0].GetProperty("project");
        var without = (await client.GetAsync($"/v3/projects/{person.ProjectId}?subtree_as_list&include_limits=0")).Expect(200).Json.GetProperty("project").GetProperty("subtree")[0].GetProperty("project");

        Assert.Equal(limit.Names().Where(static n => n != "links").Order(), below.GetProperty("limits")[0].Names().Order());
        Assert.Equal((child, 5), (below.GetProperty("limits")[0].GetProperty("project_id").GetString(), below.GetProperty("limits")[0].GetProperty("resource_limit").GetInt32()));
        Assert.Equal(0, above.GetProperty("limits").GetArrayLength());
        Assert.False(without.TryGetProperty("limits", out _));
    }

    [Fact]
    public async Task The_strict_two_level_model_keeps_projects_within_their_domain()
    {
        await using var cloud = await IdentityCloud.StartAsync(null, ("unified_limit", "enforcement_model", "strict_two_level"));
        var service = await ServiceAsync(cloud);
        await RegisterAsync(cloud, service, "volume", 10);
        var domain = await cloud.CreateAsync("domains", "domain", """{"name": "house"}""");
        var project = await cloud.CreateAsync("projects", "project", $$"""{"name": "room", "domain_id": "{{domain}}" }""");
        string Limit(string kind, string id, int most) => $$"""{"{{kind}}": "{{id}}", "service_id": "{{service}}", "resource_name": "volume", "resource_limit": {{most}} }""";

        Assert.Equal("strict_two_level", (await cloud.Admin.GetAsync("/v3/limits/model")).Json.GetProperty("model").GetProperty("name").GetString());
        var cupboard = await cloud.CreateAsync("projects", "project", $$"""{"name": "cupboard", "parent_id": "{{project}}", "domain_id": "{{domain}}" }""");
        (await cloud.Admin.PostAsync("/v3/projects", $$"""{"project": {"name": "shelf", "parent_id": "{{cupboard}}", "domain_id": "{{domain}}" } }""")).Expect(403);
        (await cloud.Admin.PostAsync("/v3/limits", $$"""{"limits": [{{Limit("project_id", project, 11)}}]}""")).Expect(403);
        (await cloud.Admin.PostAsync("/v3/limits", $$"""{"limits": [{{Limit("project_id", project, 21)}}, {{Limit("domain_id", domain, 20)}}]}""")).Expect(403);
        var limits = (await cloud.Admin.PostAsync("/v3/limits", $$"""{"limits": [{{Limit("project_id", project, 15)}}, {{Limit("domain_id", domain, 20)}}]}""")).Expect(201)
            .Json.GetProperty("limits");
        var (ofProject, ofDomain) = (limits[0].GetProperty("id").GetString(), limits[1].GetProperty("id").GetString());
        (await cloud.Admin.PatchAsync($"/v3/limits/{ofProject}", """{"limit": {"resource_limit": 21}}""")).Expect(403);
        (await cloud.Admin.PatchAsync($"/v3/limits/{ofDomain}", """{"limit": {"resource_limit": 14}}""")).Expect(403);
        (await cloud.Admin.PatchAsync($"/v3/limits/{ofProject}", """{"limit": {"resource_limit": 20}}""")).Expect(200);
        Assert.Equal(20, (await cloud.Admin.GetAsync($"/v3/limits/{ofDomain}")).Json.GetProperty("limit").GetProperty("resource_limit").GetInt32());
    }

    private static Task<string> ServiceAsync(IdentityCloud cloud) => cloud.CreateAsync("services", "service", """{"type": "volume", "name": "cinder"}""");

    private static async Task<string> RegisterAsync(IdentityCloud cloud, string service, string resource, int most) =>
        (await cloud.Admin.PostAsync("/v3/registered_limits", $$"""
            {"registered_limits": [{"service_id": "{{service}}", "resource_name": "{{resource}}", "default_limit": {{most}} }]}
            """)).Expect(201).Json.GetProperty("registered_limits")[0].GetProperty("id").GetString()!;
}
