using System.Text.Json;
using LinqToDB;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;
using SharpStack.Nova.Quotas;
using SharpStack.Nova.Storage;

namespace SharpStack.Nova.Servers;

/// <summary>Addresses, metadata and tags of a server.</summary>
internal sealed class ServerDetailRoutes(NovaStore store, QuotaStore quotas)
{
    private const int MaxTags = 50;

    public void Map(NovaRoutes routes)
    {
        routes.Get("/servers/{id}/ips", AddressesAsync).Policy("os_compute_api:ips:index");
        routes.Get("/servers/{id}/ips/{network}", NetworkAddressesAsync).Policy("os_compute_api:ips:show");
        var all = JsonSchema.Envelope("metadata", Schemas.Metadata);
        routes.Get("/servers/{id}/metadata", MetadataAsync).Policy("os_compute_api:server-metadata:index");
        routes.Post("/servers/{id}/metadata", context => MergeAsync(context, false)).Policy("os_compute_api:server-metadata:create").Body(all);
        routes.Put("/servers/{id}/metadata", context => MergeAsync(context, true)).Policy("os_compute_api:server-metadata:update_all").Body(all);
        routes.Get("/servers/{id}/metadata/{key}", ItemAsync).Policy("os_compute_api:server-metadata:show");
        routes.Put("/servers/{id}/metadata/{key}", SetItemAsync).Policy("os_compute_api:server-metadata:update")
            .Body(JsonSchema.Envelope("meta", Schemas.Metadata with { MinProperties = 1, MaxProperties = 1 }));
        routes.Delete("/servers/{id}/metadata/{key}", DeleteItemAsync).Policy("os_compute_api:server-metadata:delete");
        routes.Get("/servers/{id}/tags", TagsAsync).Policy("os_compute_api:os-server-tags:index").Versions("2.26");
        routes.Put("/servers/{id}/tags", ReplaceTagsAsync).Policy("os_compute_api:os-server-tags:update_all").Versions("2.26")
            .Body(JsonSchema.Envelope("tags", JsonSchema.Array(Schemas.Tag, max: MaxTags)));
        routes.Delete("/servers/{id}/tags", DeleteTagsAsync).Policy("os_compute_api:os-server-tags:delete_all").Versions("2.26");
        routes.Get("/servers/{id}/tags/{tag}", TagAsync).Policy("os_compute_api:os-server-tags:show").Versions("2.26");
        routes.Put("/servers/{id}/tags/{tag}", AddTagAsync).Policy("os_compute_api:os-server-tags:update").Versions("2.26");
        routes.Delete("/servers/{id}/tags/{tag}", DeleteTagAsync).Policy("os_compute_api:os-server-tags:delete").Versions("2.26");
    }

    private async Task<InstanceRow> FindAsync(ApiContext context)
    {
        await using var session = store.Read();
        return await ServerRoutes.FindAsync(context, session);
    }

    private async Task<InstanceRow> ChangeAsync(ApiContext context, Func<NovaSession, InstanceRow, Task<bool>> change)
    {
        var id = (await FindAsync(context)).Uuid;
        var admin = context.IsAdmin();
        return await store.ChangeAsync(
            id,
            (session, row) => row.LockedBy is not null && !admin
                ? throw CloudException.Conflict($"Instance {id} is locked")
                : change(session, row),
            context.Aborted) ?? throw CloudException.NotFound($"Instance {id} could not be found.");
    }

