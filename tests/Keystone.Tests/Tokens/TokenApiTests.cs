using Microsoft.Extensions.Time.Testing;
using SharpStack.TestKit;

namespace SharpStack.Keystone.Tests.Tokens;

public class TokenApiTests
{
    [Fact]
    public async Task A_project_token_carries_roles_with_the_implied_ones_and_the_catalog()
    {
        await using var cloud = await IdentityCloud.StartAsync();

        var answer = (await cloud.AuthenticateAsync(IdentityCloud.PasswordAuth("admin", IdentityCloud.AdminPassword, IdentityCloud.ProjectScope("admin")))).Expect(201);

        var token = answer.Json.GetProperty("token");
        Assert.Equal(["admin", "member", "reader"], token.GetProperty("roles").Texts("name"));
        Assert.Equal("admin", token.GetProperty("project").GetProperty("name").GetString());
        Assert.Equal("Default", token.GetProperty("project").GetProperty("domain").GetProperty("name").GetString());
        Assert.False(token.GetProperty("is_domain").GetBoolean());
        Assert.Equal(["password"], token.GetProperty("methods").EnumerateArray().Select(static m => m.GetString()));
        Assert.Equal(22, token.GetProperty("audit_ids")[0].GetString()!.Length);
        Assert.EndsWith(".000000Z", token.GetProperty("expires_at").GetString(), StringComparison.Ordinal);
        Assert.Equal(TimeSpan.FromHours(1), token.GetProperty("expires_at").GetDateTimeOffset() - token.GetProperty("issued_at").GetDateTimeOffset());
        var service = Assert.Single(token.GetProperty("catalog").EnumerateArray());
        Assert.Equal("identity", service.GetProperty("type").GetString());
        Assert.Equal("keystone", service.GetProperty("name").GetString());
        Assert.Equal(["admin", "internal", "public"], service.GetProperty("endpoints").Texts("interface").Order());
        Assert.Equal(["id", "interface", "region", "region_id", "url"], service.GetProperty("endpoints")[0].Names().Order());
    }

    [Fact]
    public async Task Every_scope_is_issued_and_validates_to_the_same_token()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var user = await cloud.IdOfAsync("users", "admin");
        var role = await cloud.IdOfAsync("roles", "member");
        (await cloud.Admin.PutAsync($"/v3/domains/default/users/{user}/roles/{role}")).Expect(204);

