using System.Globalization;
using System.Net;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace SharpStack.Foundation.Http;

/// <summary>What a schema found wrong: where, and in jsonschema's words, which OpenStack's services pass on to the user.</summary>
/// <param name="Path">Names and indices from the root to the value; empty for the root.</param>
/// <param name="Message">For example <c>'' is too short</c>.</param>
/// <param name="Value">The value's JSON text.</param>
public sealed record SchemaError(IReadOnlyList<string> Path, string Message, string Value);

/// <summary>
/// The part of JSON Schema that OpenStack's APIs use, as values: types, sizes, patterns, formats, enumerations, required and additional
/// properties, choices. Messages are those of Python's jsonschema.
/// </summary>
public sealed record JsonSchema
{
    public IReadOnlyList<string> Types { get; init; } = [];

    public int? MinLength { get; init; }

    public int? MaxLength { get; init; }

    public double? Minimum { get; init; }

    public double? Maximum { get; init; }

    public Regex? Pattern { get; init; }

    public string? Format { get; init; }

    public IReadOnlyList<string>? EnumTexts { get; init; }

    public IReadOnlyDictionary<string, JsonSchema> Properties { get; init; } = new Dictionary<string, JsonSchema>();

    public IReadOnlyList<(Regex Name, JsonSchema Schema)> PatternProperties { get; init; } = [];

    public IReadOnlyList<string> Required { get; init; } = [];

    public bool AdditionalAllowed { get; init; } = true;

    public int? MinItems { get; init; }

    public int? MaxItems { get; init; }

    public int? MinProperties { get; init; }

    public int? MaxProperties { get; init; }

    public bool Unique { get; init; }

    public JsonSchema? Item { get; init; }

    public IReadOnlyList<JsonSchema> Any { get; init; } = [];

    public static JsonSchema Everything { get; } = new();

    public static JsonSchema String(int min = 0, int? max = null, Regex? pattern = null, string? format = null) =>
        new() { Types = ["string"], MinLength = min == 0 ? null : min, MaxLength = max, Pattern = pattern, Format = format };

    public static JsonSchema Integer(double? min = null, double? max = null) => new() { Types = ["integer"], Minimum = min, Maximum = max };

    public static JsonSchema Number(double? min = null, double? max = null) => new() { Types = ["number"], Minimum = min, Maximum = max };

    public static JsonSchema Boolean { get; } = new() { Types = ["boolean"] };

    public static JsonSchema Null { get; } = new() { Types = ["null"] };

    public static JsonSchema Uuid { get; } = new() { Types = ["string"], Format = "uuid" };

    public static JsonSchema OneOfTexts(params string[] texts) => new() { EnumTexts = texts };

    public static JsonSchema Array(JsonSchema item, int? min = null, int? max = null, bool unique = false) =>
        new() { Types = ["array"], Item = item, MinItems = min, MaxItems = max, Unique = unique };

    public static JsonSchema AnyOf(params JsonSchema[] choices) => new() { Any = choices };

    /// <summary>An object that takes the named properties; a name that ends with <c>!</c> is required.</summary>
    public static JsonSchema Object(bool additional, params (string Name, JsonSchema Schema)[] properties) =>
        new()
        {
            Types = ["object"],
            Properties = properties.ToDictionary(pair => pair.Name.TrimEnd('!'), pair => pair.Schema),
            Required = [.. properties.Where(pair => pair.Name.EndsWith('!')).Select(pair => pair.Name.TrimEnd('!'))],
            AdditionalAllowed = additional,
        };

    /// <summary>An object with one required member and no other: <c>{"server": …}</c>.</summary>
    public static JsonSchema Envelope(string name, JsonSchema inner) => Object(false, (name + "!", inner));

    public JsonSchema OrNull() => Any.Count > 0 ? this with { Any = [.. Any, Null] }
        : Types.Count == 0 && EnumTexts is not null ? AnyOf(this, Null)
        : this with { Types = [.. Types, "null"] };

    /// <returns>The first error, or null.</returns>
    public SchemaError? Validate(JsonElement value)
    {
        var path = new List<string>();
        return Check(value, path);
    }

    private SchemaError? Check(JsonElement value, List<string> path)
    {
        SchemaError Fail(string message) => new([.. path], message, value.GetRawText());
        if (Any.Count > 0)
        {
            foreach (var choice in Any)
            {
                if (choice.Check(value, [.. path]) is null)
                {
                    return null;
                }
            }

            return Fail($"{Shown(value)} is not valid under any of the given schemas");
        }

        if (EnumTexts is not null && !(EnumTexts.Contains(value.ValueKind == JsonValueKind.String ? value.GetString()! : value.GetRawText())
            || (Types.Contains("null") && value.ValueKind == JsonValueKind.Null)))
        {
            return Fail($"{Shown(value)} is not one of [{string.Join(", ", EnumTexts.Select(text => $"'{text}'"))}]");
        }

        if (Types.Count > 0 && !IsOfType(value))
        {
            return Fail($"{Shown(value)} is not of type {string.Join(", ", Types.Select(type => $"'{type}'"))}");
        }

        return value.ValueKind switch
        {
            // The text is made where it is looked at.
            JsonValueKind.String => MinLength is null && MaxLength is null && Pattern is null && Format is null ? null : CheckString(value.GetString()!, Fail),
            JsonValueKind.Number => CheckNumber(value, Fail),
            JsonValueKind.Array => CheckArray(value, path, Fail),
            JsonValueKind.Object => CheckObject(value, path, Fail),
            _ => null,
        };
    }

