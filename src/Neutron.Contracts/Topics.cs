using SharpStack.Foundation.Bus;

namespace SharpStack.Neutron.Contracts;

/// <summary>Who serves what.</summary>
public static class NeutronTopics
{
    /// <summary>The server: questions and reports of agents; any server process may answer.</summary>
    public static readonly BusTopic Server = new("neutron", "q-plugin");

    /// <summary>OVS agents, each also at its host.</summary>
    public static readonly BusTopic OpenVSwitchAgent = new("neutron", "q-agent-notifier");

    /// <summary>DHCP agents, each also at its host.</summary>
    public static readonly BusTopic DhcpAgent = new("neutron", "dhcp_agent");

    /// <summary>L3 agents, each also at its host.</summary>
    public static readonly BusTopic L3Agent = new("neutron", "l3_agent");
}

/// <summary>Neutron's names of the agents, as <c>openstack network agent list</c> shows them: type, binary.</summary>
public static class AgentTypes
{
    public const string OpenVSwitch = "Open vSwitch agent";
    public const string OpenVSwitchBinary = "neutron-openvswitch-agent";
    public const string Dhcp = "DHCP agent";
    public const string DhcpBinary = "neutron-dhcp-agent";
    public const string L3 = "L3 agent";
    public const string L3Binary = "neutron-l3-agent";
    public const string Metadata = "Metadata agent";
    public const string MetadataBinary = "neutron-metadata-agent";
}
