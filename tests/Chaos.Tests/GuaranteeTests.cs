using System.Text.Json.Nodes;
using SharpStack.Demo;
using SharpStack.TestKit;

namespace SharpStack.Chaos.Tests;

/// <summary>Minimum bandwidth from the agent's option to the refused server, through all services.</summary>
public sealed class GuaranteeTests
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Servers_get_the_bandwidth_that_an_agent_guarantees_and_no_more()
    {
        await using var cloud = await FakeCloud.StartAsync(Cancelled);
        var file = Path.Combine(cloud.Configuration, "openvswitch_agent.ini");
        await File.WriteAllTextAsync(file, (await File.ReadAllTextAsync(file, Cancelled)).Replace("[ovs]\n", "[ovs]\nresource_provider_bandwidths = br-phys:1000:\n", StringComparison.Ordinal), Cancelled);
        cloud.Kill();
        await cloud.UpAsync(Cancelled);
        var work = await Workload.PrepareAsync(cloud, Cancelled);
        using var admin = await cloud.LogInAsync(Cancelled);
        await Eventually.TrueAsync(
            async () => (await admin.GetAsync("network", "/v2.0/agents?agent_type=Open%20vSwitch%20agent", Cancelled))["agents"]![0]!["resources_synced"]?.GetValue<bool>() == true,
            "Placement has what the agent guarantees",
            TimeSpan.FromSeconds(60));
        var policy = await PolicyAsync(600);
        var (port, other) = (await PortAsync(policy), await PortAsync(policy));

        var server = await BootAsync(port);
        await StatusAsync(server, "ACTIVE");
        var bound = (await admin.GetAsync("network", $"/v2.0/ports/{port}", Cancelled))["port"]!;
        var given = bound["binding:profile"]!["allocation"]!.AsObject().Single();
        Assert.Equal((string)bound["resource_request"]!["request_groups"]![0]!["id"]!, given.Key);
        Assert.Equal("ovs", (string)bound["binding:vif_type"]!);
        Assert.Equal(600, await HeldAsync(server, (string)given.Value!));

        var refused = await BootAsync(other);
        await StatusAsync(refused, "ERROR");
        var fault = (string)(await admin.GetAsync("compute", $"/servers/{refused}", Cancelled))["server"]!["fault"]!["message"]!;
        Assert.StartsWith("No valid host was found. 1 host with room for ", fault, StringComparison.Ordinal);
        Assert.EndsWith(" lacks NET_BW_EGR_KILOBIT_PER_SEC 200 (has 400 of 1000 free).", fault, StringComparison.Ordinal);
        Assert.Equal(["everything agrees"], (await cloud.AuditAsync(0)).Select(line => line.Split(':')[0]));

        await admin.DeleteAsync("compute", $"/servers/{server}", Cancelled);
        await Eventually.TrueAsync(
            async () => (await admin.GetAsync("network", $"/v2.0/ports/{port}", Cancelled))["port"] is { } freed && freed["binding:profile"]!.AsObject().Count == 0 && (string)freed["device_id"]! == "",
            "the port is free",
            TimeSpan.FromSeconds(60));
        var next = await BootAsync(other, "next");
        await StatusAsync(next, "ACTIVE");

        async Task<string> PolicyAsync(int egress)
        {
            var id = (string)(await admin.PostAsync("network", "/v2.0/qos/policies", new JsonObject { ["policy"] = new JsonObject { ["name"] = $"min-{egress}" } }, Cancelled))["policy"]!["id"]!;
            await admin.PostAsync("network", $"/v2.0/qos/policies/{id}/minimum_bandwidth_rules", new JsonObject { ["minimum_bandwidth_rule"] = new JsonObject { ["min_kbps"] = egress } }, Cancelled);
            return id;
        }

        async Task<string> PortAsync(string follows) =>
            (string)(await admin.PostAsync("network", "/v2.0/ports", new JsonObject { ["port"] = new JsonObject { ["network_id"] = work.Network, ["qos_policy_id"] = follows } }, Cancelled))["port"]!["id"]!;

        async Task<string> BootAsync(string on, string name = "guaranteed") =>
            (string)(await admin.PostAsync(
                "compute",
                "/servers",
                new JsonObject
                {
                    ["server"] = new JsonObject { ["name"] = name, ["imageRef"] = work.Image, ["flavorRef"] = work.Flavor, ["networks"] = new JsonArray(new JsonObject { ["port"] = on }) },
                },
                Cancelled))["server"]!["id"]!;

        Task StatusAsync(string id, string status) =>
            Eventually.TrueAsync(async () => await Workload.StatusAsync(admin, id, Cancelled) == status, $"server {id} is {status}", TimeSpan.FromSeconds(60));

        async Task<int> HeldAsync(string consumer, string provider) =>
            (int)(await admin.GetAsync("placement", $"/allocations/{consumer}", Cancelled))["allocations"]![provider]!["resources"]!["NET_BW_EGR_KILOBIT_PER_SEC"]!;
    }
}
