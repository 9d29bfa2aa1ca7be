using SharpStack.Foundation;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Policy;
using SharpStack.Placement.Allocations;
using SharpStack.Placement.Inventories;
using SharpStack.Placement.ResourceProviders;
using SharpStack.Placement.Storage;

namespace SharpStack.Placement.Reshaper;

/// <summary><c>POST /reshaper</c>: moves inventories between providers together with what is allocated from them, in one transaction.</summary>
internal sealed class ReshaperApi(PlacementStore store, NameCatalog catalog, AllocationWrites allocations)
{
    private const string Reshape = "placement:reshaper:reshape";

    public static readonly PolicyRule[] Policies = [PlacementPolicy.Changing(Reshape, "Reshape Inventory and Allocations.")];

    public void Map(ApiRoutes routes) =>
        routes.Post("/reshaper", ReshapeAsync).Policy(Reshape).Versions("1.30")
            .Body(Schema(28), max: "1.33")
            .Body(Schema(34), min: "1.34", max: "1.37")
            .Body(Schema(38), min: "1.38");

    private static JsonSchema Schema(int minor) => JsonSchema.Object(
        false,
        ("inventories!", new JsonSchema { Types = ["object"], MinProperties = 1, AdditionalAllowed = false, PatternProperties = [(PlacementApi.UuidPattern, Inventory.AllSchema)] }),
        ("allocations!", Claim.ManySchema(minor, minimum: 0)));

    private async Task ReshapeAsync(ApiContext context)
    {
        context.Enforce();
        var body = await context.ReadBodyAsync();
        var claims = Claim.ReadMany(body.GetProperty("allocations"), context.Version);
        var inventories = body.GetProperty("inventories").EnumerateObject()
            .Select(property => (Uuid: property.Name, Generation: property.Value.GetProperty("resource_provider_generation").Whole(), Inventories: Inventory.ReadAll(property.Value)))
            .ToList();
        try
        {
            await store.WriteAsync(
                async write =>
                {
                    var names = await catalog.CurrentAsync(write);
                    var wanted = new List<(ResourceProvider Provider, List<InventoryRow> Rows)>();
                    foreach (var (uuid, generation, list) in inventories)
                    {
                        var provider = await ResourceProviderStore.FindAsync(write.Db, uuid, write.Cancelled)
                            ?? throw CloudException.BadRequest(
                                $"Resource provider {uuid} in inventories not found: No resource provider with uuid {uuid} found", ErrorCodes.ProviderNotFound);
                        if (provider.Generation != generation)
                        {
                            throw CloudException.Conflict(
                                $"resource provider generation conflict for provider {uuid}: actual: {provider.Generation}, given: {generation}", ErrorCodes.ConcurrentUpdate);
                        }

                        wanted.Add((provider, list.ConvertAll(inventory => inventory.Row(provider.Id, names.ClassId(inventory.ResourceClass), write.Now))));
                    }

                    // What is to go stays until the allocations have left it; what is to come is there before they arrive.
                    foreach (var (provider, rows) in wanted.Where(entry => entry.Rows.Count > 0))
                    {
                        var former = await InventoryWrites.OfAsync(write.Db, provider.Id, write.Cancelled);
                        await InventoryWrites.ReplaceAsync(write, provider, [.. rows, .. former.ExceptBy(rows.Select(row => row.ClassId), row => row.ClassId)], names);
                    }

                    await allocations.ReplaceAsync(write, claims);
                    foreach (var (provider, rows) in wanted)
                    {
                        await InventoryWrites.ReplaceAsync(write, provider, rows, names);
                    }
                },
                context.Aborted);
        }
        catch (UnknownNameException unknown)
        {
            throw CloudException.BadRequest($"malformed reshaper data: {unknown.Message}");
        }
        catch (InventoryInUseException used)
        {
            throw CloudException.Conflict($"update conflict: {used.Message}", used.Code);
        }
        catch (AllocationRefusedException refused)
        {
            throw CloudException.Conflict($"Unable to allocate inventory: {refused.Message}");
        }

        await context.NoContentAsync();
    }
}
