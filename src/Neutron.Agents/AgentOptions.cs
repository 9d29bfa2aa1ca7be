using SharpStack.Foundation.Configuration;

namespace SharpStack.Neutron.Agents;

/// <summary>Options that more than one agent reads.</summary>
internal static class AgentOptions
{
    public static readonly ConfigOption<IReadOnlyDictionary<string, string>> BridgeMappings =
        new("ovs", "bridge_mappings", new Dictionary<string, string>(), "Physical networks and the bridges of this host that reach them, as physnet:bridge, comma separated.");

    public static readonly ConfigOption<int> SimulatedHosts =
        new("sharpstack", "simulated_hosts", 1, "With neutron-simulated-agents: how many hosts this process stands for; more than one are named HOST-1, HOST-2 and so on.") { Min = 1 };
}
