using System.Globalization;
using System.Linq.Expressions;
using LinqToDB;
using LinqToDB.Data;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Storage;
using SharpStack.Glance.Members;

namespace SharpStack.Glance.Images;

/// <summary>A list request: filters, order, page.</summary>
internal sealed class ImageQuery
{
    private static readonly Dictionary<string, SortColumn> SortColumns = new()
    {
        ["name"] = new SortColumn<string>(row => row.Name ?? ""),
        ["status"] = new SortColumn<string>(row => row.Status),
        ["container_format"] = new SortColumn<string>(row => row.ContainerFormat ?? ""),
        ["disk_format"] = new SortColumn<string>(row => row.DiskFormat ?? ""),
        ["size"] = new SortColumn<long>(row => row.Size ?? 0),
        ["id"] = new SortColumn<string>(row => row.Id),
        ["created_at"] = new SortColumn<long>(row => row.CreatedAt),
        ["updated_at"] = new SortColumn<long>(row => row.UpdatedAt),
    };

    private readonly List<Expression<Func<ImageRow, bool>>> conditions = [];
    private readonly List<(string Name, string Value)> properties = [];
    private readonly List<string> tags = [];
    private readonly List<(SortColumn Column, bool Descending)> order = [];
    private string? visibility;
    private string memberStatus = "accepted";

    private ImageQuery()
    {
    }

    public string? Marker { get; private init; }

    public int Limit { get; private init; }

    public static ImageQuery Parse(QueryValues values, int defaultLimit, int maxLimit)
    {
        var limit = values.Has("limit") ? values.Limit()!.Value : defaultLimit;
        var query = new ImageQuery { Marker = values.Marker, Limit = Math.Min(limit, maxLimit) };
        query.ReadOrder(values);
        var hidden = false;
        foreach (var name in values.Names)
        {
            var value = values[name] ?? "";
            switch (name)
            {
                case "limit" or "marker" or "sort" or "sort_key" or "sort_dir":
                    break;
                case "tag":
                    query.tags.AddRange(values.All(name).Select(tag => tag!.Trim()));
                    break;
                case "visibility":
                    query.visibility = value is "community" or "public" or "private" or "shared" or "all" or "" ? value : throw CloudException.BadRequest($"Invalid visibility value: {value}");
                    break;
                case "member_status":
                    query.memberStatus = value is "pending" or "accepted" or "rejected" or "all" ? value : throw CloudException.BadRequest($"Invalid status: {value}");
                    break;
                case "os_hidden":
                    hidden = Flag(name, value);
                    break;
                case "protected":
                    var guarded = Flag(name, value);
                    query.conditions.Add(row => row.Protected == guarded);
                    break;
                case "changes-since":
                    throw CloudException.BadRequest("The \"changes-since\" filter is no longer available on v2.");
                default:
                    query.ReadFilter(name, value);
                    break;
            }
        }

        query.conditions.Add(row => row.Hidden == hidden);
        return query;
    }

    public IQueryable<ImageRow> Apply(DataConnection session, Viewer viewer, ImageRow? marker)
    {
        var rows = Visible(session, viewer);
        foreach (var condition in conditions)
        {
            rows = rows.Where(condition);
        }

        foreach (var (name, value) in properties)
        {
            rows = rows.Where(row => session.GetTable<ImagePropertyRow>().Any(property => property.ImageId == row.Id && property.Name == name && property.Value == value));
        }

        foreach (var tag in tags)
        {
            rows = rows.Where(row => session.GetTable<ImageTagRow>().Any(candidate => candidate.ImageId == row.Id && candidate.Value == tag));
        }

        if (marker is not null)
        {
            rows = rows.Where(After(marker));
        }

        IOrderedQueryable<ImageRow>? ordered = null;
        foreach (var (column, descending) in order)
        {
            ordered = column.Order(rows, ordered, descending);
        }

        return ordered!.Take(Limit);
    }

    private IQueryable<ImageRow> Visible(DataConnection session, Viewer viewer)
    {
        var rows = session.GetTable<ImageRow>().Where(row => row.Status != ImageStatus.Deleted);
        var project = viewer.ProjectId;
        if (!viewer.IsAdmin)
        {
            var status = memberStatus;
            rows = rows.Where(row => row.Visibility == ImageVisibility.Public || row.Visibility == ImageVisibility.Community || row.Owner == project
                || (row.Visibility == ImageVisibility.Shared
                    && session.GetTable<MemberRow>().Any(member => member.ImageId == row.Id && member.Member == project && (status == "all" || member.Status == status))));
        }

        return visibility switch
        {
            null or "" => rows.Where(row => row.Visibility != ImageVisibility.Community || row.Owner == project),
            "all" => rows,
            _ => rows.Where(row => row.Visibility == visibility),
        };
    }

