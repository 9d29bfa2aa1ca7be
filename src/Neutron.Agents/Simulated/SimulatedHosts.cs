using Microsoft.Extensions.Logging;
using SharpStack.Foundation.Bus;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Hosting;

namespace SharpStack.Neutron.Agents.Simulated;

/// <summary>The simulated agents of this process's host, or of as many as <c>[sharpstack] simulated_hosts</c> says.</summary>
internal sealed class SimulatedHosts(HostOptions options, IMessageBus bus, TimeProvider time, ILogger<SimulatedAgents> log) : IWorker, IAsyncDisposable
{
    private readonly List<SimulatedAgents> hosts = [];

    public Task StartAsync(CancellationToken cancellationToken)
    {
        var config = options.Configs.GetValueOrDefault("neutron") ?? ServiceConfig.Empty("neutron");
        var count = config.Get(AgentOptions.SimulatedHosts);
        hosts.AddRange((count == 1 ? [options.HostName] : Enumerable.Range(1, count).Select(number => $"{options.HostName}-{number}"))
            .Select(host => new SimulatedAgents(host, config, bus, time, log)));
        hosts.ForEach(host => host.Start());
        return Task.CompletedTask;
    }

    public Task StopAsync(CancellationToken cancellationToken) => Task.WhenAll(hosts.Select(host => host.DisposeAsync().AsTask()));

    public async ValueTask DisposeAsync() => await StopAsync(CancellationToken.None);
}
