using System.Text.Json;
using System.Text.Json.Nodes;

namespace SharpStack.Keystone.Tests.OpenApi;

/// <summary>Bodies that look like what a schema of the OpenAPI document asks for, and are wrong somewhere.</summary>
/// <param name="identifiers">What a member that ends with <c>id</c> may name.</param>
internal sealed class RequestBodies(JsonElement schemas, Random random, IReadOnlyList<string> identifiers)
{
    private const int Deepest = 8;

    private static readonly string[] Texts =
    [
        "x", "admin", "default", "public", "http://192.0.2.1:1/%(tenant_id)s", "http://x/$(project_id)s", "", "   ", "a\0b", "%00", "../../etc/passwd", "' OR 1=1 --", "😀",
        new('z', 300), "2030-01-01T00:00:00.000000Z", "2030-01-01", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "not a date", "totp", "ec2", "cert", "{\"access\": 1}", "{", "0", "*", "/v2.1/**",
    ];

    private static readonly string[] Wrong =
    [
        "null", "true", "0", "-1", "1.5", "9223372036854775808", "1e400", "\"\"", "[]", "{}", "[null]", "[[\"password\"]]", "{\"id\": 1}", "{\"id\": {\"id\": []}}", "[{}, 1, \"x\", null]", "\"\\ud800\"",
    ];

    /// <returns>The body's text; null for none.</returns>
    public string? Next(JsonElement? schema)
    {
        var text = schema is { } known ? Value(known, "", 0)?.ToJsonString() ?? "null" : Pick(Wrong);
        return random.Next(30) switch
        {
            0 => text[..random.Next(text.Length + 1)],
            1 => null,
            2 => Pick(Wrong),
            // A member twice.
            3 when text.Length > 2 && text[0] == '{' => $"{text[..^1]}, {text[1..]}",
            4 => string.Concat(Enumerable.Repeat("{\"a\":", 200)) + "1" + new string('}', 200),
            _ => text,
        };
    }

    private JsonNode? Value(JsonElement schema, string name, int depth)
    {
        if (random.Next(14) == 0 || depth > Deepest)
        {
            return Anything();
        }
        if (schema.TryGetProperty("$ref", out var reference))
        {
            return Value(schemas.GetProperty(reference.GetString()!.Split('/')[^1]), name, depth + 1);
        }
        if (schema.TryGetProperty("oneOf", out var choices))
        {
            return Value(choices[random.Next(choices.GetArrayLength())], name, depth + 1);
        }
        if (schema.TryGetProperty("enum", out var values))
        {
            return JsonNode.Parse(values[random.Next(values.GetArrayLength())].GetRawText());
        }
        var type = schema.TryGetProperty("type", out var types) ? types.ValueKind == JsonValueKind.Array ? types[random.Next(types.GetArrayLength())].GetString() : types.GetString() : null;
        return type switch
        {
            "object" => Object(schema, depth),
            "array" => new JsonArray([.. Enumerable.Range(0, random.Next(4)).Select(_ => schema.TryGetProperty("items", out var items) ? Value(items, name, depth + 1) : Anything())]),
            "string" => name.EndsWith("id", StringComparison.Ordinal) && random.Next(3) > 0 ? identifiers[random.Next(identifiers.Count)] : Pick(Texts),
            "boolean" => random.Next(2) == 0,
            "integer" => random.Next(4) switch { 0 => int.MaxValue, 1 => -1, 2 => long.MaxValue, _ => random.Next(100) },
            "number" => random.NextDouble() * 1e9,
            "null" => null,
            _ => Anything(),
        };
    }

    private JsonObject Object(JsonElement schema, int depth)
    {
        var made = new JsonObject();
        if (schema.TryGetProperty("properties", out var properties))
        {
            var required = schema.TryGetProperty("required", out var names) ? names.EnumerateArray().Select(static n => n.GetString()).ToHashSet() : [];
            foreach (var property in properties.EnumerateObject())
            {
                if (random.Next(10) < (required.Contains(property.Name) || depth == 0 ? 9 : 5))
                {
                    made[property.Name] = Value(property.Value, property.Name, depth + 1);
                }
            }
        }
        if (random.Next(8) == 0)
        {
            made[Pick(Texts)] = Anything();
        }
        return made;
    }

    private JsonNode? Anything()
    {
        var text = Pick(Wrong);
        // A lone surrogate cannot be held by a node: it is written as it is, by Next alone.
        return text.Contains("ud800", StringComparison.Ordinal) ? "x" : JsonNode.Parse(text);
    }

    private string Pick(string[] from) => from[random.Next(from.Length)];
}
