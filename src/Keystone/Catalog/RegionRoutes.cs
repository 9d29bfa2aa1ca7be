using System.Collections.Frozen;
using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;
using SharpStack.Keystone.Policies;
using SharpStack.Keystone.Storage;

namespace SharpStack.Keystone.Catalog;

internal sealed class RegionRoutes(KeystoneStore store, Answers answers) : RowRoutes<RegionRow>(store, answers, "regions", "region", "region")
{
    private static readonly FrozenSet<string> Columns = FrozenSet.ToFrozenSet(["id", "parent_region_id", "description", "links"]);

    private static readonly JsonSchema Schema = JsonSchema.Object(
        true, ("id", JsonSchema.String(0, 255)), ("parent_region_id", Schemas.Text.OrNull()), ("description", Schemas.Text.OrNull()));

    public void Map(ApiRoutes routes)
    {
        MapRows(routes, "/v3/regions", Schema);
        routes.Put("/v3/regions/{region_id}", CreateAsync).Policy("identity:create_region").Body(Schemas.Envelope("region", Schema));
    }

    /// <summary>A region and those nested in it, level by level.</summary>
    public static async Task<List<string>> TreeAsync(DataConnection db, string id, CancellationToken cancellationToken)
    {
        List<string> ids = [id];
        for (List<string> level = ids; level.Count > 0;)
        {
            var parents = level;
            var below = await db.Regions().Where(r => parents.Contains(r.ParentRegionId!)).Select(static r => r.Id).ToListAsync(cancellationToken);
            level = [.. below.Except(ids)];
            ids = [.. ids, .. level];
        }
        return ids;
    }

    protected override void Write(Utf8JsonWriter json, RegionRow row, string root)
    {
        json.WriteStartObject();
        json.WriteString("id", row.Id);
        json.WriteString("description", row.Description);
        json.WriteString("parent_region_id", row.ParentRegionId);
        JsonText.WriteMembers(json, row.Extra);
        json.WriteSelfLink($"{root}/regions/{row.Id.Escaped()}");
        json.WriteEndObject();
    }

    protected override IQueryable<RegionRow> Filter(ApiContext context, IQueryable<RegionRow> query) =>
        Answers.Where(context, query, "parent_region_id", static r => r.ParentRegionId);

    protected override RegionRow Create(ApiContext context, JsonElement body)
    {
        var inPath = context.Http.Request.RouteValues["region_id"] as string;
        var inBody = body.Text("id") is { Length: > 0 } given ? given : null;
        if (inPath is not null && inBody is not null && inPath != inBody)
        {
            throw CloudException.BadRequest($"Conflicting region IDs specified: \"{inPath}\" != \"{inBody}\"");
        }
        return new()
        {
            Id = inPath ?? inBody ?? Names.NewId(),
            ParentRegionId = body.Text("parent_region_id"),
            Description = body.Text("description") ?? "",
            Extra = JsonText.Merge(JsonText.Empty, body, Columns),
        };
    }

    protected override CloudException Duplicate(RegionRow row) => Fail.Conflict("region", $"Duplicate ID, {row.Id}.");

    protected override RegionRow Change(RegionRow current, JsonElement body) => current with
    {
        ParentRegionId = body.TextOr("parent_region_id", current.ParentRegionId),
        Description = body.TextOr("description", current.Description) ?? "",
        Extra = JsonText.Merge(current.Extra, body, Columns),
    };

    protected override async Task CheckAsync(DataConnection db, RegionRow row, JsonElement body, CancellationToken cancellationToken)
    {
        for (var parent = row.ParentRegionId; parent is not null;)
        {
            if (parent == row.Id)
            {
                throw CloudException.BadRequest($"The specified parent region {row.ParentRegionId} would create a circular region hierarchy.");
            }
            parent = (await FindAsync(db, parent, cancellationToken)).ParentRegionId;
        }
    }

    protected override async Task DeleteRowsAsync(DataConnection db, RegionRow row, CancellationToken cancellationToken)
    {
        var ids = await TreeAsync(db, row.Id, cancellationToken);
        if (await db.Endpoints().AnyAsync(e => ids.Contains(e.RegionId!), cancellationToken))
        {
            throw CloudException.Forbidden($"Unable to delete region {row.Id} because it or its child regions have associated endpoints.");
        }
        await db.PolicyAssociations().Where(a => ids.Contains(a.RegionId)).DeleteAsync(cancellationToken);
        await db.Regions().Where(r => ids.Contains(r.Id)).DeleteAsync(cancellationToken);
    }
}