    private SchemaError? CheckString(string text, Func<string, SchemaError> fail)
    {
        if (text.Length < MinLength)
        {
            return fail($"{Quote(text)} is too short");
        }

        if (text.Length > MaxLength)
        {
            return fail($"{Quote(text)} is too long");
        }

        if (Pattern is not null && !Pattern.IsMatch(text))
        {
            return fail($"{Quote(text)} does not match {Quote(Pattern.ToString())}");
        }

        return Format is not null && !MatchesFormat(text) ? fail($"{Quote(text)} is not a {Quote(Format)}") : null;
    }

    private bool MatchesFormat(string text) => Format switch
    {
        "uuid" => Guid.TryParseExact(text, "D", out _) || Guid.TryParseExact(text, "N", out _),
        "ipv4" => IPAddress.TryParse(text, out var four) && four.AddressFamily == System.Net.Sockets.AddressFamily.InterNetwork && text.Count(c => c == '.') == 3,
        "ipv6" => IPAddress.TryParse(text, out var six) && six.AddressFamily == System.Net.Sockets.AddressFamily.InterNetworkV6,
        "date-time" => DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, out _),
        "uri" => Uri.TryCreate(text, UriKind.Absolute, out _),
        "email" => text.Contains('@', StringComparison.Ordinal),
        "base64" => Convert.TryFromBase64String(text, new byte[text.Length], out _),
        "cidr" => IPNetwork.TryParse(text, out _),
        _ => true,
    };

    private SchemaError? CheckNumber(JsonElement value, Func<string, SchemaError> fail)
    {
        var number = value.GetDouble();
        if (number < Minimum)
        {
            return fail($"{value.GetRawText()} is less than the minimum of {Minimum}");
        }

        return number > Maximum ? fail($"{value.GetRawText()} is greater than the maximum of {Maximum}") : null;
    }

    private SchemaError? CheckArray(JsonElement value, List<string> path, Func<string, SchemaError> fail)
    {
        var count = value.GetArrayLength();
        if (count < MinItems)
        {
            return fail($"{Shown(value)} is too short");
        }

        if (count > MaxItems)
        {
            return fail($"{Shown(value)} is too long");
        }

        if (Unique && value.EnumerateArray().Select(item => item.GetRawText()).Distinct(StringComparer.Ordinal).Count() != count)
        {
            return fail($"{Shown(value)} has non-unique elements");
        }

        if (Item is not null)
        {
            var index = 0;
            foreach (var item in value.EnumerateArray())
            {
                path.Add((index++).ToString(CultureInfo.InvariantCulture));
                if (Item.Check(item, path) is { } error)
                {
                    return error;
                }

                path.RemoveAt(path.Count - 1);
            }
        }

        return null;
    }

    private SchemaError? CheckObject(JsonElement value, List<string> path, Func<string, SchemaError> fail)
    {
        foreach (var name in Required)
        {
            if (!value.TryGetProperty(name, out _))
            {
                return fail($"{Quote(name)} is a required property");
            }
        }

        var count = 0;
        foreach (var property in value.EnumerateObject())
        {
            count++;
            var schema = Properties.GetValueOrDefault(property.Name) ?? PatternProperties.FirstOrDefault(pair => pair.Name.IsMatch(property.Name)).Schema;
            if (schema is null)
            {
                if (!AdditionalAllowed)
                {
                    return fail($"Additional properties are not allowed ({Quote(property.Name)} was unexpected)");
                }

                continue;
            }

            path.Add(property.Name);
            if (schema.Check(property.Value, path) is { } error)
            {
                return error;
            }

            path.RemoveAt(path.Count - 1);
        }

        if (count < MinProperties)
        {
            return fail($"{Shown(value)} does not have enough properties");
        }

        return count > MaxProperties ? fail($"{Shown(value)} has too many properties") : null;
    }

    private bool IsOfType(JsonElement value)
    {
        foreach (var type in Types)
        {
            if (Is(value, type))
            {
                return true;
            }
        }

        return false;
    }

    private static bool Is(JsonElement value, string type) => type switch
    {
        "string" => value.ValueKind == JsonValueKind.String,
        "integer" => value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out var number) && double.IsInteger(number),
        "number" => value.ValueKind == JsonValueKind.Number,
        "boolean" => value.ValueKind is JsonValueKind.True or JsonValueKind.False,
        "null" => value.ValueKind == JsonValueKind.Null,
        "array" => value.ValueKind == JsonValueKind.Array,
        "object" => value.ValueKind == JsonValueKind.Object,
        _ => throw new InvalidOperationException($"'{type}' is no JSON type"),
    };

    /// <summary>A value as Python would print it, cut where it is long.</summary>
    private static string Shown(JsonElement value)
    {
        var text = value.ValueKind switch
        {
            JsonValueKind.String => Quote(value.GetString()!),
            JsonValueKind.True => "True",
            JsonValueKind.False => "False",
            JsonValueKind.Null => "None",
            _ => value.GetRawText().Replace('"', '\''),
        };
        return text.Length > 200 ? string.Concat(text.AsSpan(0, 200), "…") : text;
    }

    private static string Quote(string text) => $"'{text}'";
}
