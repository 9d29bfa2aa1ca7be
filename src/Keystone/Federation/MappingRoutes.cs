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

/// <summary><c>/v3/OS-FEDERATION/mappings</c>: the rules that turn what a provider says into a user, groups and projects.</summary>
internal sealed class MappingRoutes(KeystoneStore store, Answers answers)
{
    private const string Member = "mapping";

    // The rules' own language is checked by MappingRules, whose messages name the rule that is wrong.
    private static readonly JsonSchema Body = Schemas.Envelope(Member, JsonSchema.Object(
        true, ("rules!", new JsonSchema { Types = ["array"], MinItems = 1 }), ("schema_version", JsonSchema.OneOfTexts(MappingRules.Versions))));

    public void Map(ApiRoutes routes)
    {
        const string collection = "/v3/OS-FEDERATION/mappings";
        const string one = collection + "/{mapping_id}";
        routes.Read(collection, ListAsync, "identity:list_mappings");
        routes.Read(one, ShowAsync, "identity:get_mapping");
        routes.Put(one, CreateAsync).Policy("identity:create_mapping").Body(Body);
        routes.Patch(one, UpdateAsync).Policy("identity:update_mapping").Body(Body);
        routes.Delete(one, DeleteAsync).Policy("identity:delete_mapping");
    }

    /// <exception cref="CloudException">There is none of that id (404).</exception>
    public static async Task<MappingRow> GetAsync(DataConnection db, string id, CancellationToken cancellationToken) =>
        await db.Mappings().FirstOrDefaultAsync(m => m.Id == id, cancellationToken) ?? throw Fail.NotFound(Member, id);

    private static void Write(Utf8JsonWriter json, MappingRow mapping, string root)
    {
        json.WriteStartObject();
        json.WriteString("id", mapping.Id);
        json.WritePropertyName("rules");
        json.WriteRawValue(mapping.Rules, skipInputValidation: true);
        json.WriteString("schema_version", mapping.SchemaVersion);
        json.WriteSelfLink($"{root}/OS-FEDERATION/mappings/{mapping.Id.Escaped()}");
        json.WriteEndObject();
    }

    private static MappingRow RowOf(string id, JsonElement body, string version)
    {
        var rules = body.GetProperty("rules");
        version = body.Text("schema_version") ?? version;
        _ = MappingRules.Parse(rules, version);
        return new() { Id = id, Rules = rules.GetRawText(), SchemaVersion = version };
    }

    private async Task ListAsync(ApiContext context)
    {
        context.Enforce(PolicyTarget.Empty);
        await using var db = store.Read();
        await answers.CollectionAsync(context, "mappings", await answers.PageAsync(context, db.Mappings(), static m => m.Id), Write);
    }

    private async Task ShowAsync(ApiContext context)
    {
        context.Enforce(PolicyTarget.Empty);
        await using var db = store.Read();
        await answers.MemberAsync(context, 200, Member, await GetAsync(db, context.Route("mapping_id"), context.Aborted), Write);
    }

    private async Task CreateAsync(ApiContext context)
    {
        context.Enforce(PolicyTarget.Empty);
        var row = RowOf(Ids.Checked(context.Route("mapping_id"), Member), (await context.ReadJsonAsync()).GetProperty(Member), MappingRules.Versions[0]);
        await store.WriteAsync(
            async db =>
            {
                if (await db.Mappings().AnyAsync(m => m.Id == row.Id, context.Aborted))
                {
                    throw Fail.Conflict(Member, $"Duplicate entry found with ID {row.Id}");
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
        var row = await store.WriteAsync(
            async db =>
            {
                var before = await GetAsync(db, context.Route("mapping_id"), context.Aborted);
                var after = RowOf(before.Id, body, before.SchemaVersion);
                await db.UpdateAsync(after, token: context.Aborted);
                return after;
            },
            context.Aborted);
        await answers.MemberAsync(context, 200, Member, row, Write);
    }

    private async Task DeleteAsync(ApiContext context)
    {
        context.Enforce(PolicyTarget.Empty);
        var id = context.Route("mapping_id");
        await store.WriteAsync(
            async db =>
            {
                var mapping = await GetAsync(db, id, context.Aborted);
                await db.DeleteAsync(mapping, token: context.Aborted);
            },
            context.Aborted);
        await context.NoContentAsync();
    }
}
