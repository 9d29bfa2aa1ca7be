using Microsoft.Extensions.Time.Testing;
using SharpStack.Neutron.Contracts;
using SharpStack.TestKit;
using static SharpStack.Neutron.Tests.NeutronCloud;

namespace SharpStack.Neutron.Tests;

public sealed class L3AgentTests
{
    [Fact]
    public async Task An_agent_gets_its_routers_whole_and_says_what_works()
    {
        await using var cloud = await StartAsync();
        var agent = await cloud.AddAgentAsync(AgentTypes.L3, "network1", "{'agent_mode': 'legacy'}");
        await cloud.AddAgentAsync(AgentTypes.OpenVSwitch, "network1");
        var routed = await cloud.CreateRoutedAsync();
        await agent.SawAsync(L3Contracts.RoutersChanged.Method, routed.Router);
        var port = await CreateAsync(cloud.Demo, "ports", $"{{'network_id': '{routed.Network}'}}");
        var floating = await CreateAsync(cloud.Demo, "floatingips", $"{{'floating_network_id': '{routed.Outside}', 'port_id': '{port.Id()}'}}");
        await CreateAsync(cloud.Demo, "subnets", $"{{'network_id': '{routed.Network}', 'ip_version': 4, 'cidr': '10.7.0.0/24'}}");
        (await cloud.Demo.PutAsync($"/v2.0/routers/{routed.Router}", Json("{'router': {'routes': [{'destination': '192.168.0.0/24', 'nexthop': '10.0.0.9'}]}}"))).Expect(200);

        var router = Assert.Single((await agent.GetRoutersAsync(null)).Routers);
        Assert.Equal((routed.Router, "r", TestIdentities.DemoProject, true), (router.Id, router.Name, router.ProjectId, router.AdminStateUp));
        Assert.Null(router.Ha);
        Assert.Equal((routed.Outside, true, 1500), (router.Gateway!.Port.NetworkId, router.Gateway.EnableSnat, router.Gateway.Port.Mtu));
        Assert.Equal(("203.0.113.1", 24), (router.Gateway.Port.Subnets.Single().GatewayIp, router.Gateway.Port.FixedIps.Single().PrefixLength));
        var inner = Assert.Single(router.Interfaces);
        Assert.Equal(("10.0.0.1", "10.0.0.0/24", "10.7.0.0/24"), (inner.FixedIps.Single().IpAddress, inner.Subnets.Single().Cidr, inner.ExtraSubnets.Single().Cidr));
        var ip = Assert.Single(router.FloatingIps);
        Assert.Equal((floating.Id(), floating.Text("floating_ip_address"), port.Addresses().Single(), "DOWN"), (ip.Id, ip.FloatingAddress, ip.FixedAddress, ip.Status));
        Assert.Equal([new HostRoute("192.168.0.0/24", "10.0.0.9")], router.Routes);
        Assert.Equal(router.Revision, (await cloud.Demo.GetAsync($"/v2.0/routers/{routed.Router}")).Json.GetProperty("router").GetProperty("revision_number").GetInt64());
        var shown = (await cloud.Admin.GetAsync($"/v2.0/ports/{inner.Id}")).Json.GetProperty("port");
        Assert.Equal(("network1", "ovs"), (shown.Text("binding:host_id"), shown.Text("binding:vif_type")));

        await agent.SayFloatingIpAsync(routed.Router, floating.Id(), "ACTIVE");
        Assert.Equal("ACTIVE", (await cloud.Demo.GetAsync($"/v2.0/floatingips/{floating.Id()}")).Json.GetProperty("floatingip").Text("status"));
        var stranger = await cloud.AddAgentAsync(AgentTypes.L3, "network2", "{}");
        await stranger.SayFloatingIpAsync(routed.Router, floating.Id(), "ERROR");
        Assert.Equal("ACTIVE", (await cloud.Demo.GetAsync($"/v2.0/floatingips/{floating.Id()}")).Json.GetProperty("floatingip").Text("status"));
        Assert.Equal([routed.Router], (await stranger.GetRoutersAsync(routed.Router)).Unknown);
        var first = (await cloud.Admin.GetAsync("/v2.0/agents?host=network1")).Json.GetProperty("agents")[0].Id();
        (await cloud.Admin.DeleteAsync($"/v2.0/agents/{first}/l3-routers/{routed.Router}")).Expect(204);
        Assert.Equal("DOWN", (await cloud.Demo.GetAsync($"/v2.0/floatingips/{floating.Id()}")).Json.GetProperty("floatingip").Text("status"));
        (await cloud.Admin.PostAsync($"/v2.0/agents/{first}/l3-routers", Json($"{{'router_id': '{routed.Router}'}}"))).Expect(201);

        async Task<MetadataInstanceAnswer> FindAsync(string where) =>
            await cloud.Bus.CallAsync(MetadataContracts.FindInstance, new MetadataInstanceRequest(null, port.Addresses().Single(), where), cancellationToken: TestContext.Current.CancellationToken);
        (await cloud.Demo.PutAsync($"/v2.0/ports/{port.Id()}", Json("{'port': {'device_id': 'the-server', 'device_owner': 'compute:nova'}}"))).Expect(200);
        Assert.Equal("the-server", (await FindAsync(routed.Router)).InstanceId);
        Assert.Null((await FindAsync(Guid.NewGuid().ToString())).InstanceId);
    }

