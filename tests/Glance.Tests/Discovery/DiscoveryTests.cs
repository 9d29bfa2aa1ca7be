using SharpStack.Foundation.Http;
using SharpStack.TestKit;

namespace SharpStack.Glance.Tests.Discovery;

public sealed class DiscoveryTests
{
    [Theory]
    [InlineData("/", 300)]
    [InlineData("/versions", 200)]
    public async Task Versions_are_told_to_everybody(string path, int status)
    {
        await using var cloud = await GlanceCloud.StartAsync();
        using var client = cloud.Glance(token: null);
        var versions = (await client.GetAsync(path)).Expect(status).Json.GetProperty("versions").EnumerateArray().ToList();
        Assert.Equal("v2.15", versions[0].Text("id"));
        Assert.Equal("CURRENT", versions[0].Text("status"));
        Assert.All(versions, version => Assert.Equal("http://glance-api.local/v2/", version.GetProperty("links")[0].Text("href")));
        Assert.Contains(versions, version => version.Text("id") == "v2.0" && version.Text("status") == "SUPPORTED");
    }

    [Theory]
    [InlineData("image")]
    [InlineData("images")]
    [InlineData("member")]
    [InlineData("members")]
    [InlineData("task")]
    [InlineData("tasks")]
    public async Task Schemas_are_given(string name)
    {
        await using var cloud = await GlanceCloud.StartAsync();
        using var client = cloud.Glance("reader");
        var schema = (await client.GetAsync($"/v2/schemas/{name}")).Expect(200).Json;
        Assert.Equal(name, schema.Text("name"));
        Assert.NotEmpty(schema.GetProperty("properties").EnumerateObject());
    }

    [Fact]
    public async Task The_image_schema_names_every_attribute_on_the_wire()
    {
        await using var cloud = await GlanceCloud.StartAsync();
        using var client = cloud.Glance();
        var properties = (await client.GetAsync("/v2/schemas/image")).Expect(200).Json.GetProperty("properties");
        var id = await client.CreateAsync();
        Assert.All((await client.ShowAsync(id)).EnumerateObject(), attribute => Assert.True(properties.TryGetProperty(attribute.Name, out _), attribute.Name));
        Assert.Contains("qcow2", properties.GetProperty("disk_format").GetProperty("enum").EnumerateArray().Select(value => value.GetString()));
    }

    [Fact]
    public async Task Import_methods_and_stores_are_told()
    {
        await using var cloud = await GlanceCloud.StartAsync();
        using var client = cloud.Glance("reader");
        var methods = (await client.GetAsync("/v2/info/import")).Expect(200).Json.GetProperty("import-methods");
        Assert.Equal(["glance-direct"], methods.GetProperty("value").EnumerateArray().Select(value => value.GetString()));
        (await client.GetAsync("/v2/info/stores")).Expect(404);
        (await client.GetAsync("/v2/info/stores/detail")).Expect(403);
    }

    [Fact]
    public async Task Errors_take_the_form_that_the_client_accepts()
    {
        await using var cloud = await GlanceCloud.StartAsync();
        using var client = cloud.Glance();
        const string path = "/v2/images/b2173dd3-7ad6-4362-baa6-a68bce3565cb";
        var html = (await client.SendAsync(HttpMethod.Get, path, headers: ("Accept", "*/*"))).Expect(404).Text;
        Assert.Equal("<html>\n <head>\n  <title>404 Not Found</title>\n </head>\n <body>\n  <h1>404 Not Found</h1>\n  No image found with ID b2173dd3-7ad6-4362-baa6-a68bce3565cb<br /><br />\n\n\n\n </body>\n</html>", html);
        var json = (await client.SendAsync(HttpMethod.Get, path, headers: ("Accept", "application/json"))).Expect(404).Json;
        Assert.Equal("404 Not Found", json.Text("code"));
        Assert.Equal("Not Found", json.Text("title"));
        Assert.StartsWith("No image found with ID", json.Text("message"), StringComparison.Ordinal);
        using var stranger = cloud.Glance("forged");
        var unauthorized = (await stranger.GetAsync(path)).Expect(401);
        Assert.Equal(401, unauthorized.Json.GetProperty("error").GetProperty("code").GetInt32());
        Assert.StartsWith("Keystone uri=", unauthorized.Headers.WwwAuthenticate.Single().ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_image_without_an_id_does_not_exist()
    {
        await using var cloud = await GlanceCloud.StartAsync();
        using var client = cloud.Glance();
        (await client.GetAsync("/v2/images/")).Expect(404);
        (await client.DeleteAsync("/v2/images/")).Expect(404);
        (await client.GetAsync("/v2/images")).Expect(200);
    }

    [Fact]
    public async Task Markup_in_a_request_is_not_markup_in_the_answer()
    {
        await using var cloud = await GlanceCloud.StartAsync();
        using var client = cloud.Glance();
        var answer = await client.GetAsync("/v2/images?visibility=%3Cscript%3E");
        Assert.Contains("&lt;script&gt;", answer.Expect(400).Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Every_route_has_a_policy_and_refuses_those_without_roles()
    {
        await using var cloud = await GlanceCloud.StartAsync();
        using var admin = cloud.Glance();
        using var nobody = cloud.Glance("nobody");
        using var anonymous = cloud.Glance(token: null);
        var id = await admin.CreateAsync(more: """, "visibility": "private" """);
        var routes = cloud.Host.Routes["glance-api"].All.Where(route => !route.IsPublic).ToList();
        Assert.NotEmpty(routes);
        foreach (var route in routes)
        {
            var path = route.Pattern.Replace("{image_id}", id, StringComparison.Ordinal);
            Assert.Equal(401, (await anonymous.SendAsync(new HttpMethod(route.Method), path)).Status);
            Assert.True(route.IsForEveryToken || route.Policies.Count > 0, $"{route.Method} {route.Pattern} names no policy");
            if (!route.IsForEveryToken)
            {
                var body = route.Method is "POST" or "PUT" or "PATCH" ? "{}" : null;
                Assert.InRange((await nobody.SendAsync(new HttpMethod(route.Method), path, body)).Status, 400, 499);
            }
        }

        Assert.Equal("queued", (await admin.ShowAsync(id)).Text("status"));
    }
}
