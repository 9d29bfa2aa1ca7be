using System.Text.Json;
using System.Text.Json.Nodes;
using SharpStack.TestKit;

namespace SharpStack.Nova.Tests;

/// <summary>Host aggregates and the zones that they make.</summary>
public sealed class AggregateTests
{
    private const string Path = "/v2.1/os-aggregates";

    private static IEnumerable<string> Members(JsonElement element) => element.EnumerateObject().Select(member => member.Name).Order(StringComparer.Ordinal);

    private static async Task<long> CreateAsync(NovaCloud nova, string name, string? zone = null) =>
        (await nova.Admin().PostAsync(Path, JsonSerializer.Serialize(new { aggregate = new { name, availability_zone = zone } }))).Expect(200).Json.GetProperty("aggregate").GetProperty("id").GetInt64();

    private static Task<TestAnswer> ActAsync(NovaCloud nova, long id, string action, object argument) =>
        nova.Admin().PostAsync($"{Path}/{id}/action", JsonSerializer.Serialize(new Dictionary<string, object> { [action] = argument }));

    private static Task<TestAnswer> AddAsync(NovaCloud nova, long id, string host) => ActAsync(nova, id, "add_host", new { host });

    private static Task<TestAnswer> RemoveAsync(NovaCloud nova, long id, string host) => ActAsync(nova, id, "remove_host", new { host });

    private static string MessageOf(TestAnswer answer) => answer.Json.EnumerateObject().Single().Value.GetProperty("message").GetString()!;

    private static string[] MirroredOf(NovaCloud nova, string host) =>
        [.. ((JsonArray)nova.Services.Providers.Values.Single(provider => (string)provider["name"]! == host)["aggregates"]!).Select(aggregate => (string)aggregate!)];

    /// <summary>The members of OpenStack's own samples, by microversion.</summary>
    [Theory]
    [InlineData("compute 2.1", "")]
    [InlineData("compute 2.41", "uuid")]
    [InlineData("compute 2.81", "uuid")]
    public async Task An_aggregate_has_the_members_of_its_microversion(string microversion, string more)
    {
        await using var nova = await NovaCloud.StartAsync();
        var admin = nova.Admin(microversion);
        string[] created = ["availability_zone", "created_at", "deleted", "deleted_at", "id", "name", "updated_at", .. more.Split(',', StringSplitOptions.RemoveEmptyEntries)];
        string[] shown = [.. created, "hosts", "metadata"];
        var answer = (await admin.PostAsync(Path, """{"aggregate": {"name": "name", "availability_zone": "london"}}""")).Expect(200).Json.GetProperty("aggregate");
        Assert.Equal(created.Order(StringComparer.Ordinal), Members(answer));
        Assert.Equal(JsonValueKind.Null, answer.GetProperty("updated_at").ValueKind);
        var id = answer.GetProperty("id").GetInt64();
        foreach (var each in new[]
        {
            (await admin.GetAsync($"{Path}/{id}")).Expect(200).Json.GetProperty("aggregate"),
            (await admin.GetAsync(Path)).Expect(200).Json.GetProperty("aggregates")[0],
            (await admin.PutAsync($"{Path}/{id}", """{"aggregate": {"name": "newname", "availability_zone": "nova2"}}""")).Expect(200).Json.GetProperty("aggregate"),
            (await admin.PostAsync($"{Path}/{id}/action", """{"set_metadata": {"metadata": {"key": "value"}}}""")).Expect(200).Json.GetProperty("aggregate"),
            (await admin.PostAsync($"{Path}/{id}/action", """{"add_host": {"host": "host1"}}""")).Expect(200).Json.GetProperty("aggregate"),
            (await admin.PostAsync($"{Path}/{id}/action", """{"remove_host": {"host": "host1"}}""")).Expect(200).Json.GetProperty("aggregate"),
        })
        {
            Assert.Equal(shown.Order(StringComparer.Ordinal), Members(each));
        }

        (await admin.DeleteAsync($"{Path}/{id}")).Expect(200);
        (await admin.GetAsync($"{Path}/{id}")).Expect(404);
    }

