using System.Text.Json;
using SharpStack.TestKit;

namespace SharpStack.Keystone.Tests.Assignments;

public class AssignmentApiTests
{
    [Fact]
    public async Task A_grant_is_made_checked_listed_and_revoked_on_projects_domains_and_the_system()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var user = await cloud.CreateUserAsync("holder");
        var group = await cloud.CreateAsync("groups", "group", """{"name": "holders"}""");
        var project = await cloud.CreateProjectAsync("held");
        var role = await cloud.IdOfAsync("roles", "member");

        foreach (var actor in (string[])[$"users/{user}", $"groups/{group}"])
        {
            foreach (var path in (string[])
            [
                $"/v3/projects/{project}/{actor}/roles", $"/v3/domains/default/{actor}/roles", $"/v3/system/{actor}/roles",
            ])
            {
                (await cloud.Admin.HeadAsync($"{path}/{role}")).Expect(404);
                (await cloud.Admin.DeleteAsync($"{path}/{role}")).Expect(404);
                (await cloud.Admin.PutAsync($"{path}/{role}")).Expect(204);
                (await cloud.Admin.PutAsync($"{path}/{role}")).Expect(204);
                (await cloud.Admin.HeadAsync($"{path}/{role}")).Expect(204);
                (await cloud.Admin.GetAsync($"{path}/{role}")).Expect(204);
                Assert.Equal(["member"], (await cloud.Admin.GetAsync(path)).Expect(200).Json.GetProperty("roles").Texts("name"));
                (await cloud.Admin.DeleteAsync($"{path}/{role}")).Expect(204);
                Assert.Empty((await cloud.Admin.GetAsync(path)).Expect(200).Json.GetProperty("roles").EnumerateArray());
                (await cloud.Admin.PutAsync($"{path}/none")).Expect(404);
            }
            (await cloud.Admin.PutAsync($"/v3/projects/none/{actor}/roles/{role}")).Expect(404);
        }
        (await cloud.Admin.PutAsync($"/v3/projects/{project}/users/none/roles/{role}")).Expect(404);
    }

    [Fact]
    public async Task An_inherited_role_holds_below_the_domain_or_project_and_not_on_it()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var user = await cloud.CreateUserAsync("heir");
        var top = await cloud.CreateProjectAsync("top");
        await cloud.CreateAsync("projects", "project", $$"""{"name": "below", "parent_id": "{{top}}" }""");
        await cloud.CreateProjectAsync("beside");
        var role = await cloud.IdOfAsync("roles", "member");
        var path = $"/v3/OS-INHERIT/projects/{top}/users/{user}/roles/{role}/inherited_to_projects";

        (await cloud.Admin.PutAsync(path)).Expect(204);
        (await cloud.Admin.HeadAsync(path)).Expect(204);

        (await LogInAsync("below")).Expect(201);
        (await LogInAsync("top")).Expect(401);
        (await LogInAsync("beside")).Expect(401);
        Assert.Equal(["below"], (await cloud.Admin.GetAsync($"/v3/users/{user}/projects")).Json.GetProperty("projects").Texts("name"));
        (await cloud.Admin.DeleteAsync(path)).Expect(204);
        (await LogInAsync("below")).Expect(401);
        (await cloud.Admin.PutAsync($"/v3/OS-INHERIT/domains/default/users/{user}/roles/{role}/inherited_to_projects")).Expect(204);
        (await LogInAsync("top")).Expect(201);
        (await LogInAsync("beside")).Expect(201);

        Task<TestAnswer> LogInAsync(string project) => cloud.AuthenticateAsync(IdentityCloud.PasswordAuth("heir", "secret", IdentityCloud.ProjectScope(project)));
    }

    [Fact]
    public async Task Assignments_are_listed_as_granted_and_as_effective_with_names_and_links()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var user = await cloud.CreateUserAsync("worker");
        var group = await cloud.CreateAsync("groups", "group", """{"name": "crew"}""");
        var project = await cloud.CreateProjectAsync("site");
        var role = await cloud.IdOfAsync("roles", "member");
        (await cloud.Admin.PutAsync($"/v3/groups/{group}/users/{user}")).Expect(204);
        (await cloud.Admin.PutAsync($"/v3/projects/{project}/groups/{group}/roles/{role}")).Expect(204);

        var granted = await ListAsync($"group.id={group}");
        Assert.Equal(["group", "links", "role", "scope"], Assert.Single(granted).Names().Order());
        Assert.Empty(await ListAsync($"user.id={user}"));

        var effective = await ListAsync($"user.id={user}&effective&include_names");
        Assert.Equal(["member", "reader"], effective.Select(static a => a.GetProperty("role").GetProperty("name").GetString()).Order());
        var implied = effective.Single(static a => a.GetProperty("role").GetProperty("name").GetString() == "reader");
        Assert.Equal("worker", implied.GetProperty("user").GetProperty("name").GetString());
        Assert.Equal("Default", implied.GetProperty("user").GetProperty("domain").GetProperty("name").GetString());
        Assert.Equal("site", implied.GetProperty("scope").GetProperty("project").GetProperty("name").GetString());
        Assert.EndsWith($"/v3/groups/{group}/users/{user}", implied.GetProperty("links").GetProperty("membership").GetString(), StringComparison.Ordinal);
        Assert.EndsWith($"/v3/projects/{project}/groups/{group}/roles/{role}", implied.GetProperty("links").GetProperty("assignment").GetString(), StringComparison.Ordinal);

        var admin = await cloud.IdOfAsync("users", "admin");
        var ofAdmin = await ListAsync($"user.id={admin}");
        Assert.Equal(2, ofAdmin.Count);
        Assert.Single(ofAdmin, static a => a.GetProperty("scope").TryGetProperty("system", out var system) && system.GetProperty("all").GetBoolean());
        Assert.Single(await ListAsync($"user.id={admin}&scope.system=all"));
        Assert.Single(await ListAsync($"role.id={role}"));
        Assert.Equal(2, (await ListAsync($"scope.project.id={project}&effective")).Count);

        async Task<List<JsonElement>> ListAsync(string query) =>
            [.. (await cloud.Admin.GetAsync($"/v3/role_assignments?{query}")).Expect(200).Json.GetProperty("role_assignments").EnumerateArray()];
    }

    [Fact]
    public async Task Effective_assignments_are_filtered_by_what_comes_out()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var (user, other) = (await cloud.CreateUserAsync("heir"), await cloud.CreateUserAsync("other"));
        var group = await cloud.CreateAsync("groups", "group", """{"name": "crew"}""");
        (await cloud.Admin.PutAsync($"/v3/groups/{group}/users/{user}")).Expect(204);
        var top = await cloud.CreateProjectAsync("top");
        var below = await cloud.CreateAsync("projects", "project", $$"""{"name": "below", "parent_id": "{{top}}" }""");
        var (member, reader) = (await cloud.IdOfAsync("roles", "member"), await cloud.IdOfAsync("roles", "reader"));
        foreach (var grant in (string[])
        [
            $"OS-INHERIT/projects/{top}/groups/{group}/roles/{member}/inherited_to_projects", $"domains/default/users/{user}/roles/{reader}", $"system/users/{user}/roles/{reader}",
            $"projects/{below}/users/{other}/roles/{reader}",
        ])
        {
            (await cloud.Admin.PutAsync($"/v3/{grant}")).Expect(204);
        }

        // As granted the inherited role is on the upper project, and comes out on the lower one with what it implies.
        Assert.Equal(["crew member top inherited"], await ListAsync($"scope.project.id={top}"));
        Assert.Equal(["crew member top inherited"], await ListAsync("scope.OS-INHERIT:inherited_to=projects"));
        Assert.Empty(await ListAsync($"scope.project.id={top}&effective"));
        Assert.Equal(["heir member below inherited", "heir reader below inherited", "other reader below"], await ListAsync($"scope.project.id={below}&effective"));
        Assert.Equal(["heir member below inherited", "heir reader below inherited", "other reader below"], await ListAsync($"scope.project.id={top}&include_subtree&effective"));
        Assert.Equal(["heir member below inherited", "heir reader below inherited"], await ListAsync($"scope.project.id={below}&effective&scope.OS-INHERIT:inherited_to=projects"));
        Assert.Equal(["heir reader below inherited"], await ListAsync($"scope.project.id={below}&user.id={user}&role.id={reader}&effective"));
        Assert.Equal(["heir reader Default"], await ListAsync($"scope.domain.id=default&user.id={user}&effective"));
        Assert.Equal(["heir reader system"], await ListAsync($"scope.system=all&user.id={user}&effective"));
        Assert.Equal(["heir reader Default", "heir reader system"], await ListAsync($"user.id={user}&role.id={reader}"));
        Assert.Equal(["crew member top inherited"], await ListAsync($"group.id={group}"));

        async Task<List<string>> ListAsync(string query) =>
        [
            .. (await cloud.Admin.GetAsync($"/v3/role_assignments?include_names&{query}")).Expect(200).Json.GetProperty("role_assignments").EnumerateArray().Select(static a =>
            {
                var scope = a.GetProperty("scope");
                var target = scope.TryGetProperty("system", out _) ? "system" : scope.EnumerateObject().First(static p => p.Name is "project" or "domain").Value.GetProperty("name").GetString();
                var actor = a.TryGetProperty("user", out var holder) ? holder : a.GetProperty("group");
                return $"{actor.GetProperty("name")} {a.GetProperty("role").GetProperty("name")} {target}{(scope.TryGetProperty("OS-INHERIT:inherited_to", out _) ? " inherited" : "")}";
            }).Order(StringComparer.Ordinal),
        ];
    }

    [Theory]
    [InlineData("scope.domain.id=default&scope.project.id=x")]
    [InlineData("scope.system=all&scope.project.id=x")]
    [InlineData("scope.system=all&scope.domain.id=x")]
    [InlineData("user.id=x&group.id=x")]
    [InlineData("effective&group.id=x")]
    [InlineData("effective&scope.domain.id=default&scope.OS-INHERIT:inherited_to=projects")]
    [InlineData("include_subtree")]
    public async Task Filters_that_contradict_each_other_are_refused(string query)
    {
        await using var cloud = await IdentityCloud.StartAsync();

        (await cloud.Admin.GetAsync($"/v3/role_assignments?{query}")).Expect(400);
    }

    [Fact]
    public async Task A_subtree_lists_the_grants_below_a_project()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var user = await cloud.CreateUserAsync("holder");
        var top = await cloud.CreateProjectAsync("top");
        var below = await cloud.CreateAsync("projects", "project", $$"""{"name": "below", "parent_id": "{{top}}" }""");
        var role = await cloud.IdOfAsync("roles", "member");
        (await cloud.Admin.PutAsync($"/v3/projects/{below}/users/{user}/roles/{role}")).Expect(204);

        Assert.Equal(0, (await cloud.Admin.GetAsync($"/v3/role_assignments?scope.project.id={top}")).Json.GetProperty("role_assignments").GetArrayLength());
        Assert.Equal(1, (await cloud.Admin.GetAsync($"/v3/role_assignments?scope.project.id={top}&include_subtree")).Json.GetProperty("role_assignments").GetArrayLength());
        // A domain is a project without a domain: that does not make it everybody's.
        using var reader = cloud.Client((await cloud.PersonAsync("nosy", "reader")).Token);
        (await reader.GetAsync("/v3/role_assignments?scope.project.id=default&include_subtree")).Expect(403);
    }

    [Fact]
    public async Task A_role_of_a_domain_stays_in_its_domain_and_out_of_tokens()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var person = await cloud.PersonAsync("local", "reader");
        var other = await cloud.CreateAsync("domains", "domain", """{"name": "other"}""");
        var own = await cloud.CreateAsync("roles", "role", """{"name": "auditor", "domain_id": "default"}""");
        var foreign = await cloud.CreateAsync("roles", "role", $$"""{"name": "auditor", "domain_id": "{{other}}" }""");
        var member = await cloud.IdOfAsync("roles", "member");

        (await cloud.Admin.PutAsync($"/v3/projects/{person.ProjectId}/users/{person.UserId}/roles/{foreign}")).Expect(403);
        // Such a grant cannot be: it is not found, rather than refused.
        (await cloud.Admin.HeadAsync($"/v3/projects/{person.ProjectId}/users/{person.UserId}/roles/{foreign}")).Expect(404);
        (await cloud.Admin.DeleteAsync($"/v3/projects/{person.ProjectId}/users/{person.UserId}/roles/{foreign}")).Expect(404);
        (await cloud.Admin.PutAsync($"/v3/system/users/{person.UserId}/roles/{own}")).Expect(400);
        (await cloud.Admin.PutAsync($"/v3/projects/{person.ProjectId}/users/{person.UserId}/roles/{own}")).Expect(204);
        (await cloud.Admin.PutAsync($"/v3/roles/{own}/implies/{member}")).Expect(201);
        (await cloud.Admin.PutAsync($"/v3/roles/{member}/implies/{own}")).Expect(403);

        var token = await cloud.AuthenticateAsync(IdentityCloud.PasswordAuth("local", "secret", IdentityCloud.ProjectScope("local")));
        Assert.Equal(["member", "reader"], token.Expect(201).Json.GetProperty("token").GetProperty("roles").Texts("name"));
        Assert.Equal(["auditor"], (await cloud.Admin.GetAsync("/v3/roles?domain_id=default")).Json.GetProperty("roles").Texts("name"));
        Assert.DoesNotContain("auditor", (await cloud.Admin.GetAsync("/v3/roles")).Json.GetProperty("roles").Texts("name"));
    }
}
