using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace SharpStack.Keystone.Tests.OpenApi;

/// <summary>Every operation of OpenStack's document of this API, with bodies, parameters and places that are nearly right.</summary>
public partial class DocumentFuzzTests
{
    private const int Rounds = 6;

    [Theory]
    [InlineData(20_261_129)]
    [InlineData(5)]
    public async Task A_seeded_fuzz_of_every_operation_of_the_document_finds_no_server_error(int seed)
    {
        await using var cloud = await IdentityCloud.StartAsync();
        using var stream = typeof(DocumentFuzzTests).Assembly.GetManifestResourceStream("identity-3.14")!;
        using var document = await JsonDocument.ParseAsync(stream, cancellationToken: TestContext.Current.CancellationToken);
        var random = new Random(seed);
        var (places, identifiers) = await TargetsAsync(cloud);
        var bodies = new RequestBodies(document.RootElement.GetProperty("schemas"), random, identifiers);
        var operations = document.RootElement.GetProperty("operations").EnumerateArray().Select(static o => (
            Method: o.GetProperty("method").GetString()!,
            Path: o.GetProperty("path").GetString()!,
            Parameters: o.TryGetProperty("parameters", out var list) ? list.EnumerateArray().Select(static p => p.GetProperty("name").GetString()!).ToArray() : [],
            Body: o.TryGetProperty("body", out var body) ? body : (JsonElement?)null)).ToList();
        Assert.Equal(361, operations.Count);
        var statuses = new Dictionary<int, int>();

        // What deletes comes last, so that the others have something to look at.
        foreach (var (method, path, parameters, body) in Enumerable.Range(0, Rounds).SelectMany(_ => operations.Where(static o => o.Method != "DELETE")).Concat(operations.Where(static o => o.Method == "DELETE")))
        {
            var target = Place().Replace(path, match => Uri.EscapeDataString(random.Next(6) == 0 ? Pick(Strange) : places.GetValueOrDefault(match.Groups[1].Value, "none")));
            var query = string.Join('&', parameters.Concat(Common).Where(_ => random.Next(4) == 0).Select(name => $"{name}{(random.Next(6) == 0 ? "" : "=" + Uri.EscapeDataString(Pick(Strange)))}"));
            using var request = new HttpRequestMessage(new(method), query.Length > 0 ? $"{target}?{query}" : target);
            if (random.Next(12) > 0)
            {
                request.Headers.TryAddWithoutValidation("X-Auth-Token", cloud.AdminToken);
            }
            request.Headers.TryAddWithoutValidation("X-Subject-Token", random.Next(2) == 0 ? "gAAAAABnone" : places["user_id"]);
            var text = method is "POST" or "PUT" or "PATCH" ? bodies.Next(body) : null;
            if (text is not null)
            {
                var bytes = Encoding.UTF8.GetBytes(text);
                if (bytes.Length > 4 && random.Next(40) == 0)
                {
                    bytes[random.Next(bytes.Length)] = 0xff;
                }
                request.Content = new ByteArrayContent(bytes) { Headers = { ContentType = new MediaTypeHeaderValue("application/json") } };
            }

            using var response = await cloud.Admin.Http.SendAsync(request, TestContext.Current.CancellationToken);

            var answer = await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken);
            var status = (int)response.StatusCode;
            var what = $"seed {seed}: {method} {request.RequestUri} with {text} answered {status}: {answer}";
            Assert.True(status < 500, what);
            // A NUL in the path is refused by the web server itself; OAuth 2 has a shape of its own (RFC 6749).
            if (status >= 400 && method != "HEAD" && !target.Contains("%00", StringComparison.Ordinal) && !path.Contains("OS-OAUTH2", StringComparison.Ordinal))
            {
                Assert.True(HasShape(answer, status), what);
            }
            statuses[status] = statuses.GetValueOrDefault(status) + 1;
        }

        (await cloud.ValidateAsync(cloud.AdminToken)).Expect(200);
        // It went past the front door: each answer came several times.
        foreach (var status in new[] { 200, 201, 204, 400, 401, 404 })
        {
            Assert.True(statuses.GetValueOrDefault(status) > 4, $"{status} was answered {statuses.GetValueOrDefault(status)} times");
        }

