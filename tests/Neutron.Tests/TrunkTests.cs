using System.Text.Json;
using SharpStack.Neutron.Contracts;
using SharpStack.TestKit;
using static SharpStack.Neutron.Tests.NeutronCloud;

namespace SharpStack.Neutron.Tests;

public sealed class TrunkTests
{
    [Fact]
    public async Task Subports_come_and_go_and_the_parent_shows_them()
    {
        await using var cloud = await StartTrunksAsync();
        var (parent, first, second) = (await PortAsync(cloud), await PortAsync(cloud), await PortAsync(cloud));
        var trunk = await CreateAsync(cloud.Demo, "trunks", $"{{'port_id': '{parent}', 'sub_ports': [{SubPort(first, 7)}]}}");
        Assert.Equal(("DOWN", 1), (trunk.Text("status"), trunk.GetProperty("revision_number").GetInt32()));
        var path = $"/v2.0/trunks/{trunk.Id()}";
        var more = (await cloud.Demo.PutAsync(path + "/add_subports", Json($"{{'sub_ports': [{SubPort(second, 8)}]}}"))).Expect(200).Json;
        Assert.Equal((trunk.Id(), 2), (more.Id(), more.GetProperty("sub_ports").GetArrayLength()));
        Assert.Equal([(first, 7), (second, 8)], SubPorts((await cloud.Demo.GetAsync(path + "/get_subports")).Expect(200).Json));
        var details = (await ShowAsync(cloud, parent)).GetProperty("trunk_details");
        Assert.Equal(trunk.Id(), details.Text("trunk_id"));
        Assert.Equal((await ShowAsync(cloud, first)).Text("mac_address"), details.GetProperty("sub_ports")[0].Text("mac_address"));
        Assert.False((await ShowAsync(cloud, first)).TryGetProperty("trunk_details", out _));

        foreach (var (port, code) in ((string, string)[])[(parent, "PortInUseAsTrunkParent"), (first, "PortInUseAsSubPort")])
        {
            await RefusedAsync(cloud.Demo.DeleteAsync($"/v2.0/ports/{port}"), 409, code);
        }

        (await cloud.Demo.PutAsync(path + "/remove_subports", Json($"{{'sub_ports': [{{'port_id': '{first}'}}]}}"))).Expect(200);
        await RefusedAsync(cloud.Demo.PutAsync(path + "/remove_subports", Json($"{{'sub_ports': [{{'port_id': '{first}'}}]}}")), 404, "SubPortNotFound");
        (await cloud.Demo.DeleteAsync($"/v2.0/ports/{first}")).Expect(204);
        (await cloud.Demo.PutAsync(path, Json("{'trunk': {'name': 'renamed', 'admin_state_up': false}}"))).Expect(200);
        await RefusedAsync(cloud.Demo.PutAsync(path + "/add_subports", Json($"{{'sub_ports': [{SubPort(parent, 2)}]}}")), 409, "TrunkDisabled");
        await RefusedAsync(cloud.Demo.DeleteAsync(path), 409, "TrunkDisabled");
        (await cloud.Demo.PutAsync(path, Json("{'trunk': {'admin_state_up': true}}"))).Expect(200);
        await RefusedAsync(cloud.Other.GetAsync(path), 404, "TrunkNotFound");
        (await cloud.Demo.DeleteAsync(path)).Expect(204);
        (await cloud.Demo.DeleteAsync($"/v2.0/ports/{second}")).Expect(204);
        (await cloud.Demo.DeleteAsync($"/v2.0/ports/{parent}")).Expect(204);
    }

