using System.Reflection;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Hosting;

namespace SharpStack.Foundation.Storage;

/// <summary>The options of <c>[database]</c>, the same in every service.</summary>
public static class DatabaseOptions
{
    public static readonly ConfigOption<string> Connection = new("database", "connection", "", "The database as an SQLAlchemy URL; empty for a file SERVICE.db in the data directory.") { Secret = true };

    /// <summary>Opens a service's database and brings its schema to the newest version.</summary>
    public static ServiceDatabase Open(ServiceConfig config, HostOptions host, Assembly migrations, string migrationsNamespace)
    {
        var url = config.Get(Connection);
        if (url.Length == 0)
        {
            Directory.CreateDirectory(host.DataDirectory);
            url = $"sqlite:///{Path.GetFullPath(Path.Combine(host.DataDirectory, config.Service + ".db"))}";
        }

        var database = new ServiceDatabase(url, migrations, migrationsNamespace);
        database.Migrate();
        return database;
    }
}
