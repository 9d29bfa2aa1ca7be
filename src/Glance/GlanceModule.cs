using Microsoft.Extensions.DependencyInjection;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Hosting;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Identity;
using SharpStack.Foundation.Policy;
using SharpStack.Foundation.Storage;
using SharpStack.Glance.Data;
using SharpStack.Glance.Discovery;
using SharpStack.Glance.Images;
using SharpStack.Glance.Imports;
using SharpStack.Glance.Members;
using SharpStack.Glance.Schemas;
using SharpStack.Glance.Storage;
using SharpStack.Glance.Stores;

namespace SharpStack.Glance;

/// <summary>The image service.</summary>
public sealed class GlanceModule : IServiceModule
{
    private const string ServiceName = "glance-api";
    private const string ConfigName = "glance";

    public IReadOnlyList<string> Services { get; } = [ServiceName];

    public IEnumerable<(string Config, ConfigOption Option)> Options =>
        ConfigOption.DeclaredIn(typeof(GlanceOptions)).Concat(DatabaseOptions.All).Concat(PolicyOptions.All).Concat(HttpTokenValidator.Options).Select(option => (ConfigName, option));

    public void Register(ModuleContext context)
    {
        var config = context.Config(ConfigName);
        context.Services.AddSingleton(new GlanceConfig(config));
        DatabaseOptions.Register<GlanceModule>(context, config, typeof(InitialSchema).Namespace!);
        context.Services.AddSingleton(provider => new GlanceDatabase(provider.GetRequiredKeyedService<ServiceDatabase>(ConfigName)));
        context.Services.AddSingleton(provider => ActivatorUtilities.CreateInstance<GlanceLeases>(provider));
        context.Services.AddSingleton<ImageRepository>();
        context.Services.AddSingleton<MemberRepository>();
        context.Services.AddSingleton<TaskRepository>();
        context.Services.AddSingleton<IImageStoreType, FileStoreType>();
        context.Services.AddSingleton<ImageStores>();
        context.Services.AddSingleton<UploadClaims>();
        context.Services.AddSingleton<ImageData>();
        context.Services.AddSingleton<StagingArea>();
        context.AddWorker<GlanceWorker>();
        context.AddWorker<ImportWorker>();
        context.AddApi(new ApiDefinition
        {
            Name = ServiceName,
            ServiceType = "image",
            DefaultPort = 9292,
            Errors = new WebObErrors(),
            StrictSlashes = true,
            Policies = _ => PolicyOptions.Enforcer(config, GlancePolicies.All),
            Map = static (routes, services) =>
            {
                VersionRoutes.Map(routes);
                DiscoveryRoutes.Map(routes, services);
                SchemaRoutes.Map(routes, services);
                ImageRoutes.Map(routes, services);
                ImageDataRoutes.Map(routes, services);
                MemberRoutes.Map(routes, services);
                ImportRoutes.Map(routes, services);
            },
        });
    }
}

/// <summary>Glance's configuration, told apart from the other services' in the container.</summary>
internal sealed record GlanceConfig(ServiceConfig Options)
{
    public T Get<T>(ConfigOption<T> option) => Options.Get(option);
}
