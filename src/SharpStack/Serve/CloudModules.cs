using SharpStack.Foundation.Hosting;
using SharpStack.Foundation.Observability;
using SharpStack.Keystone;
using SharpStack.Neutron.Agents.Simulated;
using SharpStack.Nova.Compute;

namespace SharpStack.Serve;

/// <summary>All that this program can run.</summary>
internal static class CloudModules
{
    /// <param name="fake">Whether hosts have the fake driver, and so no switch.</param>
    public static IReadOnlyList<IServiceModule> All(bool fake) =>
    [
        new KeystoneModule(),
        new ComputeModule(),
        .. fake ? [new SimulatedAgentsModule()] : Array.Empty<IServiceModule>(),
        new MetricsModule(),
    ];
}
