using SharpStack.Foundation.Policy;

namespace SharpStack.Keystone.Tokens;

internal static class TokenPolicies
{
    public static readonly PolicyRule[] Rules =
    [
        new(
            "identity:check_token",
            "rule:admin_required or (role:reader and system_scope:all) or rule:token_subject",
            "Check a token.",
            PolicyScope.All,
            new("identity:check_token", "rule:admin_or_token_subject")),
        new(
            "identity:validate_token",
            "rule:admin_required or (role:reader and system_scope:all) or rule:service_role or rule:token_subject",
            "Validate a token.",
            PolicyScope.All,
            new("identity:validate_token", "rule:service_admin_or_token_subject")),
        new(
            "identity:revoke_token",
            "rule:admin_required or rule:token_subject",
            "Revoke a token.",
            PolicyScope.All,
            new("identity:revoke_token", "rule:admin_or_token_subject")),
        new("identity:list_revoke_events", "rule:service_or_admin", "List revocation events.", PolicyScope.System | PolicyScope.Project),
        new("identity:revocation_list", "rule:service_or_admin", "List revoked PKI tokens.", PolicyScope.System | PolicyScope.Project),
        new("identity:get_auth_catalog", "", "Get service catalog.", PolicyScope.None),
        new("identity:get_auth_projects", "", "List all projects a user has access to via role assignments.", PolicyScope.None),
        new("identity:get_auth_domains", "", "List all domains a user has access to via role assignments.", PolicyScope.None),
        new("identity:get_auth_system", "", "List systems a user has access to via role assignments.", PolicyScope.None),
    ];
}
