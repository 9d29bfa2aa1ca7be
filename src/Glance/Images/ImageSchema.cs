using System.Text.Json;
using System.Text.RegularExpressions;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;

namespace SharpStack.Glance.Images;

/// <summary>What an image's attributes may be.</summary>
internal sealed partial class ImageSchema
{
    private static readonly HashSet<string> Disallowed = ["direct_url", "self", "file", "schema", "stores"];

    private static readonly HashSet<string> ReadOnly =
        ["created_at", "updated_at", "status", "checksum", "size", "virtual_size", "direct_url", "self", "file", "schema", "id", "os_hash_algo", "os_hash_value"];

    private static readonly HashSet<string> Reserved = ["location", "deleted", "deleted_at"];

    private readonly JsonSchema schema;

    public ImageSchema(GlanceConfig config)
    {
        schema = JsonSchema.Object(
            additional: true,
            ("id", JsonSchema.String(pattern: Id())),
            ("name", JsonSchema.String(max: 255).OrNull()),
            ("status", JsonSchema.OneOfTexts("queued", "saving", "active", "killed", "deleted", "uploading", "importing", "pending_delete", "deactivated")),
            ("visibility", JsonSchema.OneOfTexts("community", "public", "private", "shared")),
            ("protected", JsonSchema.Boolean),
            ("os_hidden", JsonSchema.Boolean),
            ("checksum", JsonSchema.String(max: 32).OrNull()),
            ("os_hash_algo", JsonSchema.String(max: 64).OrNull()),
            ("os_hash_value", JsonSchema.String(max: 128).OrNull()),
            ("owner", JsonSchema.String(max: 255).OrNull()),
            ("size", JsonSchema.Integer().OrNull()),
            ("virtual_size", JsonSchema.Integer().OrNull()),
            ("container_format", JsonSchema.OneOfTexts([.. config.Get(GlanceOptions.ContainerFormats)]).OrNull()),
            ("disk_format", JsonSchema.OneOfTexts([.. config.Get(GlanceOptions.DiskFormats)]).OrNull()),
            ("created_at", JsonSchema.String()),
            ("updated_at", JsonSchema.String()),
            ("tags", JsonSchema.Array(JsonSchema.String(max: 255))),
            ("min_ram", JsonSchema.Integer()),
            ("min_disk", JsonSchema.Integer()),
            ("locations", JsonSchema.Array(JsonSchema.Everything))) with { PatternProperties = [(Anything(), JsonSchema.String())] };
    }

    public void Validate(JsonElement image)
    {
        if (schema.Validate(image) is { } error)
        {
            throw CloudException.BadRequest(error.Path.Count == 0
                ? $"Provided object does not match schema 'image': {error.Message}"
                : $"Provided object does not match schema 'image': {error.Message} (at {string.Join('/', error.Path)})");
        }
    }

    /// <summary>Refuses attributes that no create request may name.</summary>
    public static void CheckCreatable(JsonElement image)
    {
        foreach (var attribute in image.EnumerateObject())
        {
            if (Disallowed.Contains(attribute.Name) || (ReadOnly.Contains(attribute.Name) && attribute.Name != "id"))
            {
                throw CloudException.Forbidden($"Attribute '{attribute.Name}' is read-only.");
            }

            CheckReserved(attribute.Name);
            if (attribute.Name == "locations")
            {
                throw CloudException.Forbidden("Attribute 'locations' is reserved.");
            }

            if (attribute.Name.Length > 255)
            {
                throw CloudException.BadRequest("Custom property should not be greater than 255 characters.");
            }
        }
    }

    /// <summary>Refuses attributes that no update may touch.</summary>
    public static void CheckChangeable(string name)
    {
        if (ReadOnly.Contains(name))
        {
            throw CloudException.Forbidden($"Attribute '{name}' is read-only.");
        }

        CheckReserved(name);
    }

    /// <summary>MB, GB: whole and not negative.</summary>
    public static long Minimum(string name, JsonElement value) =>
        value.TryGetInt64(out var number) && number is >= 0 and <= int.MaxValue
            ? number
            : throw CloudException.BadRequest($"Invalid value '{value.GetRawText()}' for parameter '{name}': {(value.GetRawText().StartsWith('-') ? "Cannot be a negative value" : "Cannot be larger than 2147483647")}");

    private static void CheckReserved(string name)
    {
        if (Reserved.Contains(name) || name.StartsWith("os_glance", StringComparison.Ordinal))
        {
            throw CloudException.Forbidden($"Attribute '{name}' is reserved.");
        }
    }

    [GeneratedRegex("^([0-9a-fA-F]){8}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){12}$")]
    private static partial Regex Id();

    [GeneratedRegex("")]
    private static partial Regex Anything();
}
