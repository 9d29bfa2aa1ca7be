using System.Text.Json;
using SharpStack.TestKit;
using static SharpStack.Neutron.Tests.NeutronCloud;

namespace SharpStack.Neutron.Tests;

public sealed class SegmentTests
{
    [Theory]
    [InlineData("vxlan", 1450)]
    [InlineData("geneve", 1430)]
    [InlineData("gre", 1458)]
    [InlineData("local", 1500)]
    public async Task A_network_has_the_MTU_that_its_type_leaves(string type, int mtu)
    {
        await using var cloud = await StartAsync(
            ("ml2_type_vxlan", "vni_ranges", "1:10"), ("ml2_type_geneve", "vni_ranges", "1:10"), ("ml2_type_geneve", "max_header_size", "50"), ("ml2_type_gre", "tunnel_id_ranges", "1:10"));
        Assert.Equal(mtu, (await cloud.CreateNetworkAsync(cloud.Admin, $"{{'provider:network_type': '{type}'}}")).GetProperty("mtu").GetInt32());
    }

    [Fact]
    public async Task Tunnels_over_IPv6_take_twenty_bytes_more_and_a_physical_network_has_its_own_MTU()
    {
        await using var cloud = await StartAsync(
            ("ml2", "overlay_ip_version", "6"), ("ml2_type_vxlan", "vni_ranges", "1:10"), ("ml2", "physical_network_mtus", "physnet:1400,other:9000"));
        Assert.Equal(1430, (await cloud.CreateNetworkAsync(cloud.Admin, "{'provider:network_type': 'vxlan'}")).GetProperty("mtu").GetInt32());
        Assert.Equal(1400, (await cloud.CreateNetworkAsync(cloud.Admin, "{'provider:network_type': 'flat', 'provider:physical_network': 'physnet'}")).GetProperty("mtu").GetInt32());
        Assert.Equal(1500, (await cloud.CreateNetworkAsync(cloud.Admin, "{'provider:network_type': 'flat', 'provider:physical_network': 'other'}")).GetProperty("mtu").GetInt32());
    }

    [Fact]
    public async Task A_network_can_be_on_several_segments_and_gives_them_all_back()
    {
        await using var cloud = await StartAsync(("ml2_type_vlan", "network_vlan_ranges", "physnet:100:101"), ("ml2_type_vxlan", "vni_ranges", "7:9"));
        const string body = "{'segments': [{'provider:network_type': 'vlan', 'provider:physical_network': 'physnet', 'provider:segmentation_id': 100}, {'provider:network_type': 'vxlan', 'provider:segmentation_id': 7}]}";
        var network = await cloud.CreateNetworkAsync(cloud.Admin, body);
        Assert.Equal(1450, network.GetProperty("mtu").GetInt32());
        Assert.False(network.TryGetProperty("provider:network_type", out _));
        Assert.Equal([("vlan", 100), ("vxlan", 7)], network.GetProperty("segments").EnumerateArray().Select(segment => (segment.Text("provider:network_type"), segment.GetProperty("provider:segmentation_id").GetInt32())));
        await RefusedAsync(cloud.Admin.PostAsync("/v2.0/networks", Json($"{{'network': {body}}}")), 409, "VlanIdInUse");
        (await cloud.Admin.DeleteAsync($"/v2.0/networks/{network.Id()}")).Expect(204);
        await cloud.CreateNetworkAsync(cloud.Admin, body);
        await RefusedAsync(
            cloud.Admin.PostAsync("/v2.0/networks", Json("{'network': {'provider:network_type': 'local', 'segments': [{'provider:network_type': 'local'}]}}")), 400, "SegmentsSetInConjunctionWithProviders");
    }

