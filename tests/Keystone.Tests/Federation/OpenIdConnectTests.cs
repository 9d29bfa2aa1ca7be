using System.Text.Json.Nodes;
using Microsoft.Extensions.Time.Testing;
using SharpStack.TestKit;

namespace SharpStack.Keystone.Tests.Federation;

/// <summary>Logins by OpenID Connect, against a real provider.</summary>
public class OpenIdConnectTests
{
    private const string AuthPath = "/v3/OS-FEDERATION/identity_providers/acme/protocols/openid/auth";
    private const string SsoPath = "/v3/auth/OS-FEDERATION/identity_providers/acme/protocols/openid/websso?origin=" + FederationCloud.Dashboard;

    private const string Rules = """
        [{"local": [{"user": {"name": "{0}", "email": "{1}"}}, {"groups": "{2}", "domain": {"id": "default"}}],
          "remote": [{"type": "OIDC-preferred_username"}, {"type": "HTTP_OIDC_EMAIL"}, {"type": "OIDC-groups"}]}]
        """;

    [Fact]
    public async Task A_bearer_token_becomes_a_token_whose_groups_open_their_projects()
    {
        await using var provider = await OpenIddictServer.StartAsync(["developers", "strangers"]);
        await using var cloud = await StartAsync(provider);
        var (group, project) = await cloud.AddGroupAsync("developers", "member");

        var unscoped = (await BearerAsync(cloud, await provider.AccessTokenAsync())).Expect(201);

        var token = unscoped.Json.GetProperty("token");
        Assert.Equal("bob", token.GetProperty("user").GetProperty("name").GetString());
        var federation = token.GetProperty("user").GetProperty("OS-FEDERATION");
        Assert.Equal("acme", federation.GetProperty("identity_provider").GetProperty("id").GetString());
        Assert.Equal("openid", federation.GetProperty("protocol").GetProperty("id").GetString());
        Assert.Equal([group], federation.GetProperty("groups").Texts("id"));
        Assert.False(token.TryGetProperty("project", out _));
        var id = IdentityCloud.TokenOf(unscoped);
        using var bob = cloud.Client(id);
        Assert.Equal([project], (await bob.GetAsync("/v3/auth/projects")).Expect(200).Json.GetProperty("projects").Texts("id"));
        Assert.Equal([project], (await bob.GetAsync("/v3/OS-FEDERATION/projects")).Expect(200).Json.GetProperty("projects").Texts("id"));

        var scoped = (await cloud.AuthenticateAsync(IdentityCloud.TokenAuth(id, IdentityCloud.ProjectScope("developers")))).Expect(201);

        Assert.Contains("member", scoped.Json.GetProperty("token").GetProperty("roles").Texts("name"));
        Assert.Equal(token.GetProperty("expires_at").GetString(), scoped.Json.GetProperty("token").GetProperty("expires_at").GetString());
        var validated = (await cloud.ValidateAsync(IdentityCloud.TokenOf(scoped))).Expect(200).Json.GetProperty("token");
        Assert.Equal([group], validated.GetProperty("user").GetProperty("OS-FEDERATION").GetProperty("groups").Texts("id"));
        (await cloud.AuthenticateAsync(IdentityCloud.TokenAuth(id, IdentityCloud.ProjectScope("admin")))).Expect(401);
    }

