using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Policy;
using SharpStack.Foundation.Storage;
using SharpStack.Keystone.Storage;

namespace SharpStack.Keystone.Federation;

/// <summary>A provider with the names by which it calls itself.</summary>
internal sealed record IdentityProvider(IdentityProviderRow Row, IReadOnlyList<string> RemoteIds);

/// <summary><c>/v3/OS-FEDERATION/identity_providers</c> (Identity API v3, OS-FEDERATION).</summary>
internal sealed class IdentityProviderRoutes(KeystoneStore store, IdentityCache cache, Answers answers)
{
    private const string Member = "identity_provider";

    private static readonly JsonSchema Update = JsonSchema.Object(
        false,
        ("enabled", JsonSchema.Boolean),
        ("description", Schemas.Text.OrNull()),
        ("authorization_ttl", JsonSchema.Integer(0).OrNull()),
        ("remote_ids", JsonSchema.Array(JsonSchema.String(0, 255), unique: true).OrNull()));

    private static readonly JsonSchema Create = Update with
    {
        Properties = new Dictionary<string, JsonSchema>(Update.Properties) { ["domain_id"] = Schemas.Id.OrNull() },
    };

    public void Map(ApiRoutes routes)
    {
        const string collection = "/v3/OS-FEDERATION/identity_providers";
        const string one = collection + "/{idp_id}";
        routes.Read(collection, ListAsync, "identity:list_identity_providers");
        routes.Read(one, ShowAsync, "identity:get_identity_provider");
        routes.Put(one, CreateAsync).Policy("identity:create_identity_provider").Body(Schemas.Envelope(Member, Create));
        routes.Patch(one, UpdateAsync).Policy("identity:update_identity_provider").Body(Schemas.Envelope(Member, Update.Update()));
        routes.Delete(one, DeleteAsync).Policy("identity:delete_identity_provider");
    }

    /// <exception cref="CloudException">There is none of that id (404).</exception>
    public static async Task<IdentityProvider> GetAsync(DataConnection db, string id, CancellationToken cancellationToken)
    {
        var row = await db.IdentityProviders().FirstOrDefaultAsync(p => p.Id == id, cancellationToken) ?? throw Fail.NotFound("Identity Provider", id);
        return new(row, await db.RemoteIds().Where(r => r.IdpId == id).OrderBy(static r => r.RemoteId).Select(static r => r.RemoteId).ToListAsync(cancellationToken));
    }

    private static void Write(Utf8JsonWriter json, IdentityProvider provider, string root)
    {
        var self = $"{root}/OS-FEDERATION/identity_providers/{provider.Row.Id.Escaped()}";
        json.WriteStartObject();
        json.WriteString("id", provider.Row.Id);
        json.WriteString("domain_id", provider.Row.DomainId);
        json.WriteBoolean("enabled", provider.Row.Enabled);
        json.WriteString("description", provider.Row.Description);
        if (provider.Row.AuthorizationTtl is { } minutes)
        {
            json.WriteNumber("authorization_ttl", minutes);
        }
        else
        {
            json.WriteNull("authorization_ttl");
        }
        json.WriteStartArray("remote_ids");
        foreach (var id in provider.RemoteIds)
        {
            json.WriteStringValue(id);
        }
        json.WriteEndArray();
        json.WriteStartObject("links");
        json.WriteString("self", self);
        json.WriteString("protocols", self + "/protocols");
        json.WriteEndObject();
        json.WriteEndObject();
    }

    private async Task ListAsync(ApiContext context)
    {
        context.Enforce(PolicyTarget.Empty);
        await using var db = store.Read();
        IQueryable<IdentityProviderRow> query = db.IdentityProviders();
        if (context.Query["id"] is { } id)
        {
            query = query.Where(p => p.Id == id);
        }
        if (context.Query.Flag("enabled") is { } enabled)
        {
            query = query.Where(p => p.Enabled == enabled);
        }
        var page = await answers.PageAsync(context, query, static p => p.Id);
        var ids = page.Items.Select(static p => p.Id).ToList();
        var remote = (await db.RemoteIds().Where(r => ids.Contains(r.IdpId)).OrderBy(static r => r.RemoteId).ToListAsync(context.Aborted))
            .ToLookup(static r => r.IdpId, static r => r.RemoteId);
        await answers.CollectionAsync(
            context,
            "identity_providers",
            new Page<IdentityProvider>([.. page.Items.Select(p => new IdentityProvider(p, [.. remote[p.Id]]))], page.Truncated, page.NextMarker),
            Write);
    }

    private async Task ShowAsync(ApiContext context)
    {
        context.Enforce(PolicyTarget.Empty);
        await using var db = store.Read();
        await answers.MemberAsync(context, 200, Member, await GetAsync(db, context.Route("idp_id"), context.Aborted), Write);
    }

