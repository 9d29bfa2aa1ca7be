using SharpStack.Foundation.Policy;

namespace SharpStack.Keystone.Users;

internal static class UserPolicies
{
    public static readonly PolicyRule[] Rules =
    [
        new(
            "identity:get_user",
            "(rule:admin_required) or (role:reader and system_scope:all) or (role:reader and "
            + "token.domain.id:%(target.user.domain_id)s) or user_id:%(target.user.id)s",
            "Show user details.",
            PolicyScope.All,
            new("identity:get_user", "rule:admin_or_owner")),
        new(
            "identity:list_users",
            "(rule:admin_required) or (role:reader and system_scope:all) or (role:reader and domain_id:%(target.domain_id)s)",
            "List users.",
            PolicyScope.All,
            new("identity:list_users", Checks.Admin)),
        new("identity:list_projects_for_user", "", "List all projects a user has access to via role assignments.", PolicyScope.None),
        new("identity:list_domains_for_user", "", "List all domains a user has access to via role assignments.", PolicyScope.None),
        new("identity:create_user", Checks.Admin, "Create a user.", PolicyScope.All, new("identity:create_user", Checks.Admin)),
        new(
            "identity:update_user",
            Checks.Admin,
            "Update a user, including administrative password resets.",
            PolicyScope.All,
            new("identity:update_user", Checks.Admin)),
        new("identity:delete_user", Checks.Admin, "Delete a user.", PolicyScope.All, new("identity:delete_user", Checks.Admin)),
    ];
}