    private async Task AddressesAsync(ApiContext context)
    {
        var row = await FindAsync(context);
        await context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WriteStartObject("addresses");
            foreach (var network in StoredJson.Vifs(row.NetworkInfo).GroupBy(vif => vif.NetworkName))
            {
                Write(json, network);
            }

            json.WriteEndObject();
            json.WriteEndObject();
        });
    }

    private async Task NetworkAddressesAsync(ApiContext context)
    {
        var row = await FindAsync(context);
        var network = StoredJson.Vifs(row.NetworkInfo).GroupBy(vif => vif.NetworkName).FirstOrDefault(group => group.Key == context.Route("network"))
            ?? throw CloudException.NotFound("Instance is not a member of specified network");
        await context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            Write(json, network);
            json.WriteEndObject();
        });
    }

    private static void Write(Utf8JsonWriter json, IGrouping<string, Vif> network)
    {
        json.WriteStartArray(network.Key);
        foreach (var (ip, version) in network.SelectMany(vif => vif.Addresses).SelectMany(address => (address.FloatingIps ?? []).Select(floating => (floating, 4)).Prepend((address.Ip, address.Version))))
        {
            json.WriteStartObject();
            json.WriteNumber("version", version);
            json.WriteString("addr", ip);
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }

    private static Task WriteMetadataAsync(ApiContext context, InstanceRow row) =>
        context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WritePropertyName("metadata");
            json.WriteRawValue(row.Metadata, skipInputValidation: true);
            json.WriteEndObject();
        });

    private async Task MetadataAsync(ApiContext context) => await WriteMetadataAsync(context, await FindAsync(context));

    private async Task MergeAsync(ApiContext context, bool replace)
    {
        await FindAsync(context);
        var given = (await context.ReadJsonAsync()).GetProperty("metadata");
        await WriteMetadataAsync(context, await ChangeAsync(context, (session, row) => MergeAsync(context, session, row, given, replace)));
    }

    private async Task<bool> MergeAsync(ApiContext context, NovaSession session, InstanceRow row, JsonElement given, bool replace)
    {
        var metadata = replace ? [] : StoredJson.Map(row.Metadata);
        foreach (var item in given.EnumerateObject())
        {
            metadata[item.Name] = item.Value.GetString()!;
        }

        var limit = (await quotas.LimitsAsync(session, row.ProjectId, null, context.Aborted)).MetadataItems;
        if (limit >= 0 && metadata.Count > limit)
        {
            throw CloudException.Forbidden($"Maximum number of metadata items exceeds {limit}");
        }

        row.Metadata = StoredJson.Text(metadata);
        return true;
    }

    private async Task ItemAsync(ApiContext context)
    {
        var key = context.Route("key");
        if (!StoredJson.Map((await FindAsync(context)).Metadata).TryGetValue(key, out var value))
        {
            throw CloudException.NotFound("Metadata item was not found");
        }

        await context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WriteStartObject("meta");
            json.WriteString(key, value);
            json.WriteEndObject();
            json.WriteEndObject();
        });
    }

    private async Task SetItemAsync(ApiContext context)
    {
        await FindAsync(context);
        var body = await context.ReadJsonAsync();
        var item = body.GetProperty("meta");
        if (!item.TryGetProperty(context.Route("key"), out _))
        {
            throw CloudException.BadRequest("Request body and URI mismatch");
        }

        await ChangeAsync(context, (session, row) => MergeAsync(context, session, row, item, false));
        await context.WriteJsonAsync(200, body.WriteTo);
    }

    private async Task DeleteItemAsync(ApiContext context)
    {
        await ChangeAsync(context, (_, row) =>
        {
            var metadata = StoredJson.Map(row.Metadata);
            if (!metadata.Remove(context.Route("key")))
            {
                throw CloudException.NotFound("Metadata item was not found");
            }

            row.Metadata = StoredJson.Text(metadata);
            return Task.FromResult(true);
        });
        await context.NoContentAsync();
    }

    private static Task WriteTagsAsync(ApiContext context, InstanceRow row) =>
        context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WritePropertyName("tags");
            json.WriteRawValue(row.Tags, skipInputValidation: true);
            json.WriteEndObject();
        });

    private async Task TagsAsync(ApiContext context) => await WriteTagsAsync(context, await FindAsync(context));

    private async Task TagAsync(ApiContext context)
    {
        var row = await FindAsync(context);
        await (StoredJson.Texts(row.Tags).Contains(context.Route("tag")) ? context.NoContentAsync() : throw NoTag(context));
    }

    private Task<InstanceRow> ChangeTagsAsync(ApiContext context, string action, Func<List<string>, IEnumerable<string>> change) =>
        ChangeAsync(context, (_, row) =>
        {
            if (row.VmState is not (VmStates.Active or VmStates.Paused or VmStates.Suspended or VmStates.Stopped))
            {
                throw CloudException.Conflict($"Cannot '{action}' instance {row.Uuid} while it is in vm_state {row.VmState}");
            }

            row.Tags = StoredJson.Text(change([.. StoredJson.Texts(row.Tags)]));
            return Task.FromResult(true);
        });

    private async Task ReplaceTagsAsync(ApiContext context)
    {
        await FindAsync(context);
        var tags = (await context.ReadJsonAsync()).GetProperty("tags").EnumerateArray().Select(tag => tag.GetString()!).Distinct().ToList();
        await WriteTagsAsync(context, await ChangeTagsAsync(context, "update tags", _ => tags));
    }

    private async Task DeleteTagsAsync(ApiContext context)
    {
        await ChangeTagsAsync(context, "delete tags", _ => []);
        await context.NoContentAsync();
    }

    private async Task AddTagAsync(ApiContext context)
    {
        var tag = context.Route("tag");
        if (tag.Length > 60 || tag.Contains(',', StringComparison.Ordinal) || tag.Contains('/', StringComparison.Ordinal))
        {
            throw CloudException.BadRequest($"Tag '{tag}' is invalid. It must be a non empty string without characters '/' and ','. Validation error message: '{tag}' is too long or has one of them");
        }

        var added = true;
        var row = await ChangeTagsAsync(context, "update tag", tags =>
        {
            added = !tags.Contains(tag);
            return !added ? tags
                : tags.Count < MaxTags ? tags.Append(tag)
                : throw CloudException.BadRequest($"The number of tags exceeded the per-server limit {MaxTags}");
        });
        if (added)
        {
            context.Http.Response.Headers.Location = $"{context.SelfBase()}/servers/{row.Uuid}/tags/{Uri.EscapeDataString(tag)}";
        }

        await context.NoContentAsync(added ? 201 : 204);
    }

    private async Task DeleteTagAsync(ApiContext context)
    {
        await ChangeTagsAsync(context, "delete tag", tags => tags.Remove(context.Route("tag")) ? tags : throw NoTag(context));
        await context.NoContentAsync();
    }

    private static CloudException NoTag(ApiContext context) => CloudException.NotFound($"Server {context.Route("id")} has no tag '{context.Route("tag")}'");
}
