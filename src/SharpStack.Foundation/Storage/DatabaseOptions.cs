using System.Reflection;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Hosting;

namespace SharpStack.Foundation.Storage;

/// <summary>The options of <c>[database]</c>, oslo.db's names and defaults, the same in every service.</summary>
public static class DatabaseOptions
{
    private const string Group = "database";

    public static readonly ConfigOption<string> Connection = new(
        Group, "connection", "", "The database as an SQLAlchemy URL (mysql+pymysql://, postgresql+psycopg2://, sqlite:///); empty for a file SERVICE.db in the data directory.")
    {
        Secret = true,
        DeprecatedNames = ["DEFAULT/sql_connection", "DATABASE/sql_connection", "sql/connection"],
    };

    public static readonly ConfigOption<string> ConnectionParameters = new(Group, "connection_parameters", "", "Parameters to append to the URL: name=value&name=value.");

    public static readonly ConfigOption<int> MaxPoolSize = new(Group, "max_pool_size", 5, "Connections that are kept; 0 for no limit.") { Min = 0 };

    public static readonly ConfigOption<int> MaxOverflow = new(Group, "max_overflow", 50, "Connections beyond those, under load; -1 for no limit.")
    {
        Min = -1,
        DeprecatedNames = ["DEFAULT/sql_max_overflow", "DATABASE/sqlalchemy_max_overflow"],
    };

    public static readonly ConfigOption<int> PoolTimeout = new(Group, "pool_timeout", 30, "Seconds that a request waits for a connection before it ends with 503.")
    {
        Min = 1,
        DeprecatedNames = ["DATABASE/sqlalchemy_pool_timeout"],
    };

    public static readonly ConfigOption<int> RecycleTime = new(Group, "connection_recycle_time", 3600, "Seconds after which a connection is replaced; -1 for never.");

    public static readonly ConfigOption<int> MaxRetries = new(Group, "max_retries", 10, "How often a database that does not answer is tried again at the start; -1 for ever.")
    {
        Min = -1,
        DeprecatedNames = ["DEFAULT/sql_max_retries", "DATABASE/sql_max_retries"],
    };

    public static readonly ConfigOption<int> RetryInterval = new(Group, "retry_interval", 10, "Seconds between those tries.")
    {
        Min = 1,
        DeprecatedNames = ["DEFAULT/sql_retry_interval", "DATABASE/reconnect_interval"],
    };

    public static readonly ConfigOption<bool> UseDbReconnect = new(Group, "use_db_reconnect", false, "Requests wait for a database that went away, instead of ending with 503.");

    public static readonly ConfigOption<int> DbMaxRetries = new(
        Group, "db_max_retries", 20, "How often a transaction that lost against another is repeated, and with use_db_reconnect a lost connection made anew; -1 for ever.") { Min = -1 };

    public static readonly ConfigOption<int> DbRetryInterval = new(Group, "db_retry_interval", 1, "Seconds between tries to reconnect.") { Min = 1 };

    public static readonly ConfigOption<bool> DbIncRetryInterval = new(Group, "db_inc_retry_interval", true, "That interval doubles with each try, up to db_max_retry_interval.");

    public static readonly ConfigOption<int> DbMaxRetryInterval = new(Group, "db_max_retry_interval", 10, "The longest interval, in seconds.") { Min = 1 };

    public static readonly ConfigOption<string> MysqlSqlMode = new(Group, "mysql_sql_mode", "TRADITIONAL", "MariaDB's sql_mode for the service's sessions.");

    public static IEnumerable<ConfigOption> All { get; } = [.. ConfigOption.DeclaredIn(typeof(DatabaseOptions))];

    /// <summary>The same options under a group of the service's own (Placement's <c>[placement_database]</c>), where <c>[database]</c> stands in for what is not set there.</summary>
    public static IEnumerable<ConfigOption> AllIn(string group) => All.Concat(All.Select(option => option with { Group = group }));

    /// <summary>
    /// Adds a service's database to the container, under the configuration's name as its key (<c>nova</c>), and a worker that waits for it at the start and brings its schema up.
    /// </summary>
    /// <typeparam name="TModule">The service's module; its assembly holds the migrations.</typeparam>
    /// <param name="context">Where the module registers.</param>
    /// <param name="config">The service's configuration.</param>
    /// <param name="migrationsNamespace">The namespace of its migrations.</param>
    /// <param name="group">The options' group, see <see cref="AllIn"/>.</param>
    /// <param name="file">The SQLite file for an empty URL, below the data directory; <c>SERVICE.db</c> unless named.</param>
    public static void Register<TModule>(ModuleContext context, ServiceConfig config, string migrationsNamespace, string group = Group, string? file = null)
        where TModule : IServiceModule
    {
        context.Services.AddKeyedSingleton(config.Service, (services, _) => Create(
            config, context.Host, typeof(TModule).Assembly, migrationsNamespace, services.GetRequiredService<ILoggerFactory>(), group, file));
        context.AddWorker<Opening<TModule>>();
        context.Services.AddSingleton(services => new Opening<TModule>(services.GetRequiredKeyedService<ServiceDatabase>(config.Service)));
    }

    /// <summary>A service's database by its configuration; not opened yet.</summary>
    /// <exception cref="FormatException">An option is wrong.</exception>
    public static ServiceDatabase Create(
        ServiceConfig config, HostOptions host, Assembly migrations, string migrationsNamespace, ILoggerFactory logs, string group = Group, string? file = null)
    {
        T Get<T>(ConfigOption<T> option) => option with { Group = group } is var own && config.IsSet(own) ? config.Get(own) : config.Get(option);

        var url = Get(Connection);
        if (url.Length == 0)
        {
            var path = Path.GetFullPath(Path.Combine(host.DataDirectory, file ?? config.Service + ".db"));
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            url = $"sqlite:///{path}";
        }
        else if (Get(ConnectionParameters) is { Length: > 0 } parameters)
        {
            url += (url.Contains('?', StringComparison.Ordinal) ? "&" : "?") + parameters;
        }

        var (size, overflow) = (Get(MaxPoolSize), Get(MaxOverflow));
        return new ServiceDatabase(url, migrations, migrationsNamespace, new DatabaseSettings
        {
            Service = config.Service,
            MaxConnections = size == 0 || overflow < 0 ? 1000 : size + overflow,
            PoolTimeout = TimeSpan.FromSeconds(Get(PoolTimeout)),
            RecycleTime = TimeSpan.FromSeconds(Math.Max(Get(RecycleTime), 0)),
            MaxRetries = Get(MaxRetries),
            RetryInterval = TimeSpan.FromSeconds(Get(RetryInterval)),
            UseReconnect = Get(UseDbReconnect),
            OperationRetries = Get(DbMaxRetries),
            OperationRetryInterval = TimeSpan.FromSeconds(Get(DbRetryInterval)),
            IncreaseRetryInterval = Get(DbIncRetryInterval),
            MaxOperationRetryInterval = TimeSpan.FromSeconds(Get(DbMaxRetryInterval)),
            SqlMode = Get(MysqlSqlMode),
            Log = logs.CreateLogger("SharpStack.Database"),
        });
    }

    private sealed class Opening<TModule>(ServiceDatabase database) : IWorker
    {
        public Task StartAsync(CancellationToken cancellationToken) => database.OpenAsync(cancellationToken);

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