    [Fact]
    public async Task Segments_are_added_to_a_network_and_taken_away_again()
    {
        await using var cloud = await StartAsync(("ml2_type_vlan", "network_vlan_ranges", "physnet:100:110"));
        var network = (await cloud.CreateNetworkAsync(cloud.Admin, "{'provider:network_type': 'vlan', 'provider:physical_network': 'physnet', 'provider:segmentation_id': 100}")).Id();
        var first = (await cloud.Admin.GetAsync($"/v2.0/segments?network_id={network}")).Expect(200).Json.GetProperty("segments").EnumerateArray().Single();
        Assert.Equal(JsonValueKind.Null, first.GetProperty("name").ValueKind);
        var second = await CreateAsync(cloud.Admin, "segments", $"{{'network_id': '{network}', 'network_type': 'vlan', 'physical_network': 'physnet', 'segmentation_id': 105, 'name': 'left'}}");
        await RefusedAsync(
            cloud.Admin.PostAsync("/v2.0/segments", Json($"{{'segment': {{'network_id': '{network}', 'network_type': 'vlan', 'physical_network': 'physnet', 'segmentation_id': 105}}}}")), 409, "VlanIdInUse");
        await RefusedAsync(cloud.Demo.GetAsync($"/v2.0/segments/{second.Id()}"), 404, "SegmentNotFound");
        var subnet = (await CreateAsync(cloud.Admin, "subnets", $"{{'network_id': '{network}', 'ip_version': 4, 'cidr': '10.0.0.0/24', 'segment_id': '{second.Id()}'}}")).Id();
        await RefusedAsync(
            cloud.Admin.PostAsync("/v2.0/subnets", Json($"{{'subnet': {{'network_id': '{network}', 'ip_version': 4, 'cidr': '10.0.1.0/24'}}}}")), 400, "SubnetsNotAllAssociatedWithSegments");
        await RefusedAsync(cloud.Admin.DeleteAsync($"/v2.0/segments/{second.Id()}"), 409, "SegmentInUse");
        (await cloud.Admin.DeleteAsync($"/v2.0/subnets/{subnet}")).Expect(204);
        (await cloud.Admin.DeleteAsync($"/v2.0/segments/{second.Id()}")).Expect(204);
        await CreateAsync(cloud.Admin, "segments", $"{{'network_id': '{network}', 'network_type': 'vlan', 'physical_network': 'physnet', 'segmentation_id': 105}}");
    }

    [Fact]
    public async Task A_port_of_a_routed_network_gets_an_address_of_the_segment_that_its_host_is_on()
    {
        await using var cloud = await StartAsync(("ml2_type_vlan", "network_vlan_ranges", "left:100:110,right:100:110"));
        var network = (await cloud.CreateNetworkAsync(cloud.Admin, "{'segments': [{'provider:network_type': 'vlan', 'provider:physical_network': 'left'}, {'provider:network_type': 'vlan', 'provider:physical_network': 'right'}]}")).Id();
        foreach (var segment in (await cloud.Admin.GetAsync($"/v2.0/segments?network_id={network}")).Json.GetProperty("segments").EnumerateArray().ToList())
        {
            var cidr = segment.Text("physical_network") == "left" ? "10.0.0.0/24" : "10.1.0.0/24";
            await CreateAsync(cloud.Admin, "subnets", $"{{'network_id': '{network}', 'ip_version': 4, 'cidr': '{cidr}', 'segment_id': '{segment.Id()}'}}");
        }

        Assert.False((await cloud.Admin.GetAsync($"/v2.0/networks/{network}")).Json.GetProperty("network").GetProperty("l2_adjacency").GetBoolean());
        var agent = await cloud.AddAgentAsync(Contracts.AgentTypes.OpenVSwitch, "on-the-right", "{'bridge_mappings': {'right': 'br-right'}}");
        var port = await CreateAsync(cloud.Admin, "ports", $"{{'network_id': '{network}'}}");
        Assert.Empty(port.Addresses());
        Assert.Equal("deferred", port.Text("ip_allocation"));
        await RefusedAsync(cloud.Admin.PutAsync($"/v2.0/ports/{port.Id()}", Json("{'port': {'binding:host_id': 'nowhere'}}")), 409, "HostNotConnectedToAnySegment");
        var moved = (await cloud.Admin.PutAsync($"/v2.0/ports/{port.Id()}", Json("{'port': {'binding:host_id': 'on-the-right'}}"))).Expect(200).Json.GetProperty("port");
        Assert.StartsWith("10.1.0.", Assert.Single(moved.Addresses()), StringComparison.Ordinal);
        Assert.Equal("ovs", moved.Text("binding:vif_type"));
        Assert.Equal("right", (await agent.GetDevicesAsync(port.Id())).Devices.Single().PhysicalNetwork);
    }

