using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Policy;
using SharpStack.Foundation.Storage;
using SharpStack.Keystone.Storage;

namespace SharpStack.Keystone.Roles;

/// <summary>Which role implies which: who holds the prior one holds the implied one.</summary>
internal sealed class ImpliedRoleRoutes(KeystoneStore store, IdentityCache cache, Answers answers)
{
    public void Map(ApiRoutes routes)
    {
        const string one = "/v3/roles/{prior_role_id}/implies/{implied_role_id}";
        routes.Read("/v3/role_inferences", ListRulesAsync, "identity:list_role_inference_rules");
        routes.Read("/v3/roles/{prior_role_id}/implies", ListAsync, "identity:list_implied_roles");
        routes.Get(one, ShowAsync).Policy("identity:get_implied_role");
        routes.Head(one, CheckAsync).Policy("identity:check_implied_role");
        routes.Put(one, CreateAsync).Policy("identity:create_implied_role");
        routes.Delete(one, DeleteAsync).Policy("identity:delete_implied_role");
    }

    private static void WriteReference(Utf8JsonWriter json, RoleRow role, string root)
    {
        json.WriteStartObject();
        json.WriteString("id", role.Id);
        json.WriteSelfLink($"{root}/roles/{role.Id.Escaped()}");
        json.WriteString("name", role.Name);
        json.WriteEndObject();
    }

    private async Task<(RoleModel Model, RoleRow Prior, RoleRow? Implied)> EnforcedAsync(ApiContext context)
    {
        context.Enforce(PolicyTarget.Empty);
        var model = await cache.Current.RolesAsync(context.Aborted);
        var prior = Find(context.Route("prior_role_id"));
        var implied = context.Http.Request.RouteValues["implied_role_id"] is string id ? Find(id) : null;
        return (model, prior, implied);

        RoleRow Find(string id) => model.ById.GetValueOrDefault(id) ?? throw Fail.NotFound("role", id);
    }

    private async Task<bool> ExistsAsync(string prior, string implied, CancellationToken cancellationToken)
    {
        await using var db = store.Read();
        return await db.ImpliedRoles().AnyAsync(i => i.PriorRoleId == prior && i.ImpliedRoleId == implied, cancellationToken);
    }

    private static CloudException NotImplied(RoleRow prior, RoleRow implied) => CloudException.NotFound($"{prior.Id} does not imply {implied.Id}.");

    private async Task ListRulesAsync(ApiContext context)
    {
        context.Enforce(PolicyTarget.Empty);
        var model = await cache.Current.RolesAsync(context.Aborted);
        await using var db = store.Read();
        var rules = await db.ImpliedRoles().OrderBy(static i => i.PriorRoleId).ThenBy(static i => i.ImpliedRoleId).ToListAsync(context.Aborted);
        var root = answers.Root(context);
        await context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WriteStartArray("role_inferences");
            foreach (var group in rules.GroupBy(static r => r.PriorRoleId))
            {
                json.WriteStartObject();
                json.WritePropertyName("prior_role");
                WriteReference(json, model.ById[group.Key], root);
                json.WriteStartArray("implies");
                foreach (var rule in group)
                {
                    WriteReference(json, model.ById[rule.ImpliedRoleId], root);
                }
                json.WriteEndArray();
                json.WriteEndObject();
            }
            json.WriteEndArray();
            json.WriteSelfLink($"{root}/role_inferences");
            json.WriteEndObject();
        });
    }

    private async Task ListAsync(ApiContext context)
    {
        var (model, prior, _) = await EnforcedAsync(context);
        await using var db = store.Read();
        var implied = await db.ImpliedRoles().Where(i => i.PriorRoleId == prior.Id).OrderBy(static i => i.ImpliedRoleId).ToListAsync(context.Aborted);
        var root = answers.Root(context);
        await context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WriteStartObject("role_inference");
            json.WritePropertyName("prior_role");
            WriteReference(json, prior, root);
            json.WriteStartArray("implies");
            foreach (var rule in implied)
            {
                WriteReference(json, model.ById[rule.ImpliedRoleId], root);
            }
            json.WriteEndArray();
            json.WriteEndObject();
            json.WriteSelfLink($"{root}/roles/{prior.Id.Escaped()}/implies");
            json.WriteEndObject();
        });
    }

    private async Task ShowAsync(ApiContext context)
    {
        var (_, prior, implied) = await EnforcedAsync(context);
        if (!await ExistsAsync(prior.Id, implied!.Id, context.Aborted))
        {
            throw NotImplied(prior, implied);
        }
        await WriteOneAsync(context, 200, prior, implied);
    }

    private async Task CheckAsync(ApiContext context)
    {
        var (_, prior, implied) = await EnforcedAsync(context);
        if (!await ExistsAsync(prior.Id, implied!.Id, context.Aborted))
        {
            throw NotImplied(prior, implied);
        }
        await context.NoContentAsync();
    }

    private async Task CreateAsync(ApiContext context)
    {
        var (model, prior, implied) = await EnforcedAsync(context);
        if (implied!.NameKey == "admin")
        {
            throw CloudException.Forbidden($"{implied.Id} cannot be an implied roles.");
        }
        if (prior.DomainId.Length == 0 && implied.DomainId.Length > 0)
        {
            throw CloudException.Forbidden("Global role cannot imply a domain-specific role");
        }
        if (prior.Id == implied.Id || model.ImpliedBy(implied.Id).Any(i => i.RoleId == prior.Id))
        {
            throw CloudException.Forbidden($"{implied.Id} cannot be an implied roles: it implies {prior.Id} itself.");
        }
        try
        {
            await store.WriteAsync(
                db => db.InsertAsync(new ImpliedRoleRow { PriorRoleId = prior.Id, ImpliedRoleId = implied.Id }, token: context.Aborted), context.Aborted);
        }
        catch (UniqueConstraintException)
        {
            throw Fail.Conflict("implied_role", "Duplicate entry");
        }
        await WriteOneAsync(context, 201, prior, implied);
    }

    private async Task DeleteAsync(ApiContext context)
    {
        var (_, prior, implied) = await EnforcedAsync(context);
        var deleted = await store.WriteAsync(
            db => db.ImpliedRoles().Where(i => i.PriorRoleId == prior.Id && i.ImpliedRoleId == implied!.Id).DeleteAsync(context.Aborted), context.Aborted);
        if (deleted == 0)
        {
            throw NotImplied(prior, implied!);
        }
        await context.NoContentAsync();
    }

    private Task WriteOneAsync(ApiContext context, int status, RoleRow prior, RoleRow implied) => context.WriteJsonAsync(status, json =>
    {
        var root = answers.Root(context);
        json.WriteStartObject();
        json.WriteStartObject("role_inference");
        json.WritePropertyName("prior_role");
        WriteReference(json, prior, root);
        json.WritePropertyName("implies");
        WriteReference(json, implied, root);
        json.WriteEndObject();
        json.WriteSelfLink($"{root}/roles/{prior.Id.Escaped()}/implies/{implied.Id.Escaped()}");
        json.WriteEndObject();
    });
}
