using System.Collections.Frozen;
using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Policy;
using SharpStack.Keystone.Storage;

namespace SharpStack.Keystone.Policies;

/// <summary><c>/v3/policies</c>: texts kept for other services. The policy that Keystone itself enforces is not among them.</summary>
internal sealed class PolicyBlobRoutes(KeystoneStore store, Answers answers)
{
    private static readonly FrozenSet<string> Columns = FrozenSet.ToFrozenSet(["id", "blob", "type", "links"]);

    private static readonly JsonSchema Create = JsonSchema.Object(true, ("blob!", Schemas.Text), ("type!", JsonSchema.String(0, 255)));

    public void Map(ApiRoutes routes)
    {
        routes.Read("/v3/policies", ListAsync, "identity:list_policies");
        routes.Post("/v3/policies", CreateAsync).Policy("identity:create_policy").Body(Schemas.Envelope("policy", Create));
        routes.Read("/v3/policies/{policy_id}", ShowAsync, "identity:get_policy");
        routes.Patch("/v3/policies/{policy_id}", UpdateAsync).Policy("identity:update_policy").Body(Schemas.Envelope("policy", Create.Update()));
        routes.Delete("/v3/policies/{policy_id}", DeleteAsync).Policy("identity:delete_policy");
    }

    private static void Write(Utf8JsonWriter json, PolicyBlobRow policy, string root)
    {
        json.WriteStartObject();
        json.WriteString("id", policy.Id);
        json.WriteString("type", policy.Type);
        json.WriteString("blob", policy.Blob);
        JsonText.WriteMembers(json, policy.Extra);
        json.WriteSelfLink($"{root}/policies/{policy.Id.Escaped()}");
        json.WriteEndObject();
    }

    private async Task<PolicyBlobRow> EnforcedAsync(ApiContext context)
    {
        context.Enforce(PolicyTarget.Empty);
        var id = context.Route("policy_id");
        await using var db = store.Read();
        return await db.PolicyBlobs().FirstOrDefaultAsync(p => p.Id == id, context.Aborted) ?? throw Fail.NotFound("policy", id);
    }

    private async Task ListAsync(ApiContext context)
    {
        context.Enforce(PolicyTarget.Empty);
        await using var db = store.Read();
        IQueryable<PolicyBlobRow> query = db.PolicyBlobs();
        if (context.Query["type"] is { } type)
        {
            query = query.Where(p => p.Type == type);
        }
        await answers.CollectionAsync(context, "policies", await answers.PageAsync(context, query, static p => p.Id), Write);
    }

    private async Task CreateAsync(ApiContext context)
    {
        context.Enforce(PolicyTarget.Empty);
        var body = await context.ReadMemberAsync("policy");
        var policy = new PolicyBlobRow
        {
            Id = Names.NewId(),
            Type = body.Text("type")!,
            Blob = body.Text("blob")!,
            Extra = JsonText.Merge(JsonText.Empty, body, Columns),
        };
        await store.WriteAsync(db => db.InsertAsync(policy, token: context.Aborted), context.Aborted);
        await answers.MemberAsync(context, 201, "policy", policy, Write);
    }

    private async Task ShowAsync(ApiContext context) => await answers.MemberAsync(context, 200, "policy", await EnforcedAsync(context), Write);

    private async Task UpdateAsync(ApiContext context)
    {
        var before = await EnforcedAsync(context);
        var body = await context.ReadMemberAsync("policy", before.Id);
        var after = before;
        await store.WriteAsync(
            async db =>
            {
                var current = await db.PolicyBlobs().FirstOrDefaultAsync(p => p.Id == before.Id, context.Aborted) ?? throw Fail.NotFound("policy", before.Id);
                after = current with
                {
                    Type = body.Text("type") ?? current.Type,
                    Blob = body.Text("blob") ?? current.Blob,
                    Extra = JsonText.Merge(current.Extra, body, Columns),
                };
                await db.UpdateAsync(after, token: context.Aborted);
            },
            context.Aborted);
        await answers.MemberAsync(context, 200, "policy", after, Write);
    }

    private async Task DeleteAsync(ApiContext context)
    {
        var policy = await EnforcedAsync(context);
        await store.WriteAsync(db => db.PolicyBlobs().Where(p => p.Id == policy.Id).DeleteAsync(context.Aborted), context.Aborted);
        await context.NoContentAsync();
    }
}
