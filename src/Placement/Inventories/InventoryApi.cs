using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using Microsoft.AspNetCore.Http;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Policy;
using SharpStack.Placement.ResourceProviders;
using SharpStack.Placement.Storage;

namespace SharpStack.Placement.Inventories;

/// <summary><c>/resource_providers/{uuid}/inventories</c>.</summary>
internal sealed class InventoryApi(PlacementStore store, NameCatalog catalog)
{
    private const string List = "placement:resource_providers:inventories:list";
    private const string Create = "placement:resource_providers:inventories:create";
    private const string Show = "placement:resource_providers:inventories:show";
    private const string Update = "placement:resource_providers:inventories:update";
    private const string Delete = "placement:resource_providers:inventories:delete";
    private const string All = "/resource_providers/{uuid}/inventories";
    private const string One = "/resource_providers/{uuid}/inventories/{resource_class}";

    public static readonly PolicyRule[] Policies =
    [
        PlacementPolicy.Reading(List, "List resource provider inventories."),
        PlacementPolicy.Changing(Create, "Create one resource provider inventory."),
        PlacementPolicy.Reading(Show, "Show resource provider inventory."),
        PlacementPolicy.Changing(Update, "Update resource provider inventory."),
        PlacementPolicy.Changing(Delete, "Delete resource provider inventory."),
    ];

    public void Map(ApiRoutes routes)
    {
        routes.Get(All, ListAsync).Policy(List);
        routes.Post(All, CreateAsync).Policy(Create).Body(Inventory.NewSchema);
        routes.Put(All, SetAsync).Policy(Update).Body(Inventory.AllSchema);
        routes.Delete(All, DeleteAllAsync).Policy(Delete);
        routes.Get(One, ShowAsync).Policy(Show);
        routes.Put(One, UpdateAsync).Policy(Update).Body(Inventory.OneSchema);
        routes.Delete(One, DeleteAsync).Policy(Delete);
    }

    private async Task ListAsync(ApiContext context)
    {
        context.Enforce();
        context.CheckAccept();
        var uuid = context.Route("uuid");
        await using var session = store.Read();
        var provider = await ResourceProviderStore.FindAsync(session, uuid, context.Aborted) ?? throw ResourceProviderStore.NotFoundFor(uuid);
        var rows = await InventoryWrites.OfAsync(session, provider.Id, context.Aborted);
        await SendAllAsync(context, rows, await catalog.CurrentAsync(session, context.Aborted), provider.Generation);
    }

    private async Task ShowAsync(ApiContext context)
    {
        context.Enforce();
        context.CheckAccept();
        var uuid = context.Route("uuid");
        var resourceClass = context.Route("resource_class");
        await using var session = store.Read();
        var provider = await ResourceProviderStore.FindAsync(session, uuid, context.Aborted) ?? throw ResourceProviderStore.NotFoundFor(uuid);
        var classId = (await catalog.CurrentAsync(session, context.Aborted)).FindClass(resourceClass)?.Id ?? -1;
        var row = await session.GetTable<InventoryRow>().FirstOrDefaultAsync(row => row.ProviderId == provider.Id && row.ClassId == classId, context.Aborted)
            ?? throw CloudException.NotFound($"No inventory of class {resourceClass} for {uuid}");
        await SendOneAsync(context, row, provider.Generation);
    }

    private async Task CreateAsync(ApiContext context)
    {
        context.Enforce();
        var body = await context.ReadBodyAsync();
        var inventory = Inventory.Read(body.GetProperty("resource_class").GetString()!, body);
        var uuid = context.Route("uuid");
        var (row, generation) = await store.WriteAsync(
            async write =>
            {
                var provider = await ResourceProviderStore.GetAsync(write.Db, uuid, write.Cancelled);
                InventoryWrites.CheckCapacity([inventory], uuid, context.Version, "Unable to create inventory for resource provider");
                var classId = (await catalog.CurrentAsync(write)).FindClass(inventory.ResourceClass)?.Id
                    ?? throw CloudException.BadRequest($"Unable to create inventory for resource provider {uuid}: No such resource class {inventory.ResourceClass}.");
                if (await write.Db.GetTable<InventoryRow>().AnyAsync(row => row.ProviderId == provider.Id && row.ClassId == classId, write.Cancelled))
                {
                    throw CloudException.Conflict($"Update conflict: the provider has an inventory of {inventory.ResourceClass} already: change it with PUT.", ErrorCodes.ConcurrentUpdate);
                }

                var row = inventory.Row(provider.Id, classId, write.Now);
                await write.Db.InsertAsync(row, token: write.Cancelled);
                await write.TouchAsync([provider.Id], raiseGeneration: true);
                return (row, provider.Generation + 1);
            },
            context.Aborted);
        context.Http.Response.Headers.Location = $"/resource_providers/{uuid}/inventories/{inventory.ResourceClass}";
        await SendOneAsync(context, row, generation, StatusCodes.Status201Created);
    }

