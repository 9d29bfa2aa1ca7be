using System.Text.Json.Nodes;
using SharpStack.CommandLine;
using SharpStack.Demo;
using SharpStack.Lab;
using SharpStack.Lab.Definitions;
using SharpStack.Lab.Diagrams;
using SharpStack.Lab.Nodes;
using SharpStack.LinuxHost;
using SharpStack.LinuxHost.Netlink;
using SharpStack.OpenVSwitch.Ovsdb;
using SharpStack.OpenVSwitch.Switches;

namespace SharpStack.Labs;

/// <summary><c>sharpstack lab diagram</c>: the wiring of the nodes as it is at this moment, read from their switches and namespaces.</summary>
internal static class LabDiagram
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    /// <param name="only">The node to draw; null for all.</param>
    /// <returns>An SVG document.</returns>
    public static async Task<string> DrawAsync(LabSession session, string? only, TimeProvider time, CancellationToken cancellationToken)
    {
        var lab = session.Lab;
        List<LabNode> nodes = [.. session.Cluster.Nodes];
        if (lab.Exit is { } exit)
        {
            var network = lab.Node(exit.Node).Interfaces.Single(link => link.Device == exit.Device).Network;
            nodes.Add(new LabNode(LabCluster.OutsideName, exit.Gateway, LabRoles.None, [new LabInterface(network, "eth0")]));
        }

        if (only is not null)
        {
            nodes = [nodes.Find(node => node.Name == only) ?? throw new LabException($"lab {lab.Number} has no node {only}: it has {string.Join(", ", nodes.Select(node => node.Name))}")];
        }

        var names = await NamesAsync(session, cancellationToken);
        var running = nodes.FindAll(node => session.Processes().InitOf(node.Name) is not null);
        var wirings = await Task.WhenAll(running.Select(node => ReadAsync(session.Cluster[node.Name], node, names, time, cancellationToken)));
        return WiringPicture.Draw(new ClusterWiring($"Lab {lab.Number}: {lab.Title}", [.. lab.Networks.Select(network => network.Name)], wirings));
    }

    /// <summary>What ids stand for: of networks, routers and ports; empty where the APIs do not answer, whose failure a picture may be wanted for.</summary>
    private static async Task<Dictionary<string, string>> NamesAsync(LabSession session, CancellationToken cancellationToken)
    {
        var names = new Dictionary<string, string>();
        try
        {
            using var bounded = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            bounded.CancelAfter(Patience);
            using var admin = await session.LogInAsync("admin", bounded.Token);
            foreach (var kind in new[] { "networks", "routers" })
            {
                foreach (var item in (await admin.GetAsync("network", $"/v2.0/{kind}?fields=id&fields=name", bounded.Token))[kind]!.AsArray())
                {
                    names[(string)item!["id"]!] = (string)item["name"]!;
                }
            }

            var servers = (await admin.GetAsync("compute", "/servers?all_tenants=1", bounded.Token))["servers"]!.AsArray().ToDictionary(server => (string)server!["id"]!, server => (string)server!["name"]!);
            foreach (var port in (await admin.GetAsync("network", "/v2.0/ports", bounded.Token))["ports"]!.AsArray())
            {
                if (servers.TryGetValue((string)port!["device_id"]!, out var server))
                {
                    names[(string)port["id"]!] = $"{server} {string.Join(' ', port["fixed_ips"]!.AsArray().Select(address => address!["ip_address"]))}";
                }
            }
        }
        catch (Exception failure) when (failure is HttpRequestException or CommandException or LabException || (failure is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
        }

        return names;
    }

    private static async Task<NodeWiring> ReadAsync(NodeContainer container, LabNode node, IReadOnlyDictionary<string, string> names, TimeProvider time, CancellationToken cancellationToken)
    {
        using var routes = RouteClient.Open(container.NetworkNamespace);
        List<WiredLink> links = [.. node.Interfaces.Select(link => new WiredLink(link.Device, link.Network, Addresses(routes, link.Device)))];
        if (!node.HasSwitch)
        {
            return new NodeWiring(node.Name, links, [], []);
        }

        var root = container.Init.Root;
        await using var vswitch = new VSwitch(new OvsdbEndpoint($"unix:{root}/run/openvswitch/db.sock"), time);
        using var bounded = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        bounded.CancelAfter(Patience);
        try
        {
            await vswitch.StartAsync(bounded.Token);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new LabException($"the switch of {node.Name} does not answer: see 'sharpstack lab status'");
        }

        var ports = vswitch.Database.Snapshot[Tables.Bridge].Rows.ToDictionary(bridge => bridge.Name, bridge => vswitch.Ports(bridge.Name));
        var guests = from port in ports.Values.SelectMany(list => list)
                     where port.Name.StartsWith("tap", StringComparison.Ordinal) && port.Type.Length == 0
                     let id = port.ExternalIds.GetValueOrDefault("iface-id", "")
                     select new WiredPlace(names.GetValueOrDefault(id, port.Name).Split(' ')[0], true, [(port.Name, names.GetValueOrDefault(id, " ").Split(' ', 2)[1])]);
        var folder = root + "/run/netns";
        var spaces = Directory.Exists(folder) ? Directory.EnumerateFiles(folder).Order(StringComparer.Ordinal).Select(path => Namespace(path, names)) : [];
        return new NodeWiring(
            node.Name,
            links,
            [.. ports.Select(bridge => new WiredBridge(bridge.Key, Addresses(routes, bridge.Key), [.. bridge.Value.Select(Port)]))],
            [.. spaces.OfType<WiredPlace>(), .. guests]);
    }

    private static WiredPort Port(BridgePort port) => new(
        port.Name,
        port.Tag,
        port.Options.GetValueOrDefault("peer"),
        port.Options.TryGetValue("remote_ip", out var remote) ? $"{remote}, {port.Type} key {port.Options.GetValueOrDefault("key") ?? port.Options.GetValueOrDefault("out_key") ?? "0"}" : null);

    /// <summary>A namespace such as qrouter-ID, with its devices; null where it went away meanwhile.</summary>
    private static WiredPlace? Namespace(string path, IReadOnlyDictionary<string, string> names)
    {
        try
        {
            using var inside = RouteClient.Open(path);
            var name = Path.GetFileName(path);
            var kind = name.Split('-', 2);
            var title = kind.Length == 2 && names.TryGetValue(kind[1], out var known) ? $"{kind[0]} {known}" : name;
            return new WiredPlace(title, false, [.. inside.ListLinks().Where(link => link.Name != "lo").Select(link => (link.Name, $"{link.Name} {string.Join(' ', Addresses(inside, link.Name))}"))]);
        }
        catch (LinuxException)
        {
            return null;
        }
    }

    private static List<string> Addresses(RouteClient routes, string device) =>
        routes.FindLink(device) is null ? [] : [.. routes.ListAddresses(device).Where(address => !address.Address.IsIPv6LinkLocal).Select(address => address.ToString())];
}
