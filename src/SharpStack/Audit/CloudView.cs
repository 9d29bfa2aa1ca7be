using SharpStack.Neutron.Contracts;

namespace SharpStack.Audit;

/// <summary>What the services say that there is.</summary>
internal sealed record CloudView
{
    /// <summary>By UUID; those of all projects that are not deleted.</summary>
    public required IReadOnlyDictionary<string, ServerView> Servers { get; init; }

    public required IReadOnlyList<HypervisorView> Hypervisors { get; init; }

    /// <summary>Placement's providers of compute nodes.</summary>
    public required IReadOnlyList<ProviderView> Providers { get; init; }

    /// <summary>By UUID.</summary>
    public required IReadOnlyDictionary<string, PortView> Ports { get; init; }

    /// <summary>Subnets by UUID.</summary>
    public required IReadOnlyDictionary<string, SubnetInfo> Subnets { get; init; }

    public required IReadOnlyList<AgentView> Agents { get; init; }

    /// <summary>Routers by UUID; empty where Neutron has none.</summary>
    public IReadOnlyDictionary<string, RouterInfo> Routers { get; init; } = new Dictionary<string, RouterInfo>();

    /// <summary>Empty where Neutron has none.</summary>
    public IReadOnlyList<TrunkInfo> Trunks { get; init; } = [];

    /// <summary>Floating IPs that belong to a router.</summary>
    public IReadOnlyList<FloatingIpInfo> FloatingIps { get; init; } = [];
}

/// <param name="Host">Null where it has none.</param>
/// <param name="Resources">What its flavor takes: <c>VCPU</c>, <c>MEMORY_MB</c>; empty where extra specs say otherwise.</param>
internal sealed record ServerView(string Id, string Status, string? TaskState, int PowerState, string? Host, IReadOnlyDictionary<string, long> Resources, IReadOnlyList<string> Addresses)
{
    /// <summary>Nothing is being done with it: what it should have, it should have now.</summary>
    public bool IsSettled => TaskState is null && Status is not ("BUILD" or "DELETED" or "SOFT_DELETED" or "SHELVED" or "SHELVED_OFFLOADED" or "VERIFY_RESIZE");
}

/// <param name="Id">UUID, also of the provider.</param>
internal sealed record HypervisorView(string Id, string Name, string Host, bool IsUp);

/// <param name="Id">UUID of the provider.</param>
/// <param name="RootId">UUID of its tree's root, which is a compute node's.</param>
/// <param name="Consumers">Amounts by class, by consumer.</param>
internal sealed record ProviderView(string Id, string Name, string RootId, IReadOnlyDictionary<string, IReadOnlyDictionary<string, long>> Consumers);

internal sealed record PortView(
    string Id, string NetworkId, string DeviceOwner, string DeviceId, string MacAddress, string Status, string? Host, string? VifType, IReadOnlyList<(string SubnetId, string Ip)> FixedIps)
{
    public bool IsServers => DeviceOwner.StartsWith("compute:", StringComparison.Ordinal);

    /// <summary>Whether it is a router's: inner, outer, or for the router's hosts among each other.</summary>
    public bool IsRouters => DeviceOwner.StartsWith("network:router_", StringComparison.Ordinal) || DeviceOwner == RouterPortOwners.HaInterface;

    /// <summary>The name of a router's port in its namespace.</summary>
    public string RouterDevice =>
        string.Concat(DeviceOwner switch { RouterPortOwners.Gateway => "qg-", RouterPortOwners.HaPort => "ha-", _ => "qr-" }, Id.AsSpan(0, 11));

    /// <summary>The name of its device on the host.</summary>
    public string Tap => string.Concat("tap", Id.AsSpan(0, 11));
}

internal sealed record SubnetInfo(string Id, string NetworkId, int IpVersion, bool HasDhcp);

/// <param name="HasSnat">Inner addresses leave under that of its gateway.</param>
internal sealed record RouterInfo(string Id, bool AdminStateUp, bool IsHa, bool HasGateway, bool HasSnat);

/// <param name="PortId">The port that carries it.</param>
internal sealed record TrunkInfo(string Id, string PortId, IReadOnlyList<TrunkSubPortView> SubPorts)
{
    /// <summary>The name of its bridge on the port's host.</summary>
    public string Bridge => DeviceTrunk.BridgeOf(Id);
}

/// <param name="Fixed">Null where only port forwardings lead through it.</param>
internal sealed record FloatingIpInfo(string Id, string RouterId, string Floating, string? Fixed, string Status);

/// <param name="Networks">Those scheduled to a DHCP agent; empty for others.</param>
internal sealed record AgentView(string Id, string Type, string Host, bool IsAlive, IReadOnlyList<string> Networks)
{
    /// <summary>Those scheduled to an L3 agent; empty for others.</summary>
    public IReadOnlyList<string> Routers { get; init; } = [];
}
