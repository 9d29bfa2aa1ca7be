using System.Text.Json;
using SharpStack.Neutron.Contracts;
using SharpStack.TestKit;
using static SharpStack.Neutron.Tests.NeutronCloud;

namespace SharpStack.Neutron.Tests;

public sealed class PortBindingTests
{
    [Fact]
    public async Task A_port_is_prepared_on_a_second_host_and_moves_there_when_that_is_activated()
    {
        await using var cloud = await StartAsync();
        var first = await cloud.AddAgentAsync(AgentTypes.OpenVSwitch, "compute1");
        var second = await cloud.AddAgentAsync(AgentTypes.OpenVSwitch, "compute2");
        var network = (await CreateAsync(cloud.Admin, "networks", "{}")).Id();
        var port = (await CreateAsync(cloud.Admin, "ports", $"{{'network_id': '{network}', 'binding:host_id': 'compute1', 'device_owner': 'compute:nova', 'device_id': '{Guid.NewGuid()}'}}")).Id();
        var path = $"/v2.0/ports/{port}/bindings";
        var made = (await cloud.Admin.PostAsync(path, Json("{'binding': {'host': 'compute2', 'profile': {'migrating': 'yes'}}}"))).Expect(201).Json.GetProperty("binding");
        Assert.Equal(("compute2", "ovs", "INACTIVE", "normal"), (made.Text("host"), made.Text("vif_type"), made.Text("status"), made.Text("vnic_type")));
        Assert.Equal([("compute1", "ACTIVE"), ("compute2", "INACTIVE")], await BindingsAsync(cloud, path));
        await RefusedAsync(cloud.Admin.PostAsync(path, Json("{'binding': {'host': 'compute2'}}")), 409, "PortBindingAlreadyExists");
        await RefusedAsync(cloud.Admin.PostAsync(path, Json("{'binding': {'host': 'nowhere'}}")), 500, "PortBindingError");
        await RefusedAsync(cloud.Admin.PutAsync(path + "/compute1/activate", "{}"), 409, "PortBindingAlreadyActive");
        await RefusedAsync(cloud.Demo.GetAsync(path), 403, "PolicyNotAuthorized");
        (await cloud.Admin.PutAsync(path + "/compute2/activate", "{}")).Expect(200);
        Assert.Equal([("compute2", "ACTIVE"), ("compute1", "INACTIVE")], await BindingsAsync(cloud, path));
        var moved = (await cloud.Admin.GetAsync($"/v2.0/ports/{port}")).Json.GetProperty("port");
        Assert.Equal(("compute2", "DOWN", "yes"), (moved.Text("binding:host_id"), moved.Text("status"), moved.GetProperty("binding:profile").Text("migrating")));
        await first.SawAsync(OpenVSwitchContracts.PortChanged.Method, port);
        await second.SawAsync(OpenVSwitchContracts.PortChanged.Method, port);
        await second.UpAsync(port);
        Assert.Equal("ACTIVE", (await cloud.Admin.GetAsync($"/v2.0/ports/{port}")).Json.GetProperty("port").Text("status"));
        (await cloud.Admin.DeleteAsync(path + "/compute1")).Expect(204);
        await RefusedAsync(cloud.Admin.DeleteAsync(path + "/compute1"), 404, "PortBindingNotFound");
        (await cloud.Admin.DeleteAsync($"/v2.0/ports/{port}")).Expect(204);
    }

    [Fact]
    public async Task Only_ports_of_instances_have_several_bindings()
    {
        await using var cloud = await StartAsync();
        var network = (await CreateAsync(cloud.Admin, "networks", "{}")).Id();
        var port = (await CreateAsync(cloud.Admin, "ports", $"{{'network_id': '{network}'}}")).Id();
        await RefusedAsync(cloud.Admin.GetAsync($"/v2.0/ports/{port}/bindings"), 400, "BadRequest");
        await RefusedAsync(cloud.Admin.GetAsync($"/v2.0/ports/{Guid.NewGuid()}/bindings"), 404, "PortNotFound");
    }

