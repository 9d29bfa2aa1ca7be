using System.Text.Json;
using System.Text.RegularExpressions;
using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Policy;
using SharpStack.Foundation.Storage;
using SharpStack.Keystone.Storage;

namespace SharpStack.Keystone.Federation;

/// <summary><c>/v3/OS-FEDERATION/identity_providers/{idp_id}/protocols</c>: which mapping serves a provider's protocol.</summary>
internal sealed partial class ProtocolRoutes(KeystoneStore store, Answers answers)
{
    private const string Member = "protocol";

    private static readonly JsonSchema Create = JsonSchema.Object(
        false,
        ("mapping_id!", JsonSchema.String(1, 64, MappingIdPattern())),
        ("remote_id_attribute", JsonSchema.String(0, 64)));

    public void Map(ApiRoutes routes)
    {
        const string collection = "/v3/OS-FEDERATION/identity_providers/{idp_id}/protocols";
        const string one = collection + "/{protocol_id}";
        routes.Read(collection, ListAsync, "identity:list_protocols");
        routes.Read(one, ShowAsync, "identity:get_protocol");
        routes.Put(one, CreateAsync).Policy("identity:create_protocol").Body(Schemas.Envelope(Member, Create));
        routes.Patch(one, UpdateAsync).Policy("identity:update_protocol").Body(Schemas.Envelope(Member, Create.Update()));
        routes.Delete(one, DeleteAsync).Policy("identity:delete_protocol");
    }

    /// <exception cref="CloudException">The provider has no such protocol (404).</exception>
    public static async Task<ProtocolRow> GetAsync(DataConnection db, string idp, string id, CancellationToken cancellationToken) =>
        await db.FederationProtocols().FirstOrDefaultAsync(p => p.IdpId == idp && p.Id == id, cancellationToken)
        ?? throw CloudException.NotFound($"Could not find federated protocol {id} for Identity Provider: {idp}.");

    private static void Write(Utf8JsonWriter json, ProtocolRow protocol, string root)
    {
        var provider = $"{root}/OS-FEDERATION/identity_providers/{protocol.IdpId.Escaped()}";
        json.WriteStartObject();
        json.WriteString("id", protocol.Id);
        json.WriteString("mapping_id", protocol.MappingId);
        json.WriteString("remote_id_attribute", protocol.RemoteIdAttribute);
        json.WriteStartObject("links");
        json.WriteString("self", $"{provider}/protocols/{protocol.Id.Escaped()}");
        json.WriteString("identity_provider", provider);
        json.WriteEndObject();
        json.WriteEndObject();
    }

    private async Task ListAsync(ApiContext context)
    {
        context.Enforce(PolicyTarget.Empty);
        var idp = context.Route("idp_id");
        await using var db = store.Read();
        _ = await IdentityProviderRoutes.GetAsync(db, idp, context.Aborted);
        await answers.CollectionAsync(
            context, "protocols", await answers.PageAsync(context, db.FederationProtocols().Where(p => p.IdpId == idp), static p => p.Id), Write);
    }

    private async Task ShowAsync(ApiContext context)
    {
        context.Enforce(PolicyTarget.Empty);
        await using var db = store.Read();
        await answers.MemberAsync(context, 200, Member, await GetAsync(db, context.Route("idp_id"), context.Route("protocol_id"), context.Aborted), Write);
    }

    private async Task CreateAsync(ApiContext context)
    {
        context.Enforce(PolicyTarget.Empty);
        var body = (await context.ReadJsonAsync()).GetProperty(Member);
        var row = new ProtocolRow
        {
            IdpId = context.Route("idp_id"),
            Id = Ids.Checked(context.Route("protocol_id"), Member),
            MappingId = body.Text("mapping_id")!,
            RemoteIdAttribute = body.Text("remote_id_attribute"),
        };
        await store.WriteAsync(
            async db =>
            {
                _ = await IdentityProviderRoutes.GetAsync(db, row.IdpId, context.Aborted);
                await RequireMappingAsync(db, row.MappingId, context.Aborted);
                if (await db.FederationProtocols().AnyAsync(p => p.IdpId == row.IdpId && p.Id == row.Id, context.Aborted))
                {
                    throw Fail.Conflict("federation_protocol", $"Duplicate entry found with ID {row.Id}");
                }
                await db.InsertAsync(row, token: context.Aborted);
            },
            context.Aborted);
        await answers.MemberAsync(context, 201, Member, row, Write);
    }

    private async Task UpdateAsync(ApiContext context)
    {
        context.Enforce(PolicyTarget.Empty);
        var body = (await context.ReadJsonAsync()).GetProperty(Member);
        var after = await store.WriteAsync(
            async db =>
            {
                var current = await GetAsync(db, context.Route("idp_id"), context.Route("protocol_id"), context.Aborted);
                var changed = current with
                {
                    MappingId = body.Text("mapping_id") ?? current.MappingId,
                    RemoteIdAttribute = body.TextOr("remote_id_attribute", current.RemoteIdAttribute),
                };
                await RequireMappingAsync(db, changed.MappingId, context.Aborted);
                await db.UpdateAsync(changed, token: context.Aborted);
                return changed;
            },
            context.Aborted);
        await answers.MemberAsync(context, 200, Member, after, Write);
    }

    private async Task DeleteAsync(ApiContext context)
    {
        context.Enforce(PolicyTarget.Empty);
        await store.WriteAsync(
            async db =>
            {
                var protocol = await GetAsync(db, context.Route("idp_id"), context.Route("protocol_id"), context.Aborted);
                await db.FederatedUsers().Where(u => u.IdpId == protocol.IdpId && u.ProtocolId == protocol.Id).DeleteAsync(context.Aborted);
                await db.DeleteAsync(protocol, token: context.Aborted);
            },
            context.Aborted);
        await context.NoContentAsync();
    }

    private static async Task RequireMappingAsync(DataConnection db, string id, CancellationToken cancellationToken)
    {
        if (!await db.Mappings().AnyAsync(m => m.Id == id, cancellationToken))
        {
            throw CloudException.BadRequest($"Invalid mapping id: {id}");
        }
    }

    [GeneratedRegex("^[a-zA-Z0-9_-]+$")]
    private static partial Regex MappingIdPattern();
}
