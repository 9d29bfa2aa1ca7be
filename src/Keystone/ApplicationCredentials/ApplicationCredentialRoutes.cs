using System.Text.Json;
using System.Text.RegularExpressions;
using LinqToDB;
using LinqToDB.Async;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Identity;
using SharpStack.Foundation.Policy;
using SharpStack.Foundation.Storage;
using SharpStack.Keystone.Authentication;
using SharpStack.Keystone.Roles;
using SharpStack.Keystone.Storage;

namespace SharpStack.Keystone.ApplicationCredentials;

internal sealed partial class ApplicationCredentialRoutes(ApplicationCredentialOperations credentials, KeystoneStore store, IdentityCache cache, Answers answers)
{
    private static readonly JsonSchema Create = JsonSchema.Object(
        true,
        ("name!", Schemas.Name),
        ("description", Schemas.Text.OrNull()),
        ("secret", Schemas.Text.OrNull()),
        ("expires_at", Schemas.Text.OrNull()),
        ("roles", Schemas.RoleReferences),
        ("unrestricted", JsonSchema.Boolean),
        ("access_rules", JsonSchema.Array(JsonSchema.Object(
            false,
            ("path", JsonSchema.String(0, 225, PathPattern())),
            ("method", JsonSchema.String(0, null, MethodPattern())),
            ("service", Schemas.Id),
            ("id", Schemas.Id)))));

    public void Map(ApiRoutes routes)
    {
        routes.Read("/v3/users/{user_id}/application_credentials", ListAsync, "identity:list_application_credentials");
        routes.Post("/v3/users/{user_id}/application_credentials", CreateAsync).Policy("identity:create_application_credential")
            .Body(Schemas.Envelope("application_credential", Create));
        routes.Read("/v3/users/{user_id}/application_credentials/{application_credential_id}", ShowAsync, "identity:get_application_credential");
        routes.Delete("/v3/users/{user_id}/application_credentials/{application_credential_id}", DeleteAsync).Policy("identity:delete_application_credential");
        routes.Read("/v3/users/{user_id}/access_rules", ListRulesAsync, "identity:list_access_rules");
        routes.Read("/v3/users/{user_id}/access_rules/{access_rule_id}", ShowRuleAsync, "identity:get_access_rule");
        routes.Delete("/v3/users/{user_id}/access_rules/{access_rule_id}", DeleteRuleAsync).Policy("identity:delete_access_rule");
    }

    private static void Write(Utf8JsonWriter json, ApplicationCredentialView view, RoleModel model, string root)
    {
        var row = view.Row;
        json.WriteStartObject();
        json.WriteString("id", row.Id);
        json.WriteString("name", row.Name);
        json.WriteString("description", row.Description);
        json.WriteString("user_id", row.UserId);
        json.WriteString("project_id", row.ProjectId);
        json.WriteString("expires_at", row.ExpiresAt is { } at ? Timestamps.MicrosNoZone(at) : null);
        json.WriteBoolean("unrestricted", row.Unrestricted);
        json.WriteStartArray("roles");
        foreach (var id in view.RoleIds)
        {
            if (model.ById.TryGetValue(id, out var role))
            {
                json.WriteStartObject();
                json.WriteString("id", role.Id);
                json.WriteString("name", role.Name);
                json.WriteString("domain_id", role.DomainId.Length == 0 ? null : role.DomainId);
                json.WriteString("description", role.Description);
                JsonText.WriteOptions(json, role.Options);
                json.WriteEndObject();
            }
        }
        json.WriteEndArray();
        if (row.HasAccessRules)
        {
            json.WritePropertyName("access_rules");
            ApplicationCredentialWriter.WriteRules(json, view.AccessRules);
        }
        if (view.Secret is not null)
        {
            json.WriteString("secret", view.Secret);
        }
        json.WriteSelfLink($"{root}/users/{row.UserId.Escaped()}/application_credentials/{row.Id.Escaped()}");
        json.WriteEndObject();
    }

    private static Action<Utf8JsonWriter, AccessRule, string> RuleWriter(string userId) => (json, rule, root) =>
    {
        json.WriteStartObject();
        ApplicationCredentialWriter.WriteRule(json, rule);
        json.WriteSelfLink($"{root}/users/{userId.Escaped()}/access_rules/{rule.Id.Escaped()}");
        json.WriteEndObject();
    };

    /// <summary>
    /// A credential that was made with a trust, an OAuth or an EC2 token would outlive what was delegated. Those of application credentials are admitted
    /// here; whether they may make and delete others is their own <c>unrestricted</c>.
    /// </summary>
    private static void RefuseDelegated(ApiContext context)
    {
        if (!Delegation.HasMethod(context.Identity, "application_credential"))
        {
            Delegation.RefuseAny(
                context.Identity, static () => CloudException.Forbidden("Cannot manage application credentials with a token issued via delegation."));
        }
    }

