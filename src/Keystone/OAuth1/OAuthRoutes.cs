using System.Collections.Frozen;
using System.Security.Cryptography;
using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using Microsoft.AspNetCore.Http;
using SharpStack.Foundation;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Policy;
using SharpStack.Foundation.Storage;
using SharpStack.Keystone.Authentication;
using SharpStack.Keystone.Storage;
using SharpStack.Keystone.Tokens;

namespace SharpStack.Keystone.OAuth1;

/// <summary>Consumers, and the three steps by which one gets an access token: it asks, a user authorizes, it exchanges.</summary>
internal sealed class OAuthRoutes(KeystoneStore store, IdentityCache cache, Answers answers, ServiceConfig config, TimeProvider time)
{
    // Letters and digits, without those that are confused when they are read out.
    private const string VerifierCharacters = "abcdefghkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    private const int VerifierLength = 8;

    private static readonly FrozenSet<string> Columns = FrozenSet.ToFrozenSet(["id", "description", "secret", "links"]);

    private static readonly JsonSchema Consumer = JsonSchema.Object(true, ("description", Schemas.Text.OrNull()));

    private static readonly JsonSchema Authorize = JsonSchema.Object(true, ("roles", Schemas.RoleReferences));

    private readonly int requestTokenSeconds = config.Get(KeystoneOptions.RequestTokenDuration);
    private readonly int accessTokenSeconds = config.Get(KeystoneOptions.AccessTokenDuration);

    public void Map(ApiRoutes routes)
    {
        routes.Read("/v3/OS-OAUTH1/consumers", ListConsumersAsync, "identity:list_consumers");
        routes.Post("/v3/OS-OAUTH1/consumers", CreateConsumerAsync).Policy("identity:create_consumer").Body(Schemas.Envelope("consumer", Consumer));
        routes.Read("/v3/OS-OAUTH1/consumers/{consumer_id}", ShowConsumerAsync, "identity:get_consumer");
        routes.Patch("/v3/OS-OAUTH1/consumers/{consumer_id}", UpdateConsumerAsync).Policy("identity:update_consumer")
            .Body(Schemas.Envelope("consumer", Consumer with { MinProperties = 1 }));
        routes.Delete("/v3/OS-OAUTH1/consumers/{consumer_id}", DeleteConsumerAsync).Policy("identity:delete_consumer");
        // Proven by the signature of the consumer, which has no token.
        routes.Post("/v3/OS-OAUTH1/request_token", RequestTokenAsync).Public();
        routes.Post("/v3/OS-OAUTH1/access_token", AccessTokenAsync).Public();
        routes.Put("/v3/OS-OAUTH1/authorize/{request_token_id}", AuthorizeAsync).Policy("identity:authorize_request_token").Body(Authorize);
    }

    private static void Write(Utf8JsonWriter json, ConsumerRow consumer, string root, bool withSecret)
    {
        json.WriteStartObject();
        json.WriteString("id", consumer.Id);
        json.WriteString("description", consumer.Description);
        if (withSecret)
        {
            json.WriteString("secret", consumer.Secret);
        }
        JsonText.WriteMembers(json, consumer.Extra);
        json.WriteSelfLink($"{root}/OS-OAUTH1/consumers/{consumer.Id.Escaped()}");
        json.WriteEndObject();
    }

    private static void Write(Utf8JsonWriter json, ConsumerRow consumer, string root) => Write(json, consumer, root, false);

    private static CloudException NoConsumer() => CloudException.NotFound("Consumer not found");

    private async Task<ConsumerRow> EnforcedConsumerAsync(ApiContext context)
    {
        context.Enforce(PolicyTarget.Empty);
        var id = context.Route("consumer_id");
        await using var db = store.Read();
        return await db.Consumers().FirstOrDefaultAsync(c => c.Id == id, context.Aborted) ?? throw NoConsumer();
    }

    private async Task ListConsumersAsync(ApiContext context)
    {
        context.Enforce(PolicyTarget.Empty);
        await using var db = store.Read();
        await answers.CollectionAsync(context, "consumers", await answers.PageAsync(context, db.Consumers(), static c => c.Id), Write);
    }

