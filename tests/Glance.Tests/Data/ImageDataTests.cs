using System.Net;
using System.Security.Cryptography;
using LinqToDB.Data;
using SharpStack.TestKit;

namespace SharpStack.Glance.Tests.Data;

public sealed class ImageDataTests
{
    [Fact]
    public async Task Data_comes_back_as_it_was_sent_with_both_hashes()
    {
        await using var cloud = await GlanceCloud.StartAsync();
        using var client = cloud.Glance();
        var id = await client.CreateAsync();
        var data = RandomNumberGenerator.GetBytes(3_000_001);
        (await client.GetAsync($"/v2/images/{id}/file")).Expect(204);
        (await client.UploadAsync(id, data)).Expect(204);

        var image = await client.ShowAsync(id);
        Assert.Equal("active", image.Text("status"));
        Assert.Equal(data.Length, image.GetProperty("size").GetInt64());
        Assert.Equal(data.Length, image.GetProperty("virtual_size").GetInt64());
#pragma warning disable CA5351 // The API's checksum.
        Assert.Equal(Convert.ToHexStringLower(MD5.HashData(data)), image.Text("checksum"));
#pragma warning restore CA5351
        Assert.Equal("sha512", image.Text("os_hash_algo"));
        Assert.Equal(Convert.ToHexStringLower(SHA512.HashData(data)), image.Text("os_hash_value"));
        Assert.Equal([id], cloud.StoredFiles());

        using var request = new HttpRequestMessage(HttpMethod.Get, $"/v2/images/{id}/file");
        request.Headers.Add("X-Auth-Token", "admin");
        using var response = await client.Http.SendAsync(request, TestContext.Current.CancellationToken);
        Assert.Equal(data.Length, response.Content.Headers.ContentLength);
        Assert.Equal("application/octet-stream", response.Content.Headers.ContentType!.MediaType);
        Assert.Equal(image.Text("checksum"), response.Content.Headers.GetValues("Content-MD5").Single());
        Assert.Equal(data, await response.Content.ReadAsByteArrayAsync(TestContext.Current.CancellationToken));

        (await client.DeleteAsync($"/v2/images/{id}")).Expect(204);
        Assert.Empty(cloud.StoredFiles());
    }

    [Theory]
    [InlineData("bytes=0-4", 0, 5)]
    [InlineData("bytes=90-", 90, 10)]
    [InlineData("bytes=90-1000", 90, 10)]
    [InlineData("bytes=-3", 97, 3)]
    [InlineData("bytes=-1000", 0, 100)]
    public async Task A_range_gives_a_part(string range, int offset, int count)
    {
        await using var cloud = await GlanceCloud.StartAsync();
        using var client = cloud.Glance();
        var id = await client.CreateAsync();
        var data = Enumerable.Range(0, 100).Select(i => (byte)i).ToArray();
        (await client.UploadAsync(id, data)).Expect(204);
        using var request = new HttpRequestMessage(HttpMethod.Get, $"/v2/images/{id}/file");
        request.Headers.Add("X-Auth-Token", "admin");
        request.Headers.TryAddWithoutValidation("Range", range);
        using var response = await client.Http.SendAsync(request, TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.PartialContent, response.StatusCode);
        Assert.Equal($"bytes {offset}-{offset + count - 1}/100", response.Content.Headers.ContentRange!.ToString());
        Assert.Equal(data[offset..(offset + count)], await response.Content.ReadAsByteArrayAsync(TestContext.Current.CancellationToken));
    }

    [Theory]
    [InlineData("bytes=100-")]
    [InlineData("bytes=5-2")]
    [InlineData("bytes=0-1,5-6")]
    [InlineData("lines=0-1")]
    [InlineData("bytes=x")]
    [InlineData("bytes=-0")]
    public async Task A_range_outside_is_not_satisfiable(string range)
    {
        await using var cloud = await GlanceCloud.StartAsync();
        using var client = cloud.Glance();
        var id = await client.CreateAsync();
        (await client.UploadAsync(id, new byte[100])).Expect(204);
        (await client.SendAsync(HttpMethod.Get, $"/v2/images/{id}/file", headers: ("Range", range))).Expect(416);
    }

    [Fact]
    public async Task An_upload_of_256_MB_takes_little_memory()
    {
        await using var cloud = await GlanceCloud.StartAsync();
        using var client = cloud.Glance();
        var small = await client.CreateAsync();
        (await client.UploadAsync(small, new byte[1 << 20])).Expect(204);
        var id = await client.CreateAsync();
        const long size = 256L << 20;
        var before = GC.GetTotalMemory(forceFullCollection: true);
        using var content = new GeneratedContent(size);
        (await client.UploadAsync(id, content)).Expect(204);

        // The most that lived at once, not what was left at the end.
        Assert.InRange(content.PeakMemory - before, long.MinValue, 32 << 20);
        var image = await client.ShowAsync(id);
        Assert.Equal(size, image.GetProperty("size").GetInt64());
        Assert.Equal(content.Sha512, image.Text("os_hash_value"));
    }

