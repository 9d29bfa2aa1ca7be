using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Storage;
using SharpStack.Keystone.Federation;
using SharpStack.Keystone.Storage;

namespace SharpStack.Keystone.Users;

/// <summary>The attribute <c>federated</c> of a user: as whom identity providers know the user, who logs in by any of them.</summary>
internal static class LinkedIdentities
{
    public const string Attribute = "federated";

    public static readonly JsonSchema Schema = JsonSchema.Array(JsonSchema.Object(
        true,
        ("idp_id!", Schemas.Text),
        ("protocols!", JsonSchema.Array(JsonSchema.Object(true, ("protocol_id!", Schemas.Text), ("unique_id!", JsonSchema.String(1, 255))), min: 1))));

    /// <summary>The identities that a body names; null where it names none, which changes nothing (as OpenStack has it).</summary>
    public static IReadOnlyList<FederatedUserRow>? Read(JsonElement body, string userId, string name) =>
        body.TryGetProperty(Attribute, out var providers) && providers.GetArrayLength() > 0
            ? [.. from provider in providers.EnumerateArray()
                  from protocol in provider.GetProperty("protocols").EnumerateArray()
                  select new FederatedUserRow
                  {
                      IdpId = provider.Text("idp_id")!,
                      ProtocolId = protocol.Text("protocol_id")!,
                      UniqueId = protocol.Text("unique_id")!,
                      UserId = userId,
                      DisplayName = name,
                  }]
            : null;

    public static async Task<IReadOnlyList<FederatedUserRow>> OfUserAsync(DataConnection db, string userId, CancellationToken cancellationToken) =>
        await db.FederatedUsers().Where(f => f.UserId == userId).OrderBy(static f => f.IdpId).ThenBy(static f => f.ProtocolId).ThenBy(static f => f.UniqueId)
            .ToListAsync(cancellationToken);

    /// <summary>Replaces the identities of a user.</summary>
    /// <exception cref="CloudException">A provider or a protocol does not exist (400), or somebody has such an identity already (409).</exception>
    public static async Task StoreAsync(DataConnection db, string userId, IReadOnlyList<FederatedUserRow> identities, CancellationToken cancellationToken)
    {
        await db.FederatedUsers().Where(f => f.UserId == userId).DeleteAsync(cancellationToken);
        foreach (var row in identities)
        {
            if (!await db.IdentityProviders().AnyAsync(p => p.Id == row.IdpId, cancellationToken))
            {
                throw CloudException.BadRequest($"Could not find Identity Provider: {row.IdpId}");
            }
            if (!await db.FederationProtocols().AnyAsync(p => p.IdpId == row.IdpId && p.Id == row.ProtocolId, cancellationToken))
            {
                throw CloudException.BadRequest($"Could not find federated protocol {row.ProtocolId} for Identity Provider: {row.IdpId}.");
            }
            if (await db.FederatedUsers().AnyAsync(f => f.IdpId == row.IdpId && f.ProtocolId == row.ProtocolId && f.UniqueId == row.UniqueId, cancellationToken))
            {
                throw Fail.Conflict("federated_user", "Duplicate entry");
            }
            await db.InsertAsync(row, token: cancellationToken);
        }
    }

    /// <summary>
    /// The filters <c>idp_id</c>, <c>protocol_id</c> and <c>unique_id</c> of a list of users; null where the request has none of them.
    /// </summary>
    public static IQueryable<UserRow>? Filter(ApiContext context, DataConnection db, IQueryable<UserRow> query)
    {
        var (idp, protocol, unique) = (context.Query["idp_id"], context.Query["protocol_id"], context.Query["unique_id"]);
        if (idp is null && protocol is null && unique is null)
        {
            return null;
        }
        var found = db.FederatedUsers().Where(f => (idp == null || f.IdpId == idp) && (protocol == null || f.ProtocolId == protocol) && (unique == null || f.UniqueId == unique));
        return query.Where(u => found.Any(f => f.UserId == u.Id));
    }

    public static void Write(Utf8JsonWriter json, IReadOnlyList<FederatedUserRow> identities)
    {
        if (identities.Count == 0)
        {
            return;
        }
        json.WriteStartArray(Attribute);
        foreach (var provider in identities.GroupBy(static i => i.IdpId))
        {
            json.WriteStartObject();
            json.WriteString("idp_id", provider.Key);
            json.WriteStartArray("protocols");
            foreach (var identity in provider)
            {
                json.WriteStartObject();
                json.WriteString("protocol_id", identity.ProtocolId);
                json.WriteString("unique_id", identity.UniqueId);
                json.WriteEndObject();
            }
            json.WriteEndArray();
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }
}
