namespace SharpStack.Lab.Diagrams;

/// <summary>What a picture shows of a cluster: its nodes and the wires between them, as they were found.</summary>
/// <param name="Wires">Names of the networks that the nodes' links are on.</param>
public sealed record ClusterWiring(string Title, IReadOnlyList<string> Wires, IReadOnlyList<NodeWiring> Nodes);

/// <param name="Links">The node's own links, that other nodes are behind.</param>
/// <param name="Bridges">In any order.</param>
/// <param name="Places">What the ports of the bridges lead to on the node: guests and network namespaces.</param>
public sealed record NodeWiring(string Name, IReadOnlyList<WiredLink> Links, IReadOnlyList<WiredBridge> Bridges, IReadOnlyList<WiredPlace> Places);

/// <param name="Wire">The network that it is on.</param>
public sealed record WiredLink(string Name, string Wire, IReadOnlyList<string> Addresses);

/// <param name="Addresses">Of the bridge's own device.</param>
public sealed record WiredBridge(string Name, IReadOnlyList<string> Addresses, IReadOnlyList<WiredPort> Ports);

/// <param name="Tag">The VLAN of an access port.</param>
/// <param name="Peer">The other end of a patch port.</param>
/// <param name="Tunnel">Where a tunnel's port leads to and by which key, in words; null for other ports.</param>
public sealed record WiredPort(string Name, int? Tag = null, string? Peer = null, string? Tunnel = null);

/// <summary>A guest, or a network namespace.</summary>
/// <param name="Title">What it is, in a few words.</param>
/// <param name="Lines">Each of its devices, which is the bridge's port of the same name, with what is to be said of it.</param>
public sealed record WiredPlace(string Title, bool IsGuest, IReadOnlyList<(string Device, string Text)> Lines);
