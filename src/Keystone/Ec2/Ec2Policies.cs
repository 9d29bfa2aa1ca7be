using SharpStack.Foundation.Policy;

namespace SharpStack.Keystone.Ec2;

internal static class Ec2Policies
{
    private const PolicyScope SystemOrProject = PolicyScope.System | PolicyScope.Project;
    private const string Owner = "user_id:%(target.credential.user_id)s";
    private const string FormerOwner = "rule:admin_required or (rule:owner and user_id:%(target.credential.user_id)s)";

    public static readonly PolicyRule[] Rules =
    [
        new(
            "identity:ec2_get_credential", $"(rule:admin_required) or (role:reader and system_scope:all) or {Owner}", "Show ec2 credential details.",
            SystemOrProject, new("identity:ec2_get_credential", FormerOwner)),
        new(
            "identity:ec2_list_credentials", $"(rule:admin_required) or (role:member and {Owner})", "List ec2 credentials.",
            SystemOrProject, new("identity:ec2_list_credentials", "rule:admin_or_owner")),
        new(
            "identity:ec2_create_credential", $"(rule:admin_required) or (role:member and {Owner})", "Create ec2 credential.",
            SystemOrProject, new("identity:ec2_create_credential", "rule:admin_or_owner")),
        new(
            "identity:ec2_delete_credential", $"(rule:admin_required) or {Owner}", "Delete ec2 credential.",
            SystemOrProject, new("identity:ec2_delete_credential", FormerOwner)),
        new(
            "identity:ec2tokens_validate", "rule:service_or_admin",
            "Validate EC2 credentials and create a Keystone token. Restricted to service users or administrators.", PolicyScope.All),
        new(
            "identity:s3tokens_validate", "rule:service_or_admin",
            "Validate S3 credentials and create a Keystone token. Restricted to service users or administrators to prevent exploitation via presigned URLs.", PolicyScope.All),
    ];
}
