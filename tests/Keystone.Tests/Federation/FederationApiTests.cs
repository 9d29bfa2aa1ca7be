using SharpStack.TestKit;

namespace SharpStack.Keystone.Tests.Federation;

public class FederationApiTests
{
    private const string Rules = """[{"local": [{"user": {"name": "{0}"}}], "remote": [{"type": "UserName"}]}]""";

    [Fact]
    public async Task An_identity_provider_gets_a_domain_of_its_own_and_keeps_what_it_was_given()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var created = (await cloud.Admin.PutAsync(
            "/v3/OS-FEDERATION/identity_providers/ACME", """{"identity_provider": {"description": "Stores", "remote_ids": ["b", "a"], "enabled": true, "authorization_ttl": 5}}""")).Expect(201)
            .Json.GetProperty("identity_provider");

        Assert.Equal(["authorization_ttl", "description", "domain_id", "enabled", "id", "links", "remote_ids"], created.Names().Order());
        Assert.Equal(["a", "b"], created.GetProperty("remote_ids").EnumerateArray().Select(static i => i.GetString()));
        Assert.EndsWith("/v3/OS-FEDERATION/identity_providers/ACME/protocols", created.GetProperty("links").GetProperty("protocols").GetString(), StringComparison.Ordinal);
        var domain = created.GetProperty("domain_id").GetString();
        (await cloud.Admin.GetAsync($"/v3/domains/{domain}")).Expect(200);

        var changed = (await cloud.Admin.PatchAsync("/v3/OS-FEDERATION/identity_providers/ACME", """{"identity_provider": {"remote_ids": ["c"], "enabled": false}}""")).Expect(200)
            .Json.GetProperty("identity_provider");
        Assert.Equal(("Stores", 5, false), (changed.GetProperty("description").GetString(), changed.GetProperty("authorization_ttl").GetInt32(), changed.GetProperty("enabled").GetBoolean()));
        Assert.Equal(["ACME"], (await cloud.Admin.GetAsync("/v3/OS-FEDERATION/identity_providers?enabled=false")).Json.GetProperty("identity_providers").Texts("id"));
        Assert.Empty((await cloud.Admin.GetAsync("/v3/OS-FEDERATION/identity_providers?enabled=true")).Json.GetProperty("identity_providers").Texts("id"));

