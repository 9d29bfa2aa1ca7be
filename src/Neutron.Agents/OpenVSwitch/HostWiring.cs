using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using System.Security.Cryptography;
using System.Text;
using Microsoft.Extensions.Logging;
using SharpStack.Foundation.Bus;
using SharpStack.Foundation.Reconciling;
using SharpStack.Neutron.Agents.OpenVSwitch.Bridges;
using SharpStack.Neutron.Agents.OpenVSwitch.Firewall;
using SharpStack.Neutron.Contracts;
using SharpStack.OpenVSwitch.Flows;
using SharpStack.OpenVSwitch.OpenFlow;
using SharpStack.OpenVSwitch.Ovsdb;
using SharpStack.OpenVSwitch.Switches;

namespace SharpStack.Neutron.Agents.OpenVSwitch;

/// <summary>What to look at.</summary>
internal enum WorkKind
{
    /// <summary>Everything: bridges, all ports, all groups, all flows against what the switch really has.</summary>
    Host,

    /// <summary>One port, by its id.</summary>
    Port,

    /// <summary>A group whose rules or members changed.</summary>
    SecurityGroup,

    /// <summary>A network whose attributes changed.</summary>
    Network,

    /// <summary>The tunnels to other hosts.</summary>
    Tunnels,

    /// <summary>A network whose ports on other hosts changed.</summary>
    Forwarding,

    /// <summary>The bridges of trunks.</summary>
    Trunks,
}

internal readonly record struct WorkItem(WorkKind Kind, string Id)
{
    public static readonly WorkItem Host = new(WorkKind.Host, "");

    public static readonly WorkItem Tunnels = new(WorkKind.Tunnels, "");

    public static readonly WorkItem Trunks = new(WorkKind.Trunks, "");

    public override string ToString() => Kind switch
    {
        WorkKind.Host => "the host",
        WorkKind.Tunnels => "the tunnels",
        WorkKind.Trunks => "the trunks",
        _ => $"{Kind} {Id}",
    };
}

/// <summary>
/// Makes the switch of this host what the server says. It keeps what the server said and what it put into the switch, works out all flows that
/// should be, and applies the difference: flows first, then the tags that let packets at them. Not to be used by two tasks at once.
/// </summary>
internal sealed partial class HostWiring(AgentSettings settings, VSwitch vswitch, OpenFlowController controller, IMessageBus bus, ILogger log)
{
    public const string InterfaceId = "iface-id";

    private static readonly string[] Protocols = ["OpenFlow10", "OpenFlow13", "OpenFlow14"];
    private static readonly FlowFilter OwnFlows = new(FlowTables.Cookie, ulong.MaxValue);

    private readonly TunnelMesh? tunnels = settings.Tunnels is { } served ? new(settings, served, vswitch, bus, log) : null;
    private readonly TrunkBridges trunks = new(settings.IntegrationBridge, vswitch);
    private readonly LocalVlans vlans = new();
    private readonly ConjunctionIds conjunctions = new();
    private readonly ConcurrentDictionary<string, int> tags = new(StringComparer.Ordinal);
    private readonly Dictionary<string, (OpenFlowSwitch Switch, FlowGroups Flows)> installed = new(StringComparer.Ordinal);
    private readonly Dictionary<string, PortFlows> portFlows = new(StringComparer.Ordinal);
    private readonly Dictionary<string, (long Revision, bool Up)> reported = new(StringComparer.Ordinal);
    private readonly Dictionary<string, TrunkSeen> reportedTrunks = new(StringComparer.Ordinal);
    private Dictionary<string, DeviceDetails> devices = new(StringComparer.Ordinal);
    private HashSet<string> unknown = new(StringComparer.Ordinal);
    private Dictionary<string, SecurityGroupDetails> groups = new(StringComparer.Ordinal);
    private Dictionary<string, IReadOnlyList<AddressPair>> members = new(StringComparer.Ordinal);
    private readonly HashSet<string> complained = new(StringComparer.Ordinal);
    private (OpenFlowSwitch Switch, IReadOnlyList<FlowMeter> Meters)? meters;
    private volatile int wired;
    private bool loaded;

