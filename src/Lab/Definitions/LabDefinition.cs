namespace SharpStack.Lab.Definitions;

/// <summary>What a node is for; each role brings services and configuration files.</summary>
[Flags]
public enum LabRoles
{
    None = 0,

    /// <summary>The APIs, the database, the message broker, the cache.</summary>
    Controller = 1,

    /// <summary>The agents that serve networks: DHCP, metadata, routers.</summary>
    Network = 2,

    /// <summary>Instances.</summary>
    Compute = 4,
}

/// <summary>What a lab needs of the cloud beyond its nodes.</summary>
public enum LabFeature
{
    Flat,
    Vlan,

    /// <summary>Routers and floating IPs.</summary>
    Routers,

    /// <summary>Project networks in tunnels.</summary>
    Tunnels,
}

/// <summary>A network of the nodes: a wire that all of them are on.</summary>
/// <param name="Name">At most four letters: it names links.</param>
/// <param name="PrefixLength">Of the nodes' addresses; null for a wire whose nodes have none.</param>
/// <param name="Host">The lab host's address with its prefix length; null where it is not on this network.</param>
/// <param name="HostDevice">The lab host's link, named as VirtualBox names it.</param>
public sealed record LabNetwork(string Name, int? PrefixLength, string? Host, string HostDevice);

/// <summary>A node's link on a network.</summary>
/// <param name="Device">As the labs' machines name it.</param>
/// <param name="Address">Null for a link without one, that a bridge takes in.</param>
public sealed record LabInterface(string Network, string Device, string? Address = null);

/// <summary>A node.</summary>
/// <param name="Address">Its address on the management network.</param>
public sealed record LabNode(string Name, string Address, LabRoles Roles, IReadOnlyList<LabInterface> Interfaces)
{
    /// <summary>Whether it has a switch, and so the agent of it.</summary>
    public bool HasSwitch => (Roles & (LabRoles.Network | LabRoles.Compute)) != 0;
}

/// <summary>What the labs' templates set of Neutron, less what is the same in all of them.</summary>
public sealed record LabNeutron
{
    public required IReadOnlyList<string> TypeDrivers { get; init; }

    public string TenantTypes { get; init; } = "";

    public string? VlanRanges { get; init; }

    public string? VniRanges { get; init; }

    public string PhysicalMtus { get; init; } = "";

    public string ServicePlugins { get; init; } = "";

    public string TunnelTypes { get; init; } = "";
}

/// <summary>
/// Lab10's physical network, which is itself made of tunnels: a learning switch br-ext on each node, joined to br-phys by a patch and to that of the
/// hub by a tunnel with a fixed key.
/// </summary>
/// <param name="Hub">The node in the middle.</param>
/// <param name="Key">The VXLAN network identifier.</param>
/// <param name="Device">The link whose network carries the tunnels.</param>
public sealed record LabStar(string Hub, int Key, string Device);

/// <summary>
/// Lab10's way to the world: the hub's br-ext is the gateway of the flat network, and the hub masquerades to a public link. What is beyond is a network
/// namespace of its own, "outside", with the gateway's address and one that stands for the Internet.
/// </summary>
/// <param name="Node">The node that routes.</param>
/// <param name="Address">Of br-ext, with its prefix length.</param>
/// <param name="Mtu">Of br-ext.</param>
/// <param name="Device">The public link.</param>
/// <param name="Gateway">The outside's address on the public link's network.</param>
/// <param name="Internet">An address that only the outside has.</param>
public sealed record LabExit(string Node, string Address, int Mtu, string Device, string Gateway, string Internet);

/// <summary>One of the labs: nodes, networks and settings as data.</summary>
public sealed record LabDefinition
{
    public required int Number { get; init; }

    public required string Title { get; init; }

    public required IReadOnlyList<LabNetwork> Networks { get; init; }

    public required IReadOnlyList<LabNode> Nodes { get; init; }

    public required LabNeutron Neutron { get; init; }

    /// <summary>The link that br-phys takes in on each node with a switch; null where <see cref="Star"/> makes the physical network.</summary>
    public string? ProviderDevice { get; init; }

    public LabStar? Star { get; init; }

    public LabExit? Exit { get; init; }

    /// <summary>The link whose address tunnels end at; null where there are no tunnels.</summary>
    public string? UnderlayDevice { get; init; }

    /// <summary>What it shows; some of it may be beyond this release (<see cref="LabCatalog.Supported"/>).</summary>
    public required IReadOnlyList<LabFeature> Features { get; init; }

    /// <summary>The demo, as the lab's <c>demo.yaml</c> has it.</summary>
    public required DemoPlan Demo { get; init; }

    public LabNode Controller => Nodes.Single(node => node.Roles.HasFlag(LabRoles.Controller));

    /// <summary>The node of that name.</summary>
    /// <exception cref="LabException">There is none.</exception>
    public LabNode Node(string name) =>
        Nodes.FirstOrDefault(node => node.Name == name) ?? throw new LabException($"lab {Number} has no node {name}: it has {string.Join(", ", Nodes.Select(node => node.Name))}");
}
