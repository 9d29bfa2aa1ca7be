using SharpStack.Foundation.Policy;

namespace SharpStack.Keystone.ApplicationCredentials;

internal static class ApplicationCredentialPolicies
{
    private const PolicyScope SystemOrProject = PolicyScope.System | PolicyScope.Project;
    private const string Owner = "user_id:%(user_id)s";
    private const string AdminOrOwner = "rule:admin_or_owner";
    private const string AdminReaderOrOwner = "(rule:admin_required) or (role:reader and system_scope:all) or rule:owner";
    private const string SystemReaderOrOwner = "(role:reader and system_scope:all) or user_id:%(target.user.id)s";
    private const string SystemAdminOrOwner = "(role:admin and system_scope:all) or user_id:%(target.user.id)s";

    public static readonly PolicyRule[] Rules =
    [
        new(
            "identity:get_application_credential", AdminReaderOrOwner, "Show application credential details.", SystemOrProject,
            new("identity:get_application_credential", AdminOrOwner)),
        new(
            "identity:list_application_credentials", AdminReaderOrOwner, "List application credentials for a user.", SystemOrProject,
            new("identity:list_application_credentials", AdminOrOwner)),
        new("identity:create_application_credential", Owner, "Create an application credential.", PolicyScope.Project),
        new(
            "identity:delete_application_credential", AdminOrOwner, "Delete an application credential.", SystemOrProject,
            new("identity:delete_application_credential", AdminOrOwner)),
        new("identity:get_access_rule", SystemReaderOrOwner, "Show access rule details.", SystemOrProject),
        new("identity:list_access_rules", SystemReaderOrOwner, "List access rules for a user.", SystemOrProject),
        new("identity:delete_access_rule", SystemAdminOrOwner, "Delete an access_rule.", SystemOrProject),
    ];
}
