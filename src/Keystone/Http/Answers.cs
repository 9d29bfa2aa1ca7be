using System.Linq.Expressions;
using System.Reflection;
using System.Text.Json;
using LinqToDB.Async;
using SharpStack.Foundation;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Http;
using SharpStack.Keystone.Directories;
using SharpStack.Keystone.Storage;

namespace SharpStack.Keystone;

/// <summary>Writes members and collections with Keystone's links, and reads the query of a list.</summary>
internal sealed class Answers(ServiceConfig config)
{
    private static readonly MethodInfo CompareTo = typeof(string).GetMethod(nameof(string.CompareTo), [typeof(string)])!;

    private readonly string publicEndpoint = config.Get(KeystoneOptions.PublicEndpoint).TrimEnd('/');
    private readonly int listLimit = config.Get(KeystoneOptions.ListLimit);

    /// <summary>The URL of the API with its version: <c>http://host:5000/v3</c>.</summary>
    public string Root(ApiContext context) => (publicEndpoint.Length > 0 ? publicEndpoint : context.BaseUrl) + "/v3";

    public Task MemberAsync<T>(ApiContext context, int status, string name, T item, Action<Utf8JsonWriter, T, string> write) =>
        context.WriteJsonAsync(status, json =>
        {
            json.WriteStartObject();
            json.WritePropertyName(name);
            write(json, item, Root(context));
            json.WriteEndObject();
        });

    public Task CollectionAsync<T>(ApiContext context, string name, Page<T> page, Action<Utf8JsonWriter, T, string> write) =>
        context.WriteJsonAsync(200, json =>
        {
            var root = Root(context);
            json.WriteStartObject();
            json.WriteStartArray(name);
            foreach (var item in page.Items)
            {
                write(json, item, root);
            }
            json.WriteEndArray();
            json.WriteStartObject("links");
            json.WriteString("next", page.NextMarker is null ? null : NextUrl(context, root, page.NextMarker));
            json.WriteString("self", SelfUrl(context, root));
            json.WriteNull("previous");
            json.WriteEndObject();
            if (page.Truncated)
            {
                json.WriteBoolean("truncated", true);
            }
            json.WriteEndObject();
        });

    public Task CollectionAsync<T>(ApiContext context, string name, IReadOnlyList<T> items, Action<Utf8JsonWriter, T, string> write) =>
        CollectionAsync(context, name, new Page<T>(items, false, null), write);

    /// <summary>What a request made several of: a list without links.</summary>
    public Task CreatedAsync<T>(ApiContext context, string name, IReadOnlyList<T> items, Action<Utf8JsonWriter, T, string> write) =>
        context.WriteJsonAsync(201, json =>
        {
            var root = Root(context);
            json.WriteStartObject();
            json.WriteStartArray(name);
            foreach (var item in items)
            {
                write(json, item, root);
            }
            json.WriteEndArray();
            json.WriteEndObject();
        });

    /// <summary>Reads one page in the order of the ids: after <c>marker</c>, up to <c>limit</c> or the configured limit.</summary>
    public async Task<Page<T>> PageAsync<T>(ApiContext context, IQueryable<T> query, Expression<Func<T, string>> id)
    {
        var asked = context.Query.Limit();
        if (context.Query.Marker is { Length: > 0 } marker)
        {
            query = query.Where(Compare(id!, marker, static (body, value) => Expression.GreaterThan(
                Expression.Call(body, CompareTo, value), Expression.Constant(0))));
        }
        query = query.OrderBy(id);
        var limit = asked is > 0 && (listLimit == 0 || asked < listLimit) ? asked.Value : listLimit;
        if (limit == 0)
        {
            return new(await query.ToListAsync(context.Aborted), false, null);
        }
        var items = await query.Take(limit + 1).ToListAsync(context.Aborted);
        if (items.Count <= limit)
        {
            return new(items, false, null);
        }
        items.RemoveAt(limit);
        return asked is > 0 ? new(items, false, id.Compile()(items[^1])) : new(items, true, null);
    }

