using SharpStack.Neutron.Agents;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.Ml2;

/// <summary>How a bound port is plugged: what Nova reads.</summary>
/// <param name="VifDetails">JSON text.</param>
internal sealed record PortBinding(string VifType, string VifDetails);

/// <summary>A mechanism of ML2 that can wire ports on hosts, registered by its name: <c>openvswitch</c>.</summary>
internal interface IMechanismDriver
{
    string Name { get; }

    /// <summary>Tries to bind a port on a host to a segment.</summary>
    /// <param name="agents">The live agents of that host.</param>
    /// <param name="trunkId">The trunk that the port carries; null for none.</param>
    /// <returns>Null where this driver cannot.</returns>
    PortBinding? TryBind(PortRow port, Segment segment, IReadOnlyList<Agent> agents, string? trunkId);

    /// <summary>A port's status, host or addresses changed, or it goes; called within the transaction.</summary>
    void PortChanged(Work work, PortRow port, string previousStatus)
    {
    }
}
