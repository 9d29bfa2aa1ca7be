using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Policy;
using SharpStack.Foundation.Storage;
using SharpStack.Keystone.Authentication;
using SharpStack.Keystone.Roles;
using SharpStack.Keystone.Storage;

namespace SharpStack.Keystone.Trusts;

internal sealed class TrustRoutes(TrustOperations trusts, KeystoneStore store, IdentityCache cache, Answers answers, ServiceConfig config)
{
    private static readonly JsonSchema Create = JsonSchema.Object(
        true,
        ("trustor_user_id!", Schemas.ExternalId),
        ("trustee_user_id!", Schemas.ExternalId),
        ("impersonation!", JsonSchema.Boolean),
        ("project_id", Schemas.Id.OrNull()),
        ("remaining_uses", JsonSchema.Integer(1, int.MaxValue).OrNull()),
        ("expires_at", Schemas.Text.OrNull()),
        ("allow_redelegation", JsonSchema.Boolean.OrNull()),
        ("redelegation_count", JsonSchema.Integer(0, int.MaxValue).OrNull()),
        ("roles", Schemas.RoleReferences));

    private readonly bool byApplicationCredentials = config.Get(KeystoneOptions.ApplicationCredentialsManageTrusts);

    public void Map(ApiRoutes routes)
    {
        routes.Read("/v3/OS-TRUST/trusts", ListAsync, "identity:list_trusts", "identity:list_trusts_for_trustor", "identity:list_trusts_for_trustee");
        routes.Post("/v3/OS-TRUST/trusts", CreateAsync).Policy("identity:create_trust").Body(Schemas.Envelope("trust", Create));
        routes.Read("/v3/OS-TRUST/trusts/{trust_id}", ShowAsync, "identity:get_trust");
        routes.Delete("/v3/OS-TRUST/trusts/{trust_id}", DeleteAsync).Policy("identity:delete_trust");
        routes.Read("/v3/OS-TRUST/trusts/{trust_id}/roles", ListRolesAsync, "identity:list_roles_for_trust");
        routes.Read("/v3/OS-TRUST/trusts/{trust_id}/roles/{role_id}", ShowRoleAsync, "identity:get_role_for_trust");
    }

    private static PolicyTarget Target(string? trustor, string? trustee) =>
        PolicyTarget.Of(("target.trust.trustor_user_id", trustor), ("target.trust.trustee_user_id", trustee));

    private static void WriteMembers(Utf8JsonWriter json, TrustRow trust, string root)
    {
        json.WriteString("id", trust.Id);
        json.WriteString("trustor_user_id", trust.TrustorUserId);
        json.WriteString("trustee_user_id", trust.TrusteeUserId);
        json.WriteString("project_id", trust.ProjectId);
        json.WriteBoolean("impersonation", trust.Impersonation);
        json.WriteString("expires_at", trust.ExpiresAt is { } at ? Timestamps.Micros(at) : null);
        json.WritePropertyName("remaining_uses");
        if (trust.RemainingUses is { } uses)
        {
            json.WriteNumberValue(uses);
        }
        else
        {
            json.WriteNullValue();
        }
        json.WriteNull("deleted_at");
        json.WriteString("redelegated_trust_id", trust.RedelegatedTrustId);
        json.WriteNumber("redelegation_count", trust.RedelegationCount);
        JsonText.WriteMembers(json, trust.Extra);
        json.WriteSelfLink($"{root}/OS-TRUST/trusts/{trust.Id.Escaped()}");
    }

    private static void WriteRoles(Utf8JsonWriter json, IEnumerable<string> ids, RoleModel model, string root)
    {
        json.WriteStartArray("roles");
        foreach (var id in ids)
        {
            if (model.ById.TryGetValue(id, out var role))
            {
                RoleRoutes.Write(json, role, root);
            }
        }
        json.WriteEndArray();
    }

    private static void WriteRolesLinks(Utf8JsonWriter json, string name, string id, string root)
    {
        json.WriteStartObject(name);
        json.WriteString("self", $"{root}/OS-TRUST/trusts/{id.Escaped()}/roles");
        json.WriteNull("next");
        json.WriteNull("previous");
        json.WriteEndObject();
    }

