using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Policy;
using SharpStack.Foundation.Storage;
using SharpStack.Keystone.Storage;

namespace SharpStack.Keystone.Limits;

/// <summary><c>/v3/limits</c>: what single projects and domains may have, other than the registered limit says.</summary>
internal sealed class LimitRoutes(KeystoneStore store, IdentityCache cache, Answers answers, ServiceConfig config)
{
    private static readonly JsonSchema Create = JsonSchema.AnyOf(OfOwner("project_id!"), OfOwner("domain_id!"));

    private static readonly JsonSchema Update = JsonSchema.Object(
        false, ("resource_limit", JsonSchema.Integer(-1, int.MaxValue)), ("description", Schemas.Text.OrNull()));

    private readonly LimitModel model = LimitModel.Of(config.Get(KeystoneOptions.EnforcementModel));

    public void Map(ApiRoutes routes)
    {
        routes.Read("/v3/limits/model", ShowModelAsync, "identity:get_limit_model");
        routes.Read("/v3/limits", ListAsync, "identity:list_limits");
        routes.Post("/v3/limits", CreateAsync).Policy("identity:create_limits").Body(Schemas.Envelope("limits", JsonSchema.Array(Create, min: 1)));
        routes.Read("/v3/limits/{limit_id}", ShowAsync, "identity:get_limit");
        routes.Patch("/v3/limits/{limit_id}", UpdateAsync).Policy("identity:update_limit").Body(Schemas.Envelope("limit", Update));
        routes.Delete("/v3/limits/{limit_id}", DeleteAsync).Policy("identity:delete_limit");
    }

    private static JsonSchema OfOwner(string owner) => JsonSchema.Object(
        false,
        (owner, Schemas.Id),
        ("service_id!", Schemas.Id),
        ("region_id", Schemas.Text),
        ("resource_name!", JsonSchema.String(1, 255)),
        ("resource_limit!", JsonSchema.Integer(-1, int.MaxValue)),
        ("description", Schemas.Text.OrNull()));

    private static void Write(Utf8JsonWriter json, LimitView limit, string root)
    {
        json.WriteStartObject();
        WriteMembers(json, limit);
        json.WriteSelfLink($"{root}/limits/{limit.Row.Id.Escaped()}");
        json.WriteEndObject();
    }

    /// <summary>A limit without its link, as within a project.</summary>
    public static void WriteMembers(Utf8JsonWriter json, LimitView limit)
    {
        var (row, of) = limit;
        json.WriteString("id", row.Id);
        json.WriteString("project_id", row.ProjectId.Length == 0 ? null : row.ProjectId);
        json.WriteString("domain_id", row.DomainId.Length == 0 ? null : row.DomainId);
        json.WriteString("service_id", of.ServiceId);
        json.WriteString("region_id", of.RegionId.Length == 0 ? null : of.RegionId);
        json.WriteString("resource_name", of.ResourceName);
        json.WriteNumber("resource_limit", row.ResourceLimit);
        json.WriteString("description", row.Description);
    }

