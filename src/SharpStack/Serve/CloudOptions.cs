using System.Net;
using SharpStack.Cloud;
using SharpStack.CommandLine;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Hosting;
using SharpStack.Foundation.Observability;

namespace SharpStack.Serve;

/// <summary>How a process of this program runs: from a cloud that <c>up</c> made, or from an operator's own configuration files.</summary>
internal static class CloudOptions
{
    /// <summary>The options of those commands that read the configuration.</summary>
    public static readonly IReadOnlyList<string> Values = ["--data", "--config-file", "--config-dir", "--listen"];

    /// <summary>Where OpenStack's services have their configuration.</summary>
    private const string SystemConfiguration = "/etc";

    private static readonly ConfigOption<string> HostName = new("DEFAULT", "host", "", "The name under which this host's services and agents report; empty for the machine's own.");

    /// <summary>The options that no module declares, by project.</summary>
    public static IEnumerable<(string Config, ConfigOption Option)> Declared => [("nova", HostName), ("neutron", HostName), .. ListenerOptions.All, .. ServeCommand.Options];

    /// <param name="arguments"><c>--data DIR</c> for a cloud of <c>up</c>; <c>--config-file</c> and <c>--config-dir</c> for an operator's own files (see <see cref="ConfigFiles"/>), and then
    /// <c>--data</c> for what would be under <c>/var/lib</c>; without any of them the cloud of <c>up</c>, or the files in <c>/etc</c>.</param>
    /// <param name="services">The services to run; null for all.</param>
    public static HostOptions Read(Arguments arguments, IReadOnlySet<string>? services, TimeProvider time)
    {
        var projects = ProjectsOf(services);
        if (FilesOf(arguments, projects, services) is { } files)
        {
            return FromFiles(files, arguments, projects, services, time);
        }

        var layout = LayoutOf(arguments);
        var settings = CloudSettings.Load(layout)
            ?? throw new CommandException($"there is no cloud in {layout.Data} and no configuration in {SystemConfiguration}/{string.Join($", {SystemConfiguration}/", projects)}: make a cloud with ./up, or name your own files with --config-file FILE or --config-dir DIR");
        return Of(layout, settings, services, time);
    }

    /// <summary>Whether the process is that of a cloud that <c>up</c> made.</summary>
    public static bool IsOfUp(Arguments arguments, IReadOnlySet<string>? services) => FilesOf(arguments, ProjectsOf(services), services) is null;

    /// <summary>Whether the process is that of a cloud with the fake driver. Files in <c>/etc</c> name their own driver, whatever clouds <c>up</c> made beside them.</summary>
    public static bool IsFake(Arguments arguments, IReadOnlySet<string>? services) => IsOfUp(arguments, services) && CloudSettings.Load(LayoutOf(arguments)) is { Fake: true };

    /// <summary>The options of a cloud that <c>up</c> made.</summary>
    public static HostOptions Of(CloudLayout layout, CloudSettings settings, IReadOnlySet<string>? services, TimeProvider time)
    {
        var files = ConfigFiles.Named([("--config-dir", layout.Configuration)], ServiceNames.Projects, null);
        return new()
        {
            DataDirectory = layout.Data,
            Configs = ServiceNames.Projects.ToDictionary(project => project, files.Load),
            Services = services,
            Listen = Address(settings.Listen),
            PublicHost = settings.Advertise,
            Ports = new Dictionary<string, int>
            {
                ["keystone"] = settings.Ports.Identity,
                ["glance-api"] = settings.Ports.Image,
                ["placement-api"] = settings.Ports.Placement,
                ["nova-api"] = settings.Ports.Compute,
                ["nova-metadata-api"] = settings.Ports.Metadata,
                ["neutron-server"] = settings.Ports.Network,
                [MetricsModule.ServiceName] = settings.Ports.Metrics,
            },
            Time = time,
        };
    }

    public static CloudLayout LayoutOf(Arguments arguments) => new(Path.GetFullPath(arguments.Value("--data") ?? CloudLayout.DefaultData()));

    private static HostOptions FromFiles(ConfigFiles files, Arguments arguments, IReadOnlyCollection<string> projects, IReadOnlySet<string>? services, TimeProvider time)
    {
        var configs = projects.ToDictionary(project => project, files.Load);
        if (arguments.Value("--data") is null)
        {
            OpenStackPlaces.Fill(configs);
        }

        var listen = arguments.Value("--listen");
        var options = new HostOptions
        {
            DataDirectory = arguments.Value("--data") is null ? OpenStackPlaces.StateOf(projects) : LayoutOf(arguments).Data,
            Configs = configs,
            Services = services,
            Listeners = ListenerOptions.Apis.Where(api => configs.ContainsKey(api.Config))
                .Select(api => KeyValuePair.Create(api.Api, ListenerOptions.Read(api.Api, configs[api.Config], listen)))
                .Append(KeyValuePair.Create(MetricsModule.ServiceName, MetricsModule.Listener(configs.Values)))
                .ToDictionary(),
            Time = time,
        };
        return HostNameOf(configs) is { } name ? options with { HostName = name } : options;
    }

    /// <returns>Null for a cloud of <c>up</c>.</returns>
    private static ConfigFiles? FilesOf(Arguments arguments, IReadOnlyCollection<string> projects, IReadOnlySet<string>? services)
    {
        var named = Named(arguments);
        if (named.Length > 0)
        {
            return ConfigFiles.Named(named, projects, services);
        }

        if (arguments.Value("--data") is not null || (services is null && CloudSettings.Load(LayoutOf(arguments)) is not null))
        {
            return null;
        }

        var files = ConfigFiles.InPlace(SystemConfiguration, projects, services);
        var missing = projects.Where(project => files[project].Count == 0).ToArray();
        return missing.Length == projects.Count ? null
            : missing.Length == 0 || services is null ? files
            : throw new CommandException($"there is no configuration of {string.Join(", ", missing)} in {SystemConfiguration}/{missing[0]}: name its files with --config-file FILE or --config-dir DIR");
    }

    private static (string Name, string Value)[] Named(Arguments arguments) => [.. arguments.Given.Where(option => option.Name is "--config-file" or "--config-dir")];

    private static IReadOnlyCollection<string> ProjectsOf(IReadOnlySet<string>? services) =>
        services is null ? ServiceNames.Projects : [.. services.Select(ServiceNames.ProjectOf).OfType<string>().Distinct()];

    /// <summary>Nova and Neutron know a host by one name: a port is bound to the host that Nova names.</summary>
    private static string? HostNameOf(Dictionary<string, ServiceConfig> configs)
    {
        var names = configs.Where(pair => pair.Key is "nova" or "neutron" && pair.Value.Get(HostName).Length > 0).Select(pair => pair.Value.Get(HostName)).Distinct().ToArray();
        return names.Length < 2 ? names.FirstOrDefault() : throw new CommandException($"[DEFAULT] host is {names[0]} in one configuration and {names[1]} in the other: a host has one name in both");
    }

    private static IPAddress Address(string text) =>
        IPAddress.TryParse(text, out var address) ? address : throw new UsageException($"--listen takes an address of this machine, not '{text}'");
}
