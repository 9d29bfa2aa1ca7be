using System.Text.Json;
using SharpStack.Neutron.Contracts;
using SharpStack.TestKit;
using static SharpStack.Neutron.Tests.NeutronCloud;

namespace SharpStack.Neutron.Tests;

/// <summary>Two neutron-servers on one database and one bus.</summary>
public sealed class TwoServerTests
{
    private const int Creators = 64;

    private static (string, string, string)[] Vlans =>
    [
        ("ml2", "tenant_network_types", "vlan"), ("ml2_type_vlan", "network_vlan_ranges", "physnet:100:163"), ("quotas", "quota_network", "-1"), ("quotas", "quota_port", "-1"),
    ];

    [Fact]
    public async Task Ports_made_at_the_same_time_through_both_never_share_an_address()
    {
        await using var first = await StartServerAsync(settings: Vlans);
        await using var second = await StartServerAsync(other: first, settings: Vlans);
        // Just as many addresses as creators: the last ones have no choice.
        var (network, _) = await first.CreateNetworkWithSubnetAsync("10.0.0.0/25");
        (await first.Demo.PutAsync($"/v2.0/subnets/{await SubnetOfAsync(first, network)}", Json("{'subnet': {'allocation_pools': [{'start': '10.0.0.10', 'end': '10.0.0.73'}]}}"))).Expect(200);
        var ports = await Task.WhenAll(Enumerable.Range(0, Creators + 6).Select(index =>
            (index % 2 == 0 ? first : second).Demo.PostAsync("/v2.0/ports", Json($"{{'port': {{'network_id': '{network}'}}}}"))));
        var made = ports.Where(answer => answer.Status == 201).Select(answer => answer.Json.GetProperty("port")).ToList();
        Assert.Equal(Creators, made.Count);
        Assert.Equal(Creators, made.SelectMany(port => port.Addresses()).Distinct().Count());
        Assert.Equal(Creators, made.Select(port => port.Text("mac_address")).Distinct().Count());
        Assert.All(ports.Where(answer => answer.Status != 201), answer => Assert.Equal("IpAddressGenerationFailure", answer.Expect(409).Json.GetProperty("NeutronError").Text("type")));
    }

    [Fact]
    public async Task Subnets_taken_from_a_pool_at_the_same_time_through_both_never_overlap()
    {
        await using var first = await StartServerAsync(settings: Vlans);
        await using var second = await StartServerAsync(other: first, settings: Vlans);
        var pool = (await CreateAsync(first.Demo, "subnetpools", "{'name': 'p', 'prefixes': ['10.0.0.0/24'], 'default_prefixlen': 28}")).Id();
        var networks = new List<string>();
        for (var i = 0; i < 20; i++)
        {
            networks.Add((await first.CreateNetworkAsync()).Id());
        }

        var subnets = await Task.WhenAll(networks.Select((network, index) =>
            (index % 2 == 0 ? first : second).Demo.PostAsync("/v2.0/subnets", Json($"{{'subnet': {{'network_id': '{network}', 'ip_version': 4, 'subnetpool_id': '{pool}'}}}}"))));
        Assert.Equal(16, subnets.Where(answer => answer.Status == 201).Select(answer => answer.Json.GetProperty("subnet").Text("cidr")).Distinct().Count());
        Assert.Equal(16, subnets.Count(answer => answer.Status == 201));
    }

    [Theory]
    [InlineData("slaac")]
    [InlineData("dhcpv6-stateful")]
    public async Task Ports_with_IPv6_made_at_the_same_time_through_both_never_share_an_address(string mode)
    {
        await using var first = await StartServerAsync(settings: Vlans);
        await using var second = await StartServerAsync(other: first, settings: Vlans);
        var network = (await first.CreateNetworkAsync()).Id();
        var pool = mode == "slaac" ? "" : ", 'allocation_pools': [{'start': 'fd00::10', 'end': 'fd00::4f'}]";
        await CreateAsync(first.Demo, "subnets", $"{{'network_id': '{network}', 'ip_version': 6, 'cidr': 'fd00::/64', 'ipv6_ra_mode': '{mode}', 'ipv6_address_mode': '{mode}'{pool}}}");
        var ports = await Task.WhenAll(Enumerable.Range(0, Creators).Select(index =>
            (index % 2 == 0 ? first : second).Demo.PostAsync("/v2.0/ports", Json($"{{'port': {{'network_id': '{network}'}}}}"))));
        Assert.Equal(Creators, ports.SelectMany(answer => answer.Expect(201).Json.GetProperty("port").Addresses()).Distinct().Count());
    }