    private async Task ShowModelAsync(ApiContext context)
    {
        context.Enforce(PolicyTarget.Empty);
        await context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WriteStartObject("model");
            json.WriteString("name", model.Name);
            json.WriteString("description", model.Description);
            json.WriteEndObject();
            json.WriteEndObject();
        });
    }

    /// <summary>Everybody sees the limits of the own scope; with a system scope all.</summary>
    private async Task ListAsync(ApiContext context)
    {
        context.Enforce(PolicyTarget.Empty);
        await using var db = store.Read();
        var query = Answers.Where(context, db.LimitViews(), "service_id", static l => l.Of.ServiceId);
        query = Answers.Where(context, query, "region_id", static l => l.Of.RegionId);
        query = Answers.Where(context, query, "resource_name", static l => l.Of.ResourceName);
        query = Answers.Where(context, query, "project_id", static l => l.Row.ProjectId);
        query = Answers.Where(context, query, "domain_id", static l => l.Row.DomainId);
        if (context.Identity.SystemScope is null)
        {
            var (domain, project) = (context.Identity.DomainId, context.Identity.ProjectId ?? "none");
            query = domain is null
                ? query.Where(l => l.Row.ProjectId == project)
                : query.Where(l => l.Row.DomainId == domain || db.Projects().Any(p => p.Id == l.Row.ProjectId && p.DomainId == domain));
        }
        await answers.CollectionAsync(context, "limits", await answers.PageAsync(context, query, static l => l.Row.Id), Write);
    }

    private async Task CreateAsync(ApiContext context)
    {
        context.Enforce(PolicyTarget.Empty);
        var body = (await context.ReadJsonAsync()).GetProperty("limits");
        var limits = new List<LimitView>();
        try
        {
            await store.WriteAsync(
                async db =>
                {
                    limits.Clear();
                    foreach (var one in body.EnumerateArray())
                    {
                        var limit = await NewAsync(db, one, context.Aborted);
                        await db.InsertAsync(limit.Row, token: context.Aborted);
                        limits.Add(limit);
                    }
                    await model.CheckAsync(db, limits, context.Aborted);
                },
                context.Aborted);
        }
        catch (UniqueConstraintException)
        {
            throw Fail.Conflict("limit", "Duplicate entry");
        }
        await answers.CreatedAsync(context, "limits", limits, Write);
    }

    private static async Task<LimitView> NewAsync(DataConnection db, JsonElement body, CancellationToken cancellationToken)
    {
        var (service, region, resource) = (body.Text("service_id")!, body.Text("region_id") ?? "", body.Text("resource_name")!);
        if (!await db.Services().AnyAsync(s => s.Id == service, cancellationToken))
        {
            throw Fail.Expected("service_id", "limit");
        }
        if (region.Length > 0 && !await db.Regions().AnyAsync(r => r.Id == region, cancellationToken))
        {
            throw Fail.Expected("region_id", "limit");
        }
        var ownerKind = body.Has("project_id") ? "project_id" : "domain_id";
        var owner = body.Text(ownerKind)!;
        var target = await db.Projects().FirstOrDefaultAsync(p => p.Id == owner, cancellationToken);
        if (target is null || (ownerKind == "domain_id" && !target.IsDomain))
        {
            throw Fail.Expected(ownerKind, "limit");
        }
        var of = await db.RegisteredLimits().FirstOrDefaultAsync(
                r => r.ServiceId == service && r.RegionId == region && r.ResourceName == resource, cancellationToken)
            ?? throw CloudException.Forbidden("Unable to create a limit that has no corresponding registered limit.");
        // A project that acts as a domain is limited as one.
        var row = new LimitRow
        {
            Id = Names.NewId(),
            RegisteredLimitId = of.Id,
            ProjectId = target.IsDomain ? "" : owner,
            DomainId = target.IsDomain ? owner : "",
            ResourceLimit = (int)body.GetProperty("resource_limit").GetDouble(),
            Description = body.Text("description"),
        };
        return new(row, of);
    }

    /// <param name="absenceIsOpen">That there is no such limit is told before who may ask.</param>
    private async Task<LimitView> EnforcedAsync(ApiContext context, bool absenceIsOpen)
    {
        var id = context.Route("limit_id");
        await using var db = store.Read();
        var limit = await db.LimitViews().FirstOrDefaultAsync(l => l.Row.Id == id, context.Aborted);
        if (limit is null && absenceIsOpen)
        {
            throw NotFound(id);
        }
        context.Enforce(limit switch
        {
            null => PolicyTarget.Empty,
            { Row.ProjectId.Length: > 0 } => PolicyTarget.Of(
                ("target.limit.project_id", limit.Row.ProjectId),
                ("target.limit.project.domain_id", (await cache.Current.ProjectAsync(limit.Row.ProjectId, context.Aborted))?.DomainId)),
            _ => PolicyTarget.Of(("target.limit.project_id", null), ("target.limit.domain.id", limit.Row.DomainId)),
        });
        return limit ?? throw NotFound(id);
    }

    private static CloudException NotFound(string id) => Fail.NotFound("limit for", id, colon: false);

    private async Task ShowAsync(ApiContext context) => await answers.MemberAsync(context, 200, "limit", await EnforcedAsync(context, absenceIsOpen: false), Write);

    private async Task UpdateAsync(ApiContext context)
    {
        var id = (await EnforcedAsync(context, absenceIsOpen: true)).Row.Id;
        var body = await context.ReadMemberAsync("limit", id);
        var after = await store.WriteAsync(
            async db =>
            {
                var current = await db.LimitViews().FirstOrDefaultAsync(l => l.Row.Id == id, context.Aborted) ?? throw NotFound(id);
                var changed = current with
                {
                    Row = current.Row with
                    {
                        ResourceLimit = body.TryGetProperty("resource_limit", out var most) ? (int)most.GetDouble() : current.Row.ResourceLimit,
                        Description = body.Text("description") ?? current.Row.Description,
                    },
                };
                await db.UpdateAsync(changed.Row, token: context.Aborted);
                await model.CheckAsync(db, [changed], context.Aborted);
                return changed;
            },
            context.Aborted);
        await answers.MemberAsync(context, 200, "limit", after, Write);
    }

    private async Task DeleteAsync(ApiContext context)
    {
        var id = (await EnforcedAsync(context, absenceIsOpen: true)).Row.Id;
        await store.WriteAsync(db => db.Limits().Where(l => l.Id == id).DeleteAsync(context.Aborted), context.Aborted);
        await context.NoContentAsync();
    }
}
