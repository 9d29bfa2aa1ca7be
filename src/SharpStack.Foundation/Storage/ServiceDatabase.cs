using System.Data;
using System.Data.Common;
using System.Diagnostics.CodeAnalysis;
using System.Reflection;
using FluentMigrator;
using FluentMigrator.Runner;
using FluentMigrator.Runner.VersionTableInfo;
using LinqToDB;
using LinqToDB.Data;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using SharpStack.Foundation.Storage.Engines;

namespace SharpStack.Foundation.Storage;

/// <summary>
/// A service's database: a SQLite file with one writer at a time, PostgreSQL or MariaDB. The calls are the same: short sessions for reading, and write transactions that are
/// serializable and repeated here when they lose against another one. No provider's own SQL outside this folder. Time stamps are stored as whole microseconds since 1970 in
/// UTC (see <see cref="Timestamps"/>); text is compared and sorted by code point; true and false are booleans. Alike on every engine.
/// </summary>
public sealed partial class ServiceDatabase : IAsyncDisposable
{
    internal const string VersionTableName = "schema_version";
    private static readonly TimeSpan FirstBackOff = TimeSpan.FromMilliseconds(5);
    private static readonly TimeSpan LongestBackOff = TimeSpan.FromMilliseconds(500);

    private readonly SemaphoreSlim writer = new(1);
    private readonly Lock preparing = new();
    private readonly StorageEngine engine;
    private readonly DatabaseSettings settings;
    private readonly DatabaseMetrics metrics;
    private readonly DataOptions options;
    private readonly ILogger log;
    private bool ready;
    private int lost;
    private int sessions;

    /// <summary>Connects to nothing yet.</summary>
    /// <param name="url">An SQLAlchemy URL, see <see cref="DatabaseUrl"/>: <c>sqlite:////absolute/file.db</c>, or <c>sqlite://</c> for one in memory.</param>
    /// <param name="migrations">The assembly that holds the service's migrations.</param>
    /// <param name="migrationsNamespace">Their namespace.</param>
    /// <param name="settings">Pool and retries; null for oslo.db's defaults.</param>
    /// <exception cref="FormatException">The URL is wrong.</exception>
    public ServiceDatabase(string url, Assembly migrations, string migrationsNamespace, DatabaseSettings? settings = null)
    {
        this.settings = settings ?? new DatabaseSettings();
        Url = DatabaseUrl.Parse(url);
        engine = StorageEngine.Create(Url, this.settings);
        metrics = new DatabaseMetrics(this.settings.Service);
        log = this.settings.Log;
        Migrations = migrations;
        MigrationsNamespace = migrationsNamespace;
        options = new DataOptions()
            .UseConnectionFactory(engine.Provider, _ => engine.CreateConnection())
            .UseMappingSchema(StorageMapping.Schema)
            .UseInterceptor(new StorageInterceptor(this));
    }

    public DatabaseUrl Url { get; }

    /// <summary>How many sessions were begun and not disposed yet: each holds a connection of the pool.</summary>
    public int OpenSessions => Volatile.Read(ref sessions);

    internal Assembly Migrations { get; }

    internal string MigrationsNamespace { get; }

    internal StorageEngine Engine => engine;

    internal TimeProvider Clock => settings.Clock;

