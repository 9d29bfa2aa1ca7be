using System.Text.Json.Nodes;
using SharpStack.TestKit;

namespace SharpStack.Chaos.Tests;

/// <summary>The audit as operators run it, beside a cloud in which something was taken away or left behind.</summary>
public sealed class AuditTests
{
    [Fact]
    public async Task What_was_planted_is_found_named_and_the_exit_code_says_so()
    {
        var cancellation = TestContext.Current.CancellationToken;
        await using var cloud = await FakeCloud.StartAsync(cancellation);
        var work = await Workload.PrepareAsync(cloud, cancellation);
        using var admin = await cloud.LogInAsync(cancellation);
        var servers = new List<string>();
        for (var i = 0; i < 3; i++)
        {
            servers.Add(await work.BootAsync(admin, cancellation));
        }

        foreach (var server in servers)
        {
            await Eventually.TrueAsync(async () => await Workload.StatusAsync(admin, server, cancellation) == "ACTIVE", $"server {server} is ACTIVE", TimeSpan.FromSeconds(60));
        }

        Assert.Equal(["everything agrees"], (await cloud.AuditAsync(0)).Select(line => line.Split(':')[0]));

        var leaked = Guid.NewGuid().ToString();
        var provider = (string)(await admin.GetAsync("placement", "/resource_providers", cancellation))["resource_providers"]![0]!["uuid"]!;
        await admin.PutAsync("placement", $"/allocations/{leaked}", Allocation(provider), cancellation);
        await admin.DeleteAsync("placement", $"/allocations/{servers[0]}", cancellation);
        var port = (string)(await admin.PostAsync(
            "network",
            "/v2.0/ports",
            new JsonObject { ["port"] = new JsonObject { ["network_id"] = work.Network, ["device_owner"] = "compute:nova", ["device_id"] = leaked } },
            cancellation))["port"]!["id"]!;
        var taken = (string)(await admin.GetAsync("network", $"/v2.0/ports?device_id={servers[1]}", cancellation))["ports"]![0]!["id"]!;
        await admin.DeleteAsync("network", $"/v2.0/ports/{taken}", cancellation);

        var found = await cloud.AuditAsync(1);
        Assert.Contains(found, line => line.StartsWith($"allocation-leaked {leaked} on ", StringComparison.Ordinal));
        Assert.Contains(found, line => line.StartsWith($"allocation-missing {servers[0]} on ", StringComparison.Ordinal));
        Assert.Contains(found, line => line.StartsWith($"port-leaked {port}", StringComparison.Ordinal));
        Assert.DoesNotContain(found, line => line.Contains(servers[2], StringComparison.Ordinal));
    }

    private static JsonObject Allocation(string provider) => new()
    {
        ["allocations"] = new JsonArray(new JsonObject
        {
            ["resource_provider"] = new JsonObject { ["uuid"] = provider },
            ["resources"] = new JsonObject { ["VCPU"] = 1 },
        }),
    };
}
