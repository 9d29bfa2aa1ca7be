using System.Globalization;
using System.Xml.Linq;
using SharpStack.Lab.Diagrams;

namespace SharpStack.Lab.Tests;

public sealed class WiringPictureTests
{
    private static readonly XNamespace Svg = "http://www.w3.org/2000/svg";

    private static readonly NodeWiring Compute = new(
        "compute1",
        [new WiredLink("enp0s8", "mgmt", ["192.168.1.21/24"]), new WiredLink("enp0s9", "phys", [])],
        [
            new WiredBridge("br-tun", [], [new WiredPort("patch-int", Peer: "patch-tun"), new WiredPort("vxlan-c0a8010b", Tunnel: "192.168.1.11, vxlan key flow")]),
            new WiredBridge("br-phys", [], [new WiredPort("phy-br-phys", Peer: "int-br-phys"), new WiredPort("enp0s9")]),
            new WiredBridge("br-int", [], [
                new WiredPort("br-int"), new WiredPort("int-br-phys", Peer: "phy-br-phys"), new WiredPort("patch-tun", Peer: "patch-int"), new WiredPort("tap1", Tag: 2), new WiredPort("qr-1", Tag: 3),
            ]),
        ],
        [new WiredPlace("demo <1>", true, [("tap1", "172.18.0.4")]), new WiredPlace("qrouter demo", false, [("qr-1", "qr-1 172.18.0.1/24")])]);

    [Fact]
    public void Everything_of_a_node_is_in_the_picture_by_its_name()
    {
        var words = Draw(Compute).Descendants(Svg + "text").Select(text => text.Value).ToList();

        Assert.All(
            [
                "compute1", "enp0s8", "192.168.1.21/24", "br-int", "br-tun", "br-phys", "tap1 (2)", "qr-1 (3)", "patch-tun", "patch-int", "int-br-phys", "phy-br-phys",
                "vxlan-c0a8010b → 192.168.1.11, vxlan key flow", "demo <1>", "172.18.0.4", "qrouter demo", "qr-1 172.18.0.1/24", "mgmt", "phys",
            ],
            word => Assert.Contains(word, words));
    }

    [Fact]
    public void Each_connection_is_a_line_and_nothing_lies_outside()
    {
        var picture = Draw(Compute, Compute with { Name = "compute2" });

        // Two wires; for each node two links to them, two patches, two ports of places, and the link in a bridge.
        Assert.Equal(2 + 2 * 7, picture.Descendants(Svg + "line").Count());
        var (width, height) = (Number(picture.Root!, "width"), Number(picture.Root!, "height"));
        foreach (var group in picture.Descendants(Svg + "g"))
        {
            var panel = group.Elements(Svg + "rect").First();
            Assert.InRange(Number(panel, "width"), 1, width / 2);
            Assert.InRange(Number(panel, "height"), 1, height);
            Assert.All(group.Elements(Svg + "rect").Skip(1), box => Assert.InRange(Number(box, "x") + Number(box, "width"), 0, Number(panel, "width")));
            Assert.All(group.Elements(Svg + "rect").Skip(1), box => Assert.InRange(Number(box, "y") + Number(box, "height"), 0, Number(panel, "height")));
        }
    }

    [Fact]
    public void A_trunks_bridge_stands_between_its_guest_and_the_bridge_of_all()
    {
        var inside = Compute.Bridges[2] with { Ports = [.. Compute.Bridges[2].Ports.Where(port => port.Name != "tap1"), new WiredPort("tpi-1", Tag: 2, Peer: "tpt-1"), new WiredPort("spi-2", Tag: 4, Peer: "spt-2")] };
        var trunk = new WiredBridge("tbr-1", [], [new WiredPort("tap1"), new WiredPort("tpt-1", Peer: "tpi-1"), new WiredPort("spt-2", Tag: 7, Peer: "spi-2")]);
        var picture = Draw(Compute with { Bridges = [.. Compute.Bridges.Take(2), inside, trunk] });
        Assert.Equal(2 + 7 + 2, picture.Descendants(Svg + "line").Count());
        var heights = picture.Descendants(Svg + "text").ToLookup(text => text.Value, text => Number(text, "y"));
        string[] downwards = ["demo <1>", "tap1", "tbr-1", "spt-2 (7)", "spi-2 (4)", "br-int", "int-br-phys", "phy-br-phys", "br-phys"];
        Assert.Equal(downwards, downwards.OrderBy(text => heights[text].Single()));
    }

    [Fact]
    public void A_node_without_a_switch_has_its_links_alone()
    {
        var picture = Draw(new NodeWiring("host", [new WiredLink("vboxnet0", "mgmt", [])], [], []));
        Assert.Equal(3, picture.Descendants(Svg + "line").Count());
        Assert.Contains("vboxnet0", picture.Descendants(Svg + "text").Select(text => text.Value));
    }

    private static XDocument Draw(params IReadOnlyList<NodeWiring> nodes) => XDocument.Parse(WiringPicture.Draw(new ClusterWiring("Lab 7", ["mgmt", "phys"], nodes)));

    private static double Number(XElement element, string name) => double.Parse(element.Attribute(name)!.Value, CultureInfo.InvariantCulture);
}
