using System.Net;
using System.Net.Sockets;
using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging;
using SharpStack.Foundation;
using SharpStack.Foundation.Bus;
using SharpStack.Foundation.Hosting;
using SharpStack.Foundation.Reconciling;
using SharpStack.Neutron.Agents.Inspection;
using SharpStack.Neutron.Contracts;
using SharpStack.OpenVSwitch.OpenFlow;
using SharpStack.OpenVSwitch.Ovsdb;
using SharpStack.OpenVSwitch.Switches;

namespace SharpStack.Neutron.Agents.OpenVSwitch;

/// <summary>
/// neutron-openvswitch-agent: turns hints of the server and changes of the switch into work for <see cref="HostWiring"/>, and tells the server
/// every now and then that it lives.
/// </summary>
internal sealed partial class OpenVSwitchAgent : IWorker, IAsyncDisposable
{
    /// <summary>The one key that there is: each pass is over all that came since the one before.</summary>
    private const string Everything = "the host";

    private readonly AgentSettings settings;
    private readonly IMessageBus bus;
    private readonly PendingWork pending = new();
    private readonly TimeProvider time;
    private readonly ILogger log;
    private readonly VSwitch vswitch;
    private readonly Func<OpenFlowController> createController;
    private readonly List<IDisposable> served = [];
    private readonly CancellationTokenSource stopping = new();
    private OpenFlowController? controller;
    private HostWiring? wiring;
    private Reconciler<string>? reconciler;
    private AgentHeartbeat? heartbeat;
    private bool databaseLost;
    private bool reconciling;

    public OpenVSwitchAgent(AgentSettings settings, IMessageBus bus, TimeProvider time, ILogger<OpenVSwitchAgent> log)
        : this(settings, bus, time, log, () => new OpenFlowController(new IPEndPoint(IPAddress.Parse(settings.ListenAddress), settings.ListenPort)))
    {
    }

    /// <summary>With a controller made by the caller, in another network namespace.</summary>
    internal OpenVSwitchAgent(AgentSettings settings, IMessageBus bus, TimeProvider time, ILogger log, Func<OpenFlowController> createController)
    {
        this.settings = settings;
        this.bus = bus;
        this.time = time;
        this.log = log;
        this.createController = createController;
        vswitch = new VSwitch(new OvsdbEndpoint(settings.OvsdbConnection), time);
    }

    /// <summary>Completes when nothing is queued or being worked on.</summary>
    internal Task WhenIdleAsync() => reconciler!.WhenIdleAsync();