    [Fact]
    public async Task A_bearer_token_may_ask_for_a_scope_at_once()
    {
        await using var provider = await OpenIddictServer.StartAsync(["developers"]);
        await using var cloud = await StartAsync(provider);
        var (group, project) = await cloud.AddGroupAsync("developers", "member");
        var scope = IdentityCloud.ProjectScope("developers");
        var bearer = ("Authorization", $"Bearer {await provider.AccessTokenAsync()}");
        const string vouched = """{"identity_provider": "acme", "protocol": "openid"}""";
        using var client = cloud.Client(null);

        var token = (await MappedAsync(vouched, scope, bearer)).Expect(201).Json.GetProperty("token");

        Assert.Equal((project, "mapped"), (token.GetProperty("project").GetProperty("id").GetString(), token.GetProperty("methods")[0].GetString()));
        Assert.Equal([group], token.GetProperty("user").GetProperty("OS-FEDERATION").GetProperty("groups").Texts("id"));
        (await MappedAsync(vouched, IdentityCloud.ProjectScope("admin"), bearer)).Expect(401);
        (await MappedAsync(vouched, scope)).Expect(401);
        (await MappedAsync("""{"identity_provider": "none", "protocol": "openid"}""", scope, bearer)).Expect(401);
        (await MappedAsync("""{"protocol": "openid"}""", scope, bearer)).Expect(400);
        var unscoped = IdentityCloud.TokenOf(await BearerAsync(cloud, await provider.AccessTokenAsync()));
        var exchanged = (await MappedAsync($$"""{"id": "{{unscoped}}"}""", scope)).Expect(201).Json.GetProperty("token");
        Assert.Equal([group], exchanged.GetProperty("user").GetProperty("OS-FEDERATION").GetProperty("groups").Texts("id"));
        (await MappedAsync($$"""{"id": "{{cloud.AdminToken}}"}""", scope)).Expect(401);

        Task<TestAnswer> MappedAsync(string payload, string asked, params (string Name, string Value)[] headers) => client.SendAsync(
            HttpMethod.Post, "/v3/auth/tokens", $$"""{"auth": {"identity": {"methods": ["mapped"], "mapped": {{payload}} }, "scope": {{asked}} } }""", headers: headers);
    }

    [Fact]
    public async Task A_mapping_may_name_a_user_of_this_cloud()
    {
        await using var provider = await OpenIddictServer.StartAsync();
        await using var cloud = await StartAsync(
            provider, """[{"local": [{"user": {"type": "local", "name": "{0}", "domain": {"name": "Default"}}}], "remote": [{"type": "OIDC-preferred_username"}]}]""");
        (await BearerAsync(cloud, await provider.AccessTokenAsync())).Expect(401);
        var bob = await cloud.CreateUserAsync("bob");

        var user = (await BearerAsync(cloud, await provider.AccessTokenAsync())).Expect(201).Json.GetProperty("token").GetProperty("user");

        Assert.Equal(bob, user.GetProperty("id").GetString());
        Assert.False(user.TryGetProperty("OS-FEDERATION", out _));
        (await cloud.Admin.PatchAsync($"/v3/users/{bob}", """{"user": {"enabled": false}}""")).Expect(200);
        (await BearerAsync(cloud, await provider.AccessTokenAsync())).Expect(401);
    }

    [Fact]
    public async Task Application_credentials_and_trusts_work_as_long_as_the_memberships_behind_them()
    {
        var time = new FakeTimeProvider(TimeProvider.System.GetUtcNow());
        await using var provider = await OpenIddictServer.StartAsync(["developers"]);
        await using var cloud = await StartAsync(time, provider, Rules);
        (await cloud.Admin.PatchAsync("/v3/OS-FEDERATION/identity_providers/acme", """{"identity_provider": {"authorization_ttl": 5}}""")).Expect(200);
        var (_, project) = await cloud.AddGroupAsync("developers", "member");
        var helper = await cloud.CreateUserAsync("helper");
        var unscoped = (await BearerAsync(cloud, await provider.AccessTokenAsync())).Expect(201);
        var id = unscoped.Json.GetProperty("token").GetProperty("user").GetProperty("id").GetString()!;
        using var bob = cloud.Client(IdentityCloud.TokenOf(await cloud.AuthenticateAsync(IdentityCloud.TokenAuth(IdentityCloud.TokenOf(unscoped), IdentityCloud.ProjectScope("developers")))));

        var credential = (await bob.PostAsync($"/v3/users/{id}/application_credentials", """{"application_credential": {"name": "robot", "secret": "robots-secret"}}""")).Expect(201)
            .Json.GetProperty("application_credential").GetProperty("id").GetString();
        var trust = (await bob.PostAsync("/v3/OS-TRUST/trusts", $$"""
            {"trust": {"trustor_user_id": "{{id}}", "trustee_user_id": "{{helper}}", "project_id": "{{project}}", "impersonation": true, "roles": [{"name": "member"}]} }
            """)).Expect(201).Json.GetProperty("trust").GetProperty("id").GetString();
        var robot = $$"""{"auth": {"identity": {"methods": ["application_credential"], "application_credential": {"id": "{{credential}}", "secret": "robots-secret"} } } }""";
        var entrusted = IdentityCloud.PasswordAuth("helper", "secret", $$"""{"OS-TRUST:trust": {"id": "{{trust}}"} }""");
        var token = IdentityCloud.TokenOf(await cloud.AuthenticateAsync(robot));
        (await cloud.AuthenticateAsync(entrusted)).Expect(201);

        time.Advance(TimeSpan.FromMinutes(6));

        Assert.NotEqual(200, (await cloud.ValidateAsync(token)).Status);
        Assert.InRange((await cloud.AuthenticateAsync(robot)).Status, 401, 403);
        Assert.InRange((await cloud.AuthenticateAsync(entrusted)).Status, 401, 403);
        // They are good again as soon as the provider vouches again.
        (await BearerAsync(cloud, await provider.AccessTokenAsync())).Expect(201);
        (await cloud.AuthenticateAsync(robot)).Expect(201);
        (await cloud.AuthenticateAsync(entrusted)).Expect(201);
    }

