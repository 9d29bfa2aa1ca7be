using System.Data.Common;
using System.Reflection;
using FluentMigrator.Runner;
using FluentMigrator.Runner.VersionTableInfo;
using LinqToDB;
using LinqToDB.Data;
using LinqToDB.DataProvider.SQLite;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.DependencyInjection;

namespace SharpStack.Foundation.Storage;

/// <summary>
/// A service's database. Embedded it is one SQLite file (WAL) with one writer at a time; the calls are those that PostgreSQL and
/// MariaDB need: short sessions, a write transaction that may be repeated, no provider's own SQL outside this folder.
/// Time stamps are stored as whole microseconds since 1970 in UTC (see <see cref="Timestamps"/>), the same on every engine.
/// </summary>
public sealed class ServiceDatabase : IAsyncDisposable
{
    private readonly SemaphoreSlim writer = new(1);
    private readonly DataOptions options;
    private readonly string connectionString;
    private readonly SqliteConnection keepAlive;

    /// <param name="url">An SQLAlchemy URL: <c>sqlite:////absolute/file.db</c>, or <c>sqlite://</c> for one in memory.</param>
    /// <param name="migrations">The assembly that holds the service's migrations.</param>
    /// <param name="migrationsNamespace">Their namespace.</param>
    public ServiceDatabase(string url, Assembly migrations, string migrationsNamespace)
    {
        connectionString = SqliteConnectionString(url);
        Migrations = migrations;
        MigrationsNamespace = migrationsNamespace;
        options = new DataOptions()
            .UseConnectionFactory(SQLiteTools.GetDataProvider(SQLiteProvider.Microsoft), _ => OpenConnection())
            .UseMappingSchema(StorageMapping.Schema);
        // An in-memory database lives as long as one connection to it; for a file this one keeps the WAL from being folded at each idle moment.
        keepAlive = OpenConnection();
        keepAlive.Open();
        Execute(keepAlive, "PRAGMA journal_mode=WAL");
        Execute(keepAlive, "PRAGMA synchronous=NORMAL");
    }

    internal Assembly Migrations { get; }

    internal string MigrationsNamespace { get; }

    /// <summary>A session for reading; dispose it soon.</summary>
    public DataConnection Read() => new(options);

    /// <summary>
    /// Runs <paramref name="work"/> in one write transaction, alone among this database's writers; committed when it returns, rolled back when it throws.
    /// It may be run again after a conflict, so it must do nothing but use its session.
    /// </summary>
    public async Task<T> WriteAsync<T>(Func<DataConnection, Task<T>> work, CancellationToken cancellationToken = default)
    {
        await writer.WaitAsync(cancellationToken);
        try
        {
            await using var session = new DataConnection(options);
            await using var transaction = await session.BeginTransactionAsync(cancellationToken);
            var result = await work(session);
            await transaction.CommitAsync(CancellationToken.None);
            return result;
        }
        catch (SqliteException failure) when (failure.SqliteErrorCode == 19)
        {
            throw new UniqueConstraintException(failure.Message, failure);
        }
        finally
        {
            writer.Release();
        }
    }

    /// <inheritdoc cref="WriteAsync{T}(Func{DataConnection, Task{T}}, CancellationToken)"/>
    public Task WriteAsync(Func<DataConnection, Task> work, CancellationToken cancellationToken = default) =>
        WriteAsync(
            async session =>
            {
                await work(session);
                return true;
            },
            cancellationToken);

    /// <summary>Brings the schema to the newest version; forward only, quick where nothing is to be done.</summary>
    public void Migrate()
    {
        var newest = NewestMigration();
        if (CurrentVersion() == newest)
        {
            return;
        }

        using var services = new ServiceCollection()
            .AddFluentMigratorCore()
            .ConfigureRunner(runner => runner.AddSQLite().WithGlobalConnectionString(connectionString).ScanIn(Migrations).For.Migrations())
            .Configure<FluentMigrator.Runner.Initialization.TypeFilterOptions>(filter => filter.Namespace = MigrationsNamespace)
            .AddScoped<IVersionTableMetaData, VersionTable>()
            .BuildServiceProvider();
        using var scope = services.CreateScope();
        scope.ServiceProvider.GetRequiredService<IMigrationRunner>().MigrateUp();
    }

    /// <summary>The newest version in the program.</summary>
    public long NewestMigration() =>
        Migrations.GetTypes()
            .Where(type => type.Namespace == MigrationsNamespace)
            .Select(type => type.GetCustomAttribute<FluentMigrator.MigrationAttribute>()?.Version ?? 0)
            .DefaultIfEmpty(0).Max();

    /// <summary>The schema's version in the database; 0 where there is none yet.</summary>
    public long CurrentVersion()
    {
        using var command = keepAlive.CreateCommand();
        command.CommandText = "SELECT count(*) FROM sqlite_master WHERE name = 'schema_version'";
        if ((long)command.ExecuteScalar()! == 0)
        {
            return 0;
        }

        command.CommandText = "SELECT max(version) FROM schema_version";
        return command.ExecuteScalar() is long version ? version : 0;
    }

    public async ValueTask DisposeAsync()
    {
        await keepAlive.DisposeAsync();
        SqliteConnection.ClearPool(new SqliteConnection(connectionString));
        writer.Dispose();
    }

    private static string SqliteConnectionString(string url)
    {
        const string scheme = "sqlite://";
        if (!url.StartsWith(scheme, StringComparison.Ordinal))
        {
            throw new CloudException(ErrorKind.NotImplemented, "[database] connection: this release stores in SQLite only (sqlite:////path/to/file.db).");
        }

        var path = url[scheme.Length..];
        return path.Length <= 1
            ? $"Data Source=memory-{Guid.NewGuid():N};Mode=Memory;Cache=Shared;Foreign Keys=True"
            : $"Data Source={path[1..]};Foreign Keys=True";
    }

    private SqliteConnection OpenConnection()
    {
        var connection = new SqliteConnection(connectionString);
        connection.StateChange += (_, change) =>
        {
            if (change.CurrentState == System.Data.ConnectionState.Open)
            {
                // Set for each connection, unlike the journal's mode.
                Execute(connection, "PRAGMA synchronous=NORMAL; PRAGMA busy_timeout=10000");
            }
        };
        return connection;
    }

    private static void Execute(DbConnection connection, string sql)
    {
        using var command = connection.CreateCommand();
        command.CommandText = sql;
        command.ExecuteNonQuery();
    }

#pragma warning disable CS0618 // The interface wants a member that is obsolete.
    private sealed class VersionTable : IVersionTableMetaData
    {
        public object? ApplicationContext { get; set; }

        public bool OwnsSchema => false;

        public string SchemaName => "";

        public string TableName => "schema_version";

        public string ColumnName => "version";

        public string DescriptionColumnName => "description";

        public string UniqueIndexName => "ux_schema_version";

        public string AppliedOnColumnName => "applied_on";

        public bool CreateWithPrimaryKey => false;
    }
#pragma warning restore CS0618
}

/// <summary>A row with the same key or name is there already, or a row that this one points to is not.</summary>
public sealed class UniqueConstraintException(string message, Exception inner) : Exception(message, inner);
