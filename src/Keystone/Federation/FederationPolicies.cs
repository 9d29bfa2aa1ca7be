using SharpStack.Foundation.Policy;

namespace SharpStack.Keystone.Federation;

internal static class FederationPolicies
{
    public static readonly PolicyRule[] Rules =
    [
        .. Resource("identity_provider", "identity_providers", "identity provider"),
        .. Resource("mapping", "mappings", "federated mapping"),
        .. Resource("protocol", "protocols", "federated protocol"),
        .. Resource("service_provider", "service_providers", "federated service provider"),
    ];

    private static IEnumerable<PolicyRule> Resource(string one, string many, string what) =>
    [
        Rule($"identity:create_{one}", Checks.Admin, $"Create {what}."),
        Rule($"identity:list_{many}", Checks.AdminOrSystemReader, $"List {what}s."),
        Rule($"identity:get_{one}", Checks.AdminOrSystemReader, $"Get {what}."),
        Rule($"identity:update_{one}", Checks.Admin, $"Update {what}."),
        Rule($"identity:delete_{one}", Checks.Admin, $"Delete {what}."),
    ];

    private static PolicyRule Rule(string name, string check, string description) =>
        new(name, check, description, PolicyScope.System | PolicyScope.Project, new(name, Checks.Admin));
}