    [Fact]
    public async Task A_range_for_one_project_is_its_alone_and_cannot_go_while_it_is_used()
    {
        await using var cloud = await StartAsync(("ml2", "tenant_network_types", "vxlan"), ("ml2_type_vxlan", "vni_ranges", "1:4"));
        var configured = (await cloud.Admin.GetAsync("/v2.0/network_segment_ranges?network_type=vxlan")).Expect(200).Json.GetProperty("network_segment_ranges").EnumerateArray().Single();
        Assert.True(configured.GetProperty("default").GetBoolean());
        await RefusedAsync(cloud.Admin.DeleteAsync($"/v2.0/network_segment_ranges/{configured.Id()}"), 400, "NetworkSegmentRangeDefaultReadOnly");
        var range = (await cloud.Admin.PostAsync(
            "/v2.0/network_segment_ranges",
            Json($"{{'network_segment_range': {{'name': 'mine', 'shared': false, 'project_id': '{TestIdentities.DemoProject}', 'network_type': 'vxlan', 'minimum': 1, 'maximum': 2}}}}"))).Expect(201).Json.GetProperty("network_segment_range");
        await RefusedAsync(
            cloud.Admin.PostAsync("/v2.0/network_segment_ranges", Json("{'network_segment_range': {'network_type': 'vxlan', 'minimum': 2, 'maximum': 9}}")), 409, "NetworkSegmentRangeOverlaps");
        var others = (await CreateAsync(cloud.Other, "networks", "{}")).Id();
        Assert.Equal(3, await IdOfAsync(cloud, others));
        Assert.Equal(1, await IdOfAsync(cloud, (await cloud.CreateNetworkAsync()).Id()));
        var seen = (await cloud.Admin.GetAsync($"/v2.0/network_segment_ranges/{range.Id()}")).Json.GetProperty("network_segment_range");
        Assert.Equal(TestIdentities.DemoProject, seen.GetProperty("used").Text("1"));
        Assert.Equal([2], seen.GetProperty("available").EnumerateArray().Select(id => id.GetInt32()));
        await RefusedAsync(cloud.Admin.DeleteAsync($"/v2.0/network_segment_ranges/{range.Id()}"), 409, "NetworkSegmentRangeReferencedByProject");
    }

    [Theory]
    [InlineData("'minimum': 3")]
    [InlineData("'minimum': 4, 'maximum': 9")]
    [InlineData("'maximum': 4")]
    public async Task The_bounds_of_a_range_stay_clear_of_its_segments_in_use(string bounds)
    {
        await using var cloud = await StartAsync(("ml2", "tenant_network_types", "vxlan"), ("ml2_type_vxlan", "vni_ranges", "20:40"));
        var range = (await cloud.Admin.PostAsync("/v2.0/network_segment_ranges", Json("{'network_segment_range': {'network_type': 'vxlan', 'minimum': 1, 'maximum': 6}}"))).Expect(201).Json.GetProperty("network_segment_range");
        var path = $"/v2.0/network_segment_ranges/{range.Id()}";
        foreach (var id in (int[])[3, 4])
        {
            await CreateAsync(cloud.Admin, "networks", $"{{'provider:network_type': 'vxlan', 'provider:segmentation_id': {id}}}");
        }

        await RefusedAsync(cloud.Admin.PutAsync(path, Json($"{{'network_segment_range': {{{bounds}}}}}")), 409, "NetworkSegmentRangeReferencedByProject");
        var changed = (await cloud.Admin.PutAsync(path, Json("{'network_segment_range': {'name': 'all', 'minimum': 2, 'maximum': 5}}"))).Expect(200).Json.GetProperty("network_segment_range");
        Assert.Equal((2, 5, "all"), (changed.GetProperty("minimum").GetInt32(), changed.GetProperty("maximum").GetInt32(), changed.Text("name")));
    }

    private static async Task<int> IdOfAsync(NeutronCloud cloud, string network) =>
        (await cloud.Admin.GetAsync($"/v2.0/networks/{network}")).Json.GetProperty("network").GetProperty("provider:segmentation_id").GetInt32();
}
