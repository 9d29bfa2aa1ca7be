using System.Collections.Concurrent;
using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging;
using SharpStack.Foundation;
using SharpStack.Foundation.Bus;
using SharpStack.Foundation.Hosting;
using SharpStack.Foundation.Reconciling;
using SharpStack.Neutron.Agents.Inspection;
using SharpStack.Neutron.Agents.Metadata;
using SharpStack.Neutron.Contracts;
using SharpStack.OpenVSwitch.Ovsdb;
using SharpStack.OpenVSwitch.Switches;

namespace SharpStack.Neutron.Agents.Dhcp;

/// <summary>
/// neutron-dhcp-agent: for every network that the server gives to this host, a namespace with a port and a DHCP server in it. Hints of ports
/// bring only those ports; the slow period and hints of networks bring the network whole.
/// </summary>
internal sealed class DhcpAgent : IWorker, IAsyncDisposable
{
    private readonly DhcpSettings settings;
    private readonly IMessageBus bus;
    private readonly VSwitch vswitch;
    private readonly DhcpDevice device;
    private readonly DhcpFolders folders;
    private readonly DnsmasqServer server;
    private readonly MetadataSockets? metadata;
    private readonly Reconciler<string> reconciler;
    private readonly AgentHeartbeat heartbeat;
    private readonly List<IDisposable> served = [];
    private readonly ConcurrentDictionary<string, DhcpNetwork> networks = new();
    private readonly Dictionary<string, HashSet<string>> pending = [];
    private readonly ConcurrentDictionary<string, (string NetworkId, long Revision)> ready = new();
    private long hints;
    private bool started;
    private bool disposed;

    /// <param name="settings">The agent's options.</param>
    /// <param name="bus">To the server.</param>
    /// <param name="time">The clock.</param>
    /// <param name="log">The agent's log.</param>
    /// <param name="metadata">The metadata agent's sockets, where it runs in this process.</param>
    public DhcpAgent(DhcpSettings settings, IMessageBus bus, TimeProvider time, ILogger<DhcpAgent> log, IEnumerable<MetadataSockets> metadata)
    {
        this.settings = settings;
        this.bus = bus;
        this.metadata = metadata.FirstOrDefault();
        vswitch = new VSwitch(new OvsdbEndpoint(settings.OvsdbConnection), time);
        device = new DhcpDevice(vswitch, settings);
        folders = new DhcpFolders(settings.Directory);
        server = new DnsmasqServer(settings, folders, time, log);
        reconciler = new Reconciler<string>("dhcp-agent", ReconcileAsync, ListAsync, new ReconcilerOptions { FullPeriod = settings.ResyncInterval, LongestRetry = TimeSpan.FromSeconds(15) }, time, log);
        heartbeat = new AgentHeartbeat(bus, Report, reconciler.EnqueueAll, settings.ReportInterval, time, log);
    }

    /// <summary>Completes when nothing is queued or being worked on.</summary>
    internal Task WhenIdleAsync() => reconciler.WhenIdleAsync();

    /// <inheritdoc/>
    public Task StartAsync(CancellationToken cancellationToken)
    {
        server.Ended += reconciler.Enqueue;
        vswitch.Database.Changed += OnSwitchChanged;
        vswitch.Database.Connected += OnSwitchConnected;
        bus.Reconnected += reconciler.EnqueueAll;
        served.Add(bus.Serve(DhcpContracts.NetworkChanged, settings.Host, (hint, _) => LookAtNetwork(hint.NetworkId)));
        served.Add(bus.Serve(DhcpContracts.PortChanged, settings.Host, LookAtPort));
        served.Add(bus.Serve(ViewContracts.InspectDhcp, settings.Host, (_, _) => Task.FromResult(NetworkInspector.ViewOf(settings))));
        vswitch.Database.Start();
        heartbeat.Start();
        return Task.CompletedTask;
    }

