using System.Text.Json;
using SharpStack.Foundation;
using SharpStack.Keystone.Federation;

namespace SharpStack.Keystone.Tests.Federation;

public class MappingRulesTests
{
    private static readonly Dictionary<string, IReadOnlyList<string>> Assertion = new()
    {
        ["UserName"] = ["bob"],
        ["FirstName"] = ["Bob"],
        ["LastName"] = ["Thompson"],
        ["Email"] = ["bob@example.com"],
        ["orgPersonType"] = ["Contractor", "Employee"],
        ["GROUPS"] = ["admins", "developers", "tester"],
    };

    [Fact]
    public void Placeholders_stand_for_what_the_conditions_picked_in_their_order()
    {
        var mapped = Apply("""
            [{"local": [{"user": {"name": "{0} {1}", "email": "{2}", "domain": {"name": "Users"}}}],
              "remote": [{"type": "FirstName"}, {"type": "orgPersonType", "any_one_of": ["Employee"]}, {"type": "LastName"}, {"type": "Email"}]}]
            """);

        Assert.Equal(("Bob Thompson", "bob@example.com", "Users", false), (mapped.User.Name, mapped.User.Email, mapped.User.Domain!.Name, mapped.User.IsLocal));
    }

    [Theory]
    [InlineData("""{"type": "GROUPS", "whitelist": ["tester", "admins", "nobody"]}""", "admins tester")]
    [InlineData("""{"type": "GROUPS", "blacklist": ["admins"]}""", "developers tester")]
    [InlineData("""{"type": "GROUPS", "whitelist": ["^dev", "ers$"], "regex": true}""", "developers")]
    [InlineData("""{"type": "GROUPS", "blacklist": ["e"], "regex": true}""", "admins")]
    [InlineData("""{"type": "GROUPS"}""", "admins developers tester")]
    public void Lists_are_filtered_and_become_groups_of_the_domain(string remote, string groups)
    {
        var mapped = Apply($$"""[{"local": [{"groups": "{0}", "domain": {"id": "default"} }], "remote": [{{remote}}] }]""");

        Assert.Equal(groups, string.Join(' ', mapped.GroupNames.Select(g => g.Name)));
        Assert.All(mapped.GroupNames, g => Assert.Equal("default", g.Domain.Id));
    }

    [Theory]
    [InlineData("""{"type": "orgPersonType", "any_one_of": ["Customer"]}""")]
    [InlineData("""{"type": "orgPersonType", "not_any_of": ["Employee"]}""")]
    [InlineData("""{"type": "orgPersonType", "not_any_of": ["^Emp"], "regex": true}""")]
    [InlineData("""{"type": "Nothing"}""")]
    public void A_rule_with_a_condition_that_fails_does_not_count(string remote)
    {
        var failure = Assert.Throws<CloudException>(() => Apply($$"""[{"local": [{"user": {"name": "x"} }], "remote": [{{remote}}] }]"""));

        Assert.Equal(ErrorKind.Unauthorized, failure.Kind);
    }

    [Fact]
    public void All_rules_that_match_count_and_the_first_user_wins()
    {
        var mapped = Apply("""
            [{"local": [{"user": {"name": "{0}"}}, {"group": {"id": "g1"}}], "remote": [{"type": "UserName"}]},
             {"local": [{"user": {"name": "other"}}, {"group": {"name": "staff", "domain": {"name": "Users"}}}, {"group_ids": "['g2', 'g1']"}], "remote": [{"type": "Email", "any_one_of": [".*@example.com$"], "regex": true}]}]
            """);

        Assert.Equal("bob", mapped.User.Name);
        Assert.Equal(["g1", "g2"], mapped.GroupIds);
        Assert.Equal(new MappedGroup("staff", new(null, "Users")), Assert.Single(mapped.GroupNames));
    }

    [Fact]
    public void Groups_in_JSON_bring_their_own_domains()
    {
        var mapped = MappingRules.Parse(Json("""[{"local": [{"groups": "{0}"}], "remote": [{"type": "openstack_groups"}]}]"""), "1.0").Apply(new Dictionary<string, IReadOnlyList<string>>
        {
            ["openstack_groups"] = ["""JSON:{"name":"group1","domain":{"name":"Default"}}""", """JSON:{"name":"group2","domain":{"id":"d"}}"""],
        });

        Assert.Equal([new("group1", new(null, "Default")), new MappedGroup("group2", new("d", null))], mapped.GroupNames);
    }

