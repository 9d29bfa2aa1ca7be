using System.Text.Json;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;
using SharpStack.Nova.Clients;
using SharpStack.Nova.Servers;
using SharpStack.Nova.Storage;

namespace SharpStack.Nova.Interfaces;

/// <summary>The security groups of a server: those of its ports.</summary>
internal sealed class ServerSecurityGroups(NovaStore store, UserClients users, NeutronClient neutron)
{
    public void Map(NovaRoutes routes) => routes.Get("/servers/{id}/os-security-groups", ListAsync).Policy("os_compute_api:os-security-groups:list");

    private async Task ListAsync(ApiContext context)
    {
        InstanceRow row;
        await using (var session = store.Read())
        {
            row = await ServerRoutes.FindAsync(context, session);
        }

        var ports = await neutron.ListAsync(row.Uuid, context.Aborted);
        var ids = ports.SelectMany(GroupsOf).ToHashSet();
        using var document = await users.GetNetworkAsync(
            context.Http.Request.Headers["X-Auth-Token"].ToString(), $"/v2.0/security-groups?project_id={row.ProjectId}", context.Aborted);
        var groups = document is null ? [] : document.RootElement.GetProperty("security_groups").EnumerateArray()
            .Where(group => ids.Contains(group.Text("id")!)).OrderBy(group => group.Text("name"), StringComparer.Ordinal).ToList();
        await context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WriteStartArray("security_groups");
            foreach (var group in groups)
            {
                Write(json, group);
            }

            json.WriteEndArray();
            json.WriteEndObject();
        });
    }

    /// <summary>Adds a group to all ports of a server, or takes it from them.</summary>
    public async Task ChangeAsync(ApiContext context, string name, bool add)
    {
        InstanceRow row;
        await using (var session = store.Read())
        {
            row = await ServerRoutes.FindAsync(context, session, $"os_compute_api:os-security-groups:{(add ? "add" : "remove")}");
        }

        var names = await neutron.GroupNamesAsync(row.ProjectId, context.Aborted);
        var matches = names.ContainsKey(name) ? [name] : names.Where(group => group.Value == name).Select(group => group.Key).ToList();
        var id = matches.Count switch
        {
            1 => matches[0],
            0 => throw CloudException.NotFound($"Security group {name} not found for project {row.ProjectId}."),
            _ => throw CloudException.Conflict($"Multiple security groups found matching '{name}'. Use an ID to be more specific."),
        };
        var ports = await neutron.ListAsync(row.Uuid, context.Aborted);
        var shown = new HashSet<string>();
        var found = false;
        foreach (var port in ports)
        {
            var groups = GroupsOf(port).ToList();
            found |= groups.Contains(id);
            if (add != groups.Contains(id))
            {
                groups = add ? [.. groups, id] : [.. groups.Where(group => group != id)];
                await neutron.SetGroupsAsync(port.Text("id")!, groups, context.Aborted);
            }

            shown.UnionWith(groups);
        }

        if (!add && !found)
        {
            throw CloudException.NotFound($"Security group {name} not associated with the instance {row.Uuid}");
        }

        await store.ChangeAsync(
            row.Uuid,
            instance =>
            {
                instance.SecurityGroups = StoredJson.Groups(shown.Select(group => names.GetValueOrDefault(group, group)));
                return true;
            },
            context.Aborted);
        await context.NoContentAsync(202);
    }

    private static IEnumerable<string> GroupsOf(JsonElement port) =>
        port.TryGetProperty("security_groups", out var groups) ? groups.EnumerateArray().Select(group => group.GetString()!) : [];

    /// <summary>A group in the words of Nova's API, with its ingress rules.</summary>
    private static void Write(Utf8JsonWriter json, JsonElement group)
    {
        json.WriteStartObject();
        json.WriteString("id", group.Text("id"));
        json.WriteString("name", group.Text("name"));
        json.WriteString("description", group.Text("description"));
        json.WriteString("tenant_id", group.Text("project_id") ?? group.Text("tenant_id"));
        json.WriteStartArray("rules");
        if (group.TryGetProperty("security_group_rules", out var rules))
        {
            foreach (var rule in rules.EnumerateArray().Where(rule => rule.Text("direction") == "ingress"))
            {
                json.WriteStartObject();
                json.WriteString("id", rule.Text("id"));
                json.WriteString("parent_group_id", group.Text("id"));
                json.WriteString("ip_protocol", rule.Text("protocol"));
                WritePort(json, rule, "from_port", "port_range_min");
                WritePort(json, rule, "to_port", "port_range_max");
                json.WriteStartObject("group");
                json.WriteEndObject();
                json.WriteStartObject("ip_range");
                if (rule.Text("remote_group_id") is null)
                {
                    json.WriteString("cidr", rule.Text("remote_ip_prefix") ?? (rule.Text("ethertype") == "IPv6" ? "::/0" : "0.0.0.0/0"));
                }

                json.WriteEndObject();
                json.WriteEndObject();
            }
        }

        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static void WritePort(Utf8JsonWriter json, JsonElement rule, string name, string source)
    {
        if (rule.TryGetProperty(source, out var port) && port.ValueKind == JsonValueKind.Number)
        {
            json.WriteNumber(name, port.GetInt32());
        }
        else
        {
            json.WriteNull(name);
        }
    }
}
