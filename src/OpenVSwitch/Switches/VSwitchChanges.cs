using SharpStack.OpenVSwitch.Ovsdb;

namespace SharpStack.OpenVSwitch.Switches;

/// <summary>
/// Collects what shall be in the switch's configuration and works out the operations that are missing for it. Bridges and ports named here may
/// be used by later calls at once, though all of it is one transaction.
/// </summary>
public sealed class VSwitchChanges
{
    private readonly OvsdbSnapshot snapshot;
    private readonly OvsdbTransaction transaction = new();
    private readonly Dictionary<string, PendingBridge> bridges = new(StringComparer.Ordinal);
    private readonly HashSet<string> newPorts = new(StringComparer.Ordinal);

    internal VSwitchChanges(OvsdbSnapshot snapshot)
    {
        this.snapshot = snapshot;
        Root = snapshot[Tables.Root].Rows.FirstOrDefault()?.Uuid
            ?? throw new OvsdbException("The Open vSwitch database is empty: initialise it with 'ovs-vsctl --no-wait init'.");
    }

    internal Guid Root { get; }

    /// <summary>The bridge exists with these settings; the ports it has stay.</summary>
    public VSwitchChanges EnsureBridge(string name, BridgeSettings settings)
    {
        var bridge = FindBridge(name);
        if (bridge is null)
        {
            bridge = new(null, new(StringComparer.Ordinal) { ["name"] = name });
            bridges.Add(name, bridge);
            bridge.AddedPorts.Add(InsertPort(name, new PortSettings { Type = "internal" }));
        }

        var row = bridge.Row;
        SetIfDifferent(row, bridge.Columns, "datapath_type", settings.DatapathType);
        SetIfDifferent(row, bridge.Columns, "fail_mode", settings.FailMode);
        if (settings.Protocols is { } protocols)
        {
            var spoken = (row?["protocols"] ?? OvsdbValue.Empty).Keys.ToArray();
            SetIfDifferent(row, bridge.Columns, "protocols", OvsdbValue.Set(spoken.Concat(protocols.Select(version => (OvsdbAtom)version))));
        }

        Merge(Tables.Bridge, row, bridge.Columns, "other_config", settings.OtherConfig);
        if (settings.Controller is { } controller)
        {
            EnsureController(bridge, controller);
        }

        return this;
    }

    /// <summary>The bridge does not exist.</summary>
    public VSwitchChanges DeleteBridge(string name)
    {
        if (snapshot[Tables.Bridge].Find(name) is { } row)
        {
            transaction.Mutate(Tables.Root, [OvsdbCondition.Is(Root)], OvsdbMutation.Delete("bridges", row.Uuid));
        }

        return this;
    }

    /// <summary>The bridge has the port, with these settings; a port of that name on another bridge moves here.</summary>
    /// <exception cref="InvalidOperationException">There is no such bridge.</exception>
    public VSwitchChanges EnsurePort(string bridge, string name, PortSettings settings)
    {
        var target = FindBridge(bridge) ?? throw new InvalidOperationException($"There is no bridge '{bridge}' to put port '{name}' on: create the bridge first.");
        var port = snapshot[Tables.Port].Find(name);
        var device = snapshot[Tables.Interface].Find(name);
        if (port is null || device is null)
        {
            if (newPorts.Add(name))
            {
                target.AddedPorts.Add(InsertPort(name, settings));
            }

            return this;
        }

        if (!(target.Row?.References("ports") ?? []).Contains(port.Uuid))
        {
            RemoveFromBridges(port.Uuid);
            target.AddedPorts.Add(port.Uuid);
        }

        var portColumns = NewRow();
        SetIfDifferent(port, portColumns, "tag", Tag(settings));
        SetIfDifferent(port, portColumns, "trunks", Vlans(settings));
        Merge(Tables.Port, port, portColumns, "other_config", settings.OtherConfig);
        Update(Tables.Port, port, portColumns);
        var deviceColumns = NewRow();
        SetIfDifferent(device, deviceColumns, "type", settings.Type);
        SetIfDifferent(device, deviceColumns, "mac", settings.Mac is { } mac ? mac.ToString() : (OvsdbValue?)null);
        SetIfDifferent(device, deviceColumns, "mtu_request", settings.Mtu is { } mtu ? (long)mtu : (OvsdbValue?)null);
        Merge(Tables.Interface, device, deviceColumns, "external_ids", settings.ExternalIds);
        Merge(Tables.Interface, device, deviceColumns, "options", settings.Options);
        Update(Tables.Interface, device, deviceColumns);
        return this;
    }

