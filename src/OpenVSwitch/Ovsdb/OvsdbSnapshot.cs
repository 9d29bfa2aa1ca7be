using System.Collections.Immutable;

namespace SharpStack.OpenVSwitch.Ovsdb;

/// <summary>A replicated table as it was at one moment.</summary>
public sealed class OvsdbTable
{
    internal static readonly OvsdbTable Empty = new(ImmutableDictionary<Guid, OvsdbRow>.Empty, ImmutableDictionary.Create<string, Guid>(StringComparer.Ordinal));

    private readonly ImmutableDictionary<Guid, OvsdbRow> rows;
    private readonly ImmutableDictionary<string, Guid> names;

    private OvsdbTable(ImmutableDictionary<Guid, OvsdbRow> rows, ImmutableDictionary<string, Guid> names)
    {
        this.rows = rows;
        this.names = names;
    }

    /// <summary>All rows.</summary>
    public IEnumerable<OvsdbRow> Rows => rows.Values;

    /// <summary>The row of that uuid.</summary>
    public OvsdbRow? Find(Guid uuid) => rows.GetValueOrDefault(uuid);

    /// <summary>The row of that name.</summary>
    public OvsdbRow? Find(string name) => names.TryGetValue(name, out var uuid) ? rows.GetValueOrDefault(uuid) : null;

    internal OvsdbTable With(OvsdbRow row) => new(rows.SetItem(row.Uuid, row), row.Name is { Length: > 0 } name ? names.SetItem(name, row.Uuid) : names);

    internal OvsdbTable Without(OvsdbRow row) =>
        new(rows.Remove(row.Uuid), names.TryGetValue(row.Name, out var uuid) && uuid == row.Uuid ? names.Remove(row.Name) : names);
}

/// <summary>The replicated part of the database as it was at one moment: immutable, so that several reads agree with each other.</summary>
public sealed class OvsdbSnapshot
{
    internal static readonly OvsdbSnapshot Empty = new(ImmutableDictionary.Create<string, OvsdbTable>(StringComparer.Ordinal));

    private readonly ImmutableDictionary<string, OvsdbTable> tables;

    private OvsdbSnapshot(ImmutableDictionary<string, OvsdbTable> tables) => this.tables = tables;

    /// <summary>A table; empty if it is not replicated.</summary>
    public OvsdbTable this[string table] => tables.GetValueOrDefault(table, OvsdbTable.Empty);

    internal IEnumerable<KeyValuePair<string, OvsdbTable>> Tables => tables;

    internal OvsdbSnapshot With(string table, OvsdbTable content) => new(tables.SetItem(table, content));
}

/// <summary>A row that was inserted (no <see cref="Before"/>), changed, or deleted (no <see cref="After"/>).</summary>
public sealed record OvsdbChange(string Table, OvsdbRow? Before, OvsdbRow? After)
{
    /// <summary>The row: as it is now or, deleted, as it was.</summary>
    public OvsdbRow Row => After ?? Before!;
}
