using SharpStack.TestKit;

namespace SharpStack.Glance.Tests.Imports;

public sealed class ImportTests
{
    private const string GlanceDirect = """{"method": {"name": "glance-direct"}}""";

    [Fact]
    public async Task Staged_data_is_imported()
    {
        await using var cloud = await GlanceCloud.StartAsync();
        using var client = cloud.Glance();
        var id = await client.CreateAsync(diskFormat: "qcow2");
        (await client.PostAsync($"/v2/images/{id}/import", GlanceDirect)).Expect(409);
        (await StageAsync(client, id, GlanceCloud.Qcow2())).Expect(204);
        Assert.Equal("uploading", (await client.ShowAsync(id)).Text("status"));
        (await client.UploadAsync(id, [1])).Expect(409);
        (await client.PostAsync($"/v2/images/{id}/import", GlanceDirect)).Expect(202);
        await Eventually.TrueAsync(async () => (await client.ShowAsync(id)).Text("status") == "active", "the image is active");

        Assert.Equal(GlanceCloud.Qcow2(), (await client.GetAsync($"/v2/images/{id}/file")).Expect(200).Body);
        await Eventually.TrueAsync(async () => (await TaskAsync(client, id)).Text("status") == "success", "the task has ended");
        Assert.Empty(Directory.EnumerateFiles(Path.Combine(cloud.Data, "glance", "staging")));
        (await client.PostAsync($"/v2/images/{id}/import", GlanceDirect)).Expect(409);
    }

    [Fact]
    public async Task A_refused_import_says_why_and_leaves_nothing()
    {
        await using var cloud = await GlanceCloud.StartAsync();
        using var client = cloud.Glance();
        var id = await client.CreateAsync(diskFormat: "qcow2");
        (await StageAsync(client, id, GlanceCloud.Qcow2(backingFile: 512))).Expect(204);
        (await client.PostAsync($"/v2/images/{id}/import", GlanceDirect)).Expect(202);
        await Eventually.TrueAsync(async () => (await TaskAsync(client, id)).Text("status") == "failure", "the task has ended");
        Assert.Contains("backing file", (await TaskAsync(client, id)).Text("message"), StringComparison.Ordinal);
        Assert.Equal("queued", (await client.ShowAsync(id)).Text("status"));
        Assert.Empty(cloud.StoredFiles());
        Assert.Empty(Directory.EnumerateFiles(Path.Combine(cloud.Data, "glance", "staging")));
    }

    [Theory]
    [InlineData("""{"method": {"name": "web-download", "uri": "http://169.254.169.254/"}}""")]
    [InlineData("""{"method": {"name": "copy-image"}}""")]
    [InlineData("""{"method": {}}""")]
    [InlineData("""{"method": "glance-direct"}""")]
    [InlineData("{}")]
    public async Task Other_import_methods_are_refused(string body)
    {
        await using var cloud = await GlanceCloud.StartAsync();
        using var client = cloud.Glance();
        var id = await client.CreateAsync();
        (await client.PostAsync($"/v2/images/{id}/import", body)).Expect(400);
        Assert.Equal("queued", (await client.ShowAsync(id)).Text("status"));
    }

    [Fact]
    public async Task Deleting_a_staged_image_removes_its_data()
    {
        await using var cloud = await GlanceCloud.StartAsync();
        using var client = cloud.Glance();
        var id = await client.CreateAsync();
        (await StageAsync(client, id, [1, 2, 3])).Expect(204);
        (await client.DeleteAsync($"/v2/images/{id}")).Expect(204);
        Assert.Empty(Directory.EnumerateFiles(Path.Combine(cloud.Data, "glance", "staging")));
    }

    [Fact]
    public async Task All_tasks_are_the_administrators()
    {
        await using var cloud = await GlanceCloud.StartAsync();
        using var demo = cloud.Glance("demo");
        (await demo.GetAsync("/v2/tasks")).Expect(403);
        using var admin = cloud.Glance();
        Assert.Equal(0, (await admin.GetAsync("/v2/tasks")).Expect(200).Json.GetProperty("tasks").GetArrayLength());
        (await admin.GetAsync($"/v2/tasks/{Guid.NewGuid():D}")).Expect(404);
    }

    private static Task<TestAnswer> StageAsync(TestClient client, string id, byte[] data) => client.UploadAsync(id, new ByteArrayContent(data), "stage");

    private static async Task<System.Text.Json.JsonElement> TaskAsync(TestClient client, string id) =>
        (await client.GetAsync($"/v2/images/{id}/tasks")).Expect(200).Json.GetProperty("tasks").EnumerateArray().Single();
}
