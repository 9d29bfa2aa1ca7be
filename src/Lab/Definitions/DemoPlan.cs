namespace SharpStack.Lab.Definitions;

/// <summary>A subnet of a demo.</summary>
/// <param name="First">The first address of its pool.</param>
/// <param name="Last">The last one.</param>
public sealed record DemoSubnet(string Name, string Cidr, string Gateway, string First, string Last);

/// <summary>A network of a demo.</summary>
public sealed record DemoNetwork(string Name, DemoSubnet Subnet)
{
    /// <summary>Flat or VLAN on the physical network; null for a project's own network, of whichever type the cloud gives.</summary>
    public string? Type { get; init; }

    /// <summary>The VLAN.</summary>
    public int? Segment { get; init; }

    public bool External { get; init; }

    public bool Shared { get; init; }

    /// <summary>What the cloud must be able to do for it.</summary>
    public LabFeature Needs { get; init; } = LabFeature.Flat;
}

/// <summary>A server of a demo.</summary>
/// <param name="Network">The name of its network.</param>
/// <param name="FloatingFrom">The network from which it gets a floating IP; null for none.</param>
public sealed record DemoServer(string Name, string Network, string? FloatingFrom = null);

/// <summary>A router of a demo.</summary>
/// <param name="Gateway">The network that it leads to.</param>
/// <param name="Subnet">The subnet that it serves.</param>
/// <param name="BeforeServers">Whether it is made before the servers or after them.</param>
public sealed record DemoRouter(string Name, string Gateway, string Subnet, bool BeforeServers);

/// <summary>What a demo makes: beside the project and user demo, the key pair demo-key and the rules for ICMP and SSH.</summary>
public sealed record DemoPlan(IReadOnlyList<DemoNetwork> Networks, IReadOnlyList<DemoServer> Servers)
{
    /// <summary>The memory of the flavor m1.nano, MiB.</summary>
    public int FlavorMemory { get; init; } = 128;

    /// <summary>The name of the physical network.</summary>
    public string PhysicalNetwork { get; init; } = "physnet";

    public DemoRouter? Router { get; init; }

    /// <summary>The steps that need a feature which is not among those given, in words.</summary>
    public IReadOnlyList<string> Beyond(IReadOnlySet<LabFeature> supported)
    {
        var beyond = new List<string>();
        var missing = Networks.Where(network => !supported.Contains(network.Needs)).ToArray();
        beyond.AddRange(missing.Select(network => $"network {network.Name} ({network.Type ?? "of the project's own, in tunnels"})"));
        beyond.AddRange(Servers.Where(server => missing.Any(network => network.Name == server.Network)).Select(server => $"server {server.Name} on {server.Network}"));
        if (!supported.Contains(LabFeature.Routers))
        {
            beyond.AddRange(Router is { } router ? [$"router {router.Name}"] : []);
            beyond.AddRange(Servers.Where(server => server.FloatingFrom is not null).Select(server => $"a floating IP for {server.Name}"));
        }

        return beyond;
    }

    /// <summary>The plan less the steps that <see cref="Beyond"/> names.</summary>
    public DemoPlan Within(IReadOnlySet<LabFeature> supported)
    {
        var networks = Networks.Where(network => supported.Contains(network.Needs)).ToArray();
        var routers = supported.Contains(LabFeature.Routers);
        return this with
        {
            Networks = networks,
            Servers = [.. Servers.Where(server => networks.Any(network => network.Name == server.Network)).Select(server => routers ? server : server with { FloatingFrom = null })],
            Router = routers && networks.Any(network => network.Subnet.Name == Router?.Subnet) ? Router : null,
        };
    }
}
