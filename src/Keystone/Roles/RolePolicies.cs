using SharpStack.Foundation.Policy;

namespace SharpStack.Keystone.Roles;

internal static class RolePolicies
{
    public static readonly PolicyRule[] Rules =
    [
        new(
            "identity:get_role",
            Checks.AdminOrSystemReader,
            "Show role details.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:get_role", Checks.Admin)),
        new(
            "identity:list_roles",
            Checks.AdminOrSystemReader,
            "List roles.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:list_roles", Checks.Admin)),
        new("identity:create_role", Checks.Admin, "Create role.", PolicyScope.System | PolicyScope.Project, new("identity:create_role", Checks.Admin)),
        new("identity:update_role", Checks.Admin, "Update role.", PolicyScope.System | PolicyScope.Project, new("identity:update_role", Checks.Admin)),
        new("identity:delete_role", Checks.Admin, "Delete role.", PolicyScope.System | PolicyScope.Project, new("identity:delete_role", Checks.Admin)),
        new(
            "identity:get_domain_role",
            Checks.AdminOrSystemReader,
            "Show domain role.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:get_domain_role", Checks.Admin)),
        new(
            "identity:list_domain_roles",
            Checks.AdminOrSystemReader,
            "List domain roles.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:list_domain_roles", Checks.Admin)),
        new(
            "identity:create_domain_role",
            Checks.Admin,
            "Create domain role.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:create_domain_role", Checks.Admin)),
        new(
            "identity:update_domain_role",
            Checks.Admin,
            "Update domain role.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:update_domain_role", Checks.Admin)),
        new(
            "identity:delete_domain_role",
            Checks.Admin,
            "Delete domain role.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:delete_domain_role", Checks.Admin)),
        new(
            "identity:get_implied_role",
            Checks.AdminOrSystemReader,
            "Get information about an association between two roles. When a relationship exists between a prior role and an implied role and the prior role is assigned to a user, the user also assumes the implied role.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:get_implied_role", Checks.Admin)),
        new(
            "identity:list_implied_roles",
            Checks.AdminOrSystemReader,
            "List associations between two roles. When a relationship exists between a prior role and an implied role and the prior role is assigned to a user, the user also assumes the implied role. This will return all the implied roles that would be assumed by the user who gets the specified prior role.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:list_implied_roles", Checks.Admin)),
        new(
            "identity:create_implied_role",
            Checks.Admin,
            "Create an association between two roles. When a relationship exists between a prior role and an implied role and the prior role is assigned to a user, the user also assumes the implied role.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:create_implied_role", Checks.Admin)),
        new(
            "identity:delete_implied_role",
            Checks.Admin,
            "Delete the association between two roles. When a relationship exists between a prior role and an implied role and the prior role is assigned to a user, the user also assumes the implied role. Removing the association will cause that effect to be eliminated.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:delete_implied_role", Checks.Admin)),
        new(
            "identity:list_role_inference_rules",
            Checks.AdminOrSystemReader,
            "List all associations between two roles in the system. When a relationship exists between a prior role and an implied role and the prior role is assigned to a user, the user also assumes the implied role.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:list_role_inference_rules", Checks.Admin)),
        new(
            "identity:check_implied_role",
            Checks.AdminOrSystemReader,
            "Check an association between two roles. When a relationship exists between a prior role and an implied role and the prior role is assigned to a user, the user also assumes the implied role.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:check_implied_role", Checks.Admin)),
    ];
}
