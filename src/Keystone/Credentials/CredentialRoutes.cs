using System.Collections.Frozen;
using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Policy;
using SharpStack.Keystone.Authentication;
using SharpStack.Keystone.Storage;

namespace SharpStack.Keystone.Credentials;

internal sealed class CredentialRoutes(CredentialOperations credentials, KeystoneStore store, IdentityCache cache, CredentialKeys keys, Answers answers, TimeProvider time)
{
    private static readonly FrozenSet<string> Columns = FrozenSet.ToFrozenSet(["id", "blob", "type", "user_id", "project_id", "links"]);

    private static readonly JsonSchema Create = JsonSchema.Object(
        true, ("blob!", Schemas.Text), ("type!", JsonSchema.String(0, 255)), ("user_id!", Schemas.Text), ("project_id", Schemas.Text.OrNull()));

    private static readonly JsonSchema Update = JsonSchema.Object(
        false, ("blob", Schemas.Text), ("type", JsonSchema.String(0, 255)), ("user_id", Schemas.Text), ("project_id", Schemas.Text.OrNull()), ("id", Schemas.Text)) with
    {
        MinProperties = 1,
    };

    public void Map(ApiRoutes routes)
    {
        routes.Read("/v3/credentials", ListAsync, "identity:list_credentials", "identity:get_credential");
        routes.Post("/v3/credentials", CreateAsync).Policy("identity:create_credential").Body(Schemas.Envelope("credential", Create));
        routes.Read("/v3/credentials/{credential_id}", ShowAsync, "identity:get_credential");
        routes.Patch("/v3/credentials/{credential_id}", UpdateAsync).Policy("identity:update_credential", "admin_required")
            .Body(Schemas.Envelope("credential", Update));
        routes.Delete("/v3/credentials/{credential_id}", DeleteAsync).Policy("identity:delete_credential");
    }

    /// <summary>Tokens of narrower grants do not come near secrets that would widen them.</summary>
    public static void RefuseDelegated(ApiContext context) =>
        Delegation.RefuseAny(context.Identity, static () => Fail.ForbiddenAction("Delegated tokens cannot access credentials directly"));

    private static PolicyTarget Target(string? userId) => PolicyTarget.Of(("target.credential.user_id", userId));

    private void Write(Utf8JsonWriter json, CredentialRow credential, string root)
    {
        json.WriteStartObject();
        json.WriteString("id", credential.Id);
        json.WriteString("blob", keys.Decrypt(credential.EncryptedBlob));
        json.WriteString("type", credential.Type);
        json.WriteString("user_id", credential.UserId);
        json.WriteString("project_id", credential.ProjectId);
        JsonText.WriteMembers(json, credential.Extra);
        json.WriteSelfLink($"{root}/credentials/{credential.Id.Escaped()}");
        json.WriteEndObject();
    }

    private async Task<CredentialRow> EnforcedAsync(ApiContext context)
    {
        var id = context.Route("credential_id");
        await using var db = store.Read();
        var credential = await db.Credentials().FirstOrDefaultAsync(c => c.Id == id, context.Aborted);
        context.Enforce(credential is null ? PolicyTarget.Empty : Target(credential.UserId));
        RefuseDelegated(context);
        return credential ?? throw Fail.NotFound("credential", id);
    }

    private async Task ListAsync(ApiContext context)
    {
        context.Enforce(Target(context.Identity.SystemScope is null ? context.Identity.UserId : null));
        if (context.Identity.TrustId is not null || Delegation.IsDelegated(context.Identity))
        {
            await answers.CollectionAsync(context, "credentials", Array.Empty<CredentialRow>(), Write);
            return;
        }
        await using var db = store.Read();
        IQueryable<CredentialRow> query = db.Credentials();
        if (context.Query["user_id"] is { } user)
        {
            query = query.Where(c => c.UserId == user);
        }
        if (context.Query["type"] is { } type)
        {
            query = query.Where(c => c.Type == type);
        }
        var own = context.Identity.UserId;
        // Whoever may read a stranger's credential may read all; everybody else reads the own ones.
        if (!context.Can("identity:get_credential", Target("")))
        {
            query = query.Where(c => c.UserId == own);
        }
        await answers.CollectionAsync(context, "credentials", await answers.PageAsync(context, query, static c => c.Id), Write);
    }

    private async Task CreateAsync(ApiContext context)
    {
        var body = await context.ReadMemberAsync("credential");
        var userId = body.Text("user_id")!;
        context.Enforce(Target(userId));
        RefuseDelegated(context);
        if (await cache.Current.UserAsync(userId, context.Aborted) is null)
        {
            throw Fail.NotFound("user", userId);
        }
        var (type, blob) = (body.Text("type")!, body.Text("blob")!);
        var credential = await credentials.InsertAsync(
            new()
            {
                Id = IdFor(type, blob, body.Text("project_id")),
                UserId = userId,
                ProjectId = body.Text("project_id"),
                Type = type,
                EncryptedBlob = "",
                Extra = JsonText.Merge(JsonText.Empty, body, Columns),
            },
            blob,
            context.Aborted);
        await answers.MemberAsync(context, 201, "credential", credential, Write);
    }

    /// <summary>An EC2 credential is found by its access key, so that is what its id is made of.</summary>
    private static string IdFor(string type, string blob, string? projectId) =>
        !IsEc2(type) ? Names.NewId()
        : projectId is null ? throw Fail.Expected("project_id", "credential")
        : Ec2Blob.IdOf(Ec2Blob.Parse(blob).Access);

    private static bool IsEc2(string type) => string.Equals(type, "ec2", StringComparison.OrdinalIgnoreCase);

    private async Task ShowAsync(ApiContext context) => await answers.MemberAsync(context, 200, "credential", await EnforcedAsync(context), Write);

    private async Task UpdateAsync(ApiContext context)
    {
        var before = await EnforcedAsync(context);
        var body = await context.ReadMemberAsync("credential", before.Id);
        // The owner may change the secret; what it is good for is an administrator's to change.
        if (body.Has("type") || body.Has("user_id") || body.Has("project_id"))
        {
            context.Enforce("admin_required", PolicyTarget.Empty);
        }
        var after = before;
        await store.WriteAsync(
            async db =>
            {
                var current = await db.Credentials().FirstOrDefaultAsync(c => c.Id == before.Id, context.Aborted) ?? throw Fail.NotFound("credential", before.Id);
                after = current with
                {
                    Type = body.Text("type") ?? current.Type,
                    UserId = body.Text("user_id") ?? current.UserId,
                    ProjectId = body.TextOr("project_id", current.ProjectId),
                };
                if (body.Text("blob") is { } blob)
                {
                    if (IsEc2(current.Type))
                    {
                        Ec2Blob.Parse(keys.Decrypt(current.EncryptedBlob)).RequireSameScope(Ec2Blob.Parse(blob));
                    }
                    after = keys.Sealed(after, blob, time.GetUtcNow());
                }
                if (IsEc2(after.Type) && after.ProjectId is null)
                {
                    throw Fail.Expected("project_id", "credential");
                }
                await db.UpdateAsync(after, token: context.Aborted);
            },
            context.Aborted);
        await answers.MemberAsync(context, 200, "credential", after, Write);
    }

    private async Task DeleteAsync(ApiContext context)
    {
        var credential = await EnforcedAsync(context);
        await store.WriteAsync(db => db.Credentials().Where(c => c.Id == credential.Id).DeleteAsync(context.Aborted), context.Aborted);
        await context.NoContentAsync();
    }
}