    [Fact]
    public async Task Routers_go_to_the_agent_with_the_fewest_and_can_be_moved_by_hand()
    {
        await using var cloud = await StartAsync();
        await cloud.AddAgentAsync(AgentTypes.L3, "network1", "{}");
        await cloud.AddAgentAsync(AgentTypes.L3, "network2", "{}");
        var (outside, _) = await cloud.CreateExternalAsync();
        var routers = new List<string>();
        for (var i = 0; i < 4; i++)
        {
            routers.Add((await CreateAsync(cloud.Demo, "routers", $"{{'external_gateway_info': {{'network_id': '{outside}'}}}}")).Id());
        }

        var hosts = new List<string>();
        foreach (var router in routers)
        {
            hosts.Add(Assert.Single((await cloud.Admin.GetAsync($"/v2.0/routers/{router}/l3-agents")).Expect(200).Json.GetProperty("agents").EnumerateArray()).Text("host"));
        }

        Assert.Equal(["network1", "network2", "network1", "network2"], hosts);
        var agents = (await cloud.Admin.GetAsync("/v2.0/agents?agent_type=L3 agent")).Json.GetProperty("agents").EnumerateArray().ToDictionary(agent => agent.Text("host"), agent => agent.Id());
        await RefusedAsync(cloud.Admin.PostAsync($"/v2.0/agents/{agents["network2"]}/l3-routers", Json($"{{'router_id': '{routers[0]}'}}")), 409, "RouterHostedByL3Agent");
        (await cloud.Admin.DeleteAsync($"/v2.0/agents/{agents["network1"]}/l3-routers/{routers[0]}")).Expect(204);
        (await cloud.Admin.PostAsync($"/v2.0/agents/{agents["network2"]}/l3-routers", Json($"{{'router_id': '{routers[0]}'}}"))).Expect(201);
        var there = (await cloud.Admin.GetAsync($"/v2.0/agents/{agents["network2"]}/l3-routers")).Expect(200).Json.GetProperty("routers").EnumerateArray().Select(router => router.Id());
        Assert.Equal(new[] { routers[0], routers[1], routers[3] }.Order(), there.Order());
        (await cloud.Demo.GetAsync($"/v2.0/routers/{routers[0]}/l3-agents")).Expect(403);
    }

    [Fact]
    public async Task The_agent_hears_of_the_address_scopes_of_subnets()
    {
        await using var cloud = await StartAsync();
        var agent = await cloud.AddAgentAsync(AgentTypes.L3, "network1", "{}");
        var scope = (await CreateAsync(cloud.Demo, "address-scopes", "{'name': 's', 'ip_version': 4}")).Id();
        var pool = (await CreateAsync(cloud.Demo, "subnetpools", $"{{'name': 'p', 'prefixes': ['10.0.0.0/16'], 'default_prefixlen': 24, 'address_scope_id': '{scope}'}}")).Id();
        var network = (await cloud.CreateNetworkAsync()).Id();
        var subnet = (await CreateAsync(cloud.Demo, "subnets", $"{{'network_id': '{network}', 'ip_version': 4, 'subnetpool_id': '{pool}'}}")).Id();
        var (_, other) = await cloud.CreateNetworkWithSubnetAsync("192.0.2.0/24");
        var router = (await CreateAsync(cloud.Demo, "routers", "{'name': 'r'}")).Id();
        await cloud.AddInterfaceAsync(router, $"'subnet_id': '{subnet}'");
        await cloud.AddInterfaceAsync(router, $"'subnet_id': '{other}'");
        var subnets = Assert.Single((await agent.GetRoutersAsync(null)).Routers).Interfaces.SelectMany(port => port.Subnets).ToDictionary(known => known.Id, known => known.AddressScopeId);
        Assert.Equal((scope, null), (subnets[subnet], subnets[other]));
    }

