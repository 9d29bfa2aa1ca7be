using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json;

namespace SharpStack.OpenVSwitch.Ovsdb;

/// <summary>A string, integer, real, boolean or row reference of RFC 7047, 5.1.</summary>
[StructLayout(LayoutKind.Auto)]
public readonly record struct OvsdbAtom
{
    private readonly AtomKind kind;
    private readonly string? text;
    private readonly long integer;
    private readonly double real;
    private readonly Guid uuid;

    private OvsdbAtom(AtomKind kind, string? text = null, long integer = 0, double real = 0, Guid uuid = default)
    {
        this.kind = kind;
        this.text = text;
        this.integer = integer;
        this.real = real;
        this.uuid = uuid;
    }

    private enum AtomKind
    {
        Text,
        Integer,
        Real,
        Boolean,
        Uuid,
        Named,
    }

    /// <summary>The text of a string atom.</summary>
    public string Text => kind == AtomKind.Text ? text! : throw Mismatch("a string");

    /// <summary>The number of an integer atom.</summary>
    public long Number => kind == AtomKind.Integer ? integer : throw Mismatch("an integer");

    /// <summary>The number of a real atom.</summary>
    public double Real => kind == AtomKind.Real ? real : kind == AtomKind.Integer ? integer : throw Mismatch("a real");

    /// <summary>The truth of a boolean atom.</summary>
    public bool Boolean => kind == AtomKind.Boolean ? integer != 0 : throw Mismatch("a boolean");

    /// <summary>The row that an atom refers to.</summary>
    public Guid Uuid => kind == AtomKind.Uuid ? uuid : throw Mismatch("a uuid");

    /// <summary>A string.</summary>
    public static implicit operator OvsdbAtom(string value) => new(AtomKind.Text, text: value);

    /// <summary>An integer.</summary>
    public static implicit operator OvsdbAtom(long value) => new(AtomKind.Integer, integer: value);

    /// <summary>A boolean.</summary>
    public static implicit operator OvsdbAtom(bool value) => new(AtomKind.Boolean, integer: value ? 1 : 0);

    /// <summary>A row.</summary>
    public static implicit operator OvsdbAtom(Guid value) => new(AtomKind.Uuid, uuid: value);

    /// <summary>A row that another operation of the same transaction inserts under that uuid-name.</summary>
    public static OvsdbAtom Named(string name) => new(AtomKind.Named, text: name);

    /// <summary>Some total order, so that sets have one form.</summary>
    internal int CompareTo(OvsdbAtom other)
    {
        var order = kind.CompareTo(other.kind);
        return order != 0 ? order : kind switch
        {
            AtomKind.Text or AtomKind.Named => string.CompareOrdinal(text, other.text),
            AtomKind.Real => real.CompareTo(other.real),
            AtomKind.Uuid => uuid.CompareTo(other.uuid),
            _ => integer.CompareTo(other.integer),
        };
    }

    /// <inheritdoc/>
    public override string ToString() => kind switch
    {
        AtomKind.Text or AtomKind.Named => text!,
        AtomKind.Integer => integer.ToString(CultureInfo.InvariantCulture),
        AtomKind.Real => real.ToString(CultureInfo.InvariantCulture),
        AtomKind.Boolean => integer != 0 ? "true" : "false",
        _ => uuid.ToString(),
    };

    internal static OvsdbAtom Read(JsonElement json, bool isReal)
    {
        switch (json.ValueKind)
        {
            case JsonValueKind.String:
                return json.GetString()!;
            case JsonValueKind.Number:
                return isReal ? new OvsdbAtom(AtomKind.Real, real: json.GetDouble()) : json.GetInt64();
            case JsonValueKind.True:
            case JsonValueKind.False:
                return json.GetBoolean();
            case JsonValueKind.Array when json.GetArrayLength() == 2 && json[0].ValueEquals("uuid"u8):
                return json[1].GetGuid();
            default:
                throw new OvsdbException($"The database sent {json.GetRawText()} where a value was expected.");
        }
    }

    internal void Write(Utf8JsonWriter json)
    {
        switch (kind)
        {
            case AtomKind.Text:
                json.WriteStringValue(text);
                break;
            case AtomKind.Integer:
                json.WriteNumberValue(integer);
                break;
            case AtomKind.Real:
                json.WriteNumberValue(real);
                break;
            case AtomKind.Boolean:
                json.WriteBooleanValue(integer != 0);
                break;
            default:
                json.WriteStartArray();
                json.WriteStringValue(kind == AtomKind.Uuid ? "uuid"u8 : "named-uuid"u8);
                json.WriteStringValue(kind == AtomKind.Uuid ? uuid.ToString() : text);
                json.WriteEndArray();
                break;
        }
    }

    private OvsdbException Mismatch(string wanted) => new($"A database column holds '{this}' where {wanted} was expected.");
}

