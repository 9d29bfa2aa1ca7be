using System.Collections.Concurrent;
using SharpStack.Foundation.Bus;
using SharpStack.Neutron.Agents.Simulated;
using SharpStack.Neutron.Contracts;
using SharpStack.TestKit;

namespace SharpStack.Neutron.Agents.Tests.Simulated;

public sealed class SimulatedAgentsTests
{
    [Fact]
    public async Task A_port_bound_to_the_host_is_reported_wired_also_when_its_hint_was_lost_before_the_start()
    {
        await using var cloud = await TestCloud.StartAsync();
        var bus = cloud.Get<InProcessBus>();
        var bound = new ConcurrentDictionary<string, long> { ["early"] = 3 };
        var up = new ConcurrentDictionary<string, long>();
        using var devices = bus.Serve(OpenVSwitchContracts.GetDevices, null, (request, _) => Task.FromResult(
            new DevicesAnswer([.. bound.Where(port => request.PortIds?.Contains(port.Key) ?? true).Select(port => Device(port.Key, port.Value))], [])));
        using var reports = bus.Serve(OpenVSwitchContracts.ReportDevices, null, (report, _) =>
        {
            foreach (var seen in report.Up)
            {
                up[seen.PortId] = seen.Revision;
            }

            return Task.FromResult(new DeviceStatusAnswer([]));
        });
        using var networks = bus.Serve(DhcpContracts.GetNetworks, null, (_, _) => Task.FromResult(new DhcpNetworksAnswer([], [])));
        using var routers = bus.Serve(L3Contracts.GetRouters, null, (_, _) => Task.FromResult(new L3RoutersAnswer([], [])));
        using var states = bus.Serve(AgentContracts.ReportState, null, (report, _) => Task.FromResult(new AgentReportAnswer(report.AgentType, "alive", false, true)));

        await using var agents = ActivatorFor(cloud);
        await agents.StartAsync(TestContext.Current.CancellationToken);
        await Eventually.TrueAsync(() => up.GetValueOrDefault("early") == 3, "the port of before the start");

        bound["late"] = 5;
        await bus.CastAsync(OpenVSwitchContracts.PortChanged, new PortHint("late", "network", 5), cloud.Host.Services.HostName(), TestContext.Current.CancellationToken);
        await Eventually.TrueAsync(() => up.GetValueOrDefault("late") == 5, "the port of the hint");
        await agents.StopAsync(CancellationToken.None);
    }

    [Fact]
    public async Task A_trunk_of_the_host_is_reported_active()
    {
        await using var cloud = await TestCloud.StartAsync();
        var bus = cloud.Get<InProcessBus>();
        var trunk = new DeviceTrunk("trunk", 4, "DOWN", []);
        var said = new ConcurrentQueue<TrunkSeen>();
        using var devices = bus.Serve(OpenVSwitchContracts.GetDevices, null, (_, _) => Task.FromResult(new DevicesAnswer([Device("parent", 3) with { Status = "ACTIVE", Trunk = trunk }], [])));
        using var reports = bus.Serve(OpenVSwitchContracts.ReportDevices, null, (_, _) => Task.FromResult(new DeviceStatusAnswer([])));
        using var trunks = bus.Serve(OpenVSwitchContracts.ReportTrunks, null, (report, _) =>
        {
            said.Enqueue(report.Trunks.Single());
            return Task.FromResult(new TrunkStatusAnswer([]));
        });
        using var networks = bus.Serve(DhcpContracts.GetNetworks, null, (_, _) => Task.FromResult(new DhcpNetworksAnswer([], [])));
        using var routers = bus.Serve(L3Contracts.GetRouters, null, (_, _) => Task.FromResult(new L3RoutersAnswer([], [])));
        using var states = bus.Serve(AgentContracts.ReportState, null, (report, _) => Task.FromResult(new AgentReportAnswer(report.AgentType, "alive", false, true)));
        await using var agents = ActivatorFor(cloud);
        await agents.StartAsync(TestContext.Current.CancellationToken);
        await Eventually.TrueAsync(() => said.Contains(new TrunkSeen("trunk", 4, "ACTIVE")), "the trunk is reported");
        await agents.StopAsync(CancellationToken.None);
    }

