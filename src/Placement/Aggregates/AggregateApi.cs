using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Policy;
using SharpStack.Placement.ResourceProviders;
using SharpStack.Placement.Storage;

namespace SharpStack.Placement.Aggregates;

/// <summary>The aggregates that a provider belongs to; they are names only, given as UUIDs.</summary>
internal sealed class AggregateApi(PlacementStore store)
{
    private const string List = "placement:resource_providers:aggregates:list";
    private const string Update = "placement:resource_providers:aggregates:update";

    public static readonly PolicyRule[] Policies =
    [
        PlacementPolicy.Reading(List, "List resource provider aggregates."),
        PlacementPolicy.Changing(Update, "Update resource provider aggregates."),
    ];

    private static readonly JsonSchema Uuids = JsonSchema.Array(JsonSchema.Uuid, unique: true);

    public void Map(ApiRoutes routes)
    {
        routes.Get("/resource_providers/{uuid}/aggregates", ListAsync).Policy(List).Versions("1.1");
        routes.Put("/resource_providers/{uuid}/aggregates", SetAsync).Policy(Update).Versions("1.1")
            .Body(Uuids, max: "1.18")
            .Body(JsonSchema.Object(false, ("aggregates!", Uuids), ("resource_provider_generation!", JsonSchema.Integer())), min: "1.19");
    }

    private async Task ListAsync(ApiContext context)
    {
        context.Enforce();
        context.CheckAccept();
        await using var session = store.Read();
        var provider = await ResourceProviderStore.GetAsync(session, context.Route("uuid"), context.Aborted);
        var aggregates = await session.GetTable<ProviderAggregateRow>().Where(row => row.ProviderId == provider.Id)
            .Select(row => row.Aggregate).OrderBy(aggregate => aggregate).ToListAsync(context.Aborted);
        await SendAsync(context, aggregates, provider.Generation);
    }

    private async Task SetAsync(ApiContext context)
    {
        context.Enforce();
        var body = await context.ReadBodyAsync();
        var withGeneration = context.Version.AtLeast(19);
        var aggregates = (withGeneration ? body.GetProperty("aggregates") : body).EnumerateArray().Select(item => item.GetString()!).ToList();
        var uuid = context.Route("uuid");
        var generation = await store.WriteAsync(
            async write =>
            {
                var provider = await ResourceProviderStore.GetAsync(write.Db, uuid, write.Cancelled);
                if (withGeneration && body.GetProperty("resource_provider_generation").Whole() != provider.Generation)
                {
                    throw CloudException.Conflict(
                        "Resource provider's generation already changed. Please update the generation and try again.", ErrorCodes.ConcurrentUpdate);
                }

                await write.Db.GetTable<ProviderAggregateRow>().Where(row => row.ProviderId == provider.Id).DeleteAsync(write.Cancelled);
                await write.Db.BulkCopyAsync(
                    aggregates.Select(aggregate => new ProviderAggregateRow { ProviderId = provider.Id, Aggregate = aggregate }), write.Cancelled);
                await write.TouchAsync([provider.Id], raiseGeneration: withGeneration);
                return provider.Generation + (withGeneration ? 1 : 0);
            },
            context.Aborted);
        await SendAsync(context, aggregates, generation);
    }

    private static Task SendAsync(ApiContext context, IReadOnlyList<string> aggregates, long generation) =>
        context.SendAsync(json =>
        {
            json.WriteStartObject();
            json.WriteStartArray("aggregates");
            foreach (var aggregate in aggregates)
            {
                json.WriteStringValue(aggregate);
            }

            json.WriteEndArray();
            if (context.Version.AtLeast(19))
            {
                json.WriteNumber("resource_provider_generation", generation);
            }

            json.WriteEndObject();
        });
}