/// <summary>A column's value: a set of atoms (often of one) or a map. An immutable value; the order of elements does not count.</summary>
public sealed class OvsdbValue : IEquatable<OvsdbValue>
{
    private static readonly Comparer<OvsdbAtom> ByValue = Comparer<OvsdbAtom>.Create(static (left, right) => left.CompareTo(right));

    /// <summary>The empty set, which is also an optional column's absent value.</summary>
    public static readonly OvsdbValue Empty = new([], null);

    private readonly OvsdbAtom[] keys;
    private readonly OvsdbAtom[]? values;

    private OvsdbValue(OvsdbAtom[] keys, OvsdbAtom[]? values)
    {
        this.keys = keys;
        this.values = values;
        if (values is null)
        {
            Array.Sort(keys, ByValue);
        }
        else
        {
            Array.Sort(keys, values, ByValue);
        }
    }

    /// <summary>A set's elements or a map's keys, sorted.</summary>
    public ReadOnlySpan<OvsdbAtom> Keys => keys;

    /// <summary>One atom.</summary>
    public static implicit operator OvsdbValue(OvsdbAtom atom) => new([atom], null);

    /// <summary>A string.</summary>
    [return: NotNullIfNotNull(nameof(value))]
    public static implicit operator OvsdbValue?(string? value) => value is null ? default(OvsdbValue?) : new OvsdbValue([value], null);

    /// <summary>An integer.</summary>
    public static implicit operator OvsdbValue(long value) => (OvsdbAtom)value;

    /// <summary>A boolean.</summary>
    public static implicit operator OvsdbValue(bool value) => (OvsdbAtom)value;

    /// <summary>A row.</summary>
    public static implicit operator OvsdbValue(Guid value) => (OvsdbAtom)value;

    /// <summary>A set.</summary>
    public static OvsdbValue Set(params IEnumerable<OvsdbAtom> atoms) => new([.. atoms.Distinct()], null);

    /// <summary>A set of strings.</summary>
    public static OvsdbValue Set(IEnumerable<string> strings) => Set(strings.Select(text => (OvsdbAtom)text));

    /// <summary>A map of strings.</summary>
    public static OvsdbValue Map(IEnumerable<KeyValuePair<string, string>> pairs)
    {
        var all = pairs.ToArray();
        return new([.. all.Select(pair => (OvsdbAtom)pair.Key)], [.. all.Select(pair => (OvsdbAtom)pair.Value)]);
    }

    /// <summary>A map's pairs as text; empty for the empty set.</summary>
    public IReadOnlyDictionary<string, string> ToMap()
    {
        var map = new Dictionary<string, string>(StringComparer.Ordinal);
        for (var i = 0; i < (values?.Length ?? 0); i++)
        {
            map[keys[i].ToString()] = values![i].ToString();
        }

        return map;
    }

