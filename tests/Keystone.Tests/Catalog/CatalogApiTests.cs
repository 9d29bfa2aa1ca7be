using SharpStack.TestKit;

namespace SharpStack.Keystone.Tests.Catalog;

public class CatalogApiTests
{
    [Fact]
    public async Task A_service_and_its_endpoints_come_and_go_with_the_catalog()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var service = await cloud.CreateAsync("services", "service", """{"type": "compute", "name": "nova", "description": "servers"}""");
        var endpoint = (await cloud.Admin.PostAsync(
            "/v3/endpoints",
            $$"""{"endpoint": {"interface": "public", "service_id": "{{service}}", "url": "http://nova/v2.1/$(project_id)s", "region": "RegionTwo" } }""")).Expect(201)
            .Json.GetProperty("endpoint");
        Assert.Equal(["enabled", "id", "interface", "links", "region", "region_id", "service_id", "url"], endpoint.Names().Order());
        Assert.Equal("RegionTwo", (await cloud.Admin.GetAsync("/v3/regions/RegionTwo")).Expect(200).Json.GetProperty("region").GetProperty("id").GetString());

        var project = await cloud.IdOfAsync("projects", "admin");
        Assert.Contains($"http://nova/v2.1/{project}", await CatalogAsync(IdentityCloud.ProjectScope("admin")), StringComparison.Ordinal);
        Assert.DoesNotContain("http://nova", await CatalogAsync(IdentityCloud.SystemScope), StringComparison.Ordinal);
        Assert.Equal(["compute"], (await cloud.Admin.GetAsync("/v3/services?type=compute")).Json.GetProperty("services").Texts("type"));
        Assert.Equal(1, (await cloud.Admin.GetAsync($"/v3/endpoints?service_id={service}&interface=public&region_id=RegionTwo")).Json.GetProperty("endpoints").GetArrayLength());

        var id = endpoint.GetProperty("id").GetString();
        (await cloud.Admin.PatchAsync($"/v3/endpoints/{id}", """{"endpoint": {"enabled": false}}""")).Expect(200);
        Assert.DoesNotContain("http://nova", await CatalogAsync(IdentityCloud.ProjectScope("admin")), StringComparison.Ordinal);
        (await cloud.Admin.DeleteAsync("/v3/regions/RegionTwo")).Expect(403);
        (await cloud.Admin.DeleteAsync($"/v3/services/{service}")).Expect(204);
        (await cloud.Admin.GetAsync($"/v3/endpoints/{id}")).Expect(404);
        (await cloud.Admin.DeleteAsync("/v3/regions/RegionTwo")).Expect(204);

        async Task<string> CatalogAsync(string scope) =>
            (await cloud.AuthenticateAsync(IdentityCloud.PasswordAuth("admin", IdentityCloud.AdminPassword, scope))).Expect(201).Json.GetProperty("token").GetProperty("catalog").GetRawText();
    }

    [Theory]
    [InlineData("""{"interface": "public", "service_id": "none", "url": "http://x"}""")]
    [InlineData("""{"interface": "secret", "service_id": "none", "url": "http://x"}""")]
    [InlineData("""{"interface": "public", "url": "http://x"}""")]
    [InlineData("""{"interface": "public", "service_id": "none", "url": "nowhere"}""")]
    public async Task An_endpoint_without_a_service_interface_or_url_is_refused(string endpoint)
    {
        await using var cloud = await IdentityCloud.StartAsync();

        (await cloud.Admin.PostAsync("/v3/endpoints", $$"""{"endpoint": {{endpoint}} }""")).Expect(400);
    }

    [Fact]
    public async Task Regions_nest_and_cannot_be_their_own_parents()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        (await cloud.Admin.PutAsync("/v3/regions/north", """{"region": {"description": "cold"}}""")).Expect(201);
        (await cloud.Admin.PostAsync("/v3/regions", """{"region": {"id": "north-1", "parent_region_id": "north"}}""")).Expect(201);

        (await cloud.Admin.PostAsync("/v3/regions", """{"region": {"id": "north"}}""")).Expect(409);
        (await cloud.Admin.PutAsync("/v3/regions/south", """{"region": {"id": "east"}}""")).Expect(400);
        (await cloud.Admin.PostAsync("/v3/regions", """{"region": {"parent_region_id": "none"}}""")).Expect(404);
        (await cloud.Admin.PatchAsync("/v3/regions/north", """{"region": {"parent_region_id": "north-1"}}""")).Expect(400);
        Assert.Equal(["north-1"], (await cloud.Admin.GetAsync("/v3/regions?parent_region_id=north")).Json.GetProperty("regions").Texts("id"));
        (await cloud.Admin.DeleteAsync("/v3/regions/north")).Expect(204);
        (await cloud.Admin.GetAsync("/v3/regions/north-1")).Expect(404);
    }

    [Fact]
    public async Task Bootstrap_and_registration_run_twice_change_nothing_the_second_time()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var bootstrap = cloud.Cloud.Get<KeystoneBootstrap>();
        ServiceRegistration[] services = [new("glance", "glance-secret", "image", Url: "http://127.0.0.1:9292"), new("worker", "worker-secret")];
        await RunAsync();
        var before = await DumpAsync();

        await RunAsync();

        Assert.Equal(before, await DumpAsync());
        var token = await cloud.AuthenticateAsync(IdentityCloud.PasswordAuth("glance", "glance-secret", IdentityCloud.ProjectScope("service")));
        Assert.Equal(["admin", "member", "reader", "service"], token.Expect(201).Json.GetProperty("token").GetProperty("roles").Texts("name"));

        async Task RunAsync()
        {
            await bootstrap.RunAsync(new(IdentityCloud.AdminPassword) { PublicUrl = IdentityCloud.Url }, TestContext.Current.CancellationToken);
            await bootstrap.RegisterServicesAsync(services, cancellationToken: TestContext.Current.CancellationToken);
        }

        async Task<string> DumpAsync()
        {
            var dump = "";
            foreach (var collection in (string[])["users", "projects", "roles", "role_assignments", "role_inferences", "services", "endpoints", "regions", "domains"])
            {
                dump += (await cloud.Admin.GetAsync($"/v3/{collection}")).Expect(200).Text;
            }
            return dump;
        }
    }

    [Fact]
    public async Task Bootstrap_lets_a_locked_out_administrator_in_again()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var id = await cloud.IdOfAsync("users", "admin");
        (await cloud.Admin.PatchAsync($"/v3/users/{id}", """{"user": {"enabled": false, "password": "forgotten"}}""")).Expect(200);

        await cloud.Cloud.Get<KeystoneBootstrap>().RunAsync(new("found"), TestContext.Current.CancellationToken);

        (await cloud.AuthenticateAsync(IdentityCloud.PasswordAuth("admin", "found", IdentityCloud.ProjectScope("admin")))).Expect(201);
    }
}