    private async Task SetAsync(ApiContext context)
    {
        context.Enforce();
        var body = await context.ReadBodyAsync();
        var inventories = Inventory.ReadAll(body);
        var uuid = context.Route("uuid");
        var (rows, names, generation) = await store.WriteAsync(
            async write =>
            {
                var provider = await ResourceProviderStore.GetAsync(write.Db, uuid, write.Cancelled);
                CheckGeneration(body, provider);
                InventoryWrites.CheckCapacity(inventories, uuid, context.Version, "Unable to update inventory for resource provider");
                var names = await catalog.CurrentAsync(write);
                try
                {
                    var rows = inventories.ConvertAll(inventory => inventory.Row(provider.Id, names.ClassId(inventory.ResourceClass), write.Now));
                    await InventoryWrites.ReplaceAsync(write, provider, rows, names);
                    return (rows, names, provider.Generation + 1);
                }
                catch (UnknownNameException unknown)
                {
                    throw CloudException.BadRequest($"Unknown resource class in inventory for resource provider {uuid}: {unknown.Message}");
                }
                catch (InventoryInUseException used)
                {
                    throw CloudException.Conflict($"update conflict: {used.Message}", used.Code);
                }
            },
            context.Aborted);
        await SendAllAsync(context, rows, names, generation);
    }

    private async Task UpdateAsync(ApiContext context)
    {
        context.Enforce();
        var body = await context.ReadBodyAsync();
        var inventory = Inventory.Read(context.Route("resource_class"), body);
        var uuid = context.Route("uuid");
        var (row, generation) = await store.WriteAsync(
            async write =>
            {
                var provider = await ResourceProviderStore.GetAsync(write.Db, uuid, write.Cancelled);
                CheckGeneration(body, provider);
                InventoryWrites.CheckCapacity([inventory], uuid, context.Version, "Unable to update inventory for resource provider");
                var classId = (await catalog.CurrentAsync(write)).FindClass(inventory.ResourceClass)?.Id
                    ?? throw CloudException.BadRequest($"No inventory record with resource class for resource provider {uuid}: No such resource class {inventory.ResourceClass}.");
                var row = inventory.Row(provider.Id, classId, write.Now);
                if (await write.Db.UpdateAsync(row, token: write.Cancelled) == 0)
                {
                    throw CloudException.BadRequest(
                        $"No inventory record with resource class for resource provider {uuid}: No inventory of class {inventory.ResourceClass} found.");
                }

                await write.TouchAsync([provider.Id], raiseGeneration: true);
                return (row, provider.Generation + 1);
            },
            context.Aborted);
        await SendOneAsync(context, row, generation);
    }

    private async Task DeleteAsync(ApiContext context)
    {
        context.Enforce();
        var uuid = context.Route("uuid");
        var resourceClass = context.Route("resource_class");
        await store.WriteAsync(
            async write =>
            {
                var provider = await ResourceProviderStore.GetAsync(write.Db, uuid, write.Cancelled);
                CloudException NotFound(string why) => CloudException.NotFound($"No inventory of class {resourceClass} found for delete: {why}");
                var names = await catalog.CurrentAsync(write);
                var classId = names.FindClass(resourceClass)?.Id ?? throw NotFound($"No such resource class {resourceClass}.");
                if (!await write.Db.GetTable<InventoryRow>().AnyAsync(row => row.ProviderId == provider.Id && row.ClassId == classId, write.Cancelled))
                {
                    throw NotFound($"No inventory of class {resourceClass} found for delete");
                }

                try
                {
                    await InventoryWrites.RemoveAsync(write, provider, [classId], names);
                }
                catch (InventoryInUseException used)
                {
                    throw CloudException.Conflict($"Unable to delete inventory of class {resourceClass}: {used.Message}", ErrorCodes.ConcurrentUpdate);
                }

                await write.TouchAsync([provider.Id], raiseGeneration: true);
            },
            context.Aborted);
        await context.NoContentAsync();
    }

    private async Task DeleteAllAsync(ApiContext context)
    {
        context.Enforce();
        if (!context.Version.AtLeast(5))
        {
            throw new CloudException(ErrorKind.MethodNotAllowed, "The method specified is not allowed for this resource.");
        }

        var uuid = context.Route("uuid");
        await store.WriteAsync(
            async write => await InventoryWrites.ReplaceAsync(
                write, await ResourceProviderStore.GetAsync(write.Db, uuid, write.Cancelled), [], await catalog.CurrentAsync(write)),
            context.Aborted);
        await context.NoContentAsync();
    }

    private static void CheckGeneration(JsonElement body, ResourceProvider provider)
    {
        if (body.GetProperty("resource_provider_generation").Whole() != provider.Generation)
        {
            throw CloudException.Conflict("resource provider generation conflict", ErrorCodes.ConcurrentUpdate);
        }
    }

    private static Task SendAllAsync(ApiContext context, List<InventoryRow> rows, Names names, long generation) =>
        context.SendAsync(
            json =>
            {
                json.WriteStartObject();
                json.WriteNumber("resource_provider_generation", generation);
                json.WriteStartObject("inventories");
                foreach (var row in rows)
                {
                    json.WriteStartObject(names.ClassName(row.ClassId));
                    Inventory.WriteFields(json, row);
                    json.WriteEndObject();
                }

                json.WriteEndObject();
                json.WriteEndObject();
            },
            rows.Count == 0 ? null : rows.Max(row => row.UpdatedAt));

    private static Task SendOneAsync(ApiContext context, InventoryRow row, long generation, int status = StatusCodes.Status200OK) =>
        context.SendAsync(
            json =>
            {
                json.WriteStartObject();
                Inventory.WriteFields(json, row);
                json.WriteNumber("resource_provider_generation", generation);
                json.WriteEndObject();
            },
            row.UpdatedAt,
            status);
}
