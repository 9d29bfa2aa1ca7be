using SharpStack.Foundation.Policy;

namespace SharpStack.Keystone.Projects;

internal static class ProjectPolicies
{
    public static readonly PolicyRule[] Rules =
    [
        new(
            "identity:get_project",
            "(role:reader and system_scope:all) or (role:reader and domain_id:%(target.project.domain_id)s) or "
            + "project_id:%(target.project.id)s",
            "Show project details.",
            PolicyScope.All,
            new("identity:get_project", "rule:admin_required or project_id:%(target.project.id)s")),
        new(
            "identity:list_projects",
            "(rule:admin_required) or (role:reader and system_scope:all) or (role:reader and domain_id:%(target.domain_id)s)",
            "List projects.",
            PolicyScope.All,
            new("identity:list_projects", Checks.Admin)),
        new(
            "identity:list_user_projects",
            "(rule:admin_required) or (role:reader and system_scope:all) or (role:reader and "
            + "domain_id:%(target.user.domain_id)s) or user_id:%(target.user.id)s",
            "List projects for user.",
            PolicyScope.All,
            new("identity:list_user_projects", "rule:admin_or_owner")),
        new("identity:create_project", Checks.Admin, "Create project.", PolicyScope.All, new("identity:create_project", Checks.Admin)),
        new("identity:update_project", Checks.Admin, "Update project.", PolicyScope.All, new("identity:update_project", Checks.Admin)),
        new("identity:delete_project", Checks.Admin, "Delete project.", PolicyScope.All, new("identity:delete_project", Checks.Admin)),
        new(
            "identity:list_project_tags",
            "(rule:admin_required) or (role:reader and system_scope:all) or (role:reader and "
            + "domain_id:%(target.project.domain_id)s) or project_id:%(target.project.id)s",
            "List tags for a project.",
            PolicyScope.All,
            new("identity:list_project_tags", "rule:admin_required or project_id:%(target.project.id)s")),
        new(
            "identity:get_project_tag",
            "(rule:admin_required) or (role:reader and system_scope:all) or (role:reader and "
            + "domain_id:%(target.project.domain_id)s) or project_id:%(target.project.id)s",
            "Check if project contains a tag.",
            PolicyScope.All,
            new("identity:get_project_tag", "rule:admin_required or project_id:%(target.project.id)s")),
        new(
            "identity:update_project_tags",
            Checks.Admin,
            "Replace all tags on a project with the new set of tags.",
            PolicyScope.All,
            new("identity:update_project_tags", Checks.Admin)),
        new("identity:create_project_tag", Checks.Admin, "Add a single tag to a project.", PolicyScope.All, new("identity:create_project_tag", Checks.Admin)),
        new(
            "identity:delete_project_tags",
            Checks.Admin,
            "Remove all tags from a project.",
            PolicyScope.All,
            new("identity:delete_project_tags", Checks.Admin)),
        new(
            "identity:delete_project_tag",
            Checks.Admin,
            "Delete a specified tag from project.",
            PolicyScope.All,
            new("identity:delete_project_tag", Checks.Admin)),
    ];
}