    /// <summary>Two bridges are joined by a pair of patch ports.</summary>
    public VSwitchChanges EnsurePatchPair(string bridge, string port, string peerBridge, string peerPort)
    {
        EnsurePort(bridge, port, Patch(peerPort));
        return EnsurePort(peerBridge, peerPort, Patch(port));

        static PortSettings Patch(string peer) => new() { Type = "patch", Options = new Dictionary<string, string> { ["peer"] = peer } };
    }

    /// <summary>A port that exists has this VLAN tag and these keys of other_config; a port that does not is left out.</summary>
    public VSwitchChanges SetPort(string name, int? tag, IReadOnlyDictionary<string, string>? otherConfig = null)
    {
        if (snapshot[Tables.Port].Find(name) is { } port)
        {
            var columns = NewRow();
            SetIfDifferent(port, columns, "tag", Tag(new PortSettings { Tag = tag }));
            Merge(Tables.Port, port, columns, "other_config", otherConfig);
            Update(Tables.Port, port, columns);
        }

        return this;
    }

    /// <summary>No bridge has the port. An internal port's device goes with it, wherever it is.</summary>
    public VSwitchChanges DeletePort(string name)
    {
        if (snapshot[Tables.Port].Find(name) is { } port)
        {
            RemoveFromBridges(port.Uuid);
        }

        return this;
    }

    /// <summary>The operations; null if there is nothing to do.</summary>
    internal OvsdbTransaction? Build()
    {
        foreach (var (_, bridge) in bridges)
        {
            if (bridge.Row is { } row)
            {
                Update(Tables.Bridge, row, bridge.Columns);
                if (bridge.AddedPorts.Count > 0)
                {
                    transaction.Mutate(Tables.Bridge, [OvsdbCondition.Is(row.Uuid)], OvsdbMutation.Insert("ports", OvsdbValue.Set(bridge.AddedPorts)));
                }
            }
            else
            {
                bridge.Columns["ports"] = OvsdbValue.Set(bridge.AddedPorts);
                var inserted = transaction.Insert(Tables.Bridge, bridge.Columns);
                transaction.Mutate(Tables.Root, [OvsdbCondition.Is(Root)], OvsdbMutation.Insert("bridges", inserted));
            }
        }

        return transaction.Count > 0 ? transaction : null;
    }

    private static Dictionary<string, OvsdbValue> NewRow() => new(StringComparer.Ordinal);

    private static OvsdbValue? Tag(PortSettings settings) => settings.Tag switch
    {
        null => null,
        0 => OvsdbValue.Empty,
        { } tag => (long)tag,
    };

    private static OvsdbValue? Vlans(PortSettings settings) => settings.Trunks is { } vlans ? OvsdbValue.Set(vlans.Select(vlan => (OvsdbAtom)(long)vlan)) : null;

    private PendingBridge? FindBridge(string name)
    {
        if (!bridges.TryGetValue(name, out var bridge) && snapshot[Tables.Bridge].Find(name) is { } row)
        {
            bridge = new(row, NewRow());
            bridges.Add(name, bridge);
        }

        return bridge;
    }

