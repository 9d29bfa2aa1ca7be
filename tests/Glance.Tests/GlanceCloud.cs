using System.Buffers.Binary;
using System.Net.Http.Headers;
using System.Text.Json;
using SharpStack.TestKit;

namespace SharpStack.Glance.Tests;

/// <summary>Glance alone in this process, and shorthand for its requests.</summary>
internal static class GlanceCloud
{
    public const string Patch21 = "application/openstack-images-v2.1-json-patch";

    public static Task<TestCloud> StartAsync(params (string Group, string Name, string Value)[] settings) =>
        TestCloud.StartAsync([new GlanceModule()], settings.Select(setting => ("glance", setting.Group, setting.Name, setting.Value)));

    public static TestClient Glance(this TestCloud cloud, string? token = "admin") => cloud.Client("glance-api", token);

    public static async Task<string> CreateAsync(this TestClient client, string name = "image", string diskFormat = "raw", string more = "")
    {
        var answer = await client.PostAsync("/v2/images", $$"""{"name": "{{name}}", "disk_format": "{{diskFormat}}", "container_format": "bare"{{more}}}""");
        return answer.Expect(201).Json.GetProperty("id").GetString()!;
    }

    public static Task<TestAnswer> UploadAsync(this TestClient client, string id, byte[] data) => client.UploadAsync(id, new ByteArrayContent(data));

    public static async Task<TestAnswer> UploadAsync(this TestClient client, string id, HttpContent content, string verb = "file", string token = "admin")
    {
        using var request = new HttpRequestMessage(HttpMethod.Put, $"/v2/images/{id}/{verb}") { Content = content };
        content.Headers.ContentType = new MediaTypeHeaderValue("application/octet-stream");
        request.Headers.Add("X-Auth-Token", token);
        using var response = await client.Http.SendAsync(request, TestContext.Current.CancellationToken);
        return new TestAnswer((int)response.StatusCode, response.Headers, await response.Content.ReadAsByteArrayAsync(TestContext.Current.CancellationToken));
    }

    public static async Task<JsonElement> ShowAsync(this TestClient client, string id) => (await client.GetAsync($"/v2/images/{id}")).Expect(200).Json;

    public static string Text(this JsonElement element, string name) => element.GetProperty(name).GetString()!;

    /// <summary>What the file store holds, unfinished uploads included.</summary>
    public static IReadOnlyList<string> StoredFiles(this TestCloud cloud) => [.. Directory.EnumerateFiles(Path.Combine(cloud.Data, "glance", "images")).Select(Path.GetFileName).OfType<string>()];

    /// <summary>The header of a qcow2 file with an empty disk of 1 GiB.</summary>
    public static byte[] Qcow2(uint version = 3, ulong backingFile = 0, ulong features = 0, ulong size = 1 << 30)
    {
        var header = new byte[1024];
        "QFI"u8.CopyTo(header);
        header[3] = 0xfb;
        BinaryPrimitives.WriteUInt32BigEndian(header.AsSpan(4), version);
        BinaryPrimitives.WriteUInt64BigEndian(header.AsSpan(8), backingFile);
        BinaryPrimitives.WriteUInt32BigEndian(header.AsSpan(20), 16);
        BinaryPrimitives.WriteUInt64BigEndian(header.AsSpan(24), size);
        BinaryPrimitives.WriteUInt64BigEndian(header.AsSpan(72), features);
        BinaryPrimitives.WriteUInt32BigEndian(header.AsSpan(100), 104);
        return header;
    }
}
