using System.Text.Json.Nodes;
using SharpStack.Cloud;
using SharpStack.CommandLine;
using SharpStack.Demo;
using SharpStack.Keystone;
using SharpStack.Serve;
using SharpStack.TestKit;
using SharpStack.TestKit.Hosts;

namespace SharpStack.Tests.Serve;

/// <summary>A cloud whose services share nothing but what they would share on several machines: the APIs, the broker, and the database of each project.</summary>
public sealed class SeparateProcessesTests : IDisposable
{
    private static readonly string[] Services =
    [
        "keystone", "glance-api", "placement-api", "nova-api", "nova-metadata-api", "nova-conductor", "nova-scheduler", "nova-compute", "neutron-server", "neutron-simulated-agents",
    ];

    private readonly OperatorFiles files = new();

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public void Dispose() => files.Dispose();

    [Fact]
    public async Task A_server_boots_and_is_deleted_with_each_service_in_a_process_of_its_own()
    {
        var broker = await RabbitBroker.SharedAsync();
        foreach (var project in new[] { "nova", "neutron" })
        {
            files.Write($"{project}/{project}.conf.d/bus.conf", $"[DEFAULT]\ntransport_url = {broker.Url}/");
        }

        await BootstrapAsync();
        var processes = Services.Select(service => ServedProcess.Start(files.Arguments(service))).ToArray();
        try
        {
            await Task.WhenAll(processes.Select(process => process.AwaitReadyAsync()));
            using var admin = await OpenStackClient.LogInAsync($"{files.Url("keystone")}/v3", "admin", "pw-admin", "admin", Cancelled);

            var server = await BootAsync(admin);
            var status = "";
            await Eventually.TrueAsync(
                async () => (status = (string)(await admin.GetAsync("compute", $"/servers/{server}", Cancelled))["server"]!["status"]!) is "ACTIVE" or "ERROR", "the server is built", ServedProcess.Bound);
            Assert.True(status == "ACTIVE", $"{status} {(await admin.GetAsync("compute", $"/servers/{server}", Cancelled))["server"]!["fault"]}");
            Assert.Equal("node1", (string?)(await admin.GetAsync("compute", $"/servers/{server}", Cancelled))["server"]!["OS-EXT-SRV-ATTR:host"]);

            await admin.DeleteAsync("compute", $"/servers/{server}", Cancelled);
            await Eventually.TrueAsync(async () => (await admin.GetAsync("compute", "/servers", Cancelled))["servers"]!.AsArray().Count == 0, "the server is gone", ServedProcess.Bound);
            await Eventually.TrueAsync(async () => !(await admin.GetAsync("network", "/v2.0/ports", Cancelled))["ports"]!.AsArray().Any(port => (string?)port!["device_id"] == server), "its port is gone", ServedProcess.Bound);
            Assert.All(await Task.WhenAll(processes.Select(process => process.StopAsync())), code => Assert.Equal(0, code));
        }
        finally
        {
            foreach (var process in processes)
            {
                await process.DisposeAsync();
            }
        }
    }

    private Task BootstrapAsync() => KeystoneCommands.BootstrapAsync(
        CloudOptions.Read(Arguments.Parse(files.Arguments(), CloudOptions.Values, []), new HashSet<string> { "keystone" }, TimeProvider.System),
        "pw-admin",
        $"{files.Url("keystone")}/v3",
        [
            new ServiceRegistration("glance", "pw-glance", "image", Url: files.Url("glance-api")),
            new ServiceRegistration("placement", "pw-placement", "placement", Url: files.Url("placement-api")),
            new ServiceRegistration("nova", "pw-nova", "compute", Url: $"{files.Url("nova-api")}/v2.1"),
            new ServiceRegistration("neutron", "pw-neutron", "network", Url: files.Url("neutron-server")),
        ],
        Cancelled);

    private static async Task<string> BootAsync(OpenStackClient admin)
    {
        static JsonObject Named(string kind, JsonObject members) => new() { [kind] = members };
        var image = (string)(await admin.PostAsync("image", "/v2/images", new JsonObject { ["name"] = "empty", ["disk_format"] = "raw", ["container_format"] = "bare" }, Cancelled))["id"]!;
        var file = Path.GetTempFileName();
        try
        {
            await File.WriteAllBytesAsync(file, new byte[4096], Cancelled);
            await admin.UploadAsync($"/v2/images/{image}/file", file, Cancelled);
        }
        finally
        {
            File.Delete(file);
        }

        var network = (string)(await admin.PostAsync("network", "/v2.0/networks", Named("network", new() { ["name"] = "net" }), Cancelled))["network"]!["id"]!;
        await admin.PostAsync("network", "/v2.0/subnets", Named("subnet", new() { ["network_id"] = network, ["ip_version"] = 4, ["cidr"] = "10.20.0.0/24" }), Cancelled);
        var flavor = (string)(await admin.PostAsync("compute", "/flavors", Named("flavor", new() { ["name"] = "tiny", ["ram"] = 64, ["vcpus"] = 1, ["disk"] = 1 }), Cancelled))["flavor"]!["id"]!;
        var server = await admin.PostAsync(
            "compute",
            "/servers",
            Named("server", new() { ["name"] = "one", ["imageRef"] = image, ["flavorRef"] = flavor, ["networks"] = new JsonArray(new JsonObject { ["uuid"] = network }) }),
            Cancelled);
        return (string)server["server"]!["id"]!;
    }
}
