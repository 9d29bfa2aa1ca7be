using System.Security.Cryptography;
using System.Text;
using SharpStack.TestKit;

namespace SharpStack.Nova.Tests;

public sealed class MetadataTests
{
    private static Task<TestAnswer> AskAsync(NovaCloud nova, string path, string id, string? project = null, string secret = "secret")
    {
        var client = nova.Cloud.Client("nova-metadata-api", null);
        var signature = Convert.ToHexStringLower(HMACSHA256.HashData(Encoding.UTF8.GetBytes(secret), Encoding.UTF8.GetBytes(id)));
        return client.SendAsync(
            HttpMethod.Get,
            path,
            null,
            "application/json",
            ("X-Instance-ID", id),
            ("X-Tenant-ID", project ?? TestIdentities.DemoProject),
            ("X-Instance-ID-Signature", signature),
            ("X-Forwarded-For", "10.0.0.11"));
    }

    [Fact]
    public async Task A_guest_is_told_its_key_its_name_and_its_networks()
    {
        await using var nova = await NovaCloud.StartAsync();
        var key = (await nova.Demo("compute 2.1").PostAsync("/v2.1/os-keypairs", """{"keypair": {"name": "demo-key"}}""")).Expect(200).Json.GetProperty("keypair");
        var publicKey = key.GetProperty("public_key").GetString();
        var id = await nova.BootAsync("demo", ", \"key_name\": \"demo-key\", \"metadata\": {\"role\": \"web\"}, \"user_data\": \"I2Nsb3VkLWNvbmZpZwo=\"");

        var metadata = (await AskAsync(nova, "/openstack/latest/meta_data.json", id)).Expect(200).Json;
        Assert.Equal(publicKey, metadata.GetProperty("public_keys").GetProperty("demo-key").GetString());
        Assert.Equal("demo.novalocal", metadata.GetProperty("hostname").GetString());
        Assert.Equal("web", metadata.GetProperty("meta").GetProperty("role").GetString());
        Assert.Equal("#cloud-config\n", (await AskAsync(nova, "/openstack/latest/user_data", id)).Expect(200).Text);
        Assert.Equal("#cloud-config\n", (await AskAsync(nova, "/latest/user-data", id)).Expect(200).Text);
        var network = (await AskAsync(nova, "/openstack/latest/network_data.json", id)).Expect(200).Json;
        Assert.Equal(1442, network.GetProperty("links")[0].GetProperty("mtu").GetInt32());
        Assert.Equal("ipv4_dhcp", network.GetProperty("networks")[0].GetProperty("type").GetString());
        Assert.Equal(publicKey, (await AskAsync(nova, "/latest/meta-data/public-keys/0/openssh-key", id)).Expect(200).Text);
        Assert.Equal("demo.novalocal", (await AskAsync(nova, "/2009-04-04/meta-data/hostname", id)).Expect(200).Text);
        Assert.Contains("public-keys/", (await AskAsync(nova, "/latest/meta-data/", id)).Expect(200).Text, StringComparison.Ordinal);
        (await AskAsync(nova, "/latest/meta-data/nonsense", id)).Expect(404);
        (await AskAsync(nova, "/openstack/1999-01-01/meta_data.json", id)).Expect(404);
    }

    [Fact]
    public async Task A_request_that_is_not_signed_with_the_secret_is_refused()
    {
        await using var nova = await NovaCloud.StartAsync();
        var id = await nova.BootAsync();
        Assert.Contains("Invalid proxy request signature.", (await AskAsync(nova, "/latest/meta-data/", id, secret: "wrong")).Expect(403).Text, StringComparison.Ordinal);
        (await AskAsync(nova, "/latest/meta-data/", id, project: TestIdentities.OtherProject)).Expect(404);
        using var direct = nova.Cloud.Client("nova-metadata-api", null);
        (await direct.GetAsync("/latest/meta-data/")).Expect(400);
        (await direct.GetAsync("/openstack")).Expect(200);
    }
}
