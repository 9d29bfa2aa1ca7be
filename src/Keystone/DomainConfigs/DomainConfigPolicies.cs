using SharpStack.Foundation.Policy;

namespace SharpStack.Keystone.DomainConfigs;

internal static class DomainConfigPolicies
{
    public static readonly PolicyRule[] Rules =
    [
        new(
            "identity:create_domain_config",
            Checks.Admin,
            "Create domain configuration.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:create_domain_config", Checks.Admin)),
        new(
            "identity:get_domain_config",
            Checks.AdminOrSystemReader,
            "Get the entire domain configuration for a domain, an option group within a domain, or a specific configuration option within a group for a domain.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:get_domain_config", Checks.Admin)),
        new(
            "identity:get_security_compliance_domain_config",
            "",
            "Get security compliance domain configuration for either a domain or a specific option in a domain.",
            PolicyScope.All),
        new(
            "identity:update_domain_config",
            Checks.Admin,
            "Update domain configuration for either a domain, specific group or a specific option in a group.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:update_domain_config", Checks.Admin)),
        new(
            "identity:delete_domain_config",
            Checks.Admin,
            "Delete domain configuration for either a domain, specific group or a specific option in a group.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:delete_domain_config", Checks.Admin)),
        new(
            "identity:get_domain_config_default",
            Checks.AdminOrSystemReader,
            "Get domain configuration default for either a domain, specific group or a specific option in a group.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:get_domain_config_default", Checks.Admin)),
    ];
}
