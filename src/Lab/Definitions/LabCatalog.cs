namespace SharpStack.Lab.Definitions;

/// <summary>The labs of the series that this project is measured by, as data: nodes, addresses, settings and demos.</summary>
public static class LabCatalog
{
    private static readonly LabNetwork Management = new("mgmt", 24, "192.168.1.1/24", "vboxnet0");
    private static readonly LabNetwork Physical = new("phys", null, "172.16.0.1/24", "vboxnet1");
    private static readonly LabNetwork Underlay = new("tun", 24, null, "vboxnet2");
    private static readonly LabNetwork Public = new("nat", 24, null, "vboxnat");

    private static readonly DemoSubnet ProjectSubnet = new("vxlan-subnet", "172.18.0.0/24", "172.18.0.1", "172.18.0.2", "172.18.0.10");

    private static readonly DemoNetwork FlatNetwork = new("flat-network", new DemoSubnet("flat-subnet", "172.16.0.0/24", "172.16.0.1", "172.16.0.2", "172.16.0.10"))
    {
        Type = "flat", External = true, Shared = true,
    };

    private static readonly DemoNetwork TunnelNetwork = new("vxlan-network", ProjectSubnet) { Needs = LabFeature.Tunnels };

    /// <summary>What this release can do; the rest of a lab comes up without it, and the demo says what it left out.</summary>
    public static IReadOnlySet<LabFeature> Supported { get; } = new HashSet<LabFeature> { LabFeature.Flat, LabFeature.Vlan, LabFeature.Tunnels, LabFeature.Routers };

    /// <summary>The labs, in order.</summary>
    public static IReadOnlyList<LabDefinition> All { get; } =
    [
        ThreeNodes(5, "Neutron with a flat network", new LabNeutron { TypeDrivers = ["local", "flat"] }, [LabFeature.Flat], new DemoPlan(
            [
                new DemoNetwork("provider", new DemoSubnet("provider", "172.16.0.0/12", "172.16.0.1", "172.16.0.2", "172.16.0.10"))
                {
                    Type = "flat", External = true, Shared = true,
                },
            ],
            [new DemoServer("demo-instance-1", "provider"), new DemoServer("demo-instance-2", "provider")])),
        ThreeNodes(
            7,
            "VLAN provider networks",
            new LabNeutron { TypeDrivers = ["local", "flat", "vlan"], VlanRanges = "physnet" },
            [LabFeature.Flat, LabFeature.Vlan],
            new DemoPlan(
                [FlatNetwork, Vlan("172.17.0")],
                [new DemoServer("demo-instance-1", "vlan-network"), new DemoServer("demo-instance-2", "vlan-network")])),
        ThreeNodes(
            8,
            "Routers",
            new LabNeutron { TypeDrivers = ["local", "flat", "vlan"], VlanRanges = "physnet", ServicePlugins = "router" },
            [LabFeature.Flat, LabFeature.Vlan, LabFeature.Routers],
            new DemoPlan(
                [FlatNetwork, Vlan("172.18.0")],
                [new DemoServer("demo-instance-1", "vlan-network"), new DemoServer("demo-instance-2", "vlan-network"), new DemoServer("demo-instance-3", "flat-network")])),
        ThreeNodes(
            9,
            "VXLAN project networks and floating IPs",
            new LabNeutron
            {
                TypeDrivers = ["local", "flat", "vlan", "vxlan"], TenantTypes = "vxlan", VlanRanges = "physnet", VniRanges = "2000:2100", ServicePlugins = "router", TunnelTypes = "vxlan",
            },
            [LabFeature.Flat, LabFeature.Vlan, LabFeature.Routers, LabFeature.Tunnels],
            new DemoPlan(
                [FlatNetwork, TunnelNetwork],
                [new DemoServer("demo-instance-1", "vxlan-network", "flat-network"), new DemoServer("demo-instance-2", "vxlan-network")])
            {
                Router = new DemoRouter("demo-router", "flat-network", "vxlan-subnet", BeforeServers: false),
            }) with { UnderlayDevice = "enp0s8" },
        new LabDefinition
        {
            Number = 10,
            Title = "A network node, and a physical network made of tunnels",
            Networks = [Management, Underlay, Public],
            Nodes =
            [
                new LabNode("controller", "192.168.1.11", LabRoles.Controller, [new LabInterface("mgmt", "enp0s8", "192.168.1.11")]),
                FourthKind("network", 12, LabRoles.Network, new LabInterface("nat", "enp0s3", "10.0.2.15")),
                FourthKind("compute1", 21, LabRoles.Compute),
                FourthKind("compute2", 22, LabRoles.Compute),
            ],
            Neutron = new LabNeutron
            {
                TypeDrivers = ["local", "flat", "vxlan"], TenantTypes = "vxlan", VniRanges = "2000:2100", PhysicalMtus = "physnet:1450", ServicePlugins = "router", TunnelTypes = "vxlan",
            },
            Star = new LabStar("network", 100, "enp0s9"),
            Exit = new LabExit("network", "172.16.0.1/24", 1450, "enp0s3", "10.0.2.2", "198.51.100.1"),
            UnderlayDevice = "enp0s9",
            Features = [LabFeature.Flat, LabFeature.Routers, LabFeature.Tunnels],
            Demo = new DemoPlan(
                [FlatNetwork, TunnelNetwork],
                [
                    new DemoServer("demo-instance-1", "vxlan-network", "flat-network"), new DemoServer("demo-instance-2", "vxlan-network"),
                    new DemoServer("demo-instance-3", "flat-network"),
                ])
            {
                Router = new DemoRouter("demo-router", "flat-network", "vxlan-subnet", BeforeServers: true),
            },
        },
    ];

    /// <summary>The lab of that number.</summary>
    /// <exception cref="LabException">There is none.</exception>
    public static LabDefinition Get(int number) =>
        All.FirstOrDefault(lab => lab.Number == number) ?? throw new LabException($"there is no lab {number}; there are {string.Join(", ", All.Select(lab => lab.Number))}");

    /// <summary>A controller that is the network node too, and two compute nodes, each with a link without an address on the physical network.</summary>
    private static LabDefinition ThreeNodes(int number, string title, LabNeutron neutron, IReadOnlyList<LabFeature> features, DemoPlan demo) => new()
    {
        Number = number,
        Title = title,
        Networks = [Management, Physical],
        Nodes =
        [
            ThirdKind("controller", 11, LabRoles.Controller | LabRoles.Network),
            ThirdKind("compute1", 21, LabRoles.Compute),
            ThirdKind("compute2", 22, LabRoles.Compute),
        ],
        Neutron = neutron,
        ProviderDevice = "enp0s9",
        Features = features,
        Demo = demo,
    };

    private static LabNode ThirdKind(string name, int last, LabRoles roles) =>
        new(name, $"192.168.1.{last}", roles, [new LabInterface("mgmt", "enp0s8", $"192.168.1.{last}"), new LabInterface("phys", "enp0s9")]);

    private static LabNode FourthKind(string name, int last, LabRoles roles, params ReadOnlySpan<LabInterface> more) =>
        new(name, $"192.168.1.{last}", roles, [new LabInterface("mgmt", "enp0s8", $"192.168.1.{last}"), new LabInterface("tun", "enp0s9", $"192.168.2.{last}"), .. more]);

    private static DemoNetwork Vlan(string prefix) => new("vlan-network", new DemoSubnet("vlan-subnet", $"{prefix}.0/24", $"{prefix}.1", $"{prefix}.2", $"{prefix}.10"))
    {
        Type = "vlan", Segment = 100, Shared = true, Needs = LabFeature.Vlan,
    };
}
