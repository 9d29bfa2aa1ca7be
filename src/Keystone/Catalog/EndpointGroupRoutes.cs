using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;
using SharpStack.Keystone.Storage;

namespace SharpStack.Keystone.Catalog;

/// <summary><c>/v3/OS-EP-FILTER/endpoint_groups</c>.</summary>
internal sealed class EndpointGroupRoutes(KeystoneStore store, Answers answers)
    : RowRoutes<EndpointGroupRow>(store, answers, "endpoint_groups", "endpoint_group", "Endpoint Group")
{
    private static readonly string[] Filters = ["service_id", "region_id", "interface"];

    private static readonly JsonSchema Schema = JsonSchema.Object(
        true, ("name!", Schemas.Name), ("filters!", new JsonSchema { Types = ["object"] }), ("description", Schemas.Text.OrNull()));

    public void Map(ApiRoutes routes) => MapRows(routes, "/v3/OS-EP-FILTER/endpoint_groups", Schema);

    public static void WriteGroup(Utf8JsonWriter json, EndpointGroupRow row, string root)
    {
        json.WriteStartObject();
        json.WriteString("id", row.Id);
        json.WriteString("name", row.Name);
        json.WriteString("description", row.Description);
        json.WritePropertyName("filters");
        json.WriteRawValue(row.Filters, skipInputValidation: true);
        json.WriteSelfLink($"{root}/OS-EP-FILTER/endpoint_groups/{row.Id.Escaped()}");
        json.WriteEndObject();
    }

    protected override void Write(Utf8JsonWriter json, EndpointGroupRow row, string root) => WriteGroup(json, row, root);

    protected override IQueryable<EndpointGroupRow> Filter(ApiContext context, IQueryable<EndpointGroupRow> query) =>
        Answers.Where(context, query, "name", static g => g.Name);

    protected override EndpointGroupRow Create(ApiContext context, JsonElement body)
    {
        var filters = FiltersIn(body)!;
        return filters == JsonText.Empty
            ? throw CloudException.BadRequest("filters field is required and cannot be empty")
            : new() { Id = Names.NewId(), Name = body.Text("name")!, Description = body.Text("description"), Filters = filters };
    }

    protected override EndpointGroupRow Change(EndpointGroupRow current, JsonElement body) => current with
    {
        Name = body.Text("name") ?? current.Name,
        Description = body.TextOr("description", current.Description),
        Filters = FiltersIn(body) ?? current.Filters,
    };

    protected override async Task DeleteRowsAsync(DataConnection db, EndpointGroupRow row, CancellationToken cancellationToken)
    {
        await db.ProjectEndpointGroups().Where(p => p.EndpointGroupId == row.Id).DeleteAsync(cancellationToken);
        await db.EndpointGroups().Where(g => g.Id == row.Id).DeleteAsync(cancellationToken);
    }

    private static string? FiltersIn(JsonElement body) => !body.TryGetProperty("filters", out var filters) ? null
        : filters.EnumerateObject().All(static f => Filters.Contains(f.Name)) ? JsonText.Merge(JsonText.Empty, filters)
        : throw Fail.Expected(string.Join(" or ", Filters), "endpoint_group");
}
