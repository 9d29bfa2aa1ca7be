using System.Text.RegularExpressions;
using SharpStack.Foundation.Configuration;
using SharpStack.TestKit;

namespace SharpStack.Keystone.Tests;

public partial class RouteTests
{
    /// <summary>Where OpenStack looks for the thing before it looks at the policy.</summary>
    internal static readonly HashSet<(string Method, string Pattern)> AbsenceIsOpen =
    [
        ("PATCH", "/v3/domains/{domain_id}"), ("DELETE", "/v3/domains/{domain_id}"), ("DELETE", "/v3/groups/{group_id}"), ("PATCH", "/v3/limits/{limit_id}"), ("DELETE", "/v3/limits/{limit_id}"),
        .. new[] { "GET", "HEAD", "PATCH", "DELETE" }.SelectMany(static method => new[] { (method, "/v3/endpoints/{endpoint_id}"), (method, "/v3/roles/{role_id}") }),
    ];

    [Fact]
    public async Task Every_route_has_a_policy_that_exists_or_is_public_on_purpose()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var rules = KeystonePolicies.Defaults.Select(static r => r.Name).ToHashSet();
        string[] open = ["/", "/v3", "/v3/auth/tokens", "/v3/users/{user_id}/password", "/v3/OS-OAUTH1/request_token", "/v3/OS-OAUTH1/access_token", "/v3/OS-OAUTH2/token", "/healthcheck",
            "/v3/OS-SIMPLE-CERT/ca", "/v3/OS-SIMPLE-CERT/certificates",
            // Logins by what others vouch for, and what is told to providers.
            "/v3/OS-FEDERATION/identity_providers/{idp_id}/protocols/{protocol_id}/auth", "/v3/OS-FEDERATION/saml2/metadata", "/v3/auth/OS-FEDERATION/saml2",
            "/v3/auth/OS-FEDERATION/saml2/ecp", "/v3/auth/OS-FEDERATION/websso/{protocol_id}", "/v3/auth/OS-FEDERATION/identity_providers/{idp_id}/protocols/{protocol_id}/websso",
            "/v3/auth/OS-FEDERATION/oidc/callback", "/v3/auth/OS-FEDERATION/saml2/acs", "/v3/auth/OS-FEDERATION/saml2/sp/{idp_id}/ecp", "/v3/auth/OS-FEDERATION/saml2/sp/{idp_id}/metadata", "/Shibboleth.sso/SAML2/ECP",
        ];

