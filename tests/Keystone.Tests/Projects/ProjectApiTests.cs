using SharpStack.TestKit;

namespace SharpStack.Keystone.Tests.Projects;

public class ProjectApiTests
{
    [Fact]
    public async Task A_project_is_created_changed_listed_and_deleted_with_its_assignments()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var person = await cloud.PersonAsync("build", "member");

        var shown = (await cloud.Admin.GetAsync($"/v3/projects/{person.ProjectId}")).Expect(200).Json.GetProperty("project");
        Assert.Equal(["description", "domain_id", "enabled", "id", "is_domain", "links", "name", "options", "parent_id", "tags"], shown.Names().Order());
        Assert.Equal("default", shown.GetProperty("parent_id").GetString());
        var changed = (await cloud.Admin.PatchAsync($"/v3/projects/{person.ProjectId}", """{"project": {"name": "made", "extra": true}}""")).Expect(200).Json;
        Assert.True(changed.GetProperty("project").GetProperty("extra").GetBoolean());
        Assert.Equal(["made"], (await cloud.Admin.GetAsync("/v3/projects?name=made")).Json.GetProperty("projects").Texts("name"));
        Assert.Contains("made", (await cloud.Admin.GetAsync("/v3/projects?parent_id=default")).Json.GetProperty("projects").Texts("name"));
        (await cloud.Admin.PatchAsync($"/v3/projects/{person.ProjectId}", """{"project": {"parent_id": "other"}}""")).Expect(403);
        (await cloud.Admin.PatchAsync($"/v3/projects/{person.ProjectId}", """{"project": {"domain_id": "other"}}""")).Expect(400);
        (await cloud.Admin.PatchAsync($"/v3/projects/{person.ProjectId}", """{"project": {"id": "other"}}""")).Expect(400);
        (await cloud.Admin.PatchAsync($"/v3/projects/{person.ProjectId}", """{"project": {}}""")).Expect(400);
        (await cloud.Admin.PostAsync("/v3/projects", """{"project": {"name": "MADE"}}""")).Expect(409);

