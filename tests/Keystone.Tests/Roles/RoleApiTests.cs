using SharpStack.TestKit;

namespace SharpStack.Keystone.Tests.Roles;

public class RoleApiTests
{
    [Fact]
    public async Task A_role_is_created_changed_and_deleted_and_a_deleted_one_is_held_by_nobody()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var person = await cloud.PersonAsync("holder", "reader");
        var created = (await cloud.Admin.PostAsync("/v3/roles", """{"role": {"name": "operator", "description": "runs it"}}""")).Expect(201).Json.GetProperty("role");
        var id = created.GetProperty("id").GetString();
        Assert.Equal(["description", "domain_id", "id", "links", "name", "options"], created.Names().Order());

        (await cloud.Admin.PostAsync("/v3/roles", """{"role": {"name": "Operator"}}""")).Expect(409);
        (await cloud.Admin.PatchAsync($"/v3/roles/{id}", """{"role": {"name": "pilot"}}""")).Expect(200);
        (await cloud.Admin.PatchAsync($"/v3/roles/{id}", """{"role": {"domain_id": "default"}}""")).Expect(400);
        (await cloud.Admin.PutAsync($"/v3/projects/{person.ProjectId}/users/{person.UserId}/roles/{id}")).Expect(204);
        (await cloud.Admin.DeleteAsync($"/v3/roles/{id}")).Expect(204);

        Assert.Equal(1, (await cloud.Admin.GetAsync($"/v3/role_assignments?user.id={person.UserId}")).Json.GetProperty("role_assignments").GetArrayLength());
        (await cloud.Admin.GetAsync($"/v3/roles/{id}")).Expect(404);
    }

    [Fact]
    public async Task An_immutable_role_is_unlocked_before_it_is_changed()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var id = await cloud.IdOfAsync("roles", "reader");

        (await cloud.Admin.DeleteAsync($"/v3/roles/{id}")).Expect(403);
        (await cloud.Admin.PatchAsync($"/v3/roles/{id}", """{"role": {"name": "viewer"}}""")).Expect(403);
        (await cloud.Admin.PatchAsync($"/v3/roles/{id}", """{"role": {"options": {"immutable": false}}}""")).Expect(200);
        (await cloud.Admin.PatchAsync($"/v3/roles/{id}", """{"role": {"name": "viewer"}}""")).Expect(200);
    }

    [Fact]
    public async Task Implied_roles_are_listed_as_rules_and_circles_are_refused()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var (admin, member, reader) = (await cloud.IdOfAsync("roles", "admin"), await cloud.IdOfAsync("roles", "member"), await cloud.IdOfAsync("roles", "reader"));
        var extra = await cloud.CreateAsync("roles", "role", """{"name": "extra"}""");

        var rules = (await cloud.Admin.GetAsync("/v3/role_inferences")).Expect(200).Json.GetProperty("role_inferences");
        Assert.Equal(
            ["admin>member", "member>reader"],
            rules.EnumerateArray().Select(static r => $"{r.GetProperty("prior_role").GetProperty("name")}>{r.GetProperty("implies")[0].GetProperty("name")}").Order());

        var one = (await cloud.Admin.PutAsync($"/v3/roles/{extra}/implies/{reader}")).Expect(201).Json.GetProperty("role_inference");
        Assert.Equal(["id", "links", "name"], one.GetProperty("implies").Names().Order());
        Assert.Equal("extra", one.GetProperty("prior_role").GetProperty("name").GetString());
        (await cloud.Admin.PutAsync($"/v3/roles/{extra}/implies/{reader}")).Expect(409);
        (await cloud.Admin.PutAsync($"/v3/roles/{reader}/implies/{extra}")).Expect(403);
        (await cloud.Admin.PutAsync($"/v3/roles/{extra}/implies/{extra}")).Expect(403);
        (await cloud.Admin.PutAsync($"/v3/roles/{extra}/implies/{admin}")).Expect(403);
        (await cloud.Admin.PutAsync($"/v3/roles/{extra}/implies/none")).Expect(404);
        (await cloud.Admin.GetAsync($"/v3/roles/{extra}/implies/{reader}")).Expect(200);
        (await cloud.Admin.HeadAsync($"/v3/roles/{extra}/implies/{reader}")).Expect(204);
        Assert.Equal(1, (await cloud.Admin.GetAsync($"/v3/roles/{extra}/implies")).Expect(200).Json.GetProperty("role_inference").GetProperty("implies").GetArrayLength());
        (await cloud.Admin.DeleteAsync($"/v3/roles/{extra}/implies/{reader}")).Expect(204);
        (await cloud.Admin.GetAsync($"/v3/roles/{extra}/implies/{reader}")).Expect(404);
        (await cloud.Admin.HeadAsync($"/v3/roles/{extra}/implies/{member}")).Expect(404);
    }
}
