using System.Buffers;
using System.Globalization;
using System.Text.Json;

namespace SharpStack.OpenVSwitch.Ovsdb;

/// <summary>A condition of RFC 7047, 5.1: <c>[column, function, value]</c>.</summary>
public readonly record struct OvsdbCondition(string Column, string Function, OvsdbValue Value)
{
    /// <summary>The row of that uuid.</summary>
    public static OvsdbCondition Is(Guid uuid) => new("_uuid", "==", uuid);
}

/// <summary>A mutation of RFC 7047, 5.1: <c>[column, mutator, value]</c>.</summary>
public readonly record struct OvsdbMutation(string Column, string Mutator, OvsdbValue Value)
{
    /// <summary>Adds elements to a set or pairs to a map (keys that exist keep their value).</summary>
    public static OvsdbMutation Insert(string column, OvsdbValue value) => new(column, "insert", value);

    /// <summary>Takes elements out of a set or, given keys, out of a map.</summary>
    public static OvsdbMutation Delete(string column, OvsdbValue value) => new(column, "delete", value);
}

/// <summary>Operations that the database does all or none of, in their order.</summary>
public sealed class OvsdbTransaction
{
    private readonly List<(string Text, Action<Utf8JsonWriter> Write)> operations = [];
    private int names;

    /// <summary>How many operations there are.</summary>
    public int Count => operations.Count;

    /// <summary>Inserts a row; the result stands for it in the other operations, earlier ones too.</summary>
    public OvsdbAtom Insert(string table, IEnumerable<KeyValuePair<string, OvsdbValue>> row)
    {
        var name = NextName();
        Insert(table, row, name);
        return OvsdbAtom.Named(name);
    }

    /// <summary>Changes columns of the rows that meet all conditions.</summary>
    public void Update(string table, IEnumerable<OvsdbCondition> where, IEnumerable<KeyValuePair<string, OvsdbValue>> row) => Add("update", table, json =>
    {
        WriteConditions(json, where);
        json.WritePropertyName("row"u8);
        WriteRow(json, row);
    });

    /// <summary>Changes columns of the rows that meet all conditions, relative to what they hold.</summary>
    public void Mutate(string table, IEnumerable<OvsdbCondition> where, params IEnumerable<OvsdbMutation> mutations) => Add("mutate", table, json =>
    {
        WriteConditions(json, where);
        json.WriteStartArray("mutations"u8);
        foreach (var mutation in mutations)
        {
            WriteTriple(json, mutation.Column, mutation.Mutator, mutation.Value);
        }

        json.WriteEndArray();
    });

    /// <summary>Deletes the rows that meet all conditions.</summary>
    public void Delete(string table, params IEnumerable<OvsdbCondition> where) => Add("delete", table, json => WriteConditions(json, where));

    /// <summary>Reads columns of the rows that meet all conditions.</summary>
    public void Select(string table, IEnumerable<OvsdbCondition> where, IEnumerable<string> columns) => Add("select", table, json =>
    {
        WriteConditions(json, where);
        WriteNames(json, columns);
    });

    /// <summary>Aborts the transaction (error <c>timed out</c>) unless the rows that meet the conditions hold these values within the time.</summary>
    public void Wait(string table, IEnumerable<OvsdbCondition> where, IReadOnlyDictionary<string, OvsdbValue> row, TimeSpan timeout, string until = "==") => Add("wait", table, json =>
    {
        json.WriteNumber("timeout"u8, (long)timeout.TotalMilliseconds);
        WriteConditions(json, where);
        WriteNames(json, row.Keys);
        json.WriteString("until"u8, until);
        json.WriteStartArray("rows"u8);
        WriteRow(json, row);
        json.WriteEndArray();
    });

    /// <summary>A line for the database's log.</summary>
    public void Comment(string comment) => operations.Add(("comment", json =>
    {
        json.WriteString("op"u8, "comment"u8);
        json.WriteString("comment"u8, comment);
    }));

    internal string NextName() => string.Create(CultureInfo.InvariantCulture, $"row{names++}");

    internal void Insert(string table, IEnumerable<KeyValuePair<string, OvsdbValue>> row, string name) => Add("insert", table, json =>
    {
        json.WriteString("uuid-name"u8, name);
        json.WritePropertyName("row"u8);
        WriteRow(json, row);
    });

    internal void Write(Utf8JsonWriter json)
    {
        foreach (var (_, write) in operations)
        {
            json.WriteStartObject();
            write(json);
            json.WriteEndObject();
        }
    }

    /// <summary>What an operation was, for messages.</summary>
    internal string? Describe(int operation) => operation < operations.Count ? operations[operation].Text : null;

    /// <inheritdoc/>
    public override string ToString()
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartArray();
            Write(json);
            json.WriteEndArray();
        }

        return System.Text.Encoding.UTF8.GetString(buffer.WrittenSpan);
    }

    private void Add(string op, string table, Action<Utf8JsonWriter> write) => operations.Add(($"'{op}' in table {table}", json =>
    {
        json.WriteString("op"u8, op);
        json.WriteString("table"u8, table);
        write(json);
    }));

    private static void WriteConditions(Utf8JsonWriter json, IEnumerable<OvsdbCondition> where)
    {
        json.WriteStartArray("where"u8);
        foreach (var condition in where)
        {
            WriteTriple(json, condition.Column, condition.Function, condition.Value);
        }

        json.WriteEndArray();
    }

    private static void WriteTriple(Utf8JsonWriter json, string column, string function, OvsdbValue value)
    {
        json.WriteStartArray();
        json.WriteStringValue(column);
        json.WriteStringValue(function);
        value.Write(json);
        json.WriteEndArray();
    }

    private static void WriteNames(Utf8JsonWriter json, IEnumerable<string> columns)
    {
        json.WriteStartArray("columns"u8);
        foreach (var column in columns)
        {
            json.WriteStringValue(column);
        }

        json.WriteEndArray();
    }

    private static void WriteRow(Utf8JsonWriter json, IEnumerable<KeyValuePair<string, OvsdbValue>> row)
    {
        json.WriteStartObject();
        foreach (var (column, value) in row)
        {
            json.WritePropertyName(column);
            value.Write(json);
        }

        json.WriteEndObject();
    }
}

/// <summary>What one operation of a transaction gave.</summary>
/// <param name="Count">Rows changed by update, mutate or delete.</param>
/// <param name="Uuid">The row that insert made.</param>
/// <param name="Rows">The columns that select read, as JSON.</param>
public sealed record OvsdbResult(long Count, Guid? Uuid, IReadOnlyList<JsonElement> Rows);
