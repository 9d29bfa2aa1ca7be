using System.Data.Common;

namespace SharpStack.Foundation.Storage.Engines;

/// <summary>What a column holds, whatever its engine calls the type.</summary>
internal enum ColumnKind
{
    Integer,
    Boolean,
    Real,
    Text,
    Binary,
}

internal sealed record CatalogColumn(string Name, ColumnKind Kind);

/// <summary>A table as the database describes it.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Columns">Its columns in their order.</param>
/// <param name="Parents">The tables that its foreign keys point to.</param>
/// <param name="Identity">The column that the database numbers; null for none.</param>
internal sealed record CatalogTable(string Name, IReadOnlyList<CatalogColumn> Columns, IReadOnlySet<string> Parents, string? Identity)
{
    /// <summary>Reads the tables of a service, those first that others point to.</summary>
    /// <exception cref="CloudException">Tables point to each other in a circle.</exception>
    public static IReadOnlyList<CatalogTable> Read(StorageEngine engine, DbConnection connection)
    {
        var parents = Rows(connection, engine.ForeignKeysSql).ToLookup(row => row[0], row => row[1]);
        var identities = Rows(connection, engine.IdentityColumnsSql).ToDictionary(row => row[0], row => row[1]);
        var left = Rows(connection, engine.ColumnsSql)
            .GroupBy(row => row[0])
            .Where(table => table.Key != ServiceDatabase.VersionTableName)
            .Select(table => new CatalogTable(
                table.Key, [.. table.Select(row => new CatalogColumn(row[1], KindOf(row[2])))], parents[table.Key].ToHashSet(StringComparer.Ordinal), identities.GetValueOrDefault(table.Key)))
            .OrderBy(table => table.Name, StringComparer.Ordinal)
            .ToList();
        var ordered = new List<CatalogTable>(left.Count);
        while (left.Count > 0)
        {
            var next = left.FindIndex(table => !left.Exists(other => table.Parents.Contains(other.Name)));
            if (next < 0)
            {
                throw new CloudException(ErrorKind.Internal, $"The tables {string.Join(", ", left.Select(table => table.Name))} point to each other in a circle: no order fills them.");
            }

            ordered.Add(left[next]);
            left.RemoveAt(next);
        }

        return ordered;
    }

    private static ColumnKind KindOf(string type)
    {
        var name = type.ToLowerInvariant();
        bool Has(params string[] words) => words.Any(word => name.Contains(word, StringComparison.Ordinal));
        return name == "tinyint(1)" || Has("bool") ? ColumnKind.Boolean
            : Has("char", "text") ? ColumnKind.Text
            : Has("blob", "binary", "bytea") ? ColumnKind.Binary
            : Has("double", "float", "real", "numeric", "decimal") ? ColumnKind.Real
            : Has("int") ? ColumnKind.Integer
            : throw new CloudException(ErrorKind.Internal, $"A column has the type {type}, which is not the same on every engine.");
    }

    private static List<string[]> Rows(DbConnection connection, string sql)
    {
        using var command = connection.CreateCommand();
        command.CommandText = sql;
        using var reader = command.ExecuteReader();
        var rows = new List<string[]>();
        while (reader.Read())
        {
            var row = new string[reader.FieldCount];
            for (var i = 0; i < row.Length; i++)
            {
                row[i] = reader.GetString(i);
            }

            rows.Add(row);
        }

        return rows;
    }
}
