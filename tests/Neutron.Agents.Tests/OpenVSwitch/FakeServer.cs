using System.Collections.Concurrent;
using SharpStack.Foundation.Bus;
using SharpStack.Neutron.Contracts;

namespace SharpStack.Neutron.Agents.Tests.OpenVSwitch;

/// <summary>What the agent asks of Neutron's server, answered from dictionaries.</summary>
internal sealed class FakeServer : IDisposable
{
    public const string Host = "node-1";

    private readonly IMessageBus bus;
    private readonly List<IDisposable> served = [];
    private int groupQuestions;
    private volatile TaskCompletionSource reported = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public FakeServer(IMessageBus bus)
    {
        this.bus = bus;
        served.Add(bus.Serve(AgentContracts.ReportState, null, (report, _) =>
        {
            AgentReports.Enqueue(report);
            return Task.FromResult(new AgentReportAnswer("agent-1", "alive", NeedsResync: false, AdminStateUp: true));
        }));
        served.Add(bus.Serve(OpenVSwitchContracts.GetDevices, null, async (request, _) =>
        {
            DeviceQuestions.Enqueue(request.PortIds ?? []);
            await BeforeDevices;
            return new DevicesAnswer(
                [.. Devices.Values.Where(device => request.PortIds?.Contains(device.PortId) ?? true)],
                [.. (request.PortIds ?? []).Where(id => !Devices.ContainsKey(id))]);
        }));
        served.Add(bus.Serve(OpenVSwitchContracts.GetSecurityGroups, null, (request, _) =>
        {
            Interlocked.Increment(ref groupQuestions);
            var found = Groups.Values.Where(group => request.SecurityGroupIds.Contains(group.Id)).ToList();
            var remote = found.SelectMany(group => group.Rules).Select(rule => rule.RemoteGroupId).OfType<string>().Distinct();
            return Task.FromResult(new SecurityGroupsAnswer(found, remote.ToDictionary(id => id, Members)));
        }));
        served.Add(bus.Serve(OpenVSwitchContracts.ReportDevices, null, (report, _) =>
        {
            foreach (var seen in report.Up)
            {
                Status[seen.PortId] = "ACTIVE";
            }

            foreach (var seen in report.Down)
            {
                Status[seen.PortId] = "DOWN";
            }

            Interlocked.Exchange(ref reported, new(TaskCreationOptions.RunContinuationsAsynchronously)).SetResult();
            return Task.FromResult(new DeviceStatusAnswer([]));
        }));
    }

    /// <summary>How often the agent has asked for groups.</summary>
    public int GroupQuestions => Volatile.Read(ref groupQuestions);

    /// <summary>The ports that the agent has asked for, each time; none for all.</summary>
    public ConcurrentQueue<IReadOnlyCollection<string>> DeviceQuestions { get; } = new();

    /// <summary>What answers about devices wait for.</summary>
    public Task BeforeDevices { get; set; } = Task.CompletedTask;

    public ConcurrentDictionary<string, DeviceDetails> Devices { get; } = new();

    public ConcurrentDictionary<string, SecurityGroupDetails> Groups { get; } = new();

    public ConcurrentDictionary<string, string> Status { get; } = new();

    public ConcurrentQueue<AgentReport> AgentReports { get; } = new();

    public void Dispose() => served.ForEach(registration => registration.Dispose());

    public static DeviceDetails Device(string id, string mac, string ip, string network = "net-1", string type = "flat", int? segment = null, string owner = "compute:nova", bool portSecurity = true, params string[] groups) =>
        new(id, network, "project", type, type == "local" ? null : "physnet", segment, 1500, mac, [new(ip, "subnet-1", "10.0.0.0/24", null)], [], true, "DOWN", owner, "device", portSecurity, groups, 1);

    public static SecurityGroupRuleDetails Rule(string direction, int? protocol = null, int? min = null, int? max = null, string? prefix = null, string? group = null, string etherType = "IPv4") =>
        new(Guid.NewGuid().ToString(), direction, etherType, protocol, min, max, prefix, group);

    /// <summary>A group with rules; everything may go out.</summary>
    public async Task SetGroupAsync(string id, params SecurityGroupRuleDetails[] rules)
    {
        Groups[id] = new(id, true, 1, [Rule("egress"), Rule("egress", etherType: "IPv6"), .. rules]);
        await bus.FanoutAsync(OpenVSwitchContracts.SecurityGroupsChanged, new SecurityGroupsHint([id]));
    }

    public async Task SetDeviceAsync(DeviceDetails device)
    {
        Devices[device.PortId] = device;
        await bus.CastAsync(OpenVSwitchContracts.PortChanged, new PortHint(device.PortId, device.NetworkId, device.Revision), Host);
    }

    public async Task DeleteDeviceAsync(string id)
    {
        if (Devices.TryRemove(id, out var device))
        {
            await bus.CastAsync(OpenVSwitchContracts.PortDeleted, new PortHint(id, device.NetworkId, device.Revision), Host);
        }
    }

    public async Task WaitStatusAsync(string port, string status, CancellationToken cancellationToken)
    {
        while (true)
        {
            var signal = reported.Task;
            if (Status.GetValueOrDefault(port) == status)
            {
                return;
            }

            await signal.WaitAsync(cancellationToken);
        }
    }

    private IReadOnlyList<AddressPair> Members(string group) =>
        [.. Devices.Values.Where(device => device.SecurityGroupIds.Contains(group)).SelectMany(device => device.FixedIps.Select(ip => new AddressPair(device.MacAddress, ip.IpAddress)))];
}
