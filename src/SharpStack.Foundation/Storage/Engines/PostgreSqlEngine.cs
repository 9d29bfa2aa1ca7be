using System.Data;
using System.Data.Common;
using FluentMigrator.Runner;
using FluentMigrator.Runner.Generators.Postgres;
using LinqToDB.DataProvider;
using LinqToDB.DataProvider.PostgreSQL;
using Npgsql;

namespace SharpStack.Foundation.Storage.Engines;

/// <summary>PostgreSQL 13 or later.</summary>
internal sealed class PostgreSqlEngine : StorageEngine
{
    private const string Text = "COLLATE \"C\"";
    private const long MigrationLock = 0x53_68_61_72_70; // "Sharp": advisory locks are of one database.

    private static readonly IDataProvider Linq = PostgreSQLTools.GetDataProvider(PostgreSQLVersion.v13);

    private readonly string connectionString;
    private readonly NpgsqlDataSource source;

    public PostgreSqlEngine(DatabaseUrl url, DatabaseSettings settings)
        : base(url)
    {
        var builder = new NpgsqlConnectionStringBuilder
        {
            Host = url.Host.Length > 0 ? url.Host : url.Parameter("host") ?? "/var/run/postgresql",
            Port = url.Port ?? PortOf(url),
            Database = url.Database,
            Username = url.UserName,
            Password = url.Password.Length > 0 ? url.Password : null,
            ApplicationName = url.Parameter("application_name") ?? $"sharpstack {settings.Service}".TrimEnd(),
            Options = url.Parameter("options"),
            Timeout = Math.Min(url.Seconds("connect_timeout") ?? (int)settings.PoolTimeout.TotalSeconds, 1024),
            KeepAlive = 30,
            MaxPoolSize = settings.MaxConnections,
            ConnectionLifetime = (int)settings.RecycleTime.TotalSeconds,
            MaxAutoPrepare = 100,
            Enlist = false,
        };
        if (url.Parameter("sslmode") is { } mode)
        {
            builder.SslMode = mode switch
            {
                "disable" => SslMode.Disable,
                "allow" => SslMode.Allow,
                "prefer" => SslMode.Prefer,
                "require" => SslMode.Require,
                "verify-ca" => SslMode.VerifyCA,
                "verify-full" => SslMode.VerifyFull,
                _ => throw DatabaseUrl.Wrong($"sslmode={mode}: there are disable, allow, prefer, require, verify-ca and verify-full"),
            };
        }

        builder.RootCertificate = url.Parameter("sslrootcert");
        builder.SslCertificate = url.Parameter("sslcert");
        builder.SslKey = url.Parameter("sslkey");
        if (url.Parameter("target_session_attrs") is { } attributes)
        {
            builder.TargetSessionAttributes = attributes;
        }

        connectionString = builder.ToString();
        source = new NpgsqlDataSourceBuilder(connectionString).Build();
    }

    public override IDataProvider Provider => Linq;

    /// <summary>Npgsql sends BEGIN with the first command.</summary>
    public override int RoundTripsToBegin => 0;

    public override string MigrationConnectionString => new NpgsqlConnectionStringBuilder(connectionString) { Pooling = false, CommandTimeout = 0 }.ToString();

    public override string TableExistsSql => "SELECT count(*) FROM information_schema.tables WHERE table_schema = current_schema() AND table_name = @name";

    public override string ColumnsSql =>
        """
        SELECT c.table_name::text, c.column_name::text, c.data_type::text FROM information_schema.columns c
        JOIN information_schema.tables t ON t.table_schema = c.table_schema AND t.table_name = c.table_name AND t.table_type = 'BASE TABLE'
        WHERE c.table_schema = current_schema() ORDER BY c.table_name, c.ordinal_position
        """;

    public override string ForeignKeysSql =>
        """
        SELECT DISTINCT child.relname::text, parent.relname::text FROM pg_constraint k JOIN pg_class child ON child.oid = k.conrelid JOIN pg_class parent ON parent.oid = k.confrelid
        WHERE k.contype = 'f' AND k.conrelid <> k.confrelid AND child.relnamespace = current_schema()::regnamespace
        """;

    public override string IdentityColumnsSql =>
        """
        SELECT table_name::text, column_name::text FROM information_schema.columns
        WHERE table_schema = current_schema() AND (is_identity = 'YES' OR column_default LIKE 'nextval(%')
        """;

