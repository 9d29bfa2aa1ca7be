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

namespace SharpStack.Neutron.Agents.L3;

/// <summary>
/// neutron-l3-agent: brings every router that the server gives to this host up to date, and takes away those that it no longer does. What it finds of floating IPs
/// and of VRRP's choice it tells the server.
/// </summary>
internal sealed partial class L3Agent : IWorker, IAsyncDisposable
{
    private static readonly TimeSpan AnnouncementPause = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan HaPeriod = TimeSpan.FromSeconds(1);

    private readonly L3Settings settings;
    private readonly IMessageBus bus;
    private readonly TimeProvider time;
    private readonly ILogger log;
    private readonly VSwitch vswitch;
    private readonly RouterHost host;
    private readonly Reconciler<string> reconciler;
    private readonly AgentHeartbeat heartbeat;
    private readonly List<IDisposable> served = [];
    private readonly ConcurrentDictionary<string, L3Router> routers = new();
    private readonly ConcurrentDictionary<string, string> states = new();
    private readonly CancellationTokenSource stopping = new();
    private Task watching = Task.CompletedTask;
    private long hints;
    private bool started;
    private bool disposed;

    /// <param name="settings">The agent's options.</param>
    /// <param name="bus">To the server.</param>
    /// <param name="time">The clock.</param>
    /// <param name="log">The agent's log.</param>
    /// <param name="metadata">The metadata agent's sockets, where it runs in this process.</param>
    public L3Agent(L3Settings settings, IMessageBus bus, TimeProvider time, ILogger<L3Agent> log, IEnumerable<MetadataSockets> metadata)
    {
        this.settings = settings;
        this.bus = bus;
        this.time = time;
        this.log = log;
        vswitch = new VSwitch(new OvsdbEndpoint(settings.OvsdbConnection), time);
        host = new RouterHost(settings, vswitch, metadata.FirstOrDefault(), time, log);
        reconciler = new Reconciler<string>("l3-agent", ReconcileAsync, ListAsync, new ReconcilerOptions { FullPeriod = settings.ResyncInterval, LongestRetry = TimeSpan.FromSeconds(15) }, time, log);
        heartbeat = new AgentHeartbeat(bus, Report, reconciler.EnqueueAll, settings.ReportInterval, time, log);
    }

    /// <summary>Completes when nothing is queued or being worked on.</summary>
    internal Task WhenIdleAsync() => reconciler.WhenIdleAsync();

    /// <inheritdoc/>
    public Task StartAsync(CancellationToken cancellationToken)
    {
        host.Disturbed += reconciler.Enqueue;
        vswitch.Database.Changed += OnSwitchChanged;
        vswitch.Database.Connected += OnSwitchConnected;
        bus.Reconnected += reconciler.EnqueueAll;
        served.Add(bus.Serve(L3Contracts.RoutersChanged, settings.Host, LookAtRouters));
        served.Add(bus.Serve(ViewContracts.InspectRouters, settings.Host, (_, cancellation) => NetworkInspector.ViewOfAsync(settings, cancellation)));
        vswitch.Database.Start();
        heartbeat.Start();
        watching = WatchHaAsync();
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

        // Unless told otherwise, routers go on without the agent.
        served.ForEach(registration => registration.Dispose());
        host.Disturbed -= reconciler.Enqueue;
        vswitch.Database.Changed -= OnSwitchChanged;
        vswitch.Database.Connected -= OnSwitchConnected;
        bus.Reconnected -= reconciler.EnqueueAll;
        await stopping.CancelAsync();
        await watching;
        await heartbeat.DisposeAsync();
        await reconciler.DisposeAsync();
        if (settings.CleanupOnShutdown && vswitch.Database.IsConnected)
        {
            foreach (var routerId in host.Routers())
            {
                await host.RemoveAsync(routerId, CancellationToken.None);
            }
        }

        await vswitch.DisposeAsync();
        stopping.Dispose();
    }

    private Task<Ack> LookAtRouters(RoutersHint hint, CancellationToken cancellationToken)
    {
        Interlocked.Increment(ref hints);
        foreach (var routerId in hint.RouterIds)
        {
            routers.TryRemove(routerId, out _);
            reconciler.Enqueue(routerId);
        }

        return Task.FromResult(Ack.Ok);
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
        // An interface that comes again after a restart of the switch, and a port that the OVS agent has wired.
        var names = changes.Where(change => change.Table is Tables.Interface or Tables.Port).Select(change => change.Row.Name)
            .Where(name => RouterNames.Prefixes.Any(prefix => name.StartsWith(prefix, StringComparison.Ordinal))).ToHashSet();
        if (names.Count == 0)
        {
            return;
        }

        foreach (var router in routers.Values.Where(router => RouterHost.DevicesOf(router).Exists(device => names.Contains(device.Name))))
        {
            reconciler.Enqueue(router.Id);
        }
    }

    /// <summary>The server's routers, and those that an earlier run served.</summary>
    private async Task<IReadOnlyCollection<string>> ListAsync(CancellationToken cancellationToken)
    {
        var before = Interlocked.Read(ref hints);
        var answer = await bus.CallAsync(L3Contracts.GetRouters, new L3RoutersRequest(settings.Host, null), cancellationToken: cancellationToken);
        routers.Clear();
        if (before == Interlocked.Read(ref hints))
        {
            // Otherwise the answer may be older than what a hint has brought: each router is asked for anew.
            foreach (var router in answer.Routers)
            {
                routers[router.Id] = router;
            }
        }

        return [.. answer.Routers.Select(router => router.Id).Union(host.Routers())];
    }

