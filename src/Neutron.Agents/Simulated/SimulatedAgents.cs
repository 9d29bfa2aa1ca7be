using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging;
using SharpStack.Foundation.Bus;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Reconciling;
using SharpStack.Neutron.Contracts;

namespace SharpStack.Neutron.Agents.Simulated;

/// <summary>
/// The agents of a host without a data plane, on the contracts of the real ones: each port that is bound to the host is "wired" as soon as it
/// is seen, each network's DHCP "answers", each router's floating IPs "lead" where they should. The counterpart of Nova's fake compute driver: the control plane is whole and real.
/// </summary>
internal sealed class SimulatedAgents : IAsyncDisposable
{
    private static readonly TimeSpan ReportInterval = TimeSpan.FromSeconds(30);

    private readonly string host;
    private readonly IMessageBus bus;
    private readonly JsonObject mappings = [];
    private readonly JsonObject providers;
    private readonly Reconciler<string> ports;
    private readonly Reconciler<string> networks;
    private readonly Reconciler<string> routers;
    private readonly List<IDisposable> served = [];
    private readonly AgentHeartbeat[] heartbeats;

    public SimulatedAgents(string host, ServiceConfig config, IMessageBus bus, TimeProvider time, ILogger log)
    {
        this.host = host;
        this.bus = bus;
        providers = ResourceProviderOptions.Read(config, host, config.Get(AgentOptions.BridgeMappings));
        foreach (var (physicalNetwork, bridge) in config.Get(AgentOptions.BridgeMappings))
        {
            mappings[physicalNetwork] = bridge;
        }

        var manyAtOnce = new ReconcilerOptions { Parallelism = 8 };
        ports = new Reconciler<string>("simulated-ports", WireAsync, ListPortsAsync, manyAtOnce, time, log);
        networks = new Reconciler<string>("simulated-dhcp", ServeNetworkAsync, ListNetworksAsync, manyAtOnce, time, log);
        routers = new Reconciler<string>("simulated-routers", ServeRouterAsync, ListRoutersAsync, manyAtOnce, time, log);
        heartbeats =
        [
            new AgentHeartbeat(bus, SwitchReport, ports.EnqueueAll, ReportInterval, time, log),
            new AgentHeartbeat(bus, DhcpReport, networks.EnqueueAll, ReportInterval, time, log),
            new AgentHeartbeat(bus, RouterReport, routers.EnqueueAll, ReportInterval, time, log),
        ];
    }

    public void Start()
    {
        served.Add(bus.Serve(OpenVSwitchContracts.PortChanged, host, (hint, _) => Look(ports, hint.PortId)));
        served.Add(bus.Serve(OpenVSwitchContracts.PortDeleted, host, (_, _) => Task.FromResult(Ack.Ok)));
        served.Add(bus.Serve(DhcpContracts.NetworkChanged, host, (hint, _) => Look(networks, hint.NetworkId)));
        served.Add(bus.Serve(DhcpContracts.PortChanged, host, LeaseAsync));
        served.Add(bus.Serve(L3Contracts.RoutersChanged, host, LookAtRouters));
        bus.Reconnected += LookAtAll;
        foreach (var heartbeat in heartbeats)
        {
            heartbeat.Start();
        }

        ports.Start();
        networks.Start();
        routers.Start();
    }

    /// <summary>May be called again: then it does nothing.</summary>
    public async ValueTask DisposeAsync()
    {
        bus.Reconnected -= LookAtAll;
        served.ForEach(registration => registration.Dispose());
        foreach (var heartbeat in heartbeats)
        {
            await heartbeat.DisposeAsync();
        }

        await ports.DisposeAsync();
        await networks.DisposeAsync();
        await routers.DisposeAsync();
    }

    private static Task<Ack> Look(Reconciler<string> reconciler, string key)
    {
        reconciler.Enqueue(key);
        return Task.FromResult(Ack.Ok);
    }

    private Task<Ack> LookAtRouters(RoutersHint hint, CancellationToken cancellationToken)
    {
        foreach (var routerId in hint.RouterIds)
        {
            routers.Enqueue(routerId);
        }

        return Task.FromResult(Ack.Ok);
    }

    private void LookAtAll()
    {
        ports.EnqueueAll();
        networks.EnqueueAll();
        routers.EnqueueAll();
    }

    private async Task<IReadOnlyCollection<string>> ListPortsAsync(CancellationToken cancellationToken)
    {
        var all = await bus.CallAsync(OpenVSwitchContracts.GetDevices, new DevicesRequest(host, null), cancellationToken: cancellationToken);
        return [.. all.Devices.Where(device => device.Status != "ACTIVE" || device.Trunk is { Status: not DeviceTrunk.Active }).Select(device => device.PortId)];
    }

