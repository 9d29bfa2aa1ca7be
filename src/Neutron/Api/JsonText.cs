using System.Text;
using System.Text.Json;
using SharpStack.Foundation.Http;

namespace SharpStack.Neutron.Api;

/// <summary>Short lists that are stored, and shown, as their JSON text.</summary>
internal static class JsonText
{
    public static string Of(Action<Utf8JsonWriter> write)
    {
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer, ApiContext.JsonOptions))
        {
            write(json);
        }

        return Encoding.UTF8.GetString(buffer.GetBuffer(), 0, (int)buffer.Length);
    }

    public static string OfList<T>(IEnumerable<T> items, Action<Utf8JsonWriter, T> write) =>
        Of(json =>
        {
            json.WriteStartArray();
            foreach (var item in items)
            {
                write(json, item);
            }

            json.WriteEndArray();
        });

    public static string OfTexts(IEnumerable<string> items) => OfList(items, static (json, item) => json.WriteStringValue(item));

    /// <summary>An array of objects with two members each.</summary>
    public static string OfPairs(string first, string second, IEnumerable<(string First, string Second)> items) =>
        OfList(items, (json, item) =>
        {
            json.WriteStartObject();
            json.WriteString(first, item.First);
            json.WriteString(second, item.Second);
            json.WriteEndObject();
        });

    public static List<string> Texts(string text) => text == "[]" ? [] : Read(text, static item => item.GetString()!);

    public static List<(string First, string Second)> Pairs(string text, string first, string second) =>
        text == "[]" ? [] : Read(text, item => (item.GetProperty(first).GetString()!, item.GetProperty(second).GetString()!));

    public static List<T> Read<T>(string text, Func<JsonElement, T> read)
    {
        using var document = JsonDocument.Parse(text);
        return [.. document.RootElement.EnumerateArray().Select(read)];
    }

    public static void WriteTexts(this Utf8JsonWriter json, IEnumerable<string> items)
    {
        json.WriteStartArray();
        foreach (var item in items)
        {
            json.WriteStringValue(item);
        }

        json.WriteEndArray();
    }
}
