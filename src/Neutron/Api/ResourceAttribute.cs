using System.Globalization;
using System.Linq.Expressions;
using System.Reflection;
using System.Text.Json;
using LinqToDB.Data;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.Api;

/// <summary>Looks at a value that was sent; gives the reason why it will not do, or null.</summary>
internal delegate string? AttributeCheck(JsonElement value);

internal delegate IQueryable<TRow> AttributeFilter<TRow>(IQueryable<TRow> rows, DataConnection db, List<string> values);

internal delegate IQueryable<TRow> CallerFilter<TRow>(IQueryable<TRow> rows, DataConnection db, List<string> values, Caller caller);

/// <summary>A resource as it is shown: its row and what belongs to it.</summary>
internal interface IResourceView<out TRow>
    where TRow : ResourceRow
{
    TRow Row { get; }
}

/// <summary>What RBAC policies can share, as a caller sees it.</summary>
internal interface ISharedView
{
    bool IsShared { get; }
}

/// <summary>One attribute of a resource of the API: who may send it, what is taken, how it is shown, filtered and sorted by.</summary>
internal sealed class ResourceAttribute<TRow, TView>(string name)
    where TRow : ResourceRow
    where TView : class, IResourceView<TRow>
{
    public string Name { get; } = name;

    public bool Post { get; init; }

    public bool Put { get; init; }

    /// <summary>A creation without it is refused.</summary>
    public bool Required { get; init; }

    public AttributeCheck? Check { get; init; }

    /// <summary>Sending it is checked against <c>create_port:NAME</c>, <c>update_port:NAME</c>.</summary>
    public bool Enforced { get; init; }

    /// <summary>Members of the objects in the list that have rules of their own: <c>create_port:fixed_ips:subnet_id</c>.</summary>
    public IReadOnlyList<string> EnforcedParts { get; init; } = [];

    /// <summary>Sending this value in a creation is the same as not sending the attribute.</summary>
    public Func<JsonElement, bool>? IsDefault { get; init; }

    /// <summary>Null for what is never shown.</summary>
    public Action<Utf8JsonWriter, TView>? Write { get; init; }

    /// <summary>Where it is left out of some of the resources.</summary>
    public Func<TView, bool>? IsShown { get; init; }

    public AttributeFilter<TRow>? Filter { get; init; }

    /// <summary>In place of <see cref="Filter"/> where the answer depends on who asks.</summary>
    public CallerFilter<TRow>? FilterFor { get; init; }

    public bool CanFilter => Filter is not null || FilterFor is not null;

    /// <summary>The column to sort by: of type string, int, long or bool.</summary>
    public LambdaExpression? Sort { get; init; }
}

