using System.Collections.Frozen;
using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Policy;
using SharpStack.Foundation.Storage;
using SharpStack.Keystone.Storage;

namespace SharpStack.Keystone.Catalog;

internal sealed class RegionRoutes(KeystoneStore store, Answers answers)
{
    private static readonly FrozenSet<string> Columns = FrozenSet.ToFrozenSet(["id", "parent_region_id", "description", "links"]);

    private static readonly JsonSchema Create = JsonSchema.Object(
        true, ("id", JsonSchema.String(0, 255)), ("parent_region_id", Schemas.Text.OrNull()), ("description", Schemas.Text.OrNull()));

    public void Map(ApiRoutes routes)
    {
        routes.Read("/v3/regions", ListAsync, "identity:list_regions");
        routes.Post("/v3/regions", CreateAsync).Policy("identity:create_region").Body(Schemas.Envelope("region", Create));
        routes.Put("/v3/regions/{region_id}", CreateAsync).Policy("identity:create_region").Body(Schemas.Envelope("region", Create));
        routes.Read("/v3/regions/{region_id}", ShowAsync, "identity:get_region");
        routes.Patch("/v3/regions/{region_id}", UpdateAsync).Policy("identity:update_region").Body(Schemas.Envelope("region", Create.Update()));
        routes.Delete("/v3/regions/{region_id}", DeleteAsync).Policy("identity:delete_region");
    }

    private static void Write(Utf8JsonWriter json, RegionRow region, string root)
    {
        json.WriteStartObject();
        json.WriteString("id", region.Id);
        json.WriteString("description", region.Description);
        json.WriteString("parent_region_id", region.ParentRegionId);
        JsonText.WriteMembers(json, region.Extra);
        json.WriteSelfLink($"{root}/regions/{region.Id.Escaped()}");
        json.WriteEndObject();
    }

    private async Task<RegionRow> EnforcedAsync(ApiContext context)
    {
        context.Enforce(PolicyTarget.Empty);
        var id = context.Route("region_id");
        await using var db = store.Read();
        return await db.Regions().FirstOrDefaultAsync(r => r.Id == id, context.Aborted) ?? throw Fail.NotFound("region", id);
    }

    private async Task ListAsync(ApiContext context)
    {
        context.Enforce(PolicyTarget.Empty);
        await using var db = store.Read();
        IQueryable<RegionRow> query = db.Regions();
        if (context.Query["parent_region_id"] is { } parent)
        {
            query = query.Where(r => r.ParentRegionId == parent);
        }
        await answers.CollectionAsync(context, "regions", await answers.PageAsync(context, query, static r => r.Id), Write);
    }

    private async Task CreateAsync(ApiContext context)
    {
        context.Enforce(PolicyTarget.Empty);
        var body = (await context.ReadJsonAsync()).GetProperty("region");
        var inPath = context.Http.Request.RouteValues["region_id"] as string;
        var inBody = body.Text("id") is { Length: > 0 } given ? given : null;
        if (inPath is not null && inBody is not null && inPath != inBody)
        {
            throw CloudException.BadRequest($"Conflicting region IDs specified: \"{inPath}\" != \"{inBody}\"");
        }
        var region = new RegionRow
        {
            Id = inPath ?? inBody ?? Names.NewId(),
            ParentRegionId = body.Text("parent_region_id"),
            Description = body.Text("description") ?? "",
            Extra = JsonText.Merge(JsonText.Empty, body, Columns),
        };
        try
        {
            await store.WriteAsync(
                async db =>
                {
                    await CheckParentAsync(db, region, context.Aborted);
                    await db.InsertAsync(region, token: context.Aborted);
                },
                context.Aborted);
        }
        catch (UniqueConstraintException)
        {
            throw Fail.Conflict("region", $"Duplicate ID, {region.Id}.");
        }
        await answers.MemberAsync(context, 201, "region", region, Write);
    }

    private async Task ShowAsync(ApiContext context) => await answers.MemberAsync(context, 200, "region", await EnforcedAsync(context), Write);

    private async Task UpdateAsync(ApiContext context)
    {
        var before = await EnforcedAsync(context);
        var body = await context.ReadMemberAsync("region", before.Id);
        var after = before;
        await store.WriteAsync(
            async db =>
            {
                var current = await db.Regions().FirstOrDefaultAsync(r => r.Id == before.Id, context.Aborted) ?? throw Fail.NotFound("region", before.Id);
                after = current with
                {
                    ParentRegionId = body.TextOr("parent_region_id", current.ParentRegionId),
                    Description = body.TextOr("description", current.Description) ?? "",
                    Extra = JsonText.Merge(current.Extra, body, Columns),
                };
                await CheckParentAsync(db, after, context.Aborted);
                await db.UpdateAsync(after, token: context.Aborted);
            },
            context.Aborted);
        await answers.MemberAsync(context, 200, "region", after, Write);
    }

    private async Task DeleteAsync(ApiContext context)
    {
        var region = await EnforcedAsync(context);
        await store.WriteAsync(
            async db =>
            {
                List<string> ids = [region.Id];
                for (List<string> level = ids; level.Count > 0;)
                {
                    var parents = level;
                    level = await db.Regions().Where(r => parents.Contains(r.ParentRegionId!)).Select(static r => r.Id).ToListAsync(context.Aborted);
                    ids.AddRange(level);
                }
                if (await db.Endpoints().AnyAsync(e => ids.Contains(e.RegionId!), context.Aborted))
                {
                    throw CloudException.Forbidden($"Unable to delete region {region.Id} because it or its child regions have associated endpoints.");
                }
                await db.Regions().Where(r => ids.Contains(r.Id)).DeleteAsync(context.Aborted);
            },
            context.Aborted);
        await context.NoContentAsync();
    }

    private static async Task CheckParentAsync(DataConnection db, RegionRow region, CancellationToken cancellationToken)
    {
        for (var parent = region.ParentRegionId; parent is not null;)
        {
            if (parent == region.Id)
            {
                throw CloudException.BadRequest($"The specified parent region {region.ParentRegionId} would create a circular region hierarchy.");
            }
            var id = parent;
            var row = await db.Regions().FirstOrDefaultAsync(r => r.Id == id, cancellationToken) ?? throw Fail.NotFound("region", id);
            parent = row.ParentRegionId;
        }
    }
}