    /// <summary>Ports whose binding changed while they were wired: to be looked at again.</summary>
    public event Action<string>? LookAgain;

    /// <summary>How many ports are wired, for the agent's report.</summary>
    public int WiredPorts => wired;

    /// <summary>Whether a port on the integration bridge has the tag that was last given to it.</summary>
    public bool HasWantedTag(string port, int? tag) => !tags.TryGetValue(port, out var wanted) || wanted == tag;

    /// <summary>The patch port on the integration bridge, or on the physical one, that joins the two.</summary>
    public static string PatchName(string prefix, string bridge)
    {
        const int Longest = 15;
        const int HashLength = 6;
        var name = prefix + bridge;
        if (name.Length <= Longest)
        {
            return name;
        }

#pragma warning disable CA5350 // OpenStack's way of shortening names, not a protection.
        var hash = Convert.ToHexStringLower(SHA1.HashData(Encoding.UTF8.GetBytes(bridge)));
#pragma warning restore CA5350
        return string.Concat(prefix, bridge.AsSpan(0, Longest - prefix.Length - HashLength), hash.AsSpan(0, HashLength));
    }

    /// <summary>Looks at all that is given in one pass.</summary>
    public async Task ReconcileAsync(IReadOnlyCollection<WorkItem> items, CancellationToken cancellationToken)
    {
        var everything = items.Contains(WorkItem.Host);
        if (everything)
        {
            await EnsureBridgesAsync(cancellationToken);
            await LoadAllAsync(cancellationToken);
        }
        else if (!loaded || !await LoadAsync(items, cancellationToken))
        {
            // The first look at everything is still to come, or nothing on this host is concerned.
            return;
        }

        foreach (var network in Ids(items, WorkKind.Forwarding))
        {
            tunnels?.Forget(network);
        }

        await ApplyAsync(verify: everything, cancellationToken);
    }

    private static IEnumerable<string> Ids(IEnumerable<WorkItem> items, WorkKind kind) => items.Where(item => item.Kind == kind).Select(item => item.Id);

    /// <summary>Asks for what the items name.</summary>
    /// <returns>Whether any of it is of this host.</returns>
    private async Task<bool> LoadAsync(IReadOnlyCollection<WorkItem> items, CancellationToken cancellationToken)
    {
        var networks = Ids(items, WorkKind.Network).ToHashSet(StringComparer.Ordinal);
        var ports = Ids(items, WorkKind.Port).Union(devices.Values.Where(device => networks.Contains(device.NetworkId)).Select(device => device.PortId)).ToList();
        if (ports.Count > 0)
        {
            await LoadDevicesAsync(ports, cancellationToken);
        }

        var affected = Affected([.. Ids(items, WorkKind.SecurityGroup)]);
        if (affected.Count > 0)
        {
            await LoadGroupsAsync(affected, cancellationToken);
        }

        var mesh = tunnels is not null && items.Contains(WorkItem.Tunnels);
        if (mesh)
        {
            await tunnels!.LoadAsync(cancellationToken);
        }

        return ports.Count > 0 || affected.Count > 0 || mesh || items.Contains(WorkItem.Trunks) || Ids(items, WorkKind.Forwarding).Any(id => tunnels?.Knows(id) == true);
    }

    /// <summary>The groups of ports of this host that are, or name as the remote side, one of those given.</summary>
    private List<string> Affected(HashSet<string> changed) => changed.Count == 0 ? []
        : [.. Used(devices.Values).Where(used => changed.Contains(used) || (groups.TryGetValue(used, out var group) && group.Rules.Any(rule => rule.Remote is { } remote && changed.Contains(remote))))];

