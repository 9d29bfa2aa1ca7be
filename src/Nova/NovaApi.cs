using Microsoft.Extensions.DependencyInjection;
using SharpStack.Foundation;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Http;
using SharpStack.Nova.Aggregates;
using SharpStack.Nova.AvailabilityZones;
using SharpStack.Nova.Diagnostics;
using SharpStack.Nova.ExternalEvents;
using SharpStack.Nova.Flavors;
using SharpStack.Nova.Hosts;
using SharpStack.Nova.Hypervisors;
using SharpStack.Nova.InstanceActions;
using SharpStack.Nova.Interfaces;
using SharpStack.Nova.Keypairs;
using SharpStack.Nova.Migrations;
using SharpStack.Nova.Policies;
using SharpStack.Nova.Quotas;
using SharpStack.Nova.ServerGroups;
using SharpStack.Nova.Servers;
using SharpStack.Nova.Services;
using SharpStack.Nova.Usage;
using SharpStack.Nova.Versions;

namespace SharpStack.Nova;

/// <summary>The compute API.</summary>
internal static class NovaApi
{
    public const string Name = "nova-api";
    public const int DefaultPort = 8774;

    public static readonly MicroversionRange Versions = new("compute", new Microversion(2, 1), new Microversion(2, 96), "X-OpenStack-Nova-API-Version");

    public static ApiDefinition Definition(ServiceConfig config) =>
        new()
        {
            Name = Name,
            ServiceType = "compute",
            DefaultPort = DefaultPort,
            Errors = new NovaErrors(),
            Microversions = Versions,
            RequestIdHeader = "x-compute-request-id",
            Policies = _ => NovaPolicies.Enforcer(config),
            SchemaFailure = SchemaFailure,
            Map = Map,
        };

    public static CloudException SchemaFailure(SchemaError error) =>
        CloudException.BadRequest(error.Path.Count > 0
            ? $"Invalid input for field/attribute {error.Path[^1]}. Value: {error.Value}. {error.Message}"
            : error.Message);

    private static void Map(ApiRoutes all, IServiceProvider services)
    {
        VersionRoutes.Map(all);
        var routes = new NovaRoutes(all);
        services.GetRequiredService<FlavorRoutes>().Map(routes);
        services.GetRequiredService<KeypairRoutes>().Map(routes);
        services.GetRequiredService<ServerRoutes>().Map(routes);
        services.GetRequiredService<ServerActionRoutes>().Map(routes);
        services.GetRequiredService<ServerDetailRoutes>().Map(routes);
        services.GetRequiredService<ServerSecurityGroups>().Map(routes);
        services.GetRequiredService<InterfaceRoutes>().Map(routes);
        services.GetRequiredService<ActionRoutes>().Map(routes);
        services.GetRequiredService<ServiceRoutes>().Map(routes);
        services.GetRequiredService<HypervisorRoutes>().Map(routes);
        services.GetRequiredService<QuotaRoutes>().Map(routes);
        services.GetRequiredService<ZoneRoutes>().Map(routes);
        services.GetRequiredService<ExternalEventRoutes>().Map(routes);
        services.GetRequiredService<UsageRoutes>().Map(routes);
        services.GetRequiredService<ServerGroupRoutes>().Map(routes);
        services.GetRequiredService<AggregateRoutes>().Map(routes);
        services.GetRequiredService<HostRoutes>().Map(routes);
        services.GetRequiredService<MigrationRoutes>().Map(routes);
        services.GetRequiredService<DiagnosticsRoutes>().Map(routes);
        services.GetRequiredService<AuditLogRoutes>().Map(routes);
        AgentRoutes.Map(routes);
    }
}
