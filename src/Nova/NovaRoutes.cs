using System.Globalization;
using System.Text.Json;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Policy;
using SharpStack.Foundation.Storage;

namespace SharpStack.Nova;

/// <summary>Adds a route under <c>/v2.1</c> and, for catalogs of old, under <c>/v2.1/PROJECT</c>.</summary>
internal sealed class NovaRoutes(ApiRoutes routes)
{
    public NovaRoute Get(string pattern, ApiHandler handler) => Map("GET", pattern, handler);

    public NovaRoute Post(string pattern, ApiHandler handler) => Map("POST", pattern, handler);

    public NovaRoute Put(string pattern, ApiHandler handler) => Map("PUT", pattern, handler);

    public NovaRoute Delete(string pattern, ApiHandler handler) => Map("DELETE", pattern, handler);

    private NovaRoute Map(string method, string pattern, ApiHandler handler) =>
        new(
            routes.Map(method, "/v2.1" + pattern, handler),
            routes.Map(method, "/v2.1/{project_id}" + pattern, context => HandleForProject(context, handler)));

    private static Task HandleForProject(ApiContext context, ApiHandler handler) =>
        context.Route("project_id") == context.Identity.ProjectId
            ? handler(context)
            : throw CloudException.BadRequest($"Malformed request URL: URL's project_id '{context.Route("project_id")}' doesn't match Context's project_id '{context.Identity.ProjectId}'");
}

/// <summary>The two forms of one route.</summary>
internal sealed class NovaRoute(ApiRoute plain, ApiRoute withProject)
{
    public NovaRoute Policy(params string[] rules)
    {
        plain.Policy(rules);
        withProject.Policy(rules);
        return this;
    }

    public NovaRoute ForEveryToken()
    {
        plain.ForEveryToken();
        withProject.ForEveryToken();
        return this;
    }

    public NovaRoute Versions(string min, string? max = null)
    {
        plain.Versions(min, max);
        withProject.Versions(min, max);
        return this;
    }

    public NovaRoute Body(JsonSchema schema, string? min = null, string? max = null)
    {
        plain.Body(schema, min, max);
        withProject.Body(schema, min, max);
        return this;
    }
}

/// <summary>What Nova's handlers have in common.</summary>
internal static class NovaContext
{
    /// <summary>What a list gives at most, as <c>[api] max_limit</c> says by default.</summary>
    public const int MaxLimit = 1000;

    private static readonly string[] TimeFormats =
    [
        "yyyy-MM-dd'T'HH:mm:ss.FFFFFFFK", "yyyy-MM-dd HH:mm:ss.FFFFFFFK", "yyyy-MM-dd'T'HH:mmK", "yyyy-MM-dd HH:mmK", "yyyy-MM-dd", "yyyyMMdd'T'HHmmssK",
    ];

    public static bool Since(this ApiContext context, int minor) => context.Version.Minor >= minor;

    public static bool IsAdmin(this ApiContext context) => context.Can(Policies.NovaPolicies.ContextIsAdmin);

    /// <summary>The project that a request works in.</summary>
    public static string ProjectId(this ApiContext context) =>
        context.Identity.ProjectId ?? throw CloudException.BadRequest("The token is not scoped to a project: ask for one that is, with a project's name or id.");

    public static PolicyTarget TargetOf(string projectId, string? userId = null) => PolicyTarget.Of(("project_id", projectId), ("user_id", userId));

    /// <summary>Where links to a collection begin: <c>http://host:8774/v2.1</c>, with the project where the request has it.</summary>
    public static string SelfBase(this ApiContext context) =>
        context.Http.Request.RouteValues.TryGetValue("project_id", out var project) ? $"{context.BaseUrl}/v2.1/{project}" : context.BaseUrl + "/v2.1";

    /// <summary>The same without a version.</summary>
    public static string BookmarkBase(this ApiContext context) =>
        context.Http.Request.RouteValues.TryGetValue("project_id", out var project) ? $"{context.BaseUrl}/{project}" : context.BaseUrl;

    /// <summary>Writes <c>links</c> to a resource.</summary>
    public static void WriteLinks(this Utf8JsonWriter json, string selfBase, string bookmarkBase, string collection, string id)
    {
        json.WriteStartArray("links");
        json.WriteStartObject();
        json.WriteString("rel", "self");
        json.WriteString("href", $"{selfBase}/{collection}/{id}");
        json.WriteEndObject();
        json.WriteStartObject();
        json.WriteString("rel", "bookmark");
        json.WriteString("href", $"{bookmarkBase}/{collection}/{id}");
        json.WriteEndObject();
        json.WriteEndArray();
    }

