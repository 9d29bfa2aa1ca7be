using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Storage;
using SharpStack.Nova.Aggregates;
using SharpStack.Nova.Clients;
using SharpStack.Nova.Storage;

namespace SharpStack.Nova.Services;

/// <summary><c>/os-services</c>: numbers and actions by name before 2.53, UUIDs and one update since.</summary>
internal sealed class ServiceRoutes(NovaStore store, HostRegistry hosts, HostProviders providers, PlacementClient placement)
{
    public void Map(NovaRoutes routes)
    {
        var reason = JsonSchema.String(1, 255);
        routes.Get("/os-services", ListAsync).Policy("os_compute_api:os-services:list");
        routes.Put("/os-services/{id}", UpdateAsync).Policy("os_compute_api:os-services:update")
            .Body(JsonSchema.Object(false, ("host!", Schemas.Fqdn), ("binary!", JsonSchema.String(1, 255)), ("disabled_reason", reason)), null, "2.10")
            .Body(
                JsonSchema.Object(false, ("host!", Schemas.Fqdn), ("binary!", JsonSchema.String(1, 255)), ("disabled_reason", reason), ("forced_down", Schemas.Boolean)),
                "2.11",
                "2.52")
            .Body(
                JsonSchema.Object(false, ("status", JsonSchema.OneOfTexts("enabled", "disabled")), ("disabled_reason", reason), ("forced_down", Schemas.Boolean)),
                "2.53");
        routes.Delete("/os-services/{id}", DeleteAsync).Policy("os_compute_api:os-services:delete");
    }

