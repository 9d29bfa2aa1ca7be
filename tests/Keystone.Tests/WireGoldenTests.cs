using System.Text.Json;
using SharpStack.TestKit;

namespace SharpStack.Keystone.Tests;

/// <summary>Every member of OpenStack's own response samples is in our answers, in the same place and of the same type.</summary>
public class WireGoldenTests
{
    // The samples show these where the service itself leaves them out: federated users, descriptions of implied roles, links of lists without pages.
    private static readonly HashSet<string> Absent =
    [
        "user.federated", "links.next", "links.previous", "role_inferences[].prior_role.description", "role_inferences[].implies[].description",
    ];

    [Fact]
    public async Task Answers_have_the_shapes_of_openstacks_samples()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var person = await cloud.PersonAsync("sample", "member");
        var group = await cloud.CreateAsync("groups", "group", """{"name": "samples", "description": "x"}""");
        var service = await cloud.IdOfAsync("services", "keystone");
        var endpoint = (await cloud.Admin.GetAsync("/v3/endpoints")).Json.GetProperty("endpoints")[0].GetProperty("id").GetString();
        var member = await cloud.IdOfAsync("roles", "member");
        var reader = await cloud.IdOfAsync("roles", "reader");
        var admin = await cloud.IdOfAsync("users", "admin");
        (await cloud.Admin.PatchAsync($"/v3/users/{person.UserId}", $$"""{"user": {"default_project_id": "{{person.ProjectId}}" } }""")).Expect(200);
        (await cloud.Admin.PutAsync($"/v3/domains/default/users/{admin}/roles/{member}")).Expect(204);
        var credential = await cloud.CreateAsync("credentials", "credential", $$"""{"type": "totp", "blob": "x", "user_id": "{{person.UserId}}" }""");
        (await cloud.Admin.PutAsync("/v3/regions/RegionThree", """{"region": {"description": "x", "parent_region_id": "RegionOne"}}""")).Expect(201);

        Compare("project-scoped-password", await LogInAsync(IdentityCloud.ProjectScope("admin")));
        Compare("system-scoped-password", await LogInAsync(IdentityCloud.SystemScope));
        Compare("domain-scoped-password", await LogInAsync("""{"domain": {"id": "default"}}"""));
        Compare("unscoped-password", await LogInAsync(null));
        Compare("project-scoped-token", await cloud.AuthenticateAsync(IdentityCloud.TokenAuth(cloud.AdminToken, IdentityCloud.ProjectScope("admin"))));
        foreach (var (sample, path) in ((string, string)[])
        [
            ("user-show-response", $"users/{person.UserId}"), ("users-list-response", "users"),
            ("project-show-response", $"projects/{person.ProjectId}"), ("projects-list-response", "projects"),
            ("role-show-response", $"roles/{member}"), ("roles-list-response", "roles"),
            ("domain-show-response", "domains/default"), ("domains-list-response", "domains"),
            ("service-show-response", $"services/{service}"), ("services-list-response", "services"),
            ("endpoint-show-response", $"endpoints/{endpoint}"), ("endpoints-list-response", "endpoints"),
            ("region-show-response", "regions/RegionThree"), ("regions-list-response", "regions"),
            ("group-show-response", $"groups/{group}"), ("groups-list-response", "groups"),
            ("role-inferences-response", "role_inferences"),
            ("get-role-inferences-response", $"roles/{member}/implies/{reader}"), ("list-implied-roles-for-role-response", $"roles/{member}/implies"),
            ("role-assignments-list-response", "role_assignments?scope.domain.id=default"),
            ("get-available-project-scopes-response", "auth/projects"), ("get-available-system-scopes-response", "auth/system"),
            ("get-service-catalog-response", "auth/catalog"),
            ("credential-show-response", $"credentials/{credential}"),
            ("project-tags-list-response", $"projects/{person.ProjectId}/tags"),
            ("list-system-roles-for-user-response", $"system/users/{admin}/roles"),
            ("identity-version-response", ""),
        ])
        {
            Compare(sample, (await cloud.Admin.GetAsync($"/v3/{path}")).Expect(200));
        }
        Compare("identity-versions-response", (await cloud.Admin.GetAsync("/")).Expect(300));

        Task<TestAnswer> LogInAsync(string? scope) => cloud.AuthenticateAsync(IdentityCloud.PasswordAuth("admin", IdentityCloud.AdminPassword, scope));
    }

    private static void Compare(string sample, TestAnswer answer)
    {
        using var stream = typeof(WireGoldenTests).Assembly.GetManifestResourceStream(sample)!;
        using var expected = JsonDocument.Parse(stream);
        Compare(sample, "", expected.RootElement, answer.Json);
    }

    private static void Compare(string sample, string path, JsonElement expected, JsonElement actual)
    {
        if (expected.ValueKind == JsonValueKind.Null || actual.ValueKind == JsonValueKind.Null)
        {
            return;
        }
        Assert.True(Kind(expected) == Kind(actual), $"{sample}: {path} is {actual.ValueKind}, the sample has {expected.ValueKind}");
        switch (expected.ValueKind)
        {
            case JsonValueKind.Object:
                foreach (var property in expected.EnumerateObject())
                {
                    var name = path.Length == 0 ? property.Name : $"{path}.{property.Name}";
                    if (actual.TryGetProperty(property.Name, out var value))
                    {
                        Compare(sample, name, property.Value, value);
                    }
                    else
                    {
                        Assert.True(Absent.Contains(name), $"{sample}: {name} is missing in {actual.GetRawText()}");
                    }
                }
                break;
            case JsonValueKind.Array when expected.GetArrayLength() > 0:
                foreach (var item in actual.EnumerateArray().Take(1))
                {
                    Compare(sample, path + "[]", expected[0], item);
                }
                break;
        }
    }

    private static JsonValueKind Kind(JsonElement element) => element.ValueKind == JsonValueKind.False ? JsonValueKind.True : element.ValueKind;
}
