using System.Globalization;
using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using SharpStack.Foundation;
using SharpStack.Foundation.Bus;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Storage;
using SharpStack.Nova.Contracts;
using SharpStack.Nova.Servers;
using SharpStack.Nova.Services;
using SharpStack.Nova.Storage;

namespace SharpStack.Nova.Aggregates;

/// <summary><c>/os-aggregates</c>: groups of hosts with metadata that scheduler filters read; one with a zone makes its hosts that zone. Mirrored to Placement's aggregates.</summary>
internal sealed class AggregateRoutes(NovaStore store, HostRegistry hosts, HostProviders providers, ImageCheck images, IMessageBus bus)
{
    private static readonly JsonSchema Zone = Schemas.ZoneName.OrNull();

    private static readonly JsonSchema AddHost = JsonSchema.Envelope("add_host", JsonSchema.Object(false, ("host!", Schemas.Fqdn)));

    private static readonly JsonSchema RemoveHost = JsonSchema.Envelope("remove_host", JsonSchema.Object(false, ("host!", Schemas.Fqdn)));

    private static readonly JsonSchema SetMetadata = JsonSchema.Envelope("set_metadata", JsonSchema.Object(false, ("metadata!", Schemas.MetadataOrNull)));

    public void Map(NovaRoutes routes)
    {
        routes.Get("/os-aggregates", ListAsync).Policy("os_compute_api:os-aggregates:index");
        routes.Post("/os-aggregates", CreateAsync).Policy("os_compute_api:os-aggregates:create")
            .Body(JsonSchema.Envelope("aggregate", JsonSchema.Object(false, ("name!", Schemas.Name), ("availability_zone", Zone))));
        routes.Get("/os-aggregates/{id}", ShowAsync).Policy("os_compute_api:os-aggregates:show");
        routes.Put("/os-aggregates/{id}", UpdateAsync).Policy("os_compute_api:os-aggregates:update").Body(JsonSchema.Envelope(
            "aggregate",
            JsonSchema.AnyOf(
                JsonSchema.Object(false, ("name!", Schemas.NameWithSpaces), ("availability_zone", Zone)),
                JsonSchema.Object(false, ("name", Schemas.NameWithSpaces), ("availability_zone!", Zone)))));
        routes.Delete("/os-aggregates/{id}", DeleteAsync).Policy("os_compute_api:os-aggregates:delete");
        routes.Post("/os-aggregates/{id}/action", ActAsync).Policy(
            "os_compute_api:os-aggregates:add_host", "os_compute_api:os-aggregates:remove_host", "os_compute_api:os-aggregates:set_metadata");
        routes.Post("/os-aggregates/{id}/images", CacheImagesAsync).Policy("compute:aggregates:images").Versions("2.81")
            .Body(JsonSchema.Object(false, ("cache!", JsonSchema.Array(JsonSchema.Object(false, ("id!", JsonSchema.Uuid)), min: 1))));
    }

    private static long IdOf(ApiContext context)
    {
        var id = context.Route("id");
        return long.TryParse(id, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number)
            ? number
            : throw CloudException.BadRequest($"Invalid input received: id must be an integer: {id}");
    }

    private static CloudException NotFound(long id) => CloudException.NotFound($"Aggregate {id} could not be found.");

    private static async Task<HostAggregate> GetAsync(NovaSession session, long id, CancellationToken cancellationToken) =>
        await AggregateStore.ListAsync(session, id, cancellationToken) is [var aggregate] ? aggregate : throw NotFound(id);

