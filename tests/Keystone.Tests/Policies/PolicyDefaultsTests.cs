using SharpStack.Foundation.Policy;

namespace SharpStack.Keystone.Tests.Policies;

/// <summary>The rules in code beside the list of OpenStack's (<c>identity-rules.txt</c>).</summary>
public class PolicyDefaultsTests
{
    private sealed record Listed(string Name, string Check, PolicyScope Scopes, string OldName, string OldCheck);

    [Fact]
    public void Every_rule_has_the_name_the_check_and_the_scopes_of_openstacks()
    {
        var listed = Read().ToDictionary(static r => r.Name);
        var differing = new List<string>();

        foreach (var rule in KeystonePolicies.Defaults)
        {
            var expected = listed.GetValueOrDefault(rule.Name);
            var found = new Listed(rule.Name, Plain(rule.Check), rule.Scopes, rule.Deprecated?.Name ?? "", Plain(rule.Deprecated?.Check ?? ""));
            if (expected != found)
            {
                differing.Add($"expected {expected}\n   found {found}");
            }
        }

        Assert.True(differing.Count == 0, string.Join('\n', differing));
    }

    [Fact]
    public void No_rule_of_openstacks_is_missing()
    {
        var missing = Read().Select(static r => r.Name).Except(KeystonePolicies.Defaults.Select(static r => r.Name)).ToList();

        Assert.True(missing.Count == 0, string.Join(' ', missing));
    }

    private static IEnumerable<Listed> Read() =>
        from line in Resources.Lines("identity-rules")
        let parts = line.Split('|', StringSplitOptions.TrimEntries)
        select new Listed(
            parts[0],
            parts[1],
            parts[2].Split(',', StringSplitOptions.RemoveEmptyEntries).Aggregate(PolicyScope.None, static (all, one) => all | Enum.Parse<PolicyScope>(one, ignoreCase: true)),
            parts.ElementAtOrDefault(3) ?? "",
            parts.ElementAtOrDefault(4) ?? "");

    private static string Plain(string check) => string.Join(' ', check.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));
}

internal static class Resources
{
    /// <summary>The lines of an embedded file, without comments and empty ones.</summary>
    public static List<string> Lines(string name)
    {
        using var reader = new StreamReader(typeof(Resources).Assembly.GetManifestResourceStream(name)!);
        return [.. reader.ReadToEnd().Split('\n').Where(static l => l.Length > 0 && l[0] != '#')];
    }
}
