using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Policy;
using SharpStack.Placement.ResourceProviders;
using SharpStack.Placement.Storage;

namespace SharpStack.Placement.Allocations;

/// <summary><c>/allocations</c>, by consumer and by provider.</summary>
internal sealed class AllocationApi(PlacementStore store, NameCatalog catalog, AllocationWrites writes)
{
    private const string List = "placement:allocations:list";
    private const string Manage = "placement:allocations:manage";
    private const string Update = "placement:allocations:update";
    private const string Delete = "placement:allocations:delete";
    private const string ListOfProvider = "placement:resource_providers:allocations:list";

    public static readonly PolicyRule[] Policies =
    [
        PlacementPolicy.Changing(Manage, "Manage allocations."),
        PlacementPolicy.Reading(List, "List allocations."),
        PlacementPolicy.Changing(Update, "Update allocations."),
        PlacementPolicy.Changing(Delete, "Delete allocations."),
        PlacementPolicy.Reading(ListOfProvider, "List resource provider allocations."),
    ];

    public void Map(ApiRoutes routes)
    {
        routes.Get("/allocations/{consumer_uuid}", ShowAsync).Policy(List);
        routes.Put("/allocations/{consumer_uuid}", PutAsync).Policy(Update)
            .Body(Claim.Schema(0), max: "1.7")
            .Body(Claim.Schema(8), min: "1.8", max: "1.11")
            .Body(Claim.Schema(12), min: "1.12", max: "1.27")
            .Body(Claim.Schema(28), min: "1.28", max: "1.33")
            .Body(Claim.Schema(34), min: "1.34", max: "1.37")
            .Body(Claim.Schema(38), min: "1.38");
        routes.Delete("/allocations/{consumer_uuid}", DeleteAsync).Policy(Delete);
        routes.Post("/allocations", PostAsync).Policy(Manage).Versions("1.13")
            .Body(Claim.ManySchema(13), max: "1.27")
            .Body(Claim.ManySchema(28), min: "1.28", max: "1.33")
            .Body(Claim.ManySchema(34), min: "1.34", max: "1.37")
            .Body(Claim.ManySchema(38), min: "1.38");
        routes.Get("/resource_providers/{uuid}/allocations", ListOfProviderAsync).Policy(ListOfProvider);
    }

    private async Task ShowAsync(ApiContext context)
    {
        context.Enforce();
        context.CheckAccept();
        var uuid = context.Route("consumer_uuid");
        await using var session = store.Read();
        var rows = await (
            from consumer in session.GetTable<ConsumerRow>()
            join allocation in session.GetTable<AllocationRow>() on consumer.Id equals allocation.ConsumerId
            join provider in session.GetTable<ProviderRow>() on allocation.ProviderId equals provider.Id
            where consumer.Uuid == uuid
            orderby provider.Id, allocation.ClassId
            select new { Consumer = consumer, provider.Uuid, provider.Generation, allocation.ClassId, allocation.Used, allocation.CreatedAt }).ToListAsync(context.Aborted);
        var names = await catalog.CurrentAsync(session, context.Aborted);
        await context.SendAsync(
            json =>
            {
                json.WriteStartObject();
                json.WriteStartObject("allocations");
                foreach (var provider in rows.GroupBy(row => (row.Uuid, row.Generation)))
                {
                    json.WriteStartObject(provider.Key.Uuid);
                    json.WriteNumber("generation", provider.Key.Generation);
                    WriteResources(json, provider.Select(row => (names.ClassName(row.ClassId), row.Used)));
                    json.WriteEndObject();
                }

                json.WriteEndObject();
                if (rows.Count > 0)
                {
                    WriteConsumer(json, rows[0].Consumer, context.Version);
                }

                json.WriteEndObject();
            },
            rows.Count == 0 ? null : rows.Max(row => row.CreatedAt));
    }

