using System.Reflection;
using FluentMigrator;
using SharpStack.CommandLine;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Hosting;
using SharpStack.Foundation.Storage;

namespace SharpStack.Serve;

/// <summary>
/// <c>sharpstack db sync</c> brings the services' schemas to the newest version, as <c>keystone-manage db_sync</c> and its like do; <c>db version</c> says which they
/// have. A service does the same when it starts: this is for an upgrade that is done before the start.
/// </summary>
internal static class DatabaseCommand
{
    public const string Usage = "db sync [keystone|glance|placement|nova|neutron]... | db version ...   [--data DIR | --config-dir DIR]";

    public static async Task RunAsync(IReadOnlyList<string> words, TextWriter output, TimeProvider time)
    {
        var arguments = Arguments.Parse(words, CloudOptions.Values, []);
        if (arguments.Words.ToArray() is not ["sync" or "version", .. var services])
        {
            throw new UsageException(Usage);
        }

        var options = CloudOptions.Read(arguments, null, time);
        foreach (var module in CloudModules.All(fake: true))
        {
            var assembly = module.GetType().Assembly;
            var migrations = assembly.GetTypes().FirstOrDefault(type => type.GetCustomAttribute<MigrationAttribute>() is not null)?.Namespace;
            var service = module.Options.FirstOrDefault().Config;
            if (migrations is null || (services.Length > 0 && !services.Contains(service)))
            {
                continue;
            }

            await using var database = new ServiceDatabase(Url(options, service), assembly, migrations);
            var before = database.CurrentVersion();
            if (arguments.Words[0] == "sync")
            {
                database.Migrate();
            }

            output.WriteLine($"{service}: version {before}{(before == database.CurrentVersion() ? $" of {database.NewestMigration()}" : $", now {database.CurrentVersion()}")}");
        }
    }

    private static string Url(HostOptions options, string service)
    {
        // Placement has a group of its own for it, which [database] stands in for.
        foreach (var group in new[] { $"{service}_database", DatabaseOptions.Connection.Group })
        {
            var option = new ConfigOption<string>(group, DatabaseOptions.Connection.Name, "", "");
            if (options.Configs.GetValueOrDefault(service)?.Get(option) is { Length: > 0 } url)
            {
                return url;
            }
        }

        throw new CommandException($"{service}'s configuration names no [database] connection");
    }
}
