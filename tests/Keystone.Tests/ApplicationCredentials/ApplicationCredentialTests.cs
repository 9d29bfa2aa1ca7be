using Microsoft.Extensions.Time.Testing;
using SharpStack.TestKit;

namespace SharpStack.Keystone.Tests.ApplicationCredentials;

public class ApplicationCredentialTests
{
    [Fact]
    public async Task A_program_acts_for_its_owner_with_the_roles_of_the_credential()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var alice = await cloud.PersonAsync("alice", "member");
        using var owner = cloud.Client(alice.Token);

        var created = (await owner.PostAsync(Path(alice.UserId), """{"application_credential": {"name": "backup", "description": "nightly", "roles": [{"name": "reader"}]}}"""))
            .Expect(201).Json.GetProperty("application_credential");

        var (id, secret) = (created.GetProperty("id").GetString()!, created.GetProperty("secret").GetString()!);
        Assert.Equal(86, secret.Length);
        Assert.Equal(["reader"], created.GetProperty("roles").Texts("name"));
        Assert.Equal(alice.ProjectId, created.GetProperty("project_id").GetString());
        Assert.DoesNotContain("secret", (await owner.GetAsync($"{Path(alice.UserId)}/{id}")).Expect(200).Json.GetProperty("application_credential").Names());
        var answer = await AuthenticateAsync(cloud, id, secret);
        var token = answer.Expect(201).Json.GetProperty("token");
        Assert.Equal(["application_credential"], token.GetProperty("methods").EnumerateArray().Select(static m => m.GetString()));
        Assert.Equal(["reader"], token.GetProperty("roles").Texts("name"));
        Assert.Equal(alice.UserId, token.GetProperty("user").GetProperty("id").GetString());
        Assert.True(token.GetProperty("application_credential").GetProperty("restricted").GetBoolean());
        var byName = await cloud.AuthenticateAsync(Body($$"""{"name": "backup", "secret": "{{secret}}", "user": {"name": "alice", "domain": {"id": "default"} } }"""));
        Assert.Equal(id, byName.Expect(201).Json.GetProperty("token").GetProperty("application_credential").GetProperty("id").GetString());
        (await cloud.ValidateAsync(IdentityCloud.TokenOf(answer))).Expect(200);
    }

    [Fact]
    public async Task Wrong_secrets_unknown_ids_and_scopes_are_answered_alike()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var alice = await cloud.PersonAsync("alice", "member");
        var (id, secret) = await CreateAsync(cloud, alice, """{"name": "one"}""");

        var wrong = (await AuthenticateAsync(cloud, id, "wrong")).Expect(401);
        var unknown = (await AuthenticateAsync(cloud, "0123456789abcdef0123456789abcdef", secret)).Expect(401);
        var nameless = (await cloud.AuthenticateAsync(Body("""{"name": "none", "secret": "x", "user": {"name": "nobody", "domain": {"id": "default"}}}"""))).Expect(401);

        Assert.Equal(wrong.Text, unknown.Text);
        Assert.Equal(wrong.Text, nameless.Text);
        (await cloud.AuthenticateAsync($$"""
            {"auth": {"identity": {"methods": ["application_credential"], "application_credential": {"id": "{{id}}", "secret": "{{secret}}"} }, "scope": {"project": {"id": "{{alice.ProjectId}}"} } } }
            """)).Expect(401);
        (await cloud.AuthenticateAsync(Body("{}"))).Expect(400);
        // Whoever is named beside the id is not who is authenticated.
        var admin = await cloud.IdOfAsync("users", "admin");
        var answer = await cloud.AuthenticateAsync(Body($$"""{"id": "{{id}}", "secret": "{{secret}}", "user": {"id": "{{admin}}"} }"""));
        Assert.Equal(alice.UserId, answer.Expect(201).Json.GetProperty("token").GetProperty("user").GetProperty("id").GetString());
    }

    [Fact]
    public async Task A_restricted_credential_makes_neither_credentials_nor_trusts_nor_tokens()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var alice = await cloud.PersonAsync("alice", "member");
        var bob = await cloud.CreateUserAsync("bob");
        var restricted = await TokenAsync(cloud, alice, """{"name": "restricted"}""");
        var unrestricted = await TokenAsync(cloud, alice, """{"name": "unrestricted", "unrestricted": true}""");
        using var narrow = cloud.Client(restricted);
        using var wide = cloud.Client(unrestricted);
        var trust = $$"""{"trust": {"trustor_user_id": "{{alice.UserId}}", "trustee_user_id": "{{bob}}", "impersonation": false, "project_id": "{{alice.ProjectId}}", "roles": [{"name": "member"}]} }""";

        (await narrow.PostAsync(Path(alice.UserId), """{"application_credential": {"name": "more"}}""")).Expect(403);
        (await narrow.PostAsync("/v3/OS-TRUST/trusts", trust)).Expect(403);
        (await narrow.PostAsync("/v3/credentials", $$"""{"credential": {"type": "totp", "blob": "x", "user_id": "{{alice.UserId}}"} }""")).Expect(403);
        (await cloud.AuthenticateAsync(IdentityCloud.TokenAuth(restricted))).Expect(403);
        (await narrow.GetAsync(Path(alice.UserId))).Expect(200);

        (await wide.PostAsync(Path(alice.UserId), """{"application_credential": {"name": "more"}}""")).Expect(201);
        (await wide.PostAsync("/v3/OS-TRUST/trusts", trust)).Expect(403);
        (await cloud.AuthenticateAsync(IdentityCloud.TokenAuth(unrestricted))).Expect(403);
    }

    [Fact]
    public async Task An_operator_may_let_unrestricted_credentials_make_trusts()
    {
        await using var cloud = await IdentityCloud.StartAsync(null, ("security_compliance", "allow_insecure_application_credential_trust_escalation", "true"));
        var alice = await cloud.PersonAsync("alice", "member");
        var bob = await cloud.CreateUserAsync("bob");
        var trust = $$"""{"trust": {"trustor_user_id": "{{alice.UserId}}", "trustee_user_id": "{{bob}}", "impersonation": false, "project_id": "{{alice.ProjectId}}", "roles": [{"name": "member"}]} }""";

        (await cloud.Client(await TokenAsync(cloud, alice, """{"name": "wide", "unrestricted": true}""")).PostAsync("/v3/OS-TRUST/trusts", trust)).Expect(201);
        (await cloud.Client(await TokenAsync(cloud, alice, """{"name": "narrow"}""")).PostAsync("/v3/OS-TRUST/trusts", trust)).Expect(403);
    }

    [Fact]
    public async Task A_credential_ends_with_its_role_its_owner_its_project_and_itself()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var member = await cloud.IdOfAsync("roles", "member");

        await EndsAsync("deleted", (owner, id) => cloud.Client(owner.Token).DeleteAsync($"{Path(owner.UserId)}/{id}"));
        await EndsAsync("role", (owner, _) => cloud.Admin.DeleteAsync($"/v3/projects/{owner.ProjectId}/users/{owner.UserId}/roles/{member}"));
        await EndsAsync("disabled", (owner, _) => cloud.Admin.PatchAsync($"/v3/users/{owner.UserId}", """{"user": {"enabled": false}}"""));
        await EndsAsync("gone", (owner, _) => cloud.Admin.DeleteAsync($"/v3/users/{owner.UserId}"));
        await EndsAsync("project", (owner, _) => cloud.Admin.DeleteAsync($"/v3/projects/{owner.ProjectId}"));

        async Task EndsAsync(string name, Func<(string UserId, string ProjectId, string Token), string, Task<TestAnswer>> change)
        {
            var owner = await cloud.PersonAsync(name, "member");
            var (id, secret) = await CreateAsync(cloud, owner, """{"name": "x", "access_rules": [{"service": "identity", "method": "GET", "path": "/**"}]}""");
            var token = IdentityCloud.TokenOf(await AuthenticateAsync(cloud, id, secret));
            (await cloud.Client(token).GetAsync("/v3/auth/projects")).Expect(200);
            Assert.InRange((await change(owner, id)).Status, 200, 204);
            (await cloud.Client(token).GetAsync("/v3/auth/projects")).Expect(401);
            (await AuthenticateAsync(cloud, id, secret)).Expect(401);
        }
    }

    [Fact]
    public async Task Its_tokens_end_when_the_credential_does()
    {
        var time = new FakeTimeProvider(DateTimeOffset.Parse("2026-05-01T10:00:00Z"));
        await using var cloud = await IdentityCloud.StartAsync(time);
        var alice = await cloud.PersonAsync("alice", "member");
        var (id, secret) = await CreateAsync(cloud, alice, """{"name": "short", "expires_at": "2026-05-01T10:10:00"}""");

        var token = (await AuthenticateAsync(cloud, id, secret)).Expect(201);

        Assert.Equal("2026-05-01T10:10:00.000000Z", token.Json.GetProperty("token").GetProperty("expires_at").GetString());
        time.Advance(TimeSpan.FromMinutes(10));
        (await cloud.ValidateAsync(IdentityCloud.TokenOf(token))).Expect(404);
        (await AuthenticateAsync(cloud, id, secret)).Expect(401);
        using var owner = cloud.Client(alice.Token);
        (await owner.PostAsync(Path(alice.UserId), """{"application_credential": {"name": "past", "expires_at": "2026-05-01T10:00:00Z"}}""")).Expect(400);
    }

    [Fact]
    public async Task A_name_is_given_once_and_roles_are_those_of_the_token()
    {
        await using var cloud = await IdentityCloud.StartAsync(null, ("application_credential", "user_limit", "2"));
        var alice = await cloud.PersonAsync("alice", "member");
        var bob = await cloud.PersonAsync("bob", "member");
        using var owner = cloud.Client(alice.Token);

        (await owner.PostAsync(Path(alice.UserId), """{"application_credential": {"name": "one", "roles": [{"name": "admin"}]}}""")).Expect(400);
        (await owner.PostAsync(Path(bob.UserId), """{"application_credential": {"name": "one"}}""")).Expect(403);
        var (id, _) = await CreateAsync(cloud, alice, """{"name": "one"}""");
        (await owner.PostAsync(Path(alice.UserId), """{"application_credential": {"name": "ONE"}}""")).Expect(409);
        await CreateAsync(cloud, alice, """{"name": "two"}""");
        (await owner.PostAsync(Path(alice.UserId), """{"application_credential": {"name": "three"}}""")).Expect(403);
        Assert.Equal(["one"], (await owner.GetAsync(Path(alice.UserId) + "?name=one")).Expect(200).Json.GetProperty("application_credentials").Texts("name"));
        // Another user's path leads to nobody's credential but the owner's.
        (await cloud.Client(bob.Token).GetAsync($"{Path(bob.UserId)}/{id}")).Expect(403);
        (await cloud.Client(bob.Token).DeleteAsync($"{Path(bob.UserId)}/{id}")).Expect(403);
        (await cloud.Admin.GetAsync($"{Path(alice.UserId)}/{id}")).Expect(200);
    }

    [Fact]
    public async Task Access_rules_are_kept_once_shown_and_deleted_when_unused()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var alice = await cloud.PersonAsync("alice", "member");
        using var owner = cloud.Client(alice.Token);
        const string rule = """{"service": "compute", "method": "GET", "path": "/v2.1/servers/{id}"}""";
        var (one, _) = await CreateAsync(cloud, alice, $$"""{"name": "one", "access_rules": [{{rule}}]}""");
        var (two, _) = await CreateAsync(cloud, alice, $$"""{"name": "two", "access_rules": [{{rule}}, {"service": "image", "method": "GET", "path": "/**"}]}""");

        var rules = (await owner.GetAsync($"/v3/users/{alice.UserId}/access_rules")).Expect(200).Json.GetProperty("access_rules");
        var id = (await owner.GetAsync($"/v3/users/{alice.UserId}/access_rules?service=compute")).Expect(200).Json.GetProperty("access_rules")[0].GetProperty("id").GetString();

        Assert.Equal(2, rules.GetArrayLength());
        Assert.Equal(
            id, (await owner.GetAsync($"{Path(alice.UserId)}/{one}")).Json.GetProperty("application_credential").GetProperty("access_rules")[0].GetProperty("id").GetString());
        (await owner.GetAsync($"/v3/users/{alice.UserId}/access_rules/{id}")).Expect(200);
        (await owner.DeleteAsync($"/v3/users/{alice.UserId}/access_rules/{id}")).Expect(403);
        (await owner.DeleteAsync($"{Path(alice.UserId)}/{one}")).Expect(204);
        (await owner.DeleteAsync($"{Path(alice.UserId)}/{two}")).Expect(204);
        (await owner.DeleteAsync($"/v3/users/{alice.UserId}/access_rules/{id}")).Expect(204);
        (await owner.GetAsync($"/v3/users/{alice.UserId}/access_rules/{id}")).Expect(404);
        (await owner.PostAsync(Path(alice.UserId), """{"application_credential": {"name": "x", "access_rules": [{"service": "compute"}]}}""")).Expect(400);
        (await owner.PostAsync(Path(alice.UserId), """{"application_credential": {"name": "x", "access_rules": [{"service": "compute", "method": "LOOK", "path": "/x"}]}}""")).Expect(400);
        (await cloud.Client((await cloud.PersonAsync("bob", "member")).Token).GetAsync($"/v3/users/{alice.UserId}/access_rules")).Expect(403);
    }

    [Fact]
    public async Task Access_rules_are_hidden_from_services_that_do_not_enforce_them_and_enforced_here()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var alice = await cloud.PersonAsync("alice", "member");
        var token = await TokenAsync(cloud, alice, """{"name": "one", "access_rules": [{"service": "identity", "method": "GET", "path": "/v3/users/*/projects"}]}""");
        using var client = cloud.Client(token);

        (await cloud.ValidateAsync(token)).Expect(404);
        var validated = await cloud.Admin.SendAsync(HttpMethod.Get, "/v3/auth/tokens", headers: [("X-Subject-Token", token), ("OpenStack-Identity-Access-Rules", "1.0")]);
        Assert.Equal(["/v3/users/*/projects"], validated.Expect(200).Json.GetProperty("token").GetProperty("application_credential").GetProperty("access_rules").Texts("path"));
        (await client.GetAsync($"/v3/users/{alice.UserId}/projects")).Expect(200);
        (await client.GetAsync("/v3/auth/projects")).Expect(401);
        (await client.GetAsync($"/v3/users/{alice.UserId}")).Expect(401);
        (await client.SendAsync(HttpMethod.Get, "/v3/auth/tokens", headers: [("X-Subject-Token", token), ("OpenStack-Identity-Access-Rules", "1.0")])).Expect(200);
        // A service that carries the request on shows its own token; any other second token opens nothing.
        var service = await cloud.PersonAsync("service", "service");
        (await client.SendAsync(HttpMethod.Get, "/v3/auth/projects", headers: ("X-Service-Token", service.Token))).Expect(200);
        (await client.SendAsync(HttpMethod.Get, "/v3/auth/projects", headers: ("X-Service-Token", alice.Token))).Expect(401);
        (await client.SendAsync(HttpMethod.Get, "/v3/auth/projects", headers: ("X-Service-Token", "nonsense"))).Expect(401);
    }

    [Fact]
    public async Task Which_roles_make_a_token_a_services_is_configured()
    {
        await using var cloud = await IdentityCloud.StartAsync(null, ("keystone_authtoken", "service_token_roles", "carrier,porter"));
        var alice = await cloud.PersonAsync("alice", "member");
        await cloud.CreateAsync("roles", "role", """{"name": "porter"}""");
        var (porter, service) = (await cloud.PersonAsync("porter", "porter"), await cloud.PersonAsync("service", "service"));
        using var client = cloud.Client(await TokenAsync(cloud, alice, """{"name": "one", "access_rules": [{"service": "identity", "method": "GET", "path": "/v3/users/*/projects"}]}"""));

        (await client.SendAsync(HttpMethod.Get, "/v3/auth/projects", headers: ("X-Service-Token", service.Token))).Expect(401);
        (await client.SendAsync(HttpMethod.Get, "/v3/auth/projects", headers: ("X-Service-Token", porter.Token))).Expect(200);
    }

    [Fact]
    public async Task With_a_services_token_beside_it_an_expired_token_still_counts()
    {
        var time = new FakeTimeProvider(DateTimeOffset.Parse("2026-05-01T10:00:00Z"));
        await using var cloud = await IdentityCloud.StartAsync(time);
        var alice = await cloud.PersonAsync("alice", "member");
        await cloud.PersonAsync("service", "service");
        time.Advance(TimeSpan.FromHours(2));
        var service = await cloud.TokenAsync("service", "secret", IdentityCloud.ProjectScope("service"));
        using var client = cloud.Client(alice.Token);

        (await client.GetAsync("/v3/auth/projects")).Expect(401);
        (await client.SendAsync(HttpMethod.Get, "/v3/auth/projects", headers: ("X-Service-Token", service))).Expect(200);
        time.Advance(TimeSpan.FromDays(2));
        service = await cloud.TokenAsync("service", "secret", IdentityCloud.ProjectScope("service"));
        (await client.SendAsync(HttpMethod.Get, "/v3/auth/projects", headers: ("X-Service-Token", service))).Expect(401);
    }

    private static string Path(string userId) => $"/v3/users/{userId}/application_credentials";

    private static string Body(string credential) => $$"""{"auth": {"identity": {"methods": ["application_credential"], "application_credential": {{credential}} } } }""";

    private static Task<TestAnswer> AuthenticateAsync(IdentityCloud cloud, string id, string secret) =>
        cloud.AuthenticateAsync(Body($$"""{"id": "{{id}}", "secret": "{{secret}}"}"""));

    private static async Task<(string Id, string Secret)> CreateAsync(IdentityCloud cloud, (string UserId, string ProjectId, string Token) owner, string json)
    {
        using var client = cloud.Client(owner.Token);
        var created = (await client.PostAsync(Path(owner.UserId), $$"""{"application_credential": {{json}} }""")).Expect(201).Json.GetProperty("application_credential");
        return (created.GetProperty("id").GetString()!, created.GetProperty("secret").GetString()!);
    }

    private static async Task<string> TokenAsync(IdentityCloud cloud, (string UserId, string ProjectId, string Token) owner, string json)
    {
        var (id, secret) = await CreateAsync(cloud, owner, json);
        return IdentityCloud.TokenOf(await AuthenticateAsync(cloud, id, secret));
    }
}
