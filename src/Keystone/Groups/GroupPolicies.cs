using SharpStack.Foundation.Policy;

namespace SharpStack.Keystone.Groups;

internal static class GroupPolicies
{
    public static readonly PolicyRule[] Rules =
    [
        new(
            "identity:get_group",
            "(rule:admin_required) or (role:reader and system_scope:all) or (role:reader and "
            + "domain_id:%(target.group.domain_id)s)",
            "Show group details.",
            PolicyScope.All,
            new("identity:get_group", Checks.Admin)),
        new(
            "identity:list_groups",
            "(rule:admin_required) or (role:reader and system_scope:all) or (role:reader and "
            + "domain_id:%(target.group.domain_id)s)",
            "List groups.",
            PolicyScope.All,
            new("identity:list_groups", Checks.Admin)),
        new(
            "identity:list_groups_for_user",
            "(rule:admin_required) or (role:reader and system_scope:all) or (role:reader and "
            + "domain_id:%(target.user.domain_id)s) or user_id:%(user_id)s",
            "List groups to which a user belongs.",
            PolicyScope.All,
            new("identity:list_groups_for_user", "rule:admin_or_owner")),
        new("identity:create_group", Checks.Admin, "Create group.", PolicyScope.All, new("identity:create_group", Checks.Admin)),
        new("identity:update_group", Checks.Admin, "Update group.", PolicyScope.All, new("identity:update_group", Checks.Admin)),
        new("identity:delete_group", Checks.Admin, "Delete group.", PolicyScope.All, new("identity:delete_group", Checks.Admin)),
        new(
            "identity:list_users_in_group",
            "(rule:admin_required) or (role:reader and system_scope:all) or (role:reader and "
            + "domain_id:%(target.group.domain_id)s)",
            "List members of a specific group.",
            PolicyScope.All,
            new("identity:list_users_in_group", Checks.Admin)),
        new("identity:remove_user_from_group", Checks.Admin, "Remove user from group.", PolicyScope.All, new("identity:remove_user_from_group", Checks.Admin)),
        new(
            "identity:check_user_in_group",
            "(rule:admin_required) or (role:reader and system_scope:all) or (role:reader and "
            + "domain_id:%(target.group.domain_id)s and domain_id:%(target.user.domain_id)s)",
            "Check whether a user is a member of a group.",
            PolicyScope.All,
            new("identity:check_user_in_group", Checks.Admin)),
        new("identity:add_user_to_group", Checks.Admin, "Add user to group.", PolicyScope.All, new("identity:add_user_to_group", Checks.Admin)),
    ];
}
