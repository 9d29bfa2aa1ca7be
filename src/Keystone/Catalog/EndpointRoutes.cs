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

internal sealed class EndpointRoutes(KeystoneStore store, Answers answers) : RowRoutes<EndpointRow>(store, answers, "endpoints", "endpoint", "endpoint")
{
    private static readonly FrozenSet<string> Columns =
        FrozenSet.ToFrozenSet(["id", "service_id", "interface", "region", "region_id", "url", "enabled", "links"]);

    private static readonly JsonSchema Schema = JsonSchema.Object(
        true,
        ("interface!", new JsonSchema { Types = ["string"], EnumTexts = ["admin", "internal", "public"] }),
        ("service_id!", Schemas.Text),
        ("url!", Schemas.Url),
        ("region_id", Schemas.Text.OrNull()),
        ("region", Schemas.Text.OrNull()),
        ("enabled", JsonSchema.Boolean));

    public void Map(ApiRoutes routes) => MapRows(routes, "/v3/endpoints", Schema);

    public static void WriteEndpoint(Utf8JsonWriter json, EndpointRow endpoint, string root)
    {
        json.WriteStartObject();
        json.WriteString("id", endpoint.Id);
        json.WriteString("interface", endpoint.Interface);
        json.WriteString("region_id", endpoint.RegionId);
        json.WriteString("region", endpoint.RegionId);
        json.WriteString("service_id", endpoint.ServiceId);
        json.WriteString("url", endpoint.Url);
        json.WriteBoolean("enabled", endpoint.Enabled);
        JsonText.WriteMembers(json, endpoint.Extra);
        json.WriteSelfLink($"{root}/endpoints/{endpoint.Id.Escaped()}");
        json.WriteEndObject();
    }

    protected override bool IsAbsenceOpen => true;

    protected override void Write(Utf8JsonWriter json, EndpointRow row, string root) => WriteEndpoint(json, row, root);

    protected override IQueryable<EndpointRow> Filter(ApiContext context, IQueryable<EndpointRow> query)
    {
        query = Answers.Where(context, query, "interface", static e => e.Interface);
        query = Answers.Where(context, query, "service_id", static e => e.ServiceId);
        query = Answers.Where(context, query, "region", static e => e.RegionId);
        return Answers.Where(context, query, "region_id", static e => e.RegionId);
    }

    protected override EndpointRow Create(ApiContext context, JsonElement body) => new()
    {
        Id = Names.NewId(),
        ServiceId = body.Text("service_id")!,
        Interface = body.Text("interface")!,
        RegionId = body.Text("region_id") ?? body.Text("region"),
        Url = body.Text("url")!,
        Enabled = body.Flag("enabled") ?? true,
        Extra = JsonText.Merge(JsonText.Empty, body, Columns),
    };

    protected override EndpointRow Change(EndpointRow current, JsonElement body) => current with
    {
        ServiceId = body.Text("service_id") ?? current.ServiceId,
        Interface = body.Text("interface") ?? current.Interface,
        RegionId = body.Text("region_id") ?? body.Text("region") ?? current.RegionId,
        Url = body.Text("url") ?? current.Url,
        Enabled = body.Flag("enabled") ?? current.Enabled,
        Extra = JsonText.Merge(current.Extra, body, Columns),
    };

    /// <summary>A region given by the old name <c>region</c> is made where it does not exist; one given by <c>region_id</c> must exist.</summary>
    protected override async Task CheckAsync(DataConnection db, EndpointRow row, JsonElement body, CancellationToken cancellationToken)
    {
        if (ServiceCatalog.UnknownPlace(row.Url))
        {
            throw CloudException.BadRequest($"Cannot create an endpoint with an invalid URL: {row.Url}.");
        }
        if (!await db.Services().AnyAsync(s => s.Id == row.ServiceId, cancellationToken))
        {
            throw Fail.Expected("endpoint service_id", "service table");
        }
        if (row.RegionId is { } region && !await db.Regions().AnyAsync(r => r.Id == region, cancellationToken))
        {
            if (body.Text("region_id") is not null)
            {
                throw Fail.Expected("endpoint region_id", "region table");
            }
            await db.InsertAsync(new RegionRow { Id = region }, token: cancellationToken);
        }
    }

    protected override async Task DeleteRowsAsync(DataConnection db, EndpointRow row, CancellationToken cancellationToken)
    {
        await db.ProjectEndpoints().Where(p => p.EndpointId == row.Id).DeleteAsync(cancellationToken);
        await db.PolicyAssociations().Where(a => a.EndpointId == row.Id).DeleteAsync(cancellationToken);
        await db.Endpoints().Where(e => e.Id == row.Id).DeleteAsync(cancellationToken);
    }
}
