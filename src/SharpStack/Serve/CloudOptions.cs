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
    public static readonly IReadOnlyList<string> Values = ["--data", "--config-dir", "--listen"];

    /// <param name="arguments"><c>--data DIR</c> for a cloud of <c>up</c>; <c>--config-dir DIR</c> for files as OpenStack lays them out, <c>DIR/nova/nova.conf</c> or <c>DIR/nova.conf</c>.</param>
    /// <param name="services">The services to run; null for all.</param>
    public static HostOptions Read(Arguments arguments, IReadOnlySet<string>? services, TimeProvider time)
    {
        if (arguments.Value("--config-dir") is { } directory)
        {
            return new HostOptions
            {
                DataDirectory = LayoutOf(arguments).Data,
                Configs = Load(service => [Path.Combine(directory, service), directory]),
                Services = services,
                Listen = Address(arguments.Value("--listen") ?? "127.0.0.1"),
                PublicHost = arguments.Value("--listen") is { } listen and not ("0.0.0.0" or "::") ? listen : "127.0.0.1",
                Time = time,
            };
        }

        var layout = LayoutOf(arguments);
        var settings = CloudSettings.Load(layout) ?? throw new CommandException($"there is no cloud in {layout.Data}: make one with ./up, or name your own files with --config-dir DIR");
        return Of(layout, settings, services, time);
    }

    /// <summary>Whether the arguments name a cloud with the fake driver.</summary>
    public static bool IsFake(Arguments arguments) => arguments.Value("--config-dir") is null && CloudSettings.Load(LayoutOf(arguments)) is { Fake: true };

    /// <summary>The options of a cloud that <c>up</c> made.</summary>
    public static HostOptions Of(CloudLayout layout, CloudSettings settings, IReadOnlySet<string>? services, TimeProvider time) => new()
    {
        DataDirectory = layout.Data,
        Configs = Load(_ => [layout.Configuration]),
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

    private static CloudLayout LayoutOf(Arguments arguments) => new(Path.GetFullPath(arguments.Value("--data") ?? CloudLayout.DefaultData()));

    private static Dictionary<string, ServiceConfig> Load(Func<string, string[]> directories) =>
        CloudConfiguration.NamesByService.ToDictionary(
            pair => pair.Key,
            pair => ServiceConfig.Load(
                pair.Key,
                pair.Value.Select(name => directories(pair.Key).Select(directory => Path.Combine(directory, name)).FirstOrDefault(File.Exists)).OfType<string>()));

    private static IPAddress Address(string text) =>
        IPAddress.TryParse(text, out var address) ? address : throw new UsageException($"--listen takes an address of this machine, not '{text}'");
}
