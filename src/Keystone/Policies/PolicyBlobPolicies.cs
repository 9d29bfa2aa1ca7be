using SharpStack.Foundation.Policy;

namespace SharpStack.Keystone.Policies;

internal static class PolicyBlobPolicies
{
    public static readonly PolicyRule[] Rules =
    [
        new(
            "identity:get_policy",
            Checks.AdminOrSystemReader,
            "Show policy details.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:get_policy", Checks.Admin)),
        new(
            "identity:list_policies",
            Checks.AdminOrSystemReader,
            "List policies.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:list_policies", Checks.Admin)),
        new("identity:create_policy", Checks.Admin, "Create policy.", PolicyScope.System | PolicyScope.Project, new("identity:create_policy", Checks.Admin)),
        new("identity:update_policy", Checks.Admin, "Update policy.", PolicyScope.System | PolicyScope.Project, new("identity:update_policy", Checks.Admin)),
        new("identity:delete_policy", Checks.Admin, "Delete policy.", PolicyScope.System | PolicyScope.Project, new("identity:delete_policy", Checks.Admin)),
    ];
}
