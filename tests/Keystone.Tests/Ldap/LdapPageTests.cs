using System.Text.Json;
using System.Text.RegularExpressions;
using SharpStack.Foundation.Configuration;
using SharpStack.Keystone.DomainConfigs;
using SharpStack.Keystone.Ldap;
using SharpStack.TestKit;

namespace SharpStack.Keystone.Tests.Ldap;

/// <summary>The operators' page names what exists.</summary>
public partial class LdapPageTests
{
    private static string Page => File.ReadAllText(Path.Combine(Repository.Root, "docs", "operators", "identity.md"));

    [Fact]
    public void The_configuration_on_the_page_is_one_that_a_domain_may_have()
    {
        var json = Configuration().Match(Page).Groups[1].Value;
        using var document = JsonDocument.Parse(json);

        var rows = DomainConfigModel.Read("people", document.RootElement.GetProperty("config"));

        Assert.True(rows.Count > 8);
        Assert.Equal("password", Assert.Single(rows, static r => r.IsSensitive).Option);
    }

    [Fact]
    public void Each_option_on_the_page_is_declared()
    {
        var declared = ConfigOption.DeclaredIn(typeof(LdapOptions)).Concat(ConfigOption.DeclaredIn(typeof(KeystoneOptions))).Select(static o => o.Name).ToHashSet();

        var named = Option().Matches(Page).Select(static m => m.Groups[1].Value).Distinct().ToList();

        Assert.True(named.Count > 15, string.Join(' ', named));
        Assert.Empty(named.Except(declared));
    }

    [GeneratedRegex(@"<!-- file: people\.json -->\s*(\{""config"".*?\})\s*<!--", RegexOptions.Singleline)]
    private static partial Regex Configuration();

    [GeneratedRegex("`([a-z]+(?:_[a-z]+)+) = ")]
    private static partial Regex Option();
}
