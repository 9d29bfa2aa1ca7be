using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Policy;
using SharpStack.Foundation.Storage;
using SharpStack.Keystone.Authentication;
using SharpStack.Keystone.Roles;
using SharpStack.Keystone.Storage;

namespace SharpStack.Keystone.OAuth1;

/// <summary>What users have granted to consumers.</summary>
internal sealed class AccessTokenRoutes(KeystoneStore store, IdentityCache cache, Answers answers)
{
    private const string Tokens = "/v3/users/{user_id}/OS-OAUTH1/access_tokens";

    public void Map(ApiRoutes routes)
    {
        routes.Read(Tokens, ListAsync, "identity:list_access_tokens");
        routes.Read(Tokens + "/{access_token_id}", ShowAsync, "identity:get_access_token");
        routes.Delete(Tokens + "/{access_token_id}", DeleteAsync).Policy("identity:delete_access_token");
        routes.Read(Tokens + "/{access_token_id}/roles", ListRolesAsync, "identity:list_access_token_roles");
        routes.Read(Tokens + "/{access_token_id}/roles/{role_id}", ShowRoleAsync, "identity:get_access_token_role");
    }

    private static void Write(Utf8JsonWriter json, AccessTokenRow token, string root)
    {
        var url = $"{root}/users/{token.UserId.Escaped()}/OS-OAUTH1/access_tokens/{token.Id.Escaped()}";
        json.WriteStartObject();
        json.WriteString("id", token.Id);
        json.WriteString("consumer_id", token.ConsumerId);
        json.WriteString("authorizing_user_id", token.UserId);
        json.WriteString("project_id", token.ProjectId);
        json.WriteString("expires_at", token.ExpiresAt is { } at ? Timestamps.Micros(at) : null);
        json.WriteStartObject("links");
        json.WriteString("roles", url + "/roles");
        json.WriteString("self", url);
        json.WriteEndObject();
        json.WriteEndObject();
    }

    private static void RefuseDelegated(ApiContext context) =>
        Delegation.RefuseAny(context.Identity, static () => CloudException.Forbidden("Cannot manage OAuth access tokens with a token issued via delegation."));

    private async Task<AccessTokenRow> EnforcedAsync(ApiContext context)
    {
        context.Enforce(PolicyTarget.Empty);
        var (userId, id) = (context.Route("user_id"), context.Route("access_token_id"));
        await using var db = store.Read();
        return await db.AccessTokens().FirstOrDefaultAsync(t => t.Id == id && t.UserId == userId, context.Aborted) ?? throw CloudException.NotFound("Access token not found");
    }

    private async Task ListAsync(ApiContext context)
    {
        context.Enforce(PolicyTarget.Empty);
        RefuseDelegated(context);
        var userId = context.Route("user_id");
        await using var db = store.Read();
        await answers.CollectionAsync(
            context, "access_tokens", await answers.PageAsync(context, db.AccessTokens().Where(t => t.UserId == userId), static t => t.Id), Write);
    }

    private async Task ShowAsync(ApiContext context)
    {
        var token = await EnforcedAsync(context);
        RefuseDelegated(context);
        await answers.MemberAsync(context, 200, "access_token", token, Write);
    }

    private async Task DeleteAsync(ApiContext context)
    {
        var token = await EnforcedAsync(context);
        RefuseDelegated(context);
        await store.WriteAsync(db => db.AccessTokens().Where(t => t.Id == token.Id).DeleteAsync(context.Aborted), context.Aborted);
        await context.NoContentAsync();
    }

    private async Task<IReadOnlyList<RoleRow>> RolesAsync(AccessTokenRow token, CancellationToken cancellationToken)
    {
        var model = await cache.Current.RolesAsync(cancellationToken);
        return [.. token.Roles.Select(id => model.ById.GetValueOrDefault(id)).OfType<RoleRow>()];
    }

    private async Task ListRolesAsync(ApiContext context) =>
        await answers.CollectionAsync(context, "roles", await RolesAsync(await EnforcedAsync(context), context.Aborted), RoleRoutes.Write);

    private async Task ShowRoleAsync(ApiContext context)
    {
        var roles = await RolesAsync(await EnforcedAsync(context), context.Aborted);
        var id = context.Route("role_id");
        await answers.MemberAsync(context, 200, "role", roles.FirstOrDefault(role => role.Id == id) ?? throw Fail.NotFound("role", id), RoleRoutes.Write);
    }
}
