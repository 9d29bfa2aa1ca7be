using System.Data;
using System.Data.Common;
using FluentMigrator.Runner;
using FluentMigrator.Runner.Generators;
using LinqToDB.DataProvider;
using Microsoft.Extensions.DependencyInjection;

namespace SharpStack.Foundation.Storage.Engines;

/// <summary>What differs between the engines. The services' own queries know none of it.</summary>
internal abstract class StorageEngine(DatabaseUrl url) : IAsyncDisposable
{
    public DatabaseUrl Url { get; } = url;

    public abstract IDataProvider Provider { get; }

    /// <summary>Whether this process lets one writer at a time into the database.</summary>
    public virtual bool HasOneWriter => false;

    /// <summary>How many messages go to the server and back to begin a transaction.</summary>
    public virtual int RoundTripsToBegin => 1;

    public static StorageEngine Create(DatabaseUrl url, DatabaseSettings settings) => url.Engine switch
    {
        DatabaseEngine.PostgreSql => new PostgreSqlEngine(url, settings),
        DatabaseEngine.MariaDb => new MariaDbEngine(url, settings),
        _ => new SqliteEngine(url),
    };

    /// <summary>A closed connection of the pool.</summary>
    public abstract DbConnection CreateConnection();

    /// <summary>Lets go of the pool's idle connections: the next one is new.</summary>
    public abstract void ClearPool();

    /// <summary>What this engine's own exception says; not asked about those inside it.</summary>
    public abstract DatabaseFailure Classify(Exception failure);

    /// <summary>A broken connection that the driver tells in the system's own words.</summary>
    protected static bool IsBrokenPipe(Exception failure) =>
        failure is System.Net.Sockets.SocketException or EndOfStreamException or IOException { InnerException: System.Net.Sockets.SocketException };

    /// <summary>The name of the constraint in an exception that <see cref="Classify"/> calls <see cref="DatabaseFailure.Constraint"/>.</summary>
    public abstract string ConstraintOf(Exception failure);

    /// <summary>A connection string for the migrations: no pool, for they run once.</summary>
    public abstract string MigrationConnectionString { get; }

    public abstract void AddRunner(IMigrationRunnerBuilder runner);

    /// <summary>Keeps other processes from migrating until it is disposed.</summary>
    public abstract IDisposable LockMigrations(DbConnection connection);

    /// <summary>A count of the tables of that name (0 or 1).</summary>
    public abstract string TableExistsSql { get; }

    /// <summary>Rows of table, column and the type's name, in the columns' order.</summary>
    public abstract string ColumnsSql { get; }

    /// <summary>Rows of a table and one that it points to; one that points to itself is left out.</summary>
    public abstract string ForeignKeysSql { get; }

    /// <summary>Rows of a table and the column that the database numbers.</summary>
    public abstract string IdentityColumnsSql { get; }

    /// <summary>What stands before VALUES where numbered columns are given.</summary>
    public virtual string InsertsIdentity => "";

    /// <summary>A name as it stands in a statement; only names of the catalog come here.</summary>
    public virtual string Quote(string name) => $"\"{name.Replace("\"", "\"\"", StringComparison.Ordinal)}\"";

    /// <summary>The last number that a column was given; 0 for none.</summary>
    public abstract Task<long> LastIdentityAsync(DbConnection connection, DbTransaction transaction, string table, string column, CancellationToken cancellationToken);

    /// <summary>Makes the next number the one after <paramref name="last"/>.</summary>
    public abstract Task SetIdentityAsync(DbConnection connection, string table, string column, long last, CancellationToken cancellationToken);

    /// <summary>What of the server's settings is not as it should be, in words with the remedy.</summary>
    public abstract IEnumerable<string> Check(DbConnection connection);

    /// <summary>The server's version, for people.</summary>
    public abstract string Version(DbConnection connection);

    public abstract ValueTask DisposeAsync();

    protected static object? Scalar(DbConnection connection, string sql)
    {
        using var command = connection.CreateCommand();
        command.CommandText = sql;
        return command.ExecuteScalar();
    }

    protected static async Task<long> NumberAsync(DbConnection connection, DbTransaction? transaction, string sql, CancellationToken cancellationToken, params string[] names)
    {
        await using var command = connection.CreateCommand();
        command.Transaction = transaction;
        command.CommandText = sql;
        for (var i = 0; i < names.Length; i++)
        {
            var parameter = command.CreateParameter();
            parameter.ParameterName = $"n{i}";
            parameter.Value = names[i];
            command.Parameters.Add(parameter);
        }

        return await command.ExecuteScalarAsync(cancellationToken) is { } value and not DBNull ? Convert.ToInt64(value) : 0;
    }

    protected static void Execute(DbConnection connection, string sql, int timeoutSeconds = 0)
    {
        using var command = connection.CreateCommand();
        command.CommandText = sql;
        command.CommandTimeout = timeoutSeconds;
        command.ExecuteNonQuery();
    }

    protected static IEnumerable<string> Strings(DbConnection connection, string sql)
    {
        using var command = connection.CreateCommand();
        command.CommandText = sql;
        using var reader = command.ExecuteReader();
        while (reader.Read())
        {
            yield return reader.GetString(0);
        }
    }

    protected sealed class OnDispose(Action action) : IDisposable
    {
        public void Dispose() => action();
    }
}

/// <summary>Gives text columns a collation, so that they compare and sort by code point whatever the database's default is.</summary>
internal sealed class CollatedTypeMap(ITypeMap inner, string collation) : FluentMigrator.Runner.Generators.Postgres.IPostgresTypeMap, FluentMigrator.Runner.Generators.MySql.IMySqlTypeMap
{
    /// <summary>Puts one around the type map that a runner has registered.</summary>
    public static void Decorate<TMap>(IServiceCollection services, string collation)
        where TMap : class, ITypeMap
    {
        var registered = services.Last(service => service.ServiceType == typeof(TMap));
        services.AddScoped(provider => (TMap)(ITypeMap)new CollatedTypeMap(
            (ITypeMap)(registered.ImplementationFactory?.Invoke(provider) ?? registered.ImplementationInstance ?? ActivatorUtilities.CreateInstance(provider, registered.ImplementationType!)), collation));
    }

    [Obsolete("The interface wants it.")]
    public string GetTypeMap(DbType type, int size, int precision) => GetTypeMap(type, (int?)size, precision);

    public string GetTypeMap(DbType type, int? size, int? precision) =>
        type switch
        {
            // The name without a character set: MySQL's other one means its three-byte utf8.
            DbType.String or DbType.AnsiString => $"{inner.GetTypeMap(DbType.AnsiString, size, precision)} {collation}",
            DbType.StringFixedLength or DbType.AnsiStringFixedLength => $"{inner.GetTypeMap(DbType.AnsiStringFixedLength, size, precision)} {collation}",
            _ => inner.GetTypeMap(type, size, precision),
        };
}
