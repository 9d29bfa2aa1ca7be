using SharpStack.Foundation.Policy;

namespace SharpStack.Keystone.Catalog;

internal static class EndpointFilterPolicies
{
    public static readonly PolicyRule[] Rules =
    [
        new(
            "identity:create_endpoint_group",
            Checks.Admin,
            "Create endpoint group.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:create_endpoint_group", Checks.Admin)),
        new(
            "identity:list_endpoint_groups",
            Checks.AdminOrSystemReader,
            "List endpoint groups.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:list_endpoint_groups", Checks.Admin)),
        new(
            "identity:get_endpoint_group",
            Checks.AdminOrSystemReader,
            "Get endpoint group.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:get_endpoint_group", Checks.Admin)),
        new(
            "identity:update_endpoint_group",
            Checks.Admin,
            "Update endpoint group.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:update_endpoint_group", Checks.Admin)),
        new(
            "identity:delete_endpoint_group",
            Checks.Admin,
            "Delete endpoint group.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:delete_endpoint_group", Checks.Admin)),
        new(
            "identity:list_projects_associated_with_endpoint_group",
            Checks.AdminOrSystemReader,
            "List all projects associated with a specific endpoint group.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:list_projects_associated_with_endpoint_group", Checks.Admin)),
        new(
            "identity:list_endpoints_associated_with_endpoint_group",
            Checks.AdminOrSystemReader,
            "List all endpoints associated with an endpoint group.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:list_endpoints_associated_with_endpoint_group", Checks.Admin)),
        new(
            "identity:get_endpoint_group_in_project",
            Checks.AdminOrSystemReader,
            "Check if an endpoint group is associated with a project.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:get_endpoint_group_in_project", Checks.Admin)),
        new(
            "identity:list_endpoint_groups_for_project",
            Checks.AdminOrSystemReader,
            "List endpoint groups associated with a specific project.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:list_endpoint_groups_for_project", Checks.Admin)),
        new(
            "identity:add_endpoint_group_to_project",
            Checks.Admin,
            "Allow a project to access an endpoint group.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:add_endpoint_group_to_project", Checks.Admin)),
        new(
            "identity:remove_endpoint_group_from_project",
            Checks.Admin,
            "Remove endpoint group from project.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:remove_endpoint_group_from_project", Checks.Admin)),
        new(
            "identity:list_projects_for_endpoint",
            Checks.AdminOrSystemReader,
            "List projects allowed to access an endpoint.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:list_projects_for_endpoint", Checks.Admin)),
        new(
            "identity:add_endpoint_to_project",
            Checks.Admin,
            "Allow project to access an endpoint.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:add_endpoint_to_project", Checks.Admin)),
        new(
            "identity:check_endpoint_in_project",
            Checks.AdminOrSystemReader,
            "Check if a project is allowed to access an endpoint.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:check_endpoint_in_project", Checks.Admin)),
        new(
            "identity:list_endpoints_for_project",
            Checks.AdminOrSystemReader,
            "List the endpoints a project is allowed to access.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:list_endpoints_for_project", Checks.Admin)),
        new(
            "identity:remove_endpoint_from_project",
            Checks.Admin,
            "Remove access to an endpoint from a project that has previously been given explicit access.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:remove_endpoint_from_project", Checks.Admin)),
    ];
}
