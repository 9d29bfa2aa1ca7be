using SharpStack.Foundation.Policy;

namespace SharpStack.Keystone.Policies;

internal static class PolicyAssociationPolicies
{
    public static readonly PolicyRule[] Rules =
    [
        new(
            "identity:create_policy_association_for_endpoint",
            Checks.Admin,
            "Associate a policy to a specific endpoint.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:create_policy_association_for_endpoint", Checks.Admin)),
        new(
            "identity:check_policy_association_for_endpoint",
            Checks.AdminOrSystemReader,
            "Check policy association for endpoint.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:check_policy_association_for_endpoint", Checks.Admin)),
        new(
            "identity:delete_policy_association_for_endpoint",
            Checks.Admin,
            "Delete policy association for endpoint.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:delete_policy_association_for_endpoint", Checks.Admin)),
        new(
            "identity:create_policy_association_for_service",
            Checks.Admin,
            "Associate a policy to a specific service.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:create_policy_association_for_service", Checks.Admin)),
        new(
            "identity:check_policy_association_for_service",
            Checks.AdminOrSystemReader,
            "Check policy association for service.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:check_policy_association_for_service", Checks.Admin)),
        new(
            "identity:delete_policy_association_for_service",
            Checks.Admin,
            "Delete policy association for service.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:delete_policy_association_for_service", Checks.Admin)),
        new(
            "identity:create_policy_association_for_region_and_service",
            Checks.Admin,
            "Associate a policy to a specific region and service combination.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:create_policy_association_for_region_and_service", Checks.Admin)),
        new(
            "identity:check_policy_association_for_region_and_service",
            Checks.AdminOrSystemReader,
            "Check policy association for region and service.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:check_policy_association_for_region_and_service", Checks.Admin)),
        new(
            "identity:delete_policy_association_for_region_and_service",
            Checks.Admin,
            "Delete policy association for region and service.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:delete_policy_association_for_region_and_service", Checks.Admin)),
        new(
            "identity:get_policy_for_endpoint",
            Checks.AdminOrSystemReader,
            "Get policy for endpoint.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:get_policy_for_endpoint", Checks.Admin)),
        new(
            "identity:list_endpoints_for_policy",
            Checks.AdminOrSystemReader,
            "List endpoints for policy.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:list_endpoints_for_policy", Checks.Admin)),
    ];
}