    [Theory]
    [InlineData("127.0.0.0/8", "", 201)]
    [InlineData("127.0.0.0/8", "OIDC-", 201)]
    [InlineData("127.0.0.0/8", "MELLON_", 401)]
    [InlineData("10.0.0.0/8", "", 401)]
    public async Task A_web_server_in_front_says_who_it_is_when_it_is_trusted(string proxies, string prefix, int status)
    {
        await using var cloud = await IdentityCloud.StartAsync(null, ("auth", "trusted_proxies", proxies), ("federation", "assertion_prefix", prefix));
        await cloud.AddProviderAsync(
            "acme", "openid", """[{"local": [{"user": {"name": "{0}"}}, {"groups": "{1}", "domain": {"id": "default"}}], "remote": [{"type": "OIDC-preferred_username"}, {"type": "OIDC-groups"}]}]""", "https://login.acme.test");
        var (group, _) = await cloud.AddGroupAsync("developers", "member");
        using var browser = cloud.Client(null);

        var answer = (await browser.SendAsync(HttpMethod.Get, AuthPath, headers: [("X-Remote-User", "bob"), ("OIDC-preferred_username", "bob"), ("OIDC-groups", "designers;developers")])).Expect(status);

        if (status == 201)
        {
            var user = answer.Json.GetProperty("token").GetProperty("user");
            Assert.Equal("bob", user.GetProperty("name").GetString());
            Assert.Equal([group], user.GetProperty("OS-FEDERATION").GetProperty("groups").Texts("id"));
        }
    }

    [Fact]
    public async Task Whoever_comes_again_is_the_same_user()
    {
        await using var provider = await OpenIddictServer.StartAsync();
        await using var cloud = await StartAsync(provider, """[{"local": [{"user": {"name": "{0}"}}], "remote": [{"type": "OIDC-email"}]}]""");

        var first = (await BearerAsync(cloud, await provider.AccessTokenAsync())).Expect(201).Json.GetProperty("token").GetProperty("user").GetProperty("id").GetString();
        var second = (await BearerAsync(cloud, await provider.AccessTokenAsync())).Expect(201).Json.GetProperty("token").GetProperty("user").GetProperty("id").GetString();

        Assert.Equal(first, second);
        Assert.Equal("bob@example.com", (await cloud.Admin.GetAsync($"/v3/users/{first}")).Expect(200).Json.GetProperty("user").GetProperty("name").GetString());
    }

    [Fact]
    public async Task A_mapping_makes_projects_with_roles_in_the_providers_domain()
    {
        await using var provider = await OpenIddictServer.StartAsync();
        await using var cloud = await StartAsync(
            provider, """[{"local": [{"user": {"name": "{0}"}}, {"projects": [{"name": "home of {0}", "roles": [{"name": "member"}]}]}], "remote": [{"type": "OIDC-preferred_username"}]}]""");

        var id = IdentityCloud.TokenOf((await BearerAsync(cloud, await provider.AccessTokenAsync())).Expect(201));

        using var bob = cloud.Client(id);
        Assert.Equal(["home of bob"], (await bob.GetAsync("/v3/auth/projects")).Expect(200).Json.GetProperty("projects").Texts("name"));
    }