    [Fact]
    public async Task Packets_for_an_HA_router_are_flooded_to_all_of_its_hosts()
    {
        await using var cloud = await StartAsync(("ml2", "mechanism_drivers", "openvswitch,l2population"), ("ml2", "tenant_network_types", "vxlan"), ("ml2_type_vxlan", "vni_ranges", "100:200"));
        var switches = new List<FakeAgent>();
        foreach (var (host, address) in ((string, string)[])[("network1", "192.0.2.1"), ("network2", "192.0.2.2"), ("compute1", "192.0.2.3")])
        {
            switches.Add(await cloud.AddAgentAsync(AgentTypes.OpenVSwitch, host, $"{{'tunneling_ip': '{address}', 'tunnel_types': ['vxlan']}}"));
        }

        var l3 = await cloud.AddAgentAsync(AgentTypes.L3, "network1", "{}");
        await cloud.AddAgentAsync(AgentTypes.L3, "network2", "{}");
        var router = (await CreateAsync(cloud.Admin, "routers", $"{{'ha': true, 'project_id': '{TestIdentities.DemoProject}'}}")).Id();
        var (network, subnet) = await cloud.CreateNetworkWithSubnetAsync();
        var inner = (await cloud.AddInterfaceAsync(router, $"'subnet_id': '{subnet}'")).Text("port_id");
        await l3.SayStateAsync(router, "active");
        await switches[0].UpAsync(inner);
        var server = await CreateAsync(cloud.Admin, "ports", $"{{'network_id': '{network}', 'binding:host_id': 'compute1', 'device_owner': 'compute:nova'}}");
        await switches[2].UpAsync(server.Id());

        Assert.Equal([("192.0.2.1", 0), ("192.0.2.2", 0)], await HostsAsync("compute1"));
        Assert.Equal([("192.0.2.2", 0), ("192.0.2.3", 1)], await HostsAsync("network1"));

        async Task<IEnumerable<(string, int)>> HostsAsync(string host) =>
            Assert.Single((await cloud.Bus.CallAsync(OpenVSwitchContracts.GetForwarding, new ForwardingRequest(host, [network]), cancellationToken: TestContext.Current.CancellationToken)).Networks)
                .Hosts.Select(remote => (remote.Address, remote.Ports.Count));
    }

    [Fact]
    public async Task A_router_without_an_agent_gets_the_first_that_comes()
    {
        await using var cloud = await StartAsync();
        var routed = await cloud.CreateRoutedAsync();
        var agent = await cloud.AddAgentAsync(AgentTypes.L3, "network1", "{}");
        await agent.SawAsync(L3Contracts.RoutersChanged.Method, routed.Router);
        Assert.Equal(routed.Router, Assert.Single((await agent.GetRoutersAsync(null)).Routers).Id);
    }

    [Fact]
    public async Task The_routers_of_a_dead_agent_move_where_automatic_failover_is_on()
    {
        var time = new FakeTimeProvider(DateTimeOffset.UnixEpoch.AddYears(56));
        await using var cloud = await StartAsync(time, ("DEFAULT", "allow_automatic_l3agent_failover", "true"));
        await cloud.AddAgentAsync(AgentTypes.L3, "first", "{}");
        var routed = await cloud.CreateRoutedAsync();
        time.Advance(TimeSpan.FromSeconds(80));
        var second = await cloud.AddAgentAsync(AgentTypes.L3, "second", "{}");
        await second.SawAsync(L3Contracts.RoutersChanged.Method, routed.Router);
        Assert.Equal("second", Assert.Single((await cloud.Admin.GetAsync($"/v2.0/routers/{routed.Router}/l3-agents")).Json.GetProperty("agents").EnumerateArray()).Text("host"));
    }

