using System.Text.Json;
using SharpStack.Foundation.Storage;

namespace SharpStack.Glance.Images;

/// <summary>Images on the wire.</summary>
internal static class ImageWriter
{
    public static void Write(Utf8JsonWriter json, Image image)
    {
        var row = image.Row;
        json.WriteStartObject();
        foreach (var (name, value) in image.Properties.OrderBy(pair => pair.Key, StringComparer.Ordinal))
        {
            json.WriteString(name, value);
        }

        json.WriteString("name", row.Name);
        json.WriteString("disk_format", row.DiskFormat);
        json.WriteString("container_format", row.ContainerFormat);
        json.WriteString("visibility", row.Visibility);
        WriteNumber(json, "size", row.Size);
        WriteNumber(json, "virtual_size", row.VirtualSize);
        json.WriteString("status", row.Status);
        json.WriteString("checksum", row.Checksum);
        json.WriteBoolean("protected", row.Protected);
        json.WriteNumber("min_ram", row.MinRam);
        json.WriteNumber("min_disk", row.MinDisk);
        json.WriteString("owner", row.Owner);
        json.WriteBoolean("os_hidden", row.Hidden);
        json.WriteString("os_hash_algo", row.HashAlgorithm);
        json.WriteString("os_hash_value", row.HashValue);
        json.WriteString("id", row.Id);
        json.WriteString("created_at", Timestamps.Seconds(row.CreatedAt));
        json.WriteString("updated_at", Timestamps.Seconds(row.UpdatedAt));
        json.WriteStartArray("tags");
        foreach (var tag in image.Tags)
        {
            json.WriteStringValue(tag);
        }

        json.WriteEndArray();
        json.WriteString("self", $"/v2/images/{row.Id}");
        json.WriteString("file", $"/v2/images/{row.Id}/file");
        json.WriteString("schema", "/v2/schemas/image");
        if (row.Store is not null && row.Location is not null)
        {
            json.WriteString("stores", row.Store);
        }

        json.WriteEndObject();
    }

    private static void WriteNumber(Utf8JsonWriter json, string name, long? value)
    {
        if (value is { } number)
        {
            json.WriteNumber(name, number);
        }
        else
        {
            json.WriteNull(name);
        }
    }
}
