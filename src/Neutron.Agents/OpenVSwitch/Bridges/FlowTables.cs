using SharpStack.OpenVSwitch;
using SharpStack.OpenVSwitch.Flows;

namespace SharpStack.Neutron.Agents.OpenVSwitch.Bridges;

/// <summary>The tables of br-int, by the numbers that OpenStack's agent gives them.</summary>
internal static class FlowTables
{
    public const byte LocalSwitching = 0;

    /// <summary>One flow that does nothing: where it is missing, the switch was restarted.</summary>
    public const byte Canary = 23;
    public const byte ArpSpoof = 24;
    public const byte MacSpoof = 25;
    public const byte Transient = 60;
    public const byte BaseEgress = 71;
    public const byte RulesEgress = 72;
    public const byte AcceptOrIngress = 73;
    public const byte BaseIngress = 81;
    public const byte RulesIngress = 82;
    public const byte AcceptedEgress = 91;
    public const byte AcceptedIngress = 92;
    public const byte Dropped = 93;
    public const byte AcceptedEgressNormal = 94;

    /// <summary>The register that holds the OpenFlow number of the port that a packet is of.</summary>
    public const int PortRegister = 5;

    /// <summary>The register that holds the local VLAN.</summary>
    public const int NetRegister = 6;

    /// <summary>The mark of the agent's flows: other flows are left alone. It is the same after a restart, so that nothing changes then.</summary>
    public const ulong Cookie = 0x5368_6172_7053_746b;

    /// <summary>Makes a flow of the agent's.</summary>
    public static Flow Flow(byte table, ushort priority, FlowMatch match, params ReadOnlySpan<FlowAction> actions) =>
        new(table, priority, match, EquatableArray.Create(actions)) { Cookie = Cookie };

    public static FlowMatch Packet => FlowMatch.Any;
}
