using System.Text.Json;
using Microsoft.Extensions.DependencyInjection;
using SharpStack.Foundation;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Hosting;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Identity;
using SharpStack.Foundation.Policy;
using SharpStack.Foundation.Storage;
using SharpStack.Placement.Aggregates;
using SharpStack.Placement.AllocationCandidates;
using SharpStack.Placement.Allocations;
using SharpStack.Placement.Inventories;
using SharpStack.Placement.Reshaper;
using SharpStack.Placement.ResourceClasses;
using SharpStack.Placement.ResourceProviders;
using SharpStack.Placement.Storage;
using SharpStack.Placement.Traits;
using SharpStack.Placement.Usages;

namespace SharpStack.Placement;

/// <summary>Placement: what there is of which resource, and who has it.</summary>
public sealed class PlacementModule : IServiceModule
{
    private const string ApiName = "placement-api";

    public IReadOnlyList<string> Services => [ApiName];

    public IEnumerable<(string Config, ConfigOption Option)> Options =>
        ConfigOption.DeclaredIn(typeof(PlacementOptions)).Concat(DatabaseOptions.AllIn(PlacementOptions.DatabaseGroup)).Concat(PolicyOptions.All).Concat(HttpTokenValidator.Options).Select(option => (PlacementOptions.Config, option));

    public void Register(ModuleContext context)
    {
        var config = context.Config(PlacementOptions.Config);
        DatabaseOptions.Register<PlacementModule>(context, config, typeof(M0001Placement).Namespace!, PlacementOptions.DatabaseGroup);
        context.Services.AddSingleton(services => new PlacementStore(services.GetRequiredKeyedService<ServiceDatabase>(PlacementOptions.Config), context.Host.Time));
        context.Services.AddSingleton<NameCatalog>();
        context.Services.AddSingleton<ProviderIndex>();
        context.Services.AddSingleton<ResourceProviderStore>();
        context.Services.AddSingleton(services => new AllocationWrites(config, services.GetRequiredService<NameCatalog>()));
        context.AddWorker<PlacementWorker>();
        context.AddApi(new ApiDefinition
        {
            Name = ApiName,
            ServiceType = "placement",
            DefaultPort = 8778,
            Errors = new PlacementErrors(),
            Microversions = PlacementApi.Versions,
            // One request may carry the inventories and allocations of a whole tree (reshaper); Placement itself sets no limit.
            MaxBodySize = 16 << 20,
            Policies = _ => PlacementPolicy.Enforcer(config, Policies),
            Map = (routes, services) => Map(routes, services, config),
            SchemaFailure = static error => CloudException.BadRequest($"JSON does not validate: {error.Message}"),
        });
    }

    private static IEnumerable<PolicyRule> Policies =>
    [
        .. ResourceProviderApi.Policies, .. ResourceClassApi.Policies, .. InventoryApi.Policies, .. AggregateApi.Policies, .. UsageApi.Policies,
        .. TraitApi.Policies, .. AllocationApi.Policies, .. AllocationCandidateApi.Policies, .. ReshaperApi.Policies,
    ];

    private static void Map(ApiRoutes routes, IServiceProvider services, ServiceConfig config)
    {
        T New<T>(params object[] arguments) => ActivatorUtilities.CreateInstance<T>(services, arguments);
        routes.Get("/", VersionsAsync).Public();
        New<ResourceClassApi>().Map(routes);
        New<TraitApi>().Map(routes);
        New<ResourceProviderApi>().Map(routes);
        New<InventoryApi>().Map(routes);
        New<AggregateApi>().Map(routes);
        New<UsageApi>().Map(routes);
        New<AllocationApi>().Map(routes);
        New<AllocationCandidateApi>(config).Map(routes);
        New<ReshaperApi>().Map(routes);
    }

    private static Task VersionsAsync(ApiContext context) => context.SendAsync(static json =>
    {
        json.WriteStartObject();
        json.WriteStartArray("versions");
        json.WriteStartObject();
        json.WriteString("id", $"v{PlacementApi.Versions.Min}");
        json.WriteString("max_version", PlacementApi.Versions.Max.ToString());
        json.WriteString("min_version", PlacementApi.Versions.Min.ToString());
        json.WriteString("status", "CURRENT");
        json.WriteStartArray("links");
        json.WriteStartObject();
        json.WriteString("rel", "self");
        json.WriteString("href", "");
        json.WriteEndObject();
        json.WriteEndArray();
        json.WriteEndObject();
        json.WriteEndArray();
        json.WriteEndObject();
    });
}

/// <summary>Adds the standard names that the database lacks.</summary>
internal sealed class PlacementWorker(PlacementStore store) : IWorker
{
    public Task StartAsync(CancellationToken cancellationToken) => store.AddStandardNamesAsync(cancellationToken);

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
