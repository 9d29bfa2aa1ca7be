using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using Microsoft.AspNetCore.Http;
using Microsoft.Net.Http.Headers;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Storage;

namespace SharpStack.Placement;

/// <summary>What all of Placement's handlers share: versions, media types, headers, values of JSON.</summary>
internal static partial class PlacementApi
{
    public static readonly MicroversionRange Versions = new("placement", new Microversion(1, 0), new Microversion(1, 39));

    [GeneratedRegex("^[A-Z0-9_]+$")]
    public static partial Regex NamePattern { get; }

    [GeneratedRegex("^CUSTOM_[A-Z0-9_]+$")]
    public static partial Regex CustomNamePattern { get; }

    [GeneratedRegex("^[0-9a-fA-F-]{36}$")]
    public static partial Regex UuidPattern { get; }

    /// <summary>Refuses a client that accepts no JSON.</summary>
    public static void CheckAccept(this ApiContext context)
    {
        var accept = context.Http.Request.Headers.Accept;
        if (accept.Count == 0 || !MediaTypeHeaderValue.TryParseList(accept, out var types) || types.Count == 0)
        {
            return;
        }

        var json = new MediaTypeHeaderValue("application/json");
        if (!types.Any(type => type.Quality != 0 && json.IsSubsetOf(new MediaTypeHeaderValue(type.MediaType))))
        {
            throw new CloudException(ErrorKind.NotAcceptable, "Only application/json is provided");
        }
    }

    /// <summary>Reads a body that has to be JSON, by its media type too.</summary>
    public static ValueTask<JsonElement> ReadBodyAsync(this ApiContext context)
    {
        var type = context.Http.Request.ContentType;
        if (string.IsNullOrEmpty(type) && context.Http.Request.ContentLength > 0)
        {
            throw CloudException.BadRequest("content-type header required when content-length > 0");
        }

        var media = MediaTypeHeaderValue.TryParse(type, out var parsed) ? parsed.MediaType.ToString() : string.IsNullOrEmpty(type) ? "None" : type;
        return string.Equals(media, "application/json", StringComparison.OrdinalIgnoreCase)
            ? context.ReadJsonAsync()
            : throw new CloudException(ErrorKind.UnsupportedMediaType, $"The media type {media} is not supported, use application/json");
    }

    /// <summary>Answers with JSON; from 1.15 on with the time of the last change, which is now where nothing else is known.</summary>
    public static Task SendAsync(this ApiContext context, Action<Utf8JsonWriter> write, long? modified = null, int status = StatusCodes.Status200OK)
    {
        context.SetModified(modified);
        return context.WriteJsonAsync(status, write);
    }

    /// <summary>Sets <c>last-modified</c> and <c>cache-control</c> (since 1.15).</summary>
    public static void SetModified(this ApiContext context, long? modified = null)
    {
        if (context.Version.AtLeast(15))
        {
            var time = (TimeProvider)context.Http.RequestServices.GetService(typeof(TimeProvider))!;
            var at = modified is { } known ? Timestamps.FromMicroseconds(known) : time.GetUtcNow();
            context.Http.Response.Headers.LastModified = at.ToString("R", CultureInfo.InvariantCulture);
            context.Http.Response.Headers.CacheControl = "no-cache";
        }
    }

    /// <summary>A whole number of the body, which may be written 1.0; one too large for any table is the largest there is.</summary>
    public static long Whole(this JsonElement value) => value.TryGetInt64(out var whole) ? whole : (long)Math.Clamp(value.GetDouble(), long.MinValue, 9e18);

    /// <summary>A float as OpenStack writes it: always with a decimal point.</summary>
    public static void WriteFloat(this Utf8JsonWriter json, string name, double value)
    {
        json.WritePropertyName(name);
        json.WriteRawValue(value.ToString(double.IsInteger(value) && Math.Abs(value) < 1e15 ? "F1" : "R", CultureInfo.InvariantCulture), skipInputValidation: true);
    }

    public static bool IsUuid(string text) => Guid.TryParseExact(text, "D", out _) || Guid.TryParseExact(text, "N", out _);

    /// <summary>Refuses query parameters that the version does not know.</summary>
    public static void CheckQuery(this ApiContext context, Func<string, bool> known)
    {
        foreach (var name in context.Query.Names)
        {
            if (!known(name))
            {
                throw CloudException.BadRequest($"Invalid query string parameters: Additional properties are not allowed ('{name}' was unexpected)");
            }
        }
    }
}