    public override string InsertsIdentity => "OVERRIDING SYSTEM VALUE ";

    public override async Task<long> LastIdentityAsync(DbConnection connection, DbTransaction transaction, string table, string column, CancellationToken cancellationToken) =>
        await NumberAsync(connection, transaction, "SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence(quote_ident(@n0), @n1)::regclass), 0)", cancellationToken, table, column);

    public override Task SetIdentityAsync(DbConnection connection, string table, string column, long last, CancellationToken cancellationToken) =>
        NumberAsync(connection, null, $"SELECT setval(pg_get_serial_sequence(quote_ident(@n0), @n1), {last})", cancellationToken, table, column);

    public override DbConnection CreateConnection() => source.CreateConnection();

    public override void ClearPool() => source.Clear();

    public override DatabaseFailure Classify(Exception failure) => failure switch
    {
        PostgresException server => server.SqlState switch
        {
            PostgresErrorCodes.UniqueViolation or PostgresErrorCodes.ForeignKeyViolation => DatabaseFailure.Constraint,
            PostgresErrorCodes.SerializationFailure or PostgresErrorCodes.DeadlockDetected or PostgresErrorCodes.LockNotAvailable => DatabaseFailure.Conflict,
            // A standby that took our connection: the primary is elsewhere by now.
            PostgresErrorCodes.AdminShutdown or PostgresErrorCodes.CrashShutdown or PostgresErrorCodes.CannotConnectNow or PostgresErrorCodes.TooManyConnections
                or PostgresErrorCodes.ReadOnlySqlTransaction or PostgresErrorCodes.DiskFull => DatabaseFailure.Unavailable,
            var state when state.StartsWith("08", StringComparison.Ordinal) => DatabaseFailure.Unavailable,
            _ => DatabaseFailure.Other,
        },
        NpgsqlException { InnerException: IOException or System.Net.Sockets.SocketException or TimeoutException } => DatabaseFailure.Unavailable,
        NpgsqlException { IsTransient: true } => DatabaseFailure.Unavailable,
        _ => IsBrokenPipe(failure) ? DatabaseFailure.Unavailable : DatabaseFailure.Other,
    };

    public override string ConstraintOf(Exception failure) => (failure as PostgresException)?.ConstraintName ?? failure.Message;

    public override void AddRunner(IMigrationRunnerBuilder runner)
    {
        runner.AddPostgres15_0();
        CollatedTypeMap.Decorate<IPostgresTypeMap>(runner.Services, Text);
    }

    public override IDisposable LockMigrations(DbConnection connection)
    {
        Execute(connection, $"SELECT pg_advisory_lock({MigrationLock})");
        return new OnDispose(() => Execute(connection, $"SELECT pg_advisory_unlock({MigrationLock})"));
    }

    public override IEnumerable<string> Check(DbConnection connection)
    {
        if (Scalar(connection, "SELECT current_setting('server_version_num')::int") is int version and < 130000)
        {
            yield return $"the server is version {version / 10000}: take 13 or later";
        }

        if (Scalar(connection, "SHOW server_encoding") is string encoding and not "UTF8")
        {
            yield return $"its encoding is {encoding}: create the database with ENCODING 'UTF8'";
        }

        if (Scalar(connection, "SELECT pg_is_in_recovery()") is true || Scalar(connection, "SHOW default_transaction_read_only") is "on")
        {
            yield return "it is read-only: name the primary";
        }

        foreach (var column in Strings(connection,
            """
            SELECT table_name || '.' || column_name FROM information_schema.columns
            WHERE table_schema = current_schema() AND data_type IN ('character varying', 'text', 'character') AND collation_name IS DISTINCT FROM 'C' ORDER BY 1
            """))
        {
            yield return $"{column} is not in collation \"C\": lists sort otherwise than on the other engines. ALTER TABLE … ALTER COLUMN … TYPE … COLLATE \"C\"";
        }
    }

    public override string Version(DbConnection connection) => $"PostgreSQL {Scalar(connection, "SHOW server_version")}";

    public override ValueTask DisposeAsync() => source.DisposeAsync();

    private static int PortOf(DatabaseUrl url) => url.Seconds("port") ?? 5432;
}