    [Fact]
    public async Task Floating_IPs_of_a_router_of_the_host_are_reported_active()
    {
        await using var cloud = await TestCloud.StartAsync();
        var bus = cloud.Get<InProcessBus>();
        var floatingIps = new ConcurrentDictionary<string, string> { ["early"] = "DOWN" };
        using var devices = bus.Serve(OpenVSwitchContracts.GetDevices, null, (_, _) => Task.FromResult(new DevicesAnswer([], [])));
        using var networks = bus.Serve(DhcpContracts.GetNetworks, null, (_, _) => Task.FromResult(new DhcpNetworksAnswer([], [])));
        using var routers = bus.Serve(L3Contracts.GetRouters, null, (_, _) => Task.FromResult(new L3RoutersAnswer(
            [
                new L3Router("router", "", "project", true, 1, null, null, [], [.. floatingIps.Select(pair => new L3FloatingIp(pair.Key, "203.0.113.5", "10.0.0.5", pair.Value, [], []))], [], []),
            ],
            [])));
        using var reports = bus.Serve(L3Contracts.ReportFloatingIps, null, (report, _) =>
        {
            foreach (var seen in report.FloatingIps)
            {
                floatingIps[seen.Id] = seen.Status;
            }

            return Task.FromResult(Ack.Ok);
        });
        using var states = bus.Serve(AgentContracts.ReportState, null, (report, _) => Task.FromResult(new AgentReportAnswer(report.AgentType, "alive", false, true)));
        await using var agents = ActivatorFor(cloud);
        await agents.StartAsync(TestContext.Current.CancellationToken);
        await Eventually.TrueAsync(() => floatingIps["early"] == "ACTIVE", "the floating IP of before the start");

        floatingIps["late"] = "DOWN";
        await bus.CastAsync(L3Contracts.RoutersChanged, new RoutersHint(["router"]), cloud.Host.Services.HostName(), TestContext.Current.CancellationToken);
        await Eventually.TrueAsync(() => floatingIps["late"] == "ACTIVE", "the floating IP of the hint");
        await agents.StopAsync(CancellationToken.None);
    }

    [Fact]
    public async Task One_process_stands_for_as_many_hosts_as_it_is_told()
    {
        await using var cloud = await TestCloud.StartAsync([], [("neutron", "sharpstack", "simulated_hosts", "3")]);
        var bus = cloud.Get<InProcessBus>();
        var reported = new ConcurrentDictionary<(string Host, string Type), bool>();
        using var devices = bus.Serve(OpenVSwitchContracts.GetDevices, null, (_, _) => Task.FromResult(new DevicesAnswer([], [])));
        using var networks = bus.Serve(DhcpContracts.GetNetworks, null, (_, _) => Task.FromResult(new DhcpNetworksAnswer([], [])));
        using var routers = bus.Serve(L3Contracts.GetRouters, null, (_, _) => Task.FromResult(new L3RoutersAnswer([], [])));
        using var states = bus.Serve(AgentContracts.ReportState, null, (report, _) =>
        {
            reported[(report.Host, report.AgentType)] = true;
            return Task.FromResult(new AgentReportAnswer(report.AgentType, "alive", false, true));
        });
        await using var agents = ActivatorFor(cloud);
        await agents.StartAsync(TestContext.Current.CancellationToken);
        await Eventually.TrueAsync(() => reported.Count == 9, "the three agents of three hosts");
        Assert.Equal(["testhost-1", "testhost-2", "testhost-3"], reported.Keys.Select(key => key.Host).Distinct().Order(StringComparer.Ordinal));
    }

    private static SimulatedHosts ActivatorFor(TestCloud cloud) =>
        Microsoft.Extensions.DependencyInjection.ActivatorUtilities.CreateInstance<SimulatedHosts>(cloud.Host.Services);

    private static DeviceDetails Device(string id, long revision) =>
        new(id, "network", "project", "flat", "physnet", null, 1500, "fa:16:3e:00:00:01", [], [], true, "DOWN", "compute:nova", "server", true, [], revision);
}

internal static class HostNames
{
    public static string HostName(this IServiceProvider services) =>
        ((Foundation.Hosting.HostOptions)services.GetService(typeof(Foundation.Hosting.HostOptions))!).HostName;
}
