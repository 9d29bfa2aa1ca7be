using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using SharpStack.Foundation.Http;
using SharpStack.Neutron.Api;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.Routers;

/// <summary><c>/v2.0/routers/{id}/add_extraroutes</c> and its counterpart: routes piece by piece, whoever else changes others.</summary>
internal sealed class RouterRoutes(NeutronStore store, ResourceRoutes<RouterRow, RouterView> routers, RouterResource resource)
{
    public void Map(ApiRoutes routes)
    {
        routes.Put("/v2.0/routers/{id}/add_extraroutes", context => RunAsync(context, static (old, sent) => [.. old.Union(sent)])).Policy("add_extraroutes");
        routes.Put("/v2.0/routers/{id}/remove_extraroutes", context => RunAsync(context, static (old, sent) => [.. old.Except(sent)])).Policy("remove_extraroutes");
    }

    private async Task RunAsync(
        ApiContext context, Func<List<(string Destination, string Nexthop)>, List<(string Destination, string Nexthop)>, List<(string Destination, string Nexthop)>> change)
    {
        await routers.EnforceAsync(context);
        var id = context.Route("id");
        var root = await context.ReadJsonAsync();
        if (root.ValueKind != JsonValueKind.Object || !root.TryGetProperty("router", out var body) || body.ValueKind != JsonValueKind.Object || !body.TryGetProperty("routes", out var sent))
        {
            throw NeutronErrors.BadRequest("Unable to find 'router' with 'routes' in request body");
        }

        if (Checks.HostRoutes(sent) is { } reason)
        {
            throw NeutronErrors.BadRequest($"Invalid input for routes. Reason: {reason}.");
        }

        var view = await store.WriteAsync(
            async work =>
            {
                var row = await work.Db.GetTable<RouterRow>().FirstOrDefaultAsync(row => row.Id == id, work.Cancellation) ?? throw RouterErrors.NotFound(id);
                await resource.SetRoutesAsync(work, row, change(ExtraRoutes.Read(row.Routes), ExtraRoutes.Read(sent)));
                await resource.SaveAsync(work, row);
                return (await resource.LoadAsync(work.Db, [row], work.Cancellation))[0];
            },
            context.Aborted);
        await routers.AnswerAsync(context, 200, view);
    }
}
