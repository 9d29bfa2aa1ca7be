using System.Linq.Expressions;
using System.Text;
using System.Text.Json;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation.Http;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.Api;

/// <summary>The query of a list: filters, sorting and keyset paging, as one SQL statement.</summary>
internal sealed class ListQuery<TRow, TView>
    where TRow : ResourceRow
    where TView : class, IResourceView<TRow>
{
    private readonly ApiContext context;
    private readonly Caller caller;
    private readonly IResource<TRow, TView> resource;
    private readonly List<(ResourceAttribute<TRow, TView> Attribute, List<string> Values)> filters = [];
    private readonly List<(LambdaExpression Key, bool Descending)> sorts = [];
    private readonly TagFilter tags;
    private readonly int limit;
    private readonly string? marker;
    private readonly bool isReverse;

    public ListQuery(ApiContext context, Caller caller, IResource<TRow, TView> resource, Dictionary<string, ResourceAttribute<TRow, TView>> attributes, NeutronOptions options)
    {
        this.context = context;
        this.caller = caller;
        this.resource = resource;
        var query = context.Query;
        limit = Limit(query["limit"], options.PaginationMaxLimit);
        marker = limit > 0 ? query.Marker : null;
        isReverse = limit > 0 && string.Equals(query["page_reverse"], "true", StringComparison.OrdinalIgnoreCase);
        tags = new TagFilter(query);
        ReadFilters(query, attributes);
        ReadSorts(query, attributes);
    }

    public async Task<List<TRow>> RunAsync(DataConnection db, IQueryable<TRow> rows, CancellationToken cancellationToken)
    {
        foreach (var (attribute, values) in filters)
        {
            rows = attribute.FilterFor is { } filterFor ? filterFor(rows, db, values, caller) : attribute.Filter!(rows, db, values);
        }

        rows = tags.Apply(rows, db);
        if (marker is not null)
        {
            var at = await resource.Rows(db).Where(row => row.Id == marker).FirstOrDefaultAsync(cancellationToken) ?? throw resource.NotFound(marker);
            rows = rows.Where(After(at));
        }

        IOrderedQueryable<TRow>? ordered = null;
        foreach (var (key, descending) in sorts)
        {
            ordered = Order(ordered, rows, key, descending != isReverse);
        }

        var page = limit > 0 ? ordered!.Take(limit) : ordered!;
        var found = await page.ToListAsync(cancellationToken);
        if (isReverse)
        {
            found.Reverse();
        }

        return found;
    }

    public void WriteLinks(Utf8JsonWriter json, string plural, int count, string? first, string? last)
    {
        if (limit == 0)
        {
            return;
        }

        json.WriteStartArray(plural + "_links");
        if (count >= limit || isReverse)
        {
            WriteLink(json, "next", last, reverse: false);
        }

        if (count >= limit || !isReverse)
        {
            WriteLink(json, "previous", first, reverse: true);
        }

        json.WriteEndArray();
    }

    private static int Limit(string? text, int max)
    {
        if (text is null)
        {
            return max;
        }

        if (!int.TryParse(text, out var limit) || limit < 0)
        {
            throw NeutronErrors.BadRequest("limit", $"Limit must be an integer 0 or greater and not '{text}'");
        }

        return max > 0 ? limit == 0 ? max : Math.Min(limit, max) : limit;
    }

    private void ReadFilters(QueryValues query, Dictionary<string, ResourceAttribute<TRow, TView>> attributes)
    {
        var invalid = new List<string>();
        foreach (var name in query.Names)
        {
            if (name is "fields" or "sort_key" or "sort_dir" or "limit" or "marker" or "page_reverse" || TagFilter.Names.Contains(name))
            {
                continue;
            }

            if (attributes.GetValueOrDefault(name) is { CanFilter: true } attribute)
            {
                filters.Add((attribute, [.. query.All(name).Select(value => value ?? "")]));
            }
            else
            {
                invalid.Add($"'{name}'");
            }
        }

        if (invalid.Count > 0)
        {
            throw NeutronErrors.BadRequest($"[{string.Join(", ", invalid)}] is invalid attribute for filtering");
        }
    }

    private void ReadSorts(QueryValues query, Dictionary<string, ResourceAttribute<TRow, TView>> attributes)
    {
        var keys = query.All("sort_key");
        var directions = query.All("sort_dir");
        if (keys.Count != directions.Count)
        {
            throw NeutronErrors.BadRequest("The number of sort_keys and sort_dirs must be same");
        }

        for (var i = 0; i < keys.Count; i++)
        {
            if (attributes.GetValueOrDefault(keys[i] ?? "") is not { Sort: { } key })
            {
                throw NeutronErrors.BadRequest($"['{keys[i]}'] is invalid attribute for sort_keys");
            }

            if (directions[i] is not ("asc" or "desc"))
            {
                throw NeutronErrors.BadRequest($"['{directions[i]}'] is invalid value for sort_dirs, valid value is 'asc' and 'desc'");
            }

            sorts.Add((key, directions[i] == "desc"));
        }

        if (!keys.Contains("id"))
        {
            sorts.Add(((Expression<Func<TRow, string>>)(static row => row.Id), false));
        }
    }

    private static IOrderedQueryable<TRow> Order(IOrderedQueryable<TRow>? ordered, IQueryable<TRow> rows, LambdaExpression key, bool descending)
    {
        var method = (ordered is null, descending) switch
        {
            (true, false) => nameof(Queryable.OrderBy),
            (true, true) => nameof(Queryable.OrderByDescending),
            (false, false) => nameof(Queryable.ThenBy),
            (false, true) => nameof(Queryable.ThenByDescending),
        };
        var source = (IQueryable)(ordered ?? rows);
        return (IOrderedQueryable<TRow>)source.Provider.CreateQuery<TRow>(
            Expression.Call(typeof(Queryable), method, [typeof(TRow), key.ReturnType], source.Expression, Expression.Quote(key)));
    }

    /// <summary>The rows behind the marker: <c>a &gt; x OR a = x AND b &gt; y …</c>.</summary>
    private Expression<Func<TRow, bool>> After(TRow at)
    {
        var row = Expression.Parameter(typeof(TRow), "row");
        Expression? after = null;
        for (var i = sorts.Count - 1; i >= 0; i--)
        {
            var (key, descending) = sorts[i];
            var column = new Replace(key.Parameters[0], row).Visit(key.Body)!;
            var value = Expression.Constant(key.Compile().DynamicInvoke(at), column.Type);
            var compared = column.Type == typeof(string) ? Expression.Call(typeof(string), nameof(string.Compare), null, column, value)
                : column.Type == typeof(bool) ? Expression.Condition(column, Expression.Constant(1), Expression.Constant(0)) : column;
            var against = column.Type == typeof(string) ? Expression.Constant(0)
                : column.Type == typeof(bool) ? Expression.Constant(value.Value is true ? 1 : 0) : (Expression)value;
            var beyond = descending != isReverse ? Expression.LessThan(compared, against) : Expression.GreaterThan(compared, against);
            after = after is null ? beyond : Expression.OrElse(beyond, Expression.AndAlso(Expression.Equal(column, value), after));
        }

        return Expression.Lambda<Func<TRow, bool>>(after!, row);
    }

    private void WriteLink(Utf8JsonWriter json, string rel, string? at, bool reverse)
    {
        var request = context.Http.Request;
        var url = new StringBuilder(context.BaseUrl).Append(request.Path.Value).Append('?');
        foreach (var (name, values) in request.Query)
        {
            if (name is not ("marker" or "page_reverse"))
            {
                foreach (var value in values)
                {
                    url.Append(Uri.EscapeDataString(name)).Append('=').Append(Uri.EscapeDataString(value ?? "")).Append('&');
                }
            }
        }

        if (at is not null)
        {
            url.Append("marker=").Append(at).Append('&');
        }

        if (reverse)
        {
            url.Append("page_reverse=True&");
        }

        url.Length--;
        json.WriteStartObject();
        json.WriteString("rel", rel);
        json.WriteString("href", url.ToString());
        json.WriteEndObject();
    }

    private sealed class Replace(Expression from, Expression to) : ExpressionVisitor
    {
        public override Expression? Visit(Expression? node) => node == from ? to : base.Visit(node);
    }
}

/// <summary><c>tags</c> (all of them), <c>tags-any</c>, <c>not-tags</c>, <c>not-tags-any</c>.</summary>
internal sealed class TagFilter(QueryValues query)
{
    public static readonly IReadOnlyList<string> Names = ["tags", "tags-any", "not-tags", "not-tags-any"];

    public IQueryable<TRow> Apply<TRow>(IQueryable<TRow> rows, DataConnection db)
        where TRow : ResourceRow
    {
        foreach (var name in Names)
        {
            if (query[name] is not { Length: > 0 } joined)
            {
                continue;
            }

            var wanted = joined.Split(',').Distinct(StringComparer.Ordinal).ToList();
            var table = LinqToDB.DataExtensions.GetTable<TagRow>(db);
            var isAny = name.EndsWith("any", StringComparison.Ordinal);
            var count = isAny ? 1 : wanted.Count;
            rows = name.StartsWith("not", StringComparison.Ordinal)
                ? rows.Where(row => table.Count(tag => tag.ResourceId == row.Id && wanted.Contains(tag.Tag)) < count)
                : rows.Where(row => table.Count(tag => tag.ResourceId == row.Id && wanted.Contains(tag.Tag)) >= count);
        }

        return rows;
    }
}
