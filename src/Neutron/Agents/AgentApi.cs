using System.Globalization;
using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Storage;
using SharpStack.Neutron.Api;
using SharpStack.Neutron.Contracts;
using SharpStack.Neutron.Networks;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.Agents;

/// <summary><c>/v2.0/agents</c>, and which DHCP agent serves which network.</summary>
internal sealed class AgentApi(NeutronStore store, AgentDirectory directory, ResourceRoutes<NetworkRow, NetworkView> networks)
{
    public void Map(ApiRoutes routes)
    {
        routes.Get("/v2.0/agents", ListAsync).Policy("get_agent");
        routes.Get("/v2.0/agents/{id}", ShowAsync).Policy("get_agent");
        routes.Put("/v2.0/agents/{id}", UpdateAsync).Policy("update_agent");
        routes.Delete("/v2.0/agents/{id}", DeleteAsync).Policy("delete_agent");
        routes.Get("/v2.0/agents/{id}/dhcp-networks", ListNetworksAsync).Policy("get_dhcp-networks");
        routes.Post("/v2.0/agents/{id}/dhcp-networks", AddNetworkAsync).Policy("create_dhcp-network");
        routes.Delete("/v2.0/agents/{id}/dhcp-networks/{network}", RemoveNetworkAsync).Policy("delete_dhcp-network");
        routes.Get("/v2.0/networks/{id}/dhcp-agents", ListOfNetworkAsync).Policy("get_dhcp-agents");
    }

    private async Task ListAsync(ApiContext context)
    {
        // As with all of Neutron's lists: what the caller may not see is left out.
        if (!context.Can("get_agent"))
        {
            await WriteListAsync(context, []);
            return;
        }

        await using var db = store.Read();
        var rows = await db.GetTable<AgentRow>().OrderBy(row => row.AgentType).ThenBy(row => row.Host).ToListAsync(context.Aborted);
        await WriteListAsync(context, rows.FindAll(row => Matches(context.Query, row)));
    }

    private async Task ShowAsync(ApiContext context)
    {
        context.Enforce();
        await using var db = store.Read();
        var id = context.Route("id");
        var row = await db.GetTable<AgentRow>().FirstOrDefaultAsync(agent => agent.Id == id, context.Aborted) ?? throw NeutronErrors.AgentNotFound(id);
        await WriteOneAsync(context, row);
    }

    private async Task UpdateAsync(ApiContext context)
    {
        context.Enforce();
        var root = await context.ReadJsonAsync();
        if (root.ValueKind != JsonValueKind.Object || !root.TryGetProperty("agent", out var body) || body.ValueKind != JsonValueKind.Object)
        {
            throw NeutronErrors.BadRequest("Unable to find 'agent' in request body");
        }

        foreach (var member in body.EnumerateObject())
        {
            if (member.Name is not ("admin_state_up" or "description"))
            {
                throw NeutronErrors.BadRequest($"Cannot update read-only attribute {member.Name}");
            }
        }

        var id = context.Route("id");
        var row = await store.WriteAsync(
            async work =>
            {
                var agent = await work.Db.GetTable<AgentRow>().FirstOrDefaultAsync(agent => agent.Id == id, work.Cancellation) ?? throw NeutronErrors.AgentNotFound(id);
                agent.AdminStateUp = body.TryGetProperty("admin_state_up", out var up) ? Checks.ToFlag(up) : agent.AdminStateUp;
                agent.Description = body.TryGetProperty("description", out var text)
                    ? Checks.TextOrNull(255)(text) is { } reason ? throw NeutronErrors.BadRequest($"Invalid input for description. Reason: {reason}.") : text.GetString()
                    : agent.Description;
                await work.Db.UpdateAsync(agent, token: work.Cancellation);
                return agent;
            },
            context.Aborted);
        await WriteOneAsync(context, row);
    }

    private async Task DeleteAsync(ApiContext context)
    {
        context.Enforce();
        var id = context.Route("id");
        await store.WriteAsync(
            async work =>
            {
                var row = await work.Db.GetTable<AgentRow>().FirstOrDefaultAsync(agent => agent.Id == id, work.Cancellation) ?? throw NeutronErrors.AgentNotFound(id);
                await work.Db.DeleteAsync(row, token: work.Cancellation);
                TunnelQuestions.TellChange(work, TunnelQuestions.EndpointOf(row), null);
            },
            context.Aborted);
        await context.NoContentAsync();
    }

    private async Task ListNetworksAsync(ApiContext context)
    {
        context.Enforce();
        var id = context.Route("id");
        await using var db = store.Read();
        var rows = await (from bound in db.GetTable<NetworkDhcpAgentRow>()
                          where bound.AgentId == id
                          join network in db.GetTable<NetworkRow>() on bound.NetworkId equals network.Id
                          select network).ToListAsync(context.Aborted);
        await networks.WriteListAsync(context, db, rows);
    }

