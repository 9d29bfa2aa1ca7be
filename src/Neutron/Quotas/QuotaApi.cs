using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;
using SharpStack.Neutron.Api;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.Quotas;

/// <summary><c>/v2.0/quotas</c>.</summary>
internal sealed class QuotaApi(NeutronStore store, QuotaEngine quotas, NeutronOptions options)
{
    public void Map(ApiRoutes routes)
    {
        routes.Get("/v2.0/quotas", ListAsync).Policy("get_quota");
        routes.Get("/v2.0/quotas/tenant", ShowTenantAsync).ForEveryToken();
        routes.Get("/v2.0/quotas/{project}", ShowAsync).Policy("get_quota");
        routes.Get("/v2.0/quotas/{project}/default", ShowDefaultAsync).Policy("get_quota");
        routes.Get("/v2.0/quotas/{project}/details", ShowDetailsAsync).Policy("get_quota");
        routes.Get("/v2.0/quotas/{project}/details.json", ShowDetailsAsync).Policy("get_quota");
        routes.Put("/v2.0/quotas/{project}", UpdateAsync).Policy("update_quota");
        routes.Delete("/v2.0/quotas/{project}", DeleteAsync).Policy("delete_quota");
    }

    private async Task ListAsync(ApiContext context)
    {
        context.Enforce();
        await using var db = store.Read();
        var projects = await db.GetTable<QuotaRow>().Select(row => row.ProjectId).Distinct().OrderBy(id => id).ToListAsync(context.Aborted);
        var own = (await db.GetTable<QuotaRow>().ToListAsync(context.Aborted)).ToLookup(row => row.ProjectId);
        await context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WriteStartArray("quotas");
            foreach (var project in projects)
            {
                json.WriteStartObject();
                foreach (var (resource, limit) in options.DefaultQuotas)
                {
                    json.WriteNumber(resource, own[project].FirstOrDefault(row => row.Resource == resource)?.Limit ?? limit);
                }

                json.WriteString("project_id", project);
                json.WriteString("tenant_id", project);
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteEndObject();
        });
    }

    private static Task ShowTenantAsync(ApiContext context) => context.WriteJsonAsync(200, json =>
    {
        json.WriteStartObject();
        json.WriteStartObject("tenant");
        json.WriteString("tenant_id", context.Identity.ProjectId);
        json.WriteString("project_id", context.Identity.ProjectId);
        json.WriteEndObject();
        json.WriteEndObject();
    });

    private async Task ShowAsync(ApiContext context)
    {
        EnforceForOthers(context);
        await using var db = store.Read();
        await WriteAsync(context, await quotas.LimitsAsync(db, ProjectOf(context), context.Aborted));
    }

    private Task ShowDefaultAsync(ApiContext context)
    {
        EnforceForOthers(context);
        return WriteAsync(context, [.. options.DefaultQuotas]);
    }

    private async Task ShowDetailsAsync(ApiContext context)
    {
        EnforceForOthers(context);
        var project = ProjectOf(context);
        await using var db = store.Read();
        var used = new List<(string Resource, int Limit, int Used)>();
        foreach (var (resource, limit) in await quotas.LimitsAsync(db, project, context.Aborted))
        {
            used.Add((resource, limit, await QuotaEngine.CountAsync(db, project, resource, context.Aborted)));
        }

        await context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WriteStartObject("quota");
            foreach (var (resource, limit, count) in used)
            {
                json.WriteStartObject(resource);
                json.WriteNumber("limit", limit);
                json.WriteNumber("used", count);
                json.WriteNumber("reserved", 0);
                json.WriteEndObject();
            }

            json.WriteEndObject();
            json.WriteEndObject();
        });
    }

    private async Task UpdateAsync(ApiContext context)
    {
        context.Enforce();
        var root = await context.ReadJsonAsync();
        if (root.ValueKind != JsonValueKind.Object || !root.TryGetProperty("quota", out var body) || body.ValueKind != JsonValueKind.Object)
        {
            throw NeutronErrors.BadRequest("Unable to find 'quota' in request body");
        }

        var names = options.DefaultQuotas.Select(quota => quota.Resource).ToHashSet(StringComparer.Ordinal);
        var wanted = new List<(string Resource, int Limit)>();
        foreach (var member in body.EnumerateObject())
        {
            if (member.Name is "tenant_id" or "project_id" or "force" or "check_limit")
            {
                continue;
            }

            if (!names.Contains(member.Name))
            {
                throw NeutronErrors.BadRequest($"Unrecognized attribute(s) '{member.Name}'");
            }

            wanted.Add((member.Name, Checks.ToNumber(member.Value) is { } limit and >= -1
                ? limit : throw NeutronErrors.BadRequest($"Invalid input for {member.Name}. Reason: '{Checks.Shown(member.Value)}' is not an integer from -1 on (-1: no limit).")));
        }

        var project = ProjectOf(context);
        var isChecked = body.TryGetProperty("check_limit", out var check) && Checks.ToFlag(check);
        var limits = await store.WriteAsync(
            async work =>
            {
                foreach (var (resource, limit) in wanted)
                {
                    if (isChecked && limit >= 0 && await QuotaEngine.CountAsync(work.Db, project, resource, work.Cancellation) is var used && used > limit)
                    {
                        throw NeutronErrors.BadRequest($"Quota limit {limit} for {resource} must be greater than or equal to already used {used}");
                    }

                    await work.Db.GetTable<QuotaRow>().Where(row => row.ProjectId == project && row.Resource == resource).DeleteAsync(work.Cancellation);
                    await work.Db.InsertAsync(new QuotaRow { ProjectId = project, Resource = resource, Limit = limit }, token: work.Cancellation);
                }

                return await quotas.LimitsAsync(work.Db, project, work.Cancellation);
            },
            context.Aborted);
        await WriteAsync(context, limits);
    }

    private async Task DeleteAsync(ApiContext context)
    {
        context.Enforce();
        var project = ProjectOf(context);
        await store.WriteAsync(
            async work =>
            {
                if (await work.Db.GetTable<QuotaRow>().Where(row => row.ProjectId == project).DeleteAsync(work.Cancellation) == 0)
                {
                    throw NeutronErrors.NotFound("TenantQuotaNotFound", $"Quota for tenant {project} could not be found.");
                }
            },
            context.Aborted);
        await context.NoContentAsync();
    }

    /// <summary>Everyone may know the limits of the own project.</summary>
    private static void EnforceForOthers(ApiContext context)
    {
        if (ProjectOf(context) == context.Identity.ProjectId)
        {
            context.WithoutPolicy();
        }
        else
        {
            context.Enforce();
        }
    }

    private static string ProjectOf(ApiContext context)
    {
        var project = context.Route("project");
        return project.EndsWith(".json", StringComparison.Ordinal) ? project[..^5] : project;
    }

    private static Task WriteAsync(ApiContext context, List<(string Resource, int Limit)> limits) => context.WriteJsonAsync(200, json =>
    {
        json.WriteStartObject();
        json.WriteStartObject("quota");
        foreach (var (resource, limit) in limits)
        {
            json.WriteNumber(resource, limit);
        }

        json.WriteEndObject();
        json.WriteEndObject();
    });
}
