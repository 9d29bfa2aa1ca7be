using System.Globalization;
using System.Security;
using System.Text;

namespace SharpStack.Lab.Diagrams;

/// <summary>
/// Draws a cluster's wiring as SVG. Each node is a panel: guests and namespaces above, the bridges below them by their distance from the one that these are on, the node's
/// links at the foot, and across all panels the wires.
/// </summary>
public static class WiringPicture
{
    private const double Character = 6.65, LineHeight = 15, Padding = 8, Gap = 14, ChipHeight = 18, LayerGap = 38, WireGap = 34, Margin = 20;

    private static readonly string[] WireColours = ["#2f6f4f", "#a8512f", "#4a5fa5", "#8a5a9c"];

    public static string Draw(ClusterWiring cluster)
    {
        var panels = cluster.Nodes.Select(node => new Panel(node)).ToList();
        var height = panels.Max(panel => panel.Height);
        var picture = new StringBuilder();
        var wiresAt = Margin + 2 * LineHeight + height + WireGap;
        var width = panels.Sum(panel => panel.Width + Gap) - Gap + 2 * Margin;
        var wireNames = cluster.Wires.Max(wire => wire.Length) * Character + Padding;
        picture.Append(CultureInfo.InvariantCulture, $"""
            <svg xmlns="http://www.w3.org/2000/svg" width="{width + wireNames:0}" height="{wiresAt + cluster.Wires.Count * WireGap:0}" font-family="DejaVu Sans Mono, monospace" font-size="11">
            <rect width="100%" height="100%" fill="white"/>
            <text x="{Margin}" y="{Margin + 4}" font-size="14" font-weight="bold">{Escape(cluster.Title)}</text>

            """);
        for (var wire = 0; wire < cluster.Wires.Count; wire++)
        {
            var y = wiresAt + wire * WireGap;
            picture.Append(CultureInfo.InvariantCulture, $"""
                <line x1="{Margin}" y1="{y:0.#}" x2="{width - Margin:0.#}" y2="{y:0.#}" stroke="{Colour(wire)}" stroke-width="4"/>
                <text x="{width - Margin + Padding:0.#}" y="{y + 4:0.#}" fill="{Colour(wire)}">{Escape(cluster.Wires[wire])}</text>

                """);
        }

        var x = Margin;
        foreach (var panel in panels)
        {
            panel.Draw(picture, x, Margin + 2 * LineHeight, height, WireOf);
            x += panel.Width + Gap;
        }

        return picture.Append("</svg>\n").ToString();

        (double Y, string Colour) WireOf(string name)
        {
            var wire = cluster.Wires.Index().First(pair => pair.Item == name).Index;
            return (wiresAt + wire * WireGap, Colour(wire));
        }
    }

    private static string Colour(int index) => WireColours[index % WireColours.Length];

    private static string Escape(string text) => SecurityElement.Escape(text);

    private static double WidthOf(string text) => text.Length * Character + 2 * Padding;

    /// <summary>A node with the places of all that is in it, before it is known where the panel is.</summary>
    private sealed class Panel
    {
        private readonly NodeWiring node;
        private readonly List<Box> boxes = [];
        private readonly Dictionary<string, (double X, double Y)> tops = [];
        private readonly Dictionary<string, (double X, double Y)> feet = [];
        private readonly List<(string From, string To)> lines = [];
        private readonly double contentHeight;

        public Panel(NodeWiring node)
        {
            this.node = node;
            var layers = Layers(node.Bridges);
            var y = LineHeight + 2 * Padding;
            var places = Places();
            foreach (var place in places)
            {
                place.Y = y;
            }

            if (places.Count > 0)
            {
                Row(places);
                y += places.Max(place => place.Height) + LayerGap;
                foreach (var place in places)
                {
                    // A place grows down to the line at which its ports begin.
                    place.Height = y - LayerGap - place.Y;
                }
            }

            foreach (var layer in layers)
            {
                var row = layer.Select(bridge => BridgeBox(bridge, layers, y, places)).ToList();
                Row(row);
                y += row.Max(box => box.Height) + LayerGap;
            }

            var links = node.Links.Select(link => new Box(link.Name, link.Addresses, "#e4e4e4", "#555") { Y = y, Name = link.Name }).ToList();
            Row(links);
            boxes.ForEach(box => box.PlaceChips(tops, feet));
            foreach (var link in links)
            {
                tops[link.Name] = (link.X + link.Width / 2, link.Y);
                feet[link.Name] = (link.X + link.Width / 2, link.Y + link.Height);
            }

            contentHeight = y + (links.Count > 0 ? links.Max(link => link.Height) : 0) + Padding;
            Width = Math.Max(boxes.Count > 0 ? boxes.Max(box => box.X + box.Width) : 0, WidthOf(node.Name)) + Padding;
            Connect(layers);
        }

        public double Width { get; }

        public double Height => contentHeight;