    private async Task CreateConsumerAsync(ApiContext context)
    {
        context.Enforce(PolicyTarget.Empty);
        var body = await context.ReadMemberAsync("consumer");
        var consumer = new ConsumerRow { Id = Names.NewId(), Secret = Names.NewId(), Description = body.Text("description"), Extra = JsonText.Merge(JsonText.Empty, body, Columns) };
        await store.WriteAsync(db => db.InsertAsync(consumer, token: context.Aborted), context.Aborted);
        await answers.MemberAsync(context, 201, "consumer", consumer, static (json, item, root) => Write(json, item, root, true));
    }

    private async Task ShowConsumerAsync(ApiContext context) => await answers.MemberAsync(context, 200, "consumer", await EnforcedConsumerAsync(context), Write);

    private async Task UpdateConsumerAsync(ApiContext context)
    {
        var before = await EnforcedConsumerAsync(context);
        var body = await context.ReadMemberAsync("consumer", before.Id);
        if (body.Has("secret"))
        {
            throw CloudException.BadRequest("The secret of a consumer cannot be changed: create another consumer.");
        }
        var after = before;
        await store.WriteAsync(
            async db =>
            {
                var current = await db.Consumers().FirstOrDefaultAsync(c => c.Id == before.Id, context.Aborted) ?? throw NoConsumer();
                after = current with { Description = body.TextOr("description", current.Description), Extra = JsonText.Merge(current.Extra, body, Columns) };
                await db.UpdateAsync(after, token: context.Aborted);
            },
            context.Aborted);
        await answers.MemberAsync(context, 200, "consumer", after, Write);
    }

    /// <summary>With it goes all that users have granted it: tokens of those access tokens end now.</summary>
    private async Task DeleteConsumerAsync(ApiContext context)
    {
        var consumer = await EnforcedConsumerAsync(context);
        await store.WriteAsync(
            async db =>
            {
                await db.RequestTokens().Where(t => t.ConsumerId == consumer.Id).DeleteAsync(context.Aborted);
                await db.AccessTokens().Where(t => t.ConsumerId == consumer.Id).DeleteAsync(context.Aborted);
                await db.Consumers().Where(c => c.Id == consumer.Id).DeleteAsync(context.Aborted);
            },
            context.Aborted);
        await context.NoContentAsync();
    }

    private OAuthSignature ReadSignature(ApiContext context)
    {
        var request = context.Http.Request;
        return OAuthSignature.Read(request, answers.Root(context) + request.Path.Value!["/v3".Length..] + request.QueryString.Value);
    }

    private async Task RequestTokenAsync(ApiContext context)
    {
        var signed = ReadSignature(context);
        var consumerId = signed.Require("oauth_consumer_key");
        var projectId = context.Http.Request.Headers["Requested-Project-Id"] is [{ Length: > 0 } asked] ? asked : throw Fail.Expected("Requested-Project-Id", "request");
        ConsumerRow? consumer;
        await using (var db = store.Read())
        {
            consumer = await db.Consumers().FirstOrDefaultAsync(c => c.Id == consumerId, context.Aborted);
        }
        // Whether a project exists is told to consumers only.
        if (!signed.IsValid(consumer?.Secret ?? "", "", time.GetUtcNow()) || consumer is null)
        {
            throw CloudException.Unauthorized();
        }
        if (await cache.Current.ProjectAsync(projectId, context.Aborted) is null)
        {
            throw Fail.NotFound("project", projectId);
        }
        var token = new RequestTokenRow { Id = Names.NewId(), Secret = Names.NewId(), ConsumerId = consumerId, ProjectId = projectId, ExpiresAt = Expiry(requestTokenSeconds) };
        await store.WriteAsync(db => db.InsertAsync(token, token: context.Aborted), context.Aborted);
        await WriteTokenAsync(context, token.Id, token.Secret, token.ExpiresAt);
    }

