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
    public async Task One_process_stands_for_as_many_hosts_as_it_is_told()
    {
        await using var cloud = await TestCloud.StartAsync([], [("neutron", "sharpstack", "simulated_hosts", "3")]);
        var bus = cloud.Get<InProcessBus>();
        var reported = new ConcurrentDictionary<(string Host, string Type), bool>();
        using var devices = bus.Serve(OpenVSwitchContracts.GetDevices, null, (_, _) => Task.FromResult(new DevicesAnswer([], [])));
        using var networks = bus.Serve(DhcpContracts.GetNetworks, null, (_, _) => Task.FromResult(new DhcpNetworksAnswer([], [])));
        using var states = bus.Serve(AgentContracts.ReportState, null, (report, _) =>
        {
            reported[(report.Host, report.AgentType)] = true;
            return Task.FromResult(new AgentReportAnswer(report.AgentType, "alive", false, true));
        });
        await using var agents = ActivatorFor(cloud);
        await agents.StartAsync(TestContext.Current.CancellationToken);
        await Eventually.TrueAsync(() => reported.Count == 6, "both agents of three hosts");
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