        public void Draw(StringBuilder picture, double x, double y, double height, Func<string, (double Y, string Colour)> wireOf)
        {
            // Links of all nodes stand at the foot of their panels.
            var drop = height - contentHeight;
            picture.Append(CultureInfo.InvariantCulture, $"""
                <g transform="translate({x:0.#} {y:0.#})">
                <rect width="{Width:0.#}" height="{height:0.#}" rx="6" fill="#fafafa" stroke="#999"/>
                <text x="{Padding}" y="{LineHeight}" font-weight="bold" font-size="12">{Escape(node.Name)}</text>

                """);
            foreach (var link in node.Links)
            {
                var (footX, footY) = feet[link.Name];
                var (wireY, colour) = wireOf(link.Wire);
                Line(picture, (footX, footY + drop), (footX, wireY - y), colour, 2);
                picture.Append(CultureInfo.InvariantCulture, $"<circle cx=\"{footX:0.#}\" cy=\"{wireY - y:0.#}\" r=\"4\" fill=\"{colour}\"/>\n");
            }

            foreach (var (from, to) in lines)
            {
                var end = tops[to];
                Line(picture, feet[from], node.Links.Any(link => link.Name == to) ? (end.X, end.Y + drop) : end, "#333", 1.2);
            }

            foreach (var box in boxes)
            {
                box.Draw(picture, node.Links.Any(link => link.Name == box.Name) ? drop : 0);
            }

            picture.Append("</g>\n");
        }

        private static void Line(StringBuilder picture, (double X, double Y) from, (double X, double Y) to, string colour, double width) =>
            picture.Append(CultureInfo.InvariantCulture, $"<line x1=\"{from.X:0.#}\" y1=\"{from.Y:0.#}\" x2=\"{to.X:0.#}\" y2=\"{to.Y:0.#}\" stroke=\"{colour}\" stroke-width=\"{width}\"/>\n");

        /// <summary>
        /// The bridges by the number of patches between them and the first of the picture, which is the one with the most ports of places. Bridges of trunks, which are a guest's each,
        /// stand between the guests and that one.
        /// </summary>
        private List<List<WiredBridge>> Layers(IReadOnlyList<WiredBridge> bridges)
        {
            var devices = node.Places.SelectMany(place => place.Lines).Select(line => line.Device).ToHashSet();
            var layers = new List<List<WiredBridge>>();
            var trunks = bridges.Where(bridge => bridge.Name.StartsWith("tbr-", StringComparison.Ordinal)).OrderBy(bridge => bridge.Name, StringComparer.Ordinal).ToList();
            var left = bridges.Except(trunks).OrderBy(bridge => bridge.Name, StringComparer.Ordinal).ToList();
            while (left.Count > 0)
            {
                // What no patch leads to (the bridge of an underlay) is below all others.
                var next = layers.Count == 0
                    ? [left.OrderByDescending(bridge => bridge.Ports.Count(port => devices.Contains(port.Name))).ThenByDescending(bridge => bridge.Ports.Count(port => port.Peer is not null)).First()]
                    : left.Where(bridge => layers[^1].Any(upper => ArePatched(upper, bridge))).ToList();
                if (next.Count == 0)
                {
                    next = [.. left];
                }

                layers.Add(next);
                left.RemoveAll(next.Contains);
            }

            if (trunks.Count > 0)
            {
                layers.Insert(0, trunks);
            }

            return layers;
        }

        private static bool ArePatched(WiredBridge one, WiredBridge other) => one.Ports.Any(port => port.Peer is { } peer && other.Ports.Any(end => end.Name == peer));

        private List<Box> Places()
        {
            var ports = node.Bridges.SelectMany(bridge => bridge.Ports).Select(port => port.Name).ToHashSet();
            return [.. node.Places.Where(place => place.Lines.Any(line => ports.Contains(line.Device))).Select(place => new Box(
                place.Title, [.. place.Lines.Select(line => line.Text)], place.IsGuest ? "#fff3c4" : "#e2f2e2", place.IsGuest ? "#b58900" : "#3c8d40")
            {
                IsDashed = !place.IsGuest, Devices = [.. place.Lines.Select(line => line.Device)],
            })];
        }

        private Box BridgeBox(WiredBridge bridge, List<List<WiredBridge>> layers, double y, List<Box> places)
        {
            var depth = layers.FindIndex(layer => layer.Contains(bridge));
            var above = layers.Take(depth).SelectMany(layer => layer).SelectMany(upper => upper.Ports).Select(port => port.Name).ToHashSet();
            var order = places.SelectMany(place => place.Devices).Index().ToDictionary(pair => pair.Item, pair => pair.Index);
            var box = new Box(bridge.Name, [.. bridge.Addresses, .. bridge.Ports.Where(port => port.Tunnel is not null).Select(port => $"{port.Name} → {port.Tunnel}")], "#dcebfa", "#2f6fb0")
            {
                Y = y,
                Upper = [.. bridge.Ports.Where(port => order.ContainsKey(port.Name) || (port.Peer is { } peer && above.Contains(peer))).OrderBy(port => order.GetValueOrDefault(port.Name, -1))],
            };
            box.Lower = [.. bridge.Ports.Where(port => port.Tunnel is null && port.Name != bridge.Name && !box.Upper.Contains(port)).OrderBy(port => port.Name, StringComparer.Ordinal)];
            box.Widen();
            return box;
        }