        foreach (var (scope, member) in ((string?, string?)[])
        [
            (IdentityCloud.ProjectScope("ADMIN"), "project"),
            ("""{"domain": {"name": "default"}}""", "domain"),
            ("""{"domain": {"id": "default"}}""", "domain"),
            (IdentityCloud.SystemScope, "system"),
            ("\"unscoped\"", null),
            ("""{"unscoped": {}}""", null),
            (null, null),
        ])
        {
            var issued = await cloud.AuthenticateAsync(IdentityCloud.PasswordAuth("ADMIN", IdentityCloud.AdminPassword, scope));
            var validated = (await cloud.ValidateAsync(IdentityCloud.TokenOf(issued))).Expect(200);

            Assert.Equal(issued.Text, validated.Text);
            var names = issued.Json.GetProperty("token").Names().ToList();
            Assert.Equal(member is not null, names.Contains("catalog"));
            Assert.Equal(member is null ? [] : [member], names.Intersect(["project", "domain", "system"]));
        }
    }

    [Fact]
    public async Task Nocatalog_leaves_the_catalog_out_of_issue_and_validation()
    {
        await using var cloud = await IdentityCloud.StartAsync();

        var issued = await cloud.AuthenticateAsync(
            IdentityCloud.PasswordAuth("admin", IdentityCloud.AdminPassword, IdentityCloud.ProjectScope("admin")), "?nocatalog");
        var validated = await cloud.ValidateAsync(cloud.AdminToken, query: "?nocatalog");

        Assert.DoesNotContain("catalog", issued.Expect(201).Json.GetProperty("token").Names());
        Assert.DoesNotContain("catalog", validated.Expect(200).Json.GetProperty("token").Names());
    }

    [Theory]
    [InlineData("""{"auth": {"identity": {"methods": ["password"], "password": {"user": {"name": "admin", "domain": {"id": "default"}, "password": "wrong"}}}}}""", 401)]
    [InlineData("""{"auth": {"identity": {"methods": ["password"], "password": {"user": {"name": "nobody", "domain": {"id": "default"}, "password": "x"}}}}}""", 401)]
    [InlineData("""{"auth": {"identity": {"methods": ["password"], "password": {"user": {"name": "admin", "domain": {"id": "none"}, "password": "x"}}}}}""", 401)]
    [InlineData("""{"auth": {"identity": {"methods": ["password"], "password": {"user": {"id": "none", "password": "x"}}}}}""", 401)]
    [InlineData("""{"auth": {"identity": {"methods": ["password"], "password": {"user": {"name": "admin", "password": "x"}}}}}""", 400)]
    [InlineData("""{"auth": {"identity": {"methods": ["password"], "password": {"user": {"password": "x"}}}}}""", 400)]
    [InlineData("""{"auth": {"identity": {"methods": ["password"], "password": {}}}}""", 400)]
    [InlineData("""{"auth": {"identity": {"methods": ["password"]}}}""", 400)]
    [InlineData("""{"auth": {"identity": {"methods": ["magic"], "magic": {}}}}""", 401)]
    [InlineData("""{"auth": {"identity": {"methods": []}}}""", 401)]
    [InlineData("""{"auth": {"identity": {"methods": ["token"], "token": {"id": "nonsense"}}}}""", 404)]
    [InlineData("""{"auth": {"identity": {"methods": "password"}}}""", 400)]
    [InlineData("""{"auth": {}}""", 400)]
    [InlineData("""{"auth": []}""", 400)]
    [InlineData("{}", 400)]
    [InlineData("[]", 400)]
    [InlineData("{", 400)]
    [InlineData("", 400)]
    public async Task A_bad_request_for_a_token_is_refused_in_the_shape_of_keystone(string body, int status)
    {
        await using var cloud = await IdentityCloud.StartAsync();

        var answer = (await cloud.AuthenticateAsync(body)).Expect(status);

        var error = answer.Json.GetProperty("error");
        // A method that is not known is answered with those that are.
        Assert.Equal(body.Contains("magic", StringComparison.Ordinal) ? ["code", "message", "title", "identity"] : ["code", "message", "title"], error.Names());
        Assert.Equal(status, error.GetProperty("code").GetInt32());
        Assert.Equal(status switch { 400 => "Bad Request", 401 => "Unauthorized", _ => "Not Found" }, error.GetProperty("title").GetString());
    }

    [Theory]
    [InlineData("""{"project": {"name": "none", "domain": {"id": "default"}}}""", 401)]
    [InlineData("""{"project": {"id": "none"}}""", 401)]
    [InlineData("""{"project": {"name": "admin"}}""", 400)]
    [InlineData("""{"project": {}}""", 400)]
    [InlineData("""{"domain": {"id": "none"}}""", 401)]
    [InlineData("""{"domain": {"id": "default"}}""", 401)]
    [InlineData("""{"domain": {}}""", 400)]
    [InlineData("""{"project": {"id": "x"}, "domain": {"id": "default"}}""", 400)]
    [InlineData("{}", 400)]
    [InlineData("\"everything\"", 400)]
    public async Task A_scope_that_is_none_or_without_a_role_is_refused(string scope, int status)
    {
        await using var cloud = await IdentityCloud.StartAsync();

        (await cloud.AuthenticateAsync(IdentityCloud.PasswordAuth("admin", IdentityCloud.AdminPassword, scope))).Expect(status);
    }

    [Fact]
    public async Task A_token_for_a_token_keeps_expiry_and_chain_and_adds_the_method()
    {
        var time = new FakeTimeProvider(DateTimeOffset.Parse("2026-05-01T10:00:00Z"));
        await using var cloud = await IdentityCloud.StartAsync(time);
        var first = await cloud.AuthenticateAsync(IdentityCloud.PasswordAuth("admin", IdentityCloud.AdminPassword));
        time.Advance(TimeSpan.FromMinutes(10));

        var second = await cloud.AuthenticateAsync(IdentityCloud.TokenAuth(IdentityCloud.TokenOf(first), IdentityCloud.ProjectScope("admin")));

        var (before, after) = (first.Json.GetProperty("token"), second.Expect(201).Json.GetProperty("token"));
        Assert.Equal(before.GetProperty("expires_at").GetString(), after.GetProperty("expires_at").GetString());
        Assert.Equal("2026-05-01T10:10:00.000000Z", after.GetProperty("issued_at").GetString());
        Assert.Equal(before.GetProperty("audit_ids")[0].GetString(), after.GetProperty("audit_ids")[1].GetString());
        Assert.Equal(["token", "password"], after.GetProperty("methods").EnumerateArray().Select(static m => m.GetString()));
    }

    [Fact]
    public async Task A_token_ends_at_its_expiry_and_is_still_found_with_allow_expired()
    {
        var time = new FakeTimeProvider(DateTimeOffset.Parse("2026-05-01T10:00:00Z"));
        await using var cloud = await IdentityCloud.StartAsync(time);
        var old = await cloud.TokenAsync("admin", IdentityCloud.AdminPassword, IdentityCloud.ProjectScope("admin"));
        time.Advance(TimeSpan.FromSeconds(3599));
        (await cloud.ValidateAsync(old)).Expect(200);
        time.Advance(TimeSpan.FromSeconds(1));
        var fresh = await cloud.TokenAsync("admin", IdentityCloud.AdminPassword, IdentityCloud.ProjectScope("admin"));

        (await cloud.ValidateAsync(old, fresh)).Expect(404);
        (await cloud.ValidateAsync(old, fresh, "?allow_expired=1")).Expect(200);
        (await cloud.Client(old).GetAsync("/v3/users")).Expect(401);
        time.Advance(TimeSpan.FromDays(2));
        fresh = await cloud.TokenAsync("admin", IdentityCloud.AdminPassword, IdentityCloud.ProjectScope("admin"));
        (await cloud.ValidateAsync(old, fresh, "?allow_expired=1")).Expect(404);
    }

    [Fact]
    public async Task A_deleted_token_is_gone_at_once_and_its_successor_stays()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var parent = await cloud.TokenAsync("admin", IdentityCloud.AdminPassword);
        var child = IdentityCloud.TokenOf(await cloud.AuthenticateAsync(IdentityCloud.TokenAuth(parent, IdentityCloud.ProjectScope("admin"))));
        (await cloud.ValidateAsync(parent)).Expect(200);

        (await cloud.ValidateAsync(parent, method: HttpMethod.Delete)).Expect(204);

        (await cloud.ValidateAsync(parent)).Expect(404);
        (await cloud.ValidateAsync(parent, method: HttpMethod.Head)).Expect(404);
        (await cloud.ValidateAsync(parent, method: HttpMethod.Delete)).Expect(404);
        (await cloud.Client(parent).GetAsync("/v3/auth/projects")).Expect(401);
        (await cloud.ValidateAsync(child)).Expect(200);
    }

    [Fact]
    public async Task Tokens_end_with_the_password_the_user_the_role_the_project_and_the_domain()
    {
        var time = new FakeTimeProvider(DateTimeOffset.Parse("2026-05-01T10:00:00Z"));
        await using var cloud = await IdentityCloud.StartAsync(time);
        var role = await cloud.IdOfAsync("roles", "member");

        await EndsAsync("password", p => cloud.Admin.PatchAsync($"/v3/users/{p.UserId}", """{"user": {"password": "other"}}"""));
        await EndsAsync("own", p => cloud.Client(null).PostAsync($"/v3/users/{p.UserId}/password", """{"user": {"original_password": "secret", "password": "other"}}"""));
        await EndsAsync("gone", p => cloud.Admin.DeleteAsync($"/v3/users/{p.UserId}"));
        await EndsAsync("role", p => cloud.Admin.DeleteAsync($"/v3/projects/{p.ProjectId}/users/{p.UserId}/roles/{role}"));
        await EndsAsync("lost", p => cloud.Admin.DeleteAsync($"/v3/projects/{p.ProjectId}"));
        await EndsAsync("user", async p =>
        {
            (await cloud.Admin.PatchAsync($"/v3/users/{p.UserId}", """{"user": {"enabled": false}}""")).Expect(200);
            (await cloud.ValidateAsync(p.Token)).Expect(404);
            return await cloud.Admin.PatchAsync($"/v3/users/{p.UserId}", """{"user": {"enabled": true}}""");
        });
        await EndsAsync("project", async p =>
        {
            (await cloud.Admin.PatchAsync($"/v3/projects/{p.ProjectId}", """{"project": {"enabled": false}}""")).Expect(200);
            (await cloud.ValidateAsync(p.Token)).Expect(404);
            return await cloud.Admin.PatchAsync($"/v3/projects/{p.ProjectId}", """{"project": {"enabled": true}}""");
        });

        var domain = await cloud.CreateAsync("domains", "domain", """{"name": "guests"}""");
        await cloud.CreateAsync("users", "user", $$"""{"name": "guest", "password": "secret", "domain_id": "{{domain}}" }""");
        var guest = IdentityCloud.TokenOf(await cloud.AuthenticateAsync(IdentityCloud.PasswordAuth("guest", "secret", domain: domain)));
        (await cloud.ValidateAsync(guest)).Expect(200);
        (await cloud.Admin.PatchAsync($"/v3/domains/{domain}", """{"domain": {"enabled": false}}""")).Expect(200);
        (await cloud.ValidateAsync(guest)).Expect(404);
        (await cloud.Admin.PatchAsync($"/v3/domains/{domain}", """{"domain": {"enabled": true}}""")).Expect(200);
        (await cloud.ValidateAsync(guest)).Expect(404);

        async Task EndsAsync(string name, Func<(string UserId, string ProjectId, string Token), Task<TestAnswer>> change)
        {
            var person = await cloud.PersonAsync(name, "member");
            (await cloud.ValidateAsync(person.Token)).Expect(200);
            Assert.InRange((await change(person)).Status, 200, 204);
            (await cloud.ValidateAsync(person.Token)).Expect(404);
            time.Advance(TimeSpan.FromSeconds(2));
        }
    }

    [Fact]
    public async Task Others_may_not_look_at_a_token_but_its_holder_and_services_may()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var alice = await cloud.PersonAsync("alice", "member");
        var bob = await cloud.PersonAsync("bob", "member");
        var service = await cloud.PersonAsync("watcher", "service");

        (await cloud.ValidateAsync(alice.Token, bob.Token)).Expect(403);
        (await cloud.ValidateAsync(alice.Token, bob.Token, method: HttpMethod.Delete)).Expect(403);
        (await cloud.ValidateAsync(alice.Token, alice.Token)).Expect(200);
        (await cloud.ValidateAsync(alice.Token, service.Token)).Expect(200);
        (await cloud.ValidateAsync(alice.Token, "nonsense")).Expect(401);
        (await cloud.Client(null).SendAsync(HttpMethod.Get, "/v3/auth/tokens", headers: ("X-Subject-Token", alice.Token))).Expect(401);
    }

    [Fact]
    public async Task A_token_without_a_scope_is_for_the_default_project_while_the_user_may_use_it()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var person = await cloud.PersonAsync("carol", "member");
        (await cloud.Admin.PatchAsync($"/v3/users/{person.UserId}", $$"""{"user": {"default_project_id": "{{person.ProjectId}}" } }""")).Expect(200);

        var scoped = await cloud.AuthenticateAsync(IdentityCloud.PasswordAuth("carol", "secret"));
        var unscoped = await cloud.AuthenticateAsync(IdentityCloud.PasswordAuth("carol", "secret", "\"unscoped\""));
        (await cloud.Admin.PatchAsync($"/v3/projects/{person.ProjectId}", """{"project": {"enabled": false}}""")).Expect(200);
        var disabled = await cloud.AuthenticateAsync(IdentityCloud.PasswordAuth("carol", "secret"));

        Assert.Contains("project", scoped.Expect(201).Json.GetProperty("token").Names());
        Assert.DoesNotContain("project", unscoped.Expect(201).Json.GetProperty("token").Names());
        Assert.DoesNotContain("project", disabled.Expect(201).Json.GetProperty("token").Names());
    }

    [Fact]
    public async Task The_scopes_that_a_user_may_have_are_listed()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var person = await cloud.PersonAsync("dave", "reader");
        using var client = cloud.Client(person.Token);

        Assert.Equal(["dave"], (await client.GetAsync("/v3/auth/projects")).Expect(200).Json.GetProperty("projects").Texts("name"));
        Assert.Empty((await client.GetAsync("/v3/auth/domains")).Expect(200).Json.GetProperty("domains").EnumerateArray());
        Assert.Equal(0, (await client.GetAsync("/v3/auth/system")).Expect(200).Json.GetProperty("system").GetArrayLength());
        Assert.Equal(1, (await cloud.Admin.GetAsync("/v3/auth/system")).Expect(200).Json.GetProperty("system").GetArrayLength());
        Assert.Equal(1, (await client.GetAsync("/v3/auth/catalog")).Expect(200).Json.GetProperty("catalog").GetArrayLength());
        (await cloud.Client(await cloud.TokenAsync("dave", "secret", "\"unscoped\"")).GetAsync("/v3/auth/catalog")).Expect(403);
        (await client.GetAsync("/v3/projects")).Expect(403);
        Assert.Equal(["dave"], (await client.GetAsync($"/v3/users/{person.UserId}/projects")).Expect(200).Json.GetProperty("projects").Texts("name"));
    }

    [Fact]
    public async Task Versions_are_told_without_a_token()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        using var client = cloud.Client(null);

        var choices = (await client.GetAsync("/")).Expect(300);
        var version = (await client.GetAsync("/v3/")).Expect(200);

        Assert.EndsWith("/v3/", choices.Headers.Location!.ToString(), StringComparison.Ordinal);
        Assert.Equal("v3.14", choices.Json.GetProperty("versions").GetProperty("values")[0].GetProperty("id").GetString());
        Assert.Equal("stable", version.Json.GetProperty("version").GetProperty("status").GetString());
    }
}
