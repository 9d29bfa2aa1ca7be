using System.Text.Json;
using System.Text.RegularExpressions;
using LinqToDB;
using LinqToDB.Async;
using SharpStack.Foundation;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Policy;
using SharpStack.Foundation.Storage;
using SharpStack.Nova.Quotas;
using SharpStack.Nova.Storage;

namespace SharpStack.Nova.Keypairs;

/// <summary><c>/os-keypairs</c>: they belong to users, not to projects.</summary>
internal sealed partial class KeypairRoutes(NovaStore store, QuotaStore quotas, TimeProvider time)
{
    private static readonly JsonSchema KeyType = JsonSchema.OneOfTexts("ssh", "x509");

    public void Map(NovaRoutes routes)
    {
        var name = JsonSchema.String(1, 255, PlainName());
        var newName = JsonSchema.String(1, 255, NewName());
        var key = JsonSchema.String();
        routes.Get("/os-keypairs", ListAsync).Policy("os_compute_api:os-keypairs:index");
        routes.Post("/os-keypairs", CreateAsync).Policy("os_compute_api:os-keypairs:create")
            .Body(JsonSchema.Envelope("keypair", JsonSchema.Object(false, ("name!", name), ("public_key", key))), null, "2.1")
            .Body(JsonSchema.Envelope("keypair", JsonSchema.Object(false, ("name!", name), ("type", KeyType), ("public_key", key))), "2.2", "2.9")
            .Body(JsonSchema.Envelope("keypair", JsonSchema.Object(false, ("name!", name), ("type", KeyType), ("public_key", key), ("user_id", key))), "2.10", "2.91")
            .Body(JsonSchema.Envelope("keypair", JsonSchema.Object(false, ("name!", newName), ("type", KeyType), ("public_key!", key), ("user_id", key))), "2.92");
        routes.Get("/os-keypairs/{name}", ShowAsync).Policy("os_compute_api:os-keypairs:show");
        routes.Delete("/os-keypairs/{name}", DeleteAsync).Policy("os_compute_api:os-keypairs:delete");
    }

    public static Task<KeyPairRow?> FindAsync(NovaSession session, string userId, string name, CancellationToken cancellationToken) =>
        session.KeyPairs.Where(key => key.UserId == userId && key.Name == name).FirstOrDefaultAsync(cancellationToken);

    private static string UserOf(ApiContext context)
    {
        var user = context.Since(10) && context.Query["user_id"] is { Length: > 0 } asked ? asked : context.Identity.UserId;
        context.Enforce(PolicyTarget.Of(("user_id", user)));
        return user;
    }

