using System.Globalization;
using SharpStack.Foundation;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Identity;
using SharpStack.Foundation.Policy;
using SharpStack.Keystone.Authentication;
using SharpStack.Keystone.Projects;
using SharpStack.Keystone.Receipts;

namespace SharpStack.Keystone.Tokens;

internal sealed class TokenRoutes(TokenService tokens, Authenticator authenticator, ProjectQueries projects, Answers answers, TokenAnswers tokenAnswers, ServiceConfig config)
{
    private static readonly JsonSchema Domain = JsonSchema.Object(true, ("id", Schemas.Text), ("name", Schemas.Text));

    private static readonly JsonSchema Mapped = JsonSchema.Object(true, ("id", Schemas.Text), ("identity_provider", Schemas.Text), ("protocol", Schemas.Text));

    private static readonly JsonSchema Auth = Schemas.Envelope("auth", JsonSchema.Object(
        true,
        ("identity!", JsonSchema.Object(
            true,
            ("methods!", JsonSchema.Array(Schemas.Text)),
            ("password", JsonSchema.Object(true, ("user", JsonSchema.Object(
                true, ("id", Schemas.Text), ("name", Schemas.Text), ("password", Schemas.Text), ("domain", Domain))))),
            ("token", JsonSchema.Object(true, ("id!", Schemas.Text))),
            ("mapped", Mapped),
            ("openid", Mapped),
            ("saml2", Mapped),
            ("totp", JsonSchema.Object(true, ("user", JsonSchema.Object(
                true, ("id", Schemas.Text), ("name", Schemas.Text), ("passcode", Schemas.Text), ("domain", Domain))))),
            ("application_credential", JsonSchema.Object(
                true,
                ("id", Schemas.Text.OrNull()),
                ("name", Schemas.Text.OrNull()),
                ("secret", Schemas.Text.OrNull()),
                ("user", JsonSchema.Object(true, ("id", Schemas.Text), ("name", Schemas.Text), ("domain", Domain))))))),
        ("scope", JsonSchema.Object(
            true,
            ("project", JsonSchema.Object(true, ("id", Schemas.Text), ("name", Schemas.Text), ("domain", Domain))),
            ("domain", Domain),
            ("OS-TRUST:trust", JsonSchema.Object(true, ("id", Schemas.Text))),
            ("system", JsonSchema.Object(true, ("all", JsonSchema.Boolean)))) with { Types = ["object", "string"] })));

    private readonly TimeSpan expiredWindow = TimeSpan.FromSeconds(config.Get(KeystoneOptions.AllowExpiredWindow));

    public void Map(ApiRoutes routes)
    {
        routes.Post("/v3/auth/tokens", IssueAsync).Public().Body(Auth);
        routes.Get("/v3/auth/tokens", ValidateAsync).Policy("identity:validate_token");
        routes.Head("/v3/auth/tokens", ValidateAsync).Policy("identity:check_token");
        routes.Delete("/v3/auth/tokens", RevokeAsync).Policy("identity:revoke_token");
        routes.Read("/v3/auth/catalog", CatalogAsync, "identity:get_auth_catalog");
        routes.Read("/v3/auth/projects", ProjectsAsync, "identity:get_auth_projects");
        routes.Read("/v3/auth/domains", DomainsAsync, "identity:get_auth_domains");
        routes.Read("/v3/OS-FEDERATION/projects", ProjectsAsync, "identity:get_auth_projects");
        routes.Read("/v3/OS-FEDERATION/domains", DomainsAsync, "identity:get_auth_domains");
        routes.Read("/v3/auth/system", SystemAsync, "identity:get_auth_system");
    }

    private async Task IssueAsync(ApiContext context)
    {
        var body = await context.ReadJsonAsync();
        var request = context.Http.Request;
        try
        {
            var token = await authenticator.AuthenticateAsync(
                new(body.GetProperty("auth"), request, answers.Root(context) + request.Path.Value!["/v3".Length..] + request.QueryString.Value), context.Aborted);
            await tokenAnswers.WriteAsync(context, 201, token);
        }
        catch (ReceiptException more)
        {
            context.Http.Response.Headers[ReceiptService.Header] = more.Receipt.Id;
            await context.WriteJsonAsync(401, more.Write);
        }
    }

