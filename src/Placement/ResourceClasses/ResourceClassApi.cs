using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using Microsoft.AspNetCore.Http;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Policy;
using SharpStack.Placement.Storage;

namespace SharpStack.Placement.ResourceClasses;

/// <summary><c>/resource_classes</c>: the standard ones, and <c>CUSTOM_…</c>.</summary>
internal sealed class ResourceClassApi(PlacementStore store, NameCatalog catalog)
{
    private const string List = "placement:resource_classes:list";
    private const string Create = "placement:resource_classes:create";
    private const string Show = "placement:resource_classes:show";
    private const string Update = "placement:resource_classes:update";
    private const string Delete = "placement:resource_classes:delete";

    public static readonly PolicyRule[] Policies =
    [
        PlacementPolicy.Reading(List, "List resource classes."),
        PlacementPolicy.Changing(Create, "Create resource class."),
        PlacementPolicy.Reading(Show, "Show resource class."),
        PlacementPolicy.Changing(Update, "Update resource class."),
        PlacementPolicy.Changing(Delete, "Delete resource class."),
    ];

    private static readonly JsonSchema Body = JsonSchema.Object(false, ("name!", JsonSchema.String(max: 255, pattern: PlacementApi.CustomNamePattern)));

    public void Map(ApiRoutes routes)
    {
        routes.Get("/resource_classes", ListAsync).Policy(List).Versions("1.2");
        routes.Post("/resource_classes", CreateAsync).Policy(Create).Versions("1.2").Body(Body);
        routes.Get("/resource_classes/{name}", ShowAsync).Policy(Show).Versions("1.2");
        routes.Put("/resource_classes/{name}", UpdateAsync).Policy(Update).Versions("1.2").Body(Body, max: "1.6");
        routes.Delete("/resource_classes/{name}", DeleteAsync).Policy(Delete).Versions("1.2");
    }

    private async Task ListAsync(ApiContext context)
    {
        context.Enforce();
        context.CheckAccept();
        var names = await catalog.CurrentAsync(context.Aborted);
        await context.SendAsync(
            json =>
            {
                json.WriteStartObject();
                json.WriteStartArray("resource_classes");
                foreach (var row in names.Classes)
                {
                    Write(json, row.Name);
                }

                json.WriteEndArray();
                json.WriteEndObject();
            },
            names.Classes.Max(row => row.CreatedAt));
    }

    private async Task CreateAsync(ApiContext context)
    {
        context.Enforce();
        var name = (await context.ReadBodyAsync()).GetProperty("name").GetString()!;
        if (!await AddAsync(name, context.Aborted))
        {
            throw CloudException.Conflict($"Conflicting resource class already exists: {name}");
        }

        context.Http.Response.Headers.Location = Path(name);
        await context.NoContentAsync(StatusCodes.Status201Created);
    }

    private async Task ShowAsync(ApiContext context)
    {
        context.Enforce();
        context.CheckAccept();
        var name = context.Route("name");
        var row = (await catalog.CurrentAsync(context.Aborted)).FindClass(name) ?? throw NotFound(name);
        await context.SendAsync(json => Write(json, name), row.CreatedAt);
    }

    /// <summary>Until 1.6 it renames; from 1.7 on it makes sure that the class is there.</summary>
    private async Task UpdateAsync(ApiContext context)
    {
        context.Enforce();
        var name = context.Route("name");
        if (!context.Version.AtLeast(7))
        {
            var renamed = (await context.ReadBodyAsync()).GetProperty("name").GetString()!;
            await RenameAsync(name, renamed, context.Aborted);
            await context.SendAsync(json => Write(json, renamed));
            return;
        }

        if (!PlacementApi.CustomNamePattern.IsMatch(name))
        {
            throw CloudException.BadRequest($"JSON does not validate: '{name}' does not match '{PlacementApi.CustomNamePattern}'");
        }

        if (name.Length > 255)
        {
            throw CloudException.BadRequest($"JSON does not validate: '{name}' is too long");
        }

        var added = await AddAsync(name, context.Aborted);
        context.Http.Response.Headers.Location = Path(name);
        await context.NoContentAsync(added ? StatusCodes.Status201Created : StatusCodes.Status204NoContent);
    }

    private async Task DeleteAsync(ApiContext context)
    {
        context.Enforce();
        var name = context.Route("name");
        await store.WriteAsync(
            async write =>
            {
                var row = (await catalog.CurrentAsync(write)).FindClass(name) ?? throw NotFound(name);
                if (row.Id < StandardNames.FirstCustomClass)
                {
                    throw CloudException.BadRequest($"Error in delete resource class: Cannot delete standard resource class {name}.");
                }

                if (await write.Db.GetTable<InventoryRow>().AnyAsync(inventory => inventory.ClassId == row.Id, write.Cancelled))
                {
                    throw CloudException.Conflict($"Error in delete resource class: Cannot delete resource class {name}. Class is in use in inventory.");
                }

                await write.Db.GetTable<ResourceClassRow>().Where(removed => removed.Id == row.Id).DeleteAsync(write.Cancelled);
                await write.NamesChangedAsync();
            },
            context.Aborted);
        await context.NoContentAsync();
    }

    /// <returns>False where it is there already.</returns>
    private async Task<bool> AddAsync(string name, CancellationToken cancellationToken) =>
        (await catalog.CurrentAsync(cancellationToken)).FindClass(name) is null && await store.WriteAsync(
            async write =>
            {
                var names = await catalog.CurrentAsync(write);
                if (names.FindClass(name) is not null)
                {
                    return false;
                }

                var id = Math.Max(StandardNames.FirstCustomClass, names.Classes.Max(row => row.Id) + 1);
                await write.Db.InsertAsync(new ResourceClassRow { Id = id, Name = name, CreatedAt = write.Now }, token: cancellationToken);
                await write.NamesChangedAsync();
                return true;
            },
            cancellationToken);

    private Task RenameAsync(string name, string renamed, CancellationToken cancellationToken) =>
        store.WriteAsync(
            async write =>
            {
                var names = await catalog.CurrentAsync(write);
                var row = names.FindClass(name) ?? throw NotFound(name);
                if (row.Id < StandardNames.FirstCustomClass)
                {
                    throw CloudException.BadRequest($"Cannot update standard resource class {name}");
                }

                if (names.FindClass(renamed) is { } other && other.Id != row.Id)
                {
                    throw CloudException.Conflict($"Resource class already exists: {renamed}");
                }

                await write.Db.GetTable<ResourceClassRow>().Where(changed => changed.Id == row.Id).Set(changed => changed.Name, renamed).UpdateAsync(cancellationToken);
                await write.NamesChangedAsync();
                // Providers in memory carry written-out names of their classes.
                await write.StructureChangedAsync();
            },
            cancellationToken);

    private static CloudException NotFound(string name) => CloudException.NotFound($"No such resource class {name}.");

    private static string Path(string name) => $"/resource_classes/{name}";

    private static void Write(Utf8JsonWriter json, string name)
    {
        json.WriteStartObject();
        json.WriteString("name", name);
        json.WriteStartArray("links");
        json.WriteStartObject();
        json.WriteString("rel", "self");
        json.WriteString("href", Path(name));
        json.WriteEndObject();
        json.WriteEndArray();
        json.WriteEndObject();
    }
}