    [Fact]
    public async Task Version_2_of_a_mapping_has_users_and_projects_in_the_domains_that_it_names()
    {
        await using var provider = await OpenIddictServer.StartAsync();
        await using var cloud = await StartAsync(provider);
        var customers = await cloud.CreateAsync("domains", "domain", """{"name": "customers"}""");
        const string rules = """
            "rules": [{"local": [{"domain": {"name": "customers"}, "user": {"name": "{0}"}, "projects": [{"name": "home of {0}", "roles": [{"name": "member"}]}]}],
                       "remote": [{"type": "OIDC-preferred_username"}]}]
            """;
        const string mapping = "/v3/OS-FEDERATION/mappings/acme-mapping";

        (await cloud.Admin.PatchAsync(mapping, $$"""{"mapping": { {{rules}}, "schema_version": "3.0"} }""")).Expect(400);
        (await cloud.Admin.PatchAsync(mapping, $$"""{"mapping": { {{rules}}, "schema_version": "2.0"} }""")).Expect(200);
        Assert.Equal("2.0", (await cloud.Admin.PatchAsync(mapping, $$"""{"mapping": { {{rules}} } }""")).Expect(200).Json.GetProperty("mapping").GetProperty("schema_version").GetString());
        var answer = (await BearerAsync(cloud, await provider.AccessTokenAsync())).Expect(201);

        Assert.Equal(customers, answer.Json.GetProperty("token").GetProperty("user").GetProperty("domain").GetProperty("id").GetString());
        using var bob = cloud.Client(IdentityCloud.TokenOf(answer));
        Assert.Equal([customers], (await bob.GetAsync("/v3/auth/projects")).Expect(200).Json.GetProperty("projects").Texts("domain_id"));
        (await cloud.Admin.PatchAsync(mapping, $$"""{"mapping": { {{rules.Replace("customers", "nowhere", StringComparison.Ordinal)}} } }""")).Expect(200);
        (await BearerAsync(cloud, await provider.AccessTokenAsync())).Expect(401);
    }

    [Fact]
    public async Task An_opaque_token_is_looked_up_at_its_provider()
    {
        await using var provider = await OpenIddictServer.StartAsync(opaque: true);
        await using var cloud = await StartAsync(
            provider, """[{"local": [{"user": {"name": "{0}"}}], "remote": [{"type": "OIDC-sub"}]}]""", ("introspection_endpoint", provider.Issuer + "introspect"));

        (await BearerAsync(cloud, await provider.AccessTokenAsync())).Expect(201);
        (await BearerAsync(cloud, "invented")).Expect(401);
    }

