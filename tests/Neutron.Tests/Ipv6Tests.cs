using System.Text.Json;
using SharpStack.TestKit;
using static SharpStack.Neutron.Tests.NeutronCloud;

namespace SharpStack.Neutron.Tests;

public sealed class Ipv6Tests
{
    private const string Mac = "fa:16:3e:01:02:03";
    private const string FromMac = "f816:3eff:fe01:203";

    [Theory]
    [InlineData("'ipv6_ra_mode': 'slaac', 'ipv6_address_mode': 'dhcpv6-stateful'", "64")]
    [InlineData("'ipv6_ra_mode': 'slaac', 'ipv6_address_mode': 'slaac'", "63")]
    [InlineData("'ipv6_address_mode': 'dhcpv6-stateless'", "80")]
    [InlineData("'ipv6_ra_mode': 'slaac', 'enable_dhcp': false", "64")]
    public async Task Modes_that_do_not_fit_are_refused(string modes, string length)
    {
        await using var cloud = await StartAsync();
        var network = (await cloud.CreateNetworkAsync()).Id();
        await RefusedAsync(cloud.Demo.PostAsync("/v2.0/subnets", Json($"{{'subnet': {{'network_id': '{network}', 'ip_version': 6, 'cidr': 'fd00::/{length}', {modes}}}}}")), 400, "InvalidInput");
        await RefusedAsync(
            cloud.Demo.PostAsync("/v2.0/subnets", Json($"{{'subnet': {{'network_id': '{network}', 'ip_version': 4, 'cidr': '10.0.0.0/24', 'ipv6_ra_mode': 'slaac'}}}}")), 400, "InvalidInput");
    }

    [Theory]
    [InlineData("slaac", true)]
    [InlineData("dhcpv6-stateless", true)]
    [InlineData("dhcpv6-stateful", false)]
    [InlineData(null, false)]
    public async Task The_mode_decides_whether_an_address_follows_from_the_MAC(string? mode, bool follows)
    {
        await using var cloud = await StartAsync();
        var network = (await cloud.CreateNetworkAsync(cloud.Admin)).Id();
        var subnet = (await CreateAsync(cloud.Admin, "subnets", $"{{'network_id': '{network}', 'ip_version': 6, 'cidr': 'fd00::/64'{(mode is null ? "" : $", 'ipv6_ra_mode': '{mode}', 'ipv6_address_mode': '{mode}'")}}}")).Id();
        var port = await CreateAsync(cloud.Admin, "ports", $"{{'network_id': '{network}', 'mac_address': '{Mac}'}}");
        Assert.Equal(follows, port.Addresses().Single() == "fd00::" + FromMac);
        var wish = cloud.Admin.PostAsync("/v2.0/ports", Json($"{{'port': {{'network_id': '{network}', 'fixed_ips': [{{'subnet_id': '{subnet}', 'ip_address': 'fd00::99'}}]}}}}"));
        if (follows)
        {
            await RefusedAsync(wish, 400, "AllocationOnAutoAddressSubnet");
        }
        else
        {
            Assert.Equal(["fd00::99"], (await wish).Expect(201).Json.GetProperty("port").Addresses());
        }
    }