    [Fact]
    public async Task Metadata_is_merged_and_null_removes_an_item()
    {
        await using var nova = await NovaCloud.StartAsync();
        var id = await CreateAsync(nova, "a", "london");
        await ActAsync(nova, id, "set_metadata", new { metadata = new { ssd = "true", rack = "r1" } });
        var metadata = (await ActAsync(nova, id, "set_metadata", new { metadata = new { ssd = (string?)null, rack = "r2" } })).Expect(200).Json.GetProperty("aggregate").GetProperty("metadata");
        Assert.Equal("""{"availability_zone":"london","rack":"r2"}""", metadata.GetRawText());
    }

    [Fact]
    public async Task A_host_in_an_aggregate_with_a_zone_is_in_that_zone_everywhere_and_in_placement()
    {
        await using var nova = await NovaCloud.StartAsync();
        await nova.AddHostAsync("host2");
        var before = await nova.BootAsync();
        var id = await CreateAsync(nova, "a", "london");
        (await AddAsync(nova, id, "host1")).Expect(200);
        var uuid = (await nova.Admin().GetAsync($"{Path}/{id}")).Json.GetProperty("aggregate").GetProperty("uuid").GetString();
        Assert.Equal([uuid!], MirroredOf(nova, "host1"));
        Assert.Empty(MirroredOf(nova, "host2"));
        var services = (await nova.Admin().GetAsync("/v2.1/os-services?binary=nova-compute")).Json.GetProperty("services").EnumerateArray();
        Assert.Equal(["host1 london", "host2 nova"], services.Select(service => $"{service.GetProperty("host").GetString()} {service.GetProperty("zone").GetString()}"));
        // The server was there before its host came to the zone.
        Assert.Equal("london", (await nova.ShowAsync(before)).GetProperty("OS-EXT-AZ:availability_zone").GetString());
        var zones = (await nova.Demo().GetAsync("/v2.1/os-availability-zone")).Expect(200).Json.GetProperty("availabilityZoneInfo");
        Assert.Equal(["london", "nova"], zones.EnumerateArray().Select(zone => zone.GetProperty("zoneName").GetString()));
        Assert.All(zones.EnumerateArray(), zone => Assert.Equal(JsonValueKind.Null, zone.GetProperty("hosts").ValueKind));
        var detail = (await nova.Admin().GetAsync("/v2.1/os-availability-zone/detail")).Expect(200).Json.GetProperty("availabilityZoneInfo");
        Assert.Equal(["internal", "london", "nova"], detail.EnumerateArray().Select(zone => zone.GetProperty("zoneName").GetString()));
        Assert.True(detail[1].GetProperty("hosts").GetProperty("host1").GetProperty("nova-compute").GetProperty("available").GetBoolean());
        (await nova.Demo().GetAsync("/v2.1/os-availability-zone/detail")).Expect(403);

        (await RemoveAsync(nova, id, "host1")).Expect(200);
        Assert.Empty(MirroredOf(nova, "host1"));
        Assert.Equal("nova", (await nova.ShowAsync(before)).GetProperty("OS-EXT-AZ:availability_zone").GetString());
    }

    [Fact]
    public async Task A_zone_whose_hosts_are_all_disabled_is_not_available()
    {
        await using var nova = await NovaCloud.StartAsync();
        await nova.AddHostAsync("host2");
        (await AddAsync(nova, await CreateAsync(nova, "a", "london"), "host1")).Expect(200);
        (await nova.Admin("compute 2.1").PutAsync("/v2.1/os-services/disable", """{"host": "host1", "binary": "nova-compute"}""")).Expect(200);
        var zones = (await nova.Demo().GetAsync("/v2.1/os-availability-zone")).Json.GetProperty("availabilityZoneInfo").EnumerateArray();
        Assert.Equal(
            ["nova True", "london False"],
            zones.Select(zone => $"{zone.GetProperty("zoneName").GetString()} {zone.GetProperty("zoneState").GetProperty("available").GetBoolean()}"));
        (await nova.Demo().PostAsync("/v2.1/servers", nova.ServerBody(more: ", \"availability_zone\": \"london\""))).Expect(400);
    }

