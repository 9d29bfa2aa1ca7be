using System.Globalization;
using System.Runtime.CompilerServices;
using SharpStack.OpenVSwitch.Ovsdb;

namespace SharpStack.OpenVSwitch.Switches;

/// <summary>The configuration of one Open vSwitch, over one OVSDB connection: bridges, ports, interfaces, controllers.</summary>
public sealed class VSwitch : IAsyncDisposable
{
    private const int Attempts = 5;

    private static readonly Dictionary<string, IReadOnlyList<string>> Monitored = new()
    {
        [Tables.Root] = ["bridges", "cur_cfg", "next_cfg", "other_config", "external_ids", "ovs_version", "datapath_types"],
        [Tables.Bridge] = ["name", "ports", "controller", "datapath_id", "datapath_type", "fail_mode", "protocols", "other_config", "external_ids"],
        [Tables.Port] = ["name", "interfaces", "tag", "trunks", "vlan_mode", "other_config", "external_ids"],
        [Tables.Interface] = ["name", "type", "options", "mac", "mac_in_use", "ofport", "error", "external_ids", "mtu_request"],
        [Tables.Controller] = ["target", "is_connected", "connection_mode", "inactivity_probe", "max_backoff"],
    };

    private readonly SemaphoreSlim changing = new(1);

    /// <summary>Of each interface's row what was made of it and its port's, for as long as both are those of the replica: rows that change are other objects.</summary>
    private readonly ConditionalWeakTable<OvsdbRow, KnownPort> known = [];

    private sealed record KnownPort(OvsdbRow Row, BridgePort Port);

    /// <param name="endpoint">Where ovsdb-server listens.</param>
    /// <param name="time">For the pauses between connection attempts.</param>
    public VSwitch(OvsdbEndpoint endpoint, TimeProvider time) => Database = new(endpoint, "Open_vSwitch", Monitored, time);

    /// <summary>The database connection and replica beneath.</summary>
    public OvsdbClient Database { get; }

    /// <summary>Connects and waits for the first replica.</summary>
    public async Task StartAsync(CancellationToken cancellationToken)
    {
        Database.Start();
        await Database.WaitConnectedAsync(cancellationToken);
    }

    /// <summary>
    /// Does what <paramref name="describe"/> asks for in one transaction and waits until the switch has acted on it. Sends nothing and returns
    /// false when everything is so already. <paramref name="describe"/> may run again if another client changed the same rows.
    /// </summary>
    public async Task<bool> ChangeAsync(Action<VSwitchChanges> describe, CancellationToken cancellationToken)
    {
        long wanted;
        await changing.WaitAsync(cancellationToken);
        try
        {
            for (var attempt = 1; ; attempt++)
            {
                var changes = new VSwitchChanges(Database.Snapshot);
                describe(changes);
                if (changes.Build() is not { } transaction)
                {
                    return false;
                }

                var root = changes.Root;
                transaction.Mutate(Tables.Root, [OvsdbCondition.Is(root)], new OvsdbMutation("next_cfg", "+=", 1));
                transaction.Select(Tables.Root, [OvsdbCondition.Is(root)], ["next_cfg"]);
                try
                {
                    var results = await Database.TransactAsync(transaction, cancellationToken);
                    wanted = results[transaction.Count - 1].Rows[0].GetProperty("next_cfg").GetInt64();
                    break;
                }
                catch (OvsdbOperationException e) when (e.Error is "constraint violation" or "referential integrity violation" && attempt < Attempts)
                {
                    // Another client was faster; its change is in the replica once the server has answered a further request.
                    await Database.TransactAsync(new OvsdbTransaction(), cancellationToken);
                }
            }
        }
        finally
        {
            changing.Release();
        }

        await Database.WaitUntilAsync(snapshot => snapshot[Tables.Root].Rows.FirstOrDefault()?.Number("cur_cfg") >= wanted, cancellationToken);
        return true;
    }

    /// <summary>The bridge of that name.</summary>
    public Bridge? FindBridge(string name) => Database.Snapshot[Tables.Bridge].Find(name) is { } row ? Bridge.From(row) : null;

