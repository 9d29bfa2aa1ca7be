using System.Text.Json;
using System.Text.RegularExpressions;

namespace SharpStack.Neutron.Api;

/// <summary>Names of hosts and domains (RFC 1123, section 2.1), in the words of Neutron's validators.</summary>
internal static partial class DnsChecks
{
    private const int LongestName = 255;

    /// <summary>A domain ends with a dot; empty for none.</summary>
    public static string? Domain(JsonElement value) =>
        value.ValueKind == JsonValueKind.Null ? null
        : Checks.Text(LongestName)(value) is { } reason ? reason
        : value.GetString() is not { Length: > 0 } text ? null
        : !text.EndsWith('.') ? $"'{text}' is not a FQDN"
        : Format(text);

    /// <summary>A name of a host, perhaps with its domain.</summary>
    public static string? Name(JsonElement value) =>
        value.ValueKind == JsonValueKind.Null ? null
        : Checks.Text(LongestName)(value) is { } reason ? reason
        : value.GetString() is not { Length: > 0 } text ? null
        : Format(text);

    private static string? Format(string text)
    {
        var labels = text.TrimEnd('.').Split('.');
        return labels.All(label => Label().IsMatch(label)) && !(labels.Length > 1 && labels[^1].All(char.IsAsciiDigit)) ? null
            : $"'{text}' not a valid PQDN or FQDN. Reason: Name '{text}' must be 1-63 characters long, each of which can only be alphanumeric or a hyphen";
    }

    [GeneratedRegex("^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$")]
    private static partial Regex Label();
}
