using SharpStack.Foundation.Hosting;
using SharpStack.Foundation.Observability;
using SharpStack.Glance;
using SharpStack.Keystone;
using SharpStack.Neutron;
using SharpStack.Neutron.Agents.Dhcp;
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
        .. fake ? [new SimulatedAgentsModule()] : new IServiceModule[] { new OpenVSwitchAgentModule(), new DhcpAgentModule(), new MetadataAgentModule() },
        new MetricsModule(),
    ];
}