    /// <inheritdoc/>
    public Task StartAsync(CancellationToken cancellationToken)
    {
        try
        {
            controller = createController();
        }
        catch (Exception failure) when (failure is SocketException or FormatException)
        {
            throw CloudException.Unavailable(
                $"The agent cannot listen for OpenFlow at {settings.ListenAddress}:{settings.ListenPort}: {failure.Message}. Stop the other agent that listens there, or change [ovs] of_listen_address and of_listen_port.",
                inner: failure);
        }

        wiring = new HostWiring(settings, vswitch, controller, bus, log);
        reconciler = new Reconciler<string>(
            "openvswitch-agent",
            ReconcileAsync,
            _ =>
            {
                pending.Add(WorkItem.Host);
                return Task.FromResult<IReadOnlyCollection<string>>([Everything]);
            },
            new ReconcilerOptions { Parallelism = 1 },
            time,
            log);
        wiring.LookAgain += port => LookAt(new(WorkKind.Port, port));
        controller.Connected += bridge =>
        {
            LogConnected(bridge.Name);
            LookAt(WorkItem.Host);
        };
        controller.Disconnected += (bridge, reason) => LogDisconnected(bridge.Name, reason?.Message ?? "it closed the connection");
        controller.HandshakeFailed += LogHandshakeFailed;
        vswitch.Database.Changed += OnDatabaseChanged;
        vswitch.Database.Disconnected += OnDatabaseLost;
        vswitch.Database.Connected += OnDatabaseConnected;
        bus.Reconnected += reconciler.EnqueueAll;
        served.Add(bus.Serve(OpenVSwitchContracts.PortChanged, settings.Host, (hint, _) => Enqueue(new(WorkKind.Port, hint.PortId))));
        served.Add(bus.Serve(ViewContracts.InspectSwitch, settings.Host, (_, _) => Task.FromResult(NetworkInspector.ViewOf(vswitch, settings.IntegrationBridge, settings.Host))));
        served.Add(bus.Serve(OpenVSwitchContracts.PortDeleted, settings.Host, (hint, _) => Enqueue(new(WorkKind.Port, hint.PortId))));
        served.Add(bus.Serve(OpenVSwitchContracts.NetworkChanged, settings.Host, (hint, _) => Enqueue(new(WorkKind.Network, hint.NetworkId))));
        served.Add(bus.Serve(OpenVSwitchContracts.SecurityGroupsChanged, settings.Host, (hint, _) =>
        {
            foreach (var id in hint.SecurityGroupIds)
            {
                LookAt(new(WorkKind.SecurityGroup, id));
            }

            return Task.FromResult(Ack.Ok);
        }));
        if (settings.Tunnels is not null)
        {
            served.Add(bus.Serve(OpenVSwitchContracts.TunnelsChanged, settings.Host, (hint, _) => hint.Host == settings.Host ? Task.FromResult(Ack.Ok) : Enqueue(WorkItem.Tunnels)));
            served.Add(bus.Serve(OpenVSwitchContracts.ForwardingChanged, settings.Host, (hint, _) => Enqueue(new(WorkKind.Forwarding, hint.NetworkId))));
        }

        controller.Start();
        vswitch.Database.Start();
        heartbeat = new AgentHeartbeat(bus, Report, () => LookAt(WorkItem.Host), settings.ReportInterval, time, log);
        heartbeat.Start();
        return Task.CompletedTask;
    }

    /// <inheritdoc/>
    public async Task StopAsync(CancellationToken cancellationToken) => await DisposeAsync();

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (stopping.IsCancellationRequested)
        {
            return;
        }

        // Flows and ports stay as they are: traffic goes on while no agent runs.
        await stopping.CancelAsync();
        served.ForEach(registration => registration.Dispose());
        if (heartbeat is not null)
        {
            await heartbeat.DisposeAsync();
        }

        if (reconciler is not null)
        {
            bus.Reconnected -= reconciler.EnqueueAll;
            await reconciler.DisposeAsync();
        }

