using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using Microsoft.AspNetCore.Http;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Policy;
using SharpStack.Placement.ResourceProviders;
using SharpStack.Placement.Storage;

namespace SharpStack.Placement.Traits;

/// <summary><c>/traits</c> and the traits of a provider.</summary>
internal sealed class TraitApi(PlacementStore store, NameCatalog catalog)
{
    private const string List = "placement:traits:list";
    private const string Show = "placement:traits:show";
    private const string Update = "placement:traits:update";
    private const string Delete = "placement:traits:delete";
    private const string ListOfProvider = "placement:resource_providers:traits:list";
    private const string UpdateOfProvider = "placement:resource_providers:traits:update";
    private const string DeleteOfProvider = "placement:resource_providers:traits:delete";

    public static readonly PolicyRule[] Policies =
    [
        PlacementPolicy.Reading(List, "List traits."),
        PlacementPolicy.Reading(Show, "Show trait."),
        PlacementPolicy.Changing(Update, "Update trait."),
        PlacementPolicy.Changing(Delete, "Delete trait."),
        PlacementPolicy.Reading(ListOfProvider, "List resource provider traits."),
        PlacementPolicy.Changing(UpdateOfProvider, "Update resource provider traits."),
        PlacementPolicy.Changing(DeleteOfProvider, "Delete resource provider traits."),
    ];

    public void Map(ApiRoutes routes)
    {
        routes.Get("/traits", ListAsync).Policy(List).Versions("1.6");
        routes.Get("/traits/{name}", ShowAsync).Policy(Show).Versions("1.6");
        routes.Put("/traits/{name}", PutAsync).Policy(Update).Versions("1.6");
        routes.Delete("/traits/{name}", DeleteAsync).Policy(Delete).Versions("1.6");
        routes.Get("/resource_providers/{uuid}/traits", ListOfProviderAsync).Policy(ListOfProvider).Versions("1.6");
        routes.Put("/resource_providers/{uuid}/traits", SetOfProviderAsync).Policy(UpdateOfProvider).Versions("1.6")
            .Body(JsonSchema.Object(false, ("traits!", JsonSchema.Array(JsonSchema.String(1, 255))), ("resource_provider_generation!", JsonSchema.Integer())));
        routes.Delete("/resource_providers/{uuid}/traits", DeleteOfProviderAsync).Policy(DeleteOfProvider).Versions("1.6");
    }

    private async Task ListAsync(ApiContext context)
    {
        context.Enforce();
        context.CheckAccept();
        context.CheckQuery(name => name is "name" or "associated");
        var rows = (IEnumerable<TraitRow>)(await catalog.CurrentAsync(context.Aborted)).Traits;
        if (context.Query["name"] is { } expression)
        {
            var colon = expression.IndexOf(':', StringComparison.Ordinal);
            if (colon < 0)
            {
                throw CloudException.BadRequest(
                    "Badly formatted name parameter. Expected name query string parameter in form: "
                    + $"?name=[in|startswith]:[name1,name2|prefix]. Got: \"{expression}\"");
            }

            var value = expression[(colon + 1)..];
            rows = expression[..colon] switch
            {
                "in" => rows.IntersectBy(value.Split(','), row => row.Name),
                "startswith" => rows.Where(row => row.Name.StartsWith(value, StringComparison.Ordinal)),
                _ => rows,
            };
        }

        if (context.Query["associated"] is { } associated)
        {
            if (!bool.TryParse(associated, out var wanted))
            {
                throw CloudException.BadRequest("The query parameter \"associated\" only accepts \"true\" or \"false\"");
            }

            await using var session = store.Read();
            var used = (await session.GetTable<ProviderTraitRow>().Select(row => row.TraitId).Distinct().ToListAsync(context.Aborted)).ToHashSet();
            rows = rows.Where(row => used.Contains(row.Id) == wanted);
        }

        var listed = rows.ToList();
        await context.SendAsync(
            json =>
            {
                json.WriteStartObject();
                WriteNames(json, listed.Select(row => row.Name));
                json.WriteEndObject();
            },
            listed.Count == 0 ? null : listed.Max(row => row.CreatedAt));
    }

    private async Task ShowAsync(ApiContext context)
    {
        context.Enforce();
        var name = context.Route("name");
        var row = (await catalog.CurrentAsync(context.Aborted)).FindTrait(name) ?? throw NotFound(name);
        context.SetModified(row.CreatedAt);
        await context.NoContentAsync();
    }

    private async Task PutAsync(ApiContext context)
    {
        context.Enforce();
        var name = context.Route("name");
        if (name.Length > 255 || !PlacementApi.CustomNamePattern.IsMatch(name))
        {
            throw CloudException.BadRequest(
                "The trait is invalid. A valid trait must be no longer than 255 characters, start with the prefix \"CUSTOM_\" and use "
                + "following characters: \"A\"-\"Z\", \"0\"-\"9\" and \"_\"");
        }

        var known = (await catalog.CurrentAsync(context.Aborted)).FindTrait(name);
        var added = known is null && await store.WriteAsync(
            async write =>
            {
                var names = await catalog.CurrentAsync(write);
                if (names.FindTrait(name) is not null)
                {
                    return false;
                }

                await write.Db.InsertAsync(new TraitRow { Id = names.Traits.Max(row => row.Id) + 1, Name = name, CreatedAt = write.Now }, token: write.Cancelled);
                await write.NamesChangedAsync();
                return true;
            },
            context.Aborted);
        context.Http.Response.Headers.Location = $"/traits/{name}";
        context.SetModified(known?.CreatedAt);
        await context.NoContentAsync(added ? StatusCodes.Status201Created : StatusCodes.Status204NoContent);
    }