    private static void RefuseRestricted(ApiContext context)
    {
        if (context.Identity.IsRestricted)
        {
            throw Fail.ForbiddenAction("Using method 'application_credential' is not allowed for managing additional application credentials.");
        }
    }

    private async Task AnswerAsync(ApiContext context, int status, ApplicationCredentialView view)
    {
        var model = await cache.Current.RolesAsync(context.Aborted);
        await answers.MemberAsync(context, status, "application_credential", view, (json, item, root) => Write(json, item, model, root));
    }

    private async Task ListAsync(ApiContext context)
    {
        var userId = context.Route("user_id");
        context.Enforce(PolicyTarget.Of(("user_id", userId)));
        RefuseDelegated(context);
        await using var db = store.Read();
        var query = Answers.WhereName(context, db.ApplicationCredentials().Where(c => c.UserId == userId), static c => c.NameKey);
        var page = await answers.PageAsync(context, query, static c => c.Id);
        var model = await cache.Current.RolesAsync(context.Aborted);
        await answers.CollectionAsync(
            context,
            "application_credentials",
            new Page<ApplicationCredentialView>(await credentials.ViewAsync(page.Items, context.Aborted), page.Truncated, page.NextMarker),
            (json, item, root) => Write(json, item, model, root));
    }

    private async Task CreateAsync(ApiContext context)
    {
        var userId = context.Route("user_id");
        context.Enforce(PolicyTarget.Of(("user_id", userId)));
        var body = await context.ReadMemberAsync("application_credential");
        RefuseDelegated(context);
        RefuseRestricted(context);
        if (context.Identity.UserId != userId)
        {
            throw Fail.ForbiddenAction("Cannot create an application credential for another user.");
        }
        await AnswerAsync(context, 201, await credentials.CreateAsync(body, context.Identity, context.Aborted));
    }

    /// <summary>The owner is the credential's, whatever user the path names.</summary>
    private async Task<ApplicationCredentialRow> EnforcedAsync(ApiContext context)
    {
        var id = context.Route("application_credential_id");
        var row = await credentials.FindAsync(id, context.Aborted);
        context.Enforce(PolicyTarget.Of(("user_id", row?.UserId ?? context.Route("user_id"))));
        RefuseDelegated(context);
        return row ?? throw Fail.NotFound("Application Credential", id);
    }

    private async Task ShowAsync(ApiContext context)
    {
        var row = await EnforcedAsync(context);
        await AnswerAsync(context, 200, (await credentials.ViewAsync([row], context.Aborted))[0]);
    }

    private async Task DeleteAsync(ApiContext context)
    {
        var row = await EnforcedAsync(context);
        RefuseRestricted(context);
        await credentials.DeleteAsync(row.Id, context.Aborted);
        await context.NoContentAsync();
    }

    private async Task<string> EnforcedUserAsync(ApiContext context)
    {
        var userId = context.Route("user_id");
        var user = await cache.Current.UserAsync(userId, context.Aborted);
        context.Enforce(user is null ? PolicyTarget.Empty : PolicyTarget.Of(("target.user.id", user.Id)));
        RefuseDelegated(context);
        return userId;
    }

    private async Task ListRulesAsync(ApiContext context)
    {
        var userId = await EnforcedUserAsync(context);
        await using var db = store.Read();
        var query = db.AccessRules().Where(r => r.UserId == userId);
        if (context.Query["service"] is { } service)
        {
            query = query.Where(r => r.Service == service);
        }
        if (context.Query["path"] is { } path)
        {
            query = query.Where(r => r.Path == path);
        }
        if (context.Query["method"] is { } method)
        {
            query = query.Where(r => r.Method == method);
        }
        var page = await answers.PageAsync(context, query, static r => r.Id);
        await answers.CollectionAsync(
            context,
            "access_rules",
            new Page<AccessRule>([.. page.Items.Select(static r => new AccessRule(r.Id, r.Service, r.Method, r.Path))], page.Truncated, page.NextMarker),
            RuleWriter(userId));
    }

    private async Task ShowRuleAsync(ApiContext context)
    {
        var userId = await EnforcedUserAsync(context);
        var id = context.Route("access_rule_id");
        await using var db = store.Read();
        var rule = await db.AccessRules().FirstOrDefaultAsync(r => r.Id == id && r.UserId == userId, context.Aborted) ?? throw Fail.NotFound("Access Rule", id);
        await answers.MemberAsync(context, 200, "access_rule", new AccessRule(rule.Id, rule.Service, rule.Method, rule.Path), RuleWriter(userId));
    }

    private async Task DeleteRuleAsync(ApiContext context)
    {
        await credentials.DeleteRuleAsync(await EnforcedUserAsync(context), context.Route("access_rule_id"), context.Aborted);
        await context.NoContentAsync();
    }

    [GeneratedRegex(@"^\/.*")]
    private static partial Regex PathPattern();

    [GeneratedRegex("^(POST|GET|HEAD|PATCH|PUT|DELETE)$")]
    private static partial Regex MethodPattern();
}
