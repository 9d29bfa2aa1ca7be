using SharpStack.Neutron.Agents;
using SharpStack.Neutron.Contracts;
using SharpStack.Neutron.Ports;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.Ml2;

/// <summary><c>l2population</c>: binds nothing; agents hear from it when they should ask anew where a network's ports are.</summary>
internal sealed class L2PopulationMechanismDriver : IMechanismDriver
{
    public const string DriverName = "l2population";

    public string Name => DriverName;

    public PortBinding? TryBind(PortRow port, Segment segment, IReadOnlyList<Agent> agents, string? trunkId) => null;

    public void PortChanged(Work work, PortRow port, string previousStatus)
    {
        if (port.Status == PortOperations.Active || previousStatus == PortOperations.Active)
        {
            work.Hint(bus => bus.FanoutAsync(OpenVSwitchContracts.ForwardingChanged, new NetworkHint(port.NetworkId)));
        }
    }
}
