using FsCheck;
using FsCheck.Fluent;
using FsCheck.Xunit;
using SharpStack.Foundation.Policy;

namespace SharpStack.Foundation.Tests.Policy;

public class PolicyLanguageTests
{
    private static readonly PolicyCredentials Demo = new()
    {
        UserId = "u1",
        ProjectId = "p1",
        UserDomainId = "default",
        ProjectDomainId = "default",
        Roles = ["Member", "reader"],
    };

    private static readonly PolicyTarget Owned = PolicyTarget.Of(
        ("project_id", "p1"), ("target.user.id", "u2"), ("enabled", "True"), ("nothing", null), ("role", "member"));

    [Theory]
    [InlineData("", true)]
    [InlineData("@", true)]
    [InlineData("!", false)]
    [InlineData("role:member", true)]
    [InlineData("role:MEMBER", true)]
    [InlineData("role:admin", false)]
    [InlineData("role:%(role)s", true)]
    [InlineData("role:%(unknown)s", false)]
    [InlineData("not role:admin", true)]
    [InlineData("not not role:admin", false)]
    [InlineData("NOT role:admin AND role:reader", true)]
    [InlineData("role:admin or role:member and role:reader", true)]
    [InlineData("role:member or role:admin and role:admin", true)]
    [InlineData("(role:member or role:admin) and role:admin", false)]
    [InlineData("((role:member))", true)]
    [InlineData("project_id:%(project_id)s", true)]
    [InlineData("tenant_id:%(project_id)s", true)]
    [InlineData("user_id:%(target.user.id)s", false)]
    [InlineData("user_id:%(missing)s", false)]
    [InlineData("user_id:u1", true)]
    [InlineData("True:%(enabled)s", true)]
    [InlineData("False:%(enabled)s", false)]
    [InlineData("'member':%(role)s", true)]
    [InlineData("\"member\":%(role)s", true)]
    [InlineData("1:1", true)]
    [InlineData("None:%(nothing)s", true)]
    [InlineData("domain_id:None", true)]
    [InlineData("domain_id:%(nothing)s", false)]
    [InlineData("is_admin:True", false)]
    [InlineData("is_admin_project:True", true)]
    [InlineData("token.project.domain.id:default", true)]
    [InlineData("roles:reader", true)]
    [InlineData("user_id:u%%", false)]
    [InlineData("'a-p1-u2':a-%(project_id)s-%(target.user.id)s", true)]
    [InlineData("field:networks:enabled=True", true)]
    [InlineData("field:networks:enabled=False", false)]
    public void A_rule_decides_as_oslo_policy_does(string rule, bool allowed)
    {
        var enforcer = new PolicyEnforcer([new("r", rule)]);

        Assert.Equal(allowed, enforcer.Check("r", Demo, Owned));
        Assert.Equal(allowed, enforcer.Explain("r", Demo, Owned).Allowed);
    }

    [Theory]
    [InlineData("role:member role:admin", "'role:admin' was not expected")]
    [InlineData("role:member and", "ends where a check is expected")]
    [InlineData("or role:member", "'or' stands where")]
    [InlineData("(role:member", "not closed")]
    [InlineData("role:member)", "')' was not expected")]
    [InlineData("member", "is no check")]
    [InlineData("http://example.com/check", "asks a remote server")]
    [InlineData("https://example.com/check", "asks a remote server")]
    [InlineData("user_id:%(user_id", "neither %(key)s nor %%")]
    public void A_rule_that_does_not_parse_is_refused_with_its_reason(string rule, string reason)
    {
        var error = Assert.Throws<PolicyDefinitionException>(() => new PolicyEnforcer([new("broken", rule)]));

        Assert.StartsWith("broken: ", Assert.Single(error.Errors), StringComparison.Ordinal);
        Assert.Contains(reason, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Ten_thousand_parentheses_are_refused_without_exhausting_the_stack()
    {
        var error = Assert.Throws<PolicyDefinitionException>(
            () => new PolicyEnforcer([new("deep", new string('(', 10_000) + "@" + new string(')', 10_000))]));

        Assert.Contains("levels", error.Message, StringComparison.Ordinal);
    }

    [Property(MaxTest = 300)]
    public Property A_printed_rule_parses_to_the_same_rule() =>
        Prop.ForAll(Rules.ToArbitrary(), static rule =>
        {
            var once = PolicyParser.Parse(rule).ToString();
            return PolicyParser.Parse(once).ToString() == once;
        });

    [Property(MaxTest = 300)]
    public Property A_rule_and_its_negation_never_agree() =>
        Prop.ForAll(Rules.ToArbitrary(), static rule =>
        {
            var enforcer = new PolicyEnforcer([new("yes", rule), new("no", $"not ({rule})")]);
            return enforcer.Check("yes", Demo, Owned) != enforcer.Check("no", Demo, Owned)
                && enforcer.Explain("yes", Demo, Owned).Allowed == enforcer.Check("yes", Demo, Owned);
        });

    [Property(MaxTest = 500)]
    public bool Any_text_parses_or_is_refused(string? text)
    {
        try
        {
            return PolicyParser.Parse(text ?? "").ToString().Length > 0;
        }
        catch (FormatException e)
        {
            return e.Message.Length > 0;
        }
    }

    [Property(MaxTest = 500)]
    public bool Any_file_is_read_or_refused(string? text)
    {
        try
        {
            return PolicyOverrides.Parse(text ?? "").Rules.Count >= 0;
        }
        catch (PolicyDefinitionException e)
        {
            return e.Errors.Count == 1;
        }
    }

    private static Gen<string> Rules => Sized(4);

    private static Gen<string> Sized(int depth)
    {
        var leaf = Gen.Elements(
            "@", "!", "role:member", "role:admin", "user_id:%(target.user.id)s", "project_id:%(project_id)s", "True:%(enabled)s", "'x':%(role)s");
        if (depth == 0)
        {
            return leaf;
        }
        var inner = Sized(depth - 1);
        return Gen.OneOf(
            leaf,
            inner.Select(static r => $"not {(r.Contains(' ', StringComparison.Ordinal) ? $"({r})" : r)}"),
            inner.Select(static r => $"( {r})"),
            inner.Two().Select(static p => $"{p.Item1} and {p.Item2}"),
            inner.Two().Select(static p => $"{p.Item1}  or {p.Item2}"));
    }
}