    /// <summary><c>limit</c>, up to the maximum.</summary>
    public static int PageLimit(this ApiContext context) => Number(context, "limit") is { } limit ? Math.Min(limit, MaxLimit) : MaxLimit;

    /// <summary>A whole number of the query that is not negative; null where it is not given.</summary>
    public static int? Number(this ApiContext context, string name)
    {
        if (context.Query[name] is not { } text)
        {
            return null;
        }

        if (!int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number))
        {
            throw CloudException.BadRequest($"Invalid input for query parameters {name}. Value: {text}. '{text}' does not match '^[0-9]*$'");
        }

        return number >= 0 ? number : throw CloudException.BadRequest($"Invalid input for query parameters {name}. Value: {text}. '{text}' does not match '^[0-9]*$'");
    }

    /// <summary>Writes <c>NAME_links</c> with the link to the next page, where the page is full.</summary>
    public static void WriteNextLink(this ApiContext context, Utf8JsonWriter json, string member, string path, int count, int limit, string lastId)
    {
        if (limit == 0 || count < limit)
        {
            return;
        }

        var query = context.Http.Request.Query.Where(pair => pair.Key != "marker")
            .SelectMany(pair => pair.Value.Select(value => (pair.Key, Value: value ?? "")))
            .Append((Key: "marker", Value: lastId))
            .OrderBy(pair => pair.Key, StringComparer.Ordinal)
            .Select(pair => $"{Uri.EscapeDataString(pair.Key)}={Uri.EscapeDataString(pair.Value)}");
        json.WriteStartArray(member);
        json.WriteStartObject();
        json.WriteString("rel", "next");
        json.WriteString("href", $"{context.SelfBase()}/{path}?{string.Join('&', query)}");
        json.WriteEndObject();
        json.WriteEndArray();
    }

    /// <summary>Refuses unknown query parameters, as Nova does since 2.75.</summary>
    public static void AllowQuery(this ApiContext context, params ReadOnlySpan<string> names) => context.AllowQuerySince(75, names);

    /// <summary>Refuses unknown query parameters since a microversion.</summary>
    public static void AllowQuerySince(this ApiContext context, int minor, params ReadOnlySpan<string> names)
    {
        if (!context.Since(minor))
        {
            return;
        }

        foreach (var name in context.Query.Names)
        {
            if (!names.Contains(name))
            {
                throw CloudException.BadRequest($"Additional properties are not allowed ('{name}' was unexpected)");
            }
        }
    }

    /// <summary>Nova's reading of a boolean that may be a text.</summary>
    public static bool Truth(this JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.True => true,
        JsonValueKind.String => value.GetString()!.ToUpperInvariant() is "TRUE" or "1" or "ON" or "YES",
        JsonValueKind.Number => value.GetDouble() != 0,
        _ => false,
    };

    /// <summary>A whole number that may be a text.</summary>
    public static int Whole(this JsonElement value, string name)
    {
        var text = value.ValueKind == JsonValueKind.String ? value.GetString()! : value.GetRawText();
        return double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var number) && double.IsInteger(number) && number is >= int.MinValue and <= int.MaxValue
            ? (int)number
            : throw CloudException.BadRequest($"Invalid input for field/attribute {name}. Value: {text}. {text} is not a whole number that fits 32 bits");
    }

    /// <summary>A time of the query as ISO 8601 has it, in microseconds since 1970; null where it is not given.</summary>
    public static long? Instant(this ApiContext context, string name) =>
        context.Query[name] is not { } text ? null
        : DateTimeOffset.TryParseExact(text, TimeFormats, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal, out var time)
            ? Timestamps.ToMicroseconds(time)
            : throw CloudException.BadRequest($"Invalid input for query parameters {name}. Value: {text}. '{text}' is not a 'date-time'");

    /// <summary>An address in its shortest form; null where it is not given.</summary>
    public static string? Address(this JsonElement value, string name) =>
        value.Text(name) is not { } text ? null : System.Net.IPAddress.TryParse(text, out var address) ? address.ToString() : text;

    public static string? Text(this JsonElement value, string name) =>
        value.TryGetProperty(name, out var member) && member.ValueKind == JsonValueKind.String ? member.GetString() : null;
}
