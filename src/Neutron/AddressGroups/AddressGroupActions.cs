using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using SharpStack.Foundation.Http;
using SharpStack.Neutron.Api;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.AddressGroups;

/// <summary><c>/v2.0/address-groups/{id}/add_addresses</c> and its counterpart.</summary>
internal sealed class AddressGroupActions(NeutronStore store, ResourceRoutes<AddressGroupRow, AddressGroupView> groups, AddressGroupResource resource)
{
    public void Map(ApiRoutes routes)
    {
        routes.Put("/v2.0/address-groups/{id}/add_addresses", context => RunAsync(context, isRemoval: false)).Policy("update_address_group");
        routes.Put("/v2.0/address-groups/{id}/remove_addresses", context => RunAsync(context, isRemoval: true)).Policy("update_address_group");
    }

    private async Task RunAsync(ApiContext context, bool isRemoval)
    {
        var caller = await groups.EnforceAsync(context);
        var id = context.Route("id");
        var root = await context.ReadJsonAsync();
        if (root.ValueKind != JsonValueKind.Object || !root.TryGetProperty("addresses", out var sent) || sent.ValueKind == JsonValueKind.Null)
        {
            throw NeutronErrors.BadRequest("Unable to find 'addresses' in request body");
        }

        if (AddressGroupResource.CheckAddresses(sent, needsLength: false) is { } reason)
        {
            throw NeutronErrors.BadRequest($"Invalid input for addresses. Reason: {reason}.");
        }

        var addresses = sent.EnumerateArray().Select(item => item.GetString()!).ToList();
        var view = await store.WriteAsync(
            async work =>
            {
                var row = await work.Db.GetTable<AddressGroupRow>().FirstOrDefaultAsync(row => row.Id == id, work.Cancellation) ?? throw resource.NotFound(id);
                await resource.ChangeAsync(work, row, addresses, isRemoval);
                return resource.For((await resource.LoadAsync(work.Db, [row], work.Cancellation))[0], caller);
            },
            context.Aborted);
        await groups.AnswerAsync(context, 200, view);
    }
}
