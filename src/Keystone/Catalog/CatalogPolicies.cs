using SharpStack.Foundation.Policy;

namespace SharpStack.Keystone.Catalog;

internal static class CatalogPolicies
{
    public static readonly PolicyRule[] Rules =
    [
        new("identity:get_region", "", "Show region details.", PolicyScope.All),
        new("identity:list_regions", "", "List regions.", PolicyScope.All),
        new("identity:create_region", Checks.Admin, "Create region.", PolicyScope.System | PolicyScope.Project, new("identity:create_region", Checks.Admin)),
        new("identity:update_region", Checks.Admin, "Update region.", PolicyScope.System | PolicyScope.Project, new("identity:update_region", Checks.Admin)),
        new("identity:delete_region", Checks.Admin, "Delete region.", PolicyScope.System | PolicyScope.Project, new("identity:delete_region", Checks.Admin)),
        new(
            "identity:get_service",
            Checks.AdminOrSystemReader,
            "Show service details.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:get_service", Checks.Admin)),
        new(
            "identity:list_services",
            Checks.AdminOrSystemReader,
            "List services.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:list_services", Checks.Admin)),
        new("identity:create_service", Checks.Admin, "Create service.", PolicyScope.System | PolicyScope.Project, new("identity:create_service", Checks.Admin)),
        new("identity:update_service", Checks.Admin, "Update service.", PolicyScope.System | PolicyScope.Project, new("identity:update_service", Checks.Admin)),
        new("identity:delete_service", Checks.Admin, "Delete service.", PolicyScope.System | PolicyScope.Project, new("identity:delete_service", Checks.Admin)),
        new(
            "identity:get_endpoint",
            Checks.AdminOrSystemReader,
            "Show endpoint details.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:get_endpoint", Checks.Admin)),
        new(
            "identity:list_endpoints",
            Checks.AdminOrSystemReader,
            "List endpoints.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:list_endpoints", Checks.Admin)),
        new(
            "identity:create_endpoint",
            Checks.Admin,
            "Create endpoint.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:create_endpoint", Checks.Admin)),
        new(
            "identity:update_endpoint",
            Checks.Admin,
            "Update endpoint.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:update_endpoint", Checks.Admin)),
        new(
            "identity:delete_endpoint",
            Checks.Admin,
            "Delete endpoint.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:delete_endpoint", Checks.Admin)),
    ];
}
