using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;
using SharpStack.Nova.Storage;

namespace SharpStack.Nova.Quotas;

/// <summary><c>/os-quota-sets</c>, <c>/os-quota-class-sets</c> and <c>/limits</c>.</summary>
internal sealed class QuotaRoutes(NovaStore store, QuotaStore quotas)
{
    private static readonly string[] Resources = ["instances", "cores", "ram", "metadata_items", "key_pairs", "server_groups", "server_group_members"];

    /// <summary>Limits of what Nova does no more, shown until 2.57 with their old defaults.</summary>
    private static readonly (string Name, int Limit)[] Injected = [("injected_files", 5), ("injected_file_content_bytes", 10_240), ("injected_file_path_bytes", 255)];

    /// <summary>Limits of what Neutron does now, shown until 2.36.</summary>
    private static readonly (string Name, int Limit)[] Networking = [("fixed_ips", -1), ("floating_ips", -1), ("security_groups", -1), ("security_group_rules", -1)];

    public void Map(NovaRoutes routes)
    {
        routes.Get("/limits", LimitsAsync).Policy("os_compute_api:limits");
        routes.Get("/os-quota-sets/{project}", context => ShowAsync(context, false)).Policy("os_compute_api:os-quota-sets:show");
        routes.Get("/os-quota-sets/{project}/detail", context => ShowAsync(context, true)).Policy("os_compute_api:os-quota-sets:detail");
        routes.Get("/os-quota-sets/{project}/defaults", DefaultsAsync).Policy("os_compute_api:os-quota-sets:defaults");
        routes.Put("/os-quota-sets/{project}", UpdateAsync).Policy("os_compute_api:os-quota-sets:update")
            .Body(Schema("quota_set", true, true, true), null, "2.35").Body(Schema("quota_set", true, false, true), "2.36", "2.56").Body(Schema("quota_set", false, false, true), "2.57");
        routes.Delete("/os-quota-sets/{project}", DeleteAsync).Policy("os_compute_api:os-quota-sets:delete");
        routes.Get("/os-quota-class-sets/{class}", ShowClassAsync).Policy("os_compute_api:os-quota-class-sets:show");
        routes.Put("/os-quota-class-sets/{class}", UpdateClassAsync).Policy("os_compute_api:os-quota-class-sets:update")
            .Body(Schema("quota_class_set", true, true, false), null, "2.49").Body(Schema("quota_class_set", true, false, false), "2.50", "2.56")
            .Body(Schema("quota_class_set", false, false, false), "2.57");
    }

    private static JsonSchema Schema(string name, bool injected, bool networking, bool force)
    {
        var limit = JsonSchema.AnyOf(JsonSchema.Integer(-1, int.MaxValue), JsonSchema.String(1, 11));
        var properties = Resources.Concat(injected ? Injected.Select(entry => entry.Name) : []).Concat(networking ? Networking.Select(entry => entry.Name) : [])
            .Select(resource => (resource, limit)).ToList();
        if (force)
        {
            properties.Add(("force", Schemas.Boolean));
        }

        return JsonSchema.Envelope(name, JsonSchema.Object(false, [.. properties]));
    }