    /// <summary>
    /// Waits until the database answers (<c>[database] max_retries</c> times <c>retry_interval</c>), and brings the schema to the newest version. Without it the
    /// first session does the same, but does not wait.
    /// </summary>
    /// <exception cref="DatabaseUnavailableException">It did not answer.</exception>
    /// <exception cref="CloudException">Its schema is one of a newer program.</exception>
    public async Task OpenAsync(CancellationToken cancellationToken = default)
    {
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                await Task.Run(Migrate, cancellationToken);
                return;
            }
            catch (DatabaseUnavailableException failure) when (settings.MaxRetries < 0 || attempt <= settings.MaxRetries)
            {
                LogWaiting(Url, failure.InnerException!.Message, settings.RetryInterval.TotalSeconds, attempt, settings.MaxRetries < 0 ? "ever" : $"{settings.MaxRetries}");
                await Task.Delay(settings.RetryInterval, Clock, cancellationToken);
            }
        }
    }

    /// <summary>A session for reading; dispose it soon. A read whose connection is found broken is repeated on a new one.</summary>
    public DataConnection Read()
    {
        EnsureReady();
        return new Session(this);
    }

    /// <summary>
    /// Runs <paramref name="work"/> in one serializable write transaction; committed when it returns, rolled back when it throws. On SQLite it is alone among this
    /// database's writers; on the servers it is run again when it lost against another transaction (serialization failure, deadlock) or its connection broke before the commit,
    /// so it must do nothing but use its session.
    /// </summary>
    /// <exception cref="UniqueConstraintException">A key or a foreign key refused a row.</exception>
    /// <exception cref="DatabaseUnavailableException">The database does not answer, or the transaction lost too often.</exception>
    public async Task<T> WriteAsync<T>(Func<DataConnection, Task<T>> work, CancellationToken cancellationToken = default)
    {
        EnsureReady();
        for (var attempt = 1; ; attempt++)
        {
            // The servers decide between writers. But those of this process that lost once go one after the other, or many would lose for ever.
            var alone = engine.HasOneWriter || attempt > 1;
            if (alone)
            {
                await writer.WaitAsync(cancellationToken);
            }

            var committing = false;
            TimeSpan wait;
            try
            {
                return await TransactAsync(work, () => committing = true, cancellationToken);
            }
            catch (Exception failure) when (Classify(failure) is var kind && kind != DatabaseFailure.Other)
            {
                if (kind == DatabaseFailure.Constraint)
                {
                    throw new UniqueConstraintException(engine.ConstraintOf(Cause(failure)), failure);
                }

                if (kind == DatabaseFailure.Conflict)
                {
                    wait = Again(kind, attempt) ? BackOff(attempt) : throw Lost(attempt, failure);
                }
                else if (committing)
                {
                    throw new DatabaseUnavailableException("The database went away during a commit: look whether the change was made before trying it again.", failure);
                }
                else
                {
                    ForgetConnections(failure);
                    // Once at once, for the connection may have been an old one; then only where requests are to wait.
                    wait = attempt == 1 ? TimeSpan.Zero : settings.UseReconnect && Again(kind, attempt) ? ReconnectWait(attempt) : throw Unavailable(failure);
                }
            }
            finally
            {
                if (alone)
                {
                    writer.Release();
                }
            }

            if (wait > TimeSpan.Zero)
            {
                await Task.Delay(wait, Clock, cancellationToken);
            }
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

    /// <summary>Brings the schema to the newest version; forward only, quick where nothing is to be done. Of several processes one does it, the others wait for it.</summary>
    /// <exception cref="DatabaseUnavailableException">The database does not answer.</exception>
    /// <exception cref="CloudException">The schema is one of a newer program.</exception>
    public void Migrate()
    {
        lock (preparing)
        {
            if (ready)
            {
                return;
            }

            OnConnection(connection =>
            {
                if (IsBehind(connection))
                {
                    using var alone = engine.LockMigrations(connection);
                    if (IsBehind(connection))
                    {
                        RunMigrations();
                    }
                }

                return true;
            });
            Volatile.Write(ref ready, true);
        }
    }

    /// <summary>The versions in the program, in order.</summary>
    public IReadOnlyList<long> KnownVersions() =>
    [
        .. Migrations.GetTypes()
            .Where(type => type.Namespace == MigrationsNamespace)
            .Select(type => type.GetCustomAttribute<MigrationAttribute>()?.Version).OfType<long>().Order(),
    ];

    /// <summary>The newest version in the program.</summary>
    public long NewestMigration() => KnownVersions().DefaultIfEmpty(0).Max();

    /// <summary>The schema's version in the database; 0 where there is none yet.</summary>
    public long CurrentVersion() => AppliedVersions().DefaultIfEmpty(0).Max();

    /// <summary>The versions that the database has had, in order.</summary>
    public IReadOnlyList<long> AppliedVersions() => OnConnection(Applied);

    /// <summary>Looks at connection, schema and the server's settings; what is wrong is said in words, with the remedy.</summary>
    public DatabaseReport Check()
    {
        try
        {
            return OnConnection(connection =>
            {
                var problems = new List<string>();
                var (applied, known) = (Applied(connection), KnownVersions());
                if (applied.Except(known).LastOrDefault() is > 0 and var unknown)
                {
                    problems.Add($"the schema has version {unknown}, which this program does not know: a newer release upgraded it, run that one");
                }

                if (known.Except(applied).ToArray() is { Length: > 0 } pending)
                {
                    problems.Add($"the schema lacks version {string.Join(", ", pending)}: run 'sharpstack db sync', or start the service");
                }

                problems.AddRange(engine.Check(connection));
                return new DatabaseReport(engine.Version(connection), applied.DefaultIfEmpty(0).Max(), NewestMigration(), problems);
            });
        }
        catch (CloudException failure)
        {
            return new DatabaseReport("", 0, NewestMigration(), [failure is DatabaseUnavailableException ? $"{Url} does not answer: {failure.InnerException!.Message}" : failure.Message]);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await engine.DisposeAsync();
        writer.Dispose();
    }

    internal DatabaseFailure Classify(Exception failure)
    {
        for (var cause = failure; cause is not null; cause = cause.InnerException)
        {
            if (engine.Classify(cause) is var kind && kind != DatabaseFailure.Other)
            {
                return kind;
            }
        }

        return DatabaseFailure.Other;
    }

    /// <summary>Runs <paramref name="work"/> on an open connection of its own.</summary>
    internal T OnConnection<T>(Func<DbConnection, T> work)
    {
        try
        {
            using var connection = engine.CreateConnection();
            connection.Open();
            return work(connection);
        }
        catch (Exception failure) when (Classify(failure) == DatabaseFailure.Unavailable)
        {
            throw Unavailable(failure);
        }
        catch (DbException failure)
        {
            throw new CloudException(ErrorKind.Internal, $"{Who}the database {Url} refused: {failure.Message}", inner: failure);
        }
    }

    internal DatabaseUnavailableException Unavailable(Exception failure)
    {
        metrics.GaveUp(DatabaseFailure.Unavailable);
        if (Interlocked.Exchange(ref lost, 1) == 0)
        {
            LogLost(Url, failure.Message);
        }

        return failure as DatabaseUnavailableException ?? new DatabaseUnavailableException($"{Who}the database does not answer; try again in a while.", failure);
    }

    /// <summary>A statement was answered.</summary>
    internal void Answered(long started)
    {
        metrics.Sent(1);
        metrics.Took(Clock.GetElapsedTime(started));
        if (Volatile.Read(ref lost) != 0 && Interlocked.Exchange(ref lost, 0) != 0)
        {
            LogBack(Url);
        }
    }

    /// <summary>Where one connection is broken, the others of the pool are as likely as not.</summary>
    internal void ForgetConnections(Exception failure)
    {
        metrics.Retried(DatabaseFailure.Unavailable);
        LogReconnect(Url, failure.Message);
        engine.ClearPool();
    }

    /// <summary>Opens a connection again whose server went away.</summary>
    internal void Reopen(DbConnection connection)
    {
        try
        {
            connection.Open();
        }
        catch (Exception failure) when (Classify(failure) == DatabaseFailure.Unavailable)
        {
            throw Unavailable(failure);
        }
    }

    /// <summary>Opens a connection again whose server went away, and waits for it where requests are to wait.</summary>
    internal async Task ReopenAsync(DbConnection connection, CancellationToken cancellationToken)
    {
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                await connection.OpenAsync(cancellationToken);
                return;
            }
            catch (Exception failure) when (Classify(failure) == DatabaseFailure.Unavailable)
            {
                if (!settings.UseReconnect || !Again(DatabaseFailure.Unavailable, attempt))
                {
                    throw Unavailable(failure);
                }
            }

            await Task.Delay(ReconnectWait(attempt), Clock, cancellationToken);
        }
    }

    private string Who => settings.Service.Length == 0 ? "" : $"{settings.Service}: ";

    private async Task<T> TransactAsync<T>(Func<DataConnection, Task<T>> work, Action committing, CancellationToken cancellationToken)
    {
        var session = new Session(this);
        try
        {
            await session.BeginTransactionAsync(IsolationLevel.Serializable, cancellationToken);
            metrics.Sent(engine.RoundTripsToBegin);
            var result = await work(session);
            committing();
            await session.CommitTransactionAsync(CancellationToken.None);
            metrics.Sent(1);
            return result;
        }
        catch (Exception) when (session.Transaction is not null)
        {
            try
            {
                await session.RollbackTransactionAsync(CancellationToken.None);
            }
            catch (Exception failure) when (failure is DbException or InvalidOperationException or CloudException)
            {
                // The connection is gone, and the transaction with it. What failed first is what matters.
                LogRollback(Url, failure.Message);
            }

            throw;
        }
        finally
        {
            await session.DisposeAsync();
        }
    }

    private bool Again(DatabaseFailure reason, int attempt)
    {
        if (settings.OperationRetries >= 0 && attempt > settings.OperationRetries)
        {
            return false;
        }

        if (reason == DatabaseFailure.Conflict)
        {
            metrics.Retried(reason);
        }

        return true;
    }

    private DatabaseUnavailableException Lost(int attempts, Exception failure)
    {
        metrics.GaveUp(DatabaseFailure.Conflict);
        return new DatabaseUnavailableException($"{Who}the change lost against others {attempts} times; try again in a while.", failure);
    }

    // Full jitter: those that met each other do not meet again.
    private static TimeSpan BackOff(int attempt) =>
        Random.Shared.NextDouble() * TimeSpan.FromTicks(Math.Min(FirstBackOff.Ticks << Math.Min(attempt, 20), LongestBackOff.Ticks));

    private TimeSpan ReconnectWait(int attempt)
    {
        var interval = settings.OperationRetryInterval;
        return settings.IncreaseRetryInterval
            ? TimeSpan.FromTicks(Math.Min(interval.Ticks << Math.Min(attempt - 1, 20), settings.MaxOperationRetryInterval.Ticks))
            : interval;
    }

    private Exception Cause(Exception failure)
    {
        var cause = failure;
        while (engine.Classify(cause) == DatabaseFailure.Other && cause.InnerException is not null)
        {
            cause = cause.InnerException;
        }

        return cause;
    }

    private void EnsureReady()
    {
        if (!Volatile.Read(ref ready))
        {
            Migrate();
        }
    }

    private bool IsBehind(DbConnection connection)
    {
        var applied = Applied(connection);
        var known = KnownVersions();
        if (applied.Except(known).LastOrDefault() is > 0 and var unknown)
        {
            throw new CloudException(
                ErrorKind.Internal, $"{Who}the schema in {Url} has version {unknown}, which this program does not know (it goes up to {known.DefaultIfEmpty(0).Max()}): a newer release upgraded it, run that one.");
        }

        return known.Except(applied).Any();
    }

    private List<long> Applied(DbConnection connection)
    {
        using var command = connection.CreateCommand();
        command.CommandText = engine.TableExistsSql;
        var name = command.CreateParameter();
        name.ParameterName = "name";
        name.Value = VersionTableName;
        command.Parameters.Add(name);
        if (Convert.ToInt64(command.ExecuteScalar()) == 0)
        {
            return [];
        }

        command.Parameters.Clear();
        command.CommandText = $"SELECT version FROM {VersionTableName} ORDER BY version";
        using var reader = command.ExecuteReader();
        var versions = new List<long>();
        while (reader.Read())
        {
            versions.Add(reader.GetInt64(0));
        }

        return versions;
    }

    private void RunMigrations()
    {
        using var services = new ServiceCollection()
            .AddFluentMigratorCore()
            .ConfigureRunner(runner =>
            {
                engine.AddRunner(runner);
                runner.WithGlobalConnectionString(engine.MigrationConnectionString).ScanIn(Migrations).For.Migrations();
            })
            .Configure<FluentMigrator.Runner.Initialization.TypeFilterOptions>(filter => filter.Namespace = MigrationsNamespace)
            .AddScoped<IVersionTableMetaData, VersionTable>()
            .BuildServiceProvider();
        using var scope = services.CreateScope();
        scope.ServiceProvider.GetRequiredService<IMigrationRunner>().MigrateUp();
    }

    [LoggerMessage(EventId = 1401, Level = LogLevel.Warning, Message = "Waiting for the database {Url}: {Reason}; again in {Seconds} s ({Attempt} of {Attempts})")]
    private partial void LogWaiting(DatabaseUrl url, string reason, double seconds, int attempt, string attempts);

    [LoggerMessage(EventId = 1402, Level = LogLevel.Error, Message = "The database {Url} does not answer: {Reason}; requests end with 503 until it does")]
    private partial void LogLost(DatabaseUrl url, string reason);

    [LoggerMessage(EventId = 1403, Level = LogLevel.Information, Message = "The database {Url} answers again")]
    private partial void LogBack(DatabaseUrl url);

    [LoggerMessage(EventId = 1404, Level = LogLevel.Debug, Message = "A connection to the database {Url} broke ({Reason}); trying a new one")]
    private partial void LogReconnect(DatabaseUrl url, string reason);

    [LoggerMessage(EventId = 1405, Level = LogLevel.Debug, Message = "A transaction on the database {Url} could not be rolled back: {Reason}")]
    private partial void LogRollback(DatabaseUrl url, string reason);

    private sealed class Session : DataConnection
    {
        private readonly ServiceDatabase database;
        private int ended;

        public Session(ServiceDatabase database)
            : base(database.options)
        {
            this.database = database;
            Interlocked.Increment(ref database.sessions);
        }

        public override void Close()
        {
            base.Close();
            End();
        }

        public override async Task CloseAsync()
        {
            await base.CloseAsync();
            End();
        }

        private void End()
        {
            if (Interlocked.Exchange(ref ended, 1) == 0)
            {
                Interlocked.Decrement(ref database.sessions);
            }
        }
    }

#pragma warning disable CS0618 // The interface wants a member that is obsolete.
    private sealed class VersionTable : IVersionTableMetaData
    {
        public object? ApplicationContext { get; set; }

        public bool OwnsSchema => false;

        public string SchemaName => "";

        public string TableName => VersionTableName;

        public string ColumnName => "version";

        public string DescriptionColumnName => "description";

        public string UniqueIndexName => "ux_schema_version";

        public string AppliedOnColumnName => "applied_on";

        public bool CreateWithPrimaryKey => false;
    }
#pragma warning restore CS0618
}

/// <summary>What <see cref="ServiceDatabase.Check"/> found.</summary>
/// <param name="Server">The engine and its version; empty where it does not answer.</param>
/// <param name="Current">The schema's version.</param>
/// <param name="Newest">The program's.</param>
/// <param name="Problems">What is wrong and what to do; empty where all is well.</param>
public sealed record DatabaseReport(string Server, long Current, long Newest, IReadOnlyList<string> Problems);