    [Fact]
    public async Task A_port_is_on_one_trunk_once_and_no_tag_is_used_twice()
    {
        await using var cloud = await StartTrunksAsync();
        var (parent, first, second) = (await PortAsync(cloud), await PortAsync(cloud), await PortAsync(cloud));
        var trunk = (await CreateAsync(cloud.Demo, "trunks", $"{{'port_id': '{parent}', 'sub_ports': [{SubPort(first, 7)}]}}")).Id();
        var path = $"/v2.0/trunks/{trunk}/add_subports";
        foreach (var (port, tag, status, code) in ((string, int, int, string)[])
        [
            (second, 7, 409, "DuplicateSubPort"), (parent, 8, 409, "ParentPortInUse"), (first, 8, 409, "TrunkPortInUse"), (Guid.NewGuid().ToString(), 8, 404, "PortNotFound"), (second, 4095, 400, "InvalidInput"),
        ])
        {
            await RefusedAsync(cloud.Demo.PutAsync(path, Json($"{{'sub_ports': [{SubPort(port, tag)}]}}")), status, code);
        }

        await RefusedAsync(cloud.Demo.PutAsync(path, Json($"{{'sub_ports': {SubPort(second, 8)}}}")), 400, "InvalidInput");
        await RefusedAsync(cloud.Demo.PutAsync(path, Json($"{{'sub_ports': [{{'port_id': '{second}', 'segmentation_type': 'vlan'}}]}}")), 400, "InvalidInput");
        await RefusedAsync(cloud.Demo.PutAsync(path, Json($"{{'sub_ports': [{{'port_id': '{second}', 'segmentation_type': 'vxlan', 'segmentation_id': 9}}]}}")), 400, "InvalidInput");
        foreach (var (body, status, code) in ((string, int, string)[])
        [
            ($"'port_id': '{parent}'", 409, "ParentPortInUse"), ($"'port_id': '{first}'", 409, "TrunkPortInUse"), ($"'port_id': '{Guid.NewGuid()}'", 404, "PortNotFound"),
            ($"'port_id': '{second}', 'sub_ports': [{SubPort(first, 2)}, {SubPort(parent, 2)}]", 400, "HTTPBadRequest"),
        ])
        {
            await RefusedAsync(cloud.Demo.PostAsync("/v2.0/trunks", Json($"{{'trunk': {{{body}}}}}")), status, code);
        }

        var used = (await CreateAsync(cloud.Demo, "ports", $"{{'network_id': '{(await cloud.CreateNetworkAsync()).Id()}', 'device_id': 'something'}}")).Id();
        await RefusedAsync(cloud.Demo.PutAsync(path, Json($"{{'sub_ports': [{SubPort(used, 8)}]}}")), 409, "PortInUse");
        await cloud.AddAgentAsync(AgentTypes.OpenVSwitch, "compute1");
        (await cloud.Admin.PutAsync($"/v2.0/ports/{second}", Json("{'port': {'binding:host_id': 'compute1'}}"))).Expect(200);
        await RefusedAsync(cloud.Demo.PostAsync("/v2.0/trunks", Json($"{{'trunk': {{'port_id': '{second}'}}}}")), 409, "ParentPortInUse");
        (await cloud.Admin.PutAsync($"/v2.0/ports/{parent}", Json("{'port': {'binding:host_id': 'compute1'}}"))).Expect(200);
        await RefusedAsync(cloud.Demo.DeleteAsync($"/v2.0/trunks/{trunk}"), 409, "TrunkInUse");
    }

    [Fact]
    public async Task A_subport_takes_the_tag_of_its_network_and_never_more_than_its_trunk_carries()
    {
        await using var cloud = await StartTrunksAsync();
        var vlan = (await cloud.CreateNetworkAsync(cloud.Admin, "{'provider:network_type': 'vlan', 'provider:physical_network': 'physnet', 'provider:segmentation_id': 321, 'shared': true}")).Id();
        var parent = await PortAsync(cloud);
        var inner = (await CreateAsync(cloud.Demo, "ports", $"{{'network_id': '{vlan}'}}")).Id();
        var trunk = await CreateAsync(cloud.Demo, "trunks", $"{{'port_id': '{parent}', 'sub_ports': [{{'port_id': '{inner}', 'segmentation_type': 'inherit'}}]}}");
        Assert.Equal([(inner, 321)], SubPorts(trunk));
        var local = await PortAsync(cloud);
        await RefusedAsync(cloud.Demo.PutAsync($"/v2.0/trunks/{trunk.Id()}/add_subports", Json($"{{'sub_ports': [{{'port_id': '{local}', 'segmentation_type': 'inherit'}}]}}")), 400, "InvalidInput");
        var narrow = (await CreateAsync(cloud.Demo, "ports", $"{{'network_id': '{(await cloud.CreateNetworkAsync(body: "{'mtu': 1400}")).Id()}'}}")).Id();
        await RefusedAsync(cloud.Demo.PostAsync("/v2.0/trunks", Json($"{{'trunk': {{'port_id': '{narrow}', 'sub_ports': [{SubPort(local, 3)}]}}}}")), 409, "SubPortMtuGreaterThanTrunkPortMtu");
    }

