using System.Net;
using SharpStack.LinuxHost.Links;
using SharpStack.LinuxHost.Netlink;

namespace SharpStack.LinuxHost.Tests;

public sealed class RouteClientTests
{
    [Fact]
    public void A_veth_pair_reaches_into_another_namespace()
    {
        using var one = new ScratchNamespace();
        using var other = new ScratchNamespace();

        one.Routes.CreateVeth("tap0", "eth0", other.Name);

        Assert.Equal("veth", one.Routes.GetLink("tap0").Kind);
        Assert.Null(one.Routes.FindLink("eth0"));
        Assert.Equal("veth", other.Routes.GetLink("eth0").Kind);

        Assert.True(one.Routes.DeleteLink("tap0"));
        Assert.Null(other.Routes.FindLink("eth0"));
        Assert.False(one.Routes.DeleteLink("tap0"));
    }

    [Fact]
    public void A_link_takes_its_state_mtu_hardware_address_and_name()
    {
        using var scratch = new ScratchNamespace();
        var routes = scratch.Routes;
        routes.CreateVeth("d0", "p0");

        routes.SetMtu("d0", 1442);
        routes.SetMac("d0", "fa:16:3e:01:02:03");
        routes.Rename("d0", "qr-12345678-90");
        routes.SetUp("qr-12345678-90");

        var link = routes.GetLink("qr-12345678-90");
        Assert.Equal((1442, "fa:16:3e:01:02:03", true, "veth"), (link.Mtu, link.MacText, link.IsUp, link.Kind));
        routes.SetDown(link.Name);
        Assert.False(routes.GetLink(link.Name).IsUp);
        Assert.DoesNotContain(routes.ListLinks(), each => each.Name == "d0");
    }

    [Fact]
    public void A_link_joins_a_bridge_and_leaves_it()
    {
        using var scratch = new ScratchNamespace();
        scratch.Routes.CreateBridge("br0");
        scratch.Routes.CreateVeth("d0", "p0");

        scratch.Routes.SetMaster("d0", "br0");
        Assert.Equal(scratch.Routes.GetLink("br0").Index, scratch.Routes.GetLink("d0").MasterIndex);
        scratch.Routes.SetMaster("d0", null);
        Assert.Equal(0, scratch.Routes.GetLink("d0").MasterIndex);
    }

    [Fact]
    public void A_link_moves_to_another_namespace()
    {
        using var one = new ScratchNamespace();
        using var other = new ScratchNamespace();
        one.Routes.CreateVeth("d0", "p0");

        one.Routes.MoveToNamespace("d0", other.Name);

        Assert.Null(one.Routes.FindLink("d0"));
        Assert.NotNull(other.Routes.FindLink("d0"));
    }

    [Fact]
    public void Addresses_of_both_families_are_added_listed_and_deleted()
    {
        using var scratch = new ScratchNamespace();
        var routes = scratch.Routes;
        routes.CreateVeth("d0", "p0");
        routes.SetUp("d0");
        var four = InterfaceAddress.Parse("192.0.2.10/24");
        var six = InterfaceAddress.Parse("2001:db8::10/64");

        routes.AddAddress("d0", four);
        routes.AddAddress("d0", six, duplicateDetection: false);

        Assert.Contains(four, routes.ListAddresses("d0"));
        Assert.Contains(six, routes.ListAddresses("d0"));
        Assert.True(Assert.Throws<LinuxException>(() => routes.AddAddress("d0", four)).IsExists);
        Assert.True(routes.DeleteAddress("d0", four));
        Assert.False(routes.DeleteAddress("d0", four));
        Assert.DoesNotContain(four, routes.ListAddresses("d0"));
    }

    [Fact]
    public void Routes_of_both_families_are_added_replaced_listed_and_deleted()
    {
        using var scratch = new ScratchNamespace();
        var routes = scratch.Routes;
        routes.CreateVeth("d0", "p0");
        routes.SetUp("d0");
        routes.AddAddress("d0", InterfaceAddress.Parse("192.0.2.10/24"));
        routes.AddAddress("d0", InterfaceAddress.Parse("2001:db8::10/64"), duplicateDetection: false);
        var onLink = new Route(IPNetwork.Parse("198.51.100.0/24"), Device: "d0");
        var six = new Route(null, IPAddress.Parse("2001:db8::1"), "d0");

        routes.AddRoute(new Route(null, IPAddress.Parse("192.0.2.1")));
        routes.AddRoute(onLink);
        routes.AddRoute(six);
        routes.ReplaceRoute(new Route(null, IPAddress.Parse("192.0.2.2")));

        var listed = routes.ListRoutes();
        var gateway = Assert.Single(listed, route => route.Destination is null && route.Family == System.Net.Sockets.AddressFamily.InterNetwork);
        Assert.Equal((IPAddress.Parse("192.0.2.2"), "d0"), (gateway.Gateway, gateway.Device));
        Assert.Contains(onLink, listed);
        Assert.Contains(listed, route => route.Destination is null && Equals(route.Gateway, six.Gateway));
        Assert.True(routes.DeleteRoute(onLink));
        Assert.False(routes.DeleteRoute(onLink));
        Assert.True(routes.DeleteRoute(six));
        Assert.True(routes.DeleteRoute(new Route(null, IPAddress.Parse("192.0.2.2"))));
        Assert.DoesNotContain(routes.ListRoutes(), route => route.Destination is null);
    }

