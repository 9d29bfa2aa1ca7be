using System.Globalization;
using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using SharpStack.Foundation;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Policy;
using SharpStack.Foundation.Storage;
using SharpStack.Keystone.Authentication;
using SharpStack.Keystone.Credentials;
using SharpStack.Keystone.Storage;
using SharpStack.Keystone.Tokens;
using SharpStack.Keystone.Trusts;

namespace SharpStack.Keystone.Ec2;

/// <summary>EC2 credentials in their own form, and tokens for requests that were signed with them.</summary>
internal sealed class Ec2Routes(
    CredentialOperations credentials, CredentialKeys keys, KeystoneStore store, IdentityCache cache, TokenService tokens, Authenticator authenticator, Answers answers,
    TokenWriter writer, ServiceConfig config, TimeProvider time)
{
    private static readonly JsonSchema Create = JsonSchema.Object(true, ("tenant_id!", Schemas.Text));

    private static readonly JsonSchema Signed = JsonSchema.Object(true);

    private readonly TimeSpan window = TimeSpan.FromMinutes(config.Get(KeystoneOptions.CredentialAuthTtl));

    private sealed record Ec2Credential(CredentialRow Row, Ec2Blob Blob);

    public void Map(ApiRoutes routes)
    {
        routes.Read("/v3/users/{user_id}/credentials/OS-EC2", ListAsync, "identity:ec2_list_credentials");
        routes.Post("/v3/users/{user_id}/credentials/OS-EC2", CreateAsync).Policy("identity:ec2_create_credential").Body(Create);
        routes.Read("/v3/users/{user_id}/credentials/OS-EC2/{credential_id}", ShowAsync, "identity:ec2_get_credential");
        routes.Delete("/v3/users/{user_id}/credentials/OS-EC2/{credential_id}", DeleteAsync).Policy("identity:ec2_delete_credential");
        routes.Post("/v3/ec2tokens", context => AuthenticateAsync(context, VerifyEc2, true)).Policy("identity:ec2tokens_validate").Body(Signed);
        routes.Post("/v3/s3tokens", context => AuthenticateAsync(context, VerifyS3, false)).Policy("identity:s3tokens_validate").Body(Signed);
    }

    private static void Write(Utf8JsonWriter json, Ec2Credential credential, string root)
    {
        var (row, blob) = credential;
        json.WriteStartObject();
        json.WriteString("user_id", row.UserId);
        json.WriteString("tenant_id", row.ProjectId);
        json.WriteString("access", blob.Access);
        json.WriteString("secret", blob.Secret);
        json.WriteString("trust_id", blob.TrustId);
        json.WriteSelfLink($"{root}/users/{row.UserId.Escaped()}/credentials/OS-EC2/{blob.Access.Escaped()}");
        json.WriteEndObject();
    }

    private static PolicyTarget Target(string userId, string? ownerId) => ownerId is null
        ? PolicyTarget.Of(("user_id", userId))
        : PolicyTarget.Of(("user_id", userId), ("target.credential.user_id", ownerId));

    private Ec2Credential Open(CredentialRow row) => new(row, Ec2Blob.Parse(keys.Decrypt(row.EncryptedBlob)));

    private async Task<string> RequireUserAsync(string id, CancellationToken cancellationToken) =>
        await cache.Current.UserAsync(id, cancellationToken) is null ? throw Fail.NotFound("user", id) : id;

    private async Task ListAsync(ApiContext context)
    {
        var userId = context.Route("user_id");
        context.Enforce(Target(userId, null));
        CredentialRoutes.RefuseDelegated(context);
        await RequireUserAsync(userId, context.Aborted);
        await using var db = store.Read();
        var page = await answers.PageAsync(context, db.Credentials().Where(c => c.UserId == userId && c.Type == "ec2"), static c => c.Id);
        await answers.CollectionAsync(context, "credentials", new Page<Ec2Credential>([.. page.Items.Select(Open)], page.Truncated, page.NextMarker), Write);
    }

    private async Task CreateAsync(ApiContext context)
    {
        var userId = context.Route("user_id");
        context.Enforce(Target(userId, userId));
        var projectId = (await context.ReadJsonAsync()).Text("tenant_id")!;
        await RequireUserAsync(userId, context.Aborted);
        if (await cache.Current.ProjectAsync(projectId, context.Aborted) is null)
        {
            throw Fail.NotFound("project", projectId);
        }
        CredentialRoutes.RefuseDelegated(context);
        var blob = new Ec2Blob(Names.NewId(), Names.NewId(), null, null, null);
        var row = await credentials.InsertAsync(
            new() { Id = Ec2Blob.IdOf(blob.Access), UserId = userId, ProjectId = projectId, Type = "ec2", EncryptedBlob = "" },
            $$"""{"access": "{{blob.Access}}", "secret": "{{blob.Secret}}", "trust_id": null}""",
            context.Aborted);
        await answers.MemberAsync(context, 201, "credential", new Ec2Credential(row, blob), Write);
    }

    private async Task<Ec2Credential> EnforcedAsync(ApiContext context)
    {
        var userId = context.Route("user_id");
        // Here, unlike elsewhere, what does not exist is told before who may ask.
        var row = await credentials.FindAsync(Ec2Blob.IdOf(context.Route("credential_id")), context.Aborted) ?? throw Fail.NotFound("credential", context.Route("credential_id"));
        context.Enforce(Target(userId, row.UserId));
        await RequireUserAsync(userId, context.Aborted);
        CredentialRoutes.RefuseDelegated(context);
        return row is { Type: "ec2" } ? Open(row) : throw Fail.NotFound("credential", context.Route("credential_id"));
    }

    private async Task ShowAsync(ApiContext context) => await answers.MemberAsync(context, 200, "credential", await EnforcedAsync(context), Write);

    private async Task DeleteAsync(ApiContext context)
    {
        await credentials.DeleteAsync((await EnforcedAsync(context)).Row.Id, context.Aborted);
        await context.NoContentAsync();
    }

    /// <summary>
    /// A token for whoever signed a request. Only services may ask, with what they received themselves: the signature of a request that leaked would
    /// otherwise be good for a token with all that its user may do.
    /// </summary>
    private async Task AuthenticateAsync(ApiContext context, Func<string, JsonElement, bool> verify, bool inHeader)
    {
        context.Enforce(PolicyTarget.Empty);
        var body = await context.ReadJsonAsync();
        var signed = ((string[])["credentials", "credential", "ec2Credentials"])
            .Select(name => body.TryGetProperty(name, out var value) ? value : default).FirstOrDefault(static value => value.ValueKind == JsonValueKind.Object);
        if (signed.ValueKind != JsonValueKind.Object || signed.Text("access") is not { Length: > 0 } access)
        {
            throw CloudException.Unauthorized();
        }
        var row = await credentials.FindAsync(Ec2Blob.IdOf(access), context.Aborted);
        var blob = row is { Type: "ec2" } ? Ec2Blob.Parse(keys.Decrypt(row.EncryptedBlob)) : null;
        // An unknown key costs a signature too.
        var genuine = verify(blob?.Secret ?? "", signed);
        if (!genuine || blob is not { Secret.Length: > 0 } || row!.ProjectId is null || !IsTimely(signed))
        {
            throw CloudException.Unauthorized();
        }
        var (userId, scope) = await ScopeAsync(row.UserId, row.ProjectId, blob, context.Aborted);
        var token = await tokens.IssueAsync(userId, AuthMethods.Ec2Credential, scope, null, null, context.Aborted);
        if (token.Authorization.Trust is { } trust)
        {
            await authenticator.ConsumeAsync(trust.Row, context.Aborted);
        }
        if (inHeader)
        {
            context.Http.Response.Headers["X-Subject-Token"] = token.Id;
        }
        await context.WriteJsonAsync(200, json => writer.Write(json, token, withCatalog: true));
    }

    private static bool VerifyEc2(string secret, JsonElement signed) =>
        signed.Text("signature") is { Length: > 0 } signature && Ec2Signature.Matches(secret, signature, SignedRequest.Read(signed));

    private static bool VerifyS3(string secret, JsonElement signed)
    {
        if (signed.Text("signature") is not { Length: > 0 } signature || signed.Text("token") is not { Length: > 0 } token)
        {
            return false;
        }
        Span<byte> bytes = new byte[token.Length];
        return Convert.TryFromBase64String(token.Replace('-', '+').Replace('_', '/'), bytes, out var length)
            && Ec2Signature.MatchesS3(secret, signature, bytes[..length].ToArray());
    }

    /// <summary>Whether the time that was signed is near enough. A request that signs none is taken, as by OpenStack.</summary>
    private bool IsTimely(JsonElement signed)
    {
        var text = Member("params", "Timestamp") ?? Member("headers", "X-Amz-Date") ?? Member("params", "X-Amz-Date");
        if (text is null)
        {
            return true;
        }
        if (!DateTimeOffset.TryParseExact(text, "yyyyMMdd'T'HHmmss'Z'", CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var instant)
            && !DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out instant))
        {
            return false;
        }
        return (time.GetUtcNow() - instant).Duration() <= window;

        string? Member(string parent, string name) =>
            signed.TryGetProperty(parent, out var members) && members.Text(name) is { Length: > 0 } value ? value : null;
    }

    private async Task<(string UserId, TokenScope Scope)> ScopeAsync(string userId, string projectId, Ec2Blob blob, CancellationToken cancellationToken)
    {
        await using var db = store.Read();
        if (blob.TrustId is { } trustId)
        {
            var trust = await db.Trusts().FirstOrDefaultAsync(t => t.Id == trustId, cancellationToken);
            return trust is not null && trust.ProjectId == projectId && TrustOperations.IsUsable(trust, time.NowMicroseconds())
                ? (trust.Impersonation ? trust.TrusteeUserId : userId, new(PayloadKind.Trust, projectId, trustId))
                : throw CloudException.Unauthorized();
        }
        return (userId, blob.ApplicationCredentialId is { } credentialId ? new(PayloadKind.ApplicationCredential, projectId, credentialId)
            : blob.AccessTokenId is { } accessTokenId ? new(PayloadKind.OAuth1, projectId, accessTokenId)
            : TokenScope.Project(projectId));
    }
}