    private async Task DeleteAsync(ApiContext context)
    {
        context.Enforce();
        var name = context.Route("name");
        await store.WriteAsync(
            async write =>
            {
                var row = (await catalog.CurrentAsync(write)).FindTrait(name) ?? throw NotFound(name);
                if (!name.StartsWith(StandardNames.CustomPrefix, StringComparison.Ordinal))
                {
                    throw CloudException.BadRequest($"Cannot delete standard trait {name}.");
                }

                if (await write.Db.GetTable<ProviderTraitRow>().AnyAsync(used => used.TraitId == row.Id, write.Cancelled))
                {
                    throw CloudException.Conflict($"The trait {name} is in use by a resource provider.");
                }

                await write.Db.GetTable<TraitRow>().Where(removed => removed.Id == row.Id).DeleteAsync(write.Cancelled);
                await write.NamesChangedAsync();
            },
            context.Aborted);
        await context.NoContentAsync();
    }

    private async Task ListOfProviderAsync(ApiContext context)
    {
        context.Enforce();
        context.CheckAccept();
        var uuid = context.Route("uuid");
        await using var session = store.Read();
        var provider = await ResourceProviderStore.FindAsync(session, uuid, context.Aborted) ?? throw ResourceProviderStore.NotFoundFor(uuid);
        var traits = await TraitsOf(session, provider.Id).OrderBy(row => row.Id).ToListAsync(context.Aborted);
        await SendAsync(context, traits, provider.Generation);
    }

    private async Task SetOfProviderAsync(ApiContext context)
    {
        context.Enforce();
        var body = await context.ReadBodyAsync();
        var generation = body.GetProperty("resource_provider_generation").Whole();
        var wanted = body.GetProperty("traits").EnumerateArray().Select(item => item.GetString()!).ToHashSet();
        var uuid = context.Route("uuid");
        var (traits, now) = await store.WriteAsync(
            async write =>
            {
                var provider = await ResourceProviderStore.GetAsync(write.Db, uuid, write.Cancelled);
                if (provider.Generation != generation)
                {
                    throw CloudException.Conflict(
                        "Resource provider's generation already changed. Please update the generation and try again.", ErrorCodes.ConcurrentUpdate);
                }

                var names = await catalog.CurrentAsync(write);
                var unknown = wanted.Where(name => names.FindTrait(name) is null).Order(StringComparer.Ordinal).ToList();
                if (unknown.Count > 0)
                {
                    throw CloudException.BadRequest($"No such trait {string.Join(", ", unknown)}");
                }

                var traits = wanted.Select(name => names.FindTrait(name)!).OrderBy(row => row.Id).ToList();
                return (traits, await SetAsync(write, provider, traits));
            },
            context.Aborted);
        await SendAsync(context, traits, now);
    }

    private async Task DeleteOfProviderAsync(ApiContext context)
    {
        context.Enforce();
        var uuid = context.Route("uuid");
        await store.WriteAsync(
            async write => await SetAsync(write, await ResourceProviderStore.GetAsync(write.Db, uuid, write.Cancelled), []), context.Aborted);
        await context.NoContentAsync();
    }

    /// <returns>The provider's generation afterwards: the same one where nothing had to change.</returns>
    private static async Task<long> SetAsync(WriteSession write, ResourceProvider provider, IReadOnlyCollection<TraitRow> traits)
    {
        var table = write.Db.GetTable<ProviderTraitRow>();
        var existing = await table.Where(row => row.ProviderId == provider.Id).Select(row => row.TraitId).ToListAsync(write.Cancelled);
        var wanted = traits.Select(row => row.Id).ToList();
        var removed = existing.Except(wanted).ToList();
        var added = wanted.Except(existing).Select(id => new ProviderTraitRow { ProviderId = provider.Id, TraitId = id }).ToList();
        if (removed.Count + added.Count == 0)
        {
            return provider.Generation;
        }

        await table.Where(row => row.ProviderId == provider.Id && removed.Contains(row.TraitId)).DeleteAsync(write.Cancelled);
        await write.Db.BulkCopyAsync(added, write.Cancelled);
        await write.TouchAsync([provider.Id], raiseGeneration: true);
        return provider.Generation + 1;
    }

    private static IQueryable<TraitRow> TraitsOf(DataConnection session, long provider) =>
        from link in session.GetTable<ProviderTraitRow>()
        join trait in session.GetTable<TraitRow>() on link.TraitId equals trait.Id
        where link.ProviderId == provider
        select trait;

    private static Task SendAsync(ApiContext context, List<TraitRow> traits, long generation) =>
        context.SendAsync(
            json =>
            {
                json.WriteStartObject();
                WriteNames(json, traits.Select(row => row.Name));
                json.WriteNumber("resource_provider_generation", generation);
                json.WriteEndObject();
            },
            traits.Count == 0 ? null : traits.Max(row => row.CreatedAt));

    private static void WriteNames(Utf8JsonWriter json, IEnumerable<string> names)
    {
        json.WriteStartArray("traits");
        foreach (var name in names)
        {
            json.WriteStringValue(name);
        }

        json.WriteEndArray();
    }

    private static CloudException NotFound(string name) => CloudException.NotFound($"No such trait(s): {name}.");
}
