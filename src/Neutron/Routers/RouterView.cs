using SharpStack.Neutron.Api;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.Routers;

/// <summary>A router with its gateway and where it is served.</summary>
/// <param name="GatewayNetworkId">Null where it has no gateway.</param>
/// <param name="Zones">Of the agents that serve it.</param>
internal sealed record RouterView(
    RouterRow Row, string? GatewayNetworkId, IReadOnlyList<IpAllocationRow> GatewayIps, IReadOnlyList<string> Zones, IReadOnlyList<ConntrackHelperRow> ConntrackHelpers, IReadOnlyList<string> Tags)
    : IResourceView<RouterRow>;