    [Fact]
    public async Task An_HA_router_is_on_several_hosts_and_its_ports_follow_the_active_one()
    {
        await using var cloud = await StartAsync();
        var hosts = new List<FakeAgent>();
        var switches = new List<FakeAgent>();
        foreach (var host in new[] { "network1", "network2" })
        {
            hosts.Add(await cloud.AddAgentAsync(AgentTypes.L3, host, "{}"));
            switches.Add(await cloud.AddAgentAsync(AgentTypes.OpenVSwitch, host));
        }

        await RefusedAsync(cloud.Demo.PostAsync("/v2.0/routers", Json("{'router': {'ha': true}}")), 403, "PolicyNotAuthorized");
        var router = await CreateAsync(cloud.Admin, "routers", $"{{'ha': true, 'project_id': '{TestIdentities.DemoProject}'}}");
        Assert.True(router.GetProperty("ha").GetBoolean());
        var (_, subnet) = await cloud.CreateNetworkWithSubnetAsync();
        var port = (await cloud.AddInterfaceAsync(router.Id(), $"'subnet_id': '{subnet}'")).Text("port_id");
        var views = new List<L3Router>();
        foreach (var agent in hosts)
        {
            views.Add(Assert.Single((await agent.GetRoutersAsync(null)).Routers));
        }

        Assert.Equal(1, views[0].Ha!.VirtualRouterId);
        Assert.Equal(views[0].Ha!.VirtualAddress, views[1].Ha!.VirtualAddress);
        Assert.NotEqual(views[0].Ha!.Port.FixedIps.Single().IpAddress, views[1].Ha!.Port.FixedIps.Single().IpAddress);
        Assert.All(views, view => Assert.StartsWith("169.254.", view.Ha!.Port.FixedIps.Single().IpAddress, StringComparison.Ordinal));
        Assert.All(views, view => Assert.Equal(port, Assert.Single(view.Interfaces).Id));
        async Task<string> HostAsync() => (await cloud.Admin.GetAsync($"/v2.0/ports/{port}")).Json.GetProperty("port").Text("binding:host_id");
        await hosts[1].SayStateAsync(router.Id(), "active");
        Assert.Equal("network2", await HostAsync());
        await hosts[0].SayStateAsync(router.Id(), "active");
        Assert.Equal("network1", await HostAsync());
        var states = (await cloud.Admin.GetAsync($"/v2.0/routers/{router.Id()}/l3-agents")).Json.GetProperty("agents").EnumerateArray().ToDictionary(agent => agent.Text("host"), agent => agent.Text("ha_state"));
        Assert.Equal(("active", "standby"), (states["network1"], states["network2"]));
        // The standby wires the port too, and does not speak for it.
        Assert.Equal(port, Assert.Single((await switches[1].GetDevicesAsync(port)).Devices).PortId);
        Assert.Empty((await switches[1].UpAsync(port)).LookAgain);
        Assert.Equal("DOWN", (await cloud.Admin.GetAsync($"/v2.0/ports/{port}")).Json.GetProperty("port").Text("status"));
        await switches[0].UpAsync(port);
        Assert.Equal("ACTIVE", (await cloud.Admin.GetAsync($"/v2.0/ports/{port}")).Json.GetProperty("port").Text("status"));
        Assert.Equal("network:ha_router_replicated_interface", (await cloud.Admin.GetAsync($"/v2.0/ports/{port}")).Json.GetProperty("port").Text("device_owner"));

        (await cloud.Demo.PutAsync($"/v2.0/routers/{router.Id()}/remove_router_interface", Json($"{{'subnet_id': '{subnet}'}}"))).Expect(200);
        (await cloud.Demo.DeleteAsync($"/v2.0/routers/{router.Id()}")).Expect(204);
        Assert.DoesNotContain((await cloud.Admin.GetAsync("/v2.0/networks")).Json.GetProperty("networks").EnumerateArray(), network => network.Text("name").StartsWith("HA network", StringComparison.Ordinal));
        Assert.Equal(0, (await cloud.Admin.GetAsync($"/v2.0/ports?device_id={router.Id()}")).Json.GetProperty("ports").GetArrayLength());
    }
}
