using SharpStack.Foundation.Policy;

namespace SharpStack.Keystone.Assignments;

internal static class AssignmentPolicies
{
    public static readonly PolicyRule[] Rules =
    [
        new(
            "identity:check_grant",
            "(rule:admin_required) or ((role:reader and system_scope:all) or ((role:reader and "
            + "domain_id:%(target.user.domain_id)s and domain_id:%(target.project.domain_id)s) or (role:reader and "
            + "domain_id:%(target.user.domain_id)s and domain_id:%(target.domain.id)s) or (role:reader and "
            + "domain_id:%(target.group.domain_id)s and domain_id:%(target.project.domain_id)s) or (role:reader and "
            + "domain_id:%(target.group.domain_id)s and domain_id:%(target.domain.id)s)) and "
            + "(domain_id:%(target.role.domain_id)s or None:%(target.role.domain_id)s))",
            "Check a role grant between a target and an actor. A target can be either a domain or a project. An actor can be either a user or a group. These terms also apply to the OS-INHERIT APIs, where grants on the target are inherited to all projects in the subtree, if applicable.",
            PolicyScope.All,
            new("identity:check_grant", Checks.Admin)),
        new(
            "identity:list_grants",
            "(rule:admin_required) or ((role:reader and system_scope:all) or (role:reader and "
            + "domain_id:%(target.user.domain_id)s and domain_id:%(target.project.domain_id)s) or (role:reader and "
            + "domain_id:%(target.user.domain_id)s and domain_id:%(target.domain.id)s) or (role:reader and "
            + "domain_id:%(target.group.domain_id)s and domain_id:%(target.project.domain_id)s) or (role:reader and "
            + "domain_id:%(target.group.domain_id)s and domain_id:%(target.domain.id)s))",
            "List roles granted to an actor on a target. A target can be either a domain or a project. An actor can be either a user or a group. For the OS-INHERIT APIs, it is possible to list inherited role grants for actors on domains, where grants are inherited to all projects in the specified domain.",
            PolicyScope.All,
            new("identity:list_grants", Checks.Admin)),
        new(
            "identity:create_grant",
            "(rule:admin_required) or ((role:admin and domain_id:%(target.user.domain_id)s and "
            + "domain_id:%(target.project.domain_id)s) or (role:admin and domain_id:%(target.user.domain_id)s and "
            + "domain_id:%(target.domain.id)s) or (role:admin and domain_id:%(target.group.domain_id)s and "
            + "domain_id:%(target.project.domain_id)s) or (role:admin and domain_id:%(target.group.domain_id)s and "
            + "domain_id:%(target.domain.id)s)) and (domain_id:%(target.role.domain_id)s or None:%(target.role.domain_id)s)",
            "Create a role grant between a target and an actor. A target can be either a domain or a project. An actor can be either a user or a group. These terms also apply to the OS-INHERIT APIs, where grants on the target are inherited to all projects in the subtree, if applicable.",
            PolicyScope.All,
            new("identity:create_grant", Checks.Admin)),
        new(
            "identity:revoke_grant",
            "(rule:admin_required) or ((role:admin and domain_id:%(target.user.domain_id)s and "
            + "domain_id:%(target.project.domain_id)s) or (role:admin and domain_id:%(target.user.domain_id)s and "
            + "domain_id:%(target.domain.id)s) or (role:admin and domain_id:%(target.group.domain_id)s and "
            + "domain_id:%(target.project.domain_id)s) or (role:admin and domain_id:%(target.group.domain_id)s and "
            + "domain_id:%(target.domain.id)s)) and (domain_id:%(target.role.domain_id)s or None:%(target.role.domain_id)s)",
            "Revoke a role grant between a target and an actor. A target can be either a domain or a project. An actor can be either a user or a group. These terms also apply to the OS-INHERIT APIs, where grants on the target are inherited to all projects in the subtree, if applicable. In that case, revoking the role grant in the target would remove the logical effect of inheriting it to the target's projects subtree.",
            PolicyScope.All,
            new("identity:revoke_grant", Checks.Admin)),
        new(
            "identity:list_system_grants_for_user",
            Checks.AdminOrSystemReader,
            "List all grants a specific user has on the system.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:list_system_grants_for_user", Checks.Admin)),
        new(
            "identity:check_system_grant_for_user",
            Checks.AdminOrSystemReader,
            "Check if a user has a role on the system.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:check_system_grant_for_user", Checks.Admin)),
        new(
            "identity:create_system_grant_for_user",
            Checks.Admin,
            "Grant a user a role on the system.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:create_system_grant_for_user", Checks.Admin)),
        new(
            "identity:revoke_system_grant_for_user",
            Checks.Admin,
            "Remove a role from a user on the system.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:revoke_system_grant_for_user", Checks.Admin)),
        new(
            "identity:list_system_grants_for_group",
            Checks.AdminOrSystemReader,
            "List all grants a specific group has on the system.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:list_system_grants_for_group", Checks.Admin)),
        new(
            "identity:check_system_grant_for_group",
            Checks.AdminOrSystemReader,
            "Check if a group has a role on the system.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:check_system_grant_for_group", Checks.Admin)),
        new(
            "identity:create_system_grant_for_group",
            Checks.Admin,
            "Grant a group a role on the system.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:create_system_grant_for_group", Checks.Admin)),
        new(
            "identity:revoke_system_grant_for_group",
            Checks.Admin,
            "Remove a role from a group on the system.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:revoke_system_grant_for_group", Checks.Admin)),
        new(
            "identity:list_role_assignments",
            "(rule:admin_required) or (role:reader and system_scope:all) or (role:reader and domain_id:%(target.domain_id)s "
            + "and not None:%(target.domain_id)s)",
            "List role assignments.",
            PolicyScope.All,
            new("identity:list_role_assignments", Checks.Admin)),
        new(
            "identity:list_role_assignments_for_tree",
            "(rule:admin_required) or (role:reader and system_scope:all) or (role:reader and domain_id:%(target.domain_id)s "
            + "and not None:%(target.domain_id)s)",
            "List all role assignments for a given tree of hierarchical projects.",
            PolicyScope.All,
            new("identity:list_role_assignments_for_tree", Checks.Admin)),
    ];
}