        (await cloud.Admin.PutAsync("/v3/OS-FEDERATION/identity_providers/ACME", """{"identity_provider": {}}""")).Expect(409);
        (await cloud.Admin.PutAsync("/v3/OS-FEDERATION/identity_providers/other", """{"identity_provider": {"remote_ids": ["c"]}}""")).Expect(409);
        (await cloud.Admin.PatchAsync("/v3/OS-FEDERATION/identity_providers/ACME", """{"identity_provider": {"domain_id": "default"}}""")).Expect(400);
        (await cloud.Admin.DeleteAsync("/v3/OS-FEDERATION/identity_providers/ACME")).Expect(204);
        (await cloud.Admin.GetAsync("/v3/OS-FEDERATION/identity_providers/ACME")).Expect(404);
    }

    [Fact]
    public async Task Deleting_a_domain_deletes_its_identity_providers()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var domain = await cloud.CreateAsync("domains", "domain", """{"name": "partners"}""");
        (await cloud.Admin.PutAsync("/v3/OS-FEDERATION/identity_providers/idp", $$"""{"identity_provider": {"domain_id": "{{domain}}"} }""")).Expect(201);
        (await cloud.Admin.PatchAsync($"/v3/domains/{domain}", """{"domain": {"enabled": false}}""")).Expect(200);

        (await cloud.Admin.DeleteAsync($"/v3/domains/{domain}")).Expect(204);

        (await cloud.Admin.GetAsync("/v3/OS-FEDERATION/identity_providers/idp")).Expect(404);
    }

    [Fact]
    public async Task A_protocol_ties_a_provider_to_a_mapping_that_exists()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        await cloud.AddProviderAsync("idp", "openid", Rules, "urn:idp");
        const string protocol = "/v3/OS-FEDERATION/identity_providers/idp/protocols/openid";

        var shown = (await cloud.Admin.GetAsync(protocol)).Expect(200).Json.GetProperty("protocol");
        Assert.Equal(("openid", "idp-mapping"), (shown.GetProperty("id").GetString(), shown.GetProperty("mapping_id").GetString()));
        Assert.EndsWith("/identity_providers/idp", shown.GetProperty("links").GetProperty("identity_provider").GetString(), StringComparison.Ordinal);
        Assert.Equal(["openid"], (await cloud.Admin.GetAsync("/v3/OS-FEDERATION/identity_providers/idp/protocols")).Json.GetProperty("protocols").Texts("id"));
        (await cloud.Admin.PatchAsync(protocol, """{"protocol": {"mapping_id": "none"}}""")).Expect(400);
        (await cloud.Admin.PutAsync(protocol, """{"protocol": {"mapping_id": "idp-mapping"}}""")).Expect(409);
        (await cloud.Admin.PutAsync("/v3/OS-FEDERATION/identity_providers/none/protocols/openid", """{"protocol": {"mapping_id": "idp-mapping"}}""")).Expect(404);
        (await cloud.Admin.DeleteAsync(protocol)).Expect(204);
        Assert.Equal("Could not find federated protocol openid for Identity Provider: idp.", (await cloud.Admin.GetAsync(protocol)).Expect(404).Json.GetProperty("error").GetProperty("message").GetString());
    }

    [Fact]
    public async Task A_mapping_gives_back_the_rules_it_was_given_and_refuses_wrong_ones()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        const string mapping = "/v3/OS-FEDERATION/mappings/m";

        (await cloud.Admin.PutAsync(mapping, $$"""{"mapping": {"rules": {{Rules}} } }""")).Expect(201);

        Assert.Equal("UserName", (await cloud.Admin.GetAsync(mapping)).Json.GetProperty("mapping").GetProperty("rules")[0].GetProperty("remote")[0].GetProperty("type").GetString());
        (await cloud.Admin.PatchAsync(mapping, """{"mapping": {"rules": [{"local": [], "remote": [{"type": "x", "any": []}]}]}}""")).Expect(400);
        (await cloud.Admin.PatchAsync(mapping, """{"mapping": {"rules": [{"local": [{"user": {"name": "z"}}], "remote": [{"type": "x"}]}]}}""")).Expect(200);
        Assert.Equal(["m"], (await cloud.Admin.GetAsync("/v3/OS-FEDERATION/mappings")).Json.GetProperty("mappings").Texts("id"));
        (await cloud.Admin.DeleteAsync(mapping)).Expect(204);
        (await cloud.Admin.GetAsync(mapping)).Expect(404);
    }

    [Fact]
    public async Task Service_providers_come_and_go()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        const string provider = "/v3/OS-FEDERATION/service_providers/beta";

        var created = (await cloud.Admin.PutAsync(provider, """{"service_provider": {"auth_url": "https://beta/auth", "sp_url": "https://beta/sp", "enabled": true}}""")).Expect(201)
            .Json.GetProperty("service_provider");

        Assert.Equal(["auth_url", "description", "enabled", "id", "links", "relay_state_prefix", "sp_url"], created.Names().Order());
        Assert.Equal("ss:mem:", created.GetProperty("relay_state_prefix").GetString());
        (await cloud.Admin.PutAsync("/v3/OS-FEDERATION/service_providers/x", """{"service_provider": {"auth_url": "https://beta/auth"}}""")).Expect(400);
        (await cloud.Admin.PatchAsync(provider, """{"service_provider": {"sp_url": "nowhere"}}""")).Expect(400);
        Assert.Equal("https://gamma", (await cloud.Admin.PatchAsync(provider, """{"service_provider": {"sp_url": "https://gamma"}}""")).Expect(200).Json.GetProperty("service_provider").GetProperty("sp_url").GetString());
        (await cloud.Admin.DeleteAsync(provider)).Expect(204);
        (await cloud.Admin.GetAsync(provider)).Expect(404);
    }

    [Fact]
    public async Task A_token_says_which_service_providers_are_enabled()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        Assert.False((await cloud.ValidateAsync(cloud.AdminToken)).Json.GetProperty("token").TryGetProperty("service_providers", out _));
        foreach (var (id, enabled) in new[] { ("near", "true"), ("far", "true"), ("off", "false") })
        {
            (await cloud.Admin.PutAsync($"/v3/OS-FEDERATION/service_providers/{id}", $$"""{"service_provider": {"auth_url": "https://{{id}}/auth", "sp_url": "https://{{id}}/sp", "enabled": {{enabled}} } }""")).Expect(201);
        }

        var found = (await cloud.ValidateAsync(cloud.AdminToken)).Json.GetProperty("token").GetProperty("service_providers");

        Assert.Equal(["far", "near"], found.Texts("id"));
        Assert.Equal("https://near/auth https://near/sp", $"{found[1].GetProperty("auth_url")} {found[1].GetProperty("sp_url")}");
        (await cloud.Admin.PatchAsync("/v3/OS-FEDERATION/service_providers/far", """{"service_provider": {"enabled": false}}""")).Expect(200);
        Assert.Equal(["near"], (await cloud.ValidateAsync(cloud.AdminToken)).Json.GetProperty("token").GetProperty("service_providers").Texts("id"));
    }

    [Theory]
    [InlineData("/v3/OS-FEDERATION/identity_providers/none/protocols/openid/auth", 401)]
    [InlineData("/v3/auth/OS-FEDERATION/websso/openid?origin=x", 404)]
    [InlineData("/v3/auth/OS-FEDERATION/oidc/callback?state=x&code=y", 401)]
    [InlineData("/v3/OS-FEDERATION/saml2/metadata", 404)]
    public async Task Without_a_provider_nobody_comes_in(string path, int status)
    {
        await using var cloud = await IdentityCloud.StartAsync();
        using var anonymous = cloud.Client(null);

        (await anonymous.SendAsync(HttpMethod.Get, path, headers: ("Authorization", "Bearer x"))).Expect(status);
    }
}
