using System.Text.Json;
using SharpStack.TestKit;

namespace SharpStack.Glance.Tests.Images;

public sealed class ImageTests
{
    [Fact]
    public async Task An_image_has_the_attributes_of_the_api()
    {
        await using var cloud = await GlanceCloud.StartAsync();
        using var client = cloud.Glance();
        var answer = await client.PostAsync(
            "/v2/images",
            """{"id": "b2173dd3-7ad6-4362-baa6-a68bce3565cb", "name": "Ubuntu", "disk_format": "qcow2", "container_format": "bare", "min_disk": 1, "tags": ["a", "b", "a"], "hw_disk_bus": "virtio", "visibility": "public"}""");

        var image = answer.Expect(201).Json;
        Assert.Equal("http://glance-api.local/v2/images/b2173dd3-7ad6-4362-baa6-a68bce3565cb", answer.Headers.Location!.ToString());
        Assert.Equal("glance-direct", answer.Headers.GetValues("OpenStack-image-import-methods").Single());
        Assert.Equal("queued", image.Text("status"));
        Assert.Equal("virtio", image.Text("hw_disk_bus"));
        Assert.Equal(TestIdentities.AdminProject, image.Text("owner"));
        Assert.Equal(["a", "b"], image.GetProperty("tags").EnumerateArray().Select(tag => tag.GetString()));
        Assert.Equal("/v2/images/b2173dd3-7ad6-4362-baa6-a68bce3565cb/file", image.Text("file"));
        Assert.Equal("/v2/schemas/image", image.Text("schema"));
        foreach (var name in new[] { "size", "virtual_size", "checksum", "os_hash_algo", "os_hash_value" })
        {
            Assert.Equal(JsonValueKind.Null, image.GetProperty(name).ValueKind);
        }

        Assert.Equal(1, image.GetProperty("min_disk").GetInt32());
        Assert.Matches(@"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$", image.Text("created_at"));
        Assert.Equal(image.GetRawText(), (await client.ShowAsync("b2173dd3-7ad6-4362-baa6-a68bce3565cb")).GetRawText());
    }

    [Fact]
    public async Task An_id_is_used_once_even_after_its_image_is_deleted()
    {
        await using var cloud = await GlanceCloud.StartAsync();
        using var client = cloud.Glance();
        const string body = """{"id": "b2173dd3-7ad6-4362-baa6-a68bce3565cb"}""";
        (await client.PostAsync("/v2/images", body)).Expect(201);
        (await client.PostAsync("/v2/images", body)).Expect(409);
        (await client.DeleteAsync("/v2/images/b2173dd3-7ad6-4362-baa6-a68bce3565cb")).Expect(204);
        (await client.GetAsync("/v2/images/b2173dd3-7ad6-4362-baa6-a68bce3565cb")).Expect(404);
        (await client.PostAsync("/v2/images", body)).Expect(409);
    }

    [Theory]
    [InlineData("""{"name": 5}""", 400)]
    [InlineData("""{"id": "not-a-uuid"}""", 400)]
    [InlineData("""{"disk_format": "floppy"}""", 400)]
    [InlineData("""{"container_format": "box"}""", 400)]
    [InlineData("""{"visibility": "secret"}""", 400)]
    [InlineData("""{"min_disk": -1}""", 400)]
    [InlineData("""{"min_ram": 1.5}""", 400)]
    [InlineData("""{"my_property": 5}""", 400)]
    [InlineData("""{"tags": "one"}""", 400)]
    [InlineData("""[]""", 400)]
    [InlineData("""{"name": """, 400)]
    [InlineData("""{"status": "active"}""", 403)]
    [InlineData("""{"checksum": "abc"}""", 403)]
    [InlineData("""{"direct_url": "file:///etc/passwd"}""", 403)]
    [InlineData("""{"location": "file:///etc/passwd"}""", 403)]
    [InlineData("""{"locations": [{"url": "file:///etc/passwd", "metadata": {}}]}""", 403)]
    [InlineData("""{"os_glance_import_task": "x"}""", 403)]
    public async Task What_may_not_be_created_is_refused(string body, int status)
    {
        await using var cloud = await GlanceCloud.StartAsync();
        using var client = cloud.Glance();
        (await client.PostAsync("/v2/images", body)).Expect(status);
        Assert.Equal(0, (await client.GetAsync("/v2/images")).Expect(200).Json.GetProperty("images").GetArrayLength());
    }