    private async Task EnsureBridgesAsync(CancellationToken cancellationToken)
    {
        var bridge = new BridgeSettings
        {
            DatapathType = settings.DatapathType,
            FailMode = "secure",
            Protocols = Protocols,
            Controller = new ControllerSettings($"tcp:{settings.ListenAddress}:{controller.EndPoint.Port}") { InactivityProbe = settings.InactivityProbe },
        };
        foreach (var (network, name) in settings.BridgeMappings)
        {
            if (vswitch.FindBridge(name) is null)
            {
                LogNoBridge(network, name);
            }
        }

        await ChangeAsync(
            changes =>
            {
                changes.EnsureBridge(settings.IntegrationBridge, bridge);
                tunnels?.EnsureBridge(changes, bridge);
                foreach (var name in MappedBridges())
                {
                    changes.EnsureBridge(name, bridge);
                    changes.EnsurePatchPair(settings.IntegrationBridge, PatchName("int-", name), name, PatchName("phy-", name));
                }
            },
            cancellationToken);
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(settings.ConnectTimeout);
        string[] own = tunnels is null ? [settings.IntegrationBridge] : [settings.IntegrationBridge, tunnels.Bridge];
        foreach (var name in own.Concat(MappedBridges()))
        {
            try
            {
                await controller.WaitForAsync(name, limit.Token);
            }
            catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
            {
                throw new OpenFlowException(
                    $"Bridge {name} did not connect to {settings.ListenAddress}:{controller.EndPoint.Port} within {settings.ConnectTimeout.TotalSeconds:0} s: check that ovs-vswitchd runs in this network namespace.");
            }
        }
    }

    /// <summary>The mapped bridges that exist.</summary>
    private IEnumerable<string> MappedBridges() => settings.BridgeMappings.Values.Distinct().Where(name => vswitch.FindBridge(name) is not null);

    private async Task LoadAllAsync(CancellationToken cancellationToken)
    {
        var answer = await bus.CallAsync(OpenVSwitchContracts.GetDevices, new DevicesRequest(settings.Host, null), cancellationToken: cancellationToken);
        var all = answer.Devices.ToDictionary(device => device.PortId, StringComparer.Ordinal);
        var used = Used(all.Values).ToList();
        var known = used.Count == 0 ? null : await AskGroupsAsync(used, cancellationToken);
        if (tunnels is not null)
        {
            await tunnels.LoadAsync(cancellationToken);
        }

        devices = all;
        reportedTrunks.Clear();
        unknown = BridgePorts().Select(port => port.ExternalIds[InterfaceId]).Where(id => !all.ContainsKey(id)).ToHashSet(StringComparer.Ordinal);
        groups = known?.Groups.ToDictionary(group => group.Id, StringComparer.Ordinal) ?? new(StringComparer.Ordinal);
        members = known is null ? new(StringComparer.Ordinal) : new(known.Members, StringComparer.Ordinal);
        loaded = true;
    }

    private async Task LoadDevicesAsync(IReadOnlyList<string> ids, CancellationToken cancellationToken)
    {
        var answer = await bus.CallAsync(OpenVSwitchContracts.GetDevices, new DevicesRequest(settings.Host, ids), cancellationToken: cancellationToken);
        var missing = Used(answer.Devices).Where(id => !groups.ContainsKey(id)).ToList();
        if (missing.Count > 0)
        {
            await LoadGroupsAsync(missing, cancellationToken);
        }

        foreach (var device in answer.Devices)
        {
            devices[device.PortId] = device;
            unknown.Remove(device.PortId);
        }

        foreach (var id in answer.Unknown)
        {
            devices.Remove(id);
            unknown.Add(id);
        }
    }

    private async Task LoadGroupsAsync(IReadOnlyList<string> ids, CancellationToken cancellationToken)
    {
        var answer = await AskGroupsAsync(ids, cancellationToken);
        foreach (var id in ids)
        {
            groups.Remove(id);
        }

        foreach (var group in answer.Groups)
        {
            groups[group.Id] = group;
        }

        foreach (var (id, list) in answer.Members)
        {
            members[id] = list;
        }
    }

