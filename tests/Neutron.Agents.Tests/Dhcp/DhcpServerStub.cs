using System.Collections.Concurrent;
using SharpStack.Foundation.Bus;
using SharpStack.Neutron.Contracts;

namespace SharpStack.Neutron.Agents.Tests.Dhcp;

/// <summary>The server's side of the DHCP agents' contracts, with networks that the test sets.</summary>
internal sealed class DhcpServerStub : IDisposable
{
    private readonly IMessageBus bus;
    private readonly string host;
    private readonly List<IDisposable> served = [];

    public DhcpServerStub(IMessageBus bus, string host)
    {
        this.bus = bus;
        this.host = host;
        served.Add(bus.Serve(DhcpContracts.GetNetworks, null, (request, _) => Task.FromResult(new DhcpNetworksAnswer(
            [.. Networks.Values.Where(network => request.NetworkIds?.Contains(network.Id) ?? true)],
            [.. (request.NetworkIds ?? []).Where(id => !Networks.ContainsKey(id))]))));
        served.Add(bus.Serve(DhcpContracts.GetPorts, null, (request, _) =>
        {
            var ports = Networks.Values.SelectMany(network => network.Ports).Where(port => request.PortIds.Contains(port.Id)).ToList();
            return Task.FromResult(new DhcpPortsAnswer(ports, [.. request.PortIds.Where(id => ports.TrueForAll(port => port.Id != id))]));
        }));
        served.Add(bus.Serve(DhcpContracts.EnsureDhcpPort, null, (request, _) => Task.FromResult(new DhcpPortAnswer(EnsurePort(request.NetworkId)))));
        served.Add(bus.Serve(DhcpContracts.ReleaseDhcpPort, null, (request, _) =>
        {
            Released.Add(request.NetworkId);
            return Task.FromResult(Ack.Ok);
        }));
        served.Add(bus.Serve(DhcpContracts.ReportReady, null, (report, _) =>
        {
            report.PortIds.ToList().ForEach(Ready.Add);
            return Task.FromResult(Ack.Ok);
        }));
        served.Add(bus.Serve(AgentContracts.ReportState, null, (report, _) =>
        {
            Reports.Add(report);
            return Task.FromResult(new AgentReportAnswer("agent", "alive", false, true));
        }));
    }

    public ConcurrentDictionary<string, DhcpNetwork> Networks { get; } = new();

    public ConcurrentBag<string> Ready { get; } = [];

    public ConcurrentBag<string> Released { get; } = [];

    public ConcurrentBag<AgentReport> Reports { get; } = [];

    public void AddPort(DhcpPort port)
    {
        var network = Networks[port.NetworkId];
        Networks[port.NetworkId] = network with { Ports = [.. network.Ports, port] };
    }

    public void RemovePort(DhcpPort port)
    {
        var network = Networks[port.NetworkId];
        Networks[port.NetworkId] = network with { Ports = [.. network.Ports.Where(other => other.Id != port.Id)] };
    }

    public async Task HintAsync(DhcpPort port) => await bus.CastAsync(DhcpContracts.PortChanged, new PortHint(port.Id, port.NetworkId, port.Revision), host);

    public async Task HintAsync(string networkId) => await bus.CastAsync(DhcpContracts.NetworkChanged, new NetworkHint(networkId), host);

    public void Dispose() => served.ForEach(registration => registration.Dispose());

    private DhcpPort? EnsurePort(string networkId)
    {
        if (!Networks.TryGetValue(networkId, out var network))
        {
            return null;
        }

        var deviceId = DhcpNames.DeviceId(host, networkId);
        if (network.Ports.FirstOrDefault(port => port.DeviceId == deviceId) is { } known)
        {
            return known;
        }

        var made = DhcpSamples.Port(network, 2) with { DeviceOwner = DhcpNames.DeviceOwner, DeviceId = deviceId };
        AddPort(made);
        return made;
    }
}

/// <summary>A network with one subnet, and ports in it.</summary>
internal static class DhcpSamples
{
    public static DhcpSubnet Subnet(string id = "5e1b5c3a-0000-4000-8000-000000000001", string cidr = "10.3.0.0/24", string? gateway = "10.3.0.1") =>
        new(id, "subnet", cidr, 4, gateway, true, [new AddressRange("10.3.0.2", "10.3.0.254")], [], [], null, null);

    public static DhcpNetwork Network(params DhcpSubnet[] subnets) =>
        new(Guid.NewGuid().ToString("D"), "project", true, 1450, null, 1, subnets.Length > 0 ? subnets : [Subnet()], []);

    /// <summary>A port with the address whose last byte is given.</summary>
    public static DhcpPort Port(DhcpNetwork network, byte last) => new(
        Guid.NewGuid().ToString("D"),
        network.Id,
        $"fa:16:3e:00:00:{last:x2}",
        true,
        "compute:nova",
        "instance",
        [new DhcpAddress($"10.3.0.{last}", network.Subnets[0].Id)],
        null,
        [],
        1);
}
