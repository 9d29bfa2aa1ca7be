using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Policy;
using SharpStack.Foundation.Storage;
using SharpStack.Keystone.Storage;

namespace SharpStack.Keystone.Limits;

/// <summary><c>/v3/registered_limits</c>: the limits that hold for every project without one of its own.</summary>
internal sealed class RegisteredLimitRoutes(KeystoneStore store, Answers answers)
{
    private static readonly JsonSchema Create = JsonSchema.Object(
        false,
        ("service_id!", Schemas.Id),
        ("region_id", Schemas.Text.OrNull()),
        ("resource_name!", JsonSchema.String(1, 255)),
        ("default_limit!", JsonSchema.Integer(-1, int.MaxValue)),
        ("description", Schemas.Text.OrNull()));

    public void Map(ApiRoutes routes)
    {
        const string one = "/v3/registered_limits/{registered_limit_id}";
        routes.Read("/v3/registered_limits", ListAsync, "identity:list_registered_limits");
        routes.Post("/v3/registered_limits", CreateAsync).Policy("identity:create_registered_limits")
            .Body(Schemas.Envelope("registered_limits", JsonSchema.Array(Create, min: 1)));
        routes.Read(one, ShowAsync, "identity:get_registered_limit");
        routes.Patch(one, UpdateAsync).Policy("identity:update_registered_limit").Body(Schemas.Envelope("registered_limit", Create with { Required = [] }));
        routes.Delete(one, DeleteAsync).Policy("identity:delete_registered_limit");
    }

    private static void Write(Utf8JsonWriter json, RegisteredLimitRow limit, string root)
    {
        json.WriteStartObject();
        json.WriteString("id", limit.Id);
        json.WriteString("service_id", limit.ServiceId);
        json.WriteString("region_id", limit.RegionId.Length == 0 ? null : limit.RegionId);
        json.WriteString("resource_name", limit.ResourceName);
        json.WriteNumber("default_limit", limit.DefaultLimit);
        json.WriteString("description", limit.Description);
        json.WriteSelfLink($"{root}/registered_limits/{limit.Id.Escaped()}");
        json.WriteEndObject();
    }

    private static async Task<RegisteredLimitRow> FindAsync(DataConnection db, string id, CancellationToken cancellationToken) =>
        await db.RegisteredLimits().FirstOrDefaultAsync(l => l.Id == id, cancellationToken) ?? throw Fail.NotFound("registered limit for", id, colon: false);

    private static async Task RequireAsync(DataConnection db, RegisteredLimitRow limit, CancellationToken cancellationToken)
    {
        if (!await db.Services().AnyAsync(s => s.Id == limit.ServiceId, cancellationToken))
        {
            throw Fail.Expected("service_id", "registered_limit");
        }
        if (limit.RegionId.Length > 0 && !await db.Regions().AnyAsync(r => r.Id == limit.RegionId, cancellationToken))
        {
            throw Fail.Expected("region_id", "registered_limit");
        }
    }

    /// <summary>Refuses (403) to touch a registered limit that limits of projects refer to.</summary>
    private static async Task RequireUnusedAsync(DataConnection db, string id, CancellationToken cancellationToken)
    {
        if (await db.Limits().AnyAsync(l => l.RegisteredLimitId == id, cancellationToken))
        {
            throw CloudException.Forbidden($"Unable to update or delete registered limit {id} because there are project limits associated with it.");
        }
    }

    private async Task WriteAsync(Func<DataConnection, Task> work, CancellationToken cancellationToken)
    {
        try
        {
            await store.WriteAsync(work, cancellationToken);
        }
        catch (UniqueConstraintException)
        {
            throw Fail.Conflict("registered_limit", "Duplicate entry");
        }
    }

    private async Task ListAsync(ApiContext context)
    {
        context.Enforce(PolicyTarget.Empty);
        await using var db = store.Read();
        var query = Answers.Where(context, db.RegisteredLimits(), "service_id", static l => l.ServiceId);
        query = Answers.Where(context, query, "region_id", static l => l.RegionId);
        query = Answers.Where(context, query, "resource_name", static l => l.ResourceName);
        await answers.CollectionAsync(context, "registered_limits", await answers.PageAsync(context, query, static l => l.Id), Write);
    }

    private async Task CreateAsync(ApiContext context)
    {
        context.Enforce(PolicyTarget.Empty);
        var body = (await context.ReadJsonAsync()).GetProperty("registered_limits");
        var limits = body.EnumerateArray().Select(static one => new RegisteredLimitRow
        {
            Id = Names.NewId(),
            ServiceId = one.Text("service_id")!,
            RegionId = one.Text("region_id") ?? "",
            ResourceName = one.Text("resource_name")!,
            DefaultLimit = (int)one.GetProperty("default_limit").GetDouble(),
            Description = one.Text("description"),
        }).ToList();
        await WriteAsync(
            async db =>
            {
                foreach (var limit in limits)
                {
                    await RequireAsync(db, limit, context.Aborted);
                    await db.InsertAsync(limit, token: context.Aborted);
                }
            },
            context.Aborted);
        await answers.CreatedAsync(context, "registered_limits", limits, Write);
    }

    private async Task ShowAsync(ApiContext context)
    {
        context.Enforce(PolicyTarget.Empty);
        await using var db = store.Read();
        await answers.MemberAsync(context, 200, "registered_limit", await FindAsync(db, context.Route("registered_limit_id"), context.Aborted), Write);
    }

    private async Task UpdateAsync(ApiContext context)
    {
        context.Enforce(PolicyTarget.Empty);
        var id = context.Route("registered_limit_id");
        var body = await context.ReadMemberAsync("registered_limit", id);
        RegisteredLimitRow? after = null;
        await WriteAsync(
            async db =>
            {
                var current = await FindAsync(db, id, context.Aborted);
                await RequireUnusedAsync(db, id, context.Aborted);
                after = current with
                {
                    ServiceId = body.Text("service_id") ?? current.ServiceId,
                    RegionId = body.TextOr("region_id", current.RegionId) ?? "",
                    ResourceName = body.Text("resource_name") ?? current.ResourceName,
                    DefaultLimit = body.TryGetProperty("default_limit", out var most) ? (int)most.GetDouble() : current.DefaultLimit,
                    Description = body.TextOr("description", current.Description),
                };
                await RequireAsync(db, after, context.Aborted);
                await db.UpdateAsync(after, token: context.Aborted);
            },
            context.Aborted);
        await answers.MemberAsync(context, 200, "registered_limit", after!, Write);
    }

    private async Task DeleteAsync(ApiContext context)
    {
        context.Enforce(PolicyTarget.Empty);
        var id = context.Route("registered_limit_id");
        await store.WriteAsync(
            async db =>
            {
                await FindAsync(db, id, context.Aborted);
                await RequireUnusedAsync(db, id, context.Aborted);
                await db.RegisteredLimits().Where(l => l.Id == id).DeleteAsync(context.Aborted);
            },
            context.Aborted);
        await context.NoContentAsync();
    }
}
