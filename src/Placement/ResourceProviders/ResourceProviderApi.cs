using System.Text.Json;
using Microsoft.AspNetCore.Http;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Policy;
using SharpStack.Placement.AllocationCandidates;

namespace SharpStack.Placement.ResourceProviders;

/// <summary><c>/resource_providers</c>.</summary>
internal sealed class ResourceProviderApi(ResourceProviderStore providers, ProviderIndex index)
{
    private const string List = "placement:resource_providers:list";
    private const string Create = "placement:resource_providers:create";
    private const string Show = "placement:resource_providers:show";
    private const string Update = "placement:resource_providers:update";
    private const string Delete = "placement:resource_providers:delete";

    public static readonly PolicyRule[] Policies =
    [
        PlacementPolicy.Reading(List, "List resource providers."),
        PlacementPolicy.Changing(Create, "Create resource provider."),
        PlacementPolicy.Reading(Show, "Show resource provider."),
        PlacementPolicy.Changing(Update, "Update resource provider."),
        PlacementPolicy.Changing(Delete, "Delete resource provider."),
    ];

    private static readonly JsonSchema Name = JsonSchema.String(max: 200);
    private static readonly JsonSchema Parent = JsonSchema.AnyOf(JsonSchema.Uuid, JsonSchema.Null);

    public void Map(ApiRoutes routes)
    {
        routes.Get("/resource_providers", ListAsync).Policy(List);
        routes.Post("/resource_providers", CreateAsync).Policy(Create)
            .Body(JsonSchema.Object(false, ("name!", Name), ("uuid", JsonSchema.Uuid)), max: "1.13")
            .Body(JsonSchema.Object(false, ("name!", Name), ("uuid", JsonSchema.Uuid), ("parent_provider_uuid", Parent)), min: "1.14");
        routes.Get("/resource_providers/{uuid}", ShowAsync).Policy(Show);
        routes.Put("/resource_providers/{uuid}", UpdateAsync).Policy(Update)
            .Body(JsonSchema.Object(false, ("name!", Name)), max: "1.13")
            .Body(JsonSchema.Object(false, ("name!", Name), ("parent_provider_uuid", Parent)), min: "1.14");
        routes.Delete("/resource_providers/{uuid}", DeleteAsync).Policy(Delete);
    }

    private async Task ListAsync(ApiContext context)
    {
        context.Enforce();
        context.CheckAccept();
        context.CheckQuery(name => name switch
        {
            "name" or "uuid" => true,
            "member_of" => context.Version.AtLeast(3),
            "resources" => context.Version.AtLeast(4),
            "in_tree" => context.Version.AtLeast(14),
            "required" => context.Version.AtLeast(18),
            _ => false,
        });
        foreach (var name in (string[])["uuid", "in_tree"])
        {
            if (context.Query[name] is { } value && !PlacementApi.IsUuid(value))
            {
                throw CloudException.BadRequest($"Invalid query string parameters: '{value}' is not a 'uuid'");
            }
        }

        var filter = new ProviderFilter
        {
            Name = context.Query["name"],
            Uuid = context.Query["uuid"],
            InTree = context.Query["in_tree"],
            Group = RequestGroup.ForProviders(context),
        };
        var found = await index.ListAsync(filter, context.Aborted);
        await context.SendAsync(
            json =>
            {
                json.WriteStartObject();
                json.WriteStartArray("resource_providers");
                foreach (var provider in found)
                {
                    Write(json, provider, context.Version);
                }

                json.WriteEndArray();
                json.WriteEndObject();
            },
            found.Count == 0 ? null : found.Max(provider => provider.UpdatedAt));
    }

    private async Task CreateAsync(ApiContext context)
    {
        context.Enforce();
        var body = await context.ReadBodyAsync();
        var name = body.GetProperty("name").GetString()!;
        var uuid = body.TryGetProperty("uuid", out var given) ? Guid.Parse(given.GetString()!).ToString("D") : Guid.NewGuid().ToString("D");
        if (name.Length == 0)
        {
            throw CloudException.BadRequest($"Unable to create resource provider \"\", {uuid}: Object action create failed because: name is required");
        }

        var parent = body.TryGetProperty("parent_provider_uuid", out var value) ? value.GetString() : null;
        var created = await providers.CreateAsync(name, uuid, parent, context.Aborted);
        context.Http.Response.Headers.Location = Path(created.Uuid);
        if (context.Version.AtLeast(20))
        {
            await context.SendAsync(json => Write(json, created, context.Version), created.UpdatedAt);
        }
        else
        {
            await context.NoContentAsync(StatusCodes.Status201Created);
        }
    }

    private async Task ShowAsync(ApiContext context)
    {
        context.Enforce();
        context.CheckAccept();
        var uuid = context.Route("uuid");
        var provider = await providers.FindAsync(uuid, context.Aborted) ?? throw ResourceProviderStore.NotFound(uuid);
        await context.SendAsync(json => Write(json, provider, context.Version), provider.UpdatedAt);
    }

    private async Task UpdateAsync(ApiContext context)
    {
        context.Enforce();
        var body = await context.ReadBodyAsync();
        var parent = body.TryGetProperty("parent_provider_uuid", out var value) ? (true, value.GetString()) : (false, null);
        var updated = await providers.UpdateAsync(
            context.Route("uuid"), body.GetProperty("name").GetString()!, parent, context.Version.AtLeast(37), context.Aborted);
        await context.SendAsync(json => Write(json, updated, context.Version), updated.UpdatedAt);
    }

    private async Task DeleteAsync(ApiContext context)
    {
        context.Enforce();
        await providers.DeleteAsync(context.Route("uuid"), context.Aborted);
        await context.NoContentAsync();
    }

    private static string Path(string uuid) => $"/resource_providers/{uuid}";

    private static void Write(Utf8JsonWriter json, ResourceProvider provider, Microversion version)
    {
        json.WriteStartObject();
        json.WriteString("uuid", provider.Uuid);
        json.WriteString("name", provider.Name);
        json.WriteNumber("generation", provider.Generation);
        if (version.AtLeast(14))
        {
            json.WriteString("parent_provider_uuid", provider.ParentUuid);
            json.WriteString("root_provider_uuid", provider.RootUuid);
        }

        var path = Path(provider.Uuid);
        json.WriteStartArray("links");
        void Link(string rel, string href)
        {
            json.WriteStartObject();
            json.WriteString("rel", rel);
            json.WriteString("href", href);
            json.WriteEndObject();
        }

        Link("self", path);
        Link("inventories", path + "/inventories");
        Link("usages", path + "/usages");
        if (version.AtLeast(1))
        {
            Link("aggregates", path + "/aggregates");
        }

        if (version.AtLeast(6))
        {
            Link("traits", path + "/traits");
        }

        if (version.AtLeast(11))
        {
            Link("allocations", path + "/allocations");
        }

        json.WriteEndArray();
        json.WriteEndObject();
    }
}
