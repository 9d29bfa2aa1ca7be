using System.Reflection;
using FluentMigrator;
using Microsoft.Extensions.Logging.Abstractions;
using SharpStack.CommandLine;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Hosting;
using SharpStack.Foundation.Storage;
using SharpStack.Serve;

namespace SharpStack.Database;

/// <summary>The schema of a service that has a database.</summary>
internal sealed record ServiceSchema(string Service, Assembly Assembly, string Namespace)
{
    /// <summary>All of them, by the name of their configuration.</summary>
    public static IReadOnlyList<ServiceSchema> All { get; } =
    [
        .. CloudModules.All(fake: true)
            .Select(module => (
                module.Options.FirstOrDefault(option => option.Option == DatabaseOptions.Connection).Config,
                module.GetType().Assembly,
                module.GetType().Assembly.GetTypes().FirstOrDefault(type => type.GetCustomAttribute<MigrationAttribute>() is not null)?.Namespace))
            .Where(found => found.Config is not null && found.Namespace is not null)
            .Select(found => new ServiceSchema(found.Config, found.Assembly, found.Namespace!)),
    ];

    /// <summary>The service's database at a URL.</summary>
    public ServiceDatabase At(string url) => new(url, Assembly, Namespace, new DatabaseSettings { Service = Service });

    /// <summary>The service's database by its configuration; null where that names none.</summary>
    public ServiceDatabase? In(HostOptions options) =>
        options.Configs.GetValueOrDefault(Service) is { } config && (config.IsSet(DatabaseOptions.Connection) || config.IsSet(DatabaseOptions.Connection with { Group = OwnGroup }))
            ? DatabaseOptions.Create(config, options, Assembly, Namespace, NullLoggerFactory.Instance, OwnGroup)
            : null;

    // Placement has a group of its own, which [database] stands in for; the others read [database] alone.
    private string OwnGroup => $"{Service}_database";
}