    private async Task ListOfProviderAsync(ApiContext context)
    {
        context.Enforce();
        context.CheckAccept();
        var uuid = context.Route("uuid");
        await using var session = store.Read();
        var provider = await ResourceProviderStore.FindAsync(session, uuid, context.Aborted)
            ?? throw CloudException.NotFound($"Resource provider '{uuid}' not found: No resource provider with uuid {uuid} found");
        var rows = await (
            from allocation in session.GetTable<AllocationRow>()
            join consumer in session.GetTable<ConsumerRow>() on allocation.ConsumerId equals consumer.Id
            where allocation.ProviderId == provider.Id
            orderby consumer.Id, allocation.ClassId
            select new { consumer.Uuid, consumer.Generation, allocation.ClassId, allocation.Used, allocation.CreatedAt }).ToListAsync(context.Aborted);
        var names = await catalog.CurrentAsync(session, context.Aborted);
        await context.SendAsync(
            json =>
            {
                json.WriteStartObject();
                json.WriteStartObject("allocations");
                foreach (var consumer in rows.GroupBy(row => (row.Uuid, row.Generation)))
                {
                    json.WriteStartObject(consumer.Key.Uuid);
                    WriteResources(json, consumer.Select(row => (names.ClassName(row.ClassId), row.Used)));
                    if (context.Version.AtLeast(28))
                    {
                        json.WriteNumber("consumer_generation", consumer.Key.Generation);
                    }

                    json.WriteEndObject();
                }

                json.WriteEndObject();
                json.WriteNumber("resource_provider_generation", provider.Generation);
                json.WriteEndObject();
            },
            rows.Count == 0 ? null : rows.Max(row => row.CreatedAt));
    }

    private async Task PutAsync(ApiContext context)
    {
        context.Enforce();
        var given = context.Route("consumer_uuid");
        if (!PlacementApi.IsUuid(given))
        {
            throw CloudException.BadRequest($"Malformed consumer_uuid: {given}");
        }

        var uuid = Guid.Parse(given).ToString("D");
        var claim = Claim.Read(uuid, await context.ReadBodyAsync(), context.Version);
        await ReplaceAsync([claim], $"Unable to allocate inventory for consumer {uuid}:", context.Aborted);
        await context.NoContentAsync();
    }

    private async Task PostAsync(ApiContext context)
    {
        context.Enforce();
        var claims = Claim.ReadMany(await context.ReadBodyAsync(), context.Version);
        await ReplaceAsync(claims, "Unable to allocate inventory", context.Aborted);
        await context.NoContentAsync();
    }

    private async Task DeleteAsync(ApiContext context)
    {
        context.Enforce();
        var uuid = context.Route("consumer_uuid");
        if (!await store.WriteAsync(write => AllocationWrites.DeleteAsync(write, uuid), context.Aborted))
        {
            throw CloudException.NotFound($"No allocations for consumer '{uuid}'");
        }

        await context.NoContentAsync();
    }

    private async Task ReplaceAsync(IReadOnlyList<Claim> claims, string unknownName, CancellationToken cancellationToken)
    {
        try
        {
            await store.WriteAsync(write => writes.ReplaceAsync(write, claims), cancellationToken);
        }
        catch (UnknownNameException unknown)
        {
            throw CloudException.BadRequest($"{unknownName} {unknown.Message}");
        }
        catch (AllocationRefusedException refused)
        {
            throw CloudException.Conflict($"Unable to allocate inventory: {refused.Message}");
        }
    }

    private static void WriteResources(Utf8JsonWriter json, IEnumerable<(string Name, long Amount)> resources)
    {
        json.WriteStartObject("resources");
        foreach (var (name, amount) in resources)
        {
            json.WriteNumber(name, amount);
        }

        json.WriteEndObject();
    }

    private static void WriteConsumer(Utf8JsonWriter json, ConsumerRow consumer, Microversion version)
    {
        if (version.AtLeast(12))
        {
            json.WriteString("project_id", consumer.ProjectId);
            json.WriteString("user_id", consumer.UserId);
        }

        if (version.AtLeast(28))
        {
            json.WriteNumber("consumer_generation", consumer.Generation);
        }

        if (version.AtLeast(38))
        {
            json.WriteString("consumer_type", consumer.ConsumerType ?? "unknown");
        }
    }
}
