using System.Data;
using System.Data.Common;
using FluentMigrator.Runner;
using LinqToDB.DataProvider;
using LinqToDB.DataProvider.SQLite;
using Microsoft.Data.Sqlite;

namespace SharpStack.Foundation.Storage.Engines;

/// <summary>One file (WAL) with one writer at a time.</summary>
internal sealed class SqliteEngine : StorageEngine
{
    private const int Constraint = 19;
    private const int Busy = 5;
    private const int Locked = 6;
    private const int ReadOnly = 8;
    private const int IoError = 10;
    private const int Full = 13;
    private const int CannotOpen = 14;

    private static readonly HashSet<int> KeyConstraints = [787, 1555, 2067, 2579, 3091];

    private readonly string connectionString;
    private readonly string? file;
    private readonly Lock opening = new();
    private SqliteConnection? keepAlive;

    public SqliteEngine(DatabaseUrl url)
        : base(url)
    {
        file = url.Database.Length == 0 ? null : Path.GetFullPath(url.Database);
        connectionString = new SqliteConnectionStringBuilder
        {
            DataSource = file ?? $"memory-{Guid.NewGuid():N}",
            Mode = file is null ? SqliteOpenMode.Memory : SqliteOpenMode.ReadWriteCreate,
            Cache = file is null ? SqliteCacheMode.Shared : SqliteCacheMode.Default,
            ForeignKeys = true,
        }.ToString();
    }

    public override IDataProvider Provider => SQLiteTools.GetDataProvider(SQLiteProvider.Microsoft);

    public override bool HasOneWriter => true;

    public override string MigrationConnectionString => connectionString;

    public override string TableExistsSql => "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = @name";

    public override string ColumnsSql =>
        "SELECT t.name, c.name, c.type FROM sqlite_master t JOIN pragma_table_info(t.name) c WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite!_%' ESCAPE '!' ORDER BY t.name, c.cid";

    public override string ForeignKeysSql =>
        "SELECT DISTINCT t.name, f.\"table\" FROM sqlite_master t JOIN pragma_foreign_key_list(t.name) f WHERE t.type = 'table' AND f.\"table\" <> t.name";

    public override string IdentityColumnsSql =>
        "SELECT t.name, c.name FROM sqlite_master t JOIN pragma_table_info(t.name) c WHERE t.type = 'table' AND c.pk = 1 AND upper(t.sql) LIKE '%AUTOINCREMENT%'";

    public override Task<long> LastIdentityAsync(DbConnection connection, DbTransaction transaction, string table, string column, CancellationToken cancellationToken) =>
        NumberAsync(connection, transaction, "SELECT seq FROM sqlite_sequence WHERE name = @n0", cancellationToken, table);

    public override async Task SetIdentityAsync(DbConnection connection, string table, string column, long last, CancellationToken cancellationToken)
    {
        await NumberAsync(connection, null, "DELETE FROM sqlite_sequence WHERE name = @n0", cancellationToken, table);
        await NumberAsync(connection, null, $"INSERT INTO sqlite_sequence (name, seq) VALUES (@n0, {last})", cancellationToken, table);
    }

    public override DbConnection CreateConnection()
    {
        KeepAlive();
        return NewConnection();
    }

    public override void ClearPool() => SqliteConnection.ClearPool(new SqliteConnection(connectionString));

    public override DatabaseFailure Classify(Exception failure) => failure is not SqliteException sqlite
        ? DatabaseFailure.Other
        : sqlite.SqliteErrorCode switch
        {
            Constraint when KeyConstraints.Contains(sqlite.SqliteExtendedErrorCode) => DatabaseFailure.Constraint,
            Busy or Locked => DatabaseFailure.Conflict,
            ReadOnly or IoError or Full or CannotOpen => DatabaseFailure.Unavailable,
            _ => DatabaseFailure.Other,
        };

    // SQLite Error 19: 'UNIQUE constraint failed: flavors.name'.
    public override string ConstraintOf(Exception failure) => failure.Message[(failure.Message.LastIndexOf(": ", StringComparison.Ordinal) + 2)..].TrimEnd('.', '\'');

    public override void AddRunner(IMigrationRunnerBuilder runner) => runner.AddSQLite();

    public override IDisposable LockMigrations(DbConnection connection)
    {
        if (file is null)
        {
            return new OnDispose(static () => { });
        }

        // A transaction on the database itself would lock out the migration's own connection: the lock is another file, waited for as a writer is.
        var path = file + ".migrating";
        var guard = new SqliteConnection(new SqliteConnectionStringBuilder { DataSource = path, DefaultTimeout = 3600, Pooling = false }.ToString());
        guard.Open();
        Execute(guard, "BEGIN EXCLUSIVE", 3600);
        return new OnDispose(() =>
        {
            guard.Dispose();
            File.Delete(path);
        });
    }

    public override IEnumerable<string> Check(DbConnection connection)
    {
        if (Scalar(connection, "PRAGMA quick_check(1)") is string check and not "ok")
        {
            yield return $"the file is damaged ({check}): restore it from a backup";
        }

        if (file is not null && Scalar(connection, "PRAGMA journal_mode") is string mode and not "wal")
        {
            yield return $"its journal is in mode '{mode}', not WAL: readers and the writer wait for each other; is the file on a network file system?";
        }
    }

    public override string Version(DbConnection connection) => $"SQLite {Scalar(connection, "SELECT sqlite_version()")}";

    public override async ValueTask DisposeAsync()
    {
        if (keepAlive is not null)
        {
            await keepAlive.DisposeAsync();
        }

        ClearPool();
    }

    /// <summary>An in-memory database lives as long as one connection to it; for a file this one keeps the WAL from being folded at each idle moment.</summary>
    private void KeepAlive()
    {
        if (Volatile.Read(ref keepAlive) is not null)
        {
            return;
        }

        lock (opening)
        {
            if (keepAlive is null)
            {
                var first = NewConnection();
                first.Open();
                Execute(first, "PRAGMA journal_mode=WAL");
                Volatile.Write(ref keepAlive, first);
            }
        }
    }

    private SqliteConnection NewConnection()
    {
        var connection = new SqliteConnection(connectionString);
        connection.StateChange += (_, change) =>
        {
            if (change.CurrentState == ConnectionState.Open)
            {
                // Set for each connection, unlike the journal's mode.
                Execute(connection, "PRAGMA synchronous=NORMAL; PRAGMA busy_timeout=10000; PRAGMA case_sensitive_like=ON");
            }
        };
        return connection;
    }
}
