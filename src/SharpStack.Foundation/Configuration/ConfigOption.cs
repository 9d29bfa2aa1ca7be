using System.Globalization;
using System.Reflection;

namespace SharpStack.Foundation.Configuration;

/// <summary>An option as oslo.config knows it: a group, a name, a default, a help text. Declared once, as a static field.</summary>
public abstract record ConfigOption(string Group, string Name, string Help)
{
    /// <summary>Never printed: passwords, keys, URLs that carry them.</summary>
    public bool Secret { get; init; }

    /// <summary>Older names still read, as <c>group/name</c> or <c>name</c> (same group).</summary>
    public IReadOnlyList<string> DeprecatedNames { get; init; } = [];

    public abstract string TypeName { get; }

    public abstract string DefaultText { get; }

    /// <returns>An error text, or null where the value is one that this option takes.</returns>
    internal abstract string? Check(IReadOnlyList<string> values);

    /// <summary>All options declared as public or internal static fields of <paramref name="holder"/>.</summary>
    public static IEnumerable<ConfigOption> DeclaredIn(Type holder) =>
        holder.GetFields(BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic)
            .Where(field => typeof(ConfigOption).IsAssignableFrom(field.FieldType))
            .Select(field => (ConfigOption)field.GetValue(null)!);
}

/// <summary>
/// An option of a type: <see cref="string"/>, <see cref="int"/>, <see cref="long"/>, <see cref="double"/>, <see cref="bool"/>,
/// <see cref="IReadOnlyList{String}"/> (comma separated, or repeated lines) or
/// <see cref="IReadOnlyDictionary{String,String}"/> (<c>key:value,key:value</c>).
/// </summary>
public sealed record ConfigOption<T>(string Group, string Name, T Default, string Help) : ConfigOption(Group, Name, Help)
{
    // Whether a bound was given: a number's own default is a bound too.
    private readonly bool hasMin;
    private readonly bool hasMax;

    public T? Min
    {
        get;
        init
        {
            field = value;
            hasMin = true;
        }
    }

    public T? Max
    {
        get;
        init
        {
            field = value;
            hasMax = true;
        }
    }

    /// <summary>The values allowed, where only some are.</summary>
    public IReadOnlyList<T> Choices { get; init; } = [];

    public override string TypeName => typeof(T) == typeof(string) ? "string"
        : typeof(T) == typeof(int) || typeof(T) == typeof(long) ? "integer"
        : typeof(T) == typeof(double) ? "float"
        : typeof(T) == typeof(bool) ? "boolean"
        : typeof(T) == typeof(IReadOnlyList<string>) ? "list" : "dict";

    public override string DefaultText => Default switch
    {
        null => "<None>",
        bool flag => flag ? "true" : "false",
        IReadOnlyList<string> list => string.Join(',', list),
        IReadOnlyDictionary<string, string> map => string.Join(',', map.Select(pair => $"{pair.Key}:{pair.Value}")),
        IFormattable number => number.ToString(null, CultureInfo.InvariantCulture),
        var other => other.ToString()!,
    };

    internal override string? Check(IReadOnlyList<string> values) => TryParse(values, out _, out var error) ? null : error;

    internal bool TryParse(IReadOnlyList<string> values, out T value, out string? error)
    {
        var last = values[^1];
        error = null;
        object? parsed = null;
        if (typeof(T) == typeof(string))
        {
            parsed = last;
        }
        else if (typeof(T) == typeof(bool))
        {
            parsed = last.ToUpperInvariant() switch
            {
                "TRUE" or "1" or "YES" or "ON" => true,
                "FALSE" or "0" or "NO" or "OFF" => false,
                _ => (object?)null,
            };
        }
        else if (typeof(T) == typeof(int))
        {
            parsed = int.TryParse(last, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number) ? number : null;
        }
        else if (typeof(T) == typeof(long))
        {
            parsed = long.TryParse(last, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number) ? number : null;
        }
        else if (typeof(T) == typeof(double))
        {
            parsed = double.TryParse(last, NumberStyles.Float, CultureInfo.InvariantCulture, out var number) ? number : null;
        }
        else if (typeof(T) == typeof(IReadOnlyList<string>))
        {
            parsed = values.SelectMany(line => line.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries)).ToArray();
        }
        else if (typeof(T) == typeof(IReadOnlyDictionary<string, string>))
        {
            parsed = ParseMap(values);
        }

        if (parsed is not T typed)
        {
            value = Default;
            error = $"[{Group}] {Name} = {Shown(last)}: not a {TypeName}";
            return false;
        }

        value = typed;
        if (hasMin && Comparer<T>.Default.Compare(typed, Min) < 0)
        {
            error = $"[{Group}] {Name} = {Shown(last)}: should be at least {Min}";
        }
        else if (hasMax && Comparer<T>.Default.Compare(typed, Max) > 0)
        {
            error = $"[{Group}] {Name} = {Shown(last)}: should be at most {Max}";
        }
        else if (Choices.Count > 0 && !Choices.Contains(typed))
        {
            error = $"[{Group}] {Name} = {Shown(last)}: should be one of {string.Join(", ", Choices)}";
        }

        return error is null;
    }

    private string Shown(string text) => Secret ? "****" : text;

    private static Dictionary<string, string>? ParseMap(IReadOnlyList<string> values)
    {
        var map = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var item in values.SelectMany(line => line.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries)))
        {
            var colon = item.IndexOf(':', StringComparison.Ordinal);
            if (colon <= 0)
            {
                return null;
            }

            map[item[..colon].Trim()] = item[(colon + 1)..].Trim();
        }

        return map;
    }
}