/// <summary>Makes attributes that are columns: shown, filtered and sorted alike.</summary>
internal static class Attributes<TRow, TView>
    where TRow : ResourceRow
    where TView : class, IResourceView<TRow>
{
    public static ResourceAttribute<TRow, TView> Text(
        string name, Expression<Func<TRow, string?>> column, bool post = false, bool put = false, bool required = false, AttributeCheck? check = null, bool enforced = false, Func<JsonElement, bool>? isDefault = null)
    {
        var get = Getter(column);
        return new(name)
        {
            Post = post,
            Put = put,
            Required = required,
            Check = check,
            Enforced = enforced,
            IsDefault = isDefault,
            Write = (json, view) => json.WriteStringValue(get(view.Row)),
            Filter = (rows, _, values) => rows.WhereIn(column, values),
            Sort = column,
        };
    }

    public static ResourceAttribute<TRow, TView> Flag(
        string name, Expression<Func<TRow, bool>> column, bool post = false, bool put = false, bool enforced = false, bool? defaultValue = null)
    {
        var get = Getter(column);
        return new(name)
        {
            Post = post,
            Put = put,
            Check = Checks.Flag,
            Enforced = enforced,
            IsDefault = defaultValue is { } normal ? value => Checks.ToFlag(value) == normal : null,
            Write = (json, view) => json.WriteBooleanValue(get(view.Row)),
            Filter = (rows, _, values) => rows.WhereIn(column, values.ConvertAll(Checks.ToFlag)),
            Sort = column,
        };
    }

    public static ResourceAttribute<TRow, TView> Number(
        string name, Expression<Func<TRow, int>> column, bool post = false, bool put = false, bool required = false, AttributeCheck? check = null)
    {
        var get = Getter(column);
        return new(name)
        {
            Post = post,
            Put = put,
            Required = required,
            Check = check,
            Write = (json, view) => json.WriteNumberValue(get(view.Row)),
            Filter = (rows, _, values) => rows.WhereIn(column, Checks.ToNumbers(name, values)),
            Sort = column,
        };
    }

    public static ResourceAttribute<TRow, TView> OptionalNumber(string name, Expression<Func<TRow, int?>> column, bool post = false, bool put = false, AttributeCheck? check = null)
    {
        var get = Getter(column);
        return new(name)
        {
            Post = post,
            Put = put,
            Check = check,
            Write = (json, view) =>
            {
                if (get(view.Row) is { } number)
                {
                    json.WriteNumberValue(number);
                }
                else
                {
                    json.WriteNullValue();
                }
            },
            Filter = (rows, _, values) => rows.WhereIn(column, Checks.ToNumbers(name, values).ConvertAll(number => (int?)number)),
        };
    }

    /// <summary>The length of a prefix: Neutron shows it as text.</summary>
    public static ResourceAttribute<TRow, TView> LengthOf(string name, Expression<Func<TRow, int>> column)
    {
        var get = Getter(column);
        return new(name)
        {
            Post = true,
            Put = true,
            Check = Checks.Number(0, int.MaxValue),
            Write = (json, view) => json.WriteStringValue(get(view.Row).ToString(CultureInfo.InvariantCulture)),
            Filter = (rows, _, values) => rows.WhereIn(column, Checks.ToNumbers(name, values)),
        };
    }

    /// <summary>A list or object that is kept as its JSON text.</summary>
    public static ResourceAttribute<TRow, TView> Raw(
        string name, Func<TRow, string> text, bool post = false, bool put = false, bool required = false, AttributeCheck? check = null, bool enforced = false, IReadOnlyList<string>? parts = null) =>
        new(name)
        {
            Post = post,
            Put = put,
            Required = required,
            Check = check,
            Enforced = enforced,
            EnforcedParts = parts ?? [],
            Write = (json, view) => json.WriteRawValue(text(view.Row), skipInputValidation: true),
        };

    /// <summary>Shown only.</summary>
    public static ResourceAttribute<TRow, TView> Shown(string name, Action<Utf8JsonWriter, TView> write, AttributeFilter<TRow>? filter = null) => new(name) { Write = write, Filter = filter };

    /// <summary>Taken, and shown in another form or not at all.</summary>
    public static ResourceAttribute<TRow, TView> Taken(string name, AttributeCheck? check, bool post = true, bool put = false) => new(name) { Post = post, Put = put, Check = check };

    /// <summary>What every resource has, but for the name.</summary>
    public static IEnumerable<ResourceAttribute<TRow, TView>> Standard()
    {
        yield return Text("id", static row => row.Id);
        yield return Text("tenant_id", static row => row.ProjectId, post: true, check: Checks.Text(255));
        yield return Text("project_id", static row => row.ProjectId, post: true, check: Checks.Text(255));
        yield return Text("description", static row => row.Description, post: true, put: true, check: Checks.Text(255));
        yield return new("created_at") { Write = static (json, view) => json.WriteStringValue(Foundation.Storage.Timestamps.Seconds(view.Row.CreatedAt)), Sort = (Expression<Func<TRow, long>>)(static row => row.CreatedAt) };
        yield return new("updated_at") { Write = static (json, view) => json.WriteStringValue(Foundation.Storage.Timestamps.Seconds(view.Row.UpdatedAt)), Sort = (Expression<Func<TRow, long>>)(static row => row.UpdatedAt) };
        yield return new("revision_number")
        {
            Write = static (json, view) => json.WriteNumberValue(view.Row.Revision),
            Filter = static (rows, _, values) => rows.WhereIn(static row => row.Revision, values.ConvertAll(text => long.TryParse(text, CultureInfo.InvariantCulture, out var number) ? number : -1)),
            Sort = (Expression<Func<TRow, long>>)(static row => row.Revision),
        };
    }

    // A delegate on the property's getter: compiling the expression would cost a millisecond an attribute at the start.
    private static Func<TRow, T> Getter<T>(Expression<Func<TRow, T>> column) =>
        ((PropertyInfo)((MemberExpression)column.Body).Member).GetMethod!.CreateDelegate<Func<TRow, T>>();
}