    private void ReadOrder(QueryValues values)
    {
        if (values.Has("sort") && (values.Has("sort_key") || values.Has("sort_dir")))
        {
            throw CloudException.BadRequest("Old and new sorting syntax cannot be combined");
        }

        var directions = values.All("sort_dir").Count;
        var keys = values.All("sort_key").Count;
        if (directions > 1 && directions != keys)
        {
            throw CloudException.BadRequest("Number of sort dirs does not match the number of sort keys");
        }

        var asked = values.Sort("desc").ToList();
        var fallback = asked.Count == 1 ? asked[0].Descending : keys > 0 && directions == 1 ? asked[0].Descending : true;
        if (asked.Count == 0)
        {
            asked.Add(("created_at", directions == 0 || fallback));
        }

        foreach (var key in new[] { "created_at", "id" })
        {
            if (!asked.Exists(entry => entry.Key == key))
            {
                asked.Add((key, fallback));
            }
        }

        foreach (var (key, descending) in asked)
        {
            order.Add((SortColumns.TryGetValue(key, out var column)
                ? column
                : throw CloudException.BadRequest($"Invalid sort key: {key}. It must be one of the following: {string.Join(", ", SortColumns.Keys)}."), descending));
        }
    }

    private void ReadFilter(string name, string value)
    {
        switch (name)
        {
            case "id":
                AddText(value, row => row.Id);
                break;
            case "name":
                AddText(value, row => row.Name!);
                break;
            case "status":
                AddText(value, row => row.Status);
                break;
            case "container_format":
                AddText(value, row => row.ContainerFormat!);
                break;
            case "disk_format":
                AddText(value, row => row.DiskFormat!);
                break;
            case "owner":
                conditions.Add(row => row.Owner == value);
                break;
            case "checksum":
                conditions.Add(row => row.Checksum == value);
                break;
            case "os_hash_algo":
                conditions.Add(row => row.HashAlgorithm == value);
                break;
            case "os_hash_value":
                conditions.Add(row => row.HashValue == value);
                break;
            case "created_at":
                AddTime(name, value, row => row.CreatedAt);
                break;
            case "updated_at":
                AddTime(name, value, row => row.UpdatedAt);
                break;
            default:
                if (!AddNumber(name, value))
                {
                    properties.Add((name, value));
                }

                break;
        }
    }

    private bool AddNumber(string name, string value)
    {
        var (column, comparison) = name.EndsWith("_min", StringComparison.Ordinal) ? (name[..^4], ExpressionType.GreaterThanOrEqual)
            : name.EndsWith("_max", StringComparison.Ordinal) ? (name[..^4], ExpressionType.LessThanOrEqual)
            : (name, ExpressionType.Equal);
        Expression<Func<ImageRow, long?>>? selector = column switch
        {
            "size" => row => row.Size,
            "virtual_size" => row => row.VirtualSize,
            "min_disk" => row => row.MinDisk,
            "min_ram" => row => row.MinRam,
            _ => null,
        };
        if (selector is null)
        {
            return false;
        }

        if (!long.TryParse(value, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number))
        {
            throw CloudException.BadRequest("Unable to filter on a range with a non-numeric value.");
        }

        conditions.Add(Compare(selector, comparison, (long?)number));
        return true;
    }

    private void AddText(string value, Expression<Func<ImageRow, string>> selector)
    {
        var (operation, operand) = Operator(value);
        switch (operation)
        {
            case "eq":
                conditions.Add(Compare(selector, ExpressionType.Equal, operand));
                break;
            case "in":
                var choices = Choices(operand);
                conditions.Add(Expression.Lambda<Func<ImageRow, bool>>(
                    Expression.Call(typeof(Enumerable), nameof(Enumerable.Contains), [typeof(string)], Expression.Constant(choices), selector.Body), selector.Parameters));
                break;
            default:
                throw CloudException.BadRequest($"Unable to filter by unknown operator '{operation}'.");
        }
    }

    private void AddTime(string name, string value, Expression<Func<ImageRow, long>> selector)
    {
        var (operation, operand) = DateTimeOffset.TryParse(value, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out _) ? ("eq", value) : Operator(value);
        if (!DateTimeOffset.TryParse(operand, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var instant))
        {
            throw CloudException.BadRequest($"Bad \"{name}\" query filter format. Use ISO 8601 DateTime notation.");
        }

        // Shown to the second: what is compared must be what was seen.
        Expression<Func<ImageRow, long>> seconds = Expression.Lambda<Func<ImageRow, long>>(Expression.Divide(selector.Body, Expression.Constant(1_000_000L)), selector.Parameters);
        conditions.Add(Compare(seconds, operation switch
        {
            "gt" => ExpressionType.GreaterThan,
            "gte" => ExpressionType.GreaterThanOrEqual,
            "lt" => ExpressionType.LessThan,
            "lte" => ExpressionType.LessThanOrEqual,
            "eq" => ExpressionType.Equal,
            "neq" => ExpressionType.NotEqual,
            _ => throw CloudException.BadRequest($"Unable to filter by unknown operator '{operation}'."),
        }, instant.ToUnixTimeSeconds()));
    }

