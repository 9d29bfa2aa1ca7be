using SharpStack.Foundation;
using SharpStack.Foundation.Http;
using SharpStack.Nova.Servers;
using SharpStack.Nova.Storage;

namespace SharpStack.Nova.Migrations;

/// <summary><c>/os-migrations</c> and <c>/servers/{id}/migrations</c>: no server moves in this cloud yet, so the lists are empty.</summary>
internal sealed class MigrationRoutes(NovaStore store)
{
    public void Map(NovaRoutes routes)
    {
        routes.Get("/os-migrations", ListAsync).Policy("os_compute_api:os-migrations:index");
        routes.Get("/servers/{id}/migrations", ListOfServerAsync).Policy("os_compute_api:servers:migrations:index").Versions("2.23");
        routes.Get("/servers/{id}/migrations/{migration}", ShowAsync).Policy("os_compute_api:servers:migrations:show").Versions("2.23");
    }

    private static async Task ListAsync(ApiContext context)
    {
        string[] filters = ["hidden", "host", "instance_uuid", "source_compute", "status", "migration_type"];
        string[] paging = ["limit", "marker", "changes-since"];
        context.AllowQuerySince(59, [.. filters, .. paging, .. context.Since(66) ? ["changes-before"] : (string[])[], .. context.Since(80) ? ["user_id", "project_id"] : (string[])[]]);
        context.Enforce();
        if (context.Since(59))
        {
            context.PageLimit();
            var since = context.Instant("changes-since");
            if (context.Since(66) && since > context.Instant("changes-before"))
            {
                throw CloudException.BadRequest("The value of changes-since must be less than or equal to changes-before.");
            }

            if (context.Query.Marker is { } marker)
            {
                throw CloudException.BadRequest($"Marker {marker} could not be found.");
            }
        }

        await WriteEmptyAsync(context);
    }

    private async Task ListOfServerAsync(ApiContext context)
    {
        await using var session = store.Read();
        await ServerRoutes.FindAsync(context, session);
        await WriteEmptyAsync(context);
    }

    private async Task ShowAsync(ApiContext context)
    {
        await using var session = store.Read();
        var server = await ServerRoutes.FindAsync(context, session);
        throw CloudException.NotFound($"In-progress live migration {context.Route("migration")} is not found for server {server.Uuid}.");
    }

    private static Task WriteEmptyAsync(ApiContext context) =>
        context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WriteStartArray("migrations");
            json.WriteEndArray();
            json.WriteEndObject();
        });
}
