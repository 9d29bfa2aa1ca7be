using SharpStack.Foundation.Policy;

namespace SharpStack.Keystone.Domains;

internal static class DomainPolicies
{
    public static readonly PolicyRule[] Rules =
    [
        new(
            "identity:get_domain",
            "rule:admin_required or (role:reader and system_scope:all) or token.domain.id:%(target.domain.id)s or "
            + "token.project.domain.id:%(target.domain.id)s",
            "Show domain details.",
            PolicyScope.All,
            new("identity:get_domain", "rule:admin_required or token.project.domain.id:%(target.domain.id)s")),
        new(
            "identity:list_domains",
            Checks.AdminOrSystemReader,
            "List domains.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:list_domains", Checks.Admin)),
        new("identity:create_domain", Checks.Admin, "Create domain.", PolicyScope.System | PolicyScope.Project, new("identity:create_domain", Checks.Admin)),
        new("identity:update_domain", Checks.Admin, "Update domain.", PolicyScope.System | PolicyScope.Project, new("identity:update_domain", Checks.Admin)),
        new("identity:delete_domain", Checks.Admin, "Delete domain.", PolicyScope.System | PolicyScope.Project, new("identity:delete_domain", Checks.Admin)),
    ];
}