    /// <summary>The names of all bridges.</summary>
    public IReadOnlyList<string> Bridges => [.. Database.Snapshot[Tables.Bridge].Rows.Select(row => row.Name)];

    /// <summary>The bridge that has the port of that name.</summary>
    public string? BridgeOf(string port)
    {
        var snapshot = Database.Snapshot;
        return snapshot[Tables.Port].Find(port) is { } row ? snapshot[Tables.Bridge].Rows.FirstOrDefault(bridge => bridge.References("ports").Contains(row.Uuid))?.Name : null;
    }

    /// <summary>The ports of a bridge with their interfaces; empty if there is no such bridge.</summary>
    public IReadOnlyList<BridgePort> Ports(string bridge)
    {
        var snapshot = Database.Snapshot;
        return snapshot[Tables.Bridge].Find(bridge) is { } row
            ? [.. row.References("ports").Select(uuid => PortOf(snapshot, uuid)).OfType<BridgePort>()]
            : [];
    }

    /// <summary>The port of that name, on whatever bridge.</summary>
    public BridgePort? FindPort(string name)
    {
        var snapshot = Database.Snapshot;
        return snapshot[Tables.Port].Find(name) is { } row ? PortOf(snapshot, row.Uuid) : null;
    }

    private BridgePort? PortOf(OvsdbSnapshot snapshot, Guid uuid)
    {
        if (snapshot[Tables.Port].Find(uuid) is not { } port
            || port.References("interfaces") is not [var first, ..]
            || snapshot[Tables.Interface].Find(first) is not { } device)
        {
            return null;
        }

        if (!known.TryGetValue(device, out var last) || last.Row != port)
        {
            known.AddOrUpdate(device, last = new(port, BridgePort.From(port, device)));
        }

        return last.Port;
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await Database.DisposeAsync();
        changing.Dispose();
    }
}

/// <summary>The tables of the Open_vSwitch database.</summary>
public static class Tables
{
    /// <summary>The one row of all.</summary>
    public const string Root = "Open_vSwitch";

    /// <summary>Bridges.</summary>
    public const string Bridge = "Bridge";

    /// <summary>Ports.</summary>
    public const string Port = "Port";

    /// <summary>Interfaces.</summary>
    public const string Interface = "Interface";

    /// <summary>OpenFlow controllers.</summary>
    public const string Controller = "Controller";
}

/// <summary>A bridge as the database has it.</summary>
/// <param name="Name">Its name.</param>
/// <param name="DatapathId">Set by the switch once the bridge works.</param>
/// <param name="DatapathType">system (empty) or netdev.</param>
public sealed record Bridge(string Name, ulong? DatapathId, string DatapathType)
{
    internal static Bridge From(OvsdbRow row) => new(
        row.Name,
        ulong.TryParse(row.Text("datapath_id"), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var id) ? id : null,
        row.Text("datapath_type") ?? "");
}

/// <summary>A port with its first interface as the database has them.</summary>
/// <param name="Name">Its name, which is the device's too.</param>
/// <param name="Tag">The VLAN of an access port.</param>
/// <param name="OpenFlowPort">The number in flows; null until the switch has given one, negative if the device cannot be used.</param>
/// <param name="Type">The interface's type, empty for devices of the system.</param>
/// <param name="Error">Why the switch cannot use the device.</param>
/// <param name="OtherConfig">The port's other_config.</param>
/// <param name="ExternalIds">The interface's external_ids.</param>
/// <param name="Options">The interface's options.</param>
public sealed record BridgePort(
    string Name,
    int? Tag,
    int? OpenFlowPort,
    string Type,
    string? Error,
    IReadOnlyDictionary<string, string> OtherConfig,
    IReadOnlyDictionary<string, string> ExternalIds,
    IReadOnlyDictionary<string, string> Options)
{
    internal static BridgePort From(OvsdbRow port, OvsdbRow device) => new(
        port.Name, (int?)port.Number("tag"), (int?)device.Number("ofport"), device.Text("type") ?? "", device.Text("error"), port.Map("other_config"), device.Map("external_ids"), device.Map("options"));
}