    /// <summary>Rows after the marker in the chosen order: later in the first column, or equal there and later in the second …</summary>
    private Expression<Func<ImageRow, bool>> After(ImageRow marker)
    {
        var row = Expression.Parameter(typeof(ImageRow), "row");
        Expression after = Expression.Constant(false);
        for (var i = order.Count - 1; i >= 0; i--)
        {
            var (column, descending) = order[i];
            after = Expression.OrElse(column.IsAfter(row, marker, descending), Expression.AndAlso(column.IsEqual(row, marker), after));
        }

        return Expression.Lambda<Func<ImageRow, bool>>(after, row);
    }

    private static Expression<Func<ImageRow, bool>> Compare<T>(Expression<Func<ImageRow, T>> selector, ExpressionType comparison, T value) =>
        Expression.Lambda<Func<ImageRow, bool>>(Expression.MakeBinary(comparison, selector.Body, Expression.Constant(value, typeof(T))), selector.Parameters);

    private static (string Operation, string Operand) Operator(string value)
    {
        var colon = value.IndexOf(':', StringComparison.Ordinal);
        return colon < 0 ? ("eq", value) : (value[..colon], value[(colon + 1)..]);
    }

    /// <summary>Values between commas; quotes keep a comma, a backslash keeps a quote.</summary>
    private static List<string> Choices(string text)
    {
        var choices = new List<string>();
        var at = 0;
        while (at <= text.Length)
        {
            if (at < text.Length && text[at] == '"')
            {
                var end = at + 1;
                while (end < text.Length && (text[end] != '"' || text[end - 1] == '\\'))
                {
                    end++;
                }

                if (end == text.Length)
                {
                    throw CloudException.BadRequest($"Invalid filter value {text}. The quote is not closed.");
                }

                if (end + 1 < text.Length && text[end + 1] != ',')
                {
                    throw CloudException.BadRequest($"Invalid filter value {text}. There is no comma after closing quotation mark.");
                }

                choices.Add(text[(at + 1)..end].Replace("\\\"", "\"", StringComparison.Ordinal));
                at = end + 2;
            }
            else
            {
                var end = text.IndexOf(',', at);
                end = end < 0 ? text.Length : end;
                var choice = text[at..end];
                choices.Add(choice.Contains('"', StringComparison.Ordinal) && !choice.Contains("\\\"", StringComparison.Ordinal)
                    ? throw CloudException.BadRequest($"Invalid filter value {text}. There is no comma before opening quotation mark.")
                    : choice);
                at = end + 1;
            }
        }

        return choices;
    }

    private static bool Flag(string name, string value) => value switch
    {
        _ when value.Equals("true", StringComparison.OrdinalIgnoreCase) => true,
        _ when value.Equals("false", StringComparison.OrdinalIgnoreCase) => false,
        _ => throw CloudException.BadRequest($"Invalid value '{value}' for '{name}' filter. Valid values are 'true' or 'false'."),
    };

    private abstract class SortColumn
    {
        public abstract IOrderedQueryable<ImageRow> Order(IQueryable<ImageRow> rows, IOrderedQueryable<ImageRow>? ordered, bool descending);

        public abstract Expression IsAfter(ParameterExpression row, ImageRow marker, bool descending);

        public abstract Expression IsEqual(ParameterExpression row, ImageRow marker);
    }

    private sealed class SortColumn<T>(Expression<Func<ImageRow, T>> selector) : SortColumn
    {
        private readonly Func<ImageRow, T> read = selector.Compile();

        public override IOrderedQueryable<ImageRow> Order(IQueryable<ImageRow> rows, IOrderedQueryable<ImageRow>? ordered, bool descending) =>
            (ordered, descending) switch
            {
                (null, false) => rows.OrderBy(selector),
                (null, true) => rows.OrderByDescending(selector),
                (_, false) => ordered.ThenBy(selector),
                _ => ordered.ThenByDescending(selector),
            };

        public override Expression IsAfter(ParameterExpression row, ImageRow marker, bool descending)
        {
            var left = Body(row);
            Expression right = Expression.Constant(read(marker), typeof(T));
            if (typeof(T) == typeof(string))
            {
                left = Expression.Call(typeof(string), nameof(string.Compare), null, left, right);
                right = Expression.Constant(0);
            }

            return Expression.MakeBinary(descending ? ExpressionType.LessThan : ExpressionType.GreaterThan, left, right);
        }

        public override Expression IsEqual(ParameterExpression row, ImageRow marker) => Expression.Equal(Body(row), Expression.Constant(read(marker), typeof(T)));

        private Expression Body(ParameterExpression row) => new Replace(selector.Parameters[0], row).Visit(selector.Body);

        private sealed class Replace(ParameterExpression from, ParameterExpression to) : ExpressionVisitor
        {
            protected override Expression VisitParameter(ParameterExpression node) => node == from ? to : node;
        }
    }
}
