using SharpStack.Neutron.Agents.OpenVSwitch;
using SharpStack.OpenVSwitch.Switches;

namespace SharpStack.Neutron.Agents.Tests.OpenVSwitch;

public sealed class LocalVlansTests
{
    private readonly LocalVlans vlans = new();

    [Fact]
    public void Networks_get_the_lowest_free_number_and_keep_it()
    {
        Assert.Equal(1, vlans.Assign([Key("a")], [])[Key("a")]);
        var both = vlans.Assign([Key("b"), Key("a")], []);
        Assert.Equal((1, 2), (both[Key("a")], both[Key("b")]));
        Assert.Equal(2, vlans.Assign([Key("b")], [])[Key("b")]);
        Assert.Equal(1, vlans.Assign([Key("b"), Key("c")], [])[Key("c")]);
    }

    [Fact]
    public void Numbers_written_at_the_ports_are_found_again()
    {
        var ports = new[] { Remembered("b", 7), Remembered("gone", 1), Remembered("bad", 9999) };
        var assigned = vlans.Assign([Key("a"), Key("b"), Key("bad")], ports);
        Assert.Equal(7, assigned[Key("b")]);
        Assert.Equal([1, 2], assigned.Where(pair => pair.Key.NetworkId != "b").Select(pair => pair.Value).Order());
    }

    [Fact]
    public void Segments_of_one_network_are_apart()
    {
        var assigned = vlans.Assign([new("a", 100), new("a", 101)], []);
        Assert.Equal(2, assigned.Values.Distinct().Count());
    }

    [Fact]
    public void More_networks_than_numbers_is_an_error_that_says_so()
    {
        var error = Assert.Throws<InvalidOperationException>(() => vlans.Assign(Enumerable.Range(0, 4095).Select(n => Key($"{n}")), []));
        Assert.Contains("at most 4094 networks", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("br-phys", "int-br-phys")]
    [InlineData("br-physical1", "int-br-phdf98c6")]
    public void Patch_ports_are_named_after_the_bridge_and_shortened_as_OpenStack_does(string bridge, string port) =>
        Assert.Equal(port, HostWiring.PatchName("int-", bridge));

    [Theory]
    [InlineData("vxlan", "192.168.1.21", "vxlan-c0a80115")]
    [InlineData("gre", "2001:db8::1", "gre-d3wbibj5tg3")]
    public void Tunnels_are_named_after_the_other_end_as_OpenStack_does(string type, string remote, string port) =>
        Assert.Equal(port, TunnelMesh.PortName(type, System.Net.IPAddress.Parse(remote)));

    private static SegmentKey Key(string network) => new(network, null);

    private static BridgePort Remembered(string network, int vlan) =>
        new($"tap-{network}", vlan, 1, "", null, LocalVlans.Describe(Key(network), "flat", "physnet", vlan), new Dictionary<string, string>(), new Dictionary<string, string>());
}
