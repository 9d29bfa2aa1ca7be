using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using SharpStack.Foundation.Http;
using SharpStack.Neutron.Api;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.Trunks;

/// <summary><c>/v2.0/trunks/{id}/add_subports</c>, <c>remove_subports</c> and <c>get_subports</c>.</summary>
internal sealed class TrunkActions(NeutronStore store, ResourceRoutes<TrunkRow, TrunkView> trunks, TrunkResource resource)
{
    public void Map(ApiRoutes routes)
    {
        routes.Get("/v2.0/trunks/{id}/get_subports", ListAsync).Policy("get_subports");
        routes.Put("/v2.0/trunks/{id}/add_subports", context => ChangeAsync(context, resource.AddAsync)).Policy("add_subports");
        routes.Put("/v2.0/trunks/{id}/remove_subports", context => ChangeAsync(context, (work, _, row, wishes) => resource.RemoveAsync(work, row, wishes))).Policy("remove_subports");
    }

    private async Task ListAsync(ApiContext context)
    {
        await trunks.EnforceAsync(context);
        var id = context.Route("id");
        await using var db = store.Read();
        var rows = await db.GetTable<SubPortRow>().Where(row => row.TrunkId == id).OrderBy(row => row.SegmentationId).ToListAsync(context.Aborted);
        await context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WritePropertyName("sub_ports");
            TrunkResource.WriteSubPorts(json, rows);
            json.WriteEndObject();
        });
    }

    private async Task ChangeAsync(ApiContext context, Func<Work, Caller, TrunkRow, IReadOnlyList<SubPortWish>, Task> change)
    {
        var caller = await trunks.EnforceAsync(context);
        var root = await context.ReadJsonAsync();
        if (root.ValueKind != JsonValueKind.Object || !root.TryGetProperty("sub_ports", out var sent))
        {
            throw NeutronErrors.BadRequest("Unable to find 'sub_ports' in request body");
        }

        if (TrunkRules.CheckSubPorts(sent) is { } reason)
        {
            throw NeutronErrors.InvalidInput(reason);
        }

        var id = context.Route("id");
        var view = await store.WriteAsync(
            async work =>
            {
                var row = await work.Db.GetTable<TrunkRow>().FirstOrDefaultAsync(row => row.Id == id, work.Cancellation) ?? throw TrunkErrors.NotFound(id);
                await change(work, caller, row, SubPortWish.Read(sent.EnumerateArray()));
                return (await resource.LoadAsync(work.Db, [row], work.Cancellation))[0];
            },
            context.Aborted);
        await trunks.AnswerBareAsync(context, view);
    }
}