    [Fact]
    public async Task Networks_made_at_the_same_time_through_both_never_share_a_segment()
    {
        await using var first = await StartServerAsync(settings: Vlans);
        await using var second = await StartServerAsync(other: first, settings: Vlans);
        var networks = await Task.WhenAll(Enumerable.Range(0, Creators + 4).Select(index =>
            (index % 2 == 0 ? first : second).Admin.PostAsync("/v2.0/networks", Json("{'network': {'name': 'many'}}"))));
        var made = networks.Where(answer => answer.Status == 201).Select(answer => answer.Json.GetProperty("network").GetProperty("provider:segmentation_id").GetInt32()).ToList();
        Assert.Equal(Enumerable.Range(100, Creators), made.Order());
        Assert.All(networks.Where(answer => answer.Status != 201), answer => answer.Expect(503));
    }

    [Fact]
    public async Task Requests_at_both_do_not_pass_a_quota_together()
    {
        await using var first = await StartServerAsync(settings: ("quotas", "quota_network", "10"));
        await using var second = await StartServerAsync(other: first, settings: ("quotas", "quota_network", "10"));
        var answers = await Task.WhenAll(Enumerable.Range(0, 32).Select(index =>
            (index % 2 == 0 ? first : second).Demo.PostAsync("/v2.0/networks", Json("{'network': {}}"))));
        Assert.Equal(10, answers.Count(answer => answer.Status == 201));
        Assert.Equal(22, answers.Count(answer => answer.Status == 409));
    }

    [Fact]
    public async Task Events_of_both_reach_Nova_once_and_in_order_and_go_on_when_who_delivers_them_hangs()
    {
        var nova = new NovaStandIn();
        await using var first = await StartServerAsync(nova);
        await using var second = await StartServerAsync(nova, first);
        var network = (await CreateAsync(first.Admin, "networks", "{}")).Id();
        var agent = await first.AddAgentAsync(AgentTypes.OpenVSwitch, "compute1");
        var servers = Enumerable.Range(0, 8).Select(_ => Guid.NewGuid().ToString()).ToList();
        var ports = new List<string>();
        foreach (var (server, index) in servers.Select((server, index) => (server, index)))
        {
            // Written through either; the agent's reports go to any.
            var through = index % 2 == 0 ? first : second;
            var port = (await CreateAsync(through.Admin, "ports", $"{{'network_id': '{network}', 'binding:host_id': 'compute1', 'device_owner': 'compute:nova', 'device_id': '{server}'}}")).Id();
            ports.Add(port);
            await agent.UpAsync(port);
            await agent.DownAsync(port);
            await agent.UpAsync(port);
        }

        await Eventually.TrueAsync(() => nova.Events.Count >= 3 * servers.Count, "all events");
        foreach (var server in servers)
        {
            Assert.Equal(["network-vif-plugged", "network-vif-unplugged", "network-vif-plugged"], nova.Events.Where(heard => heard.Server == server).Select(heard => heard.Name));
        }

        var leases = new[] { first, second }.Select(cloud => cloud.Cloud.Get<NeutronLeases>()).ToList();
        var holder = Assert.Single(leases, lease => lease.NovaEvents.HeldCount == 1);
        await holder.Keeper.DisposeAsync();
        (await first.Admin.DeleteAsync($"/v2.0/ports/{ports[0]}")).Expect(204);
        (await second.Admin.DeleteAsync($"/v2.0/ports/{ports[1]}")).Expect(204);
        await nova.HeardAsync(("network-vif-deleted", servers[0], ports[0]));
        await nova.HeardAsync(("network-vif-deleted", servers[1], ports[1]));
    }

    [Fact]
    public async Task A_network_without_an_agent_gets_one_whichever_server_hears_of_it()
    {
        await using var first = await StartServerAsync();
        await using var second = await StartServerAsync(other: first);
        var networks = new List<string>();
        foreach (var cloud in new[] { first, second })
        {
            networks.Add((await cloud.CreateNetworkWithSubnetAsync()).Network);
        }

        var agent = await first.AddAgentAsync(AgentTypes.Dhcp, "network1");
        foreach (var network in networks)
        {
            await agent.SawAsync(DhcpContracts.NetworkChanged.Method, network);
        }

        // One row a network: neither server has bound it a second time.
        foreach (var network in networks)
        {
            Assert.Single((await second.Admin.GetAsync($"/v2.0/networks/{network}/dhcp-agents")).Expect(200).Json.GetProperty("agents").EnumerateArray());
        }
    }

    private static async Task<string> SubnetOfAsync(NeutronCloud cloud, string network) =>
        (await cloud.Demo.GetAsync($"/v2.0/subnets?network_id={network}")).Json.GetProperty("subnets").EnumerateArray().Single().Id();
}
