using SharpStack.Foundation.Policy;

namespace SharpStack.Foundation.Tests.Policy;

public class PolicyEnforcerTests
{
    private static readonly PolicyCredentials Member = new() { UserId = "u", ProjectId = "p", Roles = ["member"] };
    private static readonly PolicyCredentials SystemAdmin = new() { UserId = "a", SystemScope = "all", Roles = ["admin"] };
    private static readonly PolicyCredentials DomainAdmin = new() { UserId = "d", DomainId = "default", Roles = ["admin"] };

    [Fact]
    public void Rules_refer_to_each_other_in_any_order()
    {
        var enforcer = new PolicyEnforcer([new("a", "rule:b or rule:c"), new("b", "!"), new("c", "not rule:b and role:member")]);

        Assert.True(enforcer.Check("a", Member, PolicyTarget.Empty));
    }

    [Fact]
    public void Every_undefined_and_circular_reference_is_reported_at_once()
    {
        var error = Assert.Throws<PolicyDefinitionException>(() => new PolicyEnforcer(
        [
            new("a", "rule:b"), new("b", "role:x and (not rule:c)"), new("c", "rule:a"), new("self", "rule:self"), new("lost", "rule:nowhere"),
        ]));

        Assert.Equal(3, error.Errors.Count);
        Assert.Contains("a -> b -> c -> a", error.Message, StringComparison.Ordinal);
        Assert.Contains("self -> self", error.Message, StringComparison.Ordinal);
        Assert.Contains("lost: refers to rule:nowhere", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void An_unknown_rule_refuses_unless_a_default_rule_exists()
    {
        Assert.False(new PolicyEnforcer([new("a", "@")]).Check("unknown", Member, PolicyTarget.Empty));
        Assert.True(new PolicyEnforcer([new("default", "role:member")]).Check("unknown", Member, PolicyTarget.Empty));
    }

    [Fact]
    public void A_token_of_another_scope_is_refused_only_where_scope_is_enforced()
    {
        PolicyRule[] rules = [new("system", "role:admin", Scopes: PolicyScope.System), new("any", "role:admin", Scopes: PolicyScope.None)];

        Assert.True(new PolicyEnforcer(rules).Check("system", SystemAdmin, PolicyTarget.Empty));
        Assert.False(new PolicyEnforcer(rules).Check("system", DomainAdmin, PolicyTarget.Empty));
        Assert.True(new PolicyEnforcer(rules).Check("any", DomainAdmin, PolicyTarget.Empty));
        Assert.True(new PolicyEnforcer(rules, enforceScope: false).Check("system", DomainAdmin, PolicyTarget.Empty));
    }

    [Fact]
    public void A_deprecated_check_still_allows_until_new_defaults_are_enforced_or_the_rule_is_overridden()
    {
        PolicyRule[] rules = [new("r", "role:admin", Deprecated: new("r", "role:member"))];

        Assert.True(new PolicyEnforcer(rules).Check("r", Member, PolicyTarget.Empty));
        Assert.False(new PolicyEnforcer(rules, enforceNewDefaults: true).Check("r", Member, PolicyTarget.Empty));
        Assert.False(new PolicyEnforcer(rules, PolicyOverrides.Parse("r: role:admin")).Check("r", Member, PolicyTarget.Empty));
    }

    [Theory]
    [InlineData("\"old\": \"!\"", false)]
    [InlineData("\"old\": \"rule:new\"", true)]
    [InlineData("\"old\": \"role:member\"", true)]
    [InlineData("\"old\": \"!\"\n\"new\": \"@\"", true)]
    public void An_override_of_a_renamed_rule_goes_on_deciding(string overrides, bool allowed)
    {
        var enforcer = new PolicyEnforcer(
            [new("new", "role:admin", Deprecated: new("old", "role:member"))], PolicyOverrides.Parse(overrides));

        Assert.Equal(allowed, enforcer.Check("new", Member, PolicyTarget.Empty));
    }

    [Fact]
    public void A_policy_file_is_read_in_every_form_that_operators_write()
    {
        var overrides = PolicyOverrides.Parse(
            """
            # comment
            ---
            "quoted": "role:a or role:b"
            single: 'not ''x'':%(y)s'   # tail
            os_compute_api:servers:create: rule:quoted
            "plain": role:a and
              role:b # tail
            "folded": >
              role:a
              or role:b
            "long": "role:a
              or role:b"
            "empty": ""
            "flow": [["role:a", 'role:b'], [role:c], "role:d"]
            "block":
              - - "role:a"
                - "role:b"
              - role:c
            "nobody": "!"
            """);
        var enforcer = new PolicyEnforcer([], overrides);

        Assert.Equal(
            new Dictionary<string, string>
            {
                ["quoted"] = "(role:a or role:b)",
                ["single"] = "not 'x':%(y)s",
                ["os_compute_api:servers:create"] = "rule:quoted",
                ["plain"] = "(role:a and role:b)",
                ["folded"] = "(role:a or role:b)",
                ["long"] = "(role:a or role:b)",
                ["empty"] = "@",
                ["flow"] = "((role:a and role:b) or role:c or role:d)",
                ["block"] = "((role:a and role:b) or role:c)",
                ["nobody"] = "!",
            },
            enforcer.Effective.ToDictionary());
    }

    [Fact]
    public void A_json_policy_file_is_read_too()
    {
        var enforcer = new PolicyEnforcer([], PolicyOverrides.Parse("""{"a": "role:x", "b": [["rule:a", "role:y"], ["@"]], "c": []}"""));

        Assert.Equal(
            new Dictionary<string, string> { ["a"] = "role:x", ["b"] = "((rule:a and role:y) or @)", ["c"] = "@" },
            enforcer.Effective.ToDictionary());
    }

    [Theory]
    [InlineData("name: {a: b}", "line 1")]
    [InlineData("ok: '@'\n  nested: rule:x", "line 2")]
    [InlineData("name: \"role:x", "quote is not closed")]
    [InlineData("name: [role:x", "bracket is not closed")]
    [InlineData("just words", "expected")]
    [InlineData("{\"a\": 1}", "a rule is a string")]
    public void A_file_that_is_no_policy_is_refused_with_its_place(string text, string reason)
    {
        var error = Assert.Throws<PolicyDefinitionException>(() => PolicyOverrides.Parse(text, "policy.yaml"));

        Assert.Contains("policy.yaml: ", error.Message, StringComparison.Ordinal);
        Assert.Contains(reason, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Files_of_a_directory_win_over_the_file_before_them()
    {
        var root = Directory.CreateTempSubdirectory("sharpstack-policy-");
        try
        {
            var directory = root.CreateSubdirectory("policy.d").FullName;
            var file = Path.Combine(root.FullName, "policy.yaml");
            File.WriteAllText(file, "a: '!'\nb: '!'");
            File.WriteAllText(Path.Combine(directory, "20.yaml"), "a: role:second");
            File.WriteAllText(Path.Combine(directory, "10.yaml"), "a: role:first");

            var enforcer = new PolicyEnforcer([], PolicyOverrides.Load([file, "policy.d", "absent.yaml"], root.FullName));

            Assert.Equal(new Dictionary<string, string> { ["a"] = "role:second", ["b"] = "!" }, enforcer.Effective.ToDictionary());
        }
        finally
        {
            root.Delete(recursive: true);
        }
    }

    [Fact]
    public void A_denial_names_the_checks_that_failed_and_what_they_compared()
    {
        var enforcer = new PolicyEnforcer(
        [
            new("owner", "project_id:%(project_id)s"),
            new("servers:delete", "role:admin or (role:member and rule:owner)"),
        ]);

        var explanation = enforcer.Explain("servers:delete", Member, PolicyTarget.Of(("project_id", "other")));

        Assert.False(explanation.Allowed);
        Assert.Contains("role:admin fails (the token's roles: member)", explanation.Reason, StringComparison.Ordinal);
        Assert.Contains("project_id:%(project_id)s fails (the token has 'p', the target 'other')", explanation.Reason, StringComparison.Ordinal);
        Assert.Contains("pass  role:member", explanation.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_denial_by_scope_names_both_scopes()
    {
        var enforcer = new PolicyEnforcer([new("r", "@", Scopes: PolicyScope.System | PolicyScope.Domain)]);

        Assert.Equal(
            "r needs a token of scope system or domain, and this one has scope project",
            enforcer.Explain("r", Member, PolicyTarget.Empty).Reason);
    }

    [Fact]
    public void A_decision_allocates_nothing()
    {
        var enforcer = new PolicyEnforcer(
        [
            new("admin", "role:admin"), new("owner", "user_id:%(user_id)s and project_id:%(project_id)s"), new("r", "rule:admin or rule:owner"),
        ]);
        var target = PolicyTarget.Of(("user_id", "u"), ("project_id", "p"));
        var allowed = enforcer.Check("r", Member, target);

        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 1_000; i++)
        {
            allowed &= enforcer.Check("r", Member, target);
        }
        var allocated = GC.GetAllocatedBytesForCurrentThread() - before;

        Assert.True(allowed);
        Assert.InRange(allocated, 0, 4_000);
    }
}