    private async Task ListAsync(ApiContext context)
    {
        context.AllowQuery("host", "binary");
        context.Enforce();
        await using var session = store.Read();
        var query = session.Services.AsQueryable();
        if (context.Query["host"] is { Length: > 0 } host)
        {
            query = query.Where(service => service.Host == host);
        }

        if (context.Query["binary"] is { Length: > 0 } binary)
        {
            query = query.Where(service => service.Binary == binary);
        }

        var rows = await query.OrderBy(service => service.Id).ToListAsync(context.Aborted);
        var zones = await AggregateStore.ZonesAsync(session, context.Aborted);
        await context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WriteStartArray("services");
            foreach (var row in rows)
            {
                Write(json, context, row, hosts.ZoneOf(row, zones), session.Now);
            }

            json.WriteEndArray();
            json.WriteEndObject();
        });
    }

    private void Write(Utf8JsonWriter json, ApiContext context, ServiceRow row, string zone, long now)
    {
        json.WriteStartObject();
        json.WriteString("binary", row.Binary);
        json.WriteString("host", row.Host);
        if (context.Since(53))
        {
            json.WriteString("id", row.Uuid);
        }
        else
        {
            json.WriteNumber("id", row.Id);
        }

        json.WriteString("zone", zone);
        json.WriteString("status", row.Disabled ? "disabled" : "enabled");
        json.WriteString("state", hosts.IsUp(row, now) ? "up" : "down");
        json.WriteString("updated_at", Timestamps.MicrosNoZone(row.LastSeenAt));
        json.WriteString("disabled_reason", row.DisabledReason);
        if (context.Since(11))
        {
            json.WriteBoolean("forced_down", row.ForcedDown);
        }

        json.WriteEndObject();
    }

    private async Task UpdateAsync(ApiContext context)
    {
        context.Enforce();
        var body = await context.ReadJsonAsync();
        await (context.Since(53) ? UpdateByIdAsync(context, body) : UpdateByNameAsync(context, body));
    }

    private async Task UpdateByIdAsync(ApiContext context, JsonElement body)
    {
        var id = context.Route("id");
        if (!Guid.TryParse(id, out _))
        {
            throw CloudException.BadRequest($"Invalid uuid {id}");
        }

        var status = body.Text("status");
        var reason = body.Text("disabled_reason");
        if (reason is not null && status != "disabled")
        {
            throw CloudException.BadRequest("Specifying 'disabled_reason' with status 'enabled' is invalid.");
        }

        bool? forcedDown = body.TryGetProperty("forced_down", out var forced) ? forced.Truth() : null;
        if (status is null && forcedDown is null)
        {
            throw CloudException.BadRequest("No updates were requested. Fields 'status' or 'forced_down' should be specified.");
        }

        var row = await ChangeAsync(
            session => session.Services.Where(service => service.Uuid == id),
            service => Changed(service, status, reason, forcedDown),
            $"Service {id} not found.",
            context.Aborted);
        await providers.ChangedAsync(row.Host, context.Aborted);
        await using var session = store.Read();
        var zone = await hosts.ZoneOfAsync(session, row.Host, context.Aborted);
        await context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WritePropertyName("service");
            Write(json, context, row, zone, row.UpdatedAt);
            json.WriteEndObject();
        });
    }

    private async Task UpdateByNameAsync(ApiContext context, JsonElement body)
    {
        var action = context.Route("id");
        var host = body.GetProperty("host").GetString()!;
        var binary = body.GetProperty("binary").GetString()!;
        var reason = body.Text("disabled_reason");
        bool? forcedDown = null;
        string? status = null;
        switch (action)
        {
            case "enable":
                status = "enabled";
                reason = null;
                break;
            case "disable":
                status = "disabled";
                reason = null;
                break;
            case "disable-log-reason":
                status = "disabled";
                _ = reason ?? throw CloudException.BadRequest("Missing disabled reason field");
                break;
            case "force-down" when context.Since(11):
                forcedDown = body.TryGetProperty("forced_down", out var forced) ? forced.Truth() : throw CloudException.BadRequest("Missing forced_down field");
                break;
            default:
                throw CloudException.NotFound("Unknown action");
        }

        if (binary != HostRegistry.Compute)
        {
            throw CloudException.BadRequest($"Updating a {binary} service is not supported. Only nova-compute services can be updated.");
        }

        var row = await ChangeAsync(
            session => session.Services.Where(service => service.Host == host && service.Binary == binary),
            service => Changed(service, status, reason, forcedDown),
            $"Could not find binary {binary} on host {host}.",
            context.Aborted);
        await providers.ChangedAsync(row.Host, context.Aborted);
        await context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WriteStartObject("service");
            json.WriteString("host", host);
            json.WriteString("binary", binary);
            if (forcedDown is { } down)
            {
                json.WriteBoolean("forced_down", down);
            }
            else
            {
                json.WriteString("status", status);
            }

            if (reason is not null)
            {
                json.WriteString("disabled_reason", reason);
            }

            json.WriteEndObject();
            json.WriteEndObject();
        });
    }

    private static ServiceRow Changed(ServiceRow row, string? status, string? reason, bool? forcedDown) =>
        row.Binary != HostRegistry.Compute
            ? throw CloudException.BadRequest($"Updating a {row.Binary} service is not supported. Only nova-compute services can be updated.")
            : row with
            {
                Disabled = status is null ? row.Disabled : status == "disabled",
                DisabledReason = status is null ? row.DisabledReason : reason,
                ForcedDown = forcedDown ?? row.ForcedDown,
            };

    private Task<ServiceRow> ChangeAsync(
        Func<NovaSession, IQueryable<ServiceRow>> find, Func<ServiceRow, ServiceRow> change, string notFound, CancellationToken cancellationToken) =>
        store.WriteAsync(
            async session =>
            {
                var row = await find(session).FirstOrDefaultAsync(cancellationToken) ?? throw CloudException.NotFound(notFound);
                var changed = change(row) with { UpdatedAt = session.Now };
                await session.Db.UpdateAsync(changed, token: cancellationToken);
                return changed;
            },
            cancellationToken);

    private async Task DeleteAsync(ApiContext context)
    {
        context.Enforce();
        var id = context.Route("id");
        long number = 0;
        if (context.Since(53) ? !Guid.TryParse(id, out _) : !long.TryParse(id, out number))
        {
            throw CloudException.BadRequest(context.Since(53) ? $"Invalid uuid {id}" : $"Invalid input received: id must be an integer: {id}");
        }

        var node = await store.WriteAsync(
            async session =>
            {
                var row = await session.Services.Where(service => number == 0 ? service.Uuid == id : service.Id == number).FirstOrDefaultAsync(context.Aborted)
                    ?? throw CloudException.NotFound($"Service {id} not found.");
                ComputeNodeRow? removed = null;
                if (row.Binary == HostRegistry.Compute)
                {
                    if (await session.Instances.AnyAsync(instance => instance.Host == row.Host && instance.DeletedAt == null, context.Aborted))
                    {
                        throw CloudException.Conflict("Unable to delete compute service that is hosting instances. Migrate or delete the instances first.");
                    }

                    removed = await session.ComputeNodes.Where(found => found.Host == row.Host).FirstOrDefaultAsync(context.Aborted);
                    await session.ComputeNodes.Where(found => found.Host == row.Host).DeleteAsync(context.Aborted);
                    await session.AggregateHosts.Where(member => member.Host == row.Host).DeleteAsync(context.Aborted);
                }

                await session.Services.Where(service => service.Id == row.Id).DeleteAsync(context.Aborted);
                return removed;
            },
            context.Aborted);
        if (node is not null)
        {
            await placement.RemoveProviderAsync(node.Uuid, context.Aborted);
        }

        await context.NoContentAsync();
    }
}