    [Fact]
    public void A_refusal_carries_the_error_number_the_operation_and_the_kernels_words()
    {
        using var scratch = new ScratchNamespace();
        scratch.Routes.CreateVeth("d0", "p0");

        var missing = Assert.Throws<LinuxException>(() => scratch.Routes.SetUp("nothere"));
        Assert.Equal(LinuxError.NoDevice, missing.Errno);
        var far = Assert.Throws<LinuxException>(() => scratch.Routes.AddRoute(new Route(null, IPAddress.Parse("203.0.113.1"), "d0")));
        Assert.Contains("203.0.113.1", far.Message, StringComparison.Ordinal);
        Assert.Contains(scratch.Name, far.Message, StringComparison.Ordinal);
        var tooSmall = Assert.Throws<LinuxException>(() => scratch.Routes.SetMtu("d0", -1));
        Assert.Contains("mtu", tooSmall.Message, StringComparison.OrdinalIgnoreCase);
    }

    [Theory]
    [InlineData("a-name-of-sixteen")]
    [InlineData("a/b")]
    [InlineData("")]
    public void A_name_that_no_link_can_have_is_refused(string name)
    {
        using var scratch = new ScratchNamespace();
        Assert.Throws<ArgumentException>(() => scratch.Routes.CreateBridge(name));
    }

    [Fact]
    public void A_long_list_of_links_comes_whole()
    {
        using var scratch = new ScratchNamespace();
        for (var i = 0; i < 60; i++)
        {
            scratch.Routes.CreateVeth($"a{i}", $"b{i}");
        }
        Assert.Equal(120, scratch.Routes.ListLinks().Count(link => link.Kind == "veth"));
    }

    [Fact]
    public void A_tap_persists_until_it_is_deleted()
    {
        using var scratch = new ScratchNamespace();

        Tap.Create("tap0", scratch.Name);
        Tap.Create("tap0", scratch.Name);

        Assert.Equal("tun", scratch.Routes.GetLink("tap0").Kind);
        scratch.Routes.CreateVeth("d0", "p0");
        Assert.Equal(LinuxError.Invalid, Assert.Throws<LinuxException>(() => Tap.Create("d0", scratch.Name)).Errno);
        Assert.True(scratch.Routes.DeleteLink("tap0"));
        Assert.Null(scratch.Routes.FindLink("tap0"));
    }

    [Fact]
    public void Transmit_checksumming_of_a_veth_is_turned_off()
    {
        using var scratch = new ScratchNamespace();
        scratch.Routes.CreateVeth("v0", "v1");
        Assert.True(Offloads.GetTransmitChecksumming("v0", scratch.Name));

        Offloads.SetTransmitChecksumming("v0", false, scratch.Name);

        Assert.False(Offloads.GetTransmitChecksumming("v0", scratch.Name));
    }

    [Theory]
    [InlineData("192.0.2.1/24", "10.9.0.0/16", "192.0.2.7", "192.0.2.8")]
    [InlineData("2001:db8::1/64", "2001:db8:9::/48", "2001:db8::7", "2001:db8::8")]
    public void A_route_over_several_gateways_is_told_with_each(string own, string destination, string first, string second)
    {
        using var scratch = new ScratchNamespace();
        scratch.Routes.CreateVeth("d0", "p0");
        scratch.Routes.SetUp("d0");
        scratch.Routes.SetUp("p0");
        scratch.Routes.AddAddress("d0", InterfaceAddress.Parse(own), duplicateDetection: false);
        var network = IPNetwork.Parse(destination);

        scratch.Routes.ReplaceRoute(network, [IPAddress.Parse(first), IPAddress.Parse(second)]);
        Assert.Equal([first, second], GatewaysOf());
        scratch.Routes.ReplaceRoute(network, [IPAddress.Parse(second)]);
        Assert.Equal([second], GatewaysOf());

        IEnumerable<string> GatewaysOf() => scratch.Routes.ListRoutes().Where(route => route.Destination == network).Select(route => route.Gateway!.ToString()).Order(StringComparer.Ordinal);
    }
}
