using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging;
using SharpStack.Foundation.Bus;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Hosting;
using SharpStack.Foundation.Reconciling;
using SharpStack.Neutron.Agents.OpenVSwitch;
using SharpStack.Neutron.Contracts;

namespace SharpStack.Neutron.Agents.Metadata;

/// <summary>
/// neutron-metadata-agent: keeps the sockets in the networks' namespaces and reports. A DHCP agent in this process tells it of namespaces at
/// once; those of another are found by looking.
/// </summary>
internal sealed class MetadataAgent : IWorker, IAsyncDisposable
{
    private static readonly TimeSpan ScanPeriod = TimeSpan.FromSeconds(10);

    private readonly ServiceConfig config;
    private readonly string host;
    private readonly Reconciler<string> scanning;
    private readonly AgentHeartbeat heartbeat;

    public MetadataAgent(MetadataSettings settings, HostOptions host, MetadataSockets sockets, IMessageBus bus, TimeProvider time, ILogger<MetadataAgent> log)
    {
        config = settings.Config;
        this.host = host.HostName;
        scanning = new Reconciler<string>(
            "metadata-agent",
            (_, _) =>
            {
                sockets.Scan();
                return Task.FromResult(ReconcileResult.Done);
            },
            _ => Task.FromResult<IReadOnlyCollection<string>>(["namespaces"]),
            new ReconcilerOptions { Parallelism = 1, FullPeriod = ScanPeriod },
            time,
            log);
        heartbeat = new AgentHeartbeat(bus, Report, scanning.EnqueueAll, TimeSpan.FromSeconds(config.Get(OpenVSwitchAgentOptions.ReportInterval)), time, log);
    }

    public Task StartAsync(CancellationToken cancellationToken)
    {
        scanning.Start();
        heartbeat.Start();
        return Task.CompletedTask;
    }

    public async Task StopAsync(CancellationToken cancellationToken) => await DisposeAsync();

    public async ValueTask DisposeAsync()
    {
        await heartbeat.DisposeAsync();
        await scanning.DisposeAsync();
    }

    private AgentReport Report(bool first) => new(
        AgentTypes.Metadata,
        AgentTypes.MetadataBinary,
        host,
        new JsonObject
        {
            ["nova_metadata_host"] = config.Get(MetadataAgentOptions.NovaMetadataHost),
            ["nova_metadata_port"] = config.Get(MetadataAgentOptions.NovaMetadataPort),
            ["log_agent_heartbeats"] = false,
        },
        first);
}
