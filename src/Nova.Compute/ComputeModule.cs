using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using SharpStack.Foundation.Bus;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Hosting;
using SharpStack.Foundation.Identity;
using SharpStack.Nova.Compute.Drivers;
using SharpStack.Nova.Compute.Drivers.Fake;
using SharpStack.Nova.Compute.Drivers.Libvirt;
using SharpStack.Nova.Compute.Images;
using SharpStack.Nova.Compute.Inspection;
using SharpStack.Nova.Compute.Instances;
using SharpStack.Nova.Compute.Interfaces;

namespace SharpStack.Nova.Compute;

/// <summary>The host side of Nova: nova-compute.</summary>
public sealed class ComputeModule : IServiceModule
{
    private const string Config = "nova";

    public IReadOnlyList<string> Services { get; } = ["nova-compute"];

    public IEnumerable<(string Config, ConfigOption Option)> Options =>
        ConfigOption.DeclaredIn(typeof(ComputeOptions)).Concat(BusOptions.All).Concat(ServiceCredentials.Options("glance")).Select(option => (Config, option));

    public void Register(ModuleContext context)
    {
        var config = context.Config(Config);
        var name = config.Get(ComputeOptions.ComputeDriver);
        context.Services.AddKeyedSingleton<IComputeDriver>("fake.FakeDriver", (_, _) =>
            new FakeDriver(config, context.Host.HostName, FakeJournal(config, context.Host)));
        context.Services.AddKeyedSingleton<IComputeDriver>("libvirt.LibvirtDriver", (services, _) =>
        {
            var time = services.GetRequiredService<TimeProvider>();
            var files = new InstanceFiles(InstancesPath(config, context.Host));
            var images = new ImageCache(
                Path.Combine(files.Root, config.Get(ComputeOptions.ImageCacheSubdirectory)),
                new GlanceImages(services.GetRequiredService<ServiceClients>(), config),
                time,
                services.GetRequiredService<ILogger<ImageCache>>());
            return new LibvirtDriver(
                context.Host.HostName, config, files, images, new OvsVifPlugger(config.Get(ComputeOptions.OvsdbConnection), time), time,
                services.GetRequiredService<ILogger<LibvirtDriver>>());
        });
        // Also the rest of a name that a nova.conf of old gives: nova.virt.libvirt.LibvirtDriver.
        context.Services.AddSingleton(services =>
            services.GetKeyedService<IComputeDriver>(name.StartsWith("nova.virt.", StringComparison.Ordinal) ? name["nova.virt.".Length..] : name)
            ?? throw new FormatException($"nova: [DEFAULT] compute_driver = {name}: should be libvirt.LibvirtDriver or fake.FakeDriver"));
        context.AddWorker<ComputeWorker>();
    }

    internal static string InstancesPath(ServiceConfig config, HostOptions host) =>
        config.Get(ComputeOptions.InstancesPath) is { Length: > 0 } path ? path : Path.Combine(host.DataDirectory, "nova", "instances");

    /// <summary>Where the fake driver remembers its guests.</summary>
    internal static string FakeJournal(ServiceConfig config, HostOptions host) =>
        Path.Combine(InstancesPath(config, host), config.Get(ComputeOptions.SimulatedHosts) == 1 ? "fake-guests" : $"fake-guests-{host.HostName}");

    internal sealed class ComputeWorker(HostOptions host, IMessageBus bus, IComputeDriver driver, TimeProvider time, ILogger<ComputeService> log) : IWorker, IAsyncDisposable
    {
        private readonly List<ComputeService> services = Services(host, bus, driver, time, log);

        internal ComputeService Service => services[0];

        public async Task StartAsync(CancellationToken cancellationToken)
        {
            foreach (var service in services)
            {
                await service.StartAsync(cancellationToken);
            }
        }

        public async Task StopAsync(CancellationToken cancellationToken) => await DisposeAsync();

        public async ValueTask DisposeAsync() => await Task.WhenAll(services.Select(service => service.DisposeAsync().AsTask()));

        private static List<ComputeService> Services(HostOptions host, IMessageBus bus, IComputeDriver driver, TimeProvider time, ILogger log)
        {
            var config = host.Configs.GetValueOrDefault(Config) ?? ServiceConfig.Empty(Config);
            var count = config.Get(ComputeOptions.SimulatedHosts);
            return count == 1 || !driver.IsSimulated
                ? [Create(host, driver)]
                : [.. Enumerable.Range(1, count).Select(number => host with { HostName = $"{host.HostName}-{number}" })
                    .Select(simulated => Create(simulated, new FakeDriver(config, simulated.HostName, FakeJournal(config, simulated))))];

            ComputeService Create(HostOptions one, IComputeDriver with) =>
                new(one.HostName, bus, with, config, time, log, inspect: (current, cancellation) => ComputeInspector.InspectAsync(current, one, cancellation));
        }
    }
}
