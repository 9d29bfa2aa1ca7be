using SharpStack.Neutron.Agents;
using SharpStack.Neutron.Api;
using SharpStack.Neutron.Contracts;
using SharpStack.Neutron.PlacementReports;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.Ml2;

/// <summary><c>openvswitch</c>: needs a live OVS agent on the host that reaches the segment.</summary>
internal sealed class OpenVSwitchMechanismDriver : IMechanismDriver
{
    public const string DriverName = "openvswitch";

    /// <summary>The kinds of ports that it binds.</summary>
    public static readonly IReadOnlyList<string> VnicTypes = ["normal"];

    public string Name => DriverName;

    public PortBinding? TryBind(PortRow port, Segment segment, IReadOnlyList<Agent> agents, string? trunkId)
    {
        if (!VnicTypes.Contains(port.VnicType))
        {
            return null;
        }

        var given = PortAllocation.Read(port.Profile).Values;
        var agent = agents.FirstOrDefault(agent => agent.Row.AgentType == AgentTypes.OpenVSwitch && agent.Row.AdminStateUp && Reaches(agent, segment)
            && given.All(provider => AgentResources.IsGivenBy(agent, segment, provider)));
        return agent is null ? null : new PortBinding("ovs", JsonText.Of(json =>
        {
            json.WriteStartObject();
            json.WriteString("connectivity", "l2");
            json.WriteBoolean("port_filter", true);
            json.WriteBoolean("ovs_hybrid_plug", false);
            json.WriteString("datapath_type", agent.Text("datapath_type") ?? "system");
            json.WriteString("bridge_name", trunkId is not null ? DeviceTrunk.BridgeOf(trunkId) : agent.Text("integration_bridge") ?? "br-int");
            json.WriteStartObject("bound_drivers");
            json.WriteString("0", Name);
            json.WriteEndObject();
            json.WriteEndObject();
        }));
    }

    private static bool Reaches(Agent agent, Segment segment) => segment.NetworkType switch
    {
        "local" => true,
        "flat" or "vlan" => agent.Object("bridge_mappings").ContainsKey(segment.PhysicalNetwork!),
        var tunnel => agent.Texts("tunnel_types").Contains(tunnel),
    };
}
