using System.Text.Json;
using SharpStack.Keystone.Storage;

namespace SharpStack.Keystone.Authentication;

/// <summary>The sets of methods of which a user must pass one whole (<c>options.multi_factor_auth_rules</c>).</summary>
internal static class MultiFactorRules
{
    /// <returns>Empty where the user has none, or has them switched off.</returns>
    public static IReadOnlyList<IReadOnlyList<string>> Of(UserRow user)
    {
        if (!user.Options.Contains("multi_factor_auth_rules", StringComparison.Ordinal))
        {
            return [];
        }
        using var options = JsonDocument.Parse(user.Options);
        if (options.RootElement.Flag("multi_factor_auth_enabled") == false
            || !options.RootElement.TryGetProperty("multi_factor_auth_rules", out var rules) || rules.ValueKind != JsonValueKind.Array)
        {
            return [];
        }
        return
        [
            .. rules.EnumerateArray()
                .Where(static rule => rule.ValueKind == JsonValueKind.Array && rule.GetArrayLength() > 0 && rule.EnumerateArray().All(static m => m.ValueKind == JsonValueKind.String))
                .Select(static rule => rule.EnumerateArray().Select(static m => m.GetString()!).Distinct().ToList()),
        ];
    }

    /// <summary>Methods that are not enabled are left out of a rule: an operator who disables one locks nobody out.</summary>
    public static bool Pass(IReadOnlyList<IReadOnlyList<string>> rules, AuthMethods passed, AuthMethods enabled) =>
        rules.Count == 0 || rules.Any(rule => (AuthMethodMap.Of(rule) & enabled & ~passed) == AuthMethods.None);

    /// <summary>The rules that the methods passed so far belong to.</summary>
    public static IReadOnlyList<IReadOnlyList<string>> Started(IReadOnlyList<IReadOnlyList<string>> rules, AuthMethods passed, AuthMethods enabled) =>
    [
        .. rules.Select(rule => rule.Where(method => (AuthMethodMap.Find(method) & enabled) != 0).ToList())
            .Where(rule => (AuthMethodMap.Of(rule) & passed) != 0),
    ];
}
