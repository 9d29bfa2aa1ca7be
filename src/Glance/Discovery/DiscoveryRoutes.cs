using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;
using SharpStack.Glance.Stores;

namespace SharpStack.Glance.Discovery;

/// <summary><c>/v2/info</c>: which import methods and stores there are.</summary>
internal sealed class DiscoveryRoutes
{
    private readonly GlanceConfig config;
    private readonly ImageStores stores;

    private DiscoveryRoutes(IServiceProvider services)
    {
        config = services.GetRequiredService<GlanceConfig>();
        stores = services.GetRequiredService<ImageStores>();
    }

    public static void Map(ApiRoutes routes, IServiceProvider services)
    {
        var self = new DiscoveryRoutes(services);
        routes.Get("/v2/info/import", self.ImportAsync).ForEveryToken();
        routes.Get("/v2/info/stores", context => self.StoresAsync(context, detail: false)).ForEveryToken();
        routes.Get("/v2/info/stores/detail", self.StoresDetailAsync).Policy(GlancePolicies.StoresInfoDetail);
    }

    private Task ImportAsync(ApiContext context) =>
        context.WriteJsonAsync(StatusCodes.Status200OK, json =>
        {
            json.WriteStartObject();
            json.WriteStartObject("import-methods");
            json.WriteString("description", "Import methods available.");
            json.WriteString("type", "array");
            json.WriteStartArray("value");
            foreach (var method in config.Get(GlanceOptions.EnabledImportMethods))
            {
                json.WriteStringValue(method);
            }

            json.WriteEndArray();
            json.WriteEndObject();
            json.WriteEndObject();
        });

    private Task StoresDetailAsync(ApiContext context)
    {
        context.Enforce();
        return StoresAsync(context, detail: true);
    }

    private Task StoresAsync(ApiContext context, bool detail)
    {
        if (stores.Named.Count == 0)
        {
            throw CloudException.NotFound("Multi backend is not supported at this site.");
        }

        return context.WriteJsonAsync(StatusCodes.Status200OK, json =>
        {
            json.WriteStartObject();
            json.WriteStartArray("stores");
            foreach (var name in stores.Named)
            {
                json.WriteStartObject();
                json.WriteString("id", name);
                if (config.Get(GlanceOptions.DescriptionOf(name)) is { Length: > 0 } description)
                {
                    json.WriteString("description", description);
                }

                if (name == stores.DefaultName)
                {
                    json.WriteString("default", "true");
                }

                if (detail)
                {
                    json.WriteString("type", config.Get(GlanceOptions.EnabledBackends)[name]);
                    json.WriteStartObject("properties");
                    foreach (var (property, value) in stores.Get(name).Properties)
                    {
                        json.WriteString(property, value);
                    }

                    json.WriteEndObject();
                }

                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteEndObject();
        });
    }
}
