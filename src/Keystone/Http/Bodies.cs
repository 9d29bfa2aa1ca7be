using System.Buffers;
using System.Collections.Frozen;
using System.Text;
using System.Text.Json;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;

namespace SharpStack.Keystone;

/// <summary>Reads bodies that a schema has checked.</summary>
internal static class Bodies
{
    /// <summary>A text, or null where it is absent or null.</summary>
    public static string? Text(this JsonElement body, string name) =>
        body.ValueKind == JsonValueKind.Object && body.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    public static bool Has(this JsonElement body, string name) => body.TryGetProperty(name, out _);

    public static bool? Flag(this JsonElement body, string name) => body.TryGetProperty(name, out var value)
        ? value.ValueKind switch { JsonValueKind.True => true, JsonValueKind.False => false, _ => null }
        : null;

    /// <summary>The value in the body where it is given, also as null; the current one where it is not.</summary>
    public static string? TextOr(this JsonElement body, string name, string? current) => body.Has(name) ? body.Text(name) : current;

    /// <summary>Reads <c>{"user": {…}}</c> and gives what is inside; a body with another id than the path's is refused.</summary>
    public static async Task<JsonElement> ReadMemberAsync(this ApiContext context, string member, string? id = null)
    {
        var inner = (await context.ReadJsonAsync()).GetProperty(member);
        return id is not null && inner.Text("id") is { } other && other != id ? throw CloudException.BadRequest("Cannot change ID") : inner;
    }
}

/// <summary>
/// JSON objects kept as text: attributes that OpenStack stores without knowing them (<c>extra</c>), and resource options.
/// </summary>
internal static class JsonText
{
    public const string Empty = "{}";

    /// <summary>The members of <paramref name="changes"/> over those of <paramref name="current"/>.</summary>
    /// <param name="known">Names that have columns of their own.</param>
    /// <param name="dropNull">Whether null removes a member.</param>
    public static string Merge(string current, JsonElement changes, FrozenSet<string>? known = null, bool dropNull = false)
    {
        var taken = changes.ValueKind == JsonValueKind.Object
            ? changes.EnumerateObject().Where(p => known is null || !known.Contains(p.Name)).ToList()
            : [];
        if (taken.Count == 0)
        {
            return current;
        }
        using var before = JsonDocument.Parse(current);
        var merged = new Dictionary<string, JsonElement>(StringComparer.Ordinal);
        foreach (var property in before.RootElement.EnumerateObject().Concat(taken))
        {
            if (dropNull && property.Value.ValueKind == JsonValueKind.Null)
            {
                merged.Remove(property.Name);
            }
            else
            {
                merged[property.Name] = property.Value;
            }
        }
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer, ApiContext.JsonOptions))
        {
            json.WriteStartObject();
            foreach (var (name, value) in merged)
            {
                json.WritePropertyName(name);
                value.WriteTo(json);
            }
            json.WriteEndObject();
        }
        return Encoding.UTF8.GetString(buffer.WrittenSpan);
    }

    /// <summary>Writes the members into the object that is open.</summary>
    public static void WriteMembers(Utf8JsonWriter json, string text)
    {
        if (text == Empty)
        {
            return;
        }
        using var document = JsonDocument.Parse(text);
        foreach (var property in document.RootElement.EnumerateObject())
        {
            property.WriteTo(json);
        }
    }

    public static void WriteOptions(Utf8JsonWriter json, string text)
    {
        json.WritePropertyName("options");
        json.WriteRawValue(text, skipInputValidation: true);
    }

    /// <summary>Whether the options lock the resource against changes and deletion.</summary>
    public static bool IsImmutable(string options)
    {
        if (options == Empty)
        {
            return false;
        }
        using var document = JsonDocument.Parse(options);
        return document.RootElement.Flag("immutable") == true;
    }

    /// <summary>Whether a change unlocks the resource by <c>"options": {"immutable": false}</c> (or null).</summary>
    public static bool Unlocks(JsonElement changes) =>
        changes.TryGetProperty("options", out var options) && options.ValueKind == JsonValueKind.Object && options.Has("immutable") && options.Flag("immutable") != true;
}