    [Fact]
    public async Task Of_two_uploads_of_one_image_the_second_is_refused()
    {
        await using var cloud = await GlanceCloud.StartAsync();
        using var client = cloud.Glance();
        var id = await client.CreateAsync();
        using var slow = new HeldContent([1, 2, 3], [4, 5]);
        var first = client.UploadAsync(id, slow);
        await Eventually.TrueAsync(async () => (await client.ShowAsync(id)).Text("status") == "saving", "the first upload has begun");
        Assert.Contains("from saving to saving", (await client.UploadAsync(id, [9])).Expect(409).Text, StringComparison.Ordinal);
        slow.Release();
        (await first).Expect(204);
        Assert.Equal([1, 2, 3, 4, 5], (await client.GetAsync($"/v2/images/{id}/file")).Expect(200).Body);
        (await client.UploadAsync(id, [9])).Expect(409);
        (await client.PatchAsync($"/v2/images/{id}", """[{"op": "replace", "path": "/disk_format", "value": "qcow2"}]""", GlanceCloud.Patch21)).Expect(403);
    }

    [Fact]
    public async Task An_aborted_upload_leaves_nothing_and_may_be_repeated()
    {
        await using var cloud = await GlanceCloud.StartAsync();
        using var client = cloud.Glance();
        var id = await client.CreateAsync();
        using var broken = new HeldContent([1, 2, 3], [4, 5]) { Failure = new IOException("The cable was pulled.") };
        var upload = client.UploadAsync(id, broken);
        await Eventually.TrueAsync(() => cloud.StoredFiles().Count == 1, "the upload has begun");
        broken.Release();
        await Assert.ThrowsAsync<HttpRequestException>(() => upload);

        await Eventually.TrueAsync(async () => (await client.ShowAsync(id)).Text("status") == "queued", "the image is queued again");
        Assert.Empty(cloud.StoredFiles());
        (await client.UploadAsync(id, [9])).Expect(204);
    }

    [Fact]
    public async Task An_image_deleted_during_its_upload_leaves_nothing()
    {
        await using var cloud = await GlanceCloud.StartAsync();
        using var client = cloud.Glance();
        var id = await client.CreateAsync();
        using var slow = new HeldContent([1, 2, 3], [4, 5]);
        var upload = client.UploadAsync(id, slow);
        await Eventually.TrueAsync(() => cloud.StoredFiles().Count == 1, "the upload has begun");
        (await client.DeleteAsync($"/v2/images/{id}")).Expect(204);
        slow.Release();
        (await upload).Expect(410);
        Assert.Empty(cloud.StoredFiles());
        (await client.GetAsync($"/v2/images/{id}")).Expect(404);
    }

    [Fact]
    public async Task A_start_after_a_crash_undoes_unfinished_uploads_and_deletions()
    {
        var cloud = await GlanceCloud.StartAsync();
        string id;
        using (var client = cloud.Glance())
        {
            id = await client.CreateAsync();
        }

        await cloud.Get<Storage.GlanceDatabase>().Service.WriteAsync(
            session => session.ExecuteAsync("UPDATE images SET status = 'saving', claim = 'testhost_abc'"), TestContext.Current.CancellationToken);
        var part = Path.Combine(cloud.Data, "glance", "images", ".testhost_abc.part");
        await File.WriteAllBytesAsync(part, [1, 2, 3], TestContext.Current.CancellationToken);
        var data = await cloud.StopAndKeepDataAsync();

        await using var again = await TestCloud.StartAsync([new GlanceModule()], null, data);
        using var after = again.Glance();
        Assert.Equal("queued", (await after.ShowAsync(id)).Text("status"));
        Assert.False(File.Exists(part));
        (await after.UploadAsync(id, [9])).Expect(204);
    }

    [Fact]
    public async Task An_image_larger_than_the_cap_is_refused()
    {
        await using var cloud = await GlanceCloud.StartAsync(("DEFAULT", "image_size_cap", "1000"));
        using var client = cloud.Glance();
        var id = await client.CreateAsync();
        (await client.UploadAsync(id, new byte[1001])).Expect(413);
        using var chunked = new HeldContent(new byte[1000], [1]);
        chunked.Release();
        (await client.UploadAsync(id, chunked)).Expect(413);
        Assert.Equal("queued", (await client.ShowAsync(id)).Text("status"));
        Assert.Empty(cloud.StoredFiles());
        (await client.UploadAsync(id, new byte[1000])).Expect(204);
    }

