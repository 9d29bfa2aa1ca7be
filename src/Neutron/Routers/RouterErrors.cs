using SharpStack.Foundation;
using SharpStack.Neutron.Api;

namespace SharpStack.Neutron.Routers;

internal static class RouterErrors
{
    public static CloudException NotFound(string id) => NeutronErrors.NotFound("RouterNotFound", $"Router {id} could not be found");

    public static CloudException InUse(string id, string reason) => NeutronErrors.Conflict("RouterInUse", $"Router {id} {reason}");

    public static CloudException Bad(string message) => NeutronErrors.BadRequest("router", message);

    public static CloudException GatewayInUse(string id, string networkId) => NeutronErrors.Conflict(
        "RouterExternalGatewayInUseByFloatingIp", $"Gateway cannot be updated for router {id}, since a gateway to external network {networkId} is required by one or more floating IPs.");

    public static CloudException InterfaceInUseByFloatingIp(string id, string subnetId) => NeutronErrors.Conflict(
        "RouterInterfaceInUseByFloatingIP", $"Router interface for subnet {subnetId} on router {id} cannot be deleted, as it is required by one or more floating IPs.");

    public static CloudException InterfaceInUseByRoute(string id, string subnetId) => NeutronErrors.Conflict(
        "RouterInterfaceInUseByRoute", $"Router interface for subnet {subnetId} on router {id} cannot be deleted, as it is required by one or more routes.");

    public static CloudException InvalidRoutes(string routes, string reason) => CloudException.BadRequest($"Invalid format for routes: {routes}, {reason}", "InvalidRoutes");
}
