using System.Text.Json.Nodes;
using SharpStack.Demo;

namespace SharpStack.Chaos.Tests;

/// <summary>An image, a network and a flavor, and servers of them.</summary>
internal sealed record Workload(string Image, string Network, string Flavor)
{
    /// <summary>Makes what a boot needs.</summary>
    public static async Task<Workload> PrepareAsync(FakeCloud cloud, CancellationToken cancellation)
    {
        using var admin = await cloud.LogInAsync(cancellation);
        var image = (string)(await admin.PostAsync("image", "/v2/images", new JsonObject { ["name"] = "raw", ["disk_format"] = "raw", ["container_format"] = "bare" }, cancellation))["id"]!;
        var file = Path.GetTempFileName();
        await File.WriteAllBytesAsync(file, new byte[64 << 10], cancellation);
        await admin.UploadAsync($"/v2/images/{image}/file", file, cancellation);
        File.Delete(file);
        var network = (string)(await admin.PostAsync(
            "network",
            "/v2.0/networks",
            new JsonObject { ["network"] = new JsonObject { ["name"] = "flat", ["provider:network_type"] = "flat", ["provider:physical_network"] = "physnet" } },
            cancellation))["network"]!["id"]!;
        await admin.PostAsync(
            "network", "/v2.0/subnets", new JsonObject { ["subnet"] = new JsonObject { ["network_id"] = network, ["ip_version"] = 4, ["cidr"] = "198.51.100.0/24" } }, cancellation);
        var flavor = (string)(await admin.PostAsync(
            "compute", "/flavors", new JsonObject { ["flavor"] = new JsonObject { ["name"] = "nano", ["ram"] = 64, ["vcpus"] = 1, ["disk"] = 1 } }, cancellation))["flavor"]!["id"]!;
        return new Workload(image, network, flavor);
    }

    /// <summary>Asks for a server and gives its id.</summary>
    public async Task<string> BootAsync(OpenStackClient admin, CancellationToken cancellation) =>
        (string)(await admin.PostAsync(
            "compute",
            "/servers",
            new JsonObject
            {
                ["server"] = new JsonObject
                {
                    ["name"] = "chaos",
                    ["imageRef"] = Image,
                    ["flavorRef"] = Flavor,
                    ["networks"] = new JsonArray(new JsonObject { ["uuid"] = Network }),
                },
            },
            cancellation))["server"]!["id"]!;

    public static async Task<string> StatusAsync(OpenStackClient admin, string server, CancellationToken cancellation) =>
        (string)(await admin.GetAsync("compute", $"/servers/{server}", cancellation))["server"]!["status"]!;
}
