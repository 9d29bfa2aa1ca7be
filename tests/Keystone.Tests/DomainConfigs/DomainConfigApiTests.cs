namespace SharpStack.Keystone.Tests.DomainConfigs;

public class DomainConfigApiTests
{
    [Fact]
    public async Task A_domains_configuration_is_kept_and_its_password_never_given_back()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var domain = await cloud.CreateAsync("domains", "domain", """{"name": "people"}""");
        var path = $"/v3/domains/{domain}/config";

        (await cloud.Admin.GetAsync(path)).Expect(404);
        var made = (await cloud.Admin.PutAsync(path, """
            {"config": {"identity": {"driver": "ldap"}, "ldap": {"url": "ldap://one", "user_tree_dn": "ou=u", "password": "hidden", "page_size": 5}}}
            """)).Expect(201);
        Assert.DoesNotContain("hidden", made.Text, StringComparison.Ordinal);
        Assert.Equal(
            """{"config":{"identity":{"driver":"ldap"},"ldap":{"page_size":5,"url":"ldap://one","user_tree_dn":"ou=u"}}}""",
            (await cloud.Admin.GetAsync(path)).Expect(200).Text);
        Assert.Equal("""{"config":{"ldap":{"page_size":5,"url":"ldap://one","user_tree_dn":"ou=u"}}}""", (await cloud.Admin.GetAsync(path + "/ldap")).Expect(200).Text);
        Assert.Equal("""{"config":{"url":"ldap://one"}}""", (await cloud.Admin.GetAsync(path + "/ldap/url")).Expect(200).Text);
        (await cloud.Admin.GetAsync(path + "/ldap/password")).Expect(404);

        Assert.Contains("ldap://two", (await cloud.Admin.PatchAsync(path + "/ldap/url", """{"config": {"url": "ldap://two"}}""")).Expect(200).Text, StringComparison.Ordinal);
        (await cloud.Admin.PatchAsync(path + "/ldap/url", """{"config": {"suffix": "x"}}""")).Expect(403);
        (await cloud.Admin.PatchAsync(path + "/ldap/suffix", """{"config": {"suffix": "x"}}""")).Expect(404);
        (await cloud.Admin.PatchAsync(path + "/ldap", """{"config": {"identity": {"driver": "sql"}}}""")).Expect(403);
        (await cloud.Admin.PatchAsync(path + "/ldap", """{"config": {"ldap": {"suffix": "x"}}}""")).Expect(200);
        (await cloud.Admin.DeleteAsync(path + "/ldap/url")).Expect(204);
        (await cloud.Admin.DeleteAsync(path + "/ldap/url")).Expect(404);
        (await cloud.Admin.PutAsync(path, """{"config": {"ldap": {"url": "ldap://three"}}}""")).Expect(200);
        Assert.Equal("""{"config":{"ldap":{"url":"ldap://three"}}}""", (await cloud.Admin.GetAsync(path)).Expect(200).Text);
        (await cloud.Admin.DeleteAsync(path)).Expect(204);
        (await cloud.Admin.GetAsync(path)).Expect(404);
    }

    [Theory]
    [InlineData("""{"config": {}}""")]
    [InlineData("""{"config": {"ldap": {}}}""")]
    [InlineData("""{"config": {"ldap": "x"}}""")]
    [InlineData("""{"config": {"token": {"expiration": 1}}}""")]
    [InlineData("""{"config": {"ldap": {"unknown": 1}}}""")]
    [InlineData("""{"config": {"identity": {"default_domain_id": "x"}}}""")]
    public async Task Options_that_no_domain_may_set_are_refused(string body)
    {
        await using var cloud = await IdentityCloud.StartAsync();

        (await cloud.Admin.PutAsync("/v3/domains/default/config", body)).Expect(403);

        (await cloud.Admin.GetAsync("/v3/domains/default/config")).Expect(404);
    }

    [Fact]
    public async Task Defaults_and_the_rules_for_passwords_are_told_and_nothing_else()
    {
        await using var cloud = await IdentityCloud.StartAsync(
            null, ("security_compliance", "password_regex", "^.{7,}$"), ("security_compliance", "password_regex_description", "seven characters"));
        await cloud.CreateUserAsync("somebody", "long enough");
        using var somebody = cloud.Client(await cloud.TokenAsync("somebody", "long enough"));

        var all = (await cloud.Admin.GetAsync("/v3/domains/config/default")).Expect(200).Json.GetProperty("config");
        Assert.Equal("ldap://localhost", all.GetProperty("ldap").GetProperty("url").GetString());
        Assert.False(all.GetProperty("ldap").TryGetProperty("password", out _));
        Assert.Equal("""{"config":{"driver":"sql"}}""", (await cloud.Admin.GetAsync("/v3/domains/config/identity/driver/default")).Expect(200).Text);
        Assert.Equal(["ldap"], (await cloud.Admin.GetAsync("/v3/domains/config/ldap/default")).Expect(200).Json.GetProperty("config").Names());
        (await cloud.Admin.GetAsync("/v3/domains/config/ldap/password/default")).Expect(403);
        (await somebody.GetAsync("/v3/domains/config/default")).Expect(403);

        Assert.Equal(
            """{"config":{"security_compliance":{"password_regex":"^.{7,}$","password_regex_description":"seven characters"}}}""",
            (await somebody.GetAsync("/v3/domains/default/config/security_compliance")).Expect(200).Text);
        Assert.Equal("""{"config":{"password_regex":"^.{7,}$"}}""", (await somebody.GetAsync("/v3/domains/default/config/security_compliance/password_regex")).Expect(200).Text);
        (await somebody.GetAsync("/v3/domains/default/config/security_compliance/lockout_duration")).Expect(403);
        (await somebody.GetAsync("/v3/domains/other/config/security_compliance")).Expect(403);
    }
}