    private async Task ListAsync(ApiContext context)
    {
        context.AllowQuery("user_id", "limit", "marker");
        var user = UserOf(context);
        await using var session = store.Read();
        var rows = await session.KeyPairs.Where(key => key.UserId == user).OrderBy(key => key.Name).ToListAsync(context.Aborted);
        var paged = context.Since(35);
        var limit = paged ? context.PageLimit() : int.MaxValue;
        if (paged && context.Query.Marker is { } marker)
        {
            var index = rows.FindIndex(key => key.Name == marker);
            rows = index < 0 ? throw CloudException.BadRequest($"Marker {marker} could not be found.") : rows[(index + 1)..];
        }

        if (rows.Count > limit)
        {
            rows = rows[..limit];
        }

        await context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WriteStartArray("keypairs");
            foreach (var row in rows)
            {
                json.WriteStartObject();
                json.WriteStartObject("keypair");
                json.WriteString("name", row.Name);
                json.WriteString("public_key", row.PublicKey);
                json.WriteString("fingerprint", row.Fingerprint);
                WriteType(json, context, row);
                json.WriteEndObject();
                json.WriteEndObject();
            }

            json.WriteEndArray();
            if (paged && rows.Count > 0)
            {
                context.WriteNextLink(json, "keypairs_links", "os-keypairs", rows.Count, limit, rows[^1].Name);
            }

            json.WriteEndObject();
        });
    }

    private async Task CreateAsync(ApiContext context)
    {
        var body = (await context.ReadJsonAsync()).GetProperty("keypair");
        var user = body.Text("user_id") is { Length: > 0 } asked ? asked : context.Identity.UserId;
        context.Enforce(PolicyTarget.Of(("user_id", user)));
        var type = body.Text("type") ?? "ssh";
        string? privateKey = null;
        string publicKey;
        string fingerprint;
        if (body.Text("public_key") is { } imported)
        {
            publicKey = imported.Trim();
            fingerprint = KeyMaterial.Fingerprint(publicKey, type);
        }
        else
        {
            (publicKey, privateKey, fingerprint) = type == "x509" ? KeyMaterial.GenerateX509(context.Identity.UserName, time.GetUtcNow()) : KeyMaterial.GenerateSsh();
        }

        KeyPairRow row;
        try
        {
            row = await store.WriteAsync(
                async session =>
                {
                    var limits = await quotas.LimitsAsync(session, context.Identity.ProjectId ?? "", null, context.Aborted);
                    if (limits.KeyPairs >= 0 && await session.KeyPairs.CountAsync(key => key.UserId == user, context.Aborted) >= limits.KeyPairs)
                    {
                        throw CloudException.Forbidden("Quota exceeded, too many key pairs.");
                    }

                    var added = new KeyPairRow
                    {
                        UserId = user,
                        Name = body.GetProperty("name").GetString()!.Trim(),
                        Type = type,
                        Fingerprint = fingerprint,
                        PublicKey = publicKey,
                        CreatedAt = session.Now,
                    };
                    return added with { Id = await session.Db.InsertWithInt64IdentityAsync(added, token: context.Aborted) };
                },
                context.Aborted);
        }
        catch (UniqueConstraintException)
        {
            throw CloudException.Conflict($"Key pair '{body.GetProperty("name").GetString()}' already exists.");
        }

        await context.WriteJsonAsync(context.Since(2) ? 201 : 200, json =>
        {
            json.WriteStartObject();
            json.WriteStartObject("keypair");
            json.WriteString("name", row.Name);
            json.WriteString("public_key", row.PublicKey);
            json.WriteString("fingerprint", row.Fingerprint);
            json.WriteString("user_id", row.UserId);
            WriteType(json, context, row);
            if (privateKey is not null)
            {
                json.WriteString("private_key", privateKey);
            }

            json.WriteEndObject();
            json.WriteEndObject();
        });
    }

    private async Task ShowAsync(ApiContext context)
    {
        context.AllowQuery("user_id");
        var user = UserOf(context);
        await using var session = store.Read();
        var row = await FindAsync(session, user, context.Route("name"), context.Aborted) ?? throw NotFound(context, user);
        await context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WriteStartObject("keypair");
            json.WriteString("name", row.Name);
            json.WriteString("public_key", row.PublicKey);
            json.WriteString("fingerprint", row.Fingerprint);
            json.WriteString("user_id", row.UserId);
            WriteType(json, context, row);
            json.WriteString("created_at", Timestamps.MicrosNoZone(row.CreatedAt));
            json.WriteBoolean("deleted", false);
            json.WriteNull("deleted_at");
            json.WriteNumber("id", row.Id);
            json.WriteNull("updated_at");
            json.WriteEndObject();
            json.WriteEndObject();
        });
    }

    private async Task DeleteAsync(ApiContext context)
    {
        context.AllowQuery("user_id");
        var user = UserOf(context);
        var name = context.Route("name");
        if (await store.WriteAsync(session => session.KeyPairs.Where(key => key.UserId == user && key.Name == name).DeleteAsync(context.Aborted), context.Aborted) == 0)
        {
            throw NotFound(context, user);
        }

        await context.NoContentAsync(context.Since(2) ? 204 : 202);
    }

    private static void WriteType(Utf8JsonWriter json, ApiContext context, KeyPairRow row)
    {
        if (context.Since(2))
        {
            json.WriteString("type", row.Type);
        }
    }

    private static CloudException NotFound(ApiContext context, string user) =>
        CloudException.NotFound($"Keypair {context.Route("name")} not found for user {user}");

    [GeneratedRegex("^(?! )[a-zA-Z0-9 _-]+(?<! )$")]
    private static partial Regex PlainName();

    [GeneratedRegex("^(?! )[a-zA-Z0-9 @._-]+(?<! )$")]
    private static partial Regex NewName();
}
