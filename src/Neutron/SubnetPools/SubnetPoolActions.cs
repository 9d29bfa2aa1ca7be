using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using SharpStack.Foundation.Http;
using SharpStack.Neutron.Api;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.SubnetPools;

/// <summary><c>/v2.0/subnetpools/{id}/add_prefixes</c>, <c>remove_prefixes</c> and <c>onboard_network_subnets</c>.</summary>
internal sealed class SubnetPoolActions(NeutronStore store, ResourceRoutes<SubnetPoolRow, SubnetPoolView> subnetPools, SubnetPoolResource pools)
{
    public void Map(ApiRoutes routes)
    {
        routes.Put("/v2.0/subnetpools/{id}/add_prefixes", context => ChangeAsync(context, pools.AddPrefixesAsync)).Policy("add_prefixes");
        routes.Put("/v2.0/subnetpools/{id}/remove_prefixes", context => ChangeAsync(context, static (work, _, row, texts) => SubnetPoolResource.RemovePrefixesAsync(work, row, texts))).Policy("remove_prefixes");
        routes.Put("/v2.0/subnetpools/{id}/onboard_network_subnets", OnboardAsync).Policy("onboard_network_subnets");
    }

    private async Task ChangeAsync(ApiContext context, Func<Work, Caller, SubnetPoolRow, IReadOnlyList<string>, Task<List<Ipam.Cidr>>> change)
    {
        var caller = await subnetPools.EnforceAsync(context);
        var root = await context.ReadJsonAsync();
        if (root.ValueKind != JsonValueKind.Object || !root.TryGetProperty("prefixes", out var list))
        {
            throw NeutronErrors.BadRequest("Invalid body contents: 'prefixes' is missing");
        }

        if (Checks.Cidrs(list) is { } reason)
        {
            throw NeutronErrors.BadRequest($"Invalid input for prefixes. Reason: {reason}.");
        }

        var id = context.Route("id");
        var texts = list.EnumerateArray().Select(item => item.GetString()!).ToList();
        var prefixes = await store.WriteAsync(
            async work => await change(
                work, caller, await work.Db.GetTable<SubnetPoolRow>().FirstOrDefaultAsync(row => row.Id == id, work.Cancellation) ?? throw NeutronErrors.SubnetPoolNotFound(id), texts),
            context.Aborted);
        await context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WritePropertyName("prefixes");
            json.WriteTexts(prefixes.Select(prefix => prefix.ToString()));
            json.WriteEndObject();
        });
    }

    private async Task OnboardAsync(ApiContext context)
    {
        var caller = await subnetPools.EnforceAsync(context);
        var root = await context.ReadJsonAsync();
        if (root.ValueKind != JsonValueKind.Object || !root.TryGetProperty("network_id", out var network) || Checks.Uuid(network) is not null)
        {
            throw NeutronErrors.InvalidInput("network_id must be specified.");
        }

        var id = context.Route("id");
        var subnets = await store.WriteAsync(
            async work => await pools.OnboardAsync(
                work, caller, await work.Db.GetTable<SubnetPoolRow>().FirstOrDefaultAsync(row => row.Id == id, work.Cancellation) ?? throw NeutronErrors.SubnetPoolNotFound(id), network.GetString()!),
            context.Aborted);
        await context.WriteJsonAsync(200, json =>
        {
            json.WriteStartArray();
            foreach (var subnet in subnets)
            {
                json.WriteStartObject();
                json.WriteString("id", subnet.Id);
                json.WriteString("cidr", subnet.Cidr);
                json.WriteEndObject();
            }

            json.WriteEndArray();
        });
    }
}
