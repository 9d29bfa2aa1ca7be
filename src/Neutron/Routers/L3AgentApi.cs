using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using SharpStack.Foundation.Http;
using SharpStack.Neutron.Agents;
using SharpStack.Neutron.Api;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.Routers;

/// <summary>Which L3 agent serves which router.</summary>
internal sealed class L3AgentApi(NeutronStore store, AgentApi agents, L3Scheduler scheduler, RouterResource resource, ResourceRoutes<RouterRow, RouterView> routers)
{
    public void Map(ApiRoutes routes)
    {
        routes.Get("/v2.0/agents/{id}/l3-routers", ListRoutersAsync).Policy("get_l3-routers");
        routes.Post("/v2.0/agents/{id}/l3-routers", AddAsync).Policy("create_l3-router");
        routes.Delete("/v2.0/agents/{id}/l3-routers/{router}", RemoveAsync).Policy("delete_l3-router");
        routes.Get("/v2.0/routers/{id}/l3-agents", ListAgentsAsync).Policy("get_l3-agents");
    }

    private async Task ListRoutersAsync(ApiContext context)
    {
        context.Enforce();
        var id = context.Route("id");
        await using var db = store.Read();
        if (!await db.GetTable<AgentRow>().AnyAsync(agent => agent.Id == id, context.Aborted))
        {
            throw NeutronErrors.AgentNotFound(id);
        }

        var rows = await (from bound in db.GetTable<RouterAgentRow>()
                          where bound.AgentId == id
                          join router in db.GetTable<RouterRow>() on bound.RouterId equals router.Id
                          orderby router.Id
                          select router).ToListAsync(context.Aborted);
        await routers.WriteListAsync(context, db, rows);
    }

    private async Task AddAsync(ApiContext context)
    {
        context.Enforce();
        var root = await context.ReadJsonAsync();
        if (root.ValueKind != JsonValueKind.Object || !root.TryGetProperty("router_id", out var sent) || sent.ValueKind != JsonValueKind.String)
        {
            throw NeutronErrors.BadRequest("Failed to parse request. Required attribute 'router_id' not specified");
        }

        var (id, routerId) = (context.Route("id"), sent.GetString()!);
        await store.WriteAsync(
            async work =>
            {
                var router = await work.Db.GetTable<RouterRow>().FirstOrDefaultAsync(row => row.Id == routerId, work.Cancellation) ?? throw resource.NotFound(routerId);
                var agent = await work.Db.GetTable<AgentRow>().FirstOrDefaultAsync(row => row.Id == id, work.Cancellation) ?? throw NeutronErrors.AgentNotFound(id);
                if (!agent.AdminStateUp || !L3Scheduler.IsFit(new Agent(agent, true)))
                {
                    throw NeutronErrors.NotFound("InvalidL3Agent", $"Agent {id} is not a L3 Agent or has been disabled");
                }

                var bound = await L3Scheduler.BoundAsync(work.Db, routerId, work.Cancellation);
                if (bound.Exists(other => other.Id == id))
                {
                    return;
                }

                if (!router.IsHa && bound.Count > 0)
                {
                    throw NeutronErrors.Conflict("RouterHostedByL3Agent", $"The router {routerId} has been already hosted by the L3 Agent {bound[0].Id}.");
                }

                await scheduler.BindAsync(work, router, agent);
            },
            context.Aborted);
        await context.WriteJsonAsync(201, static json => json.WriteNullValue());
    }

    private async Task RemoveAsync(ApiContext context)
    {
        context.Enforce();
        var (id, routerId) = (context.Route("id"), context.Route("router"));
        await store.WriteAsync(
            async work =>
            {
                var agent = await work.Db.GetTable<AgentRow>().FirstOrDefaultAsync(row => row.Id == id, work.Cancellation) ?? throw NeutronErrors.AgentNotFound(id);
                var router = await work.Db.GetTable<RouterRow>().FirstOrDefaultAsync(row => row.Id == routerId, work.Cancellation) ?? throw resource.NotFound(routerId);
                await scheduler.UnbindAsync(work, router, agent);
            },
            context.Aborted);
        await context.NoContentAsync();
    }

    private async Task ListAgentsAsync(ApiContext context)
    {
        context.Enforce();
        var id = context.Route("id");
        await using var db = store.Read();
        var isHa = await db.GetTable<RouterRow>().AnyAsync(row => row.Id == id && row.IsHa, context.Aborted);
        var states = await db.GetTable<RouterAgentRow>().Where(row => row.RouterId == id).ToDictionaryAsync(row => row.AgentId, row => row.HaState, context.Aborted);
        await agents.WriteListAsync(context, await L3Scheduler.BoundAsync(db, id, context.Aborted), (json, row) => json.WriteString("ha_state", isHa ? states.GetValueOrDefault(row.Id) : null));
    }
}
