using SharpStack.Neutron.Agents;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.Ml2;

/// <summary><c>l2population</c>: binds nothing; where it is configured the agents are told where each address is, and learn none.</summary>
internal sealed class L2PopulationMechanismDriver : IMechanismDriver
{
    public const string DriverName = "l2population";

    public string Name => DriverName;

    public PortBinding? TryBind(PortRow port, Segment segment, IReadOnlyList<Agent> agents) => null;
}
