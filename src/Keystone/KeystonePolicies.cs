using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Policy;
using SharpStack.Keystone.ApplicationCredentials;
using SharpStack.Keystone.Assignments;
using SharpStack.Keystone.Catalog;
using SharpStack.Keystone.Credentials;
using SharpStack.Keystone.DomainConfigs;
using SharpStack.Keystone.Domains;
using SharpStack.Keystone.Ec2;
using SharpStack.Keystone.Federation;
using SharpStack.Keystone.Groups;
using SharpStack.Keystone.Limits;
using SharpStack.Keystone.OAuth1;
using SharpStack.Keystone.Policies;
using SharpStack.Keystone.Projects;
using SharpStack.Keystone.Roles;
using SharpStack.Keystone.Tokens;
using SharpStack.Keystone.Trusts;
using SharpStack.Keystone.Users;

namespace SharpStack.Keystone;

/// <summary>Checks that many rules have.</summary>
internal static class Checks
{
    public const string Admin = "rule:admin_required";
    public const string AdminOrSystemReader = "rule:admin_required or (role:reader and system_scope:all)";
}

/// <summary>The rules of the identity service, as OpenStack Zed has them.</summary>
internal static class KeystonePolicies
{
    public static IEnumerable<PolicyRule> Defaults =>
    [
        new("admin_required", "role:admin or is_admin:1", Scopes: PolicyScope.None),
        new("service_role", "role:service", Scopes: PolicyScope.None),
        new("service_or_admin", "rule:admin_required or rule:service_role", Scopes: PolicyScope.None),
        new("owner", "user_id:%(user_id)s", Scopes: PolicyScope.None),
        new("admin_or_owner", "rule:admin_required or rule:owner", Scopes: PolicyScope.None),
        new("token_subject", "user_id:%(target.token.user_id)s", Scopes: PolicyScope.None),
        new("admin_or_token_subject", "rule:admin_required or rule:token_subject", Scopes: PolicyScope.None),
        new("service_admin_or_token_subject", "rule:service_or_admin or rule:token_subject", Scopes: PolicyScope.None),
        .. UserPolicies.Rules,
        .. GroupPolicies.Rules,
        .. ProjectPolicies.Rules,
        .. DomainPolicies.Rules,
        .. RolePolicies.Rules,
        .. AssignmentPolicies.Rules,
        .. CatalogPolicies.Rules,
        .. EndpointFilterPolicies.Rules,
        .. TokenPolicies.Rules,
        .. CredentialPolicies.Rules,
        .. PolicyBlobPolicies.Rules,
        .. PolicyAssociationPolicies.Rules,
        .. LimitPolicies.Rules,
        .. DomainConfigPolicies.Rules,
        .. FederationPolicies.Rules,
        .. TrustPolicies.Rules,
        .. ApplicationCredentialPolicies.Rules,
        .. Ec2Policies.Rules,
        .. OAuthPolicies.Rules,
    ];

    /// <param name="directory">Where a relative <c>policy_file</c> lies.</param>
    public static PolicyEnforcer Enforcer(ServiceConfig config, string directory) => new(
        Defaults,
        PolicyOverrides.Load([config.Get(KeystoneOptions.PolicyFile), .. config.Get(KeystoneOptions.PolicyDirs)], directory),
        config.Get(KeystoneOptions.EnforceScope),
        config.Get(KeystoneOptions.EnforceNewDefaults));
}
