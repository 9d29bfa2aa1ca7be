using SharpStack.Foundation.Policy;

namespace SharpStack.Keystone.Trusts;

internal static class TrustPolicies
{
    private const PolicyScope SystemOrProject = PolicyScope.System | PolicyScope.Project;
    private const string Trustor = "user_id:%(target.trust.trustor_user_id)s";
    private const string Trustee = "user_id:%(target.trust.trustee_user_id)s";
    private const string Reader = "(rule:admin_required) or (role:reader and system_scope:all";

    public static readonly PolicyRule[] Rules =
    [
        new("identity:create_trust", Trustor, "Create trust.", PolicyScope.Project),
        new("identity:list_trusts", Checks.AdminOrSystemReader, "List trusts.", SystemOrProject, new("identity:list_trusts", Checks.Admin)),
        new("identity:list_trusts_for_trustor", $"{Reader} or {Trustor})", "List trusts for trustor.", SystemOrProject),
        new("identity:list_trusts_for_trustee", $"{Reader} or {Trustee})", "List trusts for trustee.", SystemOrProject),
        ForBoth("identity:list_roles_for_trust", "List roles delegated by a trust."),
        ForBoth("identity:get_role_for_trust", "Check if trust delegates a particular role."),
        new("identity:delete_trust", $"{Checks.Admin} or {Trustor}", "Revoke trust.", SystemOrProject, new("identity:delete_trust", Trustor)),
        ForBoth("identity:get_trust", "Get trust."),
    ];

    private static PolicyRule ForBoth(string name, string description) =>
        new(name, $"{Reader} or {Trustor} or {Trustee})", description, SystemOrProject, new(name, $"{Trustor} or {Trustee}"));
}
