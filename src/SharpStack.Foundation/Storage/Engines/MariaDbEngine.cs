using System.Data;
using System.Data.Common;
using System.Text.RegularExpressions;
using FluentMigrator.Runner;
using FluentMigrator.Runner.Generators.MySql;
using LinqToDB.DataProvider;
using LinqToDB.DataProvider.MySql;
using MySqlConnector;

namespace SharpStack.Foundation.Storage.Engines;

/// <summary>MariaDB 10.6 or later (InnoDB).</summary>
internal sealed partial class MariaDbEngine : StorageEngine
{
    /// <summary>Code points are compared, and trailing blanks count, as on the other engines.</summary>
    private const string Collation = "utf8mb4_nopad_bin";

    private static readonly IDataProvider Linq = MySqlTools.GetDataProvider(MySqlVersion.MariaDB10, MySqlProvider.MySqlConnector);

    private readonly string connectionString;
    private readonly Lazy<MySqlDataSource> source;

    public MariaDbEngine(DatabaseUrl url, DatabaseSettings settings)
        : base(url)
    {
        var builder = new MySqlConnectionStringBuilder
        {
            Server = url.Host.Length > 0 ? url.Host : "localhost",
            Port = (uint)(url.Port ?? 3306),
            Database = url.Database,
            UserID = url.UserName,
            Password = url.Password,
            ApplicationName = $"sharpstack {settings.Service}".TrimEnd(),
            ConnectionTimeout = (uint)(url.Seconds("connect_timeout") ?? settings.PoolTimeout.TotalSeconds),
            DefaultCommandTimeout = (uint)Math.Max(url.Seconds("read_timeout") ?? 30, url.Seconds("write_timeout") ?? 0),
            Keepalive = 30,
            MaximumPoolSize = (uint)settings.MaxConnections,
            ConnectionLifeTime = (uint)settings.RecycleTime.TotalSeconds,
            // A round trip each time a connection is taken; a broken one is found by its first command instead, which is then repeated.
            ConnectionReset = false,
            AutoEnlist = false,
            GuidFormat = MySqlGuidFormat.None,
        };
        if (url.Parameter("unix_socket") is { } socket)
        {
            builder.Server = socket;
            builder.ConnectionProtocol = MySqlConnectionProtocol.UnixSocket;
        }

        if (url.Flag("ssl_disabled"))
        {
            builder.SslMode = MySqlSslMode.Disabled;
        }
        else if (url.Flag("ssl_verify_identity") || url.Flag("ssl_check_hostname"))
        {
            builder.SslMode = MySqlSslMode.VerifyFull;
        }
        else if (url.Flag("ssl_verify_cert") || url.Parameter("ssl_ca") is not null)
        {
            builder.SslMode = MySqlSslMode.VerifyCA;
        }

        builder.SslCa = url.Parameter("ssl_ca") ?? "";
        builder.SslCert = url.Parameter("ssl_cert") ?? "";
        builder.SslKey = url.Parameter("ssl_key") ?? "";
        connectionString = builder.ToString();
        // Without the old mode utf8 is whole UTF-8, in the translation of ordinal comparisons too. An update's expressions see the row as it was, as in standard SQL.
        var mode = settings.SqlMode.Length == 0 ? "@@global.sql_mode" : $"'{settings.SqlMode.Replace("'", "''", StringComparison.Ordinal)}'";
        var session = $"SET SESSION old_mode = '', SESSION sql_mode = concat_ws(',', nullif({mode}, ''), 'SIMULTANEOUS_ASSIGNMENT')";
        // Made at the first use, for it looks for the server's socket: the start waits for a server that is not there yet.
        source = new(() => new MySqlDataSourceBuilder(connectionString).UseConnectionOpenedCallback(async (context, cancellationToken) =>
        {
            if (context.Conditions.HasFlag(MySqlConnectionOpenedConditions.New))
            {
                await using var command = context.Connection.CreateCommand();
                command.CommandText = session;
                await command.ExecuteNonQueryAsync(cancellationToken);
            }
        }).Build(), LazyThreadSafetyMode.PublicationOnly);
    }

    public override IDataProvider Provider => Linq;

    public override string MigrationConnectionString => new MySqlConnectionStringBuilder(connectionString) { Pooling = false, DefaultCommandTimeout = 0 }.ToString();

    public override string TableExistsSql => "SELECT count(*) FROM information_schema.tables WHERE table_schema = database() AND table_name = @name";

    public override string ColumnsSql =>
        """
        SELECT c.table_name, c.column_name, c.column_type FROM information_schema.columns c
        JOIN information_schema.tables t ON t.table_schema = c.table_schema AND t.table_name = c.table_name AND t.table_type = 'BASE TABLE'
        WHERE c.table_schema = database() ORDER BY c.table_name, c.ordinal_position
        """;

    public override string ForeignKeysSql =>
        "SELECT DISTINCT table_name, referenced_table_name FROM information_schema.referential_constraints WHERE constraint_schema = database() AND table_name <> referenced_table_name";

    public override string IdentityColumnsSql =>
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = database() AND extra LIKE '%auto_increment%'";

    public override string Quote(string name) => $"`{name.Replace("`", "``", StringComparison.Ordinal)}`";

    public override Task<long> LastIdentityAsync(DbConnection connection, DbTransaction transaction, string table, string column, CancellationToken cancellationToken) =>
        NumberAsync(connection, transaction, "SELECT coalesce(auto_increment, 1) - 1 FROM information_schema.tables WHERE table_schema = database() AND table_name = @n0", cancellationToken, table);