    private async Task AuthorizeAsync(ApiContext context)
    {
        context.Enforce(PolicyTarget.Empty);
        var body = await context.ReadJsonAsync();
        Delegation.RefuseAny(context.Identity, static () => CloudException.Forbidden("Cannot authorize a request token with a token issued via delegation."));
        var id = context.Route("request_token_id");
        RequestTokenRow? request;
        await using (var db = store.Read())
        {
            request = await db.RequestTokens().FirstOrDefaultAsync(t => t.Id == id, context.Aborted);
        }
        if (request is null)
        {
            throw CloudException.NotFound("Request token not found");
        }
        if (request.ExpiresAt < time.NowMicroseconds())
        {
            throw CloudException.Unauthorized();
        }
        var snapshot = cache.Current;
        var model = await snapshot.RolesAsync(context.Aborted);
        var roles = body.TryGetProperty("roles", out var list) ? list.EnumerateArray().Select(model.Resolve).Distinct().ToList() : [];
        var held = await snapshot.AuthorizationAsync(context.Identity.UserId, TokenScope.Project(request.ProjectId), context.Aborted);
        if (roles.Exists(role => held?.Roles.Any(r => r.Id == role) != true))
        {
            throw CloudException.Unauthorized("authorizing user does not have role required");
        }
        var verifier = RandomNumberGenerator.GetString(VerifierCharacters, VerifierLength);
        var (userId, roleIds) = (context.Identity.UserId, string.Join(',', roles));
        await store.WriteAsync(
            db => db.RequestTokens().Where(t => t.Id == id)
                .Set(static t => t.UserId, userId).Set(static t => t.Verifier, verifier).Set(static t => t.RoleIds, roleIds).UpdateAsync(context.Aborted),
            context.Aborted);
        await context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WriteStartObject("token");
            json.WriteString("oauth_verifier", verifier);
            json.WriteEndObject();
            json.WriteEndObject();
        });
    }

    private async Task AccessTokenAsync(ApiContext context)
    {
        var signed = ReadSignature(context);
        var (consumerId, requestId, verifier) = (signed.Require("oauth_consumer_key"), signed.Require("oauth_token"), signed.Require("oauth_verifier"));
        ConsumerRow? consumer;
        RequestTokenRow? request;
        await using (var db = store.Read())
        {
            consumer = await db.Consumers().FirstOrDefaultAsync(c => c.Id == consumerId, context.Aborted);
            request = await db.RequestTokens().FirstOrDefaultAsync(t => t.Id == requestId, context.Aborted);
        }
        var valid = signed.IsValid(consumer?.Secret ?? "", request?.Secret ?? "", time.GetUtcNow());
        if (request is null)
        {
            throw CloudException.NotFound("Request token not found");
        }
        if (!valid || consumer is null || request.ConsumerId != consumerId || request.UserId is null || request.ExpiresAt < time.NowMicroseconds()
            || request.Verifier is null || !CryptographicOperations.FixedTimeEquals(System.Text.Encoding.UTF8.GetBytes(request.Verifier), System.Text.Encoding.UTF8.GetBytes(verifier)))
        {
            throw CloudException.Unauthorized();
        }
        var token = new AccessTokenRow
        {
            Id = Names.NewId(),
            Secret = Names.NewId(),
            ConsumerId = consumerId,
            ProjectId = request.ProjectId,
            UserId = request.UserId,
            RoleIds = request.RoleIds,
            ExpiresAt = Expiry(accessTokenSeconds),
        };
        await store.WriteAsync(
            async db =>
            {
                // Of two exchanges at once, one finds it used.
                if (await db.RequestTokens().Where(t => t.Id == requestId).DeleteAsync(context.Aborted) == 0)
                {
                    throw CloudException.NotFound("Request token not found");
                }
                await db.InsertAsync(token, token: context.Aborted);
            },
            context.Aborted);
        await WriteTokenAsync(context, token.Id, token.Secret, token.ExpiresAt);
    }

    private long? Expiry(int seconds) => seconds == 0 ? null : Timestamps.ToMicroseconds(time.GetUtcNow().AddSeconds(seconds));

    private static Task WriteTokenAsync(ApiContext context, string id, string secret, long? expiresAt)
    {
        context.Http.Response.StatusCode = StatusCodes.Status201Created;
        context.Http.Response.ContentType = "application/x-www-form-urlencoded";
        var expiry = expiresAt is { } at ? $"&oauth_expires_at={Timestamps.Micros(at)}" : "";
        return context.Http.Response.WriteAsync($"oauth_token={id}&oauth_token_secret={secret}{expiry}", context.Aborted);
    }
}