    [Fact]
    public async Task Subports_are_bound_with_their_trunk_and_released_with_it()
    {
        await using var cloud = await StartTrunksAsync();
        var (first, second) = (await cloud.AddAgentAsync(AgentTypes.OpenVSwitch, "compute1"), await cloud.AddAgentAsync(AgentTypes.OpenVSwitch, "compute2"));
        var (parent, sub, later) = (await PortAsync(cloud), await PortAsync(cloud), await PortAsync(cloud));
        var trunk = (await CreateAsync(cloud.Demo, "trunks", $"{{'port_id': '{parent}', 'sub_ports': [{SubPort(sub, 7)}]}}")).Id();
        await BindAsync("compute1");
        var details = (await ShowAsync(parent)).GetProperty("binding:vif_details");
        Assert.Equal(($"tbr-{trunk[..10]}", false), (details.Text("bridge_name"), details.GetProperty("ovs_hybrid_plug").GetBoolean()));
        Assert.Equal(("compute1", "ovs", "trunk:subport", "br-int"), await BoundAsync(sub));
        await first.SawAsync("port_update", sub);
        var seen = Assert.Single((await first.GetDevicesAsync(parent)).Devices).Trunk!;
        Assert.Equal((trunk, "DOWN", new DeviceSubPort(sub, (await ShowAsync(sub)).Text("mac_address"), 7)), (seen.TrunkId, seen.Status, Assert.Single(seen.SubPorts)));

        // The agent says how far it is; of what it has not seen yet it is told to look again.
        Assert.Empty((await first.SayTrunkAsync(trunk, seen.Revision, "BUILD")).LookAgain);
        Assert.Equal("BUILD", await StatusAsync());
        Assert.Empty((await first.SayTrunkAsync(trunk, seen.Revision, "ACTIVE")).LookAgain);
        Assert.Equal("ACTIVE", await StatusAsync());
        first.Hints.Clear();
        (await cloud.Demo.PutAsync($"/v2.0/trunks/{trunk}/add_subports", Json($"{{'sub_ports': [{SubPort(later, 8)}]}}"))).Expect(200);
        Assert.Equal(("compute1", "ovs", "trunk:subport", "br-int"), await BoundAsync(later));
        await first.SawAsync("port_update", parent);
        Assert.Equal([parent], (await first.SayTrunkAsync(trunk, seen.Revision + 1, "ACTIVE")).LookAgain);
        Assert.Equal("DOWN", await StatusAsync());
        await SayActiveAsync(first);

        // It moves: the one that it left has no say any more.
        await BindAsync("compute2");
        Assert.Equal(("compute2", "DOWN"), ((await BoundAsync(sub)).Host, await StatusAsync()));
        await first.SawAsync("port_update", sub);
        await SayActiveAsync(second);
        Assert.Equal([parent], (await first.SayTrunkAsync(trunk, (await RevisionAsync()), "DEGRADED")).LookAgain);
        Assert.Equal("ACTIVE", await StatusAsync());

        (await cloud.Demo.PutAsync($"/v2.0/trunks/{trunk}/remove_subports", Json($"{{'sub_ports': [{{'port_id': '{later}'}}]}}"))).Expect(200);
        Assert.Equal(("", "unbound", "", ""), await BoundAsync(later));
        await BindAsync("");
        Assert.Equal(("", "unbound", "trunk:subport", ""), await BoundAsync(sub));
        Assert.Equal("DOWN", await StatusAsync());
        (await cloud.Demo.DeleteAsync($"/v2.0/trunks/{trunk}")).Expect(204);
        Assert.Equal("", (await BoundAsync(sub)).Owner);

        async Task BindAsync(string host) => (await cloud.Admin.PutAsync($"/v2.0/ports/{parent}", Json($"{{'port': {{'binding:host_id': '{host}'}}}}"))).Expect(200);

        async Task<JsonElement> ShowAsync(string port) => (await cloud.Admin.GetAsync($"/v2.0/ports/{port}")).Expect(200).Json.GetProperty("port");

        async Task<(string Host, string Type, string Owner, string Bridge)> BoundAsync(string id) =>
            await ShowAsync(id) is var port && port.GetProperty("binding:vif_details").TryGetProperty("bridge_name", out var bridge)
                ? (port.Text("binding:host_id"), port.Text("binding:vif_type"), port.Text("device_owner"), bridge.GetString()!)
                : (port.Text("binding:host_id"), port.Text("binding:vif_type"), port.Text("device_owner"), "");

        async Task<string> StatusAsync() => (await cloud.Demo.GetAsync($"/v2.0/trunks/{trunk}")).Expect(200).Json.GetProperty("trunk").Text("status");

        async Task<int> RevisionAsync() => (await cloud.Demo.GetAsync($"/v2.0/trunks/{trunk}")).Expect(200).Json.GetProperty("trunk").GetProperty("revision_number").GetInt32();

        async Task SayActiveAsync(FakeAgent agent)
        {
            Assert.Empty((await agent.SayTrunkAsync(trunk, Assert.Single((await agent.GetDevicesAsync(parent)).Devices).Trunk!.Revision, "ACTIVE")).LookAgain);
            Assert.Equal("ACTIVE", await StatusAsync());
        }
    }

