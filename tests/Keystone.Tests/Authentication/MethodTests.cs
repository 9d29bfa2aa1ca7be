using Microsoft.Extensions.Time.Testing;
using SharpStack.Keystone.Authentication;
using SharpStack.TestKit;

namespace SharpStack.Keystone.Tests.Authentication;

public class MethodTests
{
    private const string Methods = "external,password,token,oauth1,mapped,application_credential,totp";
    private const string Secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

    // RFC 6238, appendix B, with six digits.
    [Theory]
    [InlineData(59, "287082")]
    [InlineData(1_111_111_109, "081804")]
    [InlineData(1_111_111_111, "050471")]
    [InlineData(1_234_567_890, "005924")]
    [InlineData(2_000_000_000, "279037")]
    [InlineData(20_000_000_000, "353130")]
    public void A_passcode_is_that_of_the_standard(long seconds, string passcode)
    {
        Assert.Equal("12345678901234567890"u8, TotpMethod.Decode(Secret)!);
        Assert.Equal(passcode, TotpMethod.Passcode(TotpMethod.Decode(Secret)!, seconds / 30));
    }

    [Theory]
    [InlineData("")]
    [InlineData("0189")]
    [InlineData("a b")]
    public void What_is_no_base_32_is_no_secret(string text) => Assert.Null(TotpMethod.Decode(text));

    [Fact]
    public async Task A_passcode_is_good_in_its_window_and_the_one_before_and_once()
    {
        var time = new FakeTimeProvider(DateTimeOffset.Parse("2026-05-01T10:00:00Z"));
        await using var cloud = await IdentityCloud.StartAsync(time, ("auth", "methods", Methods));
        var alice = await WithTotpAsync(cloud, "alice");

        (await LogInAsync(cloud, alice, Passcode(time, 2))).Expect(401);
        (await LogInAsync(cloud, alice, "000000")).Expect(401);
        (await LogInAsync(cloud, alice, "")).Expect(401);
        var previous = (await LogInAsync(cloud, alice, Passcode(time, 1))).Expect(201);
        Assert.Equal(["totp"], previous.Json.GetProperty("token").GetProperty("methods").EnumerateArray().Select(static m => m.GetString()));
        (await cloud.ValidateAsync(IdentityCloud.TokenOf(previous))).Expect(200);
        (await LogInAsync(cloud, alice, Passcode(time, 0))).Expect(201);
        (await LogInAsync(cloud, alice, Passcode(time, 0))).Expect(401);
        (await LogInAsync(cloud, alice, Passcode(time, 1))).Expect(401);
        time.Advance(TimeSpan.FromSeconds(30));
        var answers = await Task.WhenAll(Enumerable.Range(0, 5).Select(_ => LogInAsync(cloud, alice, Passcode(time, 0))));

        Assert.Single(answers, static a => a.Status == 201);
    }

    [Fact]
    public async Task A_method_that_is_not_enabled_is_refused_with_those_that_are()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var alice = await WithTotpAsync(cloud, "alice");

        var refused = (await LogInAsync(cloud, alice, "123456")).Expect(401).Json.GetProperty("error");