    private async Task LimitsAsync(ApiContext context)
    {
        context.AllowQuery("reserved", "tenant_id");
        context.Enforce();
        var project = context.ProjectId();
        if (context.Query["tenant_id"] is { Length: > 0 } other && other != project)
        {
            context.Enforce("os_compute_api:limits:other_project", context.OwnTarget());
            project = other;
        }

        await using var session = store.Read();
        var limits = await quotas.LimitsAsync(session, project, null, context.Aborted);
        var used = await QuotaStore.UsageAsync(session, project, context.Aborted);
        await context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WriteStartObject("limits");
            json.WriteStartArray("rate");
            json.WriteEndArray();
            json.WriteStartObject("absolute");
            json.WriteNumber("maxTotalInstances", limits.Instances);
            json.WriteNumber("maxTotalCores", limits.Cores);
            json.WriteNumber("maxTotalRAMSize", limits.Ram);
            json.WriteNumber("maxServerMeta", limits.MetadataItems);
            json.WriteNumber("maxTotalKeypairs", limits.KeyPairs);
            json.WriteNumber("maxServerGroups", limits.ServerGroups);
            json.WriteNumber("maxServerGroupMembers", limits.ServerGroupMembers);
            if (!context.Since(39))
            {
                json.WriteNumber("maxImageMeta", limits.MetadataItems);
            }

            if (!context.Since(57))
            {
                json.WriteNumber("maxPersonality", Injected[0].Limit);
                json.WriteNumber("maxPersonalitySize", Injected[1].Limit);
            }

            if (!context.Since(36))
            {
                json.WriteNumber("maxTotalFloatingIps", -1);
                json.WriteNumber("maxSecurityGroups", -1);
                json.WriteNumber("maxSecurityGroupRules", -1);
                json.WriteNumber("totalFloatingIpsUsed", 0);
                json.WriteNumber("totalSecurityGroupsUsed", 0);
            }

            json.WriteNumber("totalRAMUsed", used.Ram);
            json.WriteNumber("totalCoresUsed", used.Cores);
            json.WriteNumber("totalInstancesUsed", used.Instances);
            json.WriteNumber("totalServerGroupsUsed", 0);
            json.WriteEndObject();
            json.WriteEndObject();
            json.WriteEndObject();
        });
    }

    private static string TargetProject(ApiContext context)
    {
        context.AllowQuery("user_id");
        var project = context.Route("project");
        context.Enforce(NovaContext.TargetOf(project));
        return project;
    }

    private async Task ShowAsync(ApiContext context, bool detailed)
    {
        var project = TargetProject(context);
        await using var session = store.Read();
        var limits = await quotas.LimitsAsync(session, project, context.Query["user_id"], context.Aborted);
        var used = detailed ? await QuotaStore.UsageAsync(session, project, context.Aborted) : null;
        await WriteAsync(context, "quota_set", project, limits, used);
    }

    private async Task DefaultsAsync(ApiContext context)
    {
        var project = TargetProject(context);
        await using var session = store.Read();
        await WriteAsync(context, "quota_set", project, await quotas.DefaultsAsync(session, context.Aborted), null);
    }

    private async Task UpdateAsync(ApiContext context)
    {
        var project = TargetProject(context);
        var user = context.Query["user_id"] ?? "";
        var body = (await context.ReadJsonAsync()).GetProperty("quota_set");
        var force = body.TryGetProperty("force", out var forced) && forced.Truth();
        var limits = await store.WriteAsync(
            async session =>
            {
                var used = await QuotaStore.UsageAsync(session, project, context.Aborted);
                var whole = user.Length > 0 ? await quotas.LimitsAsync(session, project, null, context.Aborted) : null;
                foreach (var (resource, limit) in Given(body))
                {
                    if (!force && limit >= 0 && limit < used.Of(resource))
                    {
                        throw CloudException.BadRequest(
                            $"Quota limit {limit} for {resource} must be greater than or equal to already used and reserved {used.Of(resource)}.");
                    }

                    if (!force && whole?.Of(resource) is >= 0 and var most && (limit < 0 || limit > most))
                    {
                        throw CloudException.BadRequest($"Quota limit {limit} for {resource} must be less than or equal to {most}.");
                    }

                    await session.Db.InsertOrReplaceAsync(new QuotaRow { ProjectId = project, UserId = user, Resource = resource, HardLimit = limit }, token: context.Aborted);
                }

                return await quotas.LimitsAsync(session, project, user.Length > 0 ? user : null, context.Aborted);
            },
            context.Aborted);
        await WriteAsync(context, "quota_set", null, limits, null);
    }

    private async Task DeleteAsync(ApiContext context)
    {
        var project = TargetProject(context);
        var user = context.Query["user_id"];
        await store.WriteAsync(
            session => session.Quotas.Where(row => row.ProjectId == project && (user == null || row.UserId == user)).DeleteAsync(context.Aborted), context.Aborted);
        await context.NoContentAsync(202);
    }

    private async Task ShowClassAsync(ApiContext context)
    {
        context.Enforce();
        var name = context.Route("class");
        await using var session = store.Read();
        await WriteAsync(context, "quota_class_set", name, await ClassAsync(session, name, context.Aborted), null);
    }

    private async Task UpdateClassAsync(ApiContext context)
    {
        context.Enforce();
        var name = context.Route("class");
        var body = (await context.ReadJsonAsync()).GetProperty("quota_class_set");
        var limits = await store.WriteAsync(
            async session =>
            {
                foreach (var (resource, limit) in Given(body))
                {
                    await session.Db.InsertOrReplaceAsync(new QuotaClassRow { Class = name, Resource = resource, HardLimit = limit }, token: context.Aborted);
                }

                return await ClassAsync(session, name, context.Aborted);
            },
            context.Aborted);
        await WriteAsync(context, "quota_class_set", null, limits, null);
    }

    private async Task<QuotaLimits> ClassAsync(NovaSession session, string name, CancellationToken cancellationToken)
    {
        var limits = quotas.Configured;
        foreach (var row in await session.QuotaClasses.Where(row => row.Class == name).ToListAsync(cancellationToken))
        {
            limits = limits.With(row.Resource, row.HardLimit);
        }

        return limits;
    }

    private static IEnumerable<(string Resource, int Limit)> Given(JsonElement body) =>
        Resources.Concat(Injected.Concat(Networking).Select(entry => entry.Name)).Where(resource => body.TryGetProperty(resource, out _)).Select(resource =>
        {
            var limit = body.GetProperty(resource).Whole(resource);
            return limit >= -1 ? (resource, limit) : throw CloudException.BadRequest($"Invalid input for field/attribute {resource}. Value: {limit}. {limit} is less than the minimum of -1");
        });

    private static Task WriteAsync(ApiContext context, string member, string? id, QuotaLimits limits, QuotaUsage? used) =>
        context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WriteStartObject(member);
            if (id is not null)
            {
                json.WriteString("id", id);
            }

            var isClass = member == "quota_class_set";
            foreach (var resource in Resources)
            {
                // Classes show groups since 2.50.
                if (!isClass || context.Since(50) || !resource.StartsWith("server_group", StringComparison.Ordinal))
                {
                    Write(resource, limits.Of(resource), used?.Of(resource) ?? 0);
                }
            }

            if (!context.Since(57))
            {
                foreach (var (name, limit) in Injected)
                {
                    Write(name, limits.Others.GetValueOrDefault(name, limit), 0);
                }
            }

            if (!context.Since(isClass ? 50 : 36))
            {
                foreach (var (name, limit) in Networking)
                {
                    Write(name, limits.Others.GetValueOrDefault(name, limit), 0);
                }
            }

            json.WriteEndObject();
            json.WriteEndObject();

            void Write(string name, int limit, int usage)
            {
                if (used is null)
                {
                    json.WriteNumber(name, limit);
                    return;
                }

                json.WriteStartObject(name);
                json.WriteNumber("in_use", usage);
                json.WriteNumber("limit", limit);
                json.WriteNumber("reserved", 0);
                json.WriteEndObject();
            }
        });
}
