using System.Net.Http.Headers;
using System.Security.Cryptography;
using Microsoft.Extensions.Logging.Abstractions;
using SharpStack.Foundation.Hosting;
using SharpStack.Foundation.Identity;
using SharpStack.Glance;
using SharpStack.Keystone;
using SharpStack.Nova.Compute.Images;
using SharpStack.Nova.Contracts;
using SharpStack.TestKit;

namespace SharpStack.Nova.Compute.Tests;

/// <summary>From the real Glance, with a token of the real Keystone.</summary>
public sealed class GlanceImagesTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_private_image_comes_from_Glance_with_the_services_credentials_and_one_without_data_or_existence_says_so()
    {
        await using var cloud = await TestCloud.StartAsync(
            [new KeystoneModule(), new GlanceModule()],
            [
                ("keystone", "identity", "password_hash_rounds", "4"),
                ("glance", "keystone_authtoken", "username", "glance"),
                ("glance", "keystone_authtoken", "password", "glance-secret"),
                ("nova", "keystone_authtoken", "username", "nova"),
                ("nova", "keystone_authtoken", "password", "nova-secret"),
            ],
            keystone: true);
        var token = await BootstrapAsync(cloud);
        using var glance = cloud.Client("glance-api", token);
        var content = RandomNumberGenerator.GetBytes(5_000_000);
        var id = await CreateAsync(glance);
        await UploadAsync(glance, token, id, content);
        var empty = await CreateAsync(glance);
        var source = new GlanceImages(cloud.Get<ServiceClients>(), cloud.Get<HostOptions>().Configs["nova"]);
        await using var cache = new ImageCache(Path.Combine(cloud.Data, "_base"), source, TimeProvider.System, NullLogger.Instance);
        cache.Open();

        var spec = new ImageSpec(id, "private", "raw", "bare", content.Length) { HashAlgorithm = "sha512", HashValue = Convert.ToHexStringLower(SHA512.HashData(content)) };
        var cached = await cache.GetAsync(spec, 0, Cancellation);

        Assert.Equal(content, await File.ReadAllBytesAsync(cached.Path, Cancellation));
        var missing = await Assert.ThrowsAsync<ComputeException>(() => cache.GetAsync(spec with { Id = Guid.NewGuid().ToString() }, 0, Cancellation));
        Assert.Contains("could not be found", missing.Message, StringComparison.Ordinal);
        var noData = await Assert.ThrowsAsync<ComputeException>(() => cache.GetAsync(spec with { Id = empty }, 0, Cancellation));
        Assert.Contains("no data", noData.Message, StringComparison.Ordinal);
    }

    private static async Task<string> BootstrapAsync(TestCloud cloud)
    {
        var bootstrap = cloud.Get<KeystoneBootstrap>();
        const string Identity = "http://127.0.0.1:5000/v3";
        await bootstrap.RunAsync(new BootstrapSettings("secret") { PublicUrl = Identity, InternalUrl = Identity, AdminUrl = Identity }, Cancellation);
        await bootstrap.RegisterServicesAsync(
            [
                new ServiceRegistration("glance", "glance-secret", "image", Url: "http://127.0.0.1:9292"),
                new ServiceRegistration("nova", "nova-secret"),
            ],
            "RegionOne",
            Cancellation);
        using var keystone = cloud.Client("keystone", null);
        var answer = await keystone.PostAsync(
            "/v3/auth/tokens",
            """
            {"auth": {"identity": {"methods": ["password"], "password": {"user": {"name": "admin", "domain": {"id": "default"}, "password": "secret"}}},
             "scope": {"project": {"name": "admin", "domain": {"id": "default"}}}}}
            """);
        return answer.Expect(201).Headers.GetValues("X-Subject-Token").Single();
    }

    private static async Task<string> CreateAsync(TestClient glance)
    {
        var answer = await glance.PostAsync("/v2/images", """{"name": "private", "visibility": "private", "disk_format": "raw", "container_format": "bare"}""");
        return answer.Expect(201).Json.GetProperty("id").GetString()!;
    }

    private static async Task UploadAsync(TestClient glance, string token, string id, byte[] content)
    {
        using var request = new HttpRequestMessage(HttpMethod.Put, $"/v2/images/{id}/file")
        {
            Content = new ByteArrayContent(content) { Headers = { ContentType = new MediaTypeHeaderValue("application/octet-stream") } },
        };
        request.Headers.Add("X-Auth-Token", token);
        using var response = await glance.Http.SendAsync(request, Cancellation);
        Assert.Equal(204, (int)response.StatusCode);
    }
}
