using System.Text.Json;
using SharpStack.Foundation;

namespace SharpStack.Keystone.Federation;

/// <summary>Tries a mapping's rules on an assertion without a server, as <c>keystone-manage mapping_engine</c> does.</summary>
public static class MappingTest
{
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true, PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };

    /// <param name="rules">The rules in JSON: a list, or a mapping with <c>rules</c>.</param>
    /// <param name="assertion">Lines of <c>Name: value</c>; several values of one are separated by semicolons.</param>
    /// <param name="version">Of the language; null for the one that the mapping names, or 1.0.</param>
    /// <param name="prefix">Attributes that begin otherwise are left out.</param>
    /// <returns>What the mapping yields, in JSON.</returns>
    /// <exception cref="CloudException">The rules or the assertion are malformed, or yield nobody; the message says why.</exception>
    public static string Run(string rules, string assertion, string prefix, string? version = null)
    {
        using var document = Parse(rules);
        version ??= document.RootElement.Text("schema_version") ?? MappingRules.Versions[0];
        if (!MappingRules.Versions.Contains(version))
        {
            throw CloudException.BadRequest($"'{version}' is not one of {string.Join(", ", MappingRules.Versions)}");
        }
        var list = document.RootElement.ValueKind == JsonValueKind.Object && document.RootElement.TryGetProperty("rules", out var inner) ? inner : document.RootElement;
        var variables = assertion.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).Select(static line =>
            line.IndexOf(':', StringComparison.Ordinal) is > 0 and var colon
                ? KeyValuePair.Create(line[..colon].Trim(), line[(colon + 1)..].Trim())
                : throw CloudException.BadRequest($"'{line}' is no attribute: write Name: value"));
        var attributes = Assertion.FromVariables(variables.Where(v => v.Key.StartsWith(prefix, StringComparison.Ordinal)), null).Attributes;
        return JsonSerializer.Serialize(MappingRules.Parse(list, version).Apply(attributes), Indented);
    }

    private static JsonDocument Parse(string rules)
    {
        try
        {
            return JsonDocument.Parse(rules);
        }
        catch (JsonException failure)
        {
            throw CloudException.BadRequest($"The rules are no JSON: {failure.Message}");
        }
    }
}
