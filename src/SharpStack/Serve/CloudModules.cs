using SharpStack.Foundation.Hosting;
using SharpStack.Foundation.Observability;
using SharpStack.Glance;
using SharpStack.Keystone;
using SharpStack.Neutron;
using SharpStack.Neutron.Agents.Dhcp;
using SharpStack.Neutron.Agents.L3;
using SharpStack.Neutron.Agents.Metadata;
using SharpStack.Neutron.Agents.OpenVSwitch;
using SharpStack.Neutron.Agents.Simulated;
using SharpStack.Nova;
using SharpStack.Nova.Compute;
using SharpStack.Placement;

namespace SharpStack.Serve;

/// <summary>All that this program can run.</summary>
internal static class CloudModules
{
    /// <param name="fake">Whether hosts have the fake driver, and so no switch.</param>
    public static IReadOnlyList<IServiceModule> All(bool fake) =>
    [
        new KeystoneModule(),
        new GlanceModule(),
        new PlacementModule(),
        new NeutronModule(),
        new NovaModule(),
        new ComputeModule(),
        .. fake ? [new SimulatedAgentsModule()] : new IServiceModule[] { new OpenVSwitchAgentModule(), new DhcpAgentModule(), new L3AgentModule(), new MetadataAgentModule() },
        new MetricsModule(),
    ];

    /// <summary>All of this machine or, where simulated agents are among the services, of fake ones.</summary>
    /// <param name="services">The services named; null for all.</param>
    public static IReadOnlyList<IServiceModule> For(IReadOnlySet<string>? services, bool fake) => All(fake || services?.Contains(SimulatedAgentsModule.ServiceName) == true);

    /// <summary>The names of everything that there is.</summary>
    public static IReadOnlyCollection<string> Services { get; } = [.. All(fake: true).Concat(All(fake: false)).SelectMany(module => module.Services).Distinct()];
}
