using SharpStack.Neutron.Agents.Dhcp;
using SharpStack.Neutron.Contracts;

namespace SharpStack.Neutron.Agents.Tests.Dhcp;

public sealed class DnsmasqConfigurationTests
{
    private static readonly DhcpSettings Settings = new() { Host = "host", Directory = "/nowhere", Bridge = "br-int", OvsdbConnection = "unix:/nowhere", IsolatedMetadata = true };

    [Fact]
    public void An_isolated_network_is_served_as_OpenStack_serves_it()
    {
        var network = DhcpSamples.Network();
        var own = DhcpSamples.Port(network, 2) with { DeviceOwner = DhcpNames.DeviceOwner };
        var written = DnsmasqConfiguration.Of(network with { Ports = [own, DhcpSamples.Port(network, 51)] }, own, Settings);

        Assert.Equal("fa:16:3e:00:00:33,host-10-3-0-51.openstacklocal,10.3.0.51\n", written.Hosts);
        Assert.Equal("10.3.0.51\thost-10-3-0-51.openstacklocal host-10-3-0-51\n", written.AdditionalHosts);
        const string tag = "tag:subnet-5e1b5c3a-0000-4000-8000-000000000001";
        Assert.Equal(
            $"{tag},option:classless-static-route,169.254.169.254/32,10.3.0.2,0.0.0.0/0,10.3.0.1\n{tag},249,169.254.169.254/32,10.3.0.2,0.0.0.0/0,10.3.0.1\n{tag},option:router,10.3.0.1\n",
            written.Options);
        Assert.Contains("--dhcp-range=set:subnet-5e1b5c3a-0000-4000-8000-000000000001,10.3.0.0,static,255.255.255.0,86400s", written.Arguments);
        Assert.Contains("--dhcp-option-force=option:mtu,1450", written.Arguments);
        Assert.Contains("--dhcp-lease-max=256", written.Arguments);
        Assert.Contains("--domain=openstacklocal", written.Arguments);
        Assert.Contains("--no-resolv", written.Arguments);
        Assert.False(written.HasTags);
        Assert.True(DnsmasqConfiguration.ServesMetadata(network, Settings));
    }

    [Fact]
    public void A_router_takes_over_the_way_to_metadata()
    {
        var network = DhcpSamples.Network();
        var own = DhcpSamples.Port(network, 2);
        var routed = network with { Ports = [DhcpSamples.Port(network, 1) with { DeviceOwner = "network:router_interface" }] };
        var written = DnsmasqConfiguration.Of(routed, own, Settings);
        Assert.Contains("169.254.169.254/32,10.3.0.1", written.Options, StringComparison.Ordinal);
        Assert.Equal("", written.Hosts);
        Assert.False(DnsmasqConfiguration.ServesMetadata(routed, Settings));
        Assert.True(DnsmasqConfiguration.ServesMetadata(routed, Settings with { ForceMetadata = true }));
        Assert.False(DnsmasqConfiguration.ServesMetadata(network, Settings with { IsolatedMetadata = false }));
    }

    [Fact]
    public void Name_servers_routes_and_subnets_without_gateway_or_DHCP_are_told()
    {
        var first = DhcpSamples.Subnet("a", gateway: null) with { DnsNameservers = ["8.8.8.8", "1.1.1.1"], HostRoutes = [new HostRoute("192.0.2.0/24", "10.3.0.9")] };
        var quiet = DhcpSamples.Subnet("b", "10.4.0.0/24") with { EnableDhcp = false };
        var silent = DhcpSamples.Subnet("c", "10.5.0.0/24", "10.5.0.1") with { DnsNameservers = ["0.0.0.0"] };
        var network = DhcpSamples.Network(first, quiet, silent);
        var settings = Settings with { IsolatedMetadata = false, DnsServers = ["9.9.9.9"] };
        var written = DnsmasqConfiguration.Of(network with { Ports = [DhcpSamples.Port(network, 51) with { FixedIps = [new DhcpAddress("10.4.0.7", "b")] }] }, DhcpSamples.Port(network, 2), settings);

        Assert.Equal(
            [
                "tag:subnet-a,option:dns-server,8.8.8.8,1.1.1.1",
                "tag:subnet-a,option:classless-static-route,10.4.0.0/24,0.0.0.0,10.5.0.0/24,0.0.0.0,192.0.2.0/24,10.3.0.9",
                "tag:subnet-a,249,10.4.0.0/24,0.0.0.0,10.5.0.0/24,0.0.0.0,192.0.2.0/24,10.3.0.9",
                "tag:subnet-a,option:router",
                "tag:subnet-c,option:dns-server",
                "tag:subnet-c,option:classless-static-route,10.3.0.0/24,0.0.0.0,10.4.0.0/24,0.0.0.0,0.0.0.0/0,10.5.0.1",
                "tag:subnet-c,249,10.3.0.0/24,0.0.0.0,10.4.0.0/24,0.0.0.0,0.0.0.0/0,10.5.0.1",
                "tag:subnet-c,option:router,10.5.0.1",
            ],
            written.Options.Split('\n', StringSplitOptions.RemoveEmptyEntries));
        Assert.Equal("", written.Hosts);
        Assert.Contains("--server=9.9.9.9", written.Arguments);
        Assert.DoesNotContain(written.Arguments, argument => argument.Contains("10.4.0.0", StringComparison.Ordinal));
    }

