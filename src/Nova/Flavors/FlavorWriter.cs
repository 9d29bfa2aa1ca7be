using System.Text.Json;
using SharpStack.Foundation.Http;
using SharpStack.Nova.Storage;

namespace SharpStack.Nova.Flavors;

/// <summary>Flavors on the wire.</summary>
internal static class FlavorWriter
{
    public static void WriteBrief(Utf8JsonWriter json, ApiContext context, FlavorRow flavor)
    {
        json.WriteStartObject();
        json.WriteString("id", flavor.FlavorId);
        json.WriteString("name", flavor.Name);
        json.WriteLinks(context.SelfBase(), context.BookmarkBase(), "flavors", flavor.FlavorId);
        if (context.Since(55))
        {
            json.WriteString("description", flavor.Description);
        }

        json.WriteEndObject();
    }

    /// <param name="extraSpecs">Whether the caller may see them.</param>
    public static void Write(Utf8JsonWriter json, ApiContext context, FlavorRow flavor, bool extraSpecs)
    {
        json.WriteStartObject();
        json.WriteString("id", flavor.FlavorId);
        json.WriteString("name", flavor.Name);
        json.WriteNumber("ram", flavor.MemoryMb);
        json.WriteNumber("disk", flavor.RootGb);
        if (flavor.SwapMb == 0 && !context.Since(75))
        {
            json.WriteString("swap", "");
        }
        else
        {
            json.WriteNumber("swap", flavor.SwapMb);
        }

        json.WriteNumber("OS-FLV-EXT-DATA:ephemeral", flavor.EphemeralGb);
        json.WriteBoolean("OS-FLV-DISABLED:disabled", flavor.Disabled);
        json.WriteNumber("vcpus", flavor.Vcpus);
        json.WriteBoolean("os-flavor-access:is_public", flavor.IsPublic);
        json.WritePropertyName("rxtx_factor");
        json.WriteRawValue(double.IsInteger(flavor.RxtxFactor) ? $"{flavor.RxtxFactor:0.0}" : $"{flavor.RxtxFactor}", skipInputValidation: true);
        json.WriteLinks(context.SelfBase(), context.BookmarkBase(), "flavors", flavor.FlavorId);
        if (context.Since(55))
        {
            json.WriteString("description", flavor.Description);
        }

        if (extraSpecs)
        {
            json.WritePropertyName("extra_specs");
            json.WriteRawValue(flavor.ExtraSpecs, skipInputValidation: true);
        }

        json.WriteEndObject();
    }
}