    private Task<SecurityGroupsAnswer> AskGroupsAsync(IReadOnlyList<string> ids, CancellationToken cancellationToken) =>
        bus.CallAsync(OpenVSwitchContracts.GetSecurityGroups, new SecurityGroupsRequest(settings.Host, ids), cancellationToken: cancellationToken);

    /// <summary>The groups that the firewall needs for these ports.</summary>
    private IEnumerable<string> Used(IEnumerable<DeviceDetails> of) =>
        settings.Firewall ? of.Where(device => device.PortSecurityEnabled).SelectMany(device => device.SecurityGroupIds).Distinct(StringComparer.Ordinal) : [];

    private IEnumerable<BridgePort> BridgePorts() => vswitch.Ports(settings.IntegrationBridge).Where(port => port.ExternalIds.ContainsKey(InterfaceId)).OrderBy(port => port.Name, StringComparer.Ordinal);

    private async Task ApplyAsync(bool verify, CancellationToken cancellationToken)
    {
        var plugged = await EnsureTrunksAsync(verify, cancellationToken);
        var ports = BridgePorts().ToList();
        var up = new Dictionary<string, WiredPort>(StringComparer.Ordinal);
        var waiting = new HashSet<string>(StringComparer.Ordinal);
        var dead = new List<BridgePort>();
        Sort(ports, up, waiting, dead);

        var segments = Segments(up.Values);
        var physical = segments.Select(pair => Physical(pair.Device, pair.Vlan)).OfType<PhysicalSegment>().ToList();
        var tunnelled = segments.Where(pair => tunnels?.Serves(pair.Device) == true)
            .Select(pair => new TunnelSegment(pair.Device.NetworkId, pair.Device.NetworkType, pair.Device.SegmentationId!.Value, pair.Vlan)).ToList();
        if (tunnels is not null)
        {
            await tunnels.LoadForwardingAsync(tunnelled, cancellationToken);
            await ChangeAsync(changes => tunnels.EnsureTunnels(changes, tunnelled), cancellationToken);
            await ApplyFlowsAsync(tunnels.Bridge, [[.. tunnels.Flows(tunnelled)]], verify, cancellationToken);
        }

        var stale = await EnsureMetersAsync([.. up.Values.SelectMany(PortQos.Meters)], verify, cancellationToken);
        await ApplyFlowsAsync(settings.IntegrationBridge, IntegrationFlows(up, dead, physical), verify, cancellationToken);
        await RemoveMetersAsync(stale, cancellationToken);
        foreach (var bridge in MappedBridges())
        {
            var flows = BridgeFlows.Physical(PatchPort("phy-", bridge)).Concat(physical.Where(segment => segment.Bridge == bridge).Select(BridgeFlows.PhysicalSegment));
            await ApplyFlowsAsync(bridge, [[.. flows]], verify, cancellationToken);
        }

        Remember(up.Values, dead, plugged);
        await ChangeAsync(
            changes =>
            {
                foreach (var port in up.Values)
                {
                    var key = KeyOf(port.Details);
                    changes.SetPort(port.Name, port.LocalVlan, LocalVlans.Describe(key, port.Details.NetworkType, port.Details.PhysicalNetwork, port.LocalVlan));
                }

                foreach (var port in dead)
                {
                    changes.SetPort(port.Name, LocalVlans.Dead);
                }

                tunnels?.RemoveTunnels(changes, tunnelled);
            },
            cancellationToken);
        wired = up.Count;
        await ReportAsync(up, waiting, cancellationToken);
        await ReportTrunksAsync(
            [.. from trunk in plugged
                let status = trunks.StatusOf(trunk, devices, unknown)
                where status is not null && status != trunk.Trunk.Status
                select trunk.Seen(status)],
            cancellationToken);
    }

