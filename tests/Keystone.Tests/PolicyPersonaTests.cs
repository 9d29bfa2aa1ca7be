using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Policy;

namespace SharpStack.Keystone.Tests;

/// <summary>What each persona may do by default, with scope enforced.</summary>
public class PolicyPersonaTests
{
    private static readonly PolicyEnforcer Policies = KeystonePolicies.Enforcer(ServiceConfig.Empty("keystone"), Path.GetTempPath());

    private static readonly PolicyTarget Target = PolicyTarget.Of(
        ("user_id", "someone"),
        ("target.user.id", "someone"),
        ("target.user.domain_id", "d1"),
        ("target.group.domain_id", "d1"),
        ("target.project.id", "p1"),
        ("target.project.domain_id", "d1"),
        ("target.domain.id", "d1"),
        ("target.domain_id", "d1"),
        ("target.role.domain_id", null),
        ("target.token.user_id", "someone"));

    private static readonly Dictionary<char, PolicyCredentials> Personas = new()
    {
        ['A'] = new() { UserId = "u", SystemScope = "all", Roles = ["admin", "member", "reader"] },
        ['R'] = new() { UserId = "u", SystemScope = "all", Roles = ["reader"] },
        ['a'] = new() { UserId = "u", ProjectId = "p9", ProjectDomainId = "d9", Roles = ["admin", "member", "reader"] },
        ['D'] = new() { UserId = "u", DomainId = "d1", Roles = ["admin", "member", "reader"] },
        ['d'] = new() { UserId = "u", DomainId = "d1", Roles = ["reader"] },
        ['o'] = new() { UserId = "u", DomainId = "d2", Roles = ["reader"] },
        ['m'] = new() { UserId = "u", ProjectId = "p1", ProjectDomainId = "d1", Roles = ["member", "reader"] },
        ['x'] = new() { UserId = "u", ProjectId = "p9", ProjectDomainId = "d9", Roles = ["member", "reader"] },
        ['s'] = new() { UserId = "u", ProjectId = "p9", ProjectDomainId = "d9", Roles = ["service"] },
        ['i'] = new() { UserId = "someone", ProjectId = "p9", ProjectDomainId = "d9", Roles = ["reader"] },
        ['n'] = new() { UserId = "u" },
    };

    [Theory]
    [InlineData("identity:list_users", "ARaDd")]
    [InlineData("identity:get_user", "ARaDdi")]
    [InlineData("identity:create_user", "AaD")]
    [InlineData("identity:update_user", "AaD")]
    [InlineData("identity:delete_user", "AaD")]
    [InlineData("identity:list_user_projects", "ARaDdi")]
    [InlineData("identity:list_groups", "ARaDd")]
    [InlineData("identity:list_groups_for_user", "ARaDdi")]
    [InlineData("identity:add_user_to_group", "AaD")]
    [InlineData("identity:list_projects", "ARaDd")]
    [InlineData("identity:get_project", "ARaDdm")]
    [InlineData("identity:create_project", "AaD")]
    [InlineData("identity:list_project_tags", "ARaDdm")]
    [InlineData("identity:list_domains", "ARa")]
    [InlineData("identity:get_domain", "ARaDdm")]
    [InlineData("identity:create_domain", "Aa")]
    [InlineData("identity:list_roles", "ARa")]
    [InlineData("identity:create_role", "Aa")]
    [InlineData("identity:list_role_inference_rules", "ARa")]
    [InlineData("identity:create_grant", "AaD")]
    [InlineData("identity:revoke_grant", "AaD")]
    [InlineData("identity:check_grant", "ARaDd")]
    [InlineData("identity:create_system_grant_for_user", "Aa")]
    [InlineData("identity:list_system_grants_for_user", "ARa")]
    [InlineData("identity:list_role_assignments", "ARaDd")]
    [InlineData("identity:list_services", "ARa")]
    [InlineData("identity:create_service", "Aa")]
    [InlineData("identity:list_endpoints", "ARa")]
    [InlineData("identity:create_endpoint", "Aa")]
    [InlineData("identity:list_regions", "ARaDdomxsin")]
    [InlineData("identity:create_region", "Aa")]
    [InlineData("identity:validate_token", "ARaDsi")]
    [InlineData("identity:check_token", "ARaDi")]
    [InlineData("identity:revoke_token", "AaDi")]
    [InlineData("identity:get_auth_projects", "ARaDdomxsin")]
    public void A_rule_allows_exactly_its_personas(string rule, string allowed)
    {
        var found = string.Concat(Personas.Where(p => Policies.Check(rule, p.Value, Target)).Select(static p => p.Key));

        Assert.Equal(string.Concat(allowed.Order()), string.Concat(found.Order()));
    }
}
