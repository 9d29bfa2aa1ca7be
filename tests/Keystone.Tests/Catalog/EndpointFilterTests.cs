namespace SharpStack.Keystone.Tests.Catalog;

public class EndpointFilterTests
{
    [Fact]
    public async Task A_project_with_endpoints_of_its_own_has_those_alone_in_its_catalog()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var service = await cloud.CreateAsync("services", "service", """{"type": "dns", "name": "designate"}""");
        var one = await EndpointAsync(cloud, service, "public", "http://one");
        var two = await EndpointAsync(cloud, service, "admin", "http://two");
        var person = await cloud.PersonAsync("filtered", "member");
        var path = $"/v3/OS-EP-FILTER/projects/{person.ProjectId}/endpoints";

        Assert.Contains("http://two", await CatalogAsync(cloud), StringComparison.Ordinal);
        (await cloud.Admin.PutAsync($"{path}/{one}")).Expect(204);
        (await cloud.Admin.PutAsync($"{path}/{one}")).Expect(409);
        (await cloud.Admin.PutAsync($"{path}/none")).Expect(404);
        (await cloud.Admin.HeadAsync($"{path}/{one}")).Expect(204);
        (await cloud.Admin.GetAsync($"{path}/{two}")).Expect(404);
        var catalog = await CatalogAsync(cloud);
        Assert.Contains("http://one", catalog, StringComparison.Ordinal);
        Assert.DoesNotContain("http://two", catalog, StringComparison.Ordinal);
        Assert.DoesNotContain("identity", catalog, StringComparison.Ordinal);
        Assert.Equal([one], (await cloud.Admin.GetAsync(path)).Expect(200).Json.GetProperty("endpoints").Texts("id"));
        Assert.Equal([person.ProjectId], (await cloud.Admin.GetAsync($"/v3/OS-EP-FILTER/endpoints/{one}/projects")).Expect(200).Json.GetProperty("projects").Texts("id"));
        (await cloud.Admin.DeleteAsync($"{path}/{one}")).Expect(204);
        (await cloud.Admin.DeleteAsync($"{path}/{one}")).Expect(404);
        Assert.Contains("identity", await CatalogAsync(cloud), StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_endpoint_group_gives_a_project_what_its_filters_match()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var service = await cloud.CreateAsync("services", "service", """{"type": "dns", "name": "designate"}""");
        var one = await EndpointAsync(cloud, service, "public", "http://one");
        await EndpointAsync(cloud, service, "admin", "http://two");
        var person = await cloud.PersonAsync("filtered", "member");
        const string groups = "/v3/OS-EP-FILTER/endpoint_groups";

        (await cloud.Admin.PostAsync(groups, """{"endpoint_group": {"name": "x", "filters": {}}}""")).Expect(400);
        (await cloud.Admin.PostAsync(groups, """{"endpoint_group": {"name": "x", "filters": {"url": "x"}}}""")).Expect(400);
        var made = (await cloud.Admin.PostAsync(groups, $$"""{"endpoint_group": {"name": "dns", "filters": {"interface": "admin", "service_id": "{{service}}" } } }""")).Expect(201).Json
            .GetProperty("endpoint_group");
        Assert.Equal(["description", "filters", "id", "links", "name"], made.Names().Order());
        var group = made.GetProperty("id").GetString();
        (await cloud.Admin.PatchAsync($"{groups}/{group}", """{"endpoint_group": {"filters": {"interface": "public"}}}""")).Expect(200);
        (await cloud.Admin.PatchAsync($"{groups}/{group}", $$"""{"endpoint_group": {"filters": {"service_id": "{{service}}", "interface": "public"} } }""")).Expect(200);
        Assert.Equal([one], (await cloud.Admin.GetAsync($"{groups}/{group}/endpoints")).Expect(200).Json.GetProperty("endpoints").Texts("id"));

        (await cloud.Admin.GetAsync($"{groups}/{group}/projects/{person.ProjectId}")).Expect(404);
        (await cloud.Admin.PutAsync($"{groups}/{group}/projects/{person.ProjectId}")).Expect(204);
        (await cloud.Admin.PutAsync($"{groups}/{group}/projects/{person.ProjectId}")).Expect(409);
        Assert.Equal(group, (await cloud.Admin.GetAsync($"{groups}/{group}/projects/{person.ProjectId}")).Expect(200).Json
            .GetProperty("project_endpoint_group").GetProperty("endpoint_group_id").GetString());
        Assert.Equal(["dns"], (await cloud.Admin.GetAsync($"/v3/OS-EP-FILTER/projects/{person.ProjectId}/endpoint_groups")).Expect(200).Json.GetProperty("endpoint_groups").Texts("name"));
        Assert.Equal([person.ProjectId], (await cloud.Admin.GetAsync($"{groups}/{group}/projects")).Expect(200).Json.GetProperty("projects").Texts("id"));
        var catalog = await CatalogAsync(cloud);
        Assert.Contains("http://one", catalog, StringComparison.Ordinal);
        Assert.DoesNotContain("http://two", catalog, StringComparison.Ordinal);
        (await cloud.Admin.DeleteAsync($"{groups}/{group}")).Expect(204);
        Assert.Contains("http://two", await CatalogAsync(cloud), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Without_a_filter_the_catalog_is_empty_where_so_configured()
    {
        await using var cloud = await IdentityCloud.StartAsync(null, ("endpoint_filter", "return_all_endpoints_if_no_filter", "false"));
        var person = await cloud.PersonAsync("filtered", "member");
        var endpoint = (await cloud.Admin.GetAsync("/v3/endpoints?interface=public")).Json.GetProperty("endpoints")[0].GetProperty("id").GetString();

        Assert.Equal("[]", await CatalogAsync(cloud));
        (await cloud.Admin.PutAsync($"/v3/OS-EP-FILTER/projects/{person.ProjectId}/endpoints/{endpoint}")).Expect(204);
        Assert.Contains("identity", await CatalogAsync(cloud), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_policy_is_found_for_an_endpoint_by_itself_by_its_region_and_by_its_service()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var service = await cloud.CreateAsync("services", "service", """{"type": "dns", "name": "designate"}""");
        await cloud.CreateAsync("regions", "region", """{"id": "inner", "parent_region_id": "RegionOne"}""");
        var endpoint = await cloud.CreateAsync(
            "endpoints", "endpoint", $$"""{"service_id": "{{service}}", "interface": "public", "url": "http://one", "region_id": "inner"}""");
        var (first, second, third) = (await PolicyAsync("one"), await PolicyAsync("two"), await PolicyAsync("three"));

        (await cloud.Admin.GetAsync($"/v3/endpoints/{endpoint}/OS-ENDPOINT-POLICY/policy")).Expect(404);
        (await cloud.Admin.PutAsync($"/v3/policies/{first}/OS-ENDPOINT-POLICY/services/{service}")).Expect(204);
        Assert.Equal(first, await FoundAsync());
        (await cloud.Admin.PutAsync($"/v3/policies/{second}/OS-ENDPOINT-POLICY/services/{service}/regions/RegionOne")).Expect(204);
        Assert.Equal(second, await FoundAsync());
        Assert.Equal([endpoint], (await cloud.Admin.GetAsync($"/v3/policies/{second}/OS-ENDPOINT-POLICY/endpoints")).Expect(200).Json.GetProperty("endpoints").Texts("id"));
        (await cloud.Admin.PutAsync($"/v3/policies/{third}/OS-ENDPOINT-POLICY/endpoints/{endpoint}")).Expect(204);
        Assert.Equal(third, await FoundAsync());
        (await cloud.Admin.GetAsync($"/v3/policies/{third}/OS-ENDPOINT-POLICY/endpoints/{endpoint}")).Expect(204);
        (await cloud.Admin.GetAsync($"/v3/policies/{first}/OS-ENDPOINT-POLICY/endpoints/{endpoint}")).Expect(404);
        // A place has one policy: the second takes the first one's.
        (await cloud.Admin.PutAsync($"/v3/policies/{first}/OS-ENDPOINT-POLICY/endpoints/{endpoint}")).Expect(204);
        Assert.Equal(first, await FoundAsync());
        (await cloud.Admin.DeleteAsync($"/v3/policies/{first}/OS-ENDPOINT-POLICY/endpoints/{endpoint}")).Expect(204);
        (await cloud.Admin.DeleteAsync($"/v3/policies/{second}")).Expect(204);
        Assert.Equal(first, await FoundAsync());
        (await cloud.Admin.PutAsync($"/v3/policies/none/OS-ENDPOINT-POLICY/services/{service}")).Expect(404);

        Task<string> PolicyAsync(string blob) => cloud.CreateAsync("policies", "policy", $$"""{"type": "text/plain", "blob": "{{blob}}" }""");

        async Task<string?> FoundAsync() => (await cloud.Admin.GetAsync($"/v3/endpoints/{endpoint}/OS-ENDPOINT-POLICY/policy")).Expect(200).Json
            .GetProperty("policy").GetProperty("id").GetString();
    }

    [Theory]
    [InlineData("http://x/$(password)s", 400)]
    [InlineData("http://x/%(tenant_id", 400)]
    [InlineData("http://x/%2F", 400)]
    [InlineData("http://x/$(tenant_id)s/%(user_id)s", 201)]
    public async Task A_url_has_only_places_that_are_filled(string url, int status)
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var service = await cloud.CreateAsync("services", "service", """{"type": "dns", "name": "designate"}""");

        (await cloud.Admin.PostAsync("/v3/endpoints", $$"""{"endpoint": {"service_id": "{{service}}", "interface": "public", "url": "{{url}}" } }""")).Expect(status);
    }

    private static Task<string> EndpointAsync(IdentityCloud cloud, string service, string @interface, string url) =>
        cloud.CreateAsync("endpoints", "endpoint", $$"""{"service_id": "{{service}}", "interface": "{{@interface}}", "url": "{{url}}", "region_id": "RegionOne"}""");

    private static async Task<string> CatalogAsync(IdentityCloud cloud)
    {
        var answer = await cloud.AuthenticateAsync(IdentityCloud.PasswordAuth("filtered", "secret", IdentityCloud.ProjectScope("filtered")));
        return answer.Expect(201).Json.GetProperty("token").GetProperty("catalog").GetRawText();
    }
}
