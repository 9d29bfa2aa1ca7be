using SharpStack.Foundation.Storage;
using SharpStack.TestKit.Databases;

namespace SharpStack.ClusterKit;

/// <summary>The databases of a cluster, one a service.</summary>
public abstract class ClusterDatabase : IAsyncDisposable
{
    public abstract string Name { get; }

    /// <summary>The SQLAlchemy URL of a service's database.</summary>
    public abstract string Url(string service);

    /// <summary>Ends the server, as an administrator does at an awkward time.</summary>
    public abstract Task StopAsync();

    public abstract Task StartAgainAsync();

    public abstract ValueTask DisposeAsync();
}

/// <summary>SQLite files, for a cluster in one process.</summary>
public sealed class SqliteDatabase : ClusterDatabase
{
    private readonly string folder = Directory.CreateTempSubdirectory("sharpstack-cluster-").FullName;

    public override string Name => "SQLite";

    public override string Url(string service) => $"sqlite:///{folder}/{service}.db";

    public override Task StopAsync() => throw new NotSupportedException("A file has no server.");

    public override Task StartAgainAsync() => Task.CompletedTask;

    public override ValueTask DisposeAsync()
    {
        Directory.Delete(folder, recursive: true);
        return ValueTask.CompletedTask;
    }
}

/// <summary>A PostgreSQL or MariaDB of the cluster's own.</summary>
public sealed class ServerDatabase : ClusterDatabase
{
    private readonly DatabaseServer server;

    private ServerDatabase(DatabaseServer server, string name)
    {
        this.server = server;
        Name = name;
    }

    public override string Name { get; }

    public static async Task<ClusterDatabase> StartAsync(DatabaseEngine engine)
    {
        var server = await TestDatabases.StartAsync(engine);
        foreach (var service in (string[])["keystone", "glance", "placement", "nova", "neutron"])
        {
            await server.CreateAsync(service);
        }

        return new ServerDatabase(server, engine == DatabaseEngine.PostgreSql ? "PostgreSQL" : "MariaDB");
    }

    public override string Url(string service) => server.Url(service);

    public override Task StopAsync() => server.StopAsync();

    public override Task StartAgainAsync() => server.StartAgainAsync();

    public override ValueTask DisposeAsync() => server.DisposeAsync();
}
