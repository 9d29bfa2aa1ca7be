using System.Globalization;
using SharpStack.Foundation;
using SharpStack.Foundation.Storage;

namespace SharpStack.Keystone;

/// <summary>Reads <c>expires_at</c> of bodies: ISO 8601 in UTC, the <c>Z</c> may be left out.</summary>
internal static class Expirations
{
    private const string Malformed =
        " The server could not comply with the request since it is either malformed or otherwise incorrect. The client is assumed to be in error.";

    /// <returns>Microseconds since 1970; null for null.</returns>
    /// <exception cref="CloudException">It is no time, or one that has passed (400).</exception>
    public static long? Parse(string? text, TimeProvider time)
    {
        if (text is null)
        {
            return null;
        }
        if (!DateTimeOffset.TryParse(
            text.EndsWith('Z') ? text : text + "Z", CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal, out var instant)
            || !text.Contains('T', StringComparison.Ordinal))
        {
            throw CloudException.BadRequest("Timestamp not in expected format." + Malformed);
        }
        return instant < time.GetUtcNow()
            ? throw CloudException.BadRequest("The 'expires_at' must not be before now." + Malformed)
            : Timestamps.ToMicroseconds(instant);
    }
}