    /// <summary>Patch ports for all that is on the trunks of this host.</summary>
    private async Task<IReadOnlyList<WiredTrunk>> EnsureTrunksAsync(bool isComplete, CancellationToken cancellationToken)
    {
        trunks.FindStrays(devices, unknown, isComplete);
        var plugged = trunks.Plugged(devices);
        await ReportTrunksAsync([.. plugged.Where(trunks.IsNew).Select(trunk => trunk.Seen(DeviceTrunk.Build))], cancellationToken);
        await ChangeAsync(changes => trunks.Ensure(changes, devices), cancellationToken);
        return plugged;
    }

    /// <summary>Which ports are to be wired, which cannot be yet, and which must be cut off.</summary>
    private void Sort(IReadOnlyList<BridgePort> ports, Dictionary<string, WiredPort> up, HashSet<string> waiting, List<BridgePort> dead)
    {
        var usable = new Dictionary<string, (DeviceDetails Device, BridgePort Port)>(StringComparer.Ordinal);
        foreach (var port in ports)
        {
            var id = port.ExternalIds[InterfaceId];
            if (!devices.TryGetValue(id, out var device))
            {
                if (unknown.Contains(id))
                {
                    dead.Add(port);
                }
            }
            else if (!device.AdminStateUp || !CanServe(device))
            {
                dead.Add(port);
            }
            else if (port.OpenFlowPort is not { } number)
            {
                waiting.Add(id);
            }
            else if (number > 0)
            {
                usable.TryAdd(id, (device, port));
            }
        }

        var assigned = vlans.Assign(usable.Values.Select(pair => KeyOf(pair.Device)), ports);
        foreach (var (id, (device, port)) in usable.OrderBy(pair => pair.Key, StringComparer.Ordinal))
        {
            try
            {
                up.Add(id, Wire(device, port, assigned[KeyOf(device)]));
            }
            catch (FormatException failure)
            {
                // What one port has wrong must not keep the others from the network.
                LogBadPort(id, failure.Message);
                dead.Add(port);
            }
        }
    }

    private WiredPort Wire(DeviceDetails device, BridgePort port, int vlan)
    {
        var own = settings.Firewall ? [.. device.SecurityGroupIds.Select(id => groups.GetValueOrDefault(id)).OfType<SecurityGroupDetails>()] : Array.Empty<SecurityGroupDetails>();
        if (portFlows.TryGetValue(device.PortId, out var known)
            && ReferenceEquals(known.Port.Details, device)
            && (known.Port.Name, known.Port.Number, known.Port.LocalVlan) == (port.Name, (uint)port.OpenFlowPort!.Value, vlan)
            && known.Groups.SequenceEqual(own, ReferenceEqualityComparer.Instance))
        {
            return known.Port;
        }

        var wiredPort = new WiredPort(device, port.Name, (uint)port.OpenFlowPort!.Value, vlan);
        var flows = settings.Firewall
            ? PortFirewall.Flows(wiredPort, own, conjunctions, settings.PermittedEthertypes)
            : SpoofProtection.Flows(wiredPort);
        portFlows[device.PortId] = new(wiredPort, own, [.. PortQos.Apply(wiredPort, [.. flows])]);
        return wiredPort;
    }