        foreach (var route in cloud.Cloud.Host.Routes["keystone"].All)
        {
            Assert.True(
                route.IsPublic ? open.Contains(route.Pattern) : route.Policies.Count > 0 && route.Policies.All(rules.Contains),
                $"{route.Method} {route.Pattern} has policies [{string.Join(", ", route.Policies)}]");
        }
    }

    [Fact]
    public async Task Every_route_refuses_no_token_and_a_user_without_rights()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var user = await cloud.CreateUserAsync("outsider");
        using var outsider = cloud.Client(await cloud.TokenAsync("outsider", "secret", "\"unscoped\""));
        using var anonymous = cloud.Client(null);
        var forbidden = 0;
        var free = KeystonePolicies.Defaults.Where(static r => r.Check.Length == 0).Select(static r => r.Name).ToHashSet();

        foreach (var route in cloud.Cloud.Host.Routes["keystone"].All.Where(static r => !r.IsPublic))
        {
            var path = Place().Replace(route.Pattern, "none");
            var body = route.Method is "POST" or "PUT" or "PATCH" ? BodyOf(route.Pattern) : null;
            var withoutToken = await anonymous.SendAsync(new(route.Method), path, body);
            Assert.True(withoutToken.Status == 401, $"{route.Method} {path} answered {withoutToken.Status} without a token");
            var answer = await outsider.SendAsync(new(route.Method), path, body);
            var open = free.Contains(route.Policies[0]) || route.Policies[0] is "identity:list_credentials";
            // That such a one does not exist is told before who may ask, as OpenStack does.
            open |= answer.Status == 404 && (route.Pattern.StartsWith("/v3/OS-TRUST/trusts/{", StringComparison.Ordinal) || route.Pattern.EndsWith("/OS-EC2/{credential_id}", StringComparison.Ordinal)
                || AbsenceIsOpen.Contains((route.Method, route.Pattern)));
            Assert.True(open || answer.Status == 403, $"{route.Method} {path} answered {answer.Status} to a user without rights: {answer.Text}");
            forbidden += open ? 0 : 1;
        }

        Assert.True(forbidden > 100, $"only {forbidden} routes were asked");
        Assert.NotEmpty(user);
    }

    [Fact]
    public async Task Who_may_not_look_is_told_what_does_not_exist_where_openstack_does_and_nothing_of_what_does()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var (_, project, token) = await cloud.PersonAsync("outsider", "member");
        using var outsider = cloud.Client(token);
        var service = await cloud.CreateAsync("services", "service", """{"type": "x", "name": "x"}""");
        (await cloud.Admin.PostAsync("/v3/registered_limits", $$"""{"registered_limits": [{"service_id": "{{service}}", "resource_name": "x", "default_limit": 1}]}""")).Expect(201);
        var limit = (await cloud.Admin.PostAsync("/v3/limits", $$"""{"limits": [{"service_id": "{{service}}", "resource_name": "x", "resource_limit": 1, "project_id": "{{project}}"}]}""")).Expect(201);
        var ids = new Dictionary<string, string>
        {
            ["/v3/domains/{domain_id}"] = await cloud.CreateAsync("domains", "domain", """{"name": "x"}"""),
            ["/v3/endpoints/{endpoint_id}"] = await cloud.CreateAsync("endpoints", "endpoint", $$"""{"service_id": "{{service}}", "interface": "public", "url": "http://x"}"""),
            ["/v3/groups/{group_id}"] = await cloud.CreateAsync("groups", "group", """{"name": "x"}"""),
            ["/v3/limits/{limit_id}"] = limit.Json.GetProperty("limits")[0].GetProperty("id").GetString()!,
            ["/v3/roles/{role_id}"] = await cloud.CreateAsync("roles", "role", """{"name": "x"}"""),
        };

        foreach (var (method, pattern) in AbsenceIsOpen)
        {
            var body = method == "PATCH" ? BodyOf(pattern) : null;
            (await outsider.SendAsync(new(method), Place().Replace(pattern, "none"), body)).Expect(404);
            (await outsider.SendAsync(new(method), Place().Replace(pattern, ids[pattern]), body)).Expect(403);
        }
    }

    [Theory]
    [InlineData("{\"user\": {\"name\": 1}}")]
    [InlineData("{\"user\": {\"name\": \"\"}}")]
    [InlineData("{\"user\": {\"name\": \"   \"}}")]
    [InlineData("{\"user\": {\"name\": \"x\", \"enabled\": \"yes\"}}")]
    [InlineData("{\"user\": {\"name\": \"x\", \"options\": {\"unknown\": true}}}")]
    [InlineData("{\"user\": {\"name\": \"x\", \"domain_id\": \"../x\"}}")]
    [InlineData("{\"user\": {\"name\": \"x\", \"name\": \"y\"}}")]
    [InlineData("{\"user\": {}}")]
    [InlineData("{\"user\": []}")]
    [InlineData("{\"user\": null}")]
    [InlineData("null")]
    [InlineData("\"user\"")]
    [InlineData("{\"user\": {\"name\": \"\\ud800\"}}")]
    [InlineData("{\"user\": {\"name\": \"x\", \"extra\": [\"\\udc00\"]}}")]
    [InlineData("{\"user\": {\"name\": \"x\", \"\\udc00\": 1}}")]
    public async Task A_malformed_body_is_a_bad_request(string body)
    {
        await using var cloud = await IdentityCloud.StartAsync();

        var answer = (await cloud.Admin.PostAsync("/v3/users", body)).Expect(400);

        Assert.Equal("Bad Request", answer.Json.GetProperty("error").GetProperty("title").GetString());
        Assert.True(answer.Json.GetProperty("error").GetProperty("message").GetString()!.Length > 5);
    }

    [Theory]
    [InlineData("PUT", "/v3/OS-FEDERATION/identity_providers/x", """{"identity_provider": {"unknown": true}}""")]
    [InlineData("PUT", "/v3/OS-FEDERATION/service_providers/x", """{"service_provider": {"auth_url": "http://x", "sp_url": "http://x", "unknown": true}}""")]
    [InlineData("POST", "/v3/registered_limits", """{"registered_limits": [{"service_id": "x", "resource_name": "x", "default_limit": 1, "unknown": 1}]}""")]
    [InlineData("POST", "/v3/limits", """{"limits": [{"service_id": "x", "resource_name": "x", "resource_limit": 1, "project_id": "x", "unknown": 1}]}""")]
    [InlineData("POST", "/v3/regions", """{"region": {"id": "x"}, "region": {"id": "y"}}""")]
    [InlineData("POST", "/v3/auth/tokens", """{"auth": {"identity": {"methods": ["token"], "methods": ["password"]}}}""")]
    public async Task An_unknown_or_doubled_field_is_a_bad_request(string method, string path, string body)
    {
        await using var cloud = await IdentityCloud.StartAsync();

        (await cloud.Admin.SendAsync(new(method), path, body)).Expect(400);

        (await cloud.Admin.GetAsync("/v3/regions/x")).Expect(404);
    }

    [Fact]
    public async Task Bytes_that_are_no_text_are_a_bad_request()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        using var content = new ByteArrayContent([.. "{\"user\": {\"name\": \""u8, 0xff, 0xc0, .. "\"}}"u8]);
        using var request = new HttpRequestMessage(HttpMethod.Post, "/v3/users") { Content = content };
        request.Headers.TryAddWithoutValidation("X-Auth-Token", cloud.AdminToken);

        using var response = await cloud.Admin.Http.SendAsync(request, TestContext.Current.CancellationToken);

        Assert.Equal(400, (int)response.StatusCode);
    }

    [Fact]
    public async Task A_body_that_is_too_large_is_refused()
    {
        await using var cloud = await IdentityCloud.StartAsync();

        (await cloud.Admin.PostAsync("/v3/users", $$"""{"user": {"name": "x", "description": "{{new string('a', 300_000)}}" } }""")).Expect(413);
    }

    [Fact]
    public void Every_option_is_declared_for_the_sample_and_valid_by_default()
    {
        var options = new KeystoneModule().Options.Select(static o => o.Option).ToList();

        Assert.Contains(KeystoneOptions.TokenExpiration, options);
        Assert.Empty(ServiceConfig.Empty("keystone").Validate(options));
    }

    [Fact]
    public async Task A_seeded_fuzz_of_every_route_finds_no_server_error()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var random = new Random(20_260_501);
        string[] values =
        [
            "null", "true", "0", "-1", "1e400", "\"\"", "\"x\"", "\"default\"", "[]", "{}", "[null]", "{\"id\": 1}", "\"a\\u0000b\"", "\"%00\"", "[[\"password\"]]",
            "{\"immutable\": null}", "\"" + new string('z', 300) + "\"",
        ];
        string[] names =
        [
            "name", "id", "domain_id", "enabled", "description", "parent_id", "is_domain", "tags", "options", "password", "original_password", "type", "url",
            "interface", "service_id", "region", "region_id", "parent_region_id", "blob", "user_id", "project_id", "default_project_id", "explicit_domain_id", "identity",
            "scope", "methods", "user", "extra", "links",
        ];
        string[] places = ["none", "default", "RegionOne", "%00", "%2e%2e", "a%2Fb", "%F0%9F%98%80", new('p', 300), await cloud.CreateUserAsync("target")];
        string[] queries = ["", "?name=%00", "?limit=x", "?limit=-1", "?limit=1&marker=%27", "?name__contains=%25_%5C", "?effective&include_names", "?tags=,,", "?enabled", "?domain_id="];
        var asked = 0;

        foreach (var route in cloud.Cloud.Host.Routes["keystone"].All.Where(static r => r.Method != "DELETE"))
        {
            for (var i = 0; i < 8; i++)
            {
                var path = Place().Replace(route.Pattern, _ => Pick(places)) + Pick(queries);
                var body = route.Method is "GET" or "HEAD" ? null : Body(route.Pattern);
                var answer = await cloud.Admin.SendAsync(new(route.Method), path, body, headers: ("X-Subject-Token", Pick(places)));
                Assert.True(answer.Status < 500, $"{route.Method} {path} with {body} answered {answer.Status}: {answer.Text}");
                asked++;
            }
        }

        Assert.True(asked > 700, $"only {asked} requests were made");
        (await cloud.ValidateAsync(cloud.AdminToken)).Expect(200);

        string Pick(string[] from) => from[random.Next(from.Length)];

        string Body(string pattern)
        {
            var inner = random.Next(8) == 0
                ? Pick(values)
                : "{" + string.Join(", ", names.Where(_ => random.Next(3) == 0).Select(n => $"\"{n}\": {Pick(values)}")) + "}";
            var member = pattern.EndsWith("/tags", StringComparison.Ordinal) ? "tags" : pattern.EndsWith("/tokens", StringComparison.Ordinal) ? "auth" : Member(pattern) ?? "x";
            return random.Next(12) == 0 ? inner : $"{{\"{member}\": {inner}}}";
        }
    }

    internal static string BodyOf(string pattern) => pattern.EndsWith("/tags", StringComparison.Ordinal) ? """{"tags": []}"""
        : Member(pattern) is { } member ? $$"""{"{{member}}": {"name": "x", "type": "x", "interface": "public", "service_id": "x", "url": "http://x", "description": "x", "blob": "x", "user_id": "x", "trustor_user_id": "x", "trustee_user_id": "y", "impersonation": false} }""" : "{}";

    private static string? Member(string pattern) => pattern.Split('/', StringSplitOptions.RemoveEmptyEntries) is ["v3", .. var parts] && parts.LastOrDefault(static p => p[0] != '{') is { } collection
        ? collection == "policies" ? "policy" : collection.TrimEnd('s') : null;

    [GeneratedRegex(@"\{\w+\}")]
    private static partial Regex Place();
}