    /// <inheritdoc/>
    public bool Equals(OvsdbValue? other) =>
        other is not null && keys.AsSpan().SequenceEqual(other.keys) && (values ?? []).AsSpan().SequenceEqual(other.values ?? []);

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as OvsdbValue);

    /// <inheritdoc/>
    public override int GetHashCode() => keys.Length == 0 ? 0 : HashCode.Combine(keys.Length, keys[0]);

    /// <inheritdoc/>
    public override string ToString() =>
        values is not null ? $"{{{string.Join(", ", ToMap().Select(pair => $"{pair.Key}={pair.Value}"))}}}"
        : keys.Length == 1 ? keys[0].ToString()
        : $"[{string.Join(", ", keys)}]";

    internal static OvsdbValue Read(JsonElement json, OvsdbColumn column)
    {
        if (json.ValueKind == JsonValueKind.Array && json.GetArrayLength() == 2)
        {
            if (json[0].ValueEquals("set"u8))
            {
                return new([.. json[1].EnumerateArray().Select(atom => OvsdbAtom.Read(atom, column.RealKeys))], null);
            }

            if (json[0].ValueEquals("map"u8))
            {
                return new(
                    [.. json[1].EnumerateArray().Select(pair => OvsdbAtom.Read(pair[0], column.RealKeys))],
                    [.. json[1].EnumerateArray().Select(pair => OvsdbAtom.Read(pair[1], column.RealValues))]);
            }
        }

        return OvsdbAtom.Read(json, column.RealKeys);
    }

    internal void Write(Utf8JsonWriter json)
    {
        if (values is null && keys.Length == 1)
        {
            keys[0].Write(json);
            return;
        }

        json.WriteStartArray();
        json.WriteStringValue(values is null ? "set"u8 : "map"u8);
        json.WriteStartArray();
        for (var i = 0; i < keys.Length; i++)
        {
            if (values is null)
            {
                keys[i].Write(json);
            }
            else
            {
                json.WriteStartArray();
                keys[i].Write(json);
                values[i].Write(json);
                json.WriteEndArray();
            }
        }

        json.WriteEndArray();
        json.WriteEndArray();
    }

    /// <summary>Applies what update2 sends for a modified column: for sets the elements that come or go, for maps the pairs that come, go or change.</summary>
    internal OvsdbValue Modify(OvsdbValue difference)
    {
        if (values is null && difference.values is null)
        {
            var set = keys.ToHashSet();
            set.SymmetricExceptWith(difference.keys);
            return new([.. set], null);
        }

        var map = new Dictionary<OvsdbAtom, OvsdbAtom>();
        for (var i = 0; i < (values?.Length ?? 0); i++)
        {
            map[keys[i]] = values![i];
        }

        for (var i = 0; i < (difference.values?.Length ?? 0); i++)
        {
            var (key, value) = (difference.keys[i], difference.values![i]);
            if (map.TryGetValue(key, out var now) && now == value)
            {
                map.Remove(key);
            }
            else
            {
                map[key] = value;
            }
        }

        return new([.. map.Keys], [.. map.Values]);
    }
}

/// <summary>What the schema says of a column.</summary>
internal readonly record struct OvsdbColumn(bool RealKeys, bool RealValues, bool Composite);

/// <summary>A row as it was at one moment: immutable.</summary>
public sealed class OvsdbRow
{
    private readonly ImmutableDictionary<string, OvsdbValue> columns;

    internal OvsdbRow(Guid uuid, ImmutableDictionary<string, OvsdbValue> columns)
    {
        Uuid = uuid;
        this.columns = columns;
    }

    /// <summary>The row's _uuid.</summary>
    public Guid Uuid { get; }

    /// <summary>A column; empty where it is absent or at its default.</summary>
    public OvsdbValue this[string column] => columns.GetValueOrDefault(column, OvsdbValue.Empty);

    /// <summary>The column <c>name</c>.</summary>
    public string Name => Text("name") ?? "";

    /// <summary>A string column.</summary>
    public string? Text(string column) => this[column].Keys is [var atom, ..] ? atom.Text : null;

    /// <summary>An integer column.</summary>
    public long? Number(string column) => this[column].Keys is [var atom, ..] ? atom.Number : null;

    /// <summary>A boolean column.</summary>
    public bool? Boolean(string column) => this[column].Keys is [var atom, ..] ? atom.Boolean : null;

    /// <summary>The rows that a column refers to.</summary>
    public IReadOnlyList<Guid> References(string column)
    {
        var keys = this[column].Keys;
        var list = new List<Guid>(keys.Length);
        foreach (var key in keys)
        {
            list.Add(key.Uuid);
        }

        return list;
    }

    /// <summary>A map column.</summary>
    public IReadOnlyDictionary<string, string> Map(string column) => this[column].ToMap();

    internal OvsdbRow With(string column, OvsdbValue value) => new(Uuid, columns.SetItem(column, value));
}
