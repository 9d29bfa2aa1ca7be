using System.Globalization;
using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Policy;
using SharpStack.Foundation.Storage;
using SharpStack.Keystone.Storage;

namespace SharpStack.Keystone.Tokens;

/// <summary>The revocation events that are kept, for those who validate tokens by themselves; and what is left of PKI tokens.</summary>
internal sealed class RevocationRoutes(KeystoneStore store, Answers answers)
{
    public void Map(ApiRoutes routes)
    {
        routes.Read("/v3/OS-REVOKE/events", ListAsync, "identity:list_revoke_events");
        routes.Read("/v3/auth/tokens/OS-PKI/revoked", static context => throw CloudException.Forbidden("You are not authorized to perform the requested action."), "identity:revocation_list");
        foreach (var pattern in (string[])["/v3/OS-SIMPLE-CERT/ca", "/v3/OS-SIMPLE-CERT/certificates"])
        {
            routes.Get(pattern, WithoutPkiAsync).Public();
            routes.Head(pattern, WithoutPkiAsync).Public();
        }
    }

    private static Task WithoutPkiAsync(ApiContext context) =>
        throw new CloudException(ErrorKind.Gone, "This API is no longer available due to the removal of support for PKI tokens.");

    private async Task ListAsync(ApiContext context)
    {
        context.Enforce(PolicyTarget.Empty);
        await using var db = store.Read();
        var query = from e in db.Revocations()
                    from p in db.Projects().LeftJoin(p => p.Id == e.ScopeId)
                    orderby e.Id
                    select new { Event = e, IsDomain = p != null && p.IsDomain };
        if (context.Query["since"] is { Length: > 0 } since)
        {
            var after = DateTimeOffset.TryParse(since, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var instant)
                ? Timestamps.ToMicroseconds(instant)
                : throw CloudException.BadRequest($"invalidate date format {since}");
            query = query.Where(e => e.Event.IssuedBefore >= after);
        }
        var events = await query.ToListAsync(context.Aborted);
        await context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WriteStartArray("events");
            foreach (var one in events)
            {
                json.WriteStartObject();
                WriteId("audit_id", one.Event.AuditId);
                WriteId("audit_chain_id", one.Event.AuditChainId);
                WriteId("user_id", one.Event.UserId);
                WriteId(one.IsDomain ? "domain_id" : "project_id", one.Event.ScopeId);
                json.WriteString("issued_before", Timestamps.Micros(one.Event.IssuedBefore));
                json.WriteEndObject();
            }
            json.WriteEndArray();
            json.WriteStartObject("links");
            json.WriteNull("next");
            json.WriteString("self", answers.Root(context) + "/OS-REVOKE/events");
            json.WriteNull("previous");
            json.WriteEndObject();
            json.WriteEndObject();

            void WriteId(string name, string? id)
            {
                if (id is not null)
                {
                    json.WriteString(name, id);
                }
            }
        });
    }
}
