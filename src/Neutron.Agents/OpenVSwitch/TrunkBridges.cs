using SharpStack.Neutron.Contracts;
using SharpStack.OpenVSwitch.Switches;

namespace SharpStack.Neutron.Agents.OpenVSwitch;

/// <summary>
/// The bridges of trunks. Nova plugs an instance's port that carries a trunk into a bridge of its own; from there a pair of patch ports leads to the integration bridge for the port
/// itself, with what has no tag, and one for each subport, with what has its tag. On the integration bridge they are ports like any others. Names are those of OpenStack's agent.
/// </summary>
internal sealed class TrunkBridges(string integrationBridge, VSwitch vswitch)
{
    private const string BridgePrefix = "tbr-";
    private const int IdLength = 11;

    private HashSet<string> suspects = new(StringComparer.Ordinal);
    private HashSet<string> strays = new(StringComparer.Ordinal);

    public static bool IsTrunkBridge(string name) => name.StartsWith(BridgePrefix, StringComparison.Ordinal);

    /// <summary>What there is, for an audit.</summary>
    public static IReadOnlyList<TrunkBridgeView> View(VSwitch vswitch) =>
    [
        .. from bridge in vswitch.Bridges
           where IsTrunkBridge(bridge)
           let ports = vswitch.Ports(bridge)
           select new TrunkBridgeView(
               bridge,
               InstancePort(ports)?.ExternalIds[HostWiring.InterfaceId],
               [.. ports.Where(port => port.Type == WiredTrunk.PatchType && port.Tag is not null).Select(port => new TrunkSubPortView(port.ExternalIds.GetValueOrDefault(HostWiring.InterfaceId, ""), port.Tag!.Value))]),
    ];

    /// <summary>Looks for bridges whose trunk is not on this host and that nothing is plugged into.</summary>
    /// <param name="unknown">Ports that are known not to be this host's.</param>
    /// <param name="isComplete">Whether <paramref name="devices"/> are all ports of this host.</param>
    public void FindStrays(IReadOnlyDictionary<string, DeviceDetails> devices, IReadOnlySet<string> unknown, bool isComplete)
    {
        var owners = Owners(devices);
        var unused = vswitch.Bridges.Where(bridge => IsTrunkBridge(bridge) && !owners.ContainsKey(bridge) && InstancePort(bridge) is null).ToHashSet(StringComparer.Ordinal);

        // Somebody may be about to plug an instance into a bridge without patch ports: not before the second look at everything is it taken to be forgotten.
        strays = [.. unused.Where(bridge => (isComplete && suspects.Contains(bridge)) || PatchPorts(bridge).Any(port => port.ExternalIds.TryGetValue(HostWiring.InterfaceId, out var id) && unknown.Contains(id)))];
        if (isComplete)
        {
            suspects = unused;
        }
    }

    /// <summary>The trunks whose port is plugged on this host.</summary>
    public IReadOnlyList<WiredTrunk> Plugged(IReadOnlyDictionary<string, DeviceDetails> devices) =>
        [.. Owners(devices).Values.Where(device => InstancePort(device.Trunk!.Bridge)?.ExternalIds[HostWiring.InterfaceId] == device.PortId).Select(device => new WiredTrunk(device, device.Trunk!))];

    /// <summary>Patch ports for all that is on the trunks, and none else.</summary>
    public void Ensure(VSwitchChanges changes, IReadOnlyDictionary<string, DeviceDetails> devices)
    {
        var kept = new HashSet<string>(StringComparer.Ordinal);
        foreach (var trunk in Plugged(devices))
        {
            foreach (var link in trunk.Links)
            {
                EnsureLink(changes, trunk.Trunk.Bridge, link);
                kept.UnionWith([link.IntegrationPort, link.TrunkPort]);
            }
        }

        foreach (var bridge in vswitch.Bridges.Where(IsTrunkBridge))
        {
            if (strays.Contains(bridge))
            {
                changes.DeleteBridge(bridge);
                continue;
            }

            var isLeft = InstancePort(bridge) is null;
            foreach (var port in PatchPorts(bridge).Where(port => !kept.Contains(port.Name)))
            {
                if (isLeft)
                {
                    // The instance's device went, and may come back.
                    kept.Add(port.Options.GetValueOrDefault("peer", ""));
                }
                else
                {
                    changes.DeletePort(port.Name);
                }
            }
        }

        foreach (var port in vswitch.Ports(integrationBridge).Where(port => WiredTrunk.IsIntegrationPort(port) && !kept.Contains(port.Name)))
        {
            changes.DeletePort(port.Name);
        }
    }

