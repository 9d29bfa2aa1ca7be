using System.Text.Json;
using static SharpStack.Neutron.Tests.NeutronCloud;

namespace SharpStack.Neutron.Tests;

public sealed class ListTests
{
    [Fact]
    public async Task A_list_is_paged_both_ways_by_its_links()
    {
        await using var cloud = await StartAsync();
        for (var i = 0; i < 5; i++)
        {
            await cloud.CreateNetworkAsync(body: $"{{'name': 'net-{4 - i}'}}");
        }

        var names = new List<string>();
        var url = "/v2.0/networks?limit=2&sort_key=name&sort_dir=asc";
        string? back = null;
        while (url is not null)
        {
            var page = (await cloud.Demo.GetAsync(url)).Expect(200).Json;
            var items = page.GetProperty("networks").EnumerateArray().Select(network => network.Text("name")).ToList();
            names.AddRange(items);
            var links = page.GetProperty("networks_links").EnumerateArray().ToDictionary(link => link.Text("rel"), link => new Uri(link.Text("href")).PathAndQuery);
            back = items.Count > 0 ? links["previous"] : back;
            url = links.GetValueOrDefault("next");
        }

        Assert.Equal(["net-0", "net-1", "net-2", "net-3", "net-4"], names);
        var before = (await cloud.Demo.GetAsync(back!)).Expect(200).Json.GetProperty("networks").EnumerateArray().Select(network => network.Text("name"));
        Assert.Equal(["net-2", "net-3"], before);
    }

    [Fact]
    public async Task Descending_pages_follow_their_marker()
    {
        await using var cloud = await StartAsync();
        for (var i = 0; i < 3; i++)
        {
            await cloud.CreateNetworkAsync(body: $"{{'name': 'n', 'description': '{i}'}}");
        }

        var first = (await cloud.Demo.GetAsync("/v2.0/networks?limit=1&sort_key=description&sort_dir=desc")).Expect(200).Json.GetProperty("networks")[0];
        Assert.Equal("2", first.Text("description"));
        var second = (await cloud.Demo.GetAsync($"/v2.0/networks?limit=1&sort_key=description&sort_dir=desc&marker={first.Id()}")).Expect(200).Json.GetProperty("networks")[0];
        Assert.Equal("1", second.Text("description"));
    }

    [Fact]
    public async Task Filters_take_lists_and_fields_limit_what_is_shown()
    {
        await using var cloud = await StartAsync();
        foreach (var name in (string[])["a", "b", "c"])
        {
            await cloud.CreateNetworkAsync(body: $"{{'name': '{name}'}}");
        }

        var found = (await cloud.Demo.GetAsync("/v2.0/networks?name=a&name=c&fields=name&shared=False&sort_key=name&sort_dir=desc")).Expect(200).Json.GetProperty("networks");
        Assert.Equal("""[{"name":"c"},{"name":"a"}]""", JsonSerializer.Serialize(found));
        Assert.Equal(0, (await cloud.Demo.GetAsync("/v2.0/networks?router:external=true")).Expect(200).Json.GetProperty("networks").GetArrayLength());
    }

    [Theory]
    [InlineData("colour=blue", "HTTPBadRequest")]
    [InlineData("limit=-1", "BadRequest")]
    [InlineData("limit=many", "BadRequest")]
    [InlineData("sort_key=name", "HTTPBadRequest")]
    [InlineData("sort_key=subnets&sort_dir=asc", "HTTPBadRequest")]
    [InlineData("sort_key=name&sort_dir=up", "HTTPBadRequest")]
    [InlineData("mtu=large", "InvalidInput")]
    public async Task A_wrong_query_is_refused(string query, string type)
    {
        await using var cloud = await StartAsync();
        await RefusedAsync(cloud.Demo.GetAsync("/v2.0/networks?" + query), 400, type);
    }

    [Fact]
    public async Task Tags_are_kept_replaced_and_searched_for()
    {
        await using var cloud = await StartAsync();
        var red = (await cloud.CreateNetworkAsync(body: "{'name': 'red'}")).Id();
        var both = (await cloud.CreateNetworkAsync(body: "{'name': 'both'}")).Id();
        (await cloud.Demo.PutAsync($"/v2.0/networks/{red}/tags/red")).Expect(201);
        (await cloud.Demo.PutAsync($"/v2.0/networks/{both}/tags", Json("{'tags': ['red', 'blue']}"))).Expect(200);
        Assert.Equal(["both"], await NamesAsync(cloud, "tags=red,blue"));
        Assert.Equal(["both", "red"], await NamesAsync(cloud, "tags-any=red,blue"));
        Assert.Equal(["red"], await NamesAsync(cloud, "not-tags=red,blue"));
        (await cloud.Demo.GetAsync($"/v2.0/networks/{red}/tags/red")).Expect(204);
        (await cloud.Demo.DeleteAsync($"/v2.0/networks/{red}/tags/red")).Expect(204);
        await RefusedAsync(cloud.Demo.DeleteAsync($"/v2.0/networks/{red}/tags/red"), 404, "TagNotFound");
        Assert.Equal(["red"], await NamesAsync(cloud, "not-tags-any=red,blue"));
    }

    private static async Task<IEnumerable<string>> NamesAsync(NeutronCloud cloud, string query) =>
        (await cloud.Demo.GetAsync($"/v2.0/networks?sort_key=name&sort_dir=asc&{query}")).Expect(200).Json.GetProperty("networks").EnumerateArray().Select(network => network.Text("name"));
}
