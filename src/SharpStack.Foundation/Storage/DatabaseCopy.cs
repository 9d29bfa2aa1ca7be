using System.Data;
using System.Data.Common;
using System.Globalization;
using System.Text;
using SharpStack.Foundation.Storage.Engines;

namespace SharpStack.Foundation.Storage;

/// <summary>
/// Copies a service's whole database to an empty one, from any engine to any: a cloud that outgrew SQLite moves to PostgreSQL or MariaDB. All rows arrive or none does.
/// Nothing may write to the source meanwhile: stop the service.
/// </summary>
public static class DatabaseCopy
{
    private const int ParametersInStatement = 2000;

    /// <returns>The tables and how many rows each has on both sides.</returns>
    /// <exception cref="CloudException">The source's schema is not this program's newest, the target's is another, or the target holds rows; what to do is in the message.</exception>
    public static async Task<IReadOnlyList<(string Table, long Rows)>> RunAsync(ServiceDatabase from, ServiceDatabase to, CancellationToken cancellationToken = default)
    {
        var known = from.KnownVersions();
        if (!from.AppliedVersions().SequenceEqual(known))
        {
            throw Refused($"the schema in {from.Url} has version {from.CurrentVersion()} and this program {from.NewestMigration()}: run 'sharpstack db sync' on it first.");
        }

        var applied = to.AppliedVersions();
        if (applied.Count > 0 && !applied.SequenceEqual(known))
        {
            throw Refused($"the schema in {to.Url} has version {to.CurrentVersion()} and the source {from.CurrentVersion()}: name an empty database, or run 'sharpstack db sync' on it first.");
        }

        to.Migrate();
        await using var source = await OpenAsync(from, cancellationToken);
        await using var target = await OpenAsync(to, cancellationToken);
        var tables = CatalogTable.Read(to.Engine, target);
        var sourceTables = CatalogTable.Read(from.Engine, source);
        await RefuseRowsAsync(to, target, tables, cancellationToken);

        // One state of the source, whoever writes; on SQLite it keeps writers out.
        await using var snapshot = await source.BeginTransactionAsync(from.Engine.HasOneWriter ? IsolationLevel.Serializable : IsolationLevel.RepeatableRead, cancellationToken);
        await using var transaction = await target.BeginTransactionAsync(cancellationToken);
        // What the migrations themselves put there is in the source too, as it is by now.
        foreach (var table in tables.Reverse())
        {
            await ExecuteAsync(target, transaction, $"DELETE FROM {to.Engine.Quote(table.Name)}", cancellationToken);
        }

        var copied = new List<(string Table, long Rows)>();
        foreach (var table in tables)
        {
            if (sourceTables.FirstOrDefault(other => other.Name == table.Name) is not { } counterpart
                || !counterpart.Columns.Select(column => column.Name).Order(StringComparer.Ordinal).SequenceEqual(table.Columns.Select(column => column.Name).Order(StringComparer.Ordinal)))
            {
                throw Refused($"table {table.Name} is not the same in {from.Url} and {to.Url}, though both have version {from.CurrentVersion()}.");
            }

            await CopyTableAsync(from, source, snapshot, to, target, transaction, table, cancellationToken);
            var (before, after) = (await CountAsync(from, source, snapshot, table.Name, cancellationToken), await CountAsync(to, target, transaction, table.Name, cancellationToken));
            if (before != after)
            {
                throw Refused($"table {table.Name} has {before} rows in the source and {after} in the target; nothing was kept.");
            }

            copied.Add((table.Name, after));
        }

        if (sourceTables.Select(table => table.Name).Except(tables.Select(table => table.Name)).FirstOrDefault() is { } missing)
        {
            throw Refused($"table {missing} of {from.Url} has no counterpart in {to.Url}; nothing was kept.");
        }

        var identities = new List<(CatalogTable Table, long Last)>();
        foreach (var table in tables.Where(table => table.Identity is not null))
        {
            identities.Add((table, await from.Engine.LastIdentityAsync(source, snapshot, table.Name, table.Identity!, cancellationToken)));
        }

        await transaction.CommitAsync(CancellationToken.None);
        await snapshot.RollbackAsync(CancellationToken.None);
        foreach (var (table, last) in identities.Where(identity => identity.Last > 0))
        {
            // A number that was given once is not given again, also where its row is gone.
            await to.Engine.SetIdentityAsync(target, table.Name, table.Identity!, last, CancellationToken.None);
        }

        return copied;
    }

    private static CloudException Refused(string message) => new(ErrorKind.Conflict, $"Nothing was copied: {message}");

    private static async Task<DbConnection> OpenAsync(ServiceDatabase database, CancellationToken cancellationToken)
    {
        var connection = database.Engine.CreateConnection();
        await connection.OpenAsync(cancellationToken);
        return connection;
    }