    private async Task<ReconcileResult> ReconcileAsync(string routerId, CancellationToken cancellationToken)
    {
        if (!vswitch.Database.IsConnected)
        {
            throw CloudException.Unavailable($"There is no connection to the Open vSwitch database at {settings.OvsdbConnection}.");
        }

        var router = await FreshAsync(routerId, cancellationToken);
        var had = host.FloatingIpsOf(routerId);
        if (router is null || (router.Gateway is null && !settings.HandlesInternalOnly))
        {
            routers.TryRemove(routerId, out _);
            states.TryRemove(routerId, out _);
            await host.RemoveAsync(routerId, cancellationToken);
            return ReconcileResult.Done;
        }

        var wanted = router with { Interfaces = [.. router.Interfaces.Where(port => port.AdminStateUp && router.AdminStateUp)] };
        if (!router.AdminStateUp)
        {
            wanted = wanted with { Gateway = null, FloatingIps = [], Routes = [], ConntrackHelpers = [], Ha = null };
        }

        try
        {
            var isAnnouncing = await host.EnsureAsync(wanted, cancellationToken);
            await ReportFloatingIpsAsync(wanted, had, "ACTIVE", cancellationToken);
            if (wanted.Ha is { } ha)
            {
                await ReportStateAsync(routerId, ha, cancellationToken);
            }

            return isAnnouncing ? ReconcileResult.After(AnnouncementPause) : ReconcileResult.Done;
        }
        catch (Exception failure) when (failure is not OperationCanceledException and not CloudException)
        {
            await ReportFloatingIpsAsync(wanted, had, "ERROR", cancellationToken);
            throw;
        }
    }

    /// <summary>The router as it is now; null where it is gone or not this host's.</summary>
    private async Task<L3Router?> FreshAsync(string routerId, CancellationToken cancellationToken)
    {
        if (routers.TryGetValue(routerId, out var known))
        {
            return known;
        }

        var answer = await bus.CallAsync(L3Contracts.GetRouters, new L3RoutersRequest(settings.Host, [routerId]), cancellationToken: cancellationToken);
        return answer.Routers is [var router] ? routers[routerId] = router : null;
    }

    private async Task ReportFloatingIpsAsync(L3Router router, IReadOnlySet<string> had, string status, CancellationToken cancellationToken)
    {
        // Without a gateway there is nothing that an address could be on.
        var here = router.Gateway is null ? [] : router.FloatingIps;
        var seen = here.Where(floating => floating.Status != status).Select(floating => new L3FloatingIpSeen(floating.Id, status))
            .Concat(had.Except(here.Select(floating => floating.Id)).Select(id => new L3FloatingIpSeen(id, "DOWN"))).ToList();
        if (seen.Count == 0)
        {
            return;
        }

        await bus.CallAsync(L3Contracts.ReportFloatingIps, new L3FloatingIpReport(settings.Host, router.Id, seen), cancellationToken: cancellationToken);
        if (routers.TryGetValue(router.Id, out var known) && known.Revision == router.Revision)
        {
            routers.TryUpdate(router.Id, known with { FloatingIps = [.. known.FloatingIps.Select(floating => here.Any(one => one.Id == floating.Id) ? floating with { Status = status } : floating)] }, known);
        }
    }

    private async Task ReportStateAsync(string routerId, L3HighAvailability ha, CancellationToken cancellationToken)
    {
        var state = RouterHost.IsActive(routerId, ha) ? "active" : "standby";
        if (states.TryGetValue(routerId, out var told) && told == state)
        {
            return;
        }

        await bus.CallAsync(L3Contracts.ReportStates, new L3RouterStateReport(settings.Host, [new L3RouterState(routerId, state)]), cancellationToken: cancellationToken);
        states[routerId] = state;
        LogState(routerId, state);
    }

    /// <summary>VRRP chooses without the agent: what it chose is seen by the address that goes with it.</summary>
    private async Task WatchHaAsync()
    {
        using var timer = new PeriodicTimer(HaPeriod, time);
        try
        {
            while (await timer.WaitForNextTickAsync(stopping.Token))
            {
                foreach (var router in routers.Values.Where(router => router is { Ha: not null, AdminStateUp: true }))
                {
                    try
                    {
                        if (states.TryGetValue(router.Id, out var told) && told != (RouterHost.IsActive(router.Id, router.Ha!) ? "active" : "standby"))
                        {
                            reconciler.Enqueue(router.Id);
                        }
                    }
                    catch (SharpStack.LinuxHost.LinuxException)
                    {
                        // It goes away at this moment.
                    }
                }
            }
        }
        catch (OperationCanceledException)
        {
        }
    }

    /// <summary>What the API shows of the agent, by the names of OpenStack's.</summary>
    private AgentReport Report(bool first)
    {
        var all = routers.Values.ToList();
        return new AgentReport(
            AgentTypes.L3,
            AgentTypes.L3Binary,
            settings.Host,
            new JsonObject
            {
                ["agent_mode"] = "legacy",
                ["handle_internal_only_routers"] = settings.HandlesInternalOnly,
                ["interface_driver"] = "openvswitch",
                ["log_agent_heartbeats"] = false,
                ["routers"] = all.Count,
                ["ex_gw_ports"] = all.Count(router => router.Gateway is not null),
                ["interfaces"] = all.Sum(router => router.Interfaces.Count),
                ["floating_ips"] = all.Sum(router => router.FloatingIps.Count),
                ["extensions"] = new JsonArray("port_forwarding", "fip_qos", "gateway_ip_qos", "conntrack_helper"),
            },
            first,
            Topic: NeutronTopics.L3Agent.Name);
    }

    [LoggerMessage(EventId = 6401, Level = LogLevel.Information, Message = "Router {RouterId} is {State} here")]
    private partial void LogState(string routerId, string state);
}
