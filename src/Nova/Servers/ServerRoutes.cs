using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;
using SharpStack.Nova.Conductor;
using SharpStack.Nova.Contracts;
using SharpStack.Nova.InstanceActions;
using SharpStack.Nova.Services;
using SharpStack.Nova.ServerGroups;
using SharpStack.Nova.Storage;

namespace SharpStack.Nova.Servers;

/// <summary><c>/servers</c>: create, list, show, update, delete.</summary>
internal sealed class ServerRoutes(NovaStore store, ServerCreation creation, HostRegistry hosts, ConductorHints hints, ActionLimits limits)
{
    public void Map(NovaRoutes routes)
    {
        routes.Get("/servers", context => ListAsync(context, false)).Policy("os_compute_api:servers:index", "os_compute_api:servers:index:get_all_tenants");
        routes.Get("/servers/detail", context => ListAsync(context, true)).Policy("os_compute_api:servers:detail", "os_compute_api:servers:detail:get_all_tenants");
        routes.Post("/servers", creation.CreateAsync).Policy("os_compute_api:servers:create").WithCreateSchemas();
        routes.Post("/os-volumes_boot", creation.CreateAsync).Policy("os_compute_api:servers:create").WithCreateSchemas();
        routes.Get("/servers/{id}", ShowAsync).Policy("os_compute_api:servers:show");
        routes.Put("/servers/{id}", UpdateAsync).Policy("os_compute_api:servers:update").WithUpdateSchemas();
        routes.Delete("/servers/{id}", context => DeleteAsync(context, "delete")).Policy("os_compute_api:servers:delete");
    }

    /// <summary>Finds the server that a route names, and refuses callers without the route's policy on it.</summary>
    public static async Task<InstanceRow> FindAsync(ApiContext context, NovaSession session, string? rule = null)
    {
        var id = context.Route("id");
        var row = await session.GetInstanceAsync(id, context.Aborted);
        var target = NovaContext.TargetOf(row.ProjectId, row.UserId);
        if (row.ProjectId != context.Identity.ProjectId && !context.IsAdmin())
        {
            // As if it were not there: whether it is, is no business of other projects.
            throw CloudException.NotFound($"Instance {id} could not be found.");
        }

        context.Enforce(rule ?? context.RouteInfo.Policies[0], target);
        return row;
    }

    private async Task ListAsync(ApiContext context, bool detailed)
    {
        context.Enforce();
        var limit = context.PageLimit();
        await using var session = store.Read();
        var rows = limit == 0 ? [] : await new ServerListing(context, session).RunAsync(detailed, limit);
        var writer = await ServerWriter.CreateAsync(context, () => hosts.StatusesAsync(session, context.Aborted));
        var userData = detailed && writer.NeedsUserData && rows.Count > 0 ? await UserDataAsync(session, rows, context.Aborted) : null;
        await context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WriteStartArray("servers");
            foreach (var row in rows)
            {
                if (detailed)
                {
                    writer.Write(json, row, userData?.GetValueOrDefault(row.Id), list: true);
                }
                else
                {
                    writer.WriteBrief(json, row);
                }
            }

            json.WriteEndArray();
            if (rows.Count > 0)
            {
                context.WriteNextLink(json, "servers_links", detailed ? "servers/detail" : "servers", rows.Count, limit, rows[^1].Uuid);
            }

            json.WriteEndObject();
        });
    }

    /// <summary>The user data of those rows that have any.</summary>
    private static async Task<Dictionary<long, string?>> UserDataAsync(NovaSession session, List<InstanceRow> rows, CancellationToken cancellationToken)
    {
        var first = rows.Min(row => row.Id);
        var last = rows.Max(row => row.Id);
        return await session.Instances
            .Where(row => row.Id >= first && row.Id <= last && row.UserData != null)
            .Select(row => new { row.Id, row.UserData })
            .ToDictionaryAsync(row => row.Id, row => row.UserData, cancellationToken);
    }

    private async Task ShowAsync(ApiContext context)
    {
        await using var session = store.Read();
        var row = await FindAsync(context, session);
        await WriteAsync(context, session, row, false);
    }

    private async Task WriteAsync(ApiContext context, NovaSession session, InstanceRow row, bool update)
    {
        var writer = await ServerWriter.CreateAsync(context, () => hosts.StatusesAsync(session, context.Aborted));
        var userData = writer.NeedsUserData ? await session.UserDataAsync(row.Uuid, context.Aborted) : null;
        var group = context.Since(71) ? await ServerGroupStore.UuidOfAsync(session, row.Uuid, context.Aborted) : null;
        await context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WritePropertyName("server");
            writer.Write(json, row, userData, update: update, group: group);
            json.WriteEndObject();
        });
    }

    private async Task UpdateAsync(ApiContext context)
    {
        InstanceRow row;
        await using (var session = store.Read())
        {
            row = await FindAsync(context, session);
        }

        var body = (await context.ReadJsonAsync()).GetProperty("server");
        var changed = await store.ChangeAsync(
            row.Uuid,
            instance =>
            {
                instance.Name = body.Text("name")?.Trim() ?? instance.Name;
                instance.Hostname = body.Text("hostname") ?? instance.Hostname;
                instance.DiskConfig = body.Text("OS-DCF:diskConfig") ?? instance.DiskConfig;
                instance.AccessIpV4 = body.Address("accessIPv4") ?? instance.AccessIpV4;
                instance.AccessIpV6 = ServerCreation.CanonicalAddress(body.Address("accessIPv6")) ?? instance.AccessIpV6;
                if (body.TryGetProperty("description", out var description))
                {
                    instance.Description = description.GetString();
                }

                return true;
            },
            context.Aborted) ?? throw CloudException.NotFound("Instance could not be found");
        await using var reading = store.Read();
        await WriteAsync(context, reading, changed, true);
    }

    /// <summary>Marks a server for removal: from here on nothing else is done with it.</summary>
    public async Task DeleteAsync(ApiContext context, string actionName)
    {
        InstanceRow row;
        await using (var session = store.Read())
        {
            row = await FindAsync(context, session, actionName == "forceDelete" ? "os_compute_api:os-deferred-delete:force" : "os_compute_api:servers:delete");
        }

        var admin = context.IsAdmin();
        var changed = await store.ChangeAsync(
            row.Uuid,
            async (session, instance) =>
            {
                if (instance.LockedBy is not null && !admin)
                {
                    throw CloudException.Conflict($"Instance {instance.Uuid} is locked");
                }

                if (instance.Desired == DesiredState.Absent)
                {
                    return false;
                }

                foreach (var pending in await session.Actions.Where(action => action.InstanceId == instance.Uuid && action.Pending).ToListAsync(context.Aborted))
                {
                    await session.FinishAsync(pending, failed: true, context.Aborted);
                }

                instance.Desired = DesiredState.Absent;
                if (instance.Host is null)
                {
                    // No host has anything of it: it is gone with this request, and the conductor gives back what it holds elsewhere.
                    await session.StartAsync(ActionLog.Done(context, instance, actionName, session.Now), context.Aborted);
                    instance.SetDeleted(session.Now);
                    instance.Release = true;
                    return true;
                }

                await session.StartAsync(ActionLog.New(context, instance, actionName, InstanceActionKind.Delete, session.Now, limits), context.Aborted);
                instance.TaskState = TaskStates.Deleting;
                return true;
            },
            context.Aborted) ?? throw CloudException.NotFound($"Instance {row.Uuid} could not be found.");
        await hints.ConductorAsync(changed.Uuid, changed.Revision);
        await context.NoContentAsync(actionName == "forceDelete" ? 202 : 204);
    }
}
