using System.Collections.Frozen;
using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation.Http;
using SharpStack.Keystone.Storage;

namespace SharpStack.Keystone.Policies;

/// <summary><c>/v3/policies</c>: texts kept for other services. The policy that Keystone itself enforces is not among them.</summary>
internal sealed class PolicyBlobRoutes(KeystoneStore store, Answers answers) : RowRoutes<PolicyBlobRow>(store, answers, "policies", "policy", "policy")
{
    private static readonly FrozenSet<string> Columns = FrozenSet.ToFrozenSet(["id", "blob", "type", "links"]);

    private static readonly JsonSchema Schema = JsonSchema.Object(true, ("blob!", Schemas.Text), ("type!", JsonSchema.String(0, 255)));

    public void Map(ApiRoutes routes) => MapRows(routes, "/v3/policies", Schema);

    public static void WritePolicy(Utf8JsonWriter json, PolicyBlobRow policy, string root)
    {
        json.WriteStartObject();
        json.WriteString("id", policy.Id);
        json.WriteString("type", policy.Type);
        json.WriteString("blob", policy.Blob);
        JsonText.WriteMembers(json, policy.Extra);
        json.WriteSelfLink($"{root}/policies/{policy.Id.Escaped()}");
        json.WriteEndObject();
    }

    protected override void Write(Utf8JsonWriter json, PolicyBlobRow row, string root) => WritePolicy(json, row, root);

    protected override IQueryable<PolicyBlobRow> Filter(ApiContext context, IQueryable<PolicyBlobRow> query) =>
        Answers.Where(context, query, "type", static p => p.Type);

    protected override PolicyBlobRow Create(ApiContext context, JsonElement body) => new()
    {
        Id = Names.NewId(),
        Type = body.Text("type")!,
        Blob = body.Text("blob")!,
        Extra = JsonText.Merge(JsonText.Empty, body, Columns),
    };

    protected override PolicyBlobRow Change(PolicyBlobRow current, JsonElement body) => current with
    {
        Type = body.Text("type") ?? current.Type,
        Blob = body.Text("blob") ?? current.Blob,
        Extra = JsonText.Merge(current.Extra, body, Columns),
    };

    protected override async Task DeleteRowsAsync(DataConnection db, PolicyBlobRow row, CancellationToken cancellationToken)
    {
        await db.PolicyAssociations().Where(a => a.PolicyId == row.Id).DeleteAsync(cancellationToken);
        await db.PolicyBlobs().Where(p => p.Id == row.Id).DeleteAsync(cancellationToken);
    }
}
