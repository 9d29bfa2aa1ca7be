using System.Collections.Concurrent;
using SharpStack.Foundation.Bus;
using SharpStack.Neutron.Contracts;

namespace SharpStack.Neutron.Agents.Tests.L3;

/// <summary>The server's side of the L3 agents' contracts, with routers that the test sets.</summary>
internal sealed class L3ServerStub : IDisposable
{
    private readonly IMessageBus bus;
    private readonly string host;
    private readonly List<IDisposable> served = [];

    public L3ServerStub(IMessageBus bus, string host)
    {
        this.bus = bus;
        this.host = host;
        served.Add(bus.Serve(L3Contracts.GetRouters, null, (request, _) => Task.FromResult(new L3RoutersAnswer(
            [.. Routers.Values.Where(router => request.RouterIds?.Contains(router.Id) ?? true)],
            [.. (request.RouterIds ?? []).Where(id => !Routers.ContainsKey(id))]))));
        served.Add(bus.Serve(L3Contracts.ReportFloatingIps, null, (report, _) =>
        {
            foreach (var floating in report.FloatingIps)
            {
                FloatingIps[floating.Id] = floating.Status;
            }

            return Task.FromResult(Ack.Ok);
        }));
        served.Add(bus.Serve(L3Contracts.ReportStates, null, (report, _) =>
        {
            foreach (var router in report.Routers)
            {
                States[router.RouterId] = router.State;
            }

            return Task.FromResult(Ack.Ok);
        }));
        served.Add(bus.Serve(AgentContracts.ReportState, null, (report, _) =>
        {
            Reports.Add(report);
            return Task.FromResult(new AgentReportAnswer("agent", "alive", false, true));
        }));
    }

    public ConcurrentDictionary<string, L3Router> Routers { get; } = new();

    /// <summary>Statuses by id, as the agent reported them.</summary>
    public ConcurrentDictionary<string, string> FloatingIps { get; } = new();

    public ConcurrentDictionary<string, string> States { get; } = new();

    public ConcurrentBag<AgentReport> Reports { get; } = [];

    public async Task HintAsync(string routerId) => await bus.CastAsync(L3Contracts.RoutersChanged, new RoutersHint([routerId]), host);

    public Task SetAsync(L3Router router)
    {
        Routers[router.Id] = router;
        return HintAsync(router.Id);
    }

    public void Dispose() => served.ForEach(registration => registration.Dispose());
}

/// <summary>
/// A router between an inner network 10.4.0.0/24, another 10.5.0.0/24, and the outer 203.0.113.0/24 with the address .50; their VLANs on the switch are 1, 2 and 3.
/// </summary>
internal static class L3Samples
{
    public const string Inner = "1a1b1c1d-0000-4000-8000-000000000001";
    public const string Other = "2a1b1c1d-0000-4000-8000-000000000002";
    public const string Outer = "3a1b1c1d-0000-4000-8000-000000000003";

    public static L3Router Router(string? id = null) => new(
        id ?? Guid.NewGuid().ToString("D"),
        "router",
        "project",
        true,
        1,
        null,
        new L3Gateway(Port(Outer, "fa:16:3e:00:03:50", "203.0.113.50", "203.0.113.0/24", "203.0.113.1"), true, []),
        [Port(Inner, "fa:16:3e:00:01:01", "10.4.0.1", "10.4.0.0/24", "10.4.0.1"), Port(Other, "fa:16:3e:00:02:01", "10.5.0.1", "10.5.0.0/24", "10.5.0.1")],
        [],
        [],
        []);

    public static L3Port Port(string id, string mac, string address, string cidr, string? gateway, string? raMode = null, string? scope = null)
    {
        var subnet = $"{id[..8]}-5555-4000-8000-000000000000";
        return new L3Port(
            id,
            $"{id[..8]}-4444-4000-8000-000000000000",
            mac,
            true,
            1450,
            [new L3Address(address, subnet, int.Parse(cidr.Split('/')[1]))],
            [new L3Subnet(subnet, cidr, cidr.Contains(':', StringComparison.Ordinal) ? 6 : 4, gateway, raMode, raMode, [], scope)],
            []);
    }

    public static L3FloatingIp Floating(string address, string? inner, params L3PortForwarding[] forwardings) =>
        new($"f1b1c1d1-0000-4000-8000-{int.Parse(address.Split('.')[3]):d12}", address, inner, "DOWN", forwardings, []);

    public static L3PortForwarding Forwarding(string protocol, int first, int last, string inner, int innerFirst, int innerLast) =>
        new(Guid.NewGuid().ToString("D"), protocol, first, last, inner, innerFirst, innerLast);
}