    /// <summary>Groups: one a port, the same object as long as nothing about the port changes, and one of all else.</summary>
    private List<IReadOnlyList<Flow>> IntegrationFlows(Dictionary<string, WiredPort> up, IEnumerable<BridgePort> dead, IReadOnlyList<PhysicalSegment> physical)
    {
        foreach (var gone in portFlows.Keys.Where(id => !up.ContainsKey(id)).ToList())
        {
            portFlows.Remove(gone);
        }

        var patchPorts = MappedBridges().Select(bridge => PatchPort("int-", bridge)).OfType<uint>();
        var used = from port in up.Values
                   from conjunction in PortFirewall.Conjunctions(port, portFlows[port.Details.PortId].Groups)
                   group conjunction by port.LocalVlan;
        return
        [
            [
                .. BridgeFlows.Integration(patchPorts, settings.Firewall),
                .. physical.Select(BridgeFlows.IntegrationSegment),
                .. dead.Where(port => port.OpenFlowPort > 0).Select(port => FlowTables.Flow(FlowTables.LocalSwitching, 65535, FlowTables.Packet.InPort((uint)port.OpenFlowPort!.Value))),
                .. used.SelectMany(network => PortFirewall.Members(network.Key, network.Distinct(), members, conjunctions)),
            ],
            .. up.Keys.Order(StringComparer.Ordinal).Select(id => portFlows[id].Flows),
        ];
    }

    private static List<(DeviceDetails Device, int Vlan)> Segments(IEnumerable<WiredPort> up) =>
        [.. up.GroupBy(port => port.LocalVlan).Select(network => (network.First().Details, network.Key))];

    private PhysicalSegment? Physical(DeviceDetails device, int vlan)
    {
        if (device.PhysicalNetwork is not { } network || !settings.BridgeMappings.TryGetValue(network, out var bridge))
        {
            return null;
        }

        return PatchPort("int-", bridge) is { } inside && PatchPort("phy-", bridge) is { } outside
            ? new(bridge, inside, outside, device.NetworkType == "vlan" ? device.SegmentationId : null, vlan)
            : null;
    }

    private bool CanServe(DeviceDetails device)
    {
        var can = device.NetworkType switch
        {
            "local" => true,
            "flat" => IsMapped(),
            "vlan" => IsMapped() && device.SegmentationId is not null,
            _ => tunnels?.Serves(device) == true,
        };
        if (can)
        {
            complained.Remove(device.PortId);
        }
        else if (complained.Add(device.PortId))
        {
            LogCannotServe(device.PortId, device.NetworkType, device.PhysicalNetwork ?? "none");
        }

        return can;

        bool IsMapped() => device.PhysicalNetwork is { } network && settings.BridgeMappings.TryGetValue(network, out var bridge) && vswitch.FindBridge(bridge) is not null;
    }

    private uint? PatchPort(string prefix, string bridge) => vswitch.FindPort(PatchName(prefix, bridge))?.OpenFlowPort is { } number and > 0 ? (uint)number : null;

    private static SegmentKey KeyOf(DeviceDetails device) => new(device.NetworkId, device.SegmentationId);