    private static async Task RefuseRowsAsync(ServiceDatabase to, DbConnection target, IReadOnlyList<CatalogTable> tables, CancellationToken cancellationToken)
    {
        // Migrations may leave rows: as many as in a database that is just made are none.
        await using var fresh = new ServiceDatabase("sqlite://", to.Migrations, to.MigrationsNamespace);
        fresh.Migrate();
        await using var empty = await OpenAsync(fresh, cancellationToken);
        foreach (var table in tables)
        {
            if (await CountAsync(to, target, null, table.Name, cancellationToken) > await CountAsync(fresh, empty, null, table.Name, cancellationToken))
            {
                throw Refused($"{to.Url} holds rows already (table {table.Name}): name an empty database.");
            }
        }
    }

    private static async Task CopyTableAsync(
        ServiceDatabase from, DbConnection source, DbTransaction snapshot, ServiceDatabase to, DbConnection target, DbTransaction transaction, CatalogTable table, CancellationToken cancellationToken)
    {
        await using var select = source.CreateCommand();
        select.Transaction = snapshot;
        select.CommandTimeout = 0;
        select.CommandText = $"SELECT {string.Join(", ", table.Columns.Select(column => from.Engine.Quote(column.Name)))} FROM {from.Engine.Quote(table.Name)}";
        await using var reader = await select.ExecuteReaderAsync(cancellationToken);
        var rowsInStatement = Math.Max(1, ParametersInStatement / table.Columns.Count);
        var rows = new List<object?[]>(rowsInStatement);
        while (await reader.ReadAsync(cancellationToken))
        {
            var row = new object?[table.Columns.Count];
            for (var i = 0; i < row.Length; i++)
            {
                row[i] = Converted(reader.IsDBNull(i) ? null : reader.GetValue(i), table.Columns[i].Kind);
            }

            rows.Add(row);
            if (rows.Count == rowsInStatement)
            {
                await InsertAsync(to, target, transaction, table, rows, cancellationToken);
                rows.Clear();
            }
        }

        if (rows.Count > 0)
        {
            await InsertAsync(to, target, transaction, table, rows, cancellationToken);
        }
    }

    private static async Task InsertAsync(ServiceDatabase to, DbConnection target, DbTransaction transaction, CatalogTable table, List<object?[]> rows, CancellationToken cancellationToken)
    {
        await using var insert = target.CreateCommand();
        insert.Transaction = transaction;
        insert.CommandTimeout = 0;
        var sql = new StringBuilder($"INSERT INTO {to.Engine.Quote(table.Name)} ({string.Join(", ", table.Columns.Select(column => to.Engine.Quote(column.Name)))}) {to.Engine.InsertsIdentity}VALUES ");
        foreach (var row in rows)
        {
            sql.Append(insert.Parameters.Count == 0 ? "(" : ", (");
            for (var i = 0; i < row.Length; i++)
            {
                var parameter = insert.CreateParameter();
                parameter.ParameterName = $"p{insert.Parameters.Count}";
                parameter.DbType = table.Columns[i].Kind switch
                {
                    ColumnKind.Integer => DbType.Int64,
                    ColumnKind.Boolean => DbType.Boolean,
                    ColumnKind.Real => DbType.Double,
                    ColumnKind.Binary => DbType.Binary,
                    _ => DbType.String,
                };
                parameter.Value = row[i] ?? DBNull.Value;
                insert.Parameters.Add(parameter);
                sql.Append(i == 0 ? "@" : ", @").Append(parameter.ParameterName);
            }

            sql.Append(')');
        }

        insert.CommandText = sql.ToString();
        await insert.ExecuteNonQueryAsync(cancellationToken);
    }

    private static object? Converted(object? value, ColumnKind kind) => value is null
        ? null
        : kind switch
        {
            ColumnKind.Integer => Convert.ToInt64(value, CultureInfo.InvariantCulture),
            ColumnKind.Boolean => Convert.ToBoolean(value, CultureInfo.InvariantCulture),
            ColumnKind.Real => Convert.ToDouble(value, CultureInfo.InvariantCulture),
            ColumnKind.Binary => (byte[])value,
            _ => Convert.ToString(value, CultureInfo.InvariantCulture),
        };

    private static async Task<long> CountAsync(ServiceDatabase database, DbConnection connection, DbTransaction? transaction, string table, CancellationToken cancellationToken)
    {
        await using var command = connection.CreateCommand();
        command.Transaction = transaction;
        command.CommandTimeout = 0;
        command.CommandText = $"SELECT count(*) FROM {database.Engine.Quote(table)}";
        return Convert.ToInt64(await command.ExecuteScalarAsync(cancellationToken), CultureInfo.InvariantCulture);
    }

    private static async Task ExecuteAsync(DbConnection connection, DbTransaction transaction, string sql, CancellationToken cancellationToken)
    {
        await using var command = connection.CreateCommand();
        command.Transaction = transaction;
        command.CommandTimeout = 0;
        command.CommandText = sql;
        await command.ExecuteNonQueryAsync(cancellationToken);
    }
}
