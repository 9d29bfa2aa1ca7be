using System.Collections.Concurrent;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;

namespace SharpStack.Foundation.Bus;

/// <summary>What came is not what the contract says.</summary>
internal sealed class UnreadableMessageException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>Messages as they travel: JSON of a bounded size and depth.</summary>
internal static class BusBody
{
    /// <summary>The largest body that is sent or read, in bytes. The depth of 64 is the serialiser's own bound.</summary>
    public const int MaxLength = 16 << 20;

    private static readonly ConcurrentDictionary<JsonSerializerOptions, JsonSerializerOptions> ReadingOptions = new();

    private static readonly ConcurrentDictionary<JsonTypeInfo, JsonTypeInfo> ReadingTypes = new();

    /// <exception cref="CloudException">The message is larger than <see cref="MaxLength"/>.</exception>
    public static byte[] Write<T>(T value, JsonTypeInfo<T> type)
    {
        var body = JsonSerializer.SerializeToUtf8Bytes(value, type);
        return body.Length <= MaxLength
            ? body
            : throw new CloudException(ErrorKind.PayloadTooLarge, $"A message of {body.Length} bytes is larger than the bus carries ({MaxLength}).");
    }

    /// <exception cref="UnreadableMessageException">It is none of that type.</exception>
    public static T Read<T>(ReadOnlySpan<byte> body, JsonTypeInfo<T> type)
    {
        if (body.Length > MaxLength)
        {
            throw new UnreadableMessageException($"it has {body.Length} bytes, more than {MaxLength}");
        }

        try
        {
            return JsonSerializer.Deserialize(body, Reading(type)) ?? throw new UnreadableMessageException("it is null");
        }
        catch (Exception failure) when (failure is JsonException or NotSupportedException)
        {
            // The parser's words name the place in the text, and never quote a value.
            throw new UnreadableMessageException($"it is not JSON of that contract ({failure.Message})", failure);
        }
    }

    /// <summary>
    /// Generated code sets every init-only member, with null where an older sender did not write it; by reflection the member keeps its default, which is what
    /// lets releases understand each other.
    /// </summary>
    private static JsonTypeInfo<T> Reading<T>(JsonTypeInfo<T> type) => (JsonTypeInfo<T>)ReadingTypes.GetOrAdd(
        type,
        static written => ReadingOptions.GetOrAdd(written.Options, static options => new JsonSerializerOptions(options)
        {
            TypeInfoResolver = new DefaultJsonTypeInfoResolver(),
            // Generated code has its converters of enumerations inside; this one reads names and numbers alike.
            Converters = { new JsonStringEnumConverter() },
        }).GetTypeInfo(written.Type));
}
