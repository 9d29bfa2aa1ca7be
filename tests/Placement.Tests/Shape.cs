using System.Text.Json;
using System.Text.RegularExpressions;

namespace SharpStack.Placement.Tests;

/// <summary>What members an answer has at which place; keys that are data (UUIDs, resource classes, groups) count as one.</summary>
internal static partial class Shape
{
    [GeneratedRegex("^[0-9a-f-]{36}$|^[A-Z0-9_]*$")]
    private static partial Regex DataKey { get; }

    public static void Same(string sample, JsonElement actual)
    {
        using var expected = JsonDocument.Parse(File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "Samples", sample + ".json")));
        Assert.Equal(Of(expected.RootElement), Of(actual));
    }

    private static string[] Of(JsonElement json)
    {
        var places = new SortedSet<string>(StringComparer.Ordinal);
        Walk(json, "", places);
        return [.. places];
    }

    private static void Walk(JsonElement json, string place, SortedSet<string> places)
    {
        switch (json.ValueKind)
        {
            case JsonValueKind.Object:
                foreach (var property in json.EnumerateObject())
                {
                    Walk(property.Value, $"{place}.{(DataKey.IsMatch(property.Name) ? "*" : property.Name)}", places);
                }

                break;
            case JsonValueKind.Array:
                foreach (var item in json.EnumerateArray())
                {
                    Walk(item, place + "[]", places);
                }

                break;
            default:
                places.Add($"{place}: {(json.ValueKind == JsonValueKind.Null ? JsonValueKind.String : json.ValueKind)}");
                break;
        }
    }
}