    [Fact]
    public async Task A_projects_quota_is_kept()
    {
        await using var cloud = await GlanceCloud.StartAsync(("DEFAULT", "user_storage_quota", "1KB"));
        using var client = cloud.Glance();
        var first = await client.CreateAsync();
        (await client.UploadAsync(first, new byte[1000])).Expect(204);
        var second = await client.CreateAsync();
        Assert.Contains("24 bytes remaining", (await client.UploadAsync(second, new byte[25])).Expect(413).Text, StringComparison.Ordinal);
        (await client.UploadAsync(second, new byte[24])).Expect(204);
    }

    [Fact]
    public async Task An_upload_needs_formats_and_the_right_content_type()
    {
        await using var cloud = await GlanceCloud.StartAsync();
        using var client = cloud.Glance();
        var id = (await client.PostAsync("/v2/images", "{}")).Expect(201).Json.Text("id");
        Assert.Contains("Properties disk_format, container_format must be set prior to saving data.", (await client.UploadAsync(id, [1])).Expect(400).Text, StringComparison.Ordinal);
        (await client.PutAsync($"/v2/images/{id}/file", "{}")).Expect(415);
        Assert.Equal("queued", (await client.ShowAsync(id)).Text("status"));
        (await client.UploadAsync(Guid.NewGuid().ToString("D"), [1])).Expect(404);
    }

    [Fact]
    public async Task Named_stores_hold_what_is_sent_to_them()
    {
        await using var cloud = await GlanceCloud.StartAsync(("DEFAULT", "enabled_backends", "fast:file,cheap:file"), ("glance_store", "default_backend", "fast"), ("cheap", "store_description", "Slow"));
        using var client = cloud.Glance();
        var stores = (await client.GetAsync("/v2/info/stores")).Expect(200).Json.GetProperty("stores").EnumerateArray().ToDictionary(store => store.Text("id"));
        Assert.Equal("true", stores["fast"].Text("default"));
        Assert.Equal("Slow", stores["cheap"].Text("description"));

        var plain = await client.CreateAsync();
        (await client.UploadAsync(plain, [1])).Expect(204);
        Assert.Equal("fast", (await client.ShowAsync(plain)).Text("stores"));
        var chosen = await client.CreateAsync();
        using var content = new ByteArrayContent([2]);
        client.Http.DefaultRequestHeaders.Add("X-Image-Meta-Store", "cheap");
        (await client.UploadAsync(chosen, content)).Expect(204);
        Assert.Equal("cheap", (await client.ShowAsync(chosen)).Text("stores"));
        Assert.Equal([2], (await client.GetAsync($"/v2/images/{chosen}/file")).Expect(200).Body);
        client.Http.DefaultRequestHeaders.Remove("X-Image-Meta-Store");
        client.Http.DefaultRequestHeaders.Add("X-Image-Meta-Store", "gone");
        (await client.UploadAsync(await client.CreateAsync(), [3])).Expect(400);
    }

    /// <summary>Bytes made while they are sent.</summary>
    private sealed class GeneratedContent(long size) : HttpContent
    {
        public long PeakMemory { get; private set; }

        public string Sha512 { get; private set; } = "";

        protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context)
        {
            var block = new byte[1 << 16];
            using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA512);
            for (var sent = 0L; sent < size; sent += block.Length)
            {
                BitConverter.TryWriteBytes(block, sent);
                hash.AppendData(block);
                await stream.WriteAsync(block);
                if (sent % (16 << 20) == 0)
                {
                    PeakMemory = Math.Max(PeakMemory, GC.GetTotalMemory(forceFullCollection: true));
                }
            }

            Sha512 = Convert.ToHexStringLower(hash.GetHashAndReset());
        }

        protected override bool TryComputeLength(out long length)
        {
            length = size;
            return true;
        }
    }

    /// <summary>A beginning that is sent at once, and an end that is sent, or a failure, when it is released.</summary>
    private sealed class HeldContent(byte[] beginning, byte[] end) : HttpContent
    {
        private readonly TaskCompletionSource released = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Exception? Failure { get; init; }

        public void Release() => released.TrySetResult();

        protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context)
        {
            await stream.WriteAsync(beginning);
            await stream.FlushAsync();
            await released.Task;
            if (Failure is not null)
            {
                throw Failure;
            }

            await stream.WriteAsync(end);
        }

        protected override bool TryComputeLength(out long length)
        {
            length = 0;
            return false;
        }
    }
}