        /// <summary>Puts boxes side by side.</summary>
        private void Row(List<Box> row)
        {
            var x = Padding;
            foreach (var box in row)
            {
                box.X = x;
                x += box.Width + Gap;
            }

            boxes.AddRange(row);
        }

        private void Connect(List<List<WiredBridge>> layers)
        {
            foreach (var place in boxes)
            {
                for (var i = 0; i < place.Devices.Count; i++)
                {
                    if (tops.ContainsKey(place.Devices[i]))
                    {
                        feet[$"{place.Devices[i]} above"] = (place.X + place.Width * (i + 0.5) / place.Devices.Count, place.Y + place.Height);
                        lines.Add(($"{place.Devices[i]} above", place.Devices[i]));
                    }
                }
            }

            foreach (var port in layers.SelectMany(layer => layer).SelectMany(bridge => bridge.Ports).Where(port => feet.ContainsKey(port.Name)))
            {
                if (port.Peer is { } peer && tops.ContainsKey(peer))
                {
                    lines.Add((port.Name, peer));
                }
                else if (node.Links.Any(link => link.Name == port.Name))
                {
                    feet[$"{port.Name} port"] = feet[$"{port.Name} chip"];
                    lines.Add(($"{port.Name} port", port.Name));
                }
            }
        }
    }

    /// <summary>A box with a title, lines of text, and ports in its upper and lower edge.</summary>
    private sealed class Box(string title, IReadOnlyList<string> text, string fill, string stroke)
    {
        private readonly List<(string Text, double X, double Y, double Width)> chips = [];

        public string Name { get; init; } = "";

        public double X { get; set; }

        public double Y { get; set; }

        public double Width { get; private set; } = text.Append(title).Max(WidthOf);

        public double Height { get; set; } = (text.Count + 1) * LineHeight + Padding;

        public bool IsDashed { get; init; }

        public IReadOnlyList<string> Devices { get; init; } = [];

        public IReadOnlyList<WiredPort> Upper { get; init; } = [];

        public IReadOnlyList<WiredPort> Lower { get; set; } = [];

        public void Widen()
        {
            Width = Math.Max(Width, Math.Max(Span(Upper), Span(Lower)) + 2 * Padding);
            Height += (Upper.Count > 0 ? ChipHeight : 0) + (Lower.Count > 0 ? ChipHeight : 0);
        }

        public void PlaceChips(Dictionary<string, (double X, double Y)> tops, Dictionary<string, (double X, double Y)> feet)
        {
            var x = X + Padding;
            foreach (var port in Upper)
            {
                var width = WidthOf(Label(port));
                chips.Add((Label(port), x, Y - ChipHeight / 2, width));
                tops[port.Name] = (x + width / 2, Y - ChipHeight / 2);
                x += width + Padding;
            }

            x = X + Padding;
            foreach (var port in Lower)
            {
                var width = WidthOf(Label(port));
                chips.Add((Label(port), x, Y + Height - ChipHeight / 2, width));
                // A link of the node has the name of its port: the one is the foot of the other.
                feet[port.Name] = feet[$"{port.Name} chip"] = (x + width / 2, Y + Height + ChipHeight / 2);
                x += width + Padding;
            }
        }

        public void Draw(StringBuilder picture, double drop)
        {
            picture.Append(CultureInfo.InvariantCulture, $"""
                <rect x="{X:0.#}" y="{Y + drop:0.#}" width="{Width:0.#}" height="{Height:0.#}" rx="3" fill="{fill}" stroke="{stroke}"{(IsDashed ? " stroke-dasharray=\"5 3\"" : "")}/>
                <text x="{X + Padding:0.#}" y="{Y + drop + LineHeight + (Upper.Count > 0 ? ChipHeight / 2 : 0):0.#}" font-weight="bold">{Escape(title)}</text>

                """);
            foreach (var (index, line) in text.Index())
            {
                picture.Append(CultureInfo.InvariantCulture, $"<text x=\"{X + Padding:0.#}\" y=\"{Y + drop + LineHeight * (index + 2) + (Upper.Count > 0 ? ChipHeight / 2 : 0):0.#}\">{Escape(line)}</text>\n");
            }

            foreach (var (label, x, y, width) in chips)
            {
                picture.Append(CultureInfo.InvariantCulture, $"""
                    <rect x="{x:0.#}" y="{y:0.#}" width="{width:0.#}" height="{ChipHeight}" rx="2" fill="white" stroke="{stroke}"/>
                    <text x="{x + Padding:0.#}" y="{y + 13:0.#}">{Escape(label)}</text>

                    """);
            }
        }

        private static string Label(WiredPort port) => port.Tag is { } tag ? $"{port.Name} ({tag})" : port.Name;

        private static double Span(IReadOnlyList<WiredPort> ports) => ports.Sum(port => WidthOf(Label(port)) + Padding);
    }
}