    private async Task CreateAsync(ApiContext context)
    {
        context.Enforce(PolicyTarget.Empty);
        var id = Ids.Checked(context.Route("idp_id"), "identity provider");
        var body = (await context.ReadJsonAsync()).GetProperty(Member);
        if (body.Text("domain_id") is { } given && await cache.Current.DomainAsync(given, context.Aborted) is null)
        {
            throw Fail.NotFound("domain", given);
        }
        // A domain of its own where none is given: the provider's users must live somewhere.
        var own = body.Text("domain_id") is null ? DomainOf(id) : null;
        var row = new IdentityProviderRow
        {
            Id = id,
            DomainId = own?.Id ?? body.Text("domain_id")!,
            Enabled = body.Flag("enabled") ?? false,
            Description = body.Text("description"),
            AuthorizationTtl = Minutes(body, null),
        };
        await store.WriteAsync(
            async db =>
            {
                await RefuseTakenAsync(db, id, TextsOf(body), context.Aborted);
                if (own is not null)
                {
                    await db.InsertAsync(own, token: context.Aborted);
                }
                await db.InsertAsync(row, token: context.Aborted);
                await InsertRemoteIdsAsync(db, id, TextsOf(body), context.Aborted);
            },
            context.Aborted);
        await answers.MemberAsync(context, 201, Member, new IdentityProvider(row, [.. TextsOf(body).Order(StringComparer.Ordinal)]), Write);
    }

    private async Task UpdateAsync(ApiContext context)
    {
        context.Enforce(PolicyTarget.Empty);
        var id = context.Route("idp_id");
        var body = (await context.ReadJsonAsync()).GetProperty(Member);
        var after = await store.WriteAsync(
            async db =>
            {
                var current = (await GetAsync(db, id, context.Aborted)).Row;
                await db.UpdateAsync(
                    current with
                    {
                        Enabled = body.Flag("enabled") ?? current.Enabled,
                        Description = body.TextOr("description", current.Description),
                        AuthorizationTtl = Minutes(body, current.AuthorizationTtl),
                    },
                    token: context.Aborted);
                if (body.Has("remote_ids"))
                {
                    await db.RemoteIds().Where(r => r.IdpId == id).DeleteAsync(context.Aborted);
                    await RefuseTakenAsync(db, null, TextsOf(body), context.Aborted);
                    await InsertRemoteIdsAsync(db, id, TextsOf(body), context.Aborted);
                }
                return await GetAsync(db, id, context.Aborted);
            },
            context.Aborted);
        await answers.MemberAsync(context, 200, Member, after, Write);
    }

    private async Task DeleteAsync(ApiContext context)
    {
        context.Enforce(PolicyTarget.Empty);
        var id = context.Route("idp_id");
        await store.WriteAsync(
            async db =>
            {
                _ = await GetAsync(db, id, context.Aborted);
                await RemoveAsync(db, [id], context.Aborted);
            },
            context.Aborted);
        await context.NoContentAsync();
    }

    /// <summary>Removes providers with what hangs on them. The users stay, without a way in: what they own has an owner.</summary>
    public static async Task RemoveAsync(DataConnection db, IReadOnlyList<string> ids, CancellationToken cancellationToken)
    {
        await db.RemoteIds().Where(r => ids.Contains(r.IdpId)).DeleteAsync(cancellationToken);
        await db.FederationProtocols().Where(p => ids.Contains(p.IdpId)).DeleteAsync(cancellationToken);
        await db.FederatedUsers().Where(u => ids.Contains(u.IdpId)).DeleteAsync(cancellationToken);
        await db.ExpiringMemberships().Where(m => ids.Contains(m.IdpId)).DeleteAsync(cancellationToken);
        await db.IdentityProviders().Where(p => ids.Contains(p.Id)).DeleteAsync(cancellationToken);
    }

    private static async Task RefuseTakenAsync(DataConnection db, string? id, IReadOnlyList<string> remoteIds, CancellationToken cancellationToken)
    {
        if (id is not null && await db.IdentityProviders().AnyAsync(p => p.Id == id, cancellationToken))
        {
            throw Fail.Conflict("identity_provider", $"Duplicate entry found with ID {id}");
        }
        if (await db.RemoteIds().Where(r => remoteIds.Contains(r.RemoteId)).Select(static r => r.RemoteId).FirstOrDefaultAsync(cancellationToken) is { } taken)
        {
            throw Fail.Conflict("identity_provider", $"Duplicate remote ID: {taken}");
        }
    }

    private static async Task InsertRemoteIdsAsync(DataConnection db, string id, IReadOnlyList<string> remoteIds, CancellationToken cancellationToken)
    {
        foreach (var remote in remoteIds)
        {
            await db.InsertAsync(new RemoteIdRow { IdpId = id, RemoteId = remote }, token: cancellationToken);
        }
    }

    private static List<string> TextsOf(JsonElement body) =>
        body.TryGetProperty("remote_ids", out var ids) && ids.ValueKind == JsonValueKind.Array ? [.. ids.EnumerateArray().Select(static i => i.GetString()!)] : [];

    private static int? Minutes(JsonElement body, int? current) => !body.TryGetProperty("authorization_ttl", out var minutes) ? current
        : minutes.ValueKind == JsonValueKind.Null ? null
        : minutes.TryGetInt32(out var value) ? value
        : throw CloudException.BadRequest("Invalid input for field 'authorization_ttl': it is too large.");

    private static ProjectRow DomainOf(string provider)
    {
        var id = Names.NewId();
        return new()
        {
            Id = id,
            Name = id,
            NameKey = id,
            DomainId = "",
            IsDomain = true,
            Enabled = true,
            Description = $"Auto generated federated domain for Identity Provider: {provider}",
        };
    }
}

/// <summary>Ids that a client chooses in the path.</summary>
internal static class Ids
{
    private const int Longest = 64;

    /// <exception cref="CloudException">It is longer than an id may be (400).</exception>
    public static string Checked(string id, string what) =>
        id.Length is > 0 and <= Longest ? id : throw CloudException.BadRequest($"The id of the {what} must have 1 to {Longest} characters.");
}
