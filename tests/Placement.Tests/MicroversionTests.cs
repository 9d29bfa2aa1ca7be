using SharpStack.TestKit;

namespace SharpStack.Placement.Tests;

public sealed class MicroversionTests : PlacementTest
{
    [Fact]
    public async Task The_root_tells_the_versions_without_a_token()
    {
        var answer = (await At("1.0", null).GetAsync("/")).Expect(200);
        Shape.Same("get-root", answer.Json);
        var version = answer.Json.GetProperty("versions")[0];
        Assert.Equal("1.39", version.GetProperty("max_version").GetString());
        Assert.Equal("1.0", version.GetProperty("min_version").GetString());
    }

    [Fact]
    public async Task A_request_is_answered_in_the_version_it_names_and_the_answer_says_so()
    {
        using var client = Cloud.Client("placement-api", "admin", "compute 2.1, placement 1.31");
        var answer = (await client.GetAsync("/resource_classes")).Expect(200);
        Assert.Equal("placement 1.31", answer.Headers.GetValues("OpenStack-API-Version").Single());
        Assert.Contains("OpenStack-API-Version", answer.Headers.Vary);
    }

    [Fact]
    public async Task Without_a_version_the_oldest_is_meant_and_latest_means_the_newest()
    {
        using var none = Cloud.Client("placement-api");
        (await none.GetAsync("/resource_classes")).Expect(404);
        var latest = (await At("latest").GetAsync("/resource_classes")).Expect(200);
        Assert.Equal("placement 1.39", latest.Headers.GetValues("OpenStack-API-Version").Single());
    }

    [Fact]
    public async Task A_version_too_new_is_refused_with_the_range_that_there_is()
    {
        var answer = (await At("1.40").GetAsync("/resource_providers")).Expect(406);
        Assert.Equal("1.39", Error(answer).GetProperty("max_version").GetString());
        Assert.Equal("1.0", Error(answer).GetProperty("min_version").GetString());
        (await At("one").GetAsync("/resource_providers")).Expect(400);
    }

    [Theory]
    [InlineData("/resource_providers/{0}/aggregates", 1)]
    [InlineData("/resource_classes", 2)]
    [InlineData("/traits", 6)]
    [InlineData("/resource_providers/{0}/traits", 6)]
    [InlineData("/usages?project_id=p", 9)]
    [InlineData("/allocation_candidates?resources=VCPU:1", 10)]
    public async Task A_resource_is_there_from_its_version_on(string path, int since)
    {
        path = string.Format(path, await ProviderAsync());
        (await At($"1.{since - 1}").GetAsync(path)).Expect(404);
        (await At($"1.{since}").GetAsync(path)).Expect(200);
    }

    [Fact]
    public async Task A_provider_shows_more_links_and_its_tree_in_newer_versions()
    {
        var uuid = await ProviderAsync();
        var old = (await At("1.0").GetAsync($"/resource_providers/{uuid}")).Expect(200).Json;
        Assert.Equal(["self", "inventories", "usages"], old.GetProperty("links").EnumerateArray().Select(link => link.GetProperty("rel").GetString()));
        Assert.False(old.TryGetProperty("root_provider_uuid", out _));
        var current = (await Api.GetAsync($"/resource_providers/{uuid}")).Expect(200).Json;
        Assert.Equal(
            ["self", "inventories", "usages", "aggregates", "traits", "allocations"],
            current.GetProperty("links").EnumerateArray().Select(link => link.GetProperty("rel").GetString()));
        Assert.Equal(uuid, current.GetProperty("root_provider_uuid").GetString());
        Shape.Same("get-resource_providers", (await Api.GetAsync("/resource_providers")).Json);
    }

    [Fact]
    public async Task The_time_of_the_last_change_is_told_from_1_15_on()
    {
        var uuid = await ProviderAsync();
        using var older = await At("1.14").Http.SendAsync(Request(uuid, "1.14"), Cancelled);
        using var newer = await Api.Http.SendAsync(Request(uuid, "1.15"), Cancelled);
        Assert.Null(older.Content.Headers.LastModified);
        Assert.NotNull(newer.Content.Headers.LastModified);
        Assert.True(newer.Headers.CacheControl!.NoCache);

        static HttpRequestMessage Request(string uuid, string version) => new(HttpMethod.Get, $"/resource_providers/{uuid}")
        {
            Headers = { { "X-Auth-Token", "admin" }, { "OpenStack-API-Version", "placement " + version } },
        };
    }

