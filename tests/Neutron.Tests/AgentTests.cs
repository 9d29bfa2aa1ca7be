using System.Text.Json;
using Microsoft.Extensions.Time.Testing;
using SharpStack.Neutron.Contracts;
using SharpStack.TestKit;
using static SharpStack.Neutron.Tests.NeutronCloud;

namespace SharpStack.Neutron.Tests;

public sealed class AgentTests
{
    [Fact]
    public async Task An_agent_is_alive_as_long_as_it_reports()
    {
        var time = new FakeTimeProvider(new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.Zero));
        await using var cloud = await StartAsync(time);
        var agent = await cloud.AddAgentAsync(AgentTypes.OpenVSwitch, "compute1");
        Assert.Equal("alive", (await agent.ReportAsync(start: false)).Status);
        var shown = await OneAsync(cloud);
        Assert.True(shown.GetProperty("alive").GetBoolean());
        Assert.Equal("Open vSwitch agent", shown.Text("agent_type"));
        Assert.Equal("neutron-openvswitch-agent", shown.Text("binary"));
        Assert.Equal("compute1", shown.Text("host"));
        Assert.Equal("2026-01-02 03:04:05", shown.Text("heartbeat_timestamp"));
        Assert.Equal("br-phys", shown.GetProperty("configurations").GetProperty("bridge_mappings").Text("physnet"));
        time.Advance(TimeSpan.FromSeconds(76));
        Assert.False((await OneAsync(cloud)).GetProperty("alive").GetBoolean());
        var answer = await agent.ReportAsync(start: false);
        Assert.Equal("revived", answer.Status);
        Assert.True(answer.NeedsResync);
        Assert.False((await agent.ReportAsync(start: false)).NeedsResync);
    }

    [Fact]
    public async Task A_server_that_was_started_anew_asks_its_agents_to_resync()
    {
        var first = await TestCloud.StartAsync(new NeutronModule());
        var agent = new FakeAgent(first.Get<SharpStack.Foundation.Bus.IMessageBus>(), AgentTypes.OpenVSwitch, "compute1", "{}");
        Assert.Equal("new", (await agent.ReportAsync()).Status);
        var data = await first.StopAndKeepDataAsync();
        await using var second = await TestCloud.StartAsync([new NeutronModule()], null, data);
        var again = await new FakeAgent(second.Get<SharpStack.Foundation.Bus.IMessageBus>(), AgentTypes.OpenVSwitch, "compute1", "{}").ReportAsync(start: false);
        Assert.Equal(("alive", true), (again.Status, again.NeedsResync));
    }

    [Fact]
    public async Task Agents_are_the_administrators_to_see_change_and_delete()
    {
        await using var cloud = await StartAsync();
        await cloud.AddAgentAsync(AgentTypes.OpenVSwitch, "compute1");
        await cloud.AddAgentAsync(AgentTypes.Dhcp, "network");
        Assert.Equal(0, (await cloud.Demo.GetAsync("/v2.0/agents")).Expect(200).Json.GetProperty("agents").GetArrayLength());
        var found = (await cloud.Admin.GetAsync("/v2.0/agents?host=network&alive=true")).Expect(200).Json.GetProperty("agents");
        var id = Assert.Single(found.EnumerateArray()).Id();
        await RefusedAsync(cloud.Demo.GetAsync($"/v2.0/agents/{id}"), 403, "PolicyNotAuthorized");
        var off = (await cloud.Admin.PutAsync($"/v2.0/agents/{id}", Json("{'agent': {'admin_state_up': false, 'description': 'resting'}}"))).Expect(200).Json.GetProperty("agent");
        Assert.False(off.GetProperty("admin_state_up").GetBoolean());
        await RefusedAsync(cloud.Admin.PutAsync($"/v2.0/agents/{id}", Json("{'agent': {'host': 'x'}}")), 400, "HTTPBadRequest");
        (await cloud.Admin.DeleteAsync($"/v2.0/agents/{id}")).Expect(204);
        await RefusedAsync(cloud.Admin.GetAsync($"/v2.0/agents/{id}"), 404, "AgentNotFound");
    }

    [Fact]
    public async Task An_OVS_agent_gets_the_whole_truth_of_its_ports_and_no_others()
    {
        await using var cloud = await StartAsync();
        var agent = await cloud.AddAgentAsync(AgentTypes.OpenVSwitch, "compute1");
        await cloud.AddAgentAsync(AgentTypes.OpenVSwitch, "compute2");
        var network = (await cloud.CreateNetworkAsync(cloud.Admin, "{'provider:network_type': 'flat', 'provider:physical_network': 'physnet'}")).Id();
        await CreateAsync(cloud.Admin, "subnets", $"{{'network_id': '{network}', 'ip_version': 4, 'cidr': '172.16.0.0/12'}}");
        var mine = await CreateAsync(
            cloud.Admin, "ports", $"{{'network_id': '{network}', 'binding:host_id': 'compute1', 'device_owner': 'compute:nova', 'device_id': 'd', 'fixed_ips': [{{'ip_address': '172.16.0.9'}}], 'allowed_address_pairs': [{{'ip_address': '10.1.0.0/16'}}]}}");
        var foreign = (await CreateAsync(cloud.Admin, "ports", $"{{'network_id': '{network}', 'binding:host_id': 'compute2'}}")).Id();
        var device = Assert.Single((await agent.GetDevicesAsync(null)).Devices);
        Assert.Equal(mine.Id(), device.PortId);
        Assert.Equal(("flat", "physnet", null, 1500), (device.NetworkType, device.PhysicalNetwork, device.SegmentationId, device.Mtu));
        Assert.Equal(new DeviceAddress("172.16.0.9", mine.GetProperty("fixed_ips")[0].Text("subnet_id"), "172.16.0.0/12", "172.16.0.1"), Assert.Single(device.FixedIps));
        Assert.Equal(new AddressPair(mine.Text("mac_address"), "10.1.0.0/16"), Assert.Single(device.AllowedAddressPairs));
        Assert.Equal(("compute:nova", "d", true, true), (device.DeviceOwner, device.DeviceId, device.PortSecurityEnabled, device.AdminStateUp));
        Assert.Equal(mine.GetProperty("revision_number").GetInt64(), device.Revision);
        Assert.Single(device.SecurityGroupIds);
        var some = await agent.GetDevicesAsync(mine.Id(), foreign, "gone");
        Assert.Equal([mine.Id()], some.Devices.Select(one => one.PortId));
        Assert.Equal([foreign, "gone"], some.Unknown);
    }

    [Fact]
    public async Task Security_groups_come_with_protocol_numbers_and_the_members_of_remote_groups()
    {
        await using var cloud = await StartAsync();
        var agent = await cloud.AddAgentAsync(AgentTypes.OpenVSwitch, "compute1");
        var (network, _) = await cloud.CreateNetworkWithSubnetAsync();
        var port = await CreateAsync(cloud.Demo, "ports", $"{{'network_id': '{network}', 'fixed_ips': [{{'ip_address': '10.0.0.7'}}], 'allowed_address_pairs': [{{'ip_address': '10.9.0.1'}}]}}");
        var group = port.GetProperty("security_groups")[0].GetString()!;
        await CreateAsync(cloud.Demo, "security-group-rules", $"{{'security_group_id': '{group}', 'direction': 'ingress', 'protocol': 'tcp', 'port_range_min': 22, 'port_range_max': 22, 'remote_ip_prefix': '0.0.0.0/0'}}");
        await CreateAsync(cloud.Demo, "security-group-rules", $"{{'security_group_id': '{group}', 'direction': 'ingress', 'protocol': 'icmp', 'ethertype': 'IPv6', 'remote_ip_prefix': 'fd00::/8'}}");
        await agent.SawAsync("security_groups_update", group);
        var answer = await agent.GetSecurityGroupsAsync(group, "unknown");
        var details = Assert.Single(answer.Groups);
        Assert.Equal(6, details.Rules.Count);
        Assert.Contains(details.Rules, rule => rule is { Protocol: 6, PortMin: 22, PortMax: 22, RemoteIpPrefix: null, EtherType: "IPv4", Direction: "ingress" });
        Assert.Contains(details.Rules, rule => rule is { Protocol: 58, RemoteIpPrefix: "fd00::/8", EtherType: "IPv6" });
        Assert.Equal(2, details.Rules.Count(rule => rule.RemoteGroupId == group));
        Assert.Equal([new AddressPair(port.Text("mac_address"), "10.0.0.7"), new AddressPair(port.Text("mac_address"), "10.9.0.1")], answer.Members[group]);
    }

    [Fact]
    public async Task A_network_with_DHCP_is_scheduled_and_its_DHCP_port_takes_the_next_address()
    {
        await using var cloud = await StartAsync();
        var agent = await cloud.AddAgentAsync(AgentTypes.Dhcp, "controller");
        await cloud.AddAgentAsync(AgentTypes.OpenVSwitch, "controller");
        var network = (await cloud.CreateNetworkAsync()).Id();
        Assert.Empty((await agent.GetNetworksAsync(null)).Networks);
        await CreateAsync(cloud.Demo, "subnets", $"{{'network_id': '{network}', 'ip_version': 4, 'cidr': '172.16.0.0/12', 'allocation_pools': [{{'start': '172.16.0.2', 'end': '172.16.0.10'}}], 'dns_nameservers': ['1.1.1.1'], 'host_routes': [{{'destination': '10.9.0.0/16', 'nexthop': '172.16.0.9'}}]}}");
        await agent.SawAsync("network_update", network);
        var port = (await agent.EnsurePortAsync(network))!;
        Assert.Equal("172.16.0.2", port.FixedIps.Single().IpAddress);
        Assert.Equal("network:dhcp", port.DeviceOwner);
        Assert.Equal($"dhcpd3377d3c-a0d1-5d71-9947-f17125c357bb-{network}", port.DeviceId);
        Assert.Equal(port.Id, (await agent.EnsurePortAsync(network))!.Id);
        var shown = (await cloud.Admin.GetAsync($"/v2.0/ports/{port.Id}")).Json.GetProperty("port");
        Assert.Equal(("ovs", "controller", TestIdentities.DemoProject), (shown.Text("binding:vif_type"), shown.Text("binding:host_id"), shown.Text("project_id")));
        Assert.False(shown.GetProperty("port_security_enabled").GetBoolean());
        Assert.Equal(0, shown.GetProperty("security_groups").GetArrayLength());

        var whole = Assert.Single((await agent.GetNetworksAsync(null)).Networks);
        var subnet = Assert.Single(whole.Subnets);
        Assert.Equal(("172.16.0.0/12", "172.16.0.1", true, 4), (subnet.Cidr, subnet.GatewayIp, subnet.EnableDhcp, subnet.IpVersion));
        Assert.Equal([new AddressRange("172.16.0.2", "172.16.0.10")], subnet.AllocationPools);
        Assert.Equal(["1.1.1.1"], subnet.DnsNameservers);
        Assert.Equal([new HostRoute("10.9.0.0/16", "172.16.0.9")], subnet.HostRoutes);
        Assert.Equal(port.Id, Assert.Single(whole.Ports).Id);
        Assert.Equal("controller", (await cloud.Admin.GetAsync($"/v2.0/networks/{network}/dhcp-agents")).Json.GetProperty("agents")[0].Text("host"));

        await agent.ReleasePortAsync(network);
        (await cloud.Admin.GetAsync($"/v2.0/ports/{port.Id}")).Expect(404);
        (await cloud.Demo.DeleteAsync($"/v2.0/networks/{network}")).Expect(204);
        Assert.Equal([network], (await agent.GetNetworksAsync(network)).Unknown);
    }

    [Fact]
    public async Task A_new_subnet_gives_the_DHCP_port_another_address_and_one_without_DHCP_takes_it_away()
    {
        await using var cloud = await StartAsync();
        var agent = await cloud.AddAgentAsync(AgentTypes.Dhcp, "controller");
        var (network, _) = await cloud.CreateNetworkWithSubnetAsync();
        Assert.Equal(["10.0.0.2"], (await agent.EnsurePortAsync(network))!.FixedIps.Select(ip => ip.IpAddress));
        var second = (await CreateAsync(cloud.Demo, "subnets", $"{{'network_id': '{network}', 'ip_version': 4, 'cidr': '10.0.1.0/24'}}")).Id();
        Assert.Equal(["10.0.0.2", "10.0.1.2"], (await agent.EnsurePortAsync(network))!.FixedIps.Select(ip => ip.IpAddress));
        (await cloud.Demo.PutAsync($"/v2.0/subnets/{second}", Json("{'subnet': {'enable_dhcp': false}}"))).Expect(200);
        Assert.Equal(["10.0.0.2"], (await agent.EnsurePortAsync(network))!.FixedIps.Select(ip => ip.IpAddress));
    }

    [Fact]
    public async Task A_port_becomes_active_when_both_the_wiring_and_DHCP_are_ready()
    {
        await using var cloud = await StartAsync();
        var ovs = await cloud.AddAgentAsync(AgentTypes.OpenVSwitch, "compute1");
        var dhcp = await cloud.AddAgentAsync(AgentTypes.Dhcp, "controller");
        var (network, _) = await cloud.CreateNetworkWithSubnetAsync();
        var port = (await CreateAsync(cloud.Admin, "ports", $"{{'network_id': '{network}', 'binding:host_id': 'compute1', 'device_owner': 'compute:nova'}}")).Id();
        await dhcp.SawAsync("port_update", port);
        Assert.Equal(port, Assert.Single((await dhcp.GetPortsAsync(port)).Ports).Id);
        await ovs.UpAsync(port);
        Assert.Equal("DOWN", await StatusAsync(cloud, port));
        await dhcp.ReadyAsync(port);
        Assert.Equal("ACTIVE", await StatusAsync(cloud, port));
        await dhcp.ReadyAsync(port);
        await ovs.UpAsync(port);
        Assert.Equal("ACTIVE", await StatusAsync(cloud, port));
        await ovs.DownAsync(port);
        Assert.Equal("DOWN", await StatusAsync(cloud, port));
    }

    [Fact]
    public async Task A_dead_DHCP_agent_holds_no_port_back_and_its_networks_go_to_a_live_one()
    {
        var time = new FakeTimeProvider(DateTimeOffset.UnixEpoch.AddYears(56));
        await using var cloud = await StartAsync(time);
        var ovs = await cloud.AddAgentAsync(AgentTypes.OpenVSwitch, "compute1");
        await cloud.AddAgentAsync(AgentTypes.Dhcp, "first");
        var (network, _) = await cloud.CreateNetworkWithSubnetAsync();
        var port = (await CreateAsync(cloud.Admin, "ports", $"{{'network_id': '{network}', 'binding:host_id': 'compute1'}}")).Id();
        time.Advance(TimeSpan.FromSeconds(80));
        await ovs.ReportAsync(start: false);
        await ovs.UpAsync(port);
        Assert.Equal("ACTIVE", await StatusAsync(cloud, port));
        var second = await cloud.AddAgentAsync(AgentTypes.Dhcp, "second");
        await second.SawAsync("network_update", network);
        Assert.Equal("second", Assert.Single((await cloud.Admin.GetAsync($"/v2.0/networks/{network}/dhcp-agents")).Json.GetProperty("agents").EnumerateArray()).Text("host"));
    }

    [Fact]
    public async Task A_network_has_two_DHCP_agents_where_asked_for_and_a_third_takes_the_place_of_one_that_dies()
    {
        var time = new FakeTimeProvider(DateTimeOffset.UnixEpoch.AddYears(56));
        await using var cloud = await StartAsync(time, ("DEFAULT", "dhcp_agents_per_network", "2"));
        var first = await cloud.AddAgentAsync(AgentTypes.Dhcp, "first");
        await cloud.AddAgentAsync(AgentTypes.Dhcp, "second");
        var (network, _) = await cloud.CreateNetworkWithSubnetAsync();
        Assert.Equal(["first", "second"], await HostsAsync());
        time.Advance(TimeSpan.FromSeconds(80));
        await first.ReportAsync(start: false);
        var third = await cloud.AddAgentAsync(AgentTypes.Dhcp, "third");
        await third.SawAsync("network_update", network);
        await Eventually.TrueAsync(async () => (await HostsAsync()).SequenceEqual(["first", "third"]), "the dead one is replaced");

        async Task<IEnumerable<string?>> HostsAsync() =>
            (await cloud.Admin.GetAsync($"/v2.0/networks/{network}/dhcp-agents")).Json.GetProperty("agents").EnumerateArray().Select(agent => agent.Text("host")).Order(StringComparer.Ordinal);
    }

    [Fact]
    public async Task A_port_that_waits_for_DHCP_alone_does_not_wait_for_a_dead_agent()
    {
        var time = new FakeTimeProvider(DateTimeOffset.UnixEpoch.AddYears(56));
        await using var cloud = await StartAsync(time);
        var ovs = await cloud.AddAgentAsync(AgentTypes.OpenVSwitch, "compute1");
        await cloud.AddAgentAsync(AgentTypes.Dhcp, "controller");
        var (network, _) = await cloud.CreateNetworkWithSubnetAsync();
        var port = (await CreateAsync(cloud.Admin, "ports", $"{{'network_id': '{network}', 'binding:host_id': 'compute1'}}")).Id();
        await ovs.UpAsync(port);
        Assert.Equal("DOWN", await StatusAsync(cloud, port));
        time.Advance(TimeSpan.FromSeconds(76));
        time.Advance(TimeSpan.FromMinutes(1));
        await Eventually.TrueAsync(async () => await StatusAsync(cloud, port) == "ACTIVE", "the port is ACTIVE");
    }

    [Fact]
    public async Task The_metadata_agent_finds_an_instance_by_network_and_address()
    {
        await using var cloud = await StartAsync();
        var (network, _) = await cloud.CreateNetworkWithSubnetAsync();
        var (elsewhere, _) = await cloud.CreateNetworkWithSubnetAsync();
        var port = await CreateAsync(cloud.Demo, "ports", $"{{'network_id': '{network}', 'fixed_ips': [{{'ip_address': '10.0.0.7'}}], 'device_id': 'the-server', 'device_owner': 'compute:nova'}}");
        async Task<MetadataInstanceAnswer> FindAsync(string? where, string ip) =>
            await cloud.Bus.CallAsync(MetadataContracts.FindInstance, new MetadataInstanceRequest(where, ip), cancellationToken: TestContext.Current.CancellationToken);
        var known = new MetadataInstanceAnswer("the-server", TestIdentities.DemoProject, port.Id());
        Assert.Equal(known, await FindAsync(network, "10.0.0.7"));
        var mac = port.Text("mac_address").Split(':').Select(part => Convert.ToByte(part, 16)).ToArray();
        var linkLocal = new System.Net.IPAddress([0xfe, 0x80, 0, 0, 0, 0, 0, 0, (byte)(mac[0] ^ 2), mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]]).ToString();
        Assert.Equal(known, await FindAsync(network, linkLocal));
        Assert.Null((await FindAsync(Guid.NewGuid().ToString(), linkLocal)).InstanceId);
        Assert.Null((await FindAsync(network, "fe80::a9fe:a9fe")).InstanceId);
        Assert.Null((await FindAsync(elsewhere, "10.0.0.7")).InstanceId);
        Assert.Null((await FindAsync(network, "10.0.0.8")).InstanceId);
        Assert.Null((await FindAsync(null, "nonsense")).InstanceId);
    }

    private static async Task<JsonElement> OneAsync(NeutronCloud cloud) => Assert.Single((await cloud.Admin.GetAsync("/v2.0/agents")).Expect(200).Json.GetProperty("agents").EnumerateArray());

    private static async Task<string> StatusAsync(NeutronCloud cloud, string port) =>
        (await cloud.Admin.GetAsync($"/v2.0/ports/{port}")).Expect(200).Json.GetProperty("port").Text("status");
}
