using SharpStack.CommandLine;
using SharpStack.Foundation.Hosting;
using SharpStack.Foundation.Storage;
using SharpStack.Serve;

namespace SharpStack.Database;

/// <summary>
/// <c>sharpstack db sync</c> brings the services' schemas to the newest version, as <c>keystone-manage db_sync</c> and its like do (a service does the same when it starts);
/// <c>db version</c> says which they have; <c>db check</c> looks at connection, schema and the server's settings; <c>db copy</c> moves them to another engine.
/// </summary>
internal static class DatabaseCommand
{
    public const string Usage =
        "db sync|version|check [keystone|glance|placement|nova|neutron]... [--data DIR | --config-dir DIR] | db copy SERVICE --from URL --to URL | db copy [SERVICE]... [--data DIR | --config-dir DIR] --to-config-dir DIR";

    private const string From = "--from";
    private const string To = "--to";
    private const string ToConfigDirectory = "--to-config-dir";

    /// <returns>The exit code: 1 where <c>db check</c> found something.</returns>
    public static async Task<int> RunAsync(IReadOnlyList<string> words, TextWriter output, TimeProvider time, CancellationToken cancellationToken = default)
    {
        var arguments = Arguments.Parse(words, [.. CloudOptions.Values, From, To, ToConfigDirectory], []);
        if (arguments.Words.ToArray() is not ["sync" or "version" or "check" or "copy", .. var services])
        {
            throw new UsageException(Usage);
        }

        if (services.FirstOrDefault(name => ServiceSchema.All.All(schema => schema.Service != name)) is { } unknown)
        {
            throw new UsageException($"no service {unknown} has a database; there are {string.Join(", ", ServiceSchema.All.Select(schema => schema.Service))}");
        }

        var action = arguments.Words[0];
        if (action == "copy")
        {
            await CopyAsync(arguments, services, output, time, cancellationToken);
            return 0;
        }

        var problems = 0;
        foreach (var (schema, database) in Named(CloudOptions.Read(arguments, null, time), services))
        {
            await using var opened = database;
            problems += action switch
            {
                "check" => Check(schema, database, output),
                "sync" => Sync(schema, database, output),
                _ => Version(schema, database, output),
            };
        }

        return problems == 0 ? 0 : 1;
    }

    private static int Version(ServiceSchema schema, ServiceDatabase database, TextWriter output)
    {
        output.WriteLine($"{schema.Service}: version {database.CurrentVersion()} of {database.NewestMigration()}");
        return 0;
    }

    private static int Sync(ServiceSchema schema, ServiceDatabase database, TextWriter output)
    {
        var before = database.CurrentVersion();
        database.Migrate();
        var after = database.CurrentVersion();
        output.WriteLine($"{schema.Service}: version {before}{(before == after ? $" of {database.NewestMigration()}" : $", now {after}")}");
        return 0;
    }

    private static int Check(ServiceSchema schema, ServiceDatabase database, TextWriter output)
    {
        var report = database.Check();
        output.WriteLine($"{schema.Service}: {(report.Problems.Count == 0 ? "ok" : "not ok")}, version {report.Current} of {report.Newest}, {(report.Server.Length == 0 ? "no server" : report.Server)}, {database.Url}");
        foreach (var problem in report.Problems)
        {
            output.WriteLine($"  {problem}");
        }

        return report.Problems.Count;
    }

    private static async Task CopyAsync(Arguments arguments, string[] services, TextWriter output, TimeProvider time, CancellationToken cancellationToken)
    {
        if (arguments.Value(From) is { } from && arguments.Value(To) is { } to && services is [var only])
        {
            var schema = ServiceSchema.All.Single(schema => schema.Service == only);
            await using var source = schema.At(from);
            await using var target = schema.At(to);
            await CopyAsync(schema, source, target, output, cancellationToken);
            return;
        }

        if (arguments.Value(ToConfigDirectory) is not { } directory || arguments.Value(From) is not null || arguments.Value(To) is not null)
        {
            throw new UsageException("db copy takes SERVICE --from URL --to URL, or --to-config-dir DIR with the files that name the new databases");
        }

        var sources = Named(CloudOptions.Read(arguments, null, time), services);
        var targets = Named(CloudOptions.Read(Arguments.Parse(["--config-dir", directory], CloudOptions.Values, []), null, time), services).ToDictionary(pair => pair.Schema, pair => pair.Database);
        if (sources.FirstOrDefault(pair => !targets.ContainsKey(pair.Schema)).Schema is { } missing)
        {
            throw new CommandException($"{missing.Service}'s configuration in {directory} names no [database] connection: nothing was copied");
        }

        foreach (var (schema, database) in sources)
        {
            await using var source = database;
            await using var target = targets[schema];
            await CopyAsync(schema, source, target, output, cancellationToken);
        }
    }

    private static async Task CopyAsync(ServiceSchema schema, ServiceDatabase source, ServiceDatabase target, TextWriter output, CancellationToken cancellationToken)
    {
        var tables = await DatabaseCopy.RunAsync(source, target, cancellationToken);
        output.WriteLine($"{schema.Service}: {tables.Sum(table => table.Rows)} rows of {tables.Count} tables from {source.Url} to {target.Url}");
    }

    /// <summary>The databases of the services named, or of all that the configuration has one for.</summary>
    private static List<(ServiceSchema Schema, ServiceDatabase Database)> Named(HostOptions options, string[] services)
    {
        var found = new List<(ServiceSchema, ServiceDatabase)>();
        foreach (var schema in ServiceSchema.All.Where(schema => services.Length == 0 || services.Contains(schema.Service)))
        {
            if (schema.In(options) is { } database)
            {
                found.Add((schema, database));
            }
            else if (services.Length > 0)
            {
                throw new CommandException($"{schema.Service}'s configuration names no [database] connection");
            }
        }

        return found.Count > 0 ? found : throw new CommandException("no service's configuration names a [database] connection");
    }
}
