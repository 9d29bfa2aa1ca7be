using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Storage;
using SharpStack.Nova.Servers;
using SharpStack.Nova.Storage;

namespace SharpStack.Nova.InstanceActions;

/// <summary><c>/servers/{id}/os-instance-actions</c>; since 2.21 of deleted servers too.</summary>
internal sealed class ActionRoutes(NovaStore store)
{
    public void Map(NovaRoutes routes)
    {
        routes.Get("/servers/{id}/os-instance-actions", ListAsync).Policy("os_compute_api:os-instance-actions:list");
        routes.Get("/servers/{id}/os-instance-actions/{request}", ShowAsync).Policy(
            "os_compute_api:os-instance-actions:show", "os_compute_api:os-instance-actions:events", "os_compute_api:os-instance-actions:events:details");
    }

    private static async Task<InstanceRow> FindAsync(ApiContext context, NovaSession session)
    {
        var id = context.Route("id");
        if (!context.Since(21))
        {
            return await ServerRoutes.FindAsync(context, session);
        }

        var row = await session.FindInstanceAsync(id, context.Aborted);
        if (row is null || (row.ProjectId != context.Identity.ProjectId && !context.IsAdmin()))
        {
            throw CloudException.NotFound($"Instance {id} could not be found.");
        }

        context.Enforce(NovaContext.TargetOf(row.ProjectId, row.UserId));
        return row;
    }

    private async Task ListAsync(ApiContext context)
    {
        await using var session = store.Read();
        var row = await FindAsync(context, session);
        var query = session.Actions.Where(action => action.InstanceId == row.Uuid);
        var paged = context.Since(58);
        var limit = paged ? context.PageLimit() : int.MaxValue;
        if (paged)
        {
            var since = context.Instant("changes-since");
            var before = context.Since(66) ? context.Instant("changes-before") : null;
            if (since > before)
            {
                throw CloudException.BadRequest("The value of changes-since must be less than or equal to changes-before.");
            }

            query = since is null ? query : query.Where(action => action.UpdatedAt >= since);
            query = before is null ? query : query.Where(action => action.UpdatedAt <= before);
            if (context.Query.Marker is { } marker)
            {
                var at = await session.Actions.Where(action => action.InstanceId == row.Uuid && action.RequestId == marker).Select(action => (long?)action.Id).FirstOrDefaultAsync(context.Aborted)
                    ?? throw CloudException.BadRequest($"Marker {marker} could not be found.");
                query = query.Where(action => action.Id < at);
            }
        }

        var actions = await query.OrderByDescending(action => action.Id).Take(limit).ToListAsync(context.Aborted);
        await context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WriteStartArray("instanceActions");
            foreach (var action in actions)
            {
                json.WriteStartObject();
                Write(json, context, action);
                json.WriteEndObject();
            }

            json.WriteEndArray();
            if (paged && actions.Count > 0)
            {
                context.WriteNextLink(json, "links", $"servers/{row.Uuid}/os-instance-actions", actions.Count, limit, actions[^1].RequestId);
            }

            json.WriteEndObject();
        });
    }

    private async Task ShowAsync(ApiContext context)
    {
        await using var session = store.Read();
        var row = await FindAsync(context, session);
        var request = context.Route("request");
        var action = await session.Actions.Where(entry => entry.InstanceId == row.Uuid && entry.RequestId == request).FirstOrDefaultAsync(context.Aborted)
            ?? throw CloudException.NotFound($"Action {request} not found");
        var target = NovaContext.TargetOf(row.ProjectId, row.UserId);
        var all = context.Can("os_compute_api:os-instance-actions:events", target);
        var details = context.Since(84) && context.Can("os_compute_api:os-instance-actions:events:details", target);
        var events = all || context.Since(51)
            ? await session.Events.Where(entry => entry.ActionId == action.Id).OrderByDescending(entry => entry.Id).ToListAsync(context.Aborted)
            : null;
        await context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WriteStartObject("instanceAction");
            Write(json, context, action);
            if (events is not null)
            {
                json.WriteStartArray("events");
                foreach (var entry in events)
                {
                    WriteEvent(json, context, row, entry, all, details);
                }

                json.WriteEndArray();
            }

            json.WriteEndObject();
            json.WriteEndObject();
        });
    }

    private static void Write(Utf8JsonWriter json, ApiContext context, ActionRow action)
    {
        json.WriteString("action", action.Action);
        json.WriteString("instance_uuid", action.InstanceId);
        json.WriteString("request_id", action.RequestId);
        json.WriteString("user_id", action.UserId);
        json.WriteString("project_id", action.ProjectId);
        json.WriteString("start_time", Timestamps.MicrosNoZone(action.StartedAt));
        json.WriteString("message", action.Message);
        if (context.Since(58))
        {
            json.WriteString("updated_at", Timestamps.MicrosNoZone(action.UpdatedAt));
        }
    }

    private static void WriteEvent(Utf8JsonWriter json, ApiContext context, InstanceRow row, ActionEventRow entry, bool all, bool details)
    {
        json.WriteStartObject();
        json.WriteString("event", entry.Event);
        json.WriteString("start_time", Timestamps.MicrosNoZone(entry.StartedAt));
        json.WriteString("finish_time", entry.FinishedAt is { } finished ? Timestamps.MicrosNoZone(finished) : null);
        json.WriteString("result", entry.Result);
        if (all)
        {
            json.WriteString("traceback", entry.Result == "Error" ? entry.Details : null);
        }

        if (context.Since(62))
        {
            if (all)
            {
                json.WriteString("host", entry.Host);
            }

            json.WriteString("hostId", ServerWriter.HostId(entry.Host, row.ProjectId));
        }

        if (details)
        {
            json.WriteString("details", entry.Details);
        }

        json.WriteEndObject();
    }
}