    [Fact]
    public async Task A_server_goes_to_the_zone_that_it_asks_for_and_shows_the_zone_of_its_host()
    {
        await using var nova = await NovaCloud.StartAsync();
        await nova.AddHostAsync("host2");
        (await AddAsync(nova, await CreateAsync(nova, "a", "london"), "host2")).Expect(200);
        var forced = await nova.Admin().PostAsync("/v2.1/servers", nova.ServerBody("forced", ", \"availability_zone\": \"london:host2\""));
        var id = forced.Expect(202).Json.GetProperty("server").GetProperty("id").GetString()!;
        await nova.WaitForStatusAsync(id, "ACTIVE");
        var server = await nova.ShowAsync(id);
        Assert.Equal("london", server.GetProperty("OS-EXT-AZ:availability_zone").GetString());
        Assert.Equal("host2", server.GetProperty("OS-EXT-SRV-ATTR:host").GetString());
        Assert.Equal("london", server.GetProperty("pinned_availability_zone").GetString());
        // Without a wish: the zone of the host, pinned to none.
        var free = await nova.ShowAsync(await nova.BootAsync());
        Assert.Equal("nova", free.GetProperty("OS-EXT-AZ:availability_zone").GetString());
        Assert.Equal(JsonValueKind.Null, free.GetProperty("pinned_availability_zone").ValueKind);
    }

    [Theory]
    [InlineData("demo", "nova:host1", 403)]
    [InlineData("demo", "nowhere", 400)]
    [InlineData("admin", "nova:host1", 202)]
    [InlineData("admin", "nova:host1:host1", 202)]
    [InlineData("admin", "nova::host1", 202)]
    [InlineData("admin", ":host1", 202)]
    [InlineData("admin", "nova:host1:host1:more", 400)]
    [InlineData("admin", "nova:nohost", 400)]
    [InlineData("demo", "nova", 202)]
    [InlineData("demo", "internal", 400)]
    public async Task A_zone_may_name_a_host_where_the_policy_lets_it(string who, string zone, int status)
    {
        await using var nova = await NovaCloud.StartAsync();
        using var client = nova.Cloud.Client("nova-api", who, "compute 2.96");
        (await client.PostAsync("/v2.1/servers", nova.ServerBody(more: $", \"availability_zone\": \"{zone}\""))).Expect(status);
    }

    [Fact]
    public async Task The_default_zone_of_servers_is_the_configured_one()
    {
        await using var nova = await NovaCloud.StartAsync(settings: [("nova", "DEFAULT", "default_schedule_zone", "london"), ("nova", "DEFAULT", "default_availability_zone", "paris")]);
        (await nova.Demo().PostAsync("/v2.1/servers", nova.ServerBody())).Expect(400);
        (await AddAsync(nova, await CreateAsync(nova, "a", "london"), "host1")).Expect(200);
        Assert.Equal("london", (await nova.ShowAsync(await nova.BootAsync())).GetProperty("pinned_availability_zone").GetString());
    }