    private async Task ApplyFlowsAsync(string bridge, IReadOnlyList<IReadOnlyList<Flow>> wanted, bool verify, CancellationToken cancellationToken)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(settings.RequestTimeout);
        var connected = ConnectedBridge(bridge);
        try
        {
            // What this agent put into a connection is there as long as the connection is; a look at everything trusts only the switch itself.
            var flows = !verify && installed.TryGetValue(bridge, out var known) && known.Switch == connected ? known.Flows : null;
            installed.Remove(bridge);
            FlowDifference difference;
            if (flows is null)
            {
                difference = FlowDifference.Between((await connected.DumpFlowsAsync(OwnFlows, limit.Token)).Select(flow => flow.Flow), wanted.SelectMany(group => group));
                flows = new FlowGroups(wanted);
            }
            else
            {
                difference = flows.Become(wanted);
            }

            var forget = bridge == tunnels?.Bridge && TunnelFlows.Outdates(difference);
            await connected.ApplyAsync(forget ? [.. difference.Commands(), TunnelFlows.Forget] : difference.Commands(), limit.Token);
            installed[bridge] = (connected, flows);
            if (!difference.IsEmpty)
            {
                AgentMetrics.Count(bridge, difference);
                LogFlows(bridge, difference.Added.Count, difference.Changed.Count, difference.Removed.Count);
            }
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw NoAnswer(bridge);
        }
    }

    /// <summary>The meters that flows are going to name. What is answered is named by none after that.</summary>
    private async Task<IReadOnlyList<FlowMeter>> EnsureMetersAsync(IReadOnlyList<FlowMeter> wanted, bool verify, CancellationToken cancellationToken)
    {
        var bridge = ConnectedBridge(settings.IntegrationBridge);
        var known = meters is { } last && last.Switch == bridge ? last.Meters : null;
        if (!verify && known is not null && known.SequenceEqual(wanted))
        {
            return [];
        }

        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(settings.RequestTimeout);
        try
        {
            var actual = (await bridge.DumpMetersAsync(limit.Token)).Where(PortQos.IsOwn).ToDictionary(meter => meter.Id);
            meters = null;
            await bridge.PutMetersAsync(
                [.. wanted.Where(meter => !actual.ContainsKey(meter.Id))], [.. wanted.Where(meter => actual.TryGetValue(meter.Id, out var there) && there != meter)], limit.Token);
            meters = (bridge, wanted);
            return [.. actual.Values.Where(meter => !wanted.Any(wish => wish.Id == meter.Id))];
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw NoAnswer(bridge.Name);
        }
    }

    private async Task RemoveMetersAsync(IReadOnlyList<FlowMeter> stale, CancellationToken cancellationToken)
    {
        if (stale.Count > 0)
        {
            await ConnectedBridge(settings.IntegrationBridge).DeleteMetersAsync(stale, cancellationToken);
        }
    }

    private OpenFlowSwitch ConnectedBridge(string bridge) =>
        controller.Find(bridge) ?? throw new OpenFlowException($"Bridge {bridge} is not connected to {settings.ListenAddress}:{controller.EndPoint.Port}: check that ovs-vswitchd runs.");

    private OpenFlowException NoAnswer(string bridge) => new($"Bridge {bridge} did not answer within {settings.RequestTimeout.TotalSeconds:0} s.");

    private async Task ChangeAsync(Action<VSwitchChanges> describe, CancellationToken cancellationToken)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(settings.RequestTimeout);
        try
        {
            await vswitch.ChangeAsync(describe, limit.Token);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new OvsdbException($"Open vSwitch did not act on its database within {settings.RequestTimeout.TotalSeconds:0} s: check that ovs-vswitchd runs.");
        }
    }

    private void Remember(IEnumerable<WiredPort> up, IEnumerable<BridgePort> dead, IEnumerable<WiredTrunk> plugged)
    {
        tags.Clear();
        foreach (var port in up)
        {
            tags[port.Name] = port.LocalVlan;
        }

        foreach (var port in dead)
        {
            tags[port.Name] = LocalVlans.Dead;
        }

        foreach (var link in plugged.SelectMany(trunk => trunk.Links).Where(link => link.Vlan > 0))
        {
            tags[link.TrunkPort] = link.Vlan;
        }
    }

    private async Task ReportAsync(Dictionary<string, WiredPort> up, HashSet<string> waiting, CancellationToken cancellationToken)
    {
        foreach (var gone in reported.Keys.Where(id => !devices.ContainsKey(id)).ToList())
        {
            reported.Remove(gone);
        }

        var nowUp = up.Values.Where(port => !WasReported(port.Details, up: true)).Select(port => new DeviceSeen(port.Details.PortId, port.Details.Revision)).ToList();
        var nowDown = devices.Values
            .Where(device => !up.ContainsKey(device.PortId) && !waiting.Contains(device.PortId) && !WasReported(device, up: false))
            .Where(device => device.Status == "ACTIVE" || reported.ContainsKey(device.PortId))
            .Select(device => new DeviceSeen(device.PortId, device.Revision))
            .ToList();
        if (nowUp.Count + nowDown.Count == 0)
        {
            return;
        }

        var answer = await bus.CallAsync(OpenVSwitchContracts.ReportDevices, new DeviceStatusReport(settings.Host, nowUp, nowDown), cancellationToken: cancellationToken);
        foreach (var seen in nowUp)
        {
            reported[seen.PortId] = (seen.Revision, true);
        }

        foreach (var seen in nowDown)
        {
            reported[seen.PortId] = (seen.Revision, false);
        }

        LogReported(nowUp.Count, nowDown.Count);
        foreach (var id in answer.LookAgain)
        {
            reported.Remove(id);
            LookAgain?.Invoke(id);
        }
    }

    private async Task ReportTrunksAsync(IReadOnlyList<TrunkSeen> seen, CancellationToken cancellationToken)
    {
        var news = seen.Where(trunk => reportedTrunks.GetValueOrDefault(trunk.TrunkId) != trunk).ToList();
        if (news.Count == 0)
        {
            return;
        }

        var answer = await bus.CallAsync(OpenVSwitchContracts.ReportTrunks, new TrunkStatusReport(settings.Host, news), cancellationToken: cancellationToken);
        foreach (var trunk in news)
        {
            reportedTrunks[trunk.TrunkId] = trunk;
            LogTrunk(trunk.TrunkId, trunk.Status);
        }

        foreach (var id in answer.LookAgain)
        {
            LookAgain?.Invoke(id);
        }
    }

    /// <summary>Whether the server was told so, of this revision or of an older one that made it what it is.</summary>
    private bool WasReported(DeviceDetails device, bool up) =>
        reported.TryGetValue(device.PortId, out var last) && last.Up == up && (last.Revision == device.Revision || device.Status == (up ? "ACTIVE" : "DOWN"));

    [LoggerMessage(EventId = 6101, Level = LogLevel.Error, Message = "Physical network {Network} is mapped to bridge {Bridge}, which does not exist: create it (ovs-vsctl add-br {Bridge}) and put the network's interface on it")]
    private partial void LogNoBridge(string network, string bridge);

    [LoggerMessage(EventId = 6102, Level = LogLevel.Error, Message = "Port {Port} cannot be wired: {Reason}")]
    private partial void LogBadPort(string port, string reason);

    [LoggerMessage(EventId = 6103, Level = LogLevel.Error, Message = "Port {Port} is on a network of type {Type}, physical network {PhysicalNetwork}, which this host does not reach: see [ovs] bridge_mappings and [agent] tunnel_types")]
    private partial void LogCannotServe(string port, string type, string physicalNetwork);

    [LoggerMessage(EventId = 6104, Level = LogLevel.Information, Message = "Flows of {Bridge}: {Added} added, {Changed} changed, {Removed} removed")]
    private partial void LogFlows(string bridge, int added, int changed, int removed);

    [LoggerMessage(EventId = 6105, Level = LogLevel.Information, Message = "Reported {Up} ports up, {Down} down")]
    private partial void LogReported(int up, int down);

    [LoggerMessage(EventId = 6106, Level = LogLevel.Information, Message = "Reported trunk {Trunk} {Status}")]
    private partial void LogTrunk(string trunk, string status);

    private static class AgentMetrics
    {
        private static readonly Meter Meter = new("SharpStack.Neutron.Agents");

        private static readonly Counter<long> Changes =
            Meter.CreateCounter<long>("sharpstack.openvswitch.flow_changes", "{flow}", "Flows that the Open vSwitch agent added, changed or removed.");

        public static void Count(string bridge, FlowDifference difference)
        {
            foreach (var (change, count) in new[] { ("added", difference.Added.Count), ("changed", difference.Changed.Count), ("removed", difference.Removed.Count) })
            {
                Changes.Add(count, new KeyValuePair<string, object?>("bridge", bridge), new KeyValuePair<string, object?>("change", change));
            }
        }
    }

    /// <summary>The flows of a port and what they were made from.</summary>
    private sealed record PortFlows(WiredPort Port, IReadOnlyList<SecurityGroupDetails> Groups, IReadOnlyList<Flow> Flows);
}
