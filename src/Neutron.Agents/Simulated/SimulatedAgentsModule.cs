using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Hosting;

namespace SharpStack.Neutron.Agents.Simulated;

/// <summary>Simulated OVS and DHCP agents, beside Nova's fake compute driver. Never together with the real ones.</summary>
public sealed class SimulatedAgentsModule : IServiceModule
{
    public const string ServiceName = "neutron-simulated-agents";

    public IReadOnlyList<string> Services => [ServiceName];

    public IEnumerable<(string Config, ConfigOption Option)> Options =>
        [("neutron", AgentOptions.BridgeMappings), ("neutron", AgentOptions.SimulatedHosts), .. ConfigOption.DeclaredIn(typeof(ResourceProviderOptions)).Select(option => ("neutron", option))];

    public void Register(ModuleContext context) => context.AddWorker<SimulatedHosts>();
}