    [Fact]
    public async Task Automatic_addresses_come_beside_those_that_are_chosen_and_change_with_the_MAC()
    {
        await using var cloud = await StartAsync();
        var (network, _) = await cloud.CreateNetworkWithSubnetAsync("10.0.0.0/24", cloud.Admin);
        foreach (var prefix in (string[])["fd00:1::", "fd00:2::"])
        {
            await CreateAsync(cloud.Admin, "subnets", $"{{'network_id': '{network}', 'ip_version': 6, 'cidr': '{prefix}/64', 'ipv6_ra_mode': 'slaac', 'ipv6_address_mode': 'slaac'}}");
        }

        var port = await CreateAsync(cloud.Admin, "ports", $"{{'network_id': '{network}', 'mac_address': '{Mac}', 'fixed_ips': [{{'ip_address': '10.0.0.7'}}]}}");
        Assert.Equal(["10.0.0.7", "fd00:1::" + FromMac, "fd00:2::" + FromMac], port.Addresses().Order());
        var moved = (await cloud.Admin.PutAsync($"/v2.0/ports/{port.Id()}", Json("{'port': {'mac_address': 'fa:16:3e:01:02:04'}}"))).Expect(200).Json.GetProperty("port");
        Assert.Equal(["10.0.0.7", "fd00:1::f816:3eff:fe01:204", "fd00:2::f816:3eff:fe01:204"], moved.Addresses().Order());
        (await cloud.Admin.PutAsync($"/v2.0/ports/{port.Id()}", Json("{'port': {'fixed_ips': [{'ip_address': '10.0.0.8'}]}}"))).Expect(200);
        (await cloud.Admin.PutAsync($"/v2.0/ports/{port.Id()}", Json("{'port': {'fixed_ips': [{'ip_address': '10.0.0.8'}], 'name': 'again'}}"))).Expect(200);
        Assert.Equal(3, (await cloud.Admin.GetAsync($"/v2.0/ports/{port.Id()}")).Json.GetProperty("port").GetProperty("fixed_ips").GetArrayLength());
    }

    [Theory]
    [InlineData("slaac")]
    [InlineData("dhcpv6-stateless")]
    public async Task A_router_has_the_gateway_of_a_subnet_with_automatic_addresses_and_of_no_other(string mode)
    {
        await using var cloud = await StartAsync();
        var (network, four) = await cloud.CreateNetworkWithSubnetAsync();
        var router = (await CreateAsync(cloud.Demo, "routers", "{}")).Id();
        var inner = (await cloud.AddInterfaceAsync(router, $"'subnet_id': '{four}'")).Text("port_id");
        var subnets = new List<string>();
        foreach (var prefix in (string[])["fd00:1::", "fd00:2::"])
        {
            subnets.Add((await CreateAsync(cloud.Demo, "subnets", $"{{'network_id': '{network}', 'ip_version': 6, 'cidr': '{prefix}/64', 'ipv6_ra_mode': '{mode}', 'ipv6_address_mode': '{mode}'}}")).Id());
        }

        Assert.Equal(["10.0.0.1"], await AddressesAsync(inner));
        var six = (await cloud.AddInterfaceAsync(router, $"'subnet_id': '{subnets[0]}'")).Text("port_id");
        Assert.Equal(["fd00:1::1"], await AddressesAsync(six));
        await cloud.AddInterfaceAsync(router, $"'subnet_id': '{subnets[1]}'");
        Assert.Equal(["fd00:1::1", "fd00:2::1"], await AddressesAsync(six));
        await RefusedAsync(cloud.Demo.DeleteAsync($"/v2.0/subnets/{subnets[1]}"), 409, "SubnetInUse");
        (await cloud.Demo.PutAsync($"/v2.0/routers/{router}/remove_router_interface", Json($"{{'subnet_id': '{subnets[1]}'}}"))).Expect(200);
        Assert.Equal(["fd00:1::1"], await AddressesAsync(six));
        (await cloud.Demo.DeleteAsync($"/v2.0/subnets/{subnets[1]}")).Expect(204);

        async Task<IEnumerable<string>> AddressesAsync(string port) => (await cloud.Demo.GetAsync($"/v2.0/ports/{port}")).Expect(200).Json.GetProperty("port").Addresses();
    }

    [Fact]
    public async Task A_subnet_with_automatic_addresses_may_go_while_ports_have_some()
    {
        await using var cloud = await StartAsync();
        var network = (await cloud.CreateNetworkAsync(cloud.Admin)).Id();
        var subnet = (await CreateAsync(cloud.Admin, "subnets", $"{{'network_id': '{network}', 'ip_version': 6, 'cidr': 'fd00::/64', 'ipv6_ra_mode': 'slaac', 'ipv6_address_mode': 'slaac'}}")).Id();
        var port = (await CreateAsync(cloud.Admin, "ports", $"{{'network_id': '{network}'}}")).Id();
        (await cloud.Admin.DeleteAsync($"/v2.0/subnets/{subnet}")).Expect(204);
        Assert.Empty((await cloud.Admin.GetAsync($"/v2.0/ports/{port}")).Json.GetProperty("port").Addresses());
    }
}
