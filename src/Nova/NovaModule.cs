using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using SharpStack.Foundation.Bus;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Hosting;
using SharpStack.Foundation.Identity;
using SharpStack.Foundation.Policy;
using SharpStack.Foundation.Storage;
using SharpStack.Nova.Aggregates;
using SharpStack.Nova.AvailabilityZones;
using SharpStack.Nova.Clients;
using SharpStack.Nova.Conductor;
using SharpStack.Nova.Diagnostics;
using SharpStack.Nova.ExternalEvents;
using SharpStack.Nova.Flavors;
using SharpStack.Nova.Hosts;
using SharpStack.Nova.Hypervisors;
using SharpStack.Nova.InstanceActions;
using SharpStack.Nova.Interfaces;
using SharpStack.Nova.Keypairs;
using SharpStack.Nova.Metadata;
using SharpStack.Nova.Migrations;
using SharpStack.Nova.Quotas;
using SharpStack.Nova.Scheduling;
using SharpStack.Nova.ServerGroups;
using SharpStack.Nova.Servers;
using SharpStack.Nova.Services;
using SharpStack.Nova.Storage;
using SharpStack.Nova.Usage;

namespace SharpStack.Nova;

/// <summary>Nova without its hosts: API, conductor, scheduler, metadata.</summary>
public sealed class NovaModule : IServiceModule
{
    private const string ConfigName = "nova";
    private const string ConductorName = "nova-conductor";
    private const string SchedulerName = "nova-scheduler";

    public IReadOnlyList<string> Services { get; } = [NovaApi.Name, ConductorName, SchedulerName, MetadataApi.Name];

    public IEnumerable<(string Config, ConfigOption Option)> Options =>
        ConfigOption.DeclaredIn(typeof(NovaOptions))
            .Concat(ConfigOption.DeclaredIn(typeof(SchedulerOptions)))
            .Concat(DatabaseOptions.All)
            .Concat(PolicyOptions.All)
            .Concat(BusOptions.All)
            .Concat(HttpTokenValidator.Options)
            .Concat(((string[])["keystone_authtoken", "placement", "neutron", "glance"]).SelectMany(ServiceCredentials.Options))
            .Select(option => (ConfigName, option));

    public void Register(ModuleContext context)
    {
        var config = context.Config(ConfigName);
        var host = context.Host;
        var services = context.Services;
        DatabaseOptions.Register<NovaModule>(context, config, typeof(M0001Nova).Namespace!);
        services.AddSingleton(provider => new NovaStore(provider.GetRequiredKeyedService<ServiceDatabase>(ConfigName), provider.GetRequiredService<TimeProvider>()));
        Add(services, config, (provider, configuration) => new HostRegistry(provider.GetRequiredService<NovaStore>(), configuration));
        services.AddSingleton<IHostStates>(provider => provider.GetRequiredService<HostRegistry>());
        services.AddSingleton<ConductorHints>();
        services.AddSingleton<HostProviders>();
        services.AddSingleton(provider => new HostDiscovery(
            provider.GetRequiredService<NovaStore>(), provider.GetRequiredService<HostRegistry>(), provider.GetRequiredService<HostProviders>()));
        Add(services, config, (provider, configuration) => new NeutronClient(provider.GetRequiredService<ServiceClients>(), configuration));
        Add(services, config, (provider, configuration) => new PlacementClient(provider.GetRequiredService<ServiceClients>(), configuration));
        if (context.Runs(SchedulerName))
        {
            services.AddScheduler(config);
            context.AddWorker<SchedulerService>();
        }

        if (context.Runs(ConductorName))
        {
            AddConductor(context, config);
        }

        string[] binaries = [.. ((string[])[ConductorName, SchedulerName]).Where(context.Runs)];
        if (binaries.Length > 0)
        {
            context.AddWorker<Heartbeat>();
            services.AddSingleton(provider => new Heartbeat(
                provider.GetRequiredService<HostRegistry>(), host, config, provider.GetRequiredService<TimeProvider>(), binaries, provider.GetRequiredService<ILogger<Heartbeat>>()));
        }

        if (context.Runs(NovaApi.Name))
        {
            AddApi(services, config);
            context.AddApi(NovaApi.Definition(config));
        }

        if (context.Runs(MetadataApi.Name))
        {
            Add(services, config, (provider, configuration) => new MetadataApi(provider.GetRequiredService<NovaStore>(), configuration));
            context.AddApi(MetadataApi.Definition());
        }
    }

    private static void AddConductor(ModuleContext context, ServiceConfig config)
    {
        var services = context.Services;
        services.AddSingleton(provider => ActivatorUtilities.CreateInstance<ConductorLeases>(provider));
        Add(services, config, (provider, configuration) => ActivatorUtilities.CreateInstance<InstanceReconciler>(provider, configuration));
        if (!context.Runs(SchedulerName))
        {
            services.AddSingleton<IScheduler, RemoteScheduler>();
        }

        services.AddSingleton<HostPublisher>();
        services.AddSingleton<Janitor>();
        context.AddWorker<ConductorService>();
    }

    private static void AddApi(IServiceCollection services, ServiceConfig config)
    {
        Add(services, config, (_, configuration) => new QuotaStore(configuration));
        Add(services, config, (_, configuration) => new ActionLimits(configuration));
        Add(services, config, (provider, configuration) => new UserClients(provider.GetRequiredService<ServiceClients>(), configuration));
        Add(services, config, (provider, configuration) => ActivatorUtilities.CreateInstance<ServerCreation>(provider, configuration));
        services.AddSingleton<FlavorStore>();
        services.AddSingleton<ImageCheck>();
        services.AddSingleton<NetworkCheck>();
        services.AddSingleton<FlavorRoutes>();
        services.AddSingleton<KeypairRoutes>();
        services.AddSingleton<ServerRoutes>();
        services.AddSingleton<ServerActionRoutes>();
        services.AddSingleton<ServerDetailRoutes>();
        services.AddSingleton<ServerSecurityGroups>();
        services.AddSingleton<InterfaceRoutes>();
        services.AddSingleton<ActionRoutes>();
        services.AddSingleton<ServiceRoutes>();
        services.AddSingleton<HypervisorRoutes>();
        services.AddSingleton<QuotaRoutes>();
        services.AddSingleton<ZoneRoutes>();
        services.AddSingleton<ExternalEventRoutes>();
        services.AddSingleton<UsageRoutes>();
        services.AddSingleton<ServerGroupRoutes>();
        services.AddSingleton<AggregateRoutes>();
        services.AddSingleton<HostRoutes>();
        services.AddSingleton<MigrationRoutes>();
        services.AddSingleton<DiagnosticsRoutes>();
        services.AddSingleton<AuditLogRoutes>();
    }

    private static void Add<T>(IServiceCollection services, ServiceConfig config, Func<IServiceProvider, ServiceConfig, T> create)
        where T : class =>
        services.AddSingleton(provider => create(provider, config));
}