    [Fact]
    public void Projects_come_with_their_roles()
    {
        var mapped = Apply("""[{"local": [{"user": {"name": "{0}"}}, {"projects": [{"name": "of {0}", "roles": [{"name": "member"}, {"name": "reader"}]}]}], "remote": [{"type": "UserName"}]}]""");

        var project = Assert.Single(mapped.Projects);
        Assert.Equal("of bob", project.Name);
        Assert.Equal(["member", "reader"], project.Roles);
    }

    [Fact]
    public void In_version_2_projects_have_domains_and_one_domain_may_be_that_of_users_and_projects()
    {
        var mapped = Apply("""
            [{"local": [{"domain": {"name": "Users"}, "user": {"name": "{0}"},
                         "projects": [{"name": "own", "roles": [{"name": "member"}]}, {"name": "shared", "roles": [{"name": "reader"}], "domain": {"id": "d"}}]}],
              "remote": [{"type": "UserName"}]}]
            """, "2.0");

        Assert.Equal(new MappedDomain(null, "Users"), mapped.User.Domain);
        Assert.Equal([new(null, "Users"), new MappedDomain("d", null)], mapped.Projects.Select(static p => p.Domain!));
    }

    [Fact]
    public void A_value_with_a_separator_in_it_stays_one_value()
    {
        var mapped = MappingRules.Parse(Json("""[{"local": [{"groups": "{0}", "domain": {"id": "default"}}], "remote": [{"type": "groups"}]}]"""), "1.0")
            .Apply(new Dictionary<string, IReadOnlyList<string>> { ["groups"] = ["guests;admins", "['admins']"] });

        Assert.Equal(["guests;admins", "['admins']"], mapped.GroupNames.Select(g => g.Name));
    }

    [Theory]
    [InlineData("[]", "at least one rule")]
    [InlineData("""[{"local": []}]""", "remote")]
    [InlineData("""[{"local": [], "remote": []}]""", "at least one condition")]
    [InlineData("""[{"local": [{"users": {}}], "remote": [{"type": "x"}]}]""", "'users' is not one of")]
    [InlineData("""[{"local": [{"user": {"type": "robot"}}], "remote": [{"type": "x"}]}]""", "ephemeral and local")]
    [InlineData("""[{"local": [{"group": {"name": "x"}}], "remote": [{"type": "x"}]}]""", "domain")]
    [InlineData("""[{"local": [{"group": {"id": "x", "name": "y"}}], "remote": [{"type": "x"}]}]""", "takes no name")]
    [InlineData("""[{"local": [], "remote": [{"type": "x", "whitelist": [], "blacklist": []}]}]""", "one is allowed")]
    [InlineData("""[{"local": [], "remote": [{"type": "x", "any_one_of": ["("], "regex": true}]}]""", "no regular expression")]
    [InlineData("""[{"local": [], "remote": [{"any_one_of": ["x"]}]}]""", "'type'")]
    [InlineData("""[{"local": [{"projects": [{"name": "p"}]}], "remote": [{"type": "x"}]}]""", "roles")]
    [InlineData("""[{"local": [{"projects": [{"name": "p", "roles": [], "domain": {"id": "d"}}]}], "remote": [{"type": "x"}]}]""", "'domain' is not one of")]
    public void Rules_that_are_not_of_the_language_are_refused_with_their_place(string rules, string reason)
    {
        var failure = Assert.Throws<CloudException>(() => MappingRules.Parse(Json(rules), "1.0"));

        Assert.Equal(ErrorKind.BadRequest, failure.Kind);
        Assert.Contains(reason, failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_placeholder_for_nothing_fails_the_login_and_not_the_server()
    {
        var failure = Assert.Throws<CloudException>(() => Apply("""[{"local": [{"user": {"name": "{1}"}}], "remote": [{"type": "UserName"}]}]"""));

        Assert.Equal(ErrorKind.Unauthorized, failure.Kind);
    }

    private static MappedIdentity Apply(string rules, string version = "1.0") => MappingRules.Parse(Json(rules), version).Apply(Assertion);

    private static JsonElement Json(string text)
    {
        using var document = JsonDocument.Parse(text);
        return document.RootElement.Clone();
    }
}