    private async Task ListAsync(ApiContext context)
    {
        context.Enforce();
        await using var session = store.Read();
        var aggregates = await AggregateStore.ListAsync(session, null, context.Aborted);
        await context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WriteStartArray("aggregates");
            aggregates.ForEach(aggregate => Write(json, context, aggregate));
            json.WriteEndArray();
            json.WriteEndObject();
        });
    }

    private async Task ShowAsync(ApiContext context)
    {
        context.Enforce();
        await using var session = store.Read();
        await AnswerAsync(context, await GetAsync(session, IdOf(context), context.Aborted));
    }

    private async Task CreateAsync(ApiContext context)
    {
        context.Enforce();
        var body = (await context.ReadJsonAsync()).GetProperty("aggregate");
        var name = body.GetProperty("name").GetString()!.Trim();
        var zone = body.Text("availability_zone")?.Trim();
        var created = await store.WriteAsync(
            async session =>
            {
                await CheckNameAsync(session, name, 0, context.Aborted);
                var row = new AggregateRow { Uuid = Guid.NewGuid().ToString(), Name = name, CreatedAt = session.Now };
                row = row with { Id = await session.Db.InsertWithInt64IdentityAsync(row, token: context.Aborted) };
                var metadata = new Dictionary<string, string>();
                if (!string.IsNullOrEmpty(zone))
                {
                    metadata[AggregateStore.ZoneKey] = zone;
                    await SetAsync(session, row.Id, AggregateStore.ZoneKey, zone, context.Aborted);
                }

                return new HostAggregate(row, [], metadata);
            },
            context.Aborted);
        await AnswerAsync(context, created, whole: false);
    }

    private async Task UpdateAsync(ApiContext context)
    {
        context.Enforce();
        var id = IdOf(context);
        var body = (await context.ReadJsonAsync()).GetProperty("aggregate");
        var name = body.Text("name")?.Trim();
        var changed = await store.WriteAsync(
            async session =>
            {
                var aggregate = await GetAsync(session, id, context.Aborted);
                var row = aggregate.Row with { Name = name ?? aggregate.Row.Name, UpdatedAt = session.Now };
                if (name is not null)
                {
                    await CheckNameAsync(session, name, id, context.Aborted);
                }

                if (body.TryGetProperty("availability_zone", out var zone))
                {
                    await ChangeZoneAsync(session, aggregate, zone.GetString(), "update aggregate", context.Aborted);
                    await SetAsync(session, id, AggregateStore.ZoneKey, zone.GetString(), context.Aborted);
                }

                await session.Db.UpdateAsync(row, token: context.Aborted);
                return await GetAsync(session, id, context.Aborted);
            },
            context.Aborted);
        await AnswerAsync(context, changed);
    }

    private async Task DeleteAsync(ApiContext context)
    {
        context.Enforce();
        var id = IdOf(context);
        await store.WriteAsync(
            async session =>
            {
                if ((await GetAsync(session, id, context.Aborted)).Hosts.Count > 0)
                {
                    throw CloudException.BadRequest($"Cannot remove host from aggregate {id}. Reason: Host aggregate is not empty.");
                }

                await session.AggregateMetadata.Where(row => row.AggregateId == id).DeleteAsync(context.Aborted);
                await session.Aggregates.Where(row => row.Id == id).DeleteAsync(context.Aborted);
            },
            context.Aborted);
        await context.NoContentAsync(200);
    }

    private async Task ActAsync(ApiContext context)
    {
        var body = await context.ReadJsonAsync();
        switch (body.ValueKind == JsonValueKind.Object ? body.EnumerateObject().Select(member => member.Name).FirstOrDefault() : null)
        {
            case "add_host":
                context.Enforce("os_compute_api:os-aggregates:add_host", context.OwnTarget());
                await AddHostAsync(context, Checked(body, AddHost).GetProperty("add_host").GetProperty("host").GetString()!);
                break;
            case "remove_host":
                context.Enforce("os_compute_api:os-aggregates:remove_host", context.OwnTarget());
                await RemoveHostAsync(context, Checked(body, RemoveHost).GetProperty("remove_host").GetProperty("host").GetString()!);
                break;
            case "set_metadata":
                context.Enforce("os_compute_api:os-aggregates:set_metadata", context.OwnTarget());
                await SetMetadataAsync(context, Checked(body, SetMetadata).GetProperty("set_metadata").GetProperty("metadata"));
                break;
            case var name:
                context.WithoutPolicy();
                throw CloudException.BadRequest(name is null ? "Malformed request body: it has one member, whose name is the action." : $"There is no such action: {name}");
        }
    }

    private static JsonElement Checked(JsonElement body, JsonSchema schema) => schema.Validate(body) is { } error ? throw NovaApi.SchemaFailure(error) : body;

    private async Task AddHostAsync(ApiContext context, string host)
    {
        var id = IdOf(context);
        var changed = await store.WriteAsync(
            async session =>
            {
                await RequireHostAsync(session, host, context.Aborted);
                var aggregate = await GetAsync(session, id, context.Aborted);
                if (aggregate.Zone is { } zone)
                {
                    await CheckZonesAsync(session, aggregate, [host], zone, "add host to aggregate", conflict: true, context.Aborted);
                }

                if (aggregate.Hosts.Contains(host))
                {
                    throw CloudException.Conflict($"Aggregate {id} already has host {host}.");
                }

                await session.Db.InsertAsync(new AggregateHostRow { AggregateId = id, Host = host }, token: context.Aborted);
                await hosts.ChangeZoneAsync(session, host, context.Aborted);
                return await GetAsync(session, id, context.Aborted);
            },
            context.Aborted);
        await providers.ChangedAsync(host, context.Aborted);
        await AnswerAsync(context, changed);
    }

    private async Task RemoveHostAsync(ApiContext context, string host)
    {
        var id = IdOf(context);
        var changed = await store.WriteAsync(
            async session =>
            {
                if (!await session.Aggregates.AnyAsync(row => row.Id == id, context.Aborted)
                    || await session.AggregateHosts.Where(row => row.AggregateId == id && row.Host == host).DeleteAsync(context.Aborted) == 0)
                {
                    throw CloudException.NotFound($"Cannot remove host {host} in aggregate {id}");
                }

                await hosts.ChangeZoneAsync(session, host, context.Aborted);
                return await GetAsync(session, id, context.Aborted);
            },
            context.Aborted);
        await providers.ChangedAsync(host, context.Aborted);
        await AnswerAsync(context, changed);
    }

    private async Task SetMetadataAsync(ApiContext context, JsonElement metadata)
    {
        var id = IdOf(context);
        var changed = await store.WriteAsync(
            async session =>
            {
                var aggregate = await GetAsync(session, id, context.Aborted);
                if (metadata.TryGetProperty(AggregateStore.ZoneKey, out var zone))
                {
                    await ChangeZoneAsync(session, aggregate, zone.GetString(), "update metadata of aggregate", context.Aborted);
                }

                foreach (var item in metadata.EnumerateObject())
                {
                    await SetAsync(session, id, item.Name, item.Value.GetString(), context.Aborted);
                }

                await session.Aggregates.Where(row => row.Id == id).Set(row => row.UpdatedAt, session.Now).UpdateAsync(context.Aborted);
                return await GetAsync(session, id, context.Aborted);
            },
            context.Aborted);
        await AnswerAsync(context, changed);
    }

    /// <summary>Has the hosts of the aggregate fetch images before a server asks for them; best effort, host by host.</summary>
    private async Task CacheImagesAsync(ApiContext context)
    {
        context.Enforce();
        var id = IdOf(context);
        var ids = (await context.ReadJsonAsync()).GetProperty("cache").EnumerateArray().Select(image => image.GetProperty("id").GetString()!).ToList();
        if (ids.Distinct().Count() != ids.Count)
        {
            throw CloudException.BadRequest("Duplicate images in request");
        }

        HostAggregate aggregate;
        await using (var session = store.Read())
        {
            aggregate = await GetAsync(session, id, context.Aborted);
        }

        var token = context.Http.Request.Headers["X-Auth-Token"].ToString();
        var wanted = new List<ImageSpec>();
        foreach (var image in ids)
        {
            wanted.Add(await images.FindAsync(token, image, context.Aborted));
        }

        foreach (var host in aggregate.Hosts)
        {
            await bus.CastAsync(ComputeContract.CacheImages, new ImagesToCache(wanted), host, context.Aborted);
        }

        await context.NoContentAsync(202);
    }

    private static async Task CheckNameAsync(NovaSession session, string name, long except, CancellationToken cancellationToken)
    {
        if (await session.Aggregates.AnyAsync(row => row.Name == name && row.Id != except, cancellationToken))
        {
            throw CloudException.Conflict($"Aggregate {name} already exists.");
        }
    }

    private static async Task RequireHostAsync(NovaSession session, string host, CancellationToken cancellationToken)
    {
        // The name as it is: a database that does not tell cases apart would find another host.
        var found = await session.Services.Where(row => row.Host == host && row.Binary == HostRegistry.Compute).Select(row => row.Host).FirstOrDefaultAsync(cancellationToken);
        if (found != host)
        {
            throw CloudException.NotFound($"Compute host {host} could not be found.");
        }
    }

    /// <summary>Sets, or with null removes, one item.</summary>
    private static async Task SetAsync(NovaSession session, long id, string name, string? value, CancellationToken cancellationToken)
    {
        await session.AggregateMetadata.Where(row => row.AggregateId == id && row.Name == name).DeleteAsync(cancellationToken);
        if (value is not null)
        {
            await session.Db.InsertAsync(new AggregateMetadataRow { AggregateId = id, Name = name, Value = value }, token: cancellationToken);
        }
    }

    /// <summary>Refuses another zone for hosts that have servers, or are in a zone already.</summary>
    private static async Task ChangeZoneAsync(NovaSession session, HostAggregate aggregate, string? zone, string action, CancellationToken cancellationToken)
    {
        if (string.IsNullOrEmpty(zone))
        {
            throw CloudException.BadRequest($"Cannot {action} {aggregate.Row.Id}. Reason: Aggregate {aggregate.Row.Name} does not support empty named availability zone.");
        }

        await CheckZonesAsync(session, aggregate, aggregate.Hosts, zone, action, conflict: false, cancellationToken);
        if (zone != aggregate.Zone && await session.Instances.AnyAsync(row => row.DeletedAt == null && row.Host != null && aggregate.Hosts.Contains(row.Host), cancellationToken))
        {
            throw CloudException.BadRequest($"Cannot {action} {aggregate.Row.Id}. Reason: One or more hosts contain instances in this zone.");
        }
    }

    private static async Task CheckZonesAsync(
        NovaSession session, HostAggregate aggregate, IReadOnlyList<string> hosts, string zone, string action, bool conflict, CancellationToken cancellationToken)
    {
        var others = await (
            from member in session.AggregateHosts
            join item in session.AggregateMetadata on member.AggregateId equals item.AggregateId
            where hosts.Contains(member.Host) && item.Name == AggregateStore.ZoneKey && item.Value != zone && item.AggregateId != aggregate.Row.Id
            select item.Value).Distinct().ToListAsync(cancellationToken);
        if (others.Count > 0)
        {
            throw new CloudException(
                conflict ? ErrorKind.Conflict : ErrorKind.BadRequest,
                $"Cannot {action} {aggregate.Row.Id}. Reason: One or more hosts already in availability zone(s) [{string.Join(", ", others.Select(other => $"'{other}'"))}].");
        }
    }

    private static Task AnswerAsync(ApiContext context, HostAggregate aggregate, bool whole = true) =>
        context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WritePropertyName("aggregate");
            Write(json, context, aggregate, whole);
            json.WriteEndObject();
        });

    /// <param name="whole">False for the answer to a creation, which shows neither hosts nor metadata.</param>
    private static void Write(Utf8JsonWriter json, ApiContext context, HostAggregate aggregate, bool whole = true)
    {
        var row = aggregate.Row;
        json.WriteStartObject();
        json.WriteString("created_at", Timestamps.MicrosNoZone(row.CreatedAt));
        json.WriteString("updated_at", row.UpdatedAt is { } updated ? Timestamps.MicrosNoZone(updated) : null);
        json.WriteNull("deleted_at");
        json.WriteBoolean("deleted", false);
        json.WriteNumber("id", row.Id);
        if (context.Since(41))
        {
            json.WriteString("uuid", row.Uuid);
        }

        json.WriteString("name", row.Name);
        if (whole)
        {
            json.WriteStartArray("hosts");
            foreach (var host in aggregate.Hosts)
            {
                json.WriteStringValue(host);
            }

            json.WriteEndArray();
            json.WriteStartObject("metadata");
            foreach (var (name, value) in aggregate.Metadata)
            {
                json.WriteString(name, value);
            }

            json.WriteEndObject();
        }

        json.WriteString("availability_zone", aggregate.Zone);
        json.WriteEndObject();
    }
}