    [Fact]
    public async Task A_port_gets_another_MAC_when_none_is_asked_for_and_keeps_it_while_it_is_bound()
    {
        await using var cloud = await StartAsync();
        await cloud.AddAgentAsync(AgentTypes.OpenVSwitch, "compute1");
        var network = (await CreateAsync(cloud.Admin, "networks", "{}")).Id();
        var port = await CreateAsync(cloud.Admin, "ports", $"{{'network_id': '{network}'}}");
        var path = $"/v2.0/ports/{port.Id()}";
        var changed = (await cloud.Admin.PutAsync(path, Json("{'port': {'mac_address': null}}"))).Expect(200).Json.GetProperty("port");
        Assert.NotEqual(port.Text("mac_address"), changed.Text("mac_address"));
        (await cloud.Admin.PutAsync(path, Json("{'port': {'binding:host_id': 'compute1'}}"))).Expect(200);
        await RefusedAsync(cloud.Admin.PutAsync(path, Json("{'port': {'mac_address': null}}")), 409, "PortBound");
    }

    [Fact]
    public async Task A_ports_names_are_those_of_the_configured_domain()
    {
        await using var cloud = await StartAsync(("DEFAULT", "dns_domain", "cloud.example."));
        var (network, _) = await cloud.CreateNetworkWithSubnetAsync();
        var port = await CreateAsync(cloud.Demo, "ports", $"{{'network_id': '{network}', 'dns_name': 'web.cloud.example.'}}");
        Assert.Equal("web", port.Text("dns_name"));
        var name = port.GetProperty("dns_assignment")[0];
        Assert.Equal(("web", "web.cloud.example.", port.Addresses().Single()), (name.Text("hostname"), name.Text("fqdn"), name.Text("ip_address")));
        await RefusedAsync(cloud.Demo.PostAsync("/v2.0/ports", Json($"{{'port': {{'network_id': '{network}', 'dns_name': 'web.elsewhere.'}}}}")), 400, "HTTPBadRequest");
        await RefusedAsync(cloud.Demo.PostAsync("/v2.0/ports", Json($"{{'port': {{'network_id': '{network}', 'dns_name': 'under_score'}}}}")), 400, "HTTPBadRequest");
        var plain = await CreateAsync(cloud.Demo, "ports", $"{{'network_id': '{network}', 'fixed_ips': [], 'tags': ['a', 'b']}}");
        Assert.Equal("none", plain.Text("ip_allocation"));
        Assert.Equal(2, plain.GetProperty("tags").GetArrayLength());
        await RefusedAsync(cloud.Demo.PutAsync($"/v2.0/ports/{port.Id()}", Json("{'port': {'data_plane_status': 'DOWN'}}")), 403, "PolicyNotAuthorized");
        Assert.Equal("DOWN", (await cloud.Admin.PutAsync($"/v2.0/ports/{port.Id()}", Json("{'port': {'data_plane_status': 'DOWN'}}"))).Expect(200).Json.GetProperty("port").Text("data_plane_status"));
    }

    [Fact]
    public async Task Many_ports_are_made_together_or_none()
    {
        await using var cloud = await StartAsync();
        var (network, subnet) = await cloud.CreateNetworkWithSubnetAsync("10.0.0.0/29");
        var one = $"{{'network_id': '{network}'}}";
        await RefusedAsync(cloud.Demo.PostAsync("/v2.0/ports", Json($"{{'ports': [{string.Join(',', Enumerable.Repeat(one, 6))}]}}")), 409, "IpAddressGenerationFailure");
        Assert.Empty((await cloud.Demo.GetAsync("/v2.0/ports")).Json.GetProperty("ports").EnumerateArray());
        var made = (await cloud.Demo.PostAsync("/v2.0/ports", Json($"{{'ports': [{string.Join(',', Enumerable.Repeat(one, 5))}]}}"))).Expect(201).Json.GetProperty("ports");
        Assert.Equal(5, made.EnumerateArray().SelectMany(port => port.Addresses()).Distinct().Count());
        Assert.Equal(subnet, made[0].GetProperty("fixed_ips")[0].Text("subnet_id"));
    }

    private static async Task<List<(string, string)>> BindingsAsync(NeutronCloud cloud, string path) =>
        [.. (await cloud.Admin.GetAsync(path)).Expect(200).Json.GetProperty("bindings").EnumerateArray().Select(binding => (binding.Text("host"), binding.Text("status")))];
}
