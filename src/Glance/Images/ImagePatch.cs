using System.Text.Json;
using System.Text.RegularExpressions;
using SharpStack.Foundation;

namespace SharpStack.Glance.Images;

internal enum PatchOperation
{
    Add,
    Replace,
    Remove,
}

/// <summary>One change of a PATCH request.</summary>
/// <param name="StrictAdd">In the older of the two forms, what is there already cannot be added.</param>
internal sealed record ImageChange(PatchOperation Operation, string Name, JsonElement Value, bool StrictAdd)
{
    private static readonly Dictionary<string, bool> ContentTypes = new()
    {
        ["application/openstack-images-v2.0-json-patch"] = true,
        ["application/openstack-images-v2.1-json-patch"] = false,
    };

    public static string Accepted { get; } = string.Join(", ", ContentTypes.Keys.Order(StringComparer.Ordinal));

    /// <exception cref="CloudException">415 for another content type.</exception>
    public static IReadOnlyList<ImageChange> Read(string? contentType, JsonElement body, ImageSchema schema)
    {
        if (!ContentTypes.TryGetValue((contentType ?? "").Split(';')[0].Trim(), out var older))
        {
            throw new CloudException(ErrorKind.UnsupportedMediaType, $"The request media type {contentType} is not supported by this server: send one of {Accepted}.");
        }

        if (body.ValueKind != JsonValueKind.Array)
        {
            throw CloudException.BadRequest("Request body must be a JSON array of operation objects.");
        }

        return [.. body.EnumerateArray().Select(raw => ReadOne(raw, older, schema))];
    }

    private static ImageChange ReadOne(JsonElement raw, bool older, ImageSchema schema)
    {
        if (raw.ValueKind != JsonValueKind.Object)
        {
            throw CloudException.BadRequest("Operations must be JSON objects.");
        }

        var (operation, path) = older ? ReadOlder(raw) : ReadNewer(raw);
        var parts = Pointer(path);
        var name = parts[0];
        if (name == "locations")
        {
            throw CloudException.Forbidden("It's not allowed to change locations if locations are invisible.");
        }

        if (parts.Count != 1 || name.Length == 0)
        {
            throw CloudException.BadRequest($"Invalid JSON pointer for this resource: '/{string.Join('/', parts)}'");
        }

        JsonElement value = default;
        if (operation != PatchOperation.Remove && !raw.TryGetProperty("value", out value))
        {
            throw CloudException.BadRequest($"Operation \"{operation.ToString().ToLowerInvariant()}\" requires a member named \"value\".");
        }

        ImageSchema.CheckChangeable(name);
        if (operation != PatchOperation.Remove)
        {
            if (name.Length > 255)
            {
                throw CloudException.BadRequest("Custom property should not be greater than 255 characters.");
            }

            using var partial = JsonDocument.Parse(JsonSerializer.SerializeToUtf8Bytes(
                new Dictionary<string, JsonElement> { [name] = value }, GlanceJson.Default.DictionaryStringJsonElement));
            schema.Validate(partial.RootElement);
        }

        return new ImageChange(operation, name, value, older);
    }

    private static (PatchOperation Operation, string Path) ReadNewer(JsonElement raw)
    {
        const string Available = "add, remove, replace";
        if (!raw.TryGetProperty("op", out var op) || op.ValueKind == JsonValueKind.Null)
        {
            throw CloudException.BadRequest($"Unable to find `op` in JSON Schema change. It must be one of the following: {Available}.");
        }

        var operation = op.ValueKind == JsonValueKind.String ? Named(op.GetString()!) : null;
        if (operation is null)
        {
            throw CloudException.BadRequest($"Invalid operation: `{op}`. It must be one of the following: {Available}.");
        }

        return raw.TryGetProperty("path", out var path) && path.ValueKind == JsonValueKind.String
            ? (operation.Value, path.GetString()!)
            : throw CloudException.BadRequest("Unable to find 'path' in JSON Schema change");
    }

    private static (PatchOperation Operation, string Path) ReadOlder(JsonElement raw)
    {
        var named = raw.EnumerateObject().Where(member => Named(member.Name) is not null).ToList();
        return named.Count switch
        {
            0 => throw CloudException.BadRequest("Operation objects must contain exactly one member named \"add\", \"remove\", or \"replace\"."),
            1 when named[0].Value.ValueKind == JsonValueKind.String => (Named(named[0].Name)!.Value, named[0].Value.GetString()!),
            1 => throw CloudException.BadRequest($"The member \"{named[0].Name}\" must be a JSON pointer such as \"/name\"."),
            _ => throw CloudException.BadRequest("Operation objects must contain only one member named \"add\", \"remove\", or \"replace\"."),
        };
    }

