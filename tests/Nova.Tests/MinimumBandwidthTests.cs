using System.Text.Json;
using System.Text.Json.Nodes;
using SharpStack.Nova.Scheduling;
using SharpStack.Nova.Tests.Scheduling;
using SharpStack.TestKit;

namespace SharpStack.Nova.Tests;

/// <summary>Servers with ports that ask for a part of what a host's network can guarantee.</summary>
public sealed class MinimumBandwidthTests
{
    private const string Group = "6a9ae7a5-5d4c-5d4a-9d4f-0d1d3c1b8f10";
    private const string Other = "b2a1f0c3-1111-5222-8333-444455556666";

    [Fact]
    public async Task A_port_is_bound_with_the_providers_that_were_claimed_for_it_and_gives_them_back()
    {
        await using var nova = await NovaCloud.StartAsync();
        nova.Services.ResourceRequests[nova.NetworkId] = Request();
        var port = nova.Services.AddPort(nova.NetworkId);
        nova.Services.Ports[port]["binding:profile"] = new JsonObject { ["trusted"] = "true" };
        var id = await CreateAsync(nova.Demo(), nova, port, 202);
        await nova.WaitForStatusAsync(id, "ACTIVE");
        var provider = nova.Services.Providers.Keys.Single();
        Assert.Equal($$$"""{"trusted":"true","allocation":{"{{{Group}}}":"{{{provider}}}"}}""", nova.Services.Ports[port]["binding:profile"]!.ToJsonString());
        (await nova.Demo().DeleteAsync($"/v2.1/servers/{id}")).Expect(204);
        await nova.WaitForGoneAsync(id);
        Assert.Equal("""{"trusted":"true"}""", nova.Services.Ports[port]["binding:profile"]!.ToJsonString());
    }

    [Fact]
    public async Task The_providers_are_those_of_the_host_that_took_the_server_in_the_end()
    {
        await using var nova = await NovaCloud.StartAsync();
        await nova.AddHostAsync("host2");
        nova.Services.ResourceRequests[nova.NetworkId] = Request();
        var port = nova.Services.AddPort(nova.NetworkId);
        nova.Host.Fail = _ => new Contracts.FaultReport(500, "no room for the disk") { Reschedule = true };
        var id = await CreateAsync(nova.Demo(), nova, port, 202);
        await nova.WaitForStatusAsync(id, "ACTIVE");
        var provider = nova.Services.Providers.Values.Single(provider => (string)provider["name"]! == "host2")["uuid"]!.ToString();
        Assert.Equal(provider, nova.Services.Ports[port]["binding:profile"]!["allocation"]![Group]!.ToString());
    }

    [Fact]
    public async Task Older_clients_and_ports_that_Nova_makes_cannot_ask()
    {
        await using var nova = await NovaCloud.StartAsync();
        nova.Services.ResourceRequests[nova.NetworkId] = Request();
        var port = nova.Services.AddPort(nova.NetworkId);
        using var old = nova.Demo("compute 2.71");
        var refused = await old.PostAsync("/v2.1/servers", Body(nova, $$"""{"port": "{{port}}"}"""));
        Assert.Contains("is not supported until microversion 2.72", refused.Expect(400).Text, StringComparison.Ordinal);

        var id = await nova.CreateAsync();
        await nova.WaitForStatusAsync(id, "ERROR");
        Assert.Contains($"Using networks with QoS policy is not supported for instance {id}. (Network ID is {nova.NetworkId})", (await nova.ShowAsync(id)).GetProperty("fault").Text("message"), StringComparison.Ordinal);
        await Eventually.TrueAsync(() => nova.Services.Ports.Count == 1 && nova.Services.Allocations.IsEmpty, "what the server held is given back");
    }