    public override Task SetIdentityAsync(DbConnection connection, string table, string column, long last, CancellationToken cancellationToken) =>
        NumberAsync(connection, null, $"ALTER TABLE {Quote(table)} AUTO_INCREMENT = {last + 1}", cancellationToken);

    public override DbConnection CreateConnection() => source.Value.CreateConnection();

    public override void ClearPool()
    {
        using var any = source.Value.CreateConnection();
        MySqlConnection.ClearPool(any);
    }

    public override DatabaseFailure Classify(Exception failure) => failure switch
    {
        MySqlException server => server.ErrorCode switch
        {
            MySqlErrorCode.DuplicateKeyEntry or MySqlErrorCode.DuplicateEntryWithKeyName or MySqlErrorCode.RowIsReferenced or MySqlErrorCode.RowIsReferenced2
                or MySqlErrorCode.NoReferencedRow or MySqlErrorCode.NoReferencedRow2 => DatabaseFailure.Constraint,
            // 1020: the row changed since the snapshot (innodb_snapshot_isolation).
            MySqlErrorCode.LockDeadlock or MySqlErrorCode.LockWaitTimeout or (MySqlErrorCode)1020 => DatabaseFailure.Conflict,
            MySqlErrorCode.UnableToConnectToHost or MySqlErrorCode.ConnectionCountError or MySqlErrorCode.ServerShutdown or MySqlErrorCode.NormalShutdown
                or MySqlErrorCode.AbortingConnection or MySqlErrorCode.NewAbortingConnection or MySqlErrorCode.CommandTimeoutExpired or MySqlErrorCode.DiskFull
                or MySqlErrorCode.OptionPreventsStatement => DatabaseFailure.Unavailable,
            // 1047: a Galera node outside the quorum; 1927: the connection was killed; 2002 to 2055: the client's own words for a lost server.
            (MySqlErrorCode)1047 or (MySqlErrorCode)1927 or (MySqlErrorCode)2002 or (MySqlErrorCode)2003 or (MySqlErrorCode)2006 or (MySqlErrorCode)2013
                or (MySqlErrorCode)2055 => DatabaseFailure.Unavailable,
            _ when server.InnerException is IOException or System.Net.Sockets.SocketException or TimeoutException => DatabaseFailure.Unavailable,
            _ when server.IsTransient || server.Message.StartsWith("Connect Timeout", StringComparison.Ordinal)
                || server.Message.StartsWith("Cannot find Unix Socket", StringComparison.Ordinal) => DatabaseFailure.Unavailable,
            _ => DatabaseFailure.Other,
        },
        _ => IsBrokenPipe(failure) ? DatabaseFailure.Unavailable : DatabaseFailure.Other,
    };

    // Duplicate entry 'm1.tiny' for key 'ux_flavors_name'
    public override string ConstraintOf(Exception failure) =>
        Key().Match(failure.Message) is { Success: true } match ? match.Groups["key"].Value : failure.Message;

    public override void AddRunner(IMigrationRunnerBuilder runner)
    {
        runner.AddMySql8();
        CollatedTypeMap.Decorate<IMySqlTypeMap>(runner.Services, $"CHARACTER SET utf8mb4 COLLATE {Collation}");
    }

    public override IDisposable LockMigrations(DbConnection connection)
    {
        const string name = "left(concat('sharpstack.', database()), 64)";
        if (Scalar(connection, $"SELECT get_lock({name}, 3600)") is not (1 or 1L))
        {
            throw new TimeoutException("Another process has been migrating this database for an hour.");
        }

        return new OnDispose(() => Execute(connection, $"SELECT release_lock({name})"));
    }

    public override IEnumerable<string> Check(DbConnection connection)
    {
        if (Version(connection) is var version && !version.StartsWith("MariaDB", StringComparison.Ordinal))
        {
            yield return $"the server is {version}, on which nothing was tried: take MariaDB 10.6 or later";
        }

        if (Scalar(connection, "SELECT @@global.read_only") is 1 or 1L or true)
        {
            yield return "it is read-only: name the primary";
        }

        foreach (var table in Strings(connection, "SELECT table_name FROM information_schema.tables WHERE table_schema = database() AND engine IS NOT NULL AND engine <> 'InnoDB' ORDER BY 1"))
        {
            yield return $"table {table} is not in InnoDB, so it has no transactions: ALTER TABLE {table} ENGINE=InnoDB";
        }

        foreach (var column in Strings(connection,
            $"""
            SELECT concat(table_name, '.', column_name) FROM information_schema.columns
            WHERE table_schema = database() AND collation_name IS NOT NULL AND collation_name <> '{Collation}' ORDER BY 1
            """))
        {
            yield return $"{column} is not in collation {Collation}: names are compared otherwise than on the other engines. ALTER TABLE … CONVERT TO CHARACTER SET utf8mb4 COLLATE {Collation}";
        }
    }

    public override string Version(DbConnection connection)
    {
        var version = (string)Scalar(connection, "SELECT version()")!;
        return version.Contains("MariaDB", StringComparison.Ordinal) ? $"MariaDB {version.Split('-')[0]}" : $"MySQL {version}";
    }

    public override ValueTask DisposeAsync() => source.IsValueCreated ? source.Value.DisposeAsync() : ValueTask.CompletedTask;

    [GeneratedRegex("for key '(?<key>[^']+)'$|CONSTRAINT `(?<key>[^`]+)`")]
    private static partial Regex Key();
}
