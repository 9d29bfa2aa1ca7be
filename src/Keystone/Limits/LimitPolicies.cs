using SharpStack.Foundation.Policy;

namespace SharpStack.Keystone.Limits;

internal static class LimitPolicies
{
    public static readonly PolicyRule[] Rules =
    [
        new("identity:get_limit_model", "", "Get limit enforcement model.", PolicyScope.All),
        new(
            "identity:get_limit",
            "rule:admin_required or (role:reader and system_scope:all) or (domain_id:%(target.limit.domain.id)s or "
            + "domain_id:%(target.limit.project.domain_id)s) or (project_id:%(target.limit.project_id)s and not "
            + "None:%(target.limit.project_id)s)",
            "Show limit details.",
            PolicyScope.All),
        new("identity:list_limits", "", "List limits.", PolicyScope.All),
        new("identity:create_limits", Checks.Admin, "Create limits.", PolicyScope.System | PolicyScope.Project),
        new("identity:update_limit", Checks.Admin, "Update limit.", PolicyScope.System | PolicyScope.Project),
        new("identity:delete_limit", Checks.Admin, "Delete limit.", PolicyScope.System | PolicyScope.Project),
        new("identity:get_registered_limit", "", "Show registered limit details.", PolicyScope.All),
        new("identity:list_registered_limits", "", "List registered limits.", PolicyScope.All),
        new("identity:create_registered_limits", Checks.Admin, "Create registered limits.", PolicyScope.System | PolicyScope.Project),
        new("identity:update_registered_limit", Checks.Admin, "Update registered limit.", PolicyScope.System | PolicyScope.Project),
        new("identity:delete_registered_limit", Checks.Admin, "Delete registered limit.", PolicyScope.System | PolicyScope.Project),
    ];
}
