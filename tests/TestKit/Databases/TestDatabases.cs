using System.Collections.Concurrent;
using System.Reflection;
using FluentMigrator;
using SharpStack.Foundation.Storage;
using Xunit;

namespace SharpStack.TestKit.Databases;

/// <summary>
/// Databases for tests, on any engine; the servers are started once a test process, when the first database is asked for. SHARPSTACK_TEST_ENGINE (<c>sqlite</c>,
/// <c>postgresql</c>, <c>mariadb</c>) names the engine that every <see cref="TestCloud"/> stores in.
/// </summary>
public static class TestDatabases
{
    public const string Variable = "SHARPSTACK_TEST_ENGINE";

    private static readonly ConcurrentDictionary<DatabaseEngine, Lazy<Task<DatabaseServer>>> Servers = new();
    private static readonly ConcurrentDictionary<(DatabaseEngine Engine, string Name), Lazy<Task<string>>> Known = new();

    // A service's schema is made once a process and then copied: its migrations take longer than most tests.
    private static readonly ConcurrentDictionary<(DatabaseEngine Engine, Assembly Service), Lazy<Task<string>>> Templates = new();
    private static readonly ConcurrentDictionary<Assembly, Lazy<Task<byte[]>>> Files = new();
    private static readonly ConcurrentDictionary<Assembly, string?> Migrations = new();

    /// <summary>The engine of this run's clouds.</summary>
    public static DatabaseEngine Engine { get; } = Environment.GetEnvironmentVariable(Variable) switch
    {
        null or "" or "sqlite" => DatabaseEngine.Sqlite,
        "postgresql" => DatabaseEngine.PostgreSql,
        "mariadb" => DatabaseEngine.MariaDb,
        var other => throw new InvalidOperationException($"{Variable}={other}: there are sqlite, postgresql and mariadb"),
    };

    /// <summary>For theories: each engine.</summary>
    public static TheoryData<DatabaseEngine> Engines => [.. Enum.GetValues<DatabaseEngine>()];

    /// <summary>For theories: the engines that are servers.</summary>
    public static TheoryData<DatabaseEngine> ServerEngines => [DatabaseEngine.PostgreSql, DatabaseEngine.MariaDb];

    /// <summary>The server of an engine, started.</summary>
    public static Task<DatabaseServer> ServerAsync(DatabaseEngine engine) => Servers.GetOrAdd(engine, static engine => new(() => StartAsync(engine))).Value;

    /// <summary>The URL of a database of that name, created empty where there is none yet.</summary>
    public static Task<string> UrlAsync(DatabaseEngine engine, string name) => Known.GetOrAdd((engine, name), static key => new(() => CreateAsync(key.Engine, key.Name))).Value;

    /// <summary>The URL of a service's database of that name, created with its schema where there is none yet.</summary>
    /// <param name="service">The assembly that holds the migrations; without any the database is empty.</param>
    public static Task<string> UrlAsync(DatabaseEngine engine, string name, Assembly service) => MigrationsOf(service) is null
        ? UrlAsync(engine, name)
        : Known.GetOrAdd((engine, name), key => new(() => CopyAsync(key.Engine, key.Name, service))).Value;

    /// <summary>The URL of a service's SQLite file, created with its schema where there is none yet.</summary>
    /// <param name="service">The assembly that holds the migrations; without any the file is left to be made.</param>
    public static async Task<string> UrlAsync(string file, Assembly service)
    {
        if (!File.Exists(file) && MigrationsOf(service) is not null)
        {
            await File.WriteAllBytesAsync(file, await Files.GetOrAdd(service, static service => new(() => MakeFileAsync(service))).Value);
        }

        return $"sqlite:///{file}";
    }

    /// <summary>A new empty database, dropped at its disposal.</summary>
    public static async Task<TestDatabase> CreateAsync(DatabaseEngine engine)
    {
        var name = $"test_{Guid.NewGuid():N}";
        return new TestDatabase(engine, name, await UrlAsync(engine, name));
    }

    /// <summary>Drops the database of that name where there is one.</summary>
    public static async Task DropAsync(DatabaseEngine engine, string name)
    {
        if (!Known.TryRemove((engine, name), out _))
        {
            return;
        }

        if (engine == DatabaseEngine.Sqlite)
        {
            Directory.Delete(SqliteFolder(name), recursive: true);
        }
        else
        {
            await (await ServerAsync(engine)).DropAsync(name);
        }
    }

    private static async Task<string> CreateAsync(DatabaseEngine engine, string name)
    {
        if (engine == DatabaseEngine.Sqlite)
        {
            Directory.CreateDirectory(SqliteFolder(name));
            return $"sqlite:///{Path.Combine(SqliteFolder(name), "test.db")}";
        }

        var server = await ServerAsync(engine);
        await server.CreateAsync(name);
        return server.Url(name);
    }

    private static async Task<string> CopyAsync(DatabaseEngine engine, string name, Assembly service)
    {
        var template = await Templates.GetOrAdd((engine, service), static key => new(() => MakeTemplateAsync(key.Engine, key.Service))).Value;
        var server = await ServerAsync(engine);
        await server.CopyAsync(template, name);
        return server.Url(name);
    }

    private static async Task<string> MakeTemplateAsync(DatabaseEngine engine, Assembly service)
    {
        var name = $"template_{service.GetName().Name}";
        await MigrateAsync(await UrlAsync(engine, name), service);
        return name;
    }

    private static async Task<byte[]> MakeFileAsync(Assembly service)
    {
        await using var place = await CreateAsync(DatabaseEngine.Sqlite);
        await MigrateAsync(place.Url, service);
        return await File.ReadAllBytesAsync(DatabaseUrl.Parse(place.Url).Database);
    }

    private static async Task MigrateAsync(string url, Assembly service)
    {
        await using var database = new ServiceDatabase(url, service, MigrationsOf(service)!);
        database.Migrate();
    }

    /// <summary>The namespace of an assembly's migrations; null where it has none.</summary>
    private static string? MigrationsOf(Assembly service) => Migrations.GetOrAdd(
        service, static service => service.GetTypes().Where(static type => type.GetCustomAttribute<MigrationAttribute>() is not null).Select(static type => type.Namespace!).Distinct().SingleOrDefault());

    private static string SqliteFolder(string name) => Path.Combine(Path.GetTempPath(), "sharpstack-" + name);

    /// <summary>Starts a server of the caller's own, to be stopped.</summary>
    public static async Task<DatabaseServer> StartAsync(DatabaseEngine engine)
    {
        DatabaseServer server = engine == DatabaseEngine.PostgreSql ? new PostgreSqlServer() : new MariaDbServer();
        await server.StartAsync();
        return server;
    }
}

/// <summary>An empty database of a test.</summary>
public sealed class TestDatabase(DatabaseEngine engine, string name, string url) : IAsyncDisposable
{
    public DatabaseEngine Engine => engine;

    public string Name => name;

    public string Url => url;

    public async ValueTask DisposeAsync() => await TestDatabases.DropAsync(engine, name);
}
