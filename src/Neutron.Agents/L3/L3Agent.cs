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
internal sealed partial class L3Agent : NamespaceAgent<L3Router>
{
    private static readonly TimeSpan UnfinishedPause = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan HaPeriod = TimeSpan.FromSeconds(1);

    private readonly L3Settings settings;
    private readonly TimeProvider time;
    private readonly ILogger log;
    private readonly RouterHost host;
    private readonly ConcurrentDictionary<string, string> states = new();
    private readonly CancellationTokenSource stopping = new();
    private Task watching = Task.CompletedTask;

    /// <param name="settings">The agent's options.</param>
    /// <param name="bus">To the server.</param>
    /// <param name="time">The clock.</param>
    /// <param name="log">The agent's log.</param>
    /// <param name="metadata">The metadata agent's sockets, where it runs in this process.</param>
    public L3Agent(L3Settings settings, IMessageBus bus, TimeProvider time, ILogger<L3Agent> log, IEnumerable<MetadataSockets> metadata)
        : base(new NamespaceAgentSettings("l3-agent", settings.OvsdbConnection, settings.ResyncInterval, settings.ReportInterval), bus, time, log)
    {
        this.settings = settings;
        this.time = time;
        this.log = log;
        host = new RouterHost(settings, Switch, metadata.FirstOrDefault(), time, log);
    }

    protected override IEnumerable<IDisposable> Serve() =>
    [
        Bus.Serve(L3Contracts.RoutersChanged, settings.Host, LookAtRouters),
        Bus.Serve(ViewContracts.InspectRouters, settings.Host, (_, cancellation) => NetworkInspector.ViewOfAsync(settings, cancellation)),
    ];

    protected override void OnStarting()
    {
        host.Disturbed += Enqueue;
        watching = WatchHaAsync();
    }

    protected override async Task OnStoppingAsync()
    {
        host.Disturbed -= Enqueue;
        await stopping.CancelAsync();
        await watching;
    }

    protected override async Task OnStoppedAsync()
    {
        // Unless told otherwise, routers go on without the agent.
        if (settings.CleanupOnShutdown && Switch.Database.IsConnected)
        {
            foreach (var routerId in host.Routers())
            {
                await host.RemoveAsync(routerId, CancellationToken.None);
            }
        }

        stopping.Dispose();
    }

    private Task<Ack> LookAtRouters(RoutersHint hint, CancellationToken cancellationToken)
    {
        CountHint();
        foreach (var routerId in hint.RouterIds)
        {
            Known.TryRemove(routerId, out _);
            Enqueue(routerId);
        }

        return Task.FromResult(Ack.Ok);
    }

    protected override void OnSwitchChanged(IReadOnlyList<OvsdbChange> changes)
    {
        // An interface that comes again after a restart of the switch, and a port that the OVS agent has wired.
        var names = changes.Where(change => change.Table is Tables.Interface or Tables.Port).Select(change => change.Row.Name)
            .Where(name => RouterNames.Prefixes.Any(prefix => name.StartsWith(prefix, StringComparison.Ordinal))).ToHashSet();
        if (names.Count == 0)
        {
            return;
        }

        foreach (var router in Known.Values.Where(router => RouterHost.DevicesOf(router).Exists(device => names.Contains(device.Name))))
        {
            Enqueue(router.Id);
        }
    }

    protected override async Task<IReadOnlyList<L3Router>> AskAsync(CancellationToken cancellationToken) =>
        (await Bus.CallAsync(L3Contracts.GetRouters, new L3RoutersRequest(settings.Host, null), cancellationToken: cancellationToken)).Routers;

    protected override string IdOf(L3Router thing) => thing.Id;

    protected override IEnumerable<string> Here() => host.Routers();

    protected override async Task<ReconcileResult> ReconcileAsync(string id, CancellationToken cancellationToken)
    {
        var router = await FreshAsync(id, cancellationToken);
        var had = host.FloatingIpsOf(id);
        if (router is null || (router.Gateway is null && !settings.HandlesInternalOnly))
        {
            Known.TryRemove(id, out _);
            states.TryRemove(id, out _);
            await host.RemoveAsync(id, cancellationToken);
            return ReconcileResult.Done;
        }

        var wanted = router with { Interfaces = [.. router.Interfaces.Where(port => port.AdminStateUp && router.AdminStateUp)] };
        if (!router.AdminStateUp)
        {
            wanted = wanted with { Gateway = null, FloatingIps = [], Routes = [], ConntrackHelpers = [], Ha = null };
        }

        try
        {
            var isUnfinished = await host.EnsureAsync(wanted, cancellationToken);
            await ReportFloatingIpsAsync(wanted, had, "ACTIVE", cancellationToken);
            if (wanted.Ha is { } ha)
            {
                await ReportStateAsync(id, ha, cancellationToken);
            }

            return isUnfinished ? ReconcileResult.After(UnfinishedPause) : ReconcileResult.Done;
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
        if (Known.TryGetValue(routerId, out var known))
        {
            return known;
        }

        var answer = await Bus.CallAsync(L3Contracts.GetRouters, new L3RoutersRequest(settings.Host, [routerId]), cancellationToken: cancellationToken);
        return answer.Routers is [var router] ? Known[routerId] = router : null;
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

        await Bus.CallAsync(L3Contracts.ReportFloatingIps, new L3FloatingIpReport(settings.Host, router.Id, seen), cancellationToken: cancellationToken);
        if (Known.TryGetValue(router.Id, out var known) && known.Revision == router.Revision)
        {
            Known.TryUpdate(router.Id, known with { FloatingIps = [.. known.FloatingIps.Select(floating => here.Any(one => one.Id == floating.Id) ? floating with { Status = status } : floating)] }, known);
        }
    }

    private async Task ReportStateAsync(string routerId, L3HighAvailability ha, CancellationToken cancellationToken)
    {
        var state = RouterHost.IsActive(routerId, ha) ? "active" : "standby";
        if (states.TryGetValue(routerId, out var told) && told == state)
        {
            return;
        }

        await Bus.CallAsync(L3Contracts.ReportStates, new L3RouterStateReport(settings.Host, [new L3RouterState(routerId, state)]), cancellationToken: cancellationToken);
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
                foreach (var router in Known.Values.Where(router => router is { Ha: not null, AdminStateUp: true }))
                {
                    try
                    {
                        if (states.TryGetValue(router.Id, out var told) && told != (RouterHost.IsActive(router.Id, router.Ha!) ? "active" : "standby"))
                        {
                            Enqueue(router.Id);
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

    protected override AgentReport Report(bool first)
    {
        var all = Known.Values.ToList();
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