    [Fact]
    public async Task Only_an_administrator_publicizes_or_creates_for_others()
    {
        await using var cloud = await GlanceCloud.StartAsync();
        using var demo = cloud.Glance("demo");
        (await demo.PostAsync("/v2/images", """{"visibility": "public"}""")).Expect(403);
        (await demo.PostAsync("/v2/images", $$"""{"owner": "{{TestIdentities.OtherProject}}"}""")).Expect(403);
        var id = await demo.CreateAsync();
        (await demo.PatchAsync($"/v2/images/{id}", """[{"op": "replace", "path": "/visibility", "value": "public"}]""", GlanceCloud.Patch21)).Expect(403);
        (await demo.PatchAsync($"/v2/images/{id}", $$"""[{"op": "replace", "path": "/owner", "value": "{{TestIdentities.OtherProject}}"}]""", GlanceCloud.Patch21)).Expect(403);
        using var reader = cloud.Glance("reader");
        (await reader.PostAsync("/v2/images", "{}")).Expect(403);
        (await reader.DeleteAsync($"/v2/images/{id}")).Expect(403);
        using var admin = cloud.Glance();
        (await admin.PatchAsync($"/v2/images/{id}", """[{"op": "replace", "path": "/visibility", "value": "public"}]""", GlanceCloud.Patch21)).Expect(200);
    }

    [Fact]
    public async Task What_one_may_not_see_is_not_there()
    {
        await using var cloud = await GlanceCloud.StartAsync();
        using var demo = cloud.Glance("demo");
        using var other = cloud.Glance("other");
        var hidden = await demo.CreateAsync(more: """, "visibility": "private" """);
        var community = await demo.CreateAsync(more: """, "visibility": "community" """);

        Assert.Contains($"No image found with ID {hidden}", (await other.GetAsync($"/v2/images/{hidden}")).Expect(404).Text, StringComparison.Ordinal);
        (await other.DeleteAsync($"/v2/images/{hidden}")).Expect(404);
        (await other.PatchAsync($"/v2/images/{hidden}", """[{"op": "replace", "path": "/name", "value": "x"}]""", GlanceCloud.Patch21)).Expect(404);
        (await other.GetAsync($"/v2/images/{hidden}/file")).Expect(404);
        (await other.UploadAsync(hidden, new ByteArrayContent([1]), token: "other")).Expect(404);

        (await other.GetAsync($"/v2/images/{community}")).Expect(200);
        (await other.DeleteAsync($"/v2/images/{community}")).Expect(403);
        Assert.Empty(Ids(await other.GetAsync("/v2/images")));
        Assert.Equal([community], Ids(await other.GetAsync("/v2/images?visibility=community")));
        Assert.Equal([community], Ids(await other.GetAsync("/v2/images?visibility=all")));
        Assert.Equal([community, hidden], Ids(await demo.GetAsync("/v2/images")));
    }

    [Fact]
    public async Task A_patch_adds_replaces_and_removes()
    {
        await using var cloud = await GlanceCloud.StartAsync();
        using var client = cloud.Glance();
        var id = await client.CreateAsync(more: """, "one": "1", "two": "2" """);
        var patched = await client.PatchAsync(
            $"/v2/images/{id}",
            """
            [{"op": "replace", "path": "/name", "value": "new"}, {"op": "add", "path": "/three", "value": "3"}, {"op": "replace", "path": "/two", "value": "zwei"},
             {"op": "remove", "path": "/one"}, {"op": "replace", "path": "/tags", "value": ["x"]}, {"op": "add", "path": "/a~1b", "value": "slash"}, {"op": "replace", "path": "/os_hidden", "value": true}]
            """,
            GlanceCloud.Patch21);

        var image = patched.Expect(200).Json;
        Assert.Equal("new", image.Text("name"));
        Assert.Equal("3", image.Text("three"));
        Assert.Equal("zwei", image.Text("two"));
        Assert.Equal("slash", image.Text("a/b"));
        Assert.False(image.TryGetProperty("one", out _));
        Assert.Empty(Ids(await client.GetAsync("/v2/images")));
        Assert.Equal([id], Ids(await client.GetAsync("/v2/images?os_hidden=true")));
        Assert.Equal(image.GetRawText(), (await client.ShowAsync(id)).GetRawText());
    }

    [Fact]
    public async Task The_older_patch_form_refuses_to_add_what_is_there()
    {
        await using var cloud = await GlanceCloud.StartAsync();
        using var client = cloud.Glance();
        var id = await client.CreateAsync();
        const string older = "application/openstack-images-v2.0-json-patch";
        Assert.Equal("1", (await client.PatchAsync($"/v2/images/{id}", """[{"add": "/one", "value": "1"}]""", older)).Expect(200).Json.Text("one"));
        (await client.PatchAsync($"/v2/images/{id}", """[{"add": "/one", "value": "2"}]""", older)).Expect(409);
        (await client.PatchAsync($"/v2/images/{id}", """[{"op": "add", "path": "/one", "value": "2"}]""", older)).Expect(400);
    }

