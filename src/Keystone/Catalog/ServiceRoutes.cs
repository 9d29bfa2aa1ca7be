using System.Collections.Frozen;
using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Policy;
using SharpStack.Keystone.Storage;

namespace SharpStack.Keystone.Catalog;

internal sealed class ServiceRoutes(KeystoneStore store, Answers answers)
{
    private static readonly FrozenSet<string> Columns = FrozenSet.ToFrozenSet(["id", "type", "name", "enabled", "links"]);

    private static readonly JsonSchema Create = JsonSchema.Object(
        true, ("type!", JsonSchema.String(1, 255)), ("name", Schemas.Name), ("enabled", JsonSchema.Boolean));

    public void Map(ApiRoutes routes)
    {
        routes.Read("/v3/services", ListAsync, "identity:list_services");
        routes.Post("/v3/services", CreateAsync).Policy("identity:create_service").Body(Schemas.Envelope("service", Create));
        routes.Read("/v3/services/{service_id}", ShowAsync, "identity:get_service");
        routes.Patch("/v3/services/{service_id}", UpdateAsync).Policy("identity:update_service").Body(Schemas.Envelope("service", Create.Update()));
        routes.Delete("/v3/services/{service_id}", DeleteAsync).Policy("identity:delete_service");
    }

    private static void Write(Utf8JsonWriter json, ServiceRow service, string root)
    {
        json.WriteStartObject();
        json.WriteString("id", service.Id);
        json.WriteString("type", service.Type);
        if (service.Name is not null)
        {
            json.WriteString("name", service.Name);
        }
        json.WriteBoolean("enabled", service.Enabled);
        JsonText.WriteMembers(json, service.Extra);
        json.WriteSelfLink($"{root}/services/{service.Id.Escaped()}");
        json.WriteEndObject();
    }

    private async Task<ServiceRow> EnforcedAsync(ApiContext context)
    {
        context.Enforce(PolicyTarget.Empty);
        var id = context.Route("service_id");
        await using var db = store.Read();
        return await db.Services().FirstOrDefaultAsync(s => s.Id == id, context.Aborted) ?? throw Fail.NotFound("service", id);
    }

    private async Task ListAsync(ApiContext context)
    {
        context.Enforce(PolicyTarget.Empty);
        await using var db = store.Read();
        IQueryable<ServiceRow> query = db.Services();
        if (context.Query["type"] is { } type)
        {
            query = query.Where(s => s.Type == type);
        }
        if (context.Query["name"] is { } name)
        {
            query = query.Where(s => s.Name == name);
        }
        await answers.CollectionAsync(context, "services", await answers.PageAsync(context, query, static s => s.Id), Write);
    }

    private async Task CreateAsync(ApiContext context)
    {
        context.Enforce(PolicyTarget.Empty);
        var body = await context.ReadMemberAsync("service");
        var service = new ServiceRow
        {
            Id = Names.NewId(),
            Type = body.Text("type")!,
            Name = body.Text("name"),
            Enabled = body.Flag("enabled") ?? true,
            Extra = JsonText.Merge(JsonText.Empty, body, Columns),
        };
        await store.WriteAsync(db => db.InsertAsync(service, token: context.Aborted), context.Aborted);
        await answers.MemberAsync(context, 201, "service", service, Write);
    }

    private async Task ShowAsync(ApiContext context) => await answers.MemberAsync(context, 200, "service", await EnforcedAsync(context), Write);

    private async Task UpdateAsync(ApiContext context)
    {
        var before = await EnforcedAsync(context);
        var body = await context.ReadMemberAsync("service", before.Id);
        var after = before;
        await store.WriteAsync(
            async db =>
            {
                var current = await db.Services().FirstOrDefaultAsync(r => r.Id == before.Id, context.Aborted) ?? throw Fail.NotFound("service", before.Id);
                after = current with
                {
                    Type = body.Text("type") ?? current.Type,
                    Name = body.Text("name") ?? current.Name,
                    Enabled = body.Flag("enabled") ?? current.Enabled,
                    Extra = JsonText.Merge(current.Extra, body, Columns),
                };
                await db.UpdateAsync(after, token: context.Aborted);
            },
            context.Aborted);
        await answers.MemberAsync(context, 200, "service", after, Write);
    }

    private async Task DeleteAsync(ApiContext context)
    {
        var service = await EnforcedAsync(context);
        await store.WriteAsync(
            async db =>
            {
                await db.Endpoints().Where(e => e.ServiceId == service.Id).DeleteAsync(context.Aborted);
                await db.Services().Where(s => s.Id == service.Id).DeleteAsync(context.Aborted);
            },
            context.Aborted);
        await context.NoContentAsync();
    }
}