    private async Task AddNetworkAsync(ApiContext context)
    {
        context.Enforce();
        var root = await context.ReadJsonAsync();
        if (root.ValueKind != JsonValueKind.Object || !root.TryGetProperty("network_id", out var sent) || sent.ValueKind != JsonValueKind.String)
        {
            throw NeutronErrors.BadRequest("Failed to parse request. Required attribute 'network_id' not specified");
        }

        var (id, networkId) = (context.Route("id"), sent.GetString()!);
        await store.WriteAsync(
            async work =>
            {
                var agent = await work.Db.GetTable<AgentRow>().FirstOrDefaultAsync(agent => agent.Id == id, work.Cancellation) ?? throw NeutronErrors.AgentNotFound(id);
                if (agent.AgentType != AgentTypes.Dhcp || !agent.AdminStateUp)
                {
                    throw NeutronErrors.NotFound("InvalidDHCPAgent", $"Agent {id} is not a valid DHCP Agent or has been disabled.");
                }

                if (!await work.Db.GetTable<NetworkRow>().AnyAsync(network => network.Id == networkId, work.Cancellation))
                {
                    throw NeutronErrors.NetworkNotFound(networkId);
                }

                if (await work.Db.GetTable<NetworkDhcpAgentRow>().AnyAsync(bound => bound.NetworkId == networkId && bound.AgentId == id, work.Cancellation))
                {
                    throw NeutronErrors.Conflict("NetworkHostedByDHCPAgent", $"The network {networkId} has been already hosted by the DHCP Agent {id}.");
                }

                await DhcpScheduler.BindAsync(work, networkId, agent);
            },
            context.Aborted);
        await context.WriteJsonAsync(201, static json => json.WriteNullValue());
    }

    private async Task RemoveNetworkAsync(ApiContext context)
    {
        context.Enforce();
        var (id, networkId) = (context.Route("id"), context.Route("network"));
        await store.WriteAsync(
            async work =>
            {
                var agent = await work.Db.GetTable<AgentRow>().FirstOrDefaultAsync(agent => agent.Id == id, work.Cancellation) ?? throw NeutronErrors.AgentNotFound(id);
                if (!await work.Db.GetTable<NetworkDhcpAgentRow>().AnyAsync(bound => bound.NetworkId == networkId && bound.AgentId == id, work.Cancellation))
                {
                    throw NeutronErrors.Conflict("NetworkNotHostedByDhcpAgent", $"The network {networkId} is not hosted by the DHCP Agent {id}.");
                }

                await DhcpScheduler.UnbindAsync(work, networkId, agent);
            },
            context.Aborted);
        await context.NoContentAsync();
    }

    private async Task ListOfNetworkAsync(ApiContext context)
    {
        context.Enforce();
        await using var db = store.Read();
        await WriteListAsync(context, await directory.DhcpOfAsync(db, context.Route("id"), context.Aborted));
    }

    private bool Matches(QueryValues query, AgentRow row)
    {
        foreach (var name in query.Names)
        {
            var value = name switch
            {
                "id" => row.Id,
                "agent_type" => row.AgentType,
                "binary" => row.Binary,
                "host" => row.Host,
                "topic" => row.Topic,
                "availability_zone" => row.AvailabilityZone,
                "alive" => directory.IsAlive(row).ToString(),
                "admin_state_up" => row.AdminStateUp.ToString(),
                "description" => row.Description ?? "",
                "fields" or "sort_key" or "sort_dir" or "limit" or "marker" or "page_reverse" => null,
                _ => throw NeutronErrors.BadRequest($"['{name}'] is invalid attribute for filtering"),
            };
            var isFlag = name is "alive" or "admin_state_up";
            if (value is not null && !query.All(name).Any(wanted => isFlag ? Checks.ToFlag(wanted ?? "").ToString() == value : wanted == value))
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>Agents that were found otherwise.</summary>
    /// <param name="more">What is told of them beside.</param>
    public Task WriteListAsync(ApiContext context, List<AgentRow> rows, Action<Utf8JsonWriter, AgentRow>? more = null) => context.WriteJsonAsync(200, json =>
    {
        json.WriteStartObject();
        json.WriteStartArray("agents");
        rows.ForEach(row => Write(json, row, more));
        json.WriteEndArray();
        json.WriteEndObject();
    });

    private Task WriteOneAsync(ApiContext context, AgentRow row) => context.WriteJsonAsync(200, json =>
    {
        json.WriteStartObject();
        json.WritePropertyName("agent");
        Write(json, row);
        json.WriteEndObject();
    });

    private void Write(Utf8JsonWriter json, AgentRow row, Action<Utf8JsonWriter, AgentRow>? more = null)
    {
        json.WriteStartObject();
        json.WriteString("id", row.Id);
        json.WriteString("agent_type", row.AgentType);
        json.WriteString("binary", row.Binary);
        json.WriteString("topic", row.Topic);
        json.WriteString("host", row.Host);
        json.WriteBoolean("admin_state_up", row.AdminStateUp);
        json.WriteString("created_at", Time(row.CreatedAt));
        json.WriteString("started_at", Time(row.StartedAt));
        json.WriteString("heartbeat_timestamp", Time(row.HeartbeatAt));
        json.WriteString("description", row.Description);
        if (row.ResourcesSynced is { } isSynced)
        {
            json.WriteBoolean("resources_synced", isSynced);
        }
        else
        {
            json.WriteNull("resources_synced");
        }

        if (row.AgentType is AgentTypes.Dhcp or AgentTypes.L3)
        {
            json.WriteString("availability_zone", row.AvailabilityZone);
        }
        else
        {
            json.WriteNull("availability_zone");
        }

        json.WriteBoolean("alive", directory.IsAlive(row));
        json.WritePropertyName("configurations");
        json.WriteRawValue(row.Configurations, skipInputValidation: true);
        more?.Invoke(json, row);
        json.WriteEndObject();
    }

    /// <summary>Agents are shown with another form of time than all other resources.</summary>
    private static string Time(long microseconds) => Timestamps.FromMicroseconds(microseconds).UtcDateTime.ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture);
}