        await vswitch.DisposeAsync();
        if (controller is not null)
        {
            await controller.DisposeAsync();
        }
    }

    private Task<Ack> Enqueue(WorkItem item)
    {
        LookAt(item);
        return Task.FromResult(Ack.Ok);
    }

    private void LookAt(WorkItem item)
    {
        pending.Add(item);
        reconciler!.Enqueue(Everything);
    }

    private async Task<ReconcileResult> ReconcileAsync(string key, CancellationToken cancellationToken)
    {
        var items = pending.Take();
        try
        {
            await wiring!.ReconcileAsync(items, cancellationToken);
            return ReconcileResult.Done;
        }
        catch
        {
            pending.Add(items);
            throw;
        }
    }

    private void OnDatabaseConnected()
    {
        if (databaseLost)
        {
            LogDatabaseBack(settings.OvsdbConnection);
        }

        databaseLost = false;
        if (!reconciling)
        {
            // Until the first connection there is nothing to reconcile with.
            reconciling = true;
            reconciler!.Start();
        }
        else
        {
            LookAt(WorkItem.Host);
        }
    }

    private void OnDatabaseLost(Exception reason)
    {
        if (!databaseLost)
        {
            LogDatabaseLost(settings.OvsdbConnection, reason.Message);
        }

        databaseLost = true;
    }

    private void OnDatabaseChanged(IReadOnlyList<OvsdbChange> changes)
    {
        foreach (var change in changes)
        {
            switch (change.Table)
            {
                case Tables.Interface when Differs(change, "ofport", "external_ids", "type", "options"):
                    foreach (var row in new[] { change.Before, change.After }.OfType<OvsdbRow>())
                    {
                        if (row.Map("external_ids").TryGetValue(HostWiring.InterfaceId, out var port))
                        {
                            LookAt(new(WorkKind.Port, port));
                        }
                        else if (row.Text("type") == "patch")
                        {
                            LookAt(WorkItem.Host);
                        }
                        else if (settings.Tunnels is not null && TunnelMesh.IsTunnel(row.Text("type")))
                        {
                            LookAt(WorkItem.Tunnels);
                        }
                    }

                    break;
                case Tables.Port when change.After is { } row && !wiring!.HasWantedTag(row.Name, (int?)row.Number("tag")):
                    LookAt(WorkItem.Host);
                    break;
                case Tables.Bridge when TrunkBridges.IsTrunkBridge(change.Row.Name) && (change.Before is null || change.After is null):
                    LookAt(WorkItem.Trunks);
                    break;
                case Tables.Bridge when Differs(change, "controller", "fail_mode", "datapath_type", "protocols") && IsOurs(change.Row.Name):
                    LookAt(WorkItem.Host);
                    break;
            }
        }
    }

    private bool IsOurs(string bridge) => bridge == settings.IntegrationBridge || bridge == settings.Tunnels?.Bridge || settings.BridgeMappings.Values.Contains(bridge);

    private static bool Differs(OvsdbChange change, params ReadOnlySpan<string> columns)
    {
        if (change.Before is null || change.After is null)
        {
            return true;
        }

        foreach (var column in columns)
        {
            if (!change.Before[column].Equals(change.After[column]))
            {
                return true;
            }
        }

        return false;
    }

    private AgentReport Report(bool first) => new(AgentTypes.OpenVSwitch, AgentTypes.OpenVSwitchBinary, settings.Host, Configurations(), first);

    /// <summary>What the API shows of the agent, by the names of OpenStack's.</summary>
    private JsonObject Configurations() => new JsonObject
    {
        ["bridge_mappings"] = new JsonObject(settings.BridgeMappings.Select(pair => KeyValuePair.Create(pair.Key, (JsonNode?)pair.Value))),
        ["integration_bridge"] = settings.IntegrationBridge,
        ["datapath_type"] = settings.DatapathType,
        ["vhostuser_socket_dir"] = settings.VhostuserSocketDir,
        ["tunnel_types"] = new JsonArray([.. (settings.Tunnels?.Types ?? []).Select(type => (JsonNode?)type)]),
        ["tunneling_ip"] = settings.Tunnels?.LocalIp.ToString(),
        ["l2_population"] = settings.Tunnels?.PopulateForwarding ?? false,
        ["arp_responder_enabled"] = settings.Tunnels?.ArpResponder ?? false,
        ["enable_distributed_routing"] = false,
        ["in_distributed_mode"] = false,
        ["ovs_hybrid_plug"] = false,
        ["log_agent_heartbeats"] = false,
        ["extensions"] = new JsonArray(),
        ["ovs_capabilities"] = new JsonObject { ["datapath_types"] = new JsonArray("netdev", "system"), ["iface_types"] = new JsonArray("geneve", "gre", "internal", "patch", "system", "tap", "vxlan") },
        ["devices"] = wiring!.WiredPorts,
    }.With(settings.ResourceProviders);

    [LoggerMessage(EventId = 6111, Level = LogLevel.Information, Message = "Bridge {Bridge} connected")]
    private partial void LogConnected(string bridge);

    [LoggerMessage(EventId = 6112, Level = LogLevel.Warning, Message = "Bridge {Bridge} disconnected: {Reason}")]
    private partial void LogDisconnected(string bridge, string reason);

    [LoggerMessage(EventId = 6113, Level = LogLevel.Warning, Message = "An OpenFlow connection failed")]
    private partial void LogHandshakeFailed(Exception failure);

    [LoggerMessage(EventId = 6114, Level = LogLevel.Error, Message = "There is no connection to the Open vSwitch database at {Connection}: {Reason} Traffic goes on as it was; the agent tries again")]
    private partial void LogDatabaseLost(string connection, string reason);

    [LoggerMessage(EventId = 6115, Level = LogLevel.Information, Message = "The Open vSwitch database at {Connection} is back")]
    private partial void LogDatabaseBack(string connection);
}