    [Fact]
    public async Task Tokens_of_others_and_for_others_are_refused()
    {
        await using var provider = await OpenIddictServer.StartAsync();
        await using var other = await OpenIddictServer.StartAsync();
        await using var elsewhere = await OpenIddictServer.StartAsync(audience: "somebody-else");
        await using var cloud = await StartAsync(provider);
        await using var cloudOfElsewhere = await StartAsync(elsewhere);
        var good = await provider.AccessTokenAsync();

        (await BearerAsync(cloud, await other.AccessTokenAsync())).Expect(401);
        (await BearerAsync(cloudOfElsewhere, await elsewhere.AccessTokenAsync())).Expect(401);
        (await BearerAsync(cloud, good[..^6] + (good.EndsWith("AAAAAA", StringComparison.Ordinal) ? "BBBBBB" : "AAAAAA"))).Expect(401);
        var parts = good.Split('.');
        (await BearerAsync(cloud, $"{Convert.ToBase64String("""{"alg":"none"}"""u8).TrimEnd('=')}.{parts[1]}.")).Expect(401);
    }

    [Fact]
    public async Task A_disabled_provider_and_a_strange_issuer_let_nobody_in()
    {
        await using var provider = await OpenIddictServer.StartAsync();
        await using var cloud = await StartAsync(provider, """[{"local": [{"user": {"name": "{0}"}}], "remote": [{"type": "OIDC-sub"}]}]""");
        var token = await provider.AccessTokenAsync();
        var id = IdentityCloud.TokenOf((await BearerAsync(cloud, token)).Expect(201));

        (await cloud.Admin.PatchAsync("/v3/OS-FEDERATION/identity_providers/acme", """{"identity_provider": {"remote_ids": ["https://other"]}}""")).Expect(200);
        (await BearerAsync(cloud, token)).Expect(403);
        (await cloud.Admin.PatchAsync("/v3/OS-FEDERATION/identity_providers/acme", """{"identity_provider": {"remote_ids": [], "enabled": false}}""")).Expect(200);
        (await BearerAsync(cloud, token)).Expect(403);
        (await cloud.AuthenticateAsync(IdentityCloud.TokenAuth(id))).Expect(404);
    }

    [Fact]
    public async Task A_browser_goes_to_its_provider_and_comes_back_with_a_token_for_the_dashboard()
    {
        await using var provider = await OpenIddictServer.StartAsync(["developers"]);
        await using var cloud = await StartAsync(
            provider, """[{"local": [{"user": {"name": "{0} of {1}"}}], "remote": [{"type": "OIDC-preferred_username"}, {"type": "OIDC-department"}]}]""");
        using var browser = cloud.Client(null);
        var begun = (await browser.GetAsync(SsoPath)).Expect(302);

        var callback = await LogInAsync(begun.Headers.Location!);
        var page = (await browser.SendAsync(HttpMethod.Get, callback, headers: ("Cookie", begun.Headers.Cookies()))).Expect(200);

        var token = (await cloud.ValidateAsync(FederationCloud.TokenInPage(page.Text))).Expect(200).Json.GetProperty("token");
        Assert.Equal("bob of research", token.GetProperty("user").GetProperty("name").GetString());
        Assert.Equal("no-store", page.Headers.CacheControl!.ToString());
    }

    [Fact]
    public async Task A_login_that_another_browser_began_gives_no_token()
    {
        await using var provider = await OpenIddictServer.StartAsync();
        await using var cloud = await StartAsync(provider);
        using var browser = cloud.Client(null);
        var mine = (await browser.GetAsync(SsoPath)).Expect(302);
        var theirs = (await browser.GetAsync(SsoPath)).Expect(302);
        var callback = await LogInAsync(theirs.Headers.Location!);

        (await browser.GetAsync(callback)).Expect(401);
        (await browser.SendAsync(HttpMethod.Get, callback, headers: ("Cookie", mine.Headers.Cookies()))).Expect(401);
    }

    [Fact]
    public async Task A_dashboard_that_is_not_trusted_gets_nobody()
    {
        await using var provider = await OpenIddictServer.StartAsync();
        await using var cloud = await StartAsync(provider);
        using var browser = cloud.Client(null);

        (await browser.GetAsync(SsoPath + ".evil.test")).Expect(401);
        (await browser.GetAsync(SsoPath.Split('?')[0])).Expect(400);
    }

    [Fact]
    public async Task A_provider_that_is_away_is_said_to_be()
    {
        string token;
        IdentityCloud cloud;
        await using (var provider = await OpenIddictServer.StartAsync())
        {
            cloud = await StartAsync(provider);
            token = await provider.AccessTokenAsync();
        }
        await using (cloud)
        {
            (await BearerAsync(cloud, token)).Expect(503);
        }
    }

    [Fact]
    public async Task A_user_whom_somebody_linked_with_a_provider_comes_in_as_that_user()
    {
        await using var provider = await OpenIddictServer.StartAsync();
        await using var cloud = await StartAsync(provider, """[{"local": [{"user": {"name": "{0}"}}], "remote": [{"type": "OIDC-preferred_username"}]}]""");
        const string linked = "\"federated\": [{\"idp_id\": \"acme\", \"protocols\": [{\"protocol_id\": \"openid\", \"unique_id\": \"bob\"}]}]";
        var robert = (await cloud.Admin.PostAsync("/v3/users", $$"""{"user": {"name": "robert", "email": "r@x", {{linked}} } }""")).Expect(201).Json.GetProperty("user");
        var id = robert.GetProperty("id").GetString();
        Assert.True(JsonNode.DeepEquals(JsonNode.Parse($"{{{linked}}}")!["federated"], JsonNode.Parse(robert.GetProperty("federated").GetRawText())));

        var user = (await BearerAsync(cloud, await provider.AccessTokenAsync())).Expect(201).Json.GetProperty("token").GetProperty("user");

        Assert.Equal((id, "robert"), (user.GetProperty("id").GetString(), user.GetProperty("name").GetString()));
        Assert.Equal("robert", (await cloud.Admin.GetAsync($"/v3/users/{id}")).Json.GetProperty("user").GetProperty("name").GetString());
        foreach (var (query, found) in ((string, bool)[])[("unique_id=bob", true), ("idp_id=acme&protocol_id=openid", true), ("idp_id=other", false), ("unique_id=robert", false), ("name=bob", true), ("name=robert", true)])
        {
            Assert.Equal(found ? [id!] : [], (await cloud.Admin.GetAsync($"/v3/users?{query}")).Expect(200).Json.GetProperty("users").Texts("id"));
        }
        (await cloud.Admin.PostAsync("/v3/users", $$"""{"user": {"name": "second", {{linked}} } }""")).Expect(409);
        (await cloud.Admin.PostAsync("/v3/users", $$"""{"user": {"name": "second", {{linked.Replace("acme", "none")}} } }""")).Expect(400);
        (await cloud.Admin.PostAsync("/v3/users", $$"""{"user": {"name": "second", {{linked.Replace("openid", "none")}} } }""")).Expect(400);
        (await cloud.Admin.PostAsync("/v3/users", """{"user": {"name": "second", "federated": [{"idp_id": "acme", "protocols": []}]}}""")).Expect(400);
        Assert.Empty((await cloud.Admin.GetAsync("/v3/users?name=second")).Json.GetProperty("users").EnumerateArray());
        (await cloud.Admin.PatchAsync($"/v3/users/{id}", $$"""{"user": { {{linked.Replace("bob", "rob")}} } }""")).Expect(200);
        Assert.Equal("rob", (await cloud.Admin.PatchAsync($"/v3/users/{id}", """{"user": {"federated": [], "email": "s@x"}}""")).Expect(200).Json
            .GetProperty("user").GetProperty("federated")[0].GetProperty("protocols")[0].GetProperty("unique_id").GetString());
        // Nobody is linked any more: bob is somebody of the provider's domain again.
        Assert.NotEqual(id, (await BearerAsync(cloud, await provider.AccessTokenAsync())).Expect(201).Json.GetProperty("token").GetProperty("user").GetProperty("id").GetString());
    }

    [Fact]
    public async Task Whom_a_provider_named_is_found_by_that_name_and_keeps_the_id_through_changes()
    {
        await using var provider = await OpenIddictServer.StartAsync();
        await using var cloud = await StartAsync(provider, """[{"local": [{"user": {"name": "{0}"}}], "remote": [{"type": "OIDC-preferred_username"}]}]""");
        var id = (await BearerAsync(cloud, await provider.AccessTokenAsync())).Expect(201).Json.GetProperty("token").GetProperty("user").GetProperty("id").GetString();
        var domain = (await cloud.Admin.GetAsync($"/v3/users/{id}")).Json.GetProperty("user").GetProperty("domain_id").GetString();
        await cloud.CreateAsync("users", "user", $$"""{"name": "bob", "domain_id": "{{domain}}" }""");

        (await cloud.Admin.PatchAsync($"/v3/users/{id}", """{"user": {"description": "comes from outside"}}""")).Expect(200);

        Assert.Equal(2, (await cloud.Admin.GetAsync("/v3/users?name=bob")).Json.GetProperty("users").GetArrayLength());
        Assert.Equal(id, (await BearerAsync(cloud, await provider.AccessTokenAsync())).Expect(201).Json.GetProperty("token").GetProperty("user").GetProperty("id").GetString());
    }

    [Fact]
    public async Task A_membership_that_a_mapping_gave_tells_its_end_and_ends()
    {
        var time = new FakeTimeProvider(TimeProvider.System.GetUtcNow());
        await using var provider = await OpenIddictServer.StartAsync(["developers"]);
        await using var cloud = await StartAsync(time, provider, Rules);
        (await cloud.Admin.PatchAsync("/v3/OS-FEDERATION/identity_providers/acme", """{"identity_provider": {"authorization_ttl": 5}}""")).Expect(200);
        var (group, project) = await cloud.AddGroupAsync("developers", "member");
        var id = (await BearerAsync(cloud, await provider.AccessTokenAsync())).Expect(201).Json.GetProperty("token").GetProperty("user").GetProperty("id").GetString();
        var lasting = await cloud.CreateAsync("groups", "group", """{"name": "regulars"}""");
        (await cloud.Admin.PutAsync($"/v3/groups/{lasting}/users/{id}")).Expect(204);

        var groups = (await cloud.Admin.GetAsync($"/v3/users/{id}/groups")).Expect(200).Json.GetProperty("groups").EnumerateArray()
            .ToDictionary(static g => g.GetProperty("id").GetString()!, static g => g.GetProperty("membership_expires_at").GetString());

        Assert.Equal(2, groups.Count);
        Assert.Null(groups[lasting]);
        Assert.Equal(time.GetUtcNow().AddMinutes(5).UtcDateTime, DateTime.Parse(groups[group]!, null, System.Globalization.DateTimeStyles.AssumeUniversal | System.Globalization.DateTimeStyles.AdjustToUniversal), TimeSpan.FromMilliseconds(1));
        Assert.Equal([project], (await cloud.Admin.GetAsync($"/v3/users/{id}/projects")).Expect(200).Json.GetProperty("projects").Texts("id"));
        (await cloud.Admin.HeadAsync($"/v3/groups/{group}/users/{id}")).Expect(204);
        foreach (var filter in (string[])[$"user.id={id}", $"scope.project.id={project}"])
        {
            var held = (await cloud.Admin.GetAsync($"/v3/role_assignments?effective&include_names&{filter}")).Expect(200).Json.GetProperty("role_assignments");
            Assert.Equal(
                [("member", id, group), ("reader", id, group)],
                held.EnumerateArray().Select(static a => (
                    a.GetProperty("role").GetProperty("name").GetString(),
                    a.GetProperty("user").GetProperty("id").GetString(),
                    a.GetProperty("links").GetProperty("membership").GetString()!.Split('/')[^3])).Order());
        }

        time.Advance(TimeSpan.FromMinutes(6));

        Assert.Equal([lasting], (await cloud.Admin.GetAsync($"/v3/users/{id}/groups")).Expect(200).Json.GetProperty("groups").Texts("id"));
        Assert.Empty((await cloud.Admin.GetAsync($"/v3/users/{id}/projects")).Expect(200).Json.GetProperty("projects").EnumerateArray());
        (await cloud.Admin.HeadAsync($"/v3/groups/{group}/users/{id}")).Expect(404);
        Assert.Empty((await cloud.Admin.GetAsync($"/v3/role_assignments?effective&user.id={id}")).Expect(200).Json.GetProperty("role_assignments").EnumerateArray());
    }

    private static Task<IdentityCloud> StartAsync(OpenIddictServer provider, string rules = Rules, params (string Name, string Value)[] options) => StartAsync(null, provider, rules, options);

    private static async Task<IdentityCloud> StartAsync(TimeProvider? time, OpenIddictServer provider, string rules, params (string Name, string Value)[] options)
    {
        var cloud = await IdentityCloud.StartAsync(time,
        [
            ("oidc_acme", "issuer", provider.Issuer),
            ("oidc_acme", "client_id", OpenIddictServer.ClientId),
            ("oidc_acme", "client_secret", OpenIddictServer.ClientSecret),
            ("openid", "remote_id_attribute", "HTTP_OIDC_ISS"),
            ("federation", "trusted_dashboard", FederationCloud.Dashboard),
            .. options.Select(static o => ("oidc_acme", o.Name, o.Value)),
        ]);
        await cloud.AddProviderAsync("acme", "openid", rules, provider.Issuer);
        return cloud;
    }

    private static async Task<TestAnswer> BearerAsync(IdentityCloud cloud, string token)
    {
        using var client = cloud.Client(null);
        return await client.SendAsync(HttpMethod.Post, AuthPath, headers: ("Authorization", $"Bearer {token}"));
    }

    /// <summary>Does what the browser does at the provider; gives the path by which it comes back.</summary>
    private static async Task<string> LogInAsync(Uri url)
    {
        using var handler = new HttpClientHandler { AllowAutoRedirect = false };
        using var http = new HttpClient(handler);
        using var answer = await http.GetAsync(url, TestContext.Current.CancellationToken);
        Assert.Equal(302, (int)answer.StatusCode);
        return answer.Headers.Location!.PathAndQuery;
    }
}