    [Fact]
    public async Task The_host_is_one_whose_bridge_to_that_network_has_the_bandwidth()
    {
        await using var cloud = await SchedulerCloud.StartAsync();
        var large = await cloud.HostAsync("large", vcpus: 16, memoryMb: 32_768, diskGb: 200);
        await cloud.BridgeAsync(large, 10_000, "CUSTOM_PHYSNET_OTHER", "CUSTOM_VNIC_TYPE_NORMAL");
        await cloud.BridgeAsync(large, 100, "CUSTOM_PHYSNET_PHYSNET", "CUSTOM_VNIC_TYPE_NORMAL");
        var small = await cloud.HostAsync("small");
        var bridge = await cloud.BridgeAsync(small, 1000, "CUSTOM_PHYSNET_PHYSNET", "CUSTOM_VNIC_TYPE_NORMAL");
        var second = await cloud.BridgeAsync(small, 300, "CUSTOM_PHYSNET_OTHER", "CUSTOM_VNIC_TYPE_NORMAL");
        await cloud.HostAsync("without", vcpus: 8, memoryMb: 8192, diskGb: 40);
        var spec = Spec(Port(Group, 600, "CUSTOM_PHYSNET_PHYSNET"), Port(Other, 300, "CUSTOM_PHYSNET_OTHER"));
        var choice = await cloud.Scheduler.SelectDestinationAsync(spec, NovaCloud.Cancelled);
        Assert.Equal("small", choice.Selected.Host);
        Assert.Equal([bridge], choice.Selected.Mappings[Group]);
        Assert.Equal([second], choice.Selected.Mappings[Other]);
        Assert.Equal(600, choice.Selected.Allocations[bridge]["NET_BW_EGR_KILOBIT_PER_SEC"]);
        Assert.Equal(512, choice.Selected.Allocations[small.ComputeNodeId]["MEMORY_MB"]);
        Assert.Equal(204, await cloud.ClaimAsync(choice.Selected));

        Assert.Equal(
            "No valid host was found. 3 hosts with room for DISK_GB 1, MEMORY_MB 512, VCPU 1, but none guarantees NET_BW_EGR_KILOBIT_PER_SEC 500 with CUSTOM_PHYSNET_PHYSNET, CUSTOM_VNIC_TYPE_NORMAL; "
            + "nearest: host small lacks NET_BW_EGR_KILOBIT_PER_SEC 100 (has 400 of 1000 free).",
            await RefusedAsync(Port(Group, 500, "CUSTOM_PHYSNET_PHYSNET")));
        Assert.Equal(
            "No valid host was found. No host guarantees anything with CUSTOM_PHYSNET_NOWHERE, which a port asks for. See [ovs] resource_provider_bandwidths of the Open vSwitch agents, and resources_synced in `openstack network agent show`.",
            await RefusedAsync(Port(Group, 1, "CUSTOM_PHYSNET_NOWHERE")));

        async Task<string> RefusedAsync(PortRequest port) =>
            (await Assert.ThrowsAsync<NoValidHostException>(() => cloud.Scheduler.SelectDestinationAsync(Spec(port), NovaCloud.Cancelled))).Message;
    }

    private static JsonObject Request() => new()
    {
        ["request_groups"] = new JsonArray(new JsonObject
        {
            ["id"] = Group, ["required"] = new JsonArray("CUSTOM_PHYSNET_PHYSNET"), ["resources"] = new JsonObject { ["NET_BW_EGR_KILOBIT_PER_SEC"] = 100 },
        }),
        ["same_subtree"] = new JsonArray(Group),
    };

    private static PortRequest Port(string group, int egress, string trait) =>
        new(Guid.NewGuid().ToString(), [new PortRequestGroup(group, new Dictionary<string, int> { ["NET_BW_EGR_KILOBIT_PER_SEC"] = egress }, [trait, "CUSTOM_VNIC_TYPE_NORMAL"])], [group]);

    private static RequestSpec Spec(params PortRequest[] ports) => new()
    {
        InstanceId = Guid.NewGuid().ToString(), ProjectId = "p", UserId = "u", FlavorName = "m1.nano", Vcpus = 1, MemoryMb = 512, RootGb = 1, ImageId = "image", Ports = ports,
    };

    private static string Body(NovaCloud nova, string network) => $$$"""{"server": {"name": "s", "flavorRef": "1", "imageRef": "{{{nova.ImageId}}}", "networks": [{{{network}}}]}}""";

    private static async Task<string> CreateAsync(TestClient client, NovaCloud nova, string port, int status) =>
        (await client.PostAsync("/v2.1/servers", Body(nova, $$"""{"port": "{{port}}"}"""))).Expect(status).Json.GetProperty("server").Text("id")!;
}
