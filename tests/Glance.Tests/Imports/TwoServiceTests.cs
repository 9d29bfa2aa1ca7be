using System.IO.Pipelines;
using Microsoft.Extensions.DependencyInjection;
using SharpStack.Foundation.Storage.Leases;
using SharpStack.Glance.Imports;
using SharpStack.Glance.Storage;
using SharpStack.TestKit;

namespace SharpStack.Glance.Tests.Imports;

/// <summary>Two glance-apis on one database, one store and one staging folder.</summary>
public sealed class TwoServiceTests
{
    private const string GlanceDirect = """{"method": {"name": "glance-direct"}}""";

    [Fact]
    public async Task An_upload_of_one_that_died_is_given_up_and_what_it_still_writes_does_not_harm_the_next()
    {
        await using var first = await StartAsync(null);
        await using var second = await StartAsync(first);
        using var here = first.Glance();
        using var there = second.Glance();
        var id = await here.CreateAsync();
        var pipe = new Pipe();
        await pipe.Writer.WriteAsync(new byte[20_000], TestContext.Current.CancellationToken);
        var hanging = here.UploadAsync(id, new StreamContent(pipe.Reader.AsStream()));
        await Eventually.TrueAsync(async () => (await there.ShowAsync(id)).Text("status") == "saving", "the upload has begun");
        (await there.UploadAsync(id, [1, 2, 3])).Expect(409);

        // The process hangs: its beat does, and its client.
        await first.Get<GlanceLeases>().Keeper.DisposeAsync();
        await Eventually.TrueAsync(async () => (await there.ShowAsync(id)).Text("status") == "queued", "the image is queued again");
        (await there.UploadAsync(id, [1, 2, 3])).Expect(204);

        // And it comes back, and ends what it had begun.
        await pipe.Writer.CompleteAsync();
        Assert.InRange((await hanging).Status, 400, 599);
        var image = await there.ShowAsync(id);
        Assert.Equal(("active", 3), (image.Text("status"), image.GetProperty("size").GetInt32()));
        Assert.Equal([1, 2, 3], (await there.GetAsync($"/v2/images/{id}/file")).Expect(200).Body);
        Assert.Single(first.StoredFiles());
    }

    [Fact]
    public async Task Two_attempts_that_end_at_the_same_time_leave_the_data_of_the_one_that_counts()
    {
        await using var cloud = await StartAsync(null);
        using var client = cloud.Glance();
        var id = await client.CreateAsync();
        // What an attempt has moved into its place, and was then cut off.
        var place = Path.Combine(cloud.Data, "glance", "images", id);
        await File.WriteAllBytesAsync(place, [9, 9], TestContext.Current.CancellationToken);
        (await client.UploadAsync(id, [1, 2, 3])).Expect(204);
        File.Delete(place);
        Assert.Equal([1, 2, 3], (await client.GetAsync($"/v2/images/{id}/file")).Expect(200).Body);
        (await client.DeleteAsync($"/v2/images/{id}")).Expect(204);
        Assert.Empty(cloud.StoredFiles());
    }

    [Fact]
    public async Task An_import_that_both_look_at_is_done_by_one()
    {
        await using var first = await StartAsync(null);
        await using var second = await StartAsync(first);
        using var here = first.Glance();
        using var there = second.Glance();
        for (var round = 0; round < 8; round++)
        {
            var id = await here.CreateAsync();
            (await here.UploadAsync(id, new ByteArrayContent(new byte[100_000]), "stage")).Expect(204);
            (await there.PostAsync($"/v2/images/{id}/import", GlanceDirect)).Expect(202);
            first.Get<ImportWorker>().Look(id);
            second.Get<ImportWorker>().Look(id);
            await Eventually.TrueAsync(async () => (await there.ShowAsync(id)).Text("status") == "active", "the image is active");
            await Eventually.TrueAsync(
                async () => (await here.GetAsync($"/v2/images/{id}/tasks")).Json.GetProperty("tasks").EnumerateArray().Single().Text("status") == "success", "the task has ended");
            Assert.Equal(round + 1, first.StoredFiles().Count);
        }
    }

    private static Task<TestCloud> StartAsync(TestCloud? other) =>
        TestCloud.StartAsync(
            [new GlanceModule()],
            null,
            other?.Data,
            services: container => container.AddSingleton(new LeaseTimings(TimeSpan.FromMilliseconds(100), TimeSpan.FromSeconds(3))),
            keepsData: other is not null);
}