    [Theory]
    [InlineData("""[{"op": "remove", "path": "/name"}]""", 403)]
    [InlineData("""[{"op": "remove", "path": "/nothing"}]""", 409)]
    [InlineData("""[{"op": "replace", "path": "/nothing", "value": "x"}]""", 409)]
    [InlineData("""[{"op": "replace", "path": "/status", "value": "active"}]""", 403)]
    [InlineData("""[{"op": "replace", "path": "/id", "value": "x"}]""", 403)]
    [InlineData("""[{"op": "add", "path": "/locations/-", "value": {"url": "file:///etc/passwd", "metadata": {}}}]""", 403)]
    [InlineData("""[{"op": "move", "path": "/name", "value": "x"}]""", 400)]
    [InlineData("""[{"op": "replace", "path": "name", "value": "x"}]""", 400)]
    [InlineData("""[{"op": "replace", "path": "/tags/0", "value": "x"}]""", 400)]
    [InlineData("""[{"op": "replace", "path": "/name"}]""", 400)]
    [InlineData("""[{"op": "replace", "path": "/name", "value": 5}]""", 400)]
    [InlineData("""[{"op": "replace", "path": "/min_disk", "value": -5}]""", 400)]
    [InlineData("""{"name": "x"}""", 400)]
    [InlineData("""["x"]""", 400)]
    public async Task A_wrong_patch_changes_nothing(string body, int status)
    {
        await using var cloud = await GlanceCloud.StartAsync();
        using var client = cloud.Glance();
        var id = await client.CreateAsync();
        var before = (await client.ShowAsync(id)).GetRawText();
        (await client.PatchAsync($"/v2/images/{id}", body, GlanceCloud.Patch21)).Expect(status);
        Assert.Equal(before, (await client.ShowAsync(id)).GetRawText());
    }