    /// <summary>Whether patch ports of a trunk are still to be made.</summary>
    public bool IsNew(WiredTrunk trunk) => trunk.Links.Any(link => vswitch.FindPort(link.IntegrationPort) is null);

    /// <summary>How far a trunk is; null while the switch or the server is still to be heard about one of its ports.</summary>
    public string? StatusOf(WiredTrunk trunk, IReadOnlyDictionary<string, DeviceDetails> devices, IReadOnlySet<string> unknown)
    {
        var numbers = trunk.Links.Select(link => vswitch.FindPort(link.IntegrationPort)?.OpenFlowPort).ToList();
        var ids = trunk.Links.Select(link => link.PortId).ToList();
        return numbers.Contains(null) || ids.Exists(id => !devices.ContainsKey(id) && !unknown.Contains(id)) ? null
            : numbers.TrueForAll(number => number > 0) && ids.TrueForAll(devices.ContainsKey) ? DeviceTrunk.Active : DeviceTrunk.Degraded;
    }

    private void EnsureLink(VSwitchChanges changes, string bridge, TrunkLink link)
    {
        var ids = new Dictionary<string, string> { [HostWiring.InterfaceId] = link.PortId, ["attached-mac"] = link.MacAddress };

        // A new port is cut off until its flows are there. What has another tag than the subports' stays inside: the port's own network has untagged packets only.
        changes.EnsurePort(integrationBridge, link.IntegrationPort, Patch(link.TrunkPort) with { Tag = vswitch.FindPort(link.IntegrationPort) is null ? LocalVlans.Dead : null });
        changes.EnsurePort(bridge, link.TrunkPort, Patch(link.IntegrationPort) with { Tag = link.Vlan, Trunks = link.Vlan == 0 ? [0] : null });

        PortSettings Patch(string peer) => new() { Type = WiredTrunk.PatchType, Options = new Dictionary<string, string> { ["peer"] = peer }, ExternalIds = ids };
    }

    private static Dictionary<string, DeviceDetails> Owners(IReadOnlyDictionary<string, DeviceDetails> devices) =>
        devices.Values.Where(device => device.Trunk is not null).DistinctBy(device => device.Trunk!.Bridge).ToDictionary(device => device.Trunk!.Bridge, StringComparer.Ordinal);

    private BridgePort? InstancePort(string bridge) => InstancePort(vswitch.Ports(bridge));

    private static BridgePort? InstancePort(IEnumerable<BridgePort> ports) => ports.FirstOrDefault(static port => port.Type != WiredTrunk.PatchType && port.ExternalIds.ContainsKey(HostWiring.InterfaceId));

    private IEnumerable<BridgePort> PatchPorts(string bridge) => vswitch.Ports(bridge).Where(port => port.Type == WiredTrunk.PatchType);

    /// <summary>The name of a patch port, cut like those of devices.</summary>
    internal static string NameOf(string prefix, string portId) => string.Concat(prefix, portId.AsSpan(0, Math.Min(IdLength, portId.Length)));
}

/// <summary>A trunk whose port is plugged on this host.</summary>
internal sealed class WiredTrunk(DeviceDetails parent, DeviceTrunk trunk)
{
    public const string PatchType = "patch";

    private const string ParentPrefix = "tpi-";
    private const string SubPortPrefix = "spi-";

    public DeviceTrunk Trunk => trunk;

    /// <summary>That of the port which carries the trunk, then those of its subports.</summary>
    public IReadOnlyList<TrunkLink> Links { get; } =
    [
        new(parent.PortId, parent.MacAddress, 0, TrunkBridges.NameOf(ParentPrefix, parent.PortId), TrunkBridges.NameOf("tpt-", parent.PortId)),
        .. trunk.SubPorts.Select(sub => new TrunkLink(sub.PortId, sub.MacAddress, sub.SegmentationId, TrunkBridges.NameOf(SubPortPrefix, sub.PortId), TrunkBridges.NameOf("spt-", sub.PortId))),
    ];

    public static bool IsIntegrationPort(BridgePort port) =>
        port.Type == PatchType && (port.Name.StartsWith(ParentPrefix, StringComparison.Ordinal) || port.Name.StartsWith(SubPortPrefix, StringComparison.Ordinal));

    public TrunkSeen Seen(string status) => new(trunk.TrunkId, trunk.Revision, status);
}

/// <summary>A pair of patch ports.</summary>
/// <param name="Vlan">The tag on the instance's side; 0 for none.</param>
internal sealed record TrunkLink(string PortId, string MacAddress, int Vlan, string IntegrationPort, string TrunkPort);