        Assert.Equal("Attempted to authenticate with an unsupported method.", refused.GetProperty("message").GetString());
        Assert.Contains("password", refused.GetProperty("identity").GetProperty("methods").EnumerateArray().Select(static m => m.GetString()));
    }

    [Fact]
    public async Task Who_needs_two_factors_gets_a_receipt_for_the_first_and_a_token_for_both()
    {
        var time = new FakeTimeProvider(DateTimeOffset.Parse("2026-05-01T10:00:00Z"));
        await using var cloud = await IdentityCloud.StartAsync(time, ("auth", "methods", Methods));
        var alice = await WithTotpAsync(cloud, "alice");
        var bob = await WithTotpAsync(cloud, "bob");
        foreach (var user in (string[])[alice, bob])
        {
            (await cloud.Admin.PatchAsync(
                $"/v3/users/{user}", """{"user": {"options": {"multi_factor_auth_enabled": true, "multi_factor_auth_rules": [["password", "totp"], ["oauth1"]]}}}""")).Expect(200);
        }

        var first = (await cloud.AuthenticateAsync(IdentityCloud.PasswordAuth("alice", "secret"))).Expect(401);

        Assert.Equal(["password"], first.Json.GetProperty("receipt").GetProperty("methods").EnumerateArray().Select(static m => m.GetString()));
        Assert.Equal("alice", first.Json.GetProperty("receipt").GetProperty("user").GetProperty("name").GetString());
        Assert.Equal("2026-05-01T10:05:00.000000Z", first.Json.GetProperty("receipt").GetProperty("expires_at").GetString());
        Assert.Equal(["password", "totp"], first.Json.GetProperty("required_auth_methods")[0].EnumerateArray().Select(static m => m.GetString()!).Order());
        var receipt = first.Headers.GetValues("Openstack-Auth-Receipt").Single();
        (await LogInAsync(cloud, bob, Passcode(time, 0), receipt)).Expect(401);
        (await LogInAsync(cloud, alice, "000000", receipt)).Expect(401);
        (await LogInAsync(cloud, alice, Passcode(time, 1), "nonsense")).Expect(401);
        var both = (await LogInAsync(cloud, alice, Passcode(time, 0), receipt)).Expect(201);
        Assert.Equal(["password", "totp"], both.Json.GetProperty("token").GetProperty("methods").EnumerateArray().Select(static m => m.GetString()!).Order());
        time.Advance(TimeSpan.FromMinutes(6));
        (await LogInAsync(cloud, alice, Passcode(time, 0), receipt)).Expect(401);
        time.Advance(TimeSpan.FromSeconds(30));
        var together = $$"""
            {"auth": {"identity": {"methods": ["password", "totp"], "password": {"user": {"id": "{{alice}}", "password": "secret"} },
            "totp": {"user": {"id": "{{alice}}", "passcode": "{{Passcode(time, 0)}}"} } } } }
            """;
        (await cloud.AuthenticateAsync(together)).Expect(201);
        (await cloud.Admin.PatchAsync($"/v3/users/{alice}", """{"user": {"options": {"multi_factor_auth_enabled": false}}}""")).Expect(200);
        (await cloud.AuthenticateAsync(IdentityCloud.PasswordAuth("alice", "secret"))).Expect(201);
    }

    [Fact]
    public void Methods_that_are_not_enabled_lock_nobody_out()
    {
        IReadOnlyList<IReadOnlyList<string>> rules = [["password", "totp"], ["saml2", "totp"]];
        var enabled = new AuthMethodMap(["password", "token"]).Enabled;

        Assert.True(MultiFactorRules.Pass(rules, AuthMethods.Password, enabled));
        Assert.False(MultiFactorRules.Pass(rules, AuthMethods.Password, new AuthMethodMap(["password", "totp", "saml2"]).Enabled));
        Assert.True(MultiFactorRules.Pass(rules, AuthMethods.Password | AuthMethods.Totp | AuthMethods.Token, new AuthMethodMap(["password", "totp", "saml2"]).Enabled));
        Assert.True(MultiFactorRules.Pass([], AuthMethods.Password, enabled));
    }

    [Fact]
    public void The_bits_of_methods_are_their_places_in_the_configuration()
    {
        var map = new AuthMethodMap(["password", "own_plugin", "token", "totp"]);

        Assert.Equal(1 + 4 + 8, map.ToBits(AuthMethods.Password | AuthMethods.Token | AuthMethods.Totp));
        Assert.Equal(AuthMethods.Password | AuthMethods.Totp, map.FromBits(9));
        Assert.Equal(AuthMethods.None, map.FromBits(1 + 2));
        Assert.Equal(1L << 32, map.ToBits(AuthMethods.Ec2Credential));
        Assert.Equal(["application_credential", "token", "password"], AuthMethodMap.Names(AuthMethods.Password | AuthMethods.ApplicationCredential | AuthMethods.Token));
    }

    [Theory]
    [InlineData("", 401)]
    [InlineData("10.0.0.0/8, 192.0.2.1", 401)]
    [InlineData("127.0.0.0/8", 201)]
    public async Task A_user_whom_a_header_names_is_believed_from_a_trusted_proxy_alone(string proxies, int status)
    {
        await using var cloud = await IdentityCloud.StartAsync(null, ("auth", "trusted_proxies", proxies));
        using var client = cloud.Client(null);

        foreach (var body in (string[])["""{"auth": {"identity": {"methods": ["external"], "external": {}}}}""", """{"auth": {"identity": {"methods": []}}}"""])
        {
            var answer = (await client.SendAsync(HttpMethod.Post, "/v3/auth/tokens", body, headers: ("X-Remote-User", "admin"))).Expect(status);
            Assert.True(status == 401 || answer.Json.GetProperty("token").GetProperty("methods")[0].GetString() == "external");
        }
        (await client.SendAsync(HttpMethod.Post, "/v3/auth/tokens", """{"auth": {"identity": {"methods": []}}}""", headers: ("X-Remote-User", "nobody"))).Expect(401);
        // A password stands by itself, whomever the proxy names; two different users make none.
        (await client.SendAsync(HttpMethod.Post, "/v3/auth/tokens", IdentityCloud.PasswordAuth("admin", IdentityCloud.AdminPassword), headers: ("X-Remote-User", "nobody"))).Expect(201);
        await cloud.CreateUserAsync("other");
        (await client.SendAsync(HttpMethod.Post, "/v3/auth/tokens", IdentityCloud.PasswordAuth("other", "secret"), headers: ("X-Remote-User", "admin"))).Expect(status == 401 ? 201 : 401);
    }

    [Fact]
    public async Task Only_tokens_of_the_named_project_are_those_of_the_clouds_administrators()
    {
        await using var cloud = await IdentityCloud.StartAsync(null, ("resource", "admin_project_name", "admin"), ("resource", "admin_project_domain_name", "Default"));
        var alice = await cloud.PersonAsync("alice", "admin");
        var tokens = cloud.Cloud.Get<Foundation.Identity.ITokenValidator>();

        Assert.True((await cloud.ValidateAsync(cloud.AdminToken)).Json.GetProperty("token").GetProperty("is_admin_project").GetBoolean());
        Assert.False((await cloud.ValidateAsync(alice.Token)).Json.GetProperty("token").GetProperty("is_admin_project").GetBoolean());
        Assert.True((await tokens.ValidateAsync(cloud.AdminToken, TestContext.Current.CancellationToken))!.Credentials.IsAdminProject);
        Assert.False((await tokens.ValidateAsync(alice.Token, TestContext.Current.CancellationToken))!.Credentials.IsAdminProject);
    }

    [Fact]
    public async Task Revocation_events_are_told_to_services()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var alice = await cloud.PersonAsync("alice", "member");
        (await cloud.ValidateAsync(alice.Token, method: HttpMethod.Delete)).Expect(204);
        (await cloud.Admin.PatchAsync($"/v3/projects/{alice.ProjectId}", """{"project": {"enabled": false}}""")).Expect(200);

        var events = (await cloud.Admin.GetAsync("/v3/OS-REVOKE/events")).Expect(200).Json.GetProperty("events");

        Assert.Contains(events.EnumerateArray(), static e => e.TryGetProperty("audit_id", out _) && e.GetProperty("issued_before").GetString()!.EndsWith('Z'));
        Assert.Contains(events.EnumerateArray(), e => e.TryGetProperty("project_id", out var id) && id.GetString() == alice.ProjectId);
        Assert.Empty((await cloud.Admin.GetAsync("/v3/OS-REVOKE/events?since=2100-01-01T00:00:00Z")).Expect(200).Json.GetProperty("events").EnumerateArray());
        (await cloud.Admin.GetAsync("/v3/OS-REVOKE/events?since=tomorrow")).Expect(400);
        (await cloud.Admin.GetAsync("/v3/auth/tokens/OS-PKI/revoked")).Expect(403);
    }

    private static string Passcode(TimeProvider time, int windowsAgo) => TotpMethod.Passcode(TotpMethod.Decode(Secret)!, (time.GetUtcNow().ToUnixTimeSeconds() / 30) - windowsAgo);

    private static async Task<string> WithTotpAsync(IdentityCloud cloud, string name)
    {
        var user = await cloud.CreateUserAsync(name);
        await cloud.CreateAsync("credentials", "credential", $$"""{"type": "totp", "blob": "{{Secret}}", "user_id": "{{user}}"}""");
        return user;
    }

    private static Task<TestAnswer> LogInAsync(IdentityCloud cloud, string userId, string passcode, string? receipt = null) => cloud.Client(null).SendAsync(
        HttpMethod.Post,
        "/v3/auth/tokens",
        $$"""{"auth": {"identity": {"methods": ["totp"], "totp": {"user": {"id": "{{userId}}", "passcode": "{{passcode}}"} } } } }""",
        headers: receipt is null ? [] : [("Openstack-Auth-Receipt", receipt)]);
}