    [Fact]
    public async Task What_an_aggregate_cannot_do_is_refused_with_the_reason()
    {
        await using var nova = await NovaCloud.StartAsync();
        var london = await CreateAsync(nova, "a", "london");
        var paris = await CreateAsync(nova, "b", "paris");
        Assert.Equal("Aggregate a already exists.", MessageOf((await nova.Admin().PostAsync(Path, """{"aggregate": {"name": "a"}}""")).Expect(409)));
        Assert.Equal("Aggregate a already exists.", MessageOf((await nova.Admin().PutAsync($"{Path}/{paris}", """{"aggregate": {"name": "a"}}""")).Expect(409)));
        (await AddAsync(nova, london, "host1")).Expect(200);
        Assert.Equal($"Aggregate {london} already has host host1.", MessageOf((await AddAsync(nova, london, "host1")).Expect(409)));
        Assert.Equal(
            $"Cannot add host to aggregate {paris}. Reason: One or more hosts already in availability zone(s) ['london'].", MessageOf((await AddAsync(nova, paris, "host1")).Expect(409)));
        Assert.Equal("Compute host nohost could not be found.", MessageOf((await AddAsync(nova, london, "nohost")).Expect(404)));
        Assert.Equal($"Cannot remove host host1 in aggregate {paris}", MessageOf((await RemoveAsync(nova, paris, "host1")).Expect(404)));
        Assert.Equal($"Cannot remove host from aggregate {london}. Reason: Host aggregate is not empty.", MessageOf((await nova.Admin().DeleteAsync($"{Path}/{london}")).Expect(400)));
        Assert.Equal(
            $"Cannot update aggregate {paris}. Reason: Aggregate b does not support empty named availability zone.",
            MessageOf((await nova.Admin().PutAsync($"{Path}/{paris}", """{"aggregate": {"availability_zone": null}}""")).Expect(400)));
        await nova.BootAsync();
        Assert.Equal(
            $"Cannot update metadata of aggregate {london}. Reason: One or more hosts contain instances in this zone.",
            MessageOf((await ActAsync(nova, london, "set_metadata", new { metadata = new { availability_zone = "rome" } })).Expect(400)));
        (await nova.Admin().PutAsync($"{Path}/{london}", """{"aggregate": {"name": "c", "availability_zone": "london"}}""")).Expect(200);
        foreach (var body in (string[])
        [
            """{"aggregate": {"name": ""}}""", """{"aggregate": {"name": "x", "availability_zone": "a:b"}}""", """{"aggregate": {"availability_zone": "x"}}""",
            """{"aggregate": {"name": "x", "more": 1}}""", """{"name": "x"}""", "[]",
        ])
        {
            (await nova.Admin().PostAsync(Path, body)).Expect(400);
        }

        (await nova.Admin().PutAsync($"{Path}/{paris}", """{"aggregate": {}}""")).Expect(400);
        (await nova.Admin().GetAsync($"{Path}/9999")).Expect(404);
        (await nova.Admin().GetAsync($"{Path}/word")).Expect(400);
        (await nova.Admin().PostAsync($"{Path}/{paris}/action", """{"fly": {}}""")).Expect(400);
        (await nova.Admin().PostAsync($"{Path}/{paris}/action", "[]")).Expect(400);
        (await nova.Demo().GetAsync(Path)).Expect(403);
        (await nova.Demo().PostAsync($"{Path}/{paris}/action", """{"add_host": {"host": "host1"}}""")).Expect(403);
    }

    [Fact]
    public async Task What_placement_did_not_take_reaches_it_later()
    {
        await using var nova = await NovaCloud.StartAsync();
        var refused = 2;
        nova.Services.Before = (method, path) =>
        {
            if (method == "PUT" && path.EndsWith("/aggregates", StringComparison.Ordinal) && Interlocked.Decrement(ref refused) >= 0)
            {
                throw SharpStack.Foundation.CloudException.Unavailable("Placement rests.");
            }
        };
        (await AddAsync(nova, await CreateAsync(nova, "a"), "host1")).Expect(200);
        await Eventually.TrueAsync(() => MirroredOf(nova, "host1").Length == 1, "the aggregate in Placement");
    }

    [Fact]
    public async Task The_hosts_of_an_aggregate_are_told_which_images_to_fetch()
    {
        await using var nova = await NovaCloud.StartAsync();
        await nova.AddHostAsync("host2");
        var id = await CreateAsync(nova, "a");
        (await AddAsync(nova, id, "host1")).Expect(200);
        var path = $"{Path}/{id}/images";
        var body = $$"""{"cache": [{"id": "{{nova.ImageId}}"}]}""";
        (await nova.Admin("compute 2.80").PostAsync(path, body)).Expect(404);
        (await nova.Admin().PostAsync(path, body)).Expect(202);
        await Eventually.TrueAsync(() => nova.Host.Cached.Contains(nova.ImageId), "host1 was told");
        (await nova.Admin().PostAsync(path, $$"""{"cache": [{"id": "{{nova.ImageId}}"}, {"id": "{{nova.ImageId}}"}]}""")).Expect(400);
        (await nova.Admin().PostAsync(path, $$"""{"cache": [{"id": "{{Guid.NewGuid()}}"}]}""")).Expect(400);
        (await nova.Admin().PostAsync(path, """{"cache": []}""")).Expect(400);
        (await nova.Demo().PostAsync(path, body)).Expect(403);
    }
}
