using SharpStack.Demo;
using SharpStack.TestKit;

namespace SharpStack.Chaos.Tests;

public sealed class KillTests
{
    private static readonly TimeSpan Bound = TimeSpan.FromSeconds(90);

    [Fact]
    public async Task Killed_in_the_midst_of_boots_and_deletes_it_ends_every_request_and_leaves_nothing_behind()
    {
        var cancellation = TestContext.Current.CancellationToken;
        await using var cloud = await FakeCloud.StartAsync(cancellation);
        var servers = new List<string>();
        var work = await Workload.PrepareAsync(cloud, cancellation);

        // Killed right after the first, the third … request was accepted: the earlier ones are then at different steps.
        for (var round = 0; round < 3; round++)
        {
            using (var admin = await cloud.LogInAsync(cancellation))
            {
                for (var i = 0; i <= round * 2; i++)
                {
                    servers.Add(await work.BootAsync(admin, cancellation));
                }

                cloud.Kill();
            }

            await cloud.UpAsync(cancellation);
        }

        using (var admin = await cloud.LogInAsync(cancellation))
        {
            foreach (var server in servers)
            {
                await Eventually.TrueAsync(async () => await IsSettledAsync(admin, server, cancellation), $"server {server} ACTIVE, or ERROR with a reason", Bound);
            }

            // Deleted, and killed before the deletion can be over.
            foreach (var server in servers)
            {
                await admin.DeleteAsync("compute", $"/servers/{server}", cancellation);
            }

            cloud.Kill();
        }

        await cloud.UpAsync(cancellation);
        using (var admin = await cloud.LogInAsync(cancellation))
        {
            await Eventually.TrueAsync(
                async () => (await admin.GetAsync("compute", "/servers?all_tenants=1", cancellation))["servers"]!.AsArray().Count == 0, "every deleted server gone", Bound);
            await Eventually.TrueAsync(
                async () => !(await admin.GetAsync("network", "/v2.0/ports", cancellation))["ports"]!.AsArray().Any(port => ((string)port!["device_owner"]!).StartsWith("compute:", StringComparison.Ordinal)),
                "no port of a server left",
                Bound);
            foreach (var provider in (await admin.GetAsync("placement", "/resource_providers", cancellation))["resource_providers"]!.AsArray())
            {
                await Eventually.TrueAsync(
                    async () => (await admin.GetAsync("placement", $"/resource_providers/{(string)provider!["uuid"]!}/allocations", cancellation))["allocations"]!.AsObject().Count == 0,
                    "no allocation left",
                    Bound);
            }
        }

        await cloud.AuditAsync(0);
    }

    private static async Task<bool> IsSettledAsync(OpenStackClient admin, string id, CancellationToken cancellation)
    {
        var server = (await admin.GetAsync("compute", $"/servers/{id}", cancellation))["server"]!;
        return (string)server["status"]! switch
        {
            "ACTIVE" => true,
            "ERROR" => ((string?)server["fault"]?["message"])?.Length > 0,
            _ => false,
        };
    }
}
