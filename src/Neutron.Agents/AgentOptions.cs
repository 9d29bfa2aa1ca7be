using SharpStack.Foundation.Configuration;

namespace SharpStack.Neutron.Agents;

/// <summary>Options that more than one agent reads.</summary>
internal static class AgentOptions
{
    public static readonly ConfigOption<IReadOnlyDictionary<string, string>> BridgeMappings =
        new("ovs", "bridge_mappings", new Dictionary<string, string>(), "Physical networks and the bridges of this host that reach them, as physnet:bridge, comma separated.");
}
