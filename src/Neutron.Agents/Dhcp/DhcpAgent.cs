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
internal sealed class DhcpAgent : NamespaceAgent<DhcpNetwork>
{
    private readonly DhcpSettings settings;
    private readonly DhcpDevice device;
    private readonly DhcpFolders folders;
    private readonly DnsmasqServer server;
    private readonly MetadataSockets? metadata;
    private readonly Dictionary<string, HashSet<string>> pending = [];
    private readonly ConcurrentDictionary<string, (string NetworkId, long Revision)> ready = new();

    /// <param name="settings">The agent's options.</param>
    /// <param name="bus">To the server.</param>
    /// <param name="time">The clock.</param>
    /// <param name="log">The agent's log.</param>
    /// <param name="metadata">The metadata agent's sockets, where it runs in this process.</param>
    public DhcpAgent(DhcpSettings settings, IMessageBus bus, TimeProvider time, ILogger<DhcpAgent> log, IEnumerable<MetadataSockets> metadata)
        : base(new NamespaceAgentSettings("dhcp-agent", settings.OvsdbConnection, settings.ResyncInterval, settings.ReportInterval), bus, time, log)
    {
        this.settings = settings;
        this.metadata = metadata.FirstOrDefault();
        device = new DhcpDevice(Switch, settings);
        folders = new DhcpFolders(settings.Directory);
        server = new DnsmasqServer(settings, folders, time, log);
    }

    protected override IEnumerable<IDisposable> Serve() =>
    [
        Bus.Serve(DhcpContracts.NetworkChanged, settings.Host, (hint, _) => LookAtNetwork(hint.NetworkId)),
        Bus.Serve(DhcpContracts.PortChanged, settings.Host, LookAtPort),
        Bus.Serve(ViewContracts.InspectDhcp, settings.Host, (_, _) => Task.FromResult(NetworkInspector.ViewOf(settings))),
    ];

    protected override void OnStarting() => server.Ended += Enqueue;

    protected override Task OnStoppingAsync()
    {
        server.Ended -= Enqueue;
        return Task.CompletedTask;
    }

    private Task<Ack> LookAtNetwork(string networkId)
    {
        CountHint();
        Known.TryRemove(networkId, out _);
        Enqueue(networkId);
        return Task.FromResult(Ack.Ok);
    }

    private Task<Ack> LookAtPort(PortHint hint, CancellationToken cancellationToken)
    {
        CountHint();
        lock (pending)
        {
            if (!pending.TryGetValue(hint.NetworkId, out var ports))
            {
                pending[hint.NetworkId] = ports = [];
            }

            ports.Add(hint.PortId);
        }

        Enqueue(hint.NetworkId);
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

    protected override void OnSwitchChanged(IReadOnlyList<OvsdbChange> changes)
    {
        foreach (var change in changes.Where(change => change.Table == Tables.Interface))
        {
            if (change.Row.Map("external_ids").TryGetValue("iface-id", out var portId)
                && Known.Values.FirstOrDefault(network => OwnPort(network)?.Id == portId) is { } network)
            {
                Enqueue(network.Id);
            }
        }
    }

    protected override async Task<IReadOnlyList<DhcpNetwork>> AskAsync(CancellationToken cancellationToken) =>
        (await Bus.CallAsync(DhcpContracts.GetNetworks, new DhcpNetworksRequest(settings.Host, null), cancellationToken: cancellationToken)).Networks;

    protected override string IdOf(DhcpNetwork thing) => thing.Id;

    protected override IEnumerable<string> Here() => folders.Ids();

    protected override async Task<ReconcileResult> ReconcileAsync(string id, CancellationToken cancellationToken)
    {
        var network = await FreshAsync(id, cancellationToken);
        var own = network is { AdminStateUp: true } && network.Subnets.Any(subnet => subnet.EnableDhcp) ? await OwnPortAsync(network, cancellationToken) : null;
        if (own is null)
        {
            await RemoveAsync(id, cancellationToken);
            return ReconcileResult.Done;
        }

        folders.Create(id);
        var place = DhcpDevice.NamespaceOf(id);
        var isNew = await device.EnsureAsync(network!, own, cancellationToken);
        await server.EnsureAsync(id, place, DnsmasqConfiguration.Of(network!, own, settings), isNew, cancellationToken);
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
        if (Known.TryGetValue(networkId, out var known) && ports.Count == 0)
        {
            return known;
        }

        if (known is null)
        {
            var answer = await Bus.CallAsync(DhcpContracts.GetNetworks, new DhcpNetworksRequest(settings.Host, [networkId]), cancellationToken: cancellationToken);
            if (answer.Networks is not [var whole])
            {
                return null;
            }

            return Known[networkId] = whole;
        }

        try
        {
            var answer = await Bus.CallAsync(DhcpContracts.GetPorts, new DhcpPortsRequest(settings.Host, [.. ports]), cancellationToken: cancellationToken);
            return Known[networkId] = known with { Ports = [.. known.Ports.Where(port => !ports.Contains(port.Id)), .. answer.Ports.Where(port => port.NetworkId == networkId)] };
        }
        catch
        {
            Known.TryRemove(networkId, out _);
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

        var answer = await Bus.CallAsync(DhcpContracts.EnsureDhcpPort, new DhcpPortRequest(settings.Host, network.Id), cancellationToken: cancellationToken);
        if (answer.Port is { } port)
        {
            Known[network.Id] = network with { Ports = [.. network.Ports.Where(other => other.Id != port.Id), port] };
        }

        return answer.Port;
    }

    private async Task RemoveAsync(string networkId, CancellationToken cancellationToken)
    {
        Known.TryRemove(networkId, out _);
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

        await Bus.CallAsync(DhcpContracts.ReleaseDhcpPort, new DhcpPortRequest(settings.Host, networkId), cancellationToken: cancellationToken);
    }

    private async Task ReportReadyAsync(DhcpNetwork network, DhcpPort own, CancellationToken cancellationToken)
    {
        // A changed port may wait for its new address to be served.
        var fresh = network.Ports.Append(own).DistinctBy(port => port.Id).Where(port => !ready.TryGetValue(port.Id, out var told) || told.Revision != port.Revision).ToList();
        if (fresh.Count > 0)
        {
            await Bus.CallAsync(DhcpContracts.ReportReady, new DhcpReadyReport(settings.Host, [.. fresh.Select(port => port.Id)]), cancellationToken: cancellationToken);
            fresh.ForEach(port => ready[port.Id] = (network.Id, port.Revision));
        }
    }

    protected override AgentReport Report(bool first)
    {
        var all = Known.Values.ToList();
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