        string Pick(string[] from) => from[random.Next(from.Length)];
    }

    private static bool HasShape(string answer, int status)
    {
        try
        {
            using var failure = JsonDocument.Parse(answer);
            return failure.RootElement.TryGetProperty("error", out var error) && error.GetProperty("code").GetInt32() == status
                && error.GetProperty("title").GetString() is { Length: > 0 } && error.GetProperty("message").GetString() is { Length: > 0 };
        }
        catch (JsonException)
        {
            return false;
        }
    }

    private static readonly string[] Common = ["limit", "marker", "sort_key", "sort_dir", "name__contains", "effective", "include_names", "include_subtree", "parents_as_list", "subtree_as_ids", "nocatalog", "allow_expired", "tags"];

    private static readonly string[] Strange = ["none", "x", "\0", "..", "a/b", "😀", new('p', 300), "-1", "1e9", "true", "' --", "%", "default", "gt:2030-01-01T00:00:00Z", "lt:x"];

    /// <summary>One of each that may be broken: what a path's parameter is called, and its id.</summary>
    private static async Task<(Dictionary<string, string> Places, List<string> Identifiers)> TargetsAsync(IdentityCloud cloud)
    {
        var domain = await cloud.CreateAsync("domains", "domain", """{"name": "target"}""");
        var user = await cloud.CreateAsync("users", "user", $$"""{"name": "target", "domain_id": "{{domain}}", "password": "x"}""");
        var group = await cloud.CreateAsync("groups", "group", $$"""{"name": "target", "domain_id": "{{domain}}"}""");
        var project = await cloud.CreateAsync("projects", "project", $$"""{"name": "target", "domain_id": "{{domain}}"}""");
        var role = await cloud.CreateAsync("roles", "role", """{"name": "target"}""");
        var other = await cloud.CreateAsync("roles", "role", """{"name": "other"}""");
        var service = await cloud.CreateAsync("services", "service", """{"type": "target", "name": "target"}""");
        (await cloud.Admin.PutAsync("/v3/OS-FEDERATION/identity_providers/target", """{"identity_provider": {"enabled": true}}""")).Expect(201);
        (await cloud.Admin.PutAsync("/v3/OS-FEDERATION/mappings/target", """{"mapping": {"rules": [{"local": [{"user": {"name": "{0}"}}], "remote": [{"type": "REMOTE_USER"}]}]}}""")).Expect(201);
        (await cloud.Admin.PutAsync("/v3/OS-FEDERATION/identity_providers/target/protocols/mapped", """{"protocol": {"mapping_id": "target"}}""")).Expect(201);
        (await cloud.Admin.PutAsync("/v3/OS-FEDERATION/service_providers/target", """{"service_provider": {"enabled": true, "auth_url": "http://x/", "sp_url": "http://x/"}}""")).Expect(201);
        (await cloud.Admin.PutAsync($"/v3/domains/{domain}/config", """{"config": {"ldap": {"url": "ldap://x"}}}""")).Expect(201);
        (await cloud.Admin.PutAsync($"/v3/projects/{project}/users/{user}/roles/{role}")).Expect(204);
        var places = new Dictionary<string, string>
        {
            ["domain_id"] = domain, ["user_id"] = user, ["group_id"] = group, ["project_id"] = project, ["role_id"] = role, ["prior_role_id"] = role, ["implied_role_id"] = other, ["service_id"] = service,
            ["endpoint_id"] = await cloud.CreateAsync("endpoints", "endpoint", $$"""{"service_id": "{{service}}", "interface": "public", "url": "http://x/$(project_id)s"}"""),
            ["region_id"] = await cloud.CreateAsync("regions", "region", """{"id": "target"}"""),
            ["policy_id"] = await cloud.CreateAsync("policies", "policy", """{"type": "application/json", "blob": "{}"}"""),
            ["credential_id"] = await cloud.CreateAsync("credentials", "credential", $$"""{"type": "totp", "blob": "x", "user_id": "{{user}}"}"""),
            ["endpoint_group_id"] = await cloud.CreateAsync("OS-EP-FILTER/endpoint_groups", "endpoint_group", """{"name": "target", "filters": {"interface": "public"}}"""),
            ["consumer_id"] = await cloud.CreateAsync("OS-OAUTH1/consumers", "consumer", """{"description": "x"}"""),
            ["idp_id"] = "target", ["mapping_id"] = "target", ["protocol_id"] = "mapped", ["sp_id"] = "target", ["group"] = "ldap", ["option"] = "url", ["value"] = "tag",
        };
        return (places, [.. places.Values.Distinct()]);
    }

    [GeneratedRegex(@"\{(\w+)\}")]
    private static partial Regex Place();
}