    [Fact]
    public async Task An_error_has_a_code_from_1_23_on()
    {
        var name = await ProviderAsync();
        var body = $$"""{"name": "{{name}}"}""";
        Assert.Null(Code((await At("1.22").PostAsync("/resource_providers", body)).Expect(409)));
        var answer = (await At("1.23").PostAsync("/resource_providers", body)).Expect(409);
        Assert.Equal("placement.duplicate_name", Code(answer));
        Assert.StartsWith("There was a conflict when trying to complete your request.\n\n Conflicting resource provider name: ", Detail(answer), StringComparison.Ordinal);
        Assert.Equal("Conflict", Error(answer).GetProperty("title").GetString());
        Assert.StartsWith("req-", Error(answer).GetProperty("request_id").GetString(), StringComparison.Ordinal);
        Assert.Equal("placement.undefined_code", Code((await Api.GetAsync("/traits/CUSTOM_NONE")).Expect(404)));
    }

    [Fact]
    public async Task A_new_provider_is_shown_from_1_20_on()
    {
        var created = (await At("1.19").PostAsync("/resource_providers", """{"name": "a"}""")).Expect(201);
        Assert.Empty(created.Body);
        Assert.StartsWith("/resource_providers/", created.Headers.Location!.ToString(), StringComparison.Ordinal);
        Assert.Equal(0, (await At("1.20").PostAsync("/resource_providers", """{"name": "b"}""")).Expect(200).Json.GetProperty("generation").GetInt32());
    }

    [Fact]
    public async Task Bodies_that_are_no_json_or_of_another_type_are_refused()
    {
        (await Api.SendAsync(HttpMethod.Post, "/resource_providers", "name=a", "text/plain")).Expect(415);
        (await Api.PostAsync("/resource_providers", "{")).Expect(400);
        Assert.Contains("JSON does not validate", Detail((await Api.PostAsync("/resource_providers", """{"name": 1}""")).Expect(400)), StringComparison.Ordinal);
        (await Api.SendAsync(HttpMethod.Get, "/resource_providers", null, "application/json", ("Accept", "text/html"))).Expect(406);
        (await Api.SendAsync(HttpMethod.Get, "/resource_providers", null, "application/json", ("Accept", "text/html, */*;q=0.1"))).Expect(200);
    }

    [Fact]
    public async Task Unknown_paths_and_methods_have_the_error_envelope()
    {
        Assert.Equal(404, Error((await Api.GetAsync("/nothing")).Expect(404)).GetProperty("status").GetInt32());
        Assert.Equal(405, Error((await Api.PatchAsync("/resource_providers", "{}")).Expect(405)).GetProperty("status").GetInt32());
        (await At("1.4").DeleteAsync($"/resource_providers/{await ProviderAsync()}/inventories")).Expect(405);
    }

    [Theory]
    [InlineData("demo")]
    [InlineData("reader")]
    [InlineData("nobody")]
    public async Task Only_administrators_may_use_placement(string persona)
    {
        var client = At("1.39", persona);
        (await client.GetAsync("/resource_providers")).Expect(403);
        (await client.GetAsync("/allocation_candidates?resources=VCPU:1")).Expect(403);
        (await client.PutAsync($"/allocations/{Guid.NewGuid()}", Claim("{}"))).Expect(403);
        (await At("1.39", "not-a-token").GetAsync("/resource_providers")).Expect(401);
    }

    [Fact]
    public async Task A_reader_sees_the_usages_of_the_own_project_only()
    {
        var client = At("1.39", "reader");
        (await client.GetAsync($"/usages?project_id={Project}")).Expect(200);
        (await client.GetAsync($"/usages?project_id={TestIdentities.OtherProject}")).Expect(403);
    }

    [Fact]
    public void Every_route_needs_a_policy_or_is_open_on_purpose() =>
        Assert.All(Cloud.Host.Routes["placement-api"].All, route => Assert.True(route.IsPublic || route.Policies.Count > 0, route.Pattern));
}