    private static PatchOperation? Named(string name) => name switch
    {
        "add" => PatchOperation.Add,
        "replace" => PatchOperation.Replace,
        "remove" => PatchOperation.Remove,
        _ => null,
    };

    /// <summary>The parts of a JSON pointer: <c>~1</c> stands for a slash, <c>~0</c> for a tilde.</summary>
    private static List<string> Pointer(string pointer)
    {
        string? wrong = !pointer.StartsWith('/') ? "does not start with \"/\"."
            : Regex.IsMatch(pointer[1..], @"/\s*?/") ? "contains adjacent \"/\"."
            : pointer.Length > 1 && pointer.EndsWith('/') ? "end with \"/\"."
            : pointer[1..].Trim() == "/" ? "does not contains valid token."
            : Regex.IsMatch(pointer, "~[^01]") || pointer.EndsWith('~') ? "contains \"~\" not part of a recognized escape sequence."
            : null;
        return wrong is null
            ? [.. pointer.TrimStart('/').Split('/').Select(part => part.Replace("~1", "/", StringComparison.Ordinal).Replace("~0", "~", StringComparison.Ordinal).Trim())]
            : throw CloudException.BadRequest($"Pointer `{pointer}` {wrong}");
    }
}

/// <summary>Applies changes to an image.</summary>
internal static class ImagePatch
{
    private static readonly HashSet<string> Base = ["name", "visibility", "min_disk", "min_ram", "protected", "owner", "disk_format", "container_format", "tags", "os_hidden"];

    /// <param name="isAdmin">Only an administrator may give an image to another owner.</param>
    public static Image Apply(Image image, ImageChange change, bool isAdmin)
    {
        var exists = Base.Contains(change.Name) || image.Properties.ContainsKey(change.Name);
        switch (change.Operation)
        {
            case PatchOperation.Remove when Base.Contains(change.Name):
                throw CloudException.Forbidden($"Property {change.Name} may not be removed.");
            case PatchOperation.Remove or PatchOperation.Replace when !exists:
                throw CloudException.Conflict($"Property {change.Name} does not exist.");
            case PatchOperation.Add when exists && change.StrictAdd:
                throw CloudException.Conflict($"Property {change.Name} already present.");
            case PatchOperation.Remove:
                var left = new Dictionary<string, string>(image.Properties, StringComparer.Ordinal);
                left.Remove(change.Name);
                return image with { Properties = left };
            default:
                return Set(image, change.Name, change.Value, isAdmin);
        }
    }

    public static Image Set(Image image, string name, JsonElement value, bool isAdmin)
    {
        var row = image.Row;
        string? Text() => value.ValueKind == JsonValueKind.Null ? null : value.GetString();
        string? Format(string? before)
        {
            var text = Text();
            return text == before || row.Status is ImageStatus.Queued or ImageStatus.Importing
                ? text
                : throw CloudException.Forbidden($"Attribute {name} can be only replaced for a queued image.");
        }

        switch (name)
        {
            case "name":
                return image with { Row = row with { Name = Text() } };
            case "visibility":
                return image with { Row = row with { Visibility = Text()! } };
            case "min_disk":
                return image with { Row = row with { MinDisk = ImageSchema.Minimum(name, value) } };
            case "min_ram":
                return image with { Row = row with { MinRam = ImageSchema.Minimum(name, value) } };
            case "protected":
                return image with { Row = row with { Protected = value.GetBoolean() } };
            case "os_hidden":
                return image with { Row = row with { Hidden = value.GetBoolean() } };
            case "owner":
                return Text() == row.Owner || isAdmin ? image with { Row = row with { Owner = Text() } } : throw CloudException.Forbidden("Owner can't be updated by non admin.");
            case "disk_format":
                return image with { Row = row with { DiskFormat = Format(row.DiskFormat) } };
            case "container_format":
                return image with { Row = row with { ContainerFormat = Format(row.ContainerFormat) } };
            case "tags":
                return image with { Tags = value.EnumerateArray().Select(tag => tag.GetString()!).ToHashSet(StringComparer.Ordinal) };
            default:
                return image with { Properties = new Dictionary<string, string>(image.Properties, StringComparer.Ordinal) { [name] = value.GetString()! } };
        }
    }
}