    /// <summary>Tokens of trusts may manage trusts, that is how one is passed on; those of narrower grants may not even see them.</summary>
    private void RefuseDelegated(ApiContext context)
    {
        var identity = context.Identity;
        if (Delegation.IsDelegated(identity)
            && !(byApplicationCredentials && Delegation.HasMethod(identity, "application_credential") && !identity.IsRestricted))
        {
            throw Fail.ForbiddenAction("Delegated tokens cannot manage trusts.");
        }
    }

    private async Task<TrustView> EnforcedAsync(ApiContext context)
    {
        // Here, unlike elsewhere, what does not exist is told before who may ask.
        var trust = await trusts.GetAsync(context.Route("trust_id"), context.Aborted);
        context.Enforce(Target(trust.Row.TrustorUserId, trust.Row.TrusteeUserId));
        RefuseDelegated(context);
        return trust;
    }

    private async Task ListAsync(ApiContext context)
    {
        var (trustor, trustee) = (context.Query["trustor_user_id"], context.Query["trustee_user_id"]);
        if (!string.IsNullOrEmpty(trustor))
        {
            context.Enforce("identity:list_trusts_for_trustor", Target(trustor, null));
        }
        else if (!string.IsNullOrEmpty(trustee))
        {
            context.Enforce("identity:list_trusts_for_trustee", Target(null, trustee));
        }
        else
        {
            context.Enforce("identity:list_trusts", PolicyTarget.Empty);
        }
        RefuseDelegated(context);
        await using var db = store.Read();
        IQueryable<TrustRow> query = db.Trusts();
        if (!string.IsNullOrEmpty(trustor))
        {
            query = query.Where(t => t.TrustorUserId == trustor);
        }
        if (!string.IsNullOrEmpty(trustee))
        {
            query = query.Where(t => t.TrusteeUserId == trustee);
        }
        await answers.CollectionAsync(context, "trusts", await answers.PageAsync(context, query, static t => t.Id), static (json, trust, root) =>
        {
            json.WriteStartObject();
            WriteMembers(json, trust, root);
            json.WriteEndObject();
        });
    }

    private async Task CreateAsync(ApiContext context)
    {
        var body = await context.ReadMemberAsync("trust");
        context.Enforce(Target(body.Text("trustor_user_id"), body.Text("trustee_user_id")));
        RefuseDelegated(context);
        await AnswerAsync(context, 201, await trusts.CreateAsync(body, context.Identity, context.Aborted));
    }

    private async Task ShowAsync(ApiContext context) => await AnswerAsync(context, 200, await EnforcedAsync(context));

    private async Task AnswerAsync(ApiContext context, int status, TrustView trust)
    {
        var model = await cache.Current.RolesAsync(context.Aborted);
        await answers.MemberAsync(context, status, "trust", trust, (json, view, root) =>
        {
            json.WriteStartObject();
            WriteMembers(json, view.Row, root);
            WriteRoles(json, view.RoleIds, model, root);
            WriteRolesLinks(json, "roles_links", view.Row.Id, root);
            json.WriteEndObject();
        });
    }

    private async Task DeleteAsync(ApiContext context)
    {
        await trusts.DeleteAsync((await EnforcedAsync(context)).Row.Id, context.Aborted);
        await context.NoContentAsync();
    }

    private async Task ListRolesAsync(ApiContext context)
    {
        var trust = await EnforcedAsync(context);
        var model = await cache.Current.RolesAsync(context.Aborted);
        await context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            WriteRoles(json, trust.RoleIds, model, answers.Root(context));
            WriteRolesLinks(json, "links", trust.Row.Id, answers.Root(context));
            json.WriteEndObject();
        });
    }

    private async Task ShowRoleAsync(ApiContext context)
    {
        var trust = await EnforcedAsync(context);
        var id = context.Route("role_id");
        var model = await cache.Current.RolesAsync(context.Aborted);
        if (!trust.RoleIds.Contains(id) || !model.ById.TryGetValue(id, out var role))
        {
            throw Fail.NotFound("role", id);
        }
        await answers.MemberAsync(context, 200, "role", role, RoleRoutes.Write);
    }
}
