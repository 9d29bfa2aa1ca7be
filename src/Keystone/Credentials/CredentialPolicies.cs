using SharpStack.Foundation.Policy;

namespace SharpStack.Keystone.Credentials;

internal static class CredentialPolicies
{
    public static readonly PolicyRule[] Rules =
    [
        new(
            "identity:get_credential",
            "(rule:admin_required) or (role:reader and system_scope:all) or user_id:%(target.credential.user_id)s",
            "Show credentials details.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:get_credential", Checks.Admin)),
        new(
            "identity:list_credentials",
            "(rule:admin_required) or (role:reader and system_scope:all) or user_id:%(target.credential.user_id)s",
            "List credentials.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:list_credentials", Checks.Admin)),
        new(
            "identity:create_credential",
            "(rule:admin_required) or user_id:%(target.credential.user_id)s",
            "Create credential.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:create_credential", Checks.Admin)),
        new(
            "identity:update_credential",
            "(rule:admin_required) or user_id:%(target.credential.user_id)s",
            "Update credential.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:update_credential", Checks.Admin)),
        new(
            "identity:delete_credential",
            "(rule:admin_required) or user_id:%(target.credential.user_id)s",
            "Delete credential.",
            PolicyScope.System | PolicyScope.Project,
            new("identity:delete_credential", Checks.Admin)),
    ];
}
