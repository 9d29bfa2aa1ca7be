using System.Text.Json;
using SharpStack.Foundation.Http;
using SharpStack.Neutron.Api;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.Ports;

/// <summary><c>/v2.0/ports/{id}/add_allowed_address_pairs</c> and its counterpart: pairs one by one, whoever else changes others.</summary>
internal sealed class PortAddressPairs(NeutronStore store, ResourceRoutes<PortRow, PortView> ports, PortResource resource)
{
    private const string Pairs = "allowed_address_pairs";

    public void Map(ApiRoutes routes)
    {
        routes.Put("/v2.0/ports/{id}/add_allowed_address_pairs", context => RunAsync(context, isRemoval: false)).Policy($"update_port:{Pairs}");
        routes.Put("/v2.0/ports/{id}/remove_allowed_address_pairs", context => RunAsync(context, isRemoval: true)).Policy($"update_port:{Pairs}");
    }

    private async Task RunAsync(ApiContext context, bool isRemoval)
    {
        var caller = await ports.EnforceAsync(context);
        var id = context.Route("id");
        var root = await context.ReadJsonAsync();
        if (root.ValueKind != JsonValueKind.Object || !root.TryGetProperty("port", out var body) || body.ValueKind != JsonValueKind.Object || !body.TryGetProperty(Pairs, out var sent) || sent.ValueKind == JsonValueKind.Null)
        {
            throw NeutronErrors.BadRequest($"Unable to find 'port' with '{Pairs}' in request body");
        }

        if (Checks.AddressPairs(sent) is { } reason)
        {
            throw NeutronErrors.BadRequest($"Invalid input for {Pairs}. Reason: {reason}.");
        }

        var view = await store.WriteAsync(
            async work =>
            {
                await resource.ChangePairsAsync(work, caller, await ports.LoadAsync(work.Db, caller, id, work.Cancellation), new Body(body, ""), isRemoval);
                return await ports.LoadAsync(work.Db, caller, id, work.Cancellation);
            },
            context.Aborted);
        await ports.AnswerAsync(context, 200, view);
    }
}