    [Fact]
    public void A_ports_own_options_need_a_tag()
    {
        var network = DhcpSamples.Network();
        var port = DhcpSamples.Port(network, 51) with { ExtraDhcpOptions = [new ExtraDhcpOption("tftp-server", "10.3.0.8", 4), new ExtraDhcpOption("67", "pxelinux.0", 4), new ExtraDhcpOption("client-id", "01:02:03", 4)] };
        var written = DnsmasqConfiguration.Of(network with { Ports = [port] }, DhcpSamples.Port(network, 2), Settings);
        Assert.True(written.HasTags);
        Assert.Equal($"fa:16:3e:00:00:33,id:01:02:03,host-10-3-0-51.openstacklocal,10.3.0.51,set:port-{port.Id}\n", written.Hosts);
        Assert.Contains($"tag:port-{port.Id},option:tftp-server,10.3.0.8\ntag:port-{port.Id},67,pxelinux.0\n", written.Options, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("evil\n00:00:00:00:00:00,10.3.0.1")]
    [InlineData("a,b")]
    [InlineData("a b")]
    [InlineData("-x")]
    [InlineData("")]
    public void A_name_that_could_be_read_as_more_is_not_written(string name)
    {
        var network = DhcpSamples.Network();
        var port = DhcpSamples.Port(network, 51) with
        {
            DnsName = name,
            ExtraDhcpOptions = [new ExtraDhcpOption($"x{name}\nfoo", "bar", 4), new ExtraDhcpOption("client-id", $"01\n{name}", 4), new ExtraDhcpOption("bootfile-name", $"file\n{name}", 4)],
        };
        var written = DnsmasqConfiguration.Of(network with { Ports = [port] }, DhcpSamples.Port(network, 2), Settings);
        Assert.Equal($"fa:16:3e:00:00:33,host-10-3-0-51.openstacklocal,10.3.0.51,set:port-{port.Id}\n", written.Hosts);
        Assert.Single(written.AdditionalHosts.Split('\n', StringSplitOptions.RemoveEmptyEntries));
        Assert.EndsWith($"tag:port-{port.Id},option:bootfile-name,file\n", written.Options, StringComparison.Ordinal);
        Assert.DoesNotContain("foo", written.Options, StringComparison.Ordinal);
    }

    [Fact]
    public void IPv6_is_served_by_its_modes()
    {
        DhcpSubnet Six(string id, string? mode) => new(id, "", "2001:db8::/64", 6, "2001:db8::1", true, [], ["2001:db8::53"], [], mode, mode);
        var network = DhcpSamples.Network(Six("slaac", "slaac"), Six("stateful", "dhcpv6-stateful"), Six("stateless", "dhcpv6-stateless"));
        var port = DhcpSamples.Port(network, 51) with { FixedIps = [.. network.Subnets.Select(subnet => new DhcpAddress("2001:db8::51", subnet.Id))] };
        var written = DnsmasqConfiguration.Of(network with { Ports = [port] }, DhcpSamples.Port(network, 2), Settings);
        Assert.Equal("fa:16:3e:00:00:33,tag:dhcpv6,host-2001-db8--51.openstacklocal,[2001:db8::51]\n", written.Hosts);
        Assert.Equal(2, written.Arguments.Count(argument => argument.StartsWith("--dhcp-range=", StringComparison.Ordinal)));
        Assert.Contains("tag:subnet-stateful,option6:dns-server,[2001:db8::53]\n", written.Options, StringComparison.Ordinal);
        Assert.DoesNotContain("subnet-slaac", written.Options, StringComparison.Ordinal);
    }

    [Fact]
    public void Guests_of_two_agents_are_told_both_name_servers()
    {
        var network = DhcpSamples.Network();
        var own = DhcpSamples.Port(network, 3) with { DeviceOwner = DhcpNames.DeviceOwner };
        var other = DhcpSamples.Port(network, 2) with { DeviceOwner = DhcpNames.DeviceOwner };
        var written = DnsmasqConfiguration.Of(network with { Ports = [other, own] }, own, Settings);
        Assert.Contains("option:dns-server,10.3.0.3,10.3.0.2\n", written.Options, StringComparison.Ordinal);
        Assert.DoesNotContain("dns-server", DnsmasqConfiguration.Of(network with { Ports = [own] }, own, Settings).Options, StringComparison.Ordinal);
    }
}
