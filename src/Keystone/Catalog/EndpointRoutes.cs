using System.Collections.Frozen;
using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Policy;
using SharpStack.Keystone.Storage;

namespace SharpStack.Keystone.Catalog;

internal sealed class EndpointRoutes(KeystoneStore store, Answers answers)
{
    private static readonly FrozenSet<string> Columns =
        FrozenSet.ToFrozenSet(["id", "service_id", "interface", "region", "region_id", "url", "enabled", "links"]);

    private static readonly JsonSchema Create = JsonSchema.Object(
        true,
        ("interface!", new JsonSchema { Types = ["string"], EnumTexts = ["admin", "internal", "public"] }),
        ("service_id!", Schemas.Text),
        ("url!", Schemas.Url),
        ("region_id", Schemas.Text.OrNull()),
        ("region", Schemas.Text.OrNull()),
        ("enabled", JsonSchema.Boolean));

    public void Map(ApiRoutes routes)
    {
        routes.Read("/v3/endpoints", ListAsync, "identity:list_endpoints");
        routes.Post("/v3/endpoints", CreateAsync).Policy("identity:create_endpoint").Body(Schemas.Envelope("endpoint", Create));
        routes.Read("/v3/endpoints/{endpoint_id}", ShowAsync, "identity:get_endpoint");
        routes.Patch("/v3/endpoints/{endpoint_id}", UpdateAsync).Policy("identity:update_endpoint").Body(Schemas.Envelope("endpoint", Create.Update()));
        routes.Delete("/v3/endpoints/{endpoint_id}", DeleteAsync).Policy("identity:delete_endpoint");
    }

    private static void Write(Utf8JsonWriter json, EndpointRow endpoint, string root)
    {
        json.WriteStartObject();
        json.WriteString("id", endpoint.Id);
        json.WriteString("interface", endpoint.Interface);
        json.WriteString("region_id", endpoint.RegionId);
        json.WriteString("region", endpoint.RegionId);
        json.WriteString("service_id", endpoint.ServiceId);
        json.WriteString("url", endpoint.Url);
        json.WriteBoolean("enabled", endpoint.Enabled);
        JsonText.WriteMembers(json, endpoint.Extra);
        json.WriteSelfLink($"{root}/endpoints/{endpoint.Id.Escaped()}");
        json.WriteEndObject();
    }

    private async Task<EndpointRow> EnforcedAsync(ApiContext context)
    {
        context.Enforce(PolicyTarget.Empty);
        var id = context.Route("endpoint_id");
        await using var db = store.Read();
        return await db.Endpoints().FirstOrDefaultAsync(e => e.Id == id, context.Aborted) ?? throw Fail.NotFound("endpoint", id);
    }

    private async Task ListAsync(ApiContext context)
    {
        context.Enforce(PolicyTarget.Empty);
        await using var db = store.Read();
        IQueryable<EndpointRow> query = db.Endpoints();
        if (context.Query["interface"] is { } @interface)
        {
            query = query.Where(e => e.Interface == @interface);
        }
        if (context.Query["service_id"] is { } service)
        {
            query = query.Where(e => e.ServiceId == service);
        }
        if ((context.Query["region_id"] ?? context.Query["region"]) is { } region)
        {
            query = query.Where(e => e.RegionId == region);
        }
        await answers.CollectionAsync(context, "endpoints", await answers.PageAsync(context, query, static e => e.Id), Write);
    }

    private async Task CreateAsync(ApiContext context)
    {
        context.Enforce(PolicyTarget.Empty);
        var body = await context.ReadMemberAsync("endpoint");
        var endpoint = new EndpointRow
        {
            Id = Names.NewId(),
            ServiceId = body.Text("service_id")!,
            Interface = body.Text("interface")!,
            RegionId = body.Text("region_id") ?? body.Text("region"),
            Url = body.Text("url")!,
            Enabled = body.Flag("enabled") ?? true,
            Extra = JsonText.Merge(JsonText.Empty, body, Columns),
        };
        await store.WriteAsync(
            async db =>
            {
                await CheckReferencesAsync(db, endpoint, body, context.Aborted);
                await db.InsertAsync(endpoint, token: context.Aborted);
            },
            context.Aborted);
        await answers.MemberAsync(context, 201, "endpoint", endpoint, Write);
    }

    private async Task ShowAsync(ApiContext context) => await answers.MemberAsync(context, 200, "endpoint", await EnforcedAsync(context), Write);

    private async Task UpdateAsync(ApiContext context)
    {
        var before = await EnforcedAsync(context);
        var body = await context.ReadMemberAsync("endpoint", before.Id);
        var after = before;
        await store.WriteAsync(
            async db =>
            {
                var current = await db.Endpoints().FirstOrDefaultAsync(r => r.Id == before.Id, context.Aborted) ?? throw Fail.NotFound("endpoint", before.Id);
                after = current with
                {
                    ServiceId = body.Text("service_id") ?? current.ServiceId,
                    Interface = body.Text("interface") ?? current.Interface,
                    RegionId = body.Text("region_id") ?? body.Text("region") ?? current.RegionId,
                    Url = body.Text("url") ?? current.Url,
                    Enabled = body.Flag("enabled") ?? current.Enabled,
                    Extra = JsonText.Merge(current.Extra, body, Columns),
                };
                await CheckReferencesAsync(db, after, body, context.Aborted);
                await db.UpdateAsync(after, token: context.Aborted);
            },
            context.Aborted);
        await answers.MemberAsync(context, 200, "endpoint", after, Write);
    }

    private async Task DeleteAsync(ApiContext context)
    {
        var endpoint = await EnforcedAsync(context);
        await store.WriteAsync(db => db.Endpoints().Where(e => e.Id == endpoint.Id).DeleteAsync(context.Aborted), context.Aborted);
        await context.NoContentAsync();
    }

    /// <summary>A region given by the old name <c>region</c> is made where it does not exist; one given by <c>region_id</c> must exist.</summary>
    private static async Task CheckReferencesAsync(DataConnection db, EndpointRow endpoint, JsonElement body, CancellationToken cancellationToken)
    {
        if (!await db.Services().AnyAsync(s => s.Id == endpoint.ServiceId, cancellationToken))
        {
            throw Fail.Expected("endpoint service_id", "service table");
        }
        if (endpoint.RegionId is { } region && !await db.Regions().AnyAsync(r => r.Id == region, cancellationToken))
        {
            if (body.Text("region_id") is not null)
            {
                throw Fail.Expected("endpoint region_id", "region table");
            }
            await db.InsertAsync(new RegionRow { Id = region }, token: cancellationToken);
        }
    }
}