    /// <summary>The same of what is in memory already.</summary>
    public Page<T> Page<T>(ApiContext context, IEnumerable<T> items, Func<T, string> id)
    {
        var asked = context.Query.Limit();
        var after = context.Query.Marker is { Length: > 0 } marker ? items.Where(i => string.CompareOrdinal(id(i), marker) > 0) : items;
        var sorted = after.OrderBy(id, StringComparer.Ordinal).ToList();
        var limit = asked is > 0 && (listLimit == 0 || asked < listLimit) ? asked.Value : listLimit;
        if (limit == 0 || sorted.Count <= limit)
        {
            return new(sorted, false, null);
        }
        var page = sorted[..limit];
        return asked is > 0 ? new(page, false, id(page[^1])) : new(page, true, null);
    }

    /// <summary>The filters of a list's names, for what is asked elsewhere than in the database.</summary>
    public static IReadOnlyList<NameFilter> NameFilters(ApiContext context) =>
    [
        .. context.Query.Names.Where(static n => n == "name" || n.StartsWith("name__", StringComparison.Ordinal))
            .Select(n => new NameFilter(n.Length == 4 ? "" : n[6..].TrimStart('i'), context.Query[n] ?? "")),
    ];

    /// <summary>Filters by <c>name</c> as <see cref="Where"/> does, without regard to case.</summary>
    public static IQueryable<T> WhereName<T>(ApiContext context, IQueryable<T> query, Expression<Func<T, string?>> nameKey) =>
        Where(context, query, "name", nameKey, fold: true);

    /// <summary>Filters by an attribute: <c>type=…</c>, <c>type__contains</c>, <c>type__startswith</c>, <c>type__endswith</c> and their <c>__i…</c> forms.</summary>
    /// <param name="fold">Whether the member holds lower case.</param>
    public static IQueryable<T> Where<T>(ApiContext context, IQueryable<T> query, string attribute, Expression<Func<T, string?>> member, bool fold = false)
    {
        var inexact = attribute + "__";
        foreach (var name in context.Query.Names.Where(n => n == attribute || n.StartsWith(inexact, StringComparison.Ordinal)))
        {
            var value = context.Query[name] ?? "";
            value = fold ? Names.Key(value) : value;
            var method = name.Length == attribute.Length ? "" : name[inexact.Length..].TrimStart('i');
            query = query.Where(Compare(member, value, (body, text) => method switch
            {
                "" => Expression.Equal(body, text),
                "contains" => Expression.Call(body, nameof(string.Contains), null, text),
                "startswith" => Expression.Call(body, nameof(string.StartsWith), null, text),
                "endswith" => Expression.Call(body, nameof(string.EndsWith), null, text),
                _ => Expression.Constant(true),
            }));
        }
        return query;
    }

    private static Expression<Func<T, bool>> Compare<T>(Expression<Func<T, string?>> member, string value, Func<Expression, Expression, Expression> compare)
    {
        // Through a field, so that the value becomes a parameter of the SQL and one plan serves all values.
        Expression<Func<string>> parameter = () => value;
        return Expression.Lambda<Func<T, bool>>(compare(member.Body, parameter.Body), member.Parameters);
    }

    private static string SelfUrl(ApiContext context, string root) =>
        root + context.Http.Request.Path.Value!["/v3".Length..] + context.Http.Request.QueryString.Value;

    private static string NextUrl(ApiContext context, string root, string marker)
    {
        var query = string.Join('&', context.Http.Request.Query.Where(static q => q.Key != "marker")
            .SelectMany(static q => q.Value.Select(v => $"{Uri.EscapeDataString(q.Key)}={Uri.EscapeDataString(v ?? "")}")));
        return $"{root}{context.Http.Request.Path.Value!["/v3".Length..]}?{query}&marker={Uri.EscapeDataString(marker)}";
    }
}

/// <param name="Truncated">The configured limit cut the list.</param>
/// <param name="NextMarker">Where the client asked for a limit and more follows.</param>
internal sealed record Page<T>(IReadOnlyList<T> Items, bool Truncated, string? NextMarker);

internal static class RouteExtensions
{
    /// <summary>A GET that answers HEAD too.</summary>
    public static void Read(this ApiRoutes routes, string pattern, ApiHandler handler, params string[] policies)
    {
        routes.Get(pattern, handler).Policy(policies);
        routes.Head(pattern, handler).Policy(policies);
    }

    public static void WriteSelfLink(this Utf8JsonWriter json, string url)
    {
        json.WriteStartObject("links");
        json.WriteString("self", url);
        json.WriteEndObject();
    }

    /// <summary>A path's part that HTTP routing has decoded, encoded again for a link.</summary>
    public static string Escaped(this string id) => Uri.EscapeDataString(id);
}