    /// <inheritdoc/>
    public async Task StopAsync(CancellationToken cancellationToken) => await DisposeAsync();

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref disposed, true))
        {
            return;
        }

        // The servers go on without the agent.
        served.ForEach(registration => registration.Dispose());
        server.Ended -= reconciler.Enqueue;
        vswitch.Database.Changed -= OnSwitchChanged;
        vswitch.Database.Connected -= OnSwitchConnected;
        bus.Reconnected -= reconciler.EnqueueAll;
        await heartbeat.DisposeAsync();
        await reconciler.DisposeAsync();
        await vswitch.DisposeAsync();
    }

    private Task<Ack> LookAtNetwork(string networkId)
    {
        Interlocked.Increment(ref hints);
        networks.TryRemove(networkId, out _);
        reconciler.Enqueue(networkId);
        return Task.FromResult(Ack.Ok);
    }

    private Task<Ack> LookAtPort(PortHint hint, CancellationToken cancellationToken)
    {
        Interlocked.Increment(ref hints);
        lock (pending)
        {
            if (!pending.TryGetValue(hint.NetworkId, out var ports))
            {
                pending[hint.NetworkId] = ports = [];
            }

            ports.Add(hint.PortId);
        }

        reconciler.Enqueue(hint.NetworkId);
        return Task.FromResult(Ack.Ok);
    }

    /// <summary>Ports of a network that hints named and nobody has asked for yet.</summary>
    private HashSet<string> TakePending(string networkId)
    {
        lock (pending)
        {
            return pending.Remove(networkId, out var ports) ? ports : [];
        }
    }

    private void OnSwitchConnected()
    {
        if (!started)
        {
            // Until the first connection there is nowhere to put a port.
            started = true;
            reconciler.Start();
        }
        else
        {
            reconciler.EnqueueAll();
        }
    }

    private void OnSwitchChanged(IReadOnlyList<OvsdbChange> changes)
    {
        foreach (var change in changes.Where(change => change.Table == Tables.Interface))
        {
            if (change.Row.Map("external_ids").TryGetValue("iface-id", out var portId)
                && networks.Values.FirstOrDefault(network => OwnPort(network)?.Id == portId) is { } network)
            {
                reconciler.Enqueue(network.Id);
            }
        }
    }

    /// <summary>The server's networks, and those that an earlier run served.</summary>
    private async Task<IReadOnlyCollection<string>> ListAsync(CancellationToken cancellationToken)
    {
        var before = Interlocked.Read(ref hints);
        var answer = await bus.CallAsync(DhcpContracts.GetNetworks, new DhcpNetworksRequest(settings.Host, null), cancellationToken: cancellationToken);
        networks.Clear();
        if (before == Interlocked.Read(ref hints))
        {
            // Otherwise the answer may be older than what a hint has brought: each network is asked for anew.
            foreach (var network in answer.Networks)
            {
                networks[network.Id] = network;
            }
        }

        return [.. answer.Networks.Select(network => network.Id).Union(folders.Ids())];
    }

    private async Task<ReconcileResult> ReconcileAsync(string networkId, CancellationToken cancellationToken)
    {
        if (!vswitch.Database.IsConnected)
        {
            throw CloudException.Unavailable($"There is no connection to the Open vSwitch database at {settings.OvsdbConnection}.");
        }

        var network = await FreshAsync(networkId, cancellationToken);
        var own = network is { AdminStateUp: true } && network.Subnets.Any(subnet => subnet.EnableDhcp) ? await OwnPortAsync(network, cancellationToken) : null;
        if (own is null)
        {
            await RemoveAsync(networkId, cancellationToken);
            return ReconcileResult.Done;
        }

        folders.Create(networkId);
        var place = DhcpDevice.NamespaceOf(networkId);
        var isNew = await device.EnsureAsync(network!, own, cancellationToken);
        await server.EnsureAsync(networkId, place, DnsmasqConfiguration.Of(network!, own, settings), isNew, cancellationToken);
        if (DnsmasqConfiguration.ServesMetadata(network!, settings))
        {
            metadata?.Open(place);
        }
        else
        {
            metadata?.Close(place);
        }

        await ReportReadyAsync(network!, own, cancellationToken);
        return ReconcileResult.Done;
    }

    /// <summary>The network as it is now; null where it is gone or not this host's.</summary>
    private async Task<DhcpNetwork?> FreshAsync(string networkId, CancellationToken cancellationToken)
    {
        var ports = TakePending(networkId);
        if (networks.TryGetValue(networkId, out var known) && ports.Count == 0)
        {
            return known;
        }

        if (known is null)
        {
            var answer = await bus.CallAsync(DhcpContracts.GetNetworks, new DhcpNetworksRequest(settings.Host, [networkId]), cancellationToken: cancellationToken);
            if (answer.Networks is not [var whole])
            {
                return null;
            }

            return networks[networkId] = whole;
        }

        try
        {
            var answer = await bus.CallAsync(DhcpContracts.GetPorts, new DhcpPortsRequest(settings.Host, [.. ports]), cancellationToken: cancellationToken);
            return networks[networkId] = known with { Ports = [.. known.Ports.Where(port => !ports.Contains(port.Id)), .. answer.Ports.Where(port => port.NetworkId == networkId)] };
        }
        catch
        {
            networks.TryRemove(networkId, out _);
            throw;
        }
    }

    private DhcpPort? OwnPort(DhcpNetwork network)
    {
        var deviceId = DhcpNames.DeviceId(settings.Host, network.Id);
        return network.Ports.FirstOrDefault(port => port.DeviceId == deviceId);
    }

    private async Task<DhcpPort?> OwnPortAsync(DhcpNetwork network, CancellationToken cancellationToken)
    {
        var known = OwnPort(network);
        if (known is not null && network.Subnets.Where(subnet => subnet.EnableDhcp).All(subnet => known.FixedIps.Any(address => address.SubnetId == subnet.Id)))
        {
            return known;
        }

        var answer = await bus.CallAsync(DhcpContracts.EnsureDhcpPort, new DhcpPortRequest(settings.Host, network.Id), cancellationToken: cancellationToken);
        if (answer.Port is { } port)
        {
            networks[network.Id] = network with { Ports = [.. network.Ports.Where(other => other.Id != port.Id), port] };
        }

        return answer.Port;
    }

    private async Task RemoveAsync(string networkId, CancellationToken cancellationToken)
    {
        networks.TryRemove(networkId, out _);
        if (folders.Ids().Contains(networkId))
        {
            var place = DhcpDevice.NamespaceOf(networkId);
            metadata?.Close(place);
            await server.StopAsync(networkId, place, cancellationToken);
            await device.RemoveAsync(networkId, cancellationToken);
            folders.Delete(networkId);
        }

        foreach (var portId in ready.Where(pair => pair.Value.NetworkId == networkId).Select(pair => pair.Key))
        {
            ready.TryRemove(portId, out _);
        }

        await bus.CallAsync(DhcpContracts.ReleaseDhcpPort, new DhcpPortRequest(settings.Host, networkId), cancellationToken: cancellationToken);
    }

    private async Task ReportReadyAsync(DhcpNetwork network, DhcpPort own, CancellationToken cancellationToken)
    {
        // A changed port may wait for its new address to be served.
        var fresh = network.Ports.Append(own).DistinctBy(port => port.Id).Where(port => !ready.TryGetValue(port.Id, out var told) || told.Revision != port.Revision).ToList();
        if (fresh.Count > 0)
        {
            await bus.CallAsync(DhcpContracts.ReportReady, new DhcpReadyReport(settings.Host, [.. fresh.Select(port => port.Id)]), cancellationToken: cancellationToken);
            fresh.ForEach(port => ready[port.Id] = (network.Id, port.Revision));
        }
    }

    /// <summary>What the API shows of the agent, by the names of OpenStack's.</summary>
    private AgentReport Report(bool first)
    {
        var all = networks.Values.ToList();
        return new AgentReport(
            AgentTypes.Dhcp,
            AgentTypes.DhcpBinary,
            settings.Host,
            new JsonObject
            {
                ["dhcp_driver"] = "neutron.agent.linux.dhcp.Dnsmasq",
                ["dhcp_lease_duration"] = settings.LeaseDuration,
                ["log_agent_heartbeats"] = false,
                ["networks"] = all.Count,
                ["subnets"] = all.Sum(network => network.Subnets.Count),
                ["ports"] = all.Sum(network => network.Ports.Count),
            },
            first,
            Topic: NeutronTopics.DhcpAgent.Name);
    }
}
