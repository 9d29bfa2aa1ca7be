using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;
using SharpStack.Nova.Quotas;
using SharpStack.Nova.Storage;

namespace SharpStack.Nova.ServerGroups;

/// <summary><c>/os-server-groups</c>.</summary>
internal sealed class ServerGroupRoutes(NovaStore store, QuotaStore quotas)
{
    private const string Policy = "os_compute_api:os-server-groups:";

    public void Map(NovaRoutes routes)
    {
        var plain = JsonSchema.OneOfTexts("anti-affinity", "affinity");
        var soft = JsonSchema.OneOfTexts("anti-affinity", "affinity", "soft-anti-affinity", "soft-affinity");
        routes.Get("/os-server-groups", ListAsync).Policy(Policy + "index", Policy + "index:all_projects");
        routes.Post("/os-server-groups", CreateAsync).Policy(Policy + "create")
            .Body(Body(("policies!", JsonSchema.Array(plain, 1, 1))), null, "2.14")
            .Body(Body(("policies!", JsonSchema.Array(soft, 1, 1))), "2.15", "2.63")
            .Body(Body(("policy!", soft), ("rules", JsonSchema.Object(false, ("max_server_per_host", Schemas.PositiveInteger)))), "2.64");
        routes.Get("/os-server-groups/{id}", ShowAsync).Policy(Policy + "show");
        routes.Delete("/os-server-groups/{id}", DeleteAsync).Policy(Policy + "delete");
    }

    private static JsonSchema Body(params (string Name, JsonSchema Schema)[] fields) =>
        JsonSchema.Envelope("server_group", JsonSchema.Object(false, [("name!", Schemas.Name), .. fields]));

    private async Task ListAsync(ApiContext context)
    {
        context.Enforce();
        context.AllowQuery("all_projects", "limit", "offset");
        var offset = context.Number("offset") ?? 0;
        var limit = context.PageLimit();
        await using var session = store.Read();
        var groups = (IQueryable<ServerGroupRow>)ServerGroupStore.Groups(session);
        if (!context.Query.Has("all_projects") || !context.Can(Policy + "index:all_projects"))
        {
            var project = context.ProjectId();
            groups = groups.Where(row => row.ProjectId == project);
        }

        var rows = await groups.OrderBy(row => row.Id).Skip(offset).Take(limit).ToListAsync(context.Aborted);
        var ids = rows.ConvertAll(row => row.Id);
        var members = (await (
            from member in ServerGroupStore.Members(session)
            join instance in session.Instances on member.InstanceId equals instance.Uuid
            where ids.Contains(member.GroupId) && instance.DeletedAt == null
            orderby instance.Id
            select member).ToListAsync(context.Aborted)).ToLookup(member => member.GroupId, member => member.InstanceId);
        await context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WriteStartArray("server_groups");
            foreach (var row in rows)
            {
                Write(json, context, row, members[row.Id]);
            }

            json.WriteEndArray();
            json.WriteEndObject();
        });
    }

    private async Task CreateAsync(ApiContext context)
    {
        context.Enforce();
        var body = (await context.ReadJsonAsync()).GetProperty("server_group");
        var projectId = context.ProjectId();
        var policy = context.Since(64) ? body.GetProperty("policy").GetString()! : body.GetProperty("policies")[0].GetString()!;
        int? most = body.TryGetProperty("rules", out var rules) && rules.TryGetProperty("max_server_per_host", out var given) ? given.Whole("max_server_per_host") : null;
        if (most is not null && policy != "anti-affinity")
        {
            throw CloudException.BadRequest("Only anti-affinity policy supports rules.");
        }

        var row = await store.WriteAsync(
            async session =>
            {
                var limits = await quotas.LimitsAsync(session, projectId, context.Identity.UserId, context.Aborted);
                if (limits.ServerGroups >= 0 && await ServerGroupStore.Groups(session).CountAsync(other => other.ProjectId == projectId, context.Aborted) >= limits.ServerGroups)
                {
                    throw CloudException.Forbidden("Quota exceeded, too many server groups.");
                }

                var added = new ServerGroupRow
                {
                    Uuid = Guid.NewGuid().ToString(),
                    Name = body.GetProperty("name").GetString()!.Trim(),
                    ProjectId = projectId,
                    UserId = context.Identity.UserId,
                    Policy = policy,
                    MaxPerHost = most,
                };
                await session.Db.InsertAsync(added, token: context.Aborted);
                return added;
            },
            context.Aborted);
        await AnswerAsync(context, row, []);
    }

    private async Task ShowAsync(ApiContext context)
    {
        await using var session = store.Read();
        var row = await FindAsync(context, session);
        await AnswerAsync(context, row, await ServerGroupStore.MemberIds(session, row.Id).ToListAsync(context.Aborted));
    }

    private async Task DeleteAsync(ApiContext context)
    {
        await store.WriteAsync(
            async session =>
            {
                var row = await FindAsync(context, session);
                await ServerGroupStore.Members(session).Where(member => member.GroupId == row.Id).DeleteAsync(context.Aborted);
                await ServerGroupStore.Groups(session).Where(group => group.Id == row.Id).DeleteAsync(context.Aborted);
            },
            context.Aborted);
        await context.NoContentAsync();
    }

    private static async Task<ServerGroupRow> FindAsync(ApiContext context, NovaSession session)
    {
        var id = context.Route("id");
        var row = await ServerGroupStore.Groups(session).FirstOrDefaultAsync(group => group.Uuid == id, context.Aborted);
        // Whoever may not see any group is refused, whether or not this one exists.
        context.Enforce(NovaContext.TargetOf(row?.ProjectId ?? context.ProjectId()));
        return row ?? throw CloudException.NotFound($"Instance group {id} could not be found.");
    }

    private static Task AnswerAsync(ApiContext context, ServerGroupRow row, IReadOnlyList<string> members) =>
        context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WritePropertyName("server_group");
            Write(json, context, row, members);
            json.WriteEndObject();
        });

    private static void Write(Utf8JsonWriter json, ApiContext context, ServerGroupRow row, IEnumerable<string> members)
    {
        json.WriteStartObject();
        json.WriteString("id", row.Uuid);
        json.WriteString("name", row.Name);
        if (context.Since(64))
        {
            json.WriteString("policy", row.Policy);
            json.WriteStartObject("rules");
            if (row.MaxPerHost is { } most)
            {
                json.WriteNumber("max_server_per_host", most);
            }

            json.WriteEndObject();
        }
        else
        {
            json.WriteStartArray("policies");
            json.WriteStringValue(row.Policy);
            json.WriteEndArray();
            json.WriteStartObject("metadata");
            json.WriteEndObject();
        }

        json.WriteStartArray("members");
        foreach (var member in members)
        {
            json.WriteStringValue(member);
        }

        json.WriteEndArray();
        if (context.Since(13))
        {
            json.WriteString("project_id", row.ProjectId);
            json.WriteString("user_id", row.UserId);
        }

        json.WriteEndObject();
    }
}