    private void EnsureController(PendingBridge bridge, ControllerSettings settings)
    {
        var columns = NewRow();
        if (bridge.Row?.References("controller") is [var only] && snapshot[Tables.Controller].Find(only) is { } row && row.Text("target") == settings.Target)
        {
            SetIfDifferent(row, columns, "connection_mode", settings.ConnectionMode);
            SetIfDifferent(row, columns, "inactivity_probe", settings.InactivityProbe);
            SetIfDifferent(row, columns, "max_backoff", settings.MaxBackoff);
            Update(Tables.Controller, row, columns);
            return;
        }

        columns["target"] = settings.Target;
        columns["connection_mode"] = settings.ConnectionMode;
        columns["inactivity_probe"] = settings.InactivityProbe;
        columns["max_backoff"] = settings.MaxBackoff;
        bridge.Columns["controller"] = transaction.Insert(Tables.Controller, columns);
    }

    private OvsdbAtom InsertPort(string name, PortSettings settings)
    {
        var device = NewRow();
        device["name"] = name;
        device["type"] = settings.Type;
        if (settings.Mac is { } mac)
        {
            device["mac"] = mac.ToString();
        }

        if (settings.Mtu is { } mtu)
        {
            device["mtu_request"] = (long)mtu;
        }

        Merge(Tables.Interface, null, device, "external_ids", settings.ExternalIds);
        Merge(Tables.Interface, null, device, "options", settings.Options);
        var port = NewRow();
        port["name"] = name;
        port["interfaces"] = transaction.Insert(Tables.Interface, device);
        SetIfDifferent(null, port, "tag", Tag(settings));
        SetIfDifferent(null, port, "trunks", Vlans(settings));
        Merge(Tables.Port, null, port, "other_config", settings.OtherConfig);
        return transaction.Insert(Tables.Port, port);
    }

    private void RemoveFromBridges(Guid port)
    {
        foreach (var row in snapshot[Tables.Bridge].Rows.Where(row => row.References("ports").Contains(port)))
        {
            transaction.Mutate(Tables.Bridge, [OvsdbCondition.Is(row.Uuid)], OvsdbMutation.Delete("ports", port));
        }
    }

    private static void SetIfDifferent(OvsdbRow? row, Dictionary<string, OvsdbValue> columns, string column, OvsdbValue? wanted)
    {
        if (wanted is null)
        {
            return;
        }

        // The server leaves columns at their default out of what it sends: an empty string is no difference from an absent one.
        var actual = row?[column] ?? OvsdbValue.Empty;
        if (!actual.Equals(wanted) && !(actual.Keys.IsEmpty && wanted.Equals("")))
        {
            columns[column] = wanted;
        }
    }

    private void Merge(string table, OvsdbRow? row, Dictionary<string, OvsdbValue> columns, string column, IReadOnlyDictionary<string, string>? wanted)
    {
        var actual = row?.Map(column);
        var different = wanted?.Where(pair => actual is null || !actual.TryGetValue(pair.Key, out var value) || value != pair.Value).ToList();
        if (different is null or [])
        {
            return;
        }

        if (row is null)
        {
            columns[column] = OvsdbValue.Map(different);
            return;
        }

        // Inserting into a map leaves keys that exist as they are; so they go first. Other keys, of other owners, stay.
        transaction.Mutate(
            table,
            [OvsdbCondition.Is(row.Uuid)],
            OvsdbMutation.Delete(column, OvsdbValue.Set(different.Select(pair => pair.Key))),
            OvsdbMutation.Insert(column, OvsdbValue.Map(different)));
    }

    private void Update(string table, OvsdbRow row, Dictionary<string, OvsdbValue> columns)
    {
        if (columns.Count > 0)
        {
            transaction.Update(table, [OvsdbCondition.Is(row.Uuid)], columns);
        }
    }

    private sealed record PendingBridge(OvsdbRow? Row, Dictionary<string, OvsdbValue> Columns)
    {
        public List<OvsdbAtom> AddedPorts { get; } = [];
    }
}