    private async Task<ReconcileResult> WireAsync(string portId, CancellationToken cancellationToken)
    {
        var answer = await bus.CallAsync(OpenVSwitchContracts.GetDevices, new DevicesRequest(host, [portId]), cancellationToken: cancellationToken);
        if (answer.Devices is not [{ AdminStateUp: true } device])
        {
            return ReconcileResult.Done;
        }

        var report = new DeviceStatusReport(host, [new DeviceSeen(device.PortId, device.Revision)], []);
        var taken = await bus.CallAsync(OpenVSwitchContracts.ReportDevices, report, cancellationToken: cancellationToken);
        if (device.Trunk is { } trunk)
        {
            taken = new([.. taken.LookAgain, .. (await bus.CallAsync(OpenVSwitchContracts.ReportTrunks, new TrunkStatusReport(host, [new TrunkSeen(trunk.TrunkId, trunk.Revision, DeviceTrunk.Active)]), cancellationToken: cancellationToken)).LookAgain]);
        }

        return taken.LookAgain.Count > 0 ? ReconcileResult.After(TimeSpan.FromMilliseconds(100)) : ReconcileResult.Done;
    }

    private async Task<IReadOnlyCollection<string>> ListNetworksAsync(CancellationToken cancellationToken)
    {
        var all = await bus.CallAsync(DhcpContracts.GetNetworks, new DhcpNetworksRequest(host, null), cancellationToken: cancellationToken);
        return [.. all.Networks.Select(network => network.Id)];
    }

    private async Task<ReconcileResult> ServeNetworkAsync(string networkId, CancellationToken cancellationToken)
    {
        var answer = await bus.CallAsync(DhcpContracts.GetNetworks, new DhcpNetworksRequest(host, [networkId]), cancellationToken: cancellationToken);
        if (answer.Networks is not [var network])
        {
            return ReconcileResult.Done;
        }

        if (!network.Subnets.Any(subnet => subnet.EnableDhcp))
        {
            await bus.CallAsync(DhcpContracts.ReleaseDhcpPort, new DhcpPortRequest(host, networkId), cancellationToken: cancellationToken);
        }
        else if (!network.Ports.Any(port => port.DeviceId == DhcpNames.DeviceId(host, networkId)))
        {
            await bus.CallAsync(DhcpContracts.EnsureDhcpPort, new DhcpPortRequest(host, networkId), cancellationToken: cancellationToken);
        }

        await bus.CallAsync(DhcpContracts.ReportReady, new DhcpReadyReport(host, [.. network.Ports.Select(port => port.Id)]), cancellationToken: cancellationToken);
        return ReconcileResult.Done;
    }

    private Task<Ack> LeaseAsync(PortHint hint, CancellationToken cancellationToken) =>
        bus.CallAsync(DhcpContracts.ReportReady, new DhcpReadyReport(host, [hint.PortId]), cancellationToken: cancellationToken);

    private async Task<IReadOnlyCollection<string>> ListRoutersAsync(CancellationToken cancellationToken)
    {
        var all = await bus.CallAsync(L3Contracts.GetRouters, new L3RoutersRequest(host, null), cancellationToken: cancellationToken);
        return [.. all.Routers.Where(router => Seen(router).Count > 0).Select(router => router.Id)];
    }

    private async Task<ReconcileResult> ServeRouterAsync(string routerId, CancellationToken cancellationToken)
    {
        var answer = await bus.CallAsync(L3Contracts.GetRouters, new L3RoutersRequest(host, [routerId]), cancellationToken: cancellationToken);
        if (answer.Routers is [var router] && Seen(router) is { Count: > 0 } seen)
        {
            await bus.CallAsync(L3Contracts.ReportFloatingIps, new L3FloatingIpReport(host, routerId, seen), cancellationToken: cancellationToken);
        }

        return ReconcileResult.Done;
    }

    private static List<L3FloatingIpSeen> Seen(L3Router router) =>
        [.. router.FloatingIps.Where(floating => floating.Status != "ACTIVE").Select(floating => new L3FloatingIpSeen(floating.Id, "ACTIVE"))];

    private AgentReport SwitchReport(bool start) => new(
        AgentTypes.OpenVSwitch,
        AgentTypes.OpenVSwitchBinary,
        host,
        new JsonObject { ["bridge_mappings"] = mappings.DeepClone(), ["integration_bridge"] = "br-int", ["datapath_type"] = "netdev", ["tunnel_types"] = new JsonArray("geneve", "gre", "vxlan") }.With(providers),
        start);

    private AgentReport DhcpReport(bool start) =>
        new(AgentTypes.Dhcp, AgentTypes.DhcpBinary, host, new JsonObject { ["dhcp_driver"] = "simulated" }, start, Topic: NeutronTopics.DhcpAgent.Name);

    private AgentReport RouterReport(bool start) =>
        new(AgentTypes.L3, AgentTypes.L3Binary, host, new JsonObject { ["agent_mode"] = "legacy", ["handle_internal_only_routers"] = true }, start, Topic: NeutronTopics.L3Agent.Name);
}
