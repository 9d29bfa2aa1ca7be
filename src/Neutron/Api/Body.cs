using System.Text.Json;

namespace SharpStack.Neutron.Api;

/// <summary>The attributes that were sent, checked one by one; read with Neutron's conversions.</summary>
internal sealed class Body(JsonElement json, string projectId, string parentId = "")
{
    /// <summary>Who is to own what is created.</summary>
    public string ProjectId { get; } = projectId;

    /// <summary>The id of what it belongs to, from the path; empty for resources of their own.</summary>
    public string ParentId { get; } = parentId;

    /// <summary>Attributes that the server itself asks for.</summary>
    /// <param name="projectId">Empty for what users neither see nor pay for.</param>
    public static Body Of(string projectId, Action<Utf8JsonWriter> write) => new(
        JsonElement.Parse(JsonText.Of(json =>
        {
            json.WriteStartObject();
            write(json);
            json.WriteEndObject();
        })),
        projectId);

    public bool IsEmpty => json.GetPropertyCount() == 0;

    public bool Has(string name) => json.TryGetProperty(name, out _);

    /// <summary>Sent, and not null.</summary>
    public bool HasValue(string name) => json.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null;

    public JsonElement? Get(string name) => json.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;

    /// <summary>As it was sent, null too.</summary>
    public JsonElement Raw(string name) => json.GetProperty(name);

    public string Text(string name, string otherwise = "") => Get(name)?.GetString() ?? otherwise;

    public string? TextOrNull(string name) => Get(name) is { } value ? value.ValueKind == JsonValueKind.String ? value.GetString() : Checks.Shown(value) : null;

    public bool Flag(string name, bool otherwise) => Get(name) is { } value ? Checks.ToFlag(value) : otherwise;

    public int? Number(string name) => Get(name) is { } value ? Checks.ToNumber(value) : null;

    /// <summary>A list of texts; null where it was not sent, empty where it was null.</summary>
    public List<string>? Texts(string name) => !Has(name) ? null : Get(name) is { } list ? [.. list.EnumerateArray().Select(item => item.GetString()!)] : [];

    /// <summary>The objects of a list, or the one object that is sent instead of one.</summary>
    public IEnumerable<JsonElement> Items(string name) => Get(name) is { } sent ? sent.ValueKind == JsonValueKind.Object ? [sent] : sent.EnumerateArray() : [];
}