        (await cloud.Admin.DeleteAsync($"/v3/projects/{person.ProjectId}")).Expect(204);
        (await cloud.Admin.GetAsync($"/v3/projects/{person.ProjectId}")).Expect(404);
        Assert.Equal(0, (await cloud.Admin.GetAsync($"/v3/role_assignments?user.id={person.UserId}")).Json.GetProperty("role_assignments").GetArrayLength());
    }

    [Fact]
    public async Task A_tree_of_projects_keeps_its_rules()
    {
        await using var cloud = await IdentityCloud.StartAsync(null, ("DEFAULT", "max_project_tree_depth", "3"));
        var top = await cloud.CreateProjectAsync("top");
        var middle = await Child("middle", top);
        var leaf = await Child("leaf", middle);

        (await cloud.Admin.PostAsync("/v3/projects", $$"""{"project": {"name": "deep", "parent_id": "{{leaf}}" } }""")).Expect(403);
        (await cloud.Admin.DeleteAsync($"/v3/projects/{top}")).Expect(403);
        (await cloud.Admin.PatchAsync($"/v3/projects/{top}", """{"project": {"enabled": false}}""")).Expect(403);
        (await cloud.Admin.PatchAsync($"/v3/projects/{leaf}", """{"project": {"enabled": false}}""")).Expect(200);
        (await cloud.Admin.PatchAsync($"/v3/projects/{middle}", """{"project": {"enabled": false}}""")).Expect(200);
        (await cloud.Admin.PatchAsync($"/v3/projects/{leaf}", """{"project": {"enabled": true}}""")).Expect(403);
        (await cloud.Admin.PostAsync("/v3/projects", $$"""{"project": {"name": "new", "parent_id": "{{middle}}" } }""")).Expect(400);
        (await cloud.Admin.PostAsync("/v3/projects", """{"project": {"name": "new", "parent_id": "none"}}""")).Expect(404);
        (await cloud.Admin.PostAsync("/v3/projects", """{"project": {"name": "new", "domain_id": "none"}}""")).Expect(404);

        var shown = (await cloud.Admin.GetAsync($"/v3/projects/{middle}?parents_as_ids&subtree_as_ids")).Expect(200).Json.GetProperty("project");
        Assert.Equal($$$"""{"{{{top}}}":{"default":null}}""", shown.GetProperty("parents").GetRawText());
        Assert.Equal($$$"""{"{{{leaf}}}":null}""", shown.GetProperty("subtree").GetRawText());
        (await cloud.Admin.GetAsync($"/v3/projects/{middle}?parents_as_ids&parents_as_list")).Expect(400);
        Assert.Equal(0, (await cloud.Admin.GetAsync($"/v3/projects/{middle}?parents_as_list")).Expect(200).Json.GetProperty("project").GetProperty("parents").GetArrayLength());

        Task<string> Child(string name, string parent) => cloud.CreateAsync("projects", "project", $$"""{"name": "{{name}}", "parent_id": "{{parent}}" }""");
    }

    [Theory]
    [InlineData("new")]
    [InlineData("strict")]
    public async Task Names_that_urls_cannot_carry_are_refused_where_the_operator_wants_it(string mode)
    {
        await using (var lenient = await IdentityCloud.StartAsync())
        {
            await lenient.CreateAsync("domains", "domain", """{"name": "a/b"}""");
            await lenient.CreateProjectAsync("x?y");
        }
        await using var cloud = await IdentityCloud.StartAsync(null, ("resource", "project_name_url_safe", mode), ("resource", "domain_name_url_safe", mode));

        foreach (var name in (string[])["a/b", "a:b", "a&b", "what?"])
        {
            var refused = (await cloud.Admin.PostAsync("/v3/projects", $$"""{"project": {"name": "{{name}}"} }""")).Expect(400);
            Assert.StartsWith("Project name cannot contain the following reserved characters: ", refused.Json.GetProperty("error").GetProperty("message").GetString(), StringComparison.Ordinal);
            (await cloud.Admin.PostAsync("/v3/domains", $$"""{"domain": {"name": "{{name}}"} }""")).Expect(400);
        }
        var project = await cloud.CreateProjectAsync("plain");
        (await cloud.Admin.PatchAsync($"/v3/projects/{project}", """{"project": {"name": "p/q"}}""")).Expect(400);
        (await cloud.Admin.PatchAsync($"/v3/projects/{project}", """{"project": {"name": "plain", "description": "a/b"}}""")).Expect(200);
        var answer = await cloud.AuthenticateAsync(IdentityCloud.PasswordAuth("admin", IdentityCloud.AdminPassword, IdentityCloud.ProjectScope("x?y")));
        Assert.Equal(mode == "strict", answer.Expect(401).Text.Contains("Project name cannot contain reserved characters.", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Tags_are_set_checked_filtered_and_removed()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var one = await cloud.CreateAsync("projects", "project", """{"name": "one", "tags": ["red", "blue"]}""");
        var two = await cloud.CreateProjectAsync("two");

        (await cloud.Admin.PutAsync($"/v3/projects/{two}/tags", """{"tags": ["red"]}""")).Expect(200);
        (await cloud.Admin.PutAsync($"/v3/projects/{two}/tags/green")).Expect(201);
        (await cloud.Admin.GetAsync($"/v3/projects/{two}/tags/green")).Expect(204);
        (await cloud.Admin.GetAsync($"/v3/projects/{two}/tags/blue")).Expect(404);
        (await cloud.Admin.PutAsync($"/v3/projects/{two}/tags/a%2Cb")).Expect(400);
        (await cloud.Admin.PutAsync($"/v3/projects/{two}/tags", """{"tags": ["x", "x"]}""")).Expect(400);
        Assert.Equal("green,red", await TagsAsync(two));

        Assert.Equal("one,two", await NamesAsync("tags=red"));
        Assert.Equal("one", await NamesAsync("tags=red,blue"));
        Assert.Equal("one,two", await NamesAsync("tags-any=blue,green"));
        Assert.Equal("admin,two", await NamesAsync("not-tags=red,blue"));
        Assert.Equal("admin", await NamesAsync("not-tags-any=blue,green"));

        (await cloud.Admin.DeleteAsync($"/v3/projects/{two}/tags/green")).Expect(204);
        (await cloud.Admin.DeleteAsync($"/v3/projects/{two}/tags/green")).Expect(404);
        (await cloud.Admin.DeleteAsync($"/v3/projects/{one}/tags")).Expect(204);
        Assert.Equal("", await TagsAsync(one));

        async Task<string> TagsAsync(string id) =>
            string.Join(',', (await cloud.Admin.GetAsync($"/v3/projects/{id}/tags")).Expect(200).Json.GetProperty("tags").EnumerateArray());
        async Task<string> NamesAsync(string query) =>
            string.Join(',', (await cloud.Admin.GetAsync($"/v3/projects?{query}")).Expect(200).Json.GetProperty("projects").Texts("name").Order());
    }

    [Fact]
    public async Task A_domain_is_disabled_before_it_is_deleted_with_all_that_it_holds()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var domain = await cloud.CreateAsync("domains", "domain", """{"name": "guests", "description": "for a while"}""");
        var user = await cloud.CreateAsync("users", "user", $$"""{"name": "guest", "password": "secret", "domain_id": "{{domain}}" }""");
        var project = await cloud.CreateAsync("projects", "project", $$"""{"name": "visit", "domain_id": "{{domain}}" }""");
        var role = await cloud.IdOfAsync("roles", "member");
        (await cloud.Admin.PutAsync($"/v3/projects/{project}/users/{user}/roles/{role}")).Expect(204);

        Assert.Equal(
            ["description", "enabled", "id", "links", "name", "options", "tags"],
            (await cloud.Admin.GetAsync($"/v3/domains/{domain}")).Expect(200).Json.GetProperty("domain").Names().Order());
        Assert.Equal(["guests"], (await cloud.Admin.GetAsync("/v3/domains?name=GUESTS")).Json.GetProperty("domains").Texts("name"));
        Assert.True((await cloud.Admin.GetAsync($"/v3/projects/{domain}")).Expect(200).Json.GetProperty("project").GetProperty("is_domain").GetBoolean());
        (await cloud.Admin.PostAsync("/v3/domains", """{"domain": {"name": "Guests"}}""")).Expect(409);
        (await cloud.Admin.GetAsync($"/v3/domains/{project}")).Expect(404);
        (await cloud.Admin.DeleteAsync($"/v3/domains/{domain}")).Expect(403);
        (await cloud.Admin.PatchAsync($"/v3/domains/{domain}", """{"domain": {"enabled": false}}""")).Expect(200);
        (await cloud.Admin.DeleteAsync($"/v3/domains/{domain}")).Expect(204);

        (await cloud.Admin.GetAsync($"/v3/users/{user}")).Expect(404);
        (await cloud.Admin.GetAsync($"/v3/projects/{project}")).Expect(404);
        Assert.Equal(0, (await cloud.Admin.GetAsync($"/v3/role_assignments?user.id={user}")).Json.GetProperty("role_assignments").GetArrayLength());
    }

    [Fact]
    public async Task A_project_may_be_a_domain_that_other_projects_are_in()
    {
        await using var cloud = await IdentityCloud.StartAsync();

        var made = (await cloud.Admin.PostAsync("/v3/projects", """{"project": {"name": "partners", "is_domain": true}}""")).Expect(201).Json.GetProperty("project");
        var id = made.GetProperty("id").GetString()!;
        var inside = await cloud.CreateAsync("projects", "project", $$"""{"name": "inside", "domain_id": "{{id}}" }""");

        Assert.True(made.GetProperty("is_domain").GetBoolean());
        Assert.Equal((null, null), (made.GetProperty("domain_id").GetString(), made.GetProperty("parent_id").GetString()));
        Assert.Equal("partners", (await cloud.Admin.GetAsync($"/v3/domains/{id}")).Expect(200).Json.GetProperty("domain").GetProperty("name").GetString());
        Assert.Contains("partners", (await cloud.Admin.GetAsync("/v3/projects?is_domain=true")).Json.GetProperty("projects").Texts("name"));
        Assert.DoesNotContain("partners", (await cloud.Admin.GetAsync("/v3/projects")).Json.GetProperty("projects").Texts("name"));
        Assert.Equal(id, (await cloud.Admin.GetAsync($"/v3/projects/{inside}")).Expect(200).Json.GetProperty("project").GetProperty("parent_id").GetString());
        (await cloud.Admin.PostAsync("/v3/projects", $$"""{"project": {"name": "below", "is_domain": true, "parent_id": "{{id}}" } }""")).Expect(400);
        (await cloud.Admin.PatchAsync($"/v3/projects/{inside}", """{"project": {"is_domain": true}}""")).Expect(400);
    }

    [Fact]
    public async Task Immutable_projects_and_domains_are_unlocked_before_they_are_changed()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var domain = await cloud.CreateAsync("domains", "domain", """{"name": "kept", "options": {"immutable": true}}""");
        var project = await cloud.CreateAsync("projects", "project", """{"name": "kept", "options": {"immutable": true}}""");

        foreach (var path in (string[])[$"/v3/domains/{domain}", $"/v3/projects/{project}"])
        {
            var member = path.Split('/')[2][..^1];
            (await cloud.Admin.PatchAsync(path, $$"""{"{{member}}": {"description": "other"} }""")).Expect(403);
            (await cloud.Admin.PatchAsync(path, $$"""{"{{member}}": {"enabled": false} }""")).Expect(403);
            (await cloud.Admin.DeleteAsync(path)).Expect(403);
        }
        (await cloud.Admin.PutAsync($"/v3/projects/{project}/tags/red")).Expect(403);

        (await cloud.Admin.PatchAsync($"/v3/projects/{project}", """{"project": {"options": {"immutable": false}}}""")).Expect(200);
        (await cloud.Admin.PutAsync($"/v3/projects/{project}/tags/red")).Expect(201);
        (await cloud.Admin.DeleteAsync($"/v3/projects/{project}")).Expect(204);
        (await cloud.Admin.PatchAsync($"/v3/domains/{domain}", """{"domain": {"options": {"immutable": null}, "enabled": false}}""")).Expect(200);
        (await cloud.Admin.DeleteAsync($"/v3/domains/{domain}")).Expect(204);
    }

    [Fact]
    public async Task A_domain_administrator_sees_only_the_own_domain()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var domain = await cloud.CreateAsync("domains", "domain", """{"name": "guests"}""");
        var user = await cloud.CreateAsync("users", "user", $$"""{"name": "host", "password": "secret", "domain_id": "{{domain}}" }""");
        (await cloud.Admin.PutAsync($"/v3/domains/{domain}/users/{user}/roles/{await cloud.IdOfAsync("roles", "reader")}")).Expect(204);
        var body = IdentityCloud.PasswordAuth("host", "secret", $$"""{"domain": {"id": "{{domain}}" } }""", domain);
        using var client = cloud.Client(IdentityCloud.TokenOf(await cloud.AuthenticateAsync(body)));

        Assert.Equal(["host"], (await client.GetAsync("/v3/users")).Expect(200).Json.GetProperty("users").Texts("name"));
        Assert.Empty((await client.GetAsync("/v3/projects")).Expect(200).Json.GetProperty("projects").EnumerateArray());
        Assert.Equal(1, (await client.GetAsync("/v3/role_assignments")).Expect(200).Json.GetProperty("role_assignments").GetArrayLength());
        (await client.GetAsync("/v3/domains")).Expect(403);
        (await client.GetAsync($"/v3/domains/{domain}")).Expect(200);
        (await client.GetAsync("/v3/domains/default")).Expect(403);
    }
}
