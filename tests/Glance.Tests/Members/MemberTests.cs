using SharpStack.TestKit;

namespace SharpStack.Glance.Tests.Members;

public sealed class MemberTests
{
    [Fact]
    public async Task A_shared_image_is_listed_once_its_member_accepts()
    {
        await using var cloud = await GlanceCloud.StartAsync();
        using var demo = cloud.Glance("demo");
        using var other = cloud.Glance("other");
        var id = await demo.CreateAsync();
        (await demo.UploadAsync(id, new ByteArrayContent([7]), token: "demo")).Expect(204);
        (await other.GetAsync($"/v2/images/{id}")).Expect(404);

        var member = (await demo.PostAsync($"/v2/images/{id}/members", $$"""{"member": "{{TestIdentities.OtherProject}}"}""")).Expect(200).Json;
        Assert.Equal("pending", member.Text("status"));
        Assert.Equal(id, member.Text("image_id"));
        (await demo.PostAsync($"/v2/images/{id}/members", $$"""{"member": "{{TestIdentities.OtherProject}}"}""")).Expect(409);
        (await other.GetAsync($"/v2/images/{id}")).Expect(200);
        Assert.Equal(0, await CountAsync(other, ""));
        Assert.Equal(1, await CountAsync(other, "?member_status=pending"));

        var path = $"/v2/images/{id}/members/{TestIdentities.OtherProject}";
        (await demo.PutAsync(path, """{"status": "accepted"}""")).Expect(403);
        (await other.PutAsync(path, """{"status": "perhaps"}""")).Expect(400);
        Assert.Equal("accepted", (await other.PutAsync(path, """{"status": "accepted"}""")).Expect(200).Json.Text("status"));
        Assert.Equal(1, await CountAsync(other, ""));
        Assert.Equal([7], (await other.GetAsync($"/v2/images/{id}/file")).Expect(200).Body);
        Assert.Equal("accepted", (await other.GetAsync(path)).Expect(200).Json.Text("status"));

        (await other.DeleteAsync(path)).Expect(403);
        (await other.PatchAsync($"/v2/images/{id}", """[{"op": "replace", "path": "/name", "value": "mine"}]""", GlanceCloud.Patch21)).Expect(403);
        (await demo.DeleteAsync(path)).Expect(204);
        (await demo.DeleteAsync(path)).Expect(404);
        (await other.GetAsync($"/v2/images/{id}")).Expect(404);
    }

    [Fact]
    public async Task A_member_sees_only_its_own_membership()
    {
        await using var cloud = await GlanceCloud.StartAsync();
        using var demo = cloud.Glance("demo");
        using var other = cloud.Glance("other");
        var id = await demo.CreateAsync();
        foreach (var project in new[] { TestIdentities.OtherProject, TestIdentities.ServiceProject })
        {
            (await demo.PostAsync($"/v2/images/{id}/members", $$"""{"member": "{{project}}"}""")).Expect(200);
        }

        Assert.Equal(2, (await demo.GetAsync($"/v2/images/{id}/members")).Expect(200).Json.GetProperty("members").GetArrayLength());
        Assert.Equal(TestIdentities.OtherProject, (await other.GetAsync($"/v2/images/{id}/members")).Expect(200).Json.GetProperty("members").EnumerateArray().Single().Text("member_id"));
        (await other.GetAsync($"/v2/images/{id}/members/{TestIdentities.ServiceProject}")).Expect(404);
        (await other.PostAsync($"/v2/images/{id}/members", """{"member": "x"}""")).Expect(403);
    }

    [Fact]
    public async Task Only_shared_images_have_members()
    {
        await using var cloud = await GlanceCloud.StartAsync(("DEFAULT", "image_member_quota", "1"));
        using var demo = cloud.Glance("demo");
        var hidden = await demo.CreateAsync(more: """, "visibility": "private" """);
        (await demo.PostAsync($"/v2/images/{hidden}/members", """{"member": "x"}""")).Expect(403);
        (await demo.GetAsync($"/v2/images/{hidden}/members")).Expect(403);
        var shared = await demo.CreateAsync();
        (await demo.PostAsync($"/v2/images/{shared}/members", """{"member": ""}""")).Expect(400);
        (await demo.PostAsync($"/v2/images/{shared}/members", "{}")).Expect(400);
        (await demo.PostAsync($"/v2/images/{shared}/members", "[]")).Expect(400);
        (await demo.PostAsync($"/v2/images/{shared}/members", """{"member": "x"}""")).Expect(200);
        (await demo.PostAsync($"/v2/images/{shared}/members", """{"member": "y"}""")).Expect(413);
    }

    private static async Task<int> CountAsync(TestClient client, string query) => (await client.GetAsync("/v2/images" + query)).Expect(200).Json.GetProperty("images").GetArrayLength();
}