    [Fact]
    public async Task A_trunk_with_a_subport_that_cannot_be_bound_is_in_error_until_it_can()
    {
        await using var cloud = await StartTrunksAsync();
        var agent = await cloud.AddAgentAsync(AgentTypes.OpenVSwitch, "compute1");
        var other = (await cloud.CreateNetworkAsync(cloud.Admin, "{'provider:network_type': 'flat', 'provider:physical_network': 'other', 'shared': true}")).Id();
        var (parent, sub, later) = (await PortAsync(cloud), (await CreateAsync(cloud.Demo, "ports", $"{{'network_id': '{other}'}}")).Id(), await PortAsync(cloud));
        var trunk = (await CreateAsync(cloud.Demo, "trunks", $"{{'port_id': '{parent}', 'sub_ports': [{SubPort(sub, 7)}]}}")).Id();
        (await cloud.Admin.PutAsync($"/v2.0/ports/{parent}", Json("{'port': {'binding:host_id': 'compute1'}}"))).Expect(200);
        await agent.SayTrunkAsync(trunk, await RevisionAsync(), "ACTIVE");
        Assert.Equal("ERROR", await StatusAsync());
        await RefusedAsync(cloud.Demo.PutAsync($"/v2.0/trunks/{trunk}/add_subports", Json($"{{'sub_ports': [{SubPort(later, 8)}]}}")), 409, "TrunkInErrorState");

        // An agent that comes back with the physical network has its ports bound, and this trunk with them.
        agent.Hints.Clear();
        await cloud.AddAgentAsync(AgentTypes.OpenVSwitch, "compute1", "{'bridge_mappings': {'physnet': 'br-phys', 'other': 'br-other'}, 'datapath_type': 'netdev'}");
        await agent.SawAsync("port_update", parent);
        await agent.SayTrunkAsync(trunk, await RevisionAsync(), "ACTIVE");
        Assert.Equal("ACTIVE", await StatusAsync());

        async Task<string> StatusAsync() => (await cloud.Demo.GetAsync($"/v2.0/trunks/{trunk}")).Expect(200).Json.GetProperty("trunk").Text("status");

        async Task<long> RevisionAsync() => Assert.Single((await agent.GetDevicesAsync(parent)).Devices).Trunk!.Revision;
    }

    [Fact]
    public async Task Answers_have_the_shapes_of_openstacks_samples()
    {
        await using var cloud = await StartTrunksAsync();
        var (parent, first, second) = (await PortAsync(cloud), await PortAsync(cloud), await PortAsync(cloud));
        var trunk = (await CreateAsync(cloud.Demo, "trunks", $"{{'port_id': '{parent}', 'sub_ports': [{SubPort(first, 7)}]}}")).Id();
        foreach (var (sample, path) in ((string, string)[])
            [("trunk-show-response", $"trunks/{trunk}"), ("trunks-list-response", "trunks"), ("trunk-list-subports-response", $"trunks/{trunk}/get_subports"), ("trunk-details-show-response", $"ports/{parent}")])
        {
            WireGoldenTests.Compare(sample, (await cloud.Admin.GetAsync($"/v2.0/{path}")).Expect(200));
        }

        WireGoldenTests.Compare("trunk-add-subports-response", (await cloud.Demo.PutAsync($"/v2.0/trunks/{trunk}/add_subports", Json($"{{'sub_ports': [{SubPort(second, 8)}]}}"))).Expect(200));
        WireGoldenTests.Compare("trunk-remove-subports-response", (await cloud.Demo.PutAsync($"/v2.0/trunks/{trunk}/remove_subports", Json($"{{'sub_ports': [{{'port_id': '{second}'}}]}}"))).Expect(200));
        Assert.Equal(-1, (await cloud.Demo.GetAsync($"/v2.0/quotas/{TestIdentities.DemoProject}")).Json.GetProperty("quota").GetProperty("trunk").GetInt32());
    }

    private static Task<NeutronCloud> StartTrunksAsync() => StartAsync(("DEFAULT", "service_plugins", "router,trunk"), ("ml2_type_vlan", "network_vlan_ranges", "physnet"));

    private static async Task<string> PortAsync(NeutronCloud cloud) => (await CreateAsync(cloud.Demo, "ports", $"{{'network_id': '{(await cloud.CreateNetworkAsync()).Id()}'}}")).Id();

    private static string SubPort(string port, int tag) => $"{{'port_id': '{port}', 'segmentation_type': 'vlan', 'segmentation_id': {tag}}}";

    private static async Task<JsonElement> ShowAsync(NeutronCloud cloud, string port) => (await cloud.Demo.GetAsync($"/v2.0/ports/{port}")).Expect(200).Json.GetProperty("port");

    private static IEnumerable<(string, int)> SubPorts(JsonElement trunk) => trunk.GetProperty("sub_ports").EnumerateArray().Select(sub => (sub.Text("port_id"), sub.GetProperty("segmentation_id").GetInt32()));
}
