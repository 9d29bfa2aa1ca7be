using System.Collections.Frozen;
using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation.Http;
using SharpStack.Keystone.Policies;
using SharpStack.Keystone.Storage;

namespace SharpStack.Keystone.Catalog;

internal sealed class ServiceRoutes(KeystoneStore store, Answers answers) : RowRoutes<ServiceRow>(store, answers, "services", "service", "service")
{
    private static readonly FrozenSet<string> Columns = FrozenSet.ToFrozenSet(["id", "type", "name", "enabled", "links"]);

    private static readonly JsonSchema Schema = JsonSchema.Object(
        true, ("type!", JsonSchema.String(1, 255)), ("name", Schemas.Name), ("enabled", JsonSchema.Boolean));

    public void Map(ApiRoutes routes) => MapRows(routes, "/v3/services", Schema);

    protected override void Write(Utf8JsonWriter json, ServiceRow row, string root)
    {
        json.WriteStartObject();
        json.WriteString("id", row.Id);
        json.WriteString("type", row.Type);
        if (row.Name is not null)
        {
            json.WriteString("name", row.Name);
        }
        json.WriteBoolean("enabled", row.Enabled);
        JsonText.WriteMembers(json, row.Extra);
        json.WriteSelfLink($"{root}/services/{row.Id.Escaped()}");
        json.WriteEndObject();
    }

    protected override IQueryable<ServiceRow> Filter(ApiContext context, IQueryable<ServiceRow> query)
    {
        query = Answers.Where(context, query, "type", static s => s.Type);
        return Answers.Where(context, query, "name", static s => s.Name);
    }

    protected override ServiceRow Create(ApiContext context, JsonElement body) => new()
    {
        Id = Names.NewId(),
        Type = body.Text("type")!,
        Name = body.Text("name"),
        Enabled = body.Flag("enabled") ?? true,
        Extra = JsonText.Merge(JsonText.Empty, body, Columns),
    };

    protected override ServiceRow Change(ServiceRow current, JsonElement body) => current with
    {
        Type = body.Text("type") ?? current.Type,
        Name = body.Text("name") ?? current.Name,
        Enabled = body.Flag("enabled") ?? current.Enabled,
        Extra = JsonText.Merge(current.Extra, body, Columns),
    };

    protected override async Task DeleteRowsAsync(DataConnection db, ServiceRow row, CancellationToken cancellationToken)
    {
        await db.ProjectEndpoints().Where(p => db.Endpoints().Any(e => e.Id == p.EndpointId && e.ServiceId == row.Id)).DeleteAsync(cancellationToken);
        await db.PolicyAssociations().Where(a => a.ServiceId == row.Id || db.Endpoints().Any(e => e.Id == a.EndpointId && e.ServiceId == row.Id))
            .DeleteAsync(cancellationToken);
        await db.Endpoints().Where(e => e.ServiceId == row.Id).DeleteAsync(cancellationToken);
        await db.Services().Where(s => s.Id == row.Id).DeleteAsync(cancellationToken);
    }
}
