using System.Globalization;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Primitives;

namespace SharpStack.Foundation.Http;

/// <summary>The query of a list request.</summary>
public sealed class QueryValues(IQueryCollection query)
{
    public IEnumerable<string> Names => query.Keys;

    public bool Has(string name) => query.ContainsKey(name);

    /// <summary>The last value of a name, or null.</summary>
    public string? this[string name] => query.TryGetValue(name, out var values) && values.Count > 0 ? values[^1] : null;

    /// <summary>All values of a name; Neutron's list filters repeat it.</summary>
    public StringValues All(string name) => query.TryGetValue(name, out var values) ? values : StringValues.Empty;

    /// <summary>Keystone's and oslo's reading: present without a value is true, and 0, false, no, off, n, f are not.</summary>
    public bool? Flag(string name) => !query.TryGetValue(name, out var values) ? null
        : values.Count == 0 || string.IsNullOrEmpty(values[^1]) || !(values[^1]!.ToUpperInvariant() is "0" or "FALSE" or "NO" or "OFF" or "N" or "F");

    /// <summary><c>limit</c>: not negative; null where there is none. 0 is for the service to read (Neutron: no limit; Nova: its maximum).</summary>
    public int? Limit(int? max = null)
    {
        if (this["limit"] is not { } text)
        {
            return max;
        }

        if (!int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var limit))
        {
            throw CloudException.BadRequest("limit param must be an integer");
        }

        return limit < 0 ? throw CloudException.BadRequest("limit param must be positive") : max is null ? limit : Math.Min(limit, max.Value);
    }

    public string? Marker => this["marker"];

    /// <summary><c>sort_key</c>/<c>sort_dir</c> pairs (Nova, Neutron, Glance), and Glance's <c>sort=name:asc,id</c>.</summary>
    public IReadOnlyList<(string Key, bool Descending)> Sort(string defaultDirection = "asc")
    {
        if (this["sort"] is { } joined)
        {
            return [.. joined.Split(',').Select(part => part.Split(':')).Select(part => (part[0].Trim(), Descending(part.Length > 1 ? part[1] : defaultDirection)))];
        }

        var keys = All("sort_key");
        var directions = All("sort_dir");
        var sort = new List<(string, bool)>(keys.Count);
        for (var i = 0; i < keys.Count; i++)
        {
            sort.Add((keys[i]!, Descending(i < directions.Count ? directions[i]! : directions.Count > 0 ? directions[^1]! : defaultDirection)));
        }

        return sort;
    }

    private static bool Descending(string direction) => direction.Trim().ToUpperInvariant() switch
    {
        "ASC" => false,
        "DESC" => true,
        _ => throw CloudException.BadRequest($"Unknown sort direction '{direction}', must be 'asc' or 'desc'"),
    };
}