    [Fact]
    public async Task A_patch_of_another_media_type_names_those_accepted()
    {
        await using var cloud = await GlanceCloud.StartAsync();
        using var client = cloud.Glance();
        var id = await client.CreateAsync();
        var answer = await client.PatchAsync($"/v2/images/{id}", "[]");
        Assert.Contains(GlanceCloud.Patch21, answer.Expect(415).Headers.GetValues("Accept-Patch").Single(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_protected_image_cannot_be_deleted()
    {
        await using var cloud = await GlanceCloud.StartAsync();
        using var client = cloud.Glance();
        var id = await client.CreateAsync(more: """, "protected": true""");
        Assert.Contains("is protected and cannot be deleted", (await client.DeleteAsync($"/v2/images/{id}")).Expect(403).Text, StringComparison.Ordinal);
        (await client.PatchAsync($"/v2/images/{id}", """[{"op": "replace", "path": "/protected", "value": false}]""", GlanceCloud.Patch21)).Expect(200);
        (await client.DeleteAsync($"/v2/images/{id}")).Expect(204);
        (await client.DeleteAsync($"/v2/images/{id}")).Expect(404);
    }

    [Fact]
    public async Task A_list_is_paged_in_a_stable_order_without_gaps()
    {
        await using var cloud = await GlanceCloud.StartAsync();
        using var client = cloud.Glance();
        var created = new List<string>();
        for (var i = 0; i < 7; i++)
        {
            created.Add(await client.CreateAsync($"image-{i % 3}"));
        }

        var seen = new List<string>();
        var next = "/v2/images?limit=2&sort=name:asc,created_at:desc";
        Assert.DoesNotContain("marker", (await client.GetAsync(next)).Expect(200).Json.Text("first"), StringComparison.Ordinal);
        while (next is not null)
        {
            var page = (await client.GetAsync(next)).Expect(200).Json;
            seen.AddRange(page.GetProperty("images").EnumerateArray().Select(image => image.Text("id")));
            next = page.TryGetProperty("next", out var link) ? link.GetString() : null;
        }

        Assert.Equal([created[6], created[3], created[0], created[4], created[1], created[5], created[2]], seen);
        Assert.Equal(created.AsEnumerable().Reverse(), Ids(await client.GetAsync("/v2/images")));
        Assert.Equal(created, Ids(await client.GetAsync("/v2/images?sort_key=created_at&sort_dir=asc")));
    }

    [Fact]
    public async Task Filters_select_images()
    {
        await using var cloud = await GlanceCloud.StartAsync();
        using var client = cloud.Glance();
        var small = await client.CreateAsync("small", more: """, "os_distro": "debian", "tags": ["x", "y"], "min_ram": 64""");
        (await client.UploadAsync(small, new byte[10])).Expect(204);
        var large = await client.CreateAsync("la,rge", more: """, "tags": ["x"]""");
        (await client.UploadAsync(large, new byte[100])).Expect(204);

        async Task Selects(string query, params string[] expected) => Assert.Equal(expected, Ids(await client.GetAsync($"/v2/images?{query}&sort=created_at:asc")));
        await Selects("name=small", small);
        await Selects("name=in:small,other", small);
        await Selects("name=in:small,%22la,rge%22", small, large);
        await Selects("tag=x", small, large);
        await Selects("tag=x&tag=y", small);
        await Selects("os_distro=debian", small);
        await Selects("size_min=11", large);
        await Selects("size_max=10", small);
        await Selects("size=100", large);
        await Selects("min_ram_min=64", small);
        await Selects("status=queued");
        await Selects("status=in:active,queued", small, large);
        await Selects($"id={large}", large);
        await Selects($"owner={TestIdentities.AdminProject}", small, large);
        await Selects("protected=true");
        await Selects("created_at=gte:2000-01-01T00:00:00Z", small, large);
        await Selects("created_at=lt:2000-01-01T00:00:00Z");
        await Selects("nothing=here");
    }

    [Theory]
    [InlineData("limit=-1")]
    [InlineData("limit=many")]
    [InlineData("sort=colour")]
    [InlineData("sort=name:sideways")]
    [InlineData("sort=name&sort_key=id")]
    [InlineData("sort_key=id&sort_dir=asc&sort_dir=desc")]
    [InlineData("visibility=secret")]
    [InlineData("member_status=maybe")]
    [InlineData("size_min=big")]
    [InlineData("created_at=lately")]
    [InlineData("name=near:x")]
    [InlineData("name=in:%22x")]
    [InlineData("os_hidden=perhaps")]
    [InlineData("marker=b2173dd3-7ad6-4362-baa6-a68bce3565cb")]
    public async Task A_wrong_query_is_the_clients_mistake(string query)
    {
        await using var cloud = await GlanceCloud.StartAsync();
        using var client = cloud.Glance();
        (await client.GetAsync($"/v2/images?{query}")).Expect(400);
    }

    [Fact]
    public async Task Tags_come_and_go()
    {
        await using var cloud = await GlanceCloud.StartAsync(("DEFAULT", "image_tag_quota", "2"));
        using var client = cloud.Glance();
        var id = await client.CreateAsync();
        (await client.PutAsync($"/v2/images/{id}/tags/one")).Expect(204);
        (await client.PutAsync($"/v2/images/{id}/tags/two")).Expect(204);
        (await client.PutAsync($"/v2/images/{id}/tags/one")).Expect(204);
        (await client.PutAsync($"/v2/images/{id}/tags/three")).Expect(413);
        (await client.DeleteAsync($"/v2/images/{id}/tags/one")).Expect(204);
        (await client.DeleteAsync($"/v2/images/{id}/tags/one")).Expect(404);
        Assert.Equal(["two"], (await client.ShowAsync(id)).GetProperty("tags").EnumerateArray().Select(tag => tag.GetString()));
        (await client.PutAsync($"/v2/images/{Guid.NewGuid():D}/tags/one")).Expect(404);
    }

    [Fact]
    public async Task A_deactivated_image_is_not_downloaded_but_by_an_administrator()
    {
        await using var cloud = await GlanceCloud.StartAsync();
        using var demo = cloud.Glance("demo");
        using var admin = cloud.Glance();
        var id = await demo.CreateAsync();
        Assert.Contains("Not allowed to deactivate image in status 'queued'", (await demo.PostAsync($"/v2/images/{id}/actions/deactivate")).Expect(403).Text.Replace("&#39;", "'", StringComparison.Ordinal), StringComparison.Ordinal);
        (await demo.UploadAsync(id, new ByteArrayContent([1, 2, 3]), token: "demo")).Expect(204);
        (await demo.PostAsync($"/v2/images/{id}/actions/deactivate")).Expect(204);
        Assert.Equal("deactivated", (await demo.ShowAsync(id)).Text("status"));
        (await demo.GetAsync($"/v2/images/{id}/file")).Expect(403);
        (await admin.GetAsync($"/v2/images/{id}/file")).Expect(200);
        (await demo.PostAsync($"/v2/images/{id}/actions/reactivate")).Expect(204);
        (await demo.GetAsync($"/v2/images/{id}/file")).Expect(200);
    }

    private static IEnumerable<string> Ids(TestAnswer list) => list.Expect(200).Json.GetProperty("images").EnumerateArray().Select(image => image.Text("id"));
}