    private async Task ValidateAsync(ApiContext context)
    {
        // Before the look at the token: a change between the two makes the answer seem older than it is, never newer.
        context.Http.Response.Headers[HttpTokenValidator.EpochHeader] = tokens.Epoch.ToString(CultureInfo.InvariantCulture);
        var token = await EnforcedSubjectAsync(context, context.Query.Flag("allow_expired") == true ? expiredWindow : TimeSpan.Zero);
        await tokenAnswers.WriteAsync(context, 200, token);
    }

    private async Task RevokeAsync(ApiContext context)
    {
        await tokens.RevokeAsync(await EnforcedSubjectAsync(context, TimeSpan.Zero), context.Aborted);
        await context.NoContentAsync();
    }

    private async Task<Token> EnforcedSubjectAsync(ApiContext context, TimeSpan window)
    {
        var id = context.Http.Request.Headers["X-Subject-Token"].ToString();
        if (id.Length == 0)
        {
            context.Enforce(PolicyTarget.Empty);
            throw CloudException.NotFound("No token in the request");
        }

        // Whoever asks learns that there is no such token, as its former holder may.
        var token = await tokens.FindAsync(id, window, context.Aborted) ?? throw CloudException.NotFound("Failed to validate token");
        context.Enforce(PolicyTarget.Of(("target.token.user_id", token.Payload.UserId)));
        if (token.Authorization.AccessRules is not null && context.RouteInfo.Method != "DELETE"
            && !(double.TryParse(context.Http.Request.Headers["OpenStack-Identity-Access-Rules"], CultureInfo.InvariantCulture, out var version) && version >= 1))
        {
            // A service that does not know of access rules would not enforce them either.
            throw CloudException.NotFound("Failed to validate token");
        }
        return token;
    }

    private async Task CatalogAsync(ApiContext context)
    {
        context.Enforce();
        var token = await tokens.FindAsync(context.Http.Request.Headers["X-Auth-Token"]!, TimeSpan.Zero, context.Aborted) ?? throw CloudException.Unauthorized();
        if (token.Authorization.Project is null)
        {
            throw CloudException.Forbidden("A project-scoped token is required to produce a service catalog.");
        }
        await context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WritePropertyName("catalog");
            json.WriteRawValue(token.Authorization.Catalog!, skipInputValidation: true);
            json.WriteSelfLink(answers.Root(context) + "/auth/catalog");
            json.WriteEndObject();
        });
    }

    private async Task ProjectsAsync(ApiContext context)
    {
        context.Enforce();
        await answers.CollectionAsync(context, "projects", await projects.OfUserAsync(context.Identity.UserId, null, context.Aborted, await GroupsAsync(context)), ProjectRoutes.Write);
    }

    /// <summary>The groups that a mapping gave the caller.</summary>
    private async ValueTask<IReadOnlyList<string>> GroupsAsync(ApiContext context) =>
        (await tokens.FindAsync(context.Http.Request.Headers["X-Auth-Token"]!, TimeSpan.Zero, context.Aborted))?.Payload.Federation?.GroupIds ?? [];

    private async Task DomainsAsync(ApiContext context)
    {
        context.Enforce();
        await answers.CollectionAsync(context, "domains", await projects.DomainsOfUserAsync(context.Identity.UserId, context.Aborted, await GroupsAsync(context)), ProjectRoutes.WriteDomain);
    }

    private async Task SystemAsync(ApiContext context)
    {
        context.Enforce();
        var has = await projects.HasSystemRoleAsync(context.Identity.UserId, context.Aborted, await GroupsAsync(context));
        await context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WriteStartArray("system");
            if (has)
            {
                json.WriteStartObject();
                json.WriteBoolean("all", true);
                json.WriteEndObject();
            }
            json.WriteEndArray();
            json.WriteSelfLink(answers.Root(context) + "/auth/system");
            json.WriteEndObject();
        });
    }
}
