using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.Api;

/// <summary><c>…/{id}/tags</c> of one kind of resource.</summary>
internal sealed class TagRoutes<TRow, TView>(IResource<TRow, TView> resource, NeutronStore store)
    where TRow : ResourceRow
    where TView : class, IResourceView<TRow>
{
    private const int LongestTag = 255;

    public void Map(ApiRoutes routes)
    {
        // Those of /v2.0/qos/policies are at /v2.0/policies.
        var path = $"/v2.0/{resource.Path.Split('/')[^1]}/{{id}}/tags";
        routes.Get(path, ListAsync).Policy($"get_{resource.Plural}_tags");
        routes.Put(path, ReplaceAsync).Policy($"update_{resource.Plural}_tags");
        routes.Delete(path, context => ChangeAsync(context, 204, static (_, _) => [])).Policy($"delete_{resource.Plural}_tags");
        routes.Get(path + "/{tag}", ShowAsync).Policy($"get_{resource.Plural}_tags");
        routes.Put(path + "/{tag}", context => ChangeAsync(context, 201, static (context, tags) => [.. tags, Checked(context.Route("tag"))])).Policy($"update_{resource.Plural}_tags");
        routes.Delete(path + "/{tag}", context => ChangeAsync(context, 204, static (context, tags) =>
            tags.Remove(context.Route("tag")) ? tags : throw TagNotFound(context))).Policy($"delete_{resource.Plural}_tags");
    }

    private async Task ListAsync(ApiContext context)
    {
        await using var db = store.Read();
        var row = await FindAsync(context, db);
        await WriteAsync(context, await TagsOfAsync(db, row.Id, context.Aborted));
    }

    private async Task ShowAsync(ApiContext context)
    {
        await using var db = store.Read();
        var row = await FindAsync(context, db);
        if (!(await TagsOfAsync(db, row.Id, context.Aborted)).Contains(context.Route("tag")))
        {
            throw TagNotFound(context);
        }

        await context.NoContentAsync();
    }

    private async Task ReplaceAsync(ApiContext context)
    {
        var root = await context.ReadJsonAsync();
        if (root.ValueKind != JsonValueKind.Object || !root.TryGetProperty("tags", out var list) || Checks.Texts(list) is not null)
        {
            throw NeutronErrors.InvalidInput("Invalid tags body");
        }

        var tags = list.EnumerateArray().Select(item => Checked(item.GetString()!)).ToList();
        await ChangeAsync(context, 200, (_, _) => tags);
    }

    private async Task ChangeAsync(ApiContext context, int status, Func<ApiContext, List<string>, List<string>> change)
    {
        await using (var db = store.Read())
        {
            await FindAsync(context, db);
        }

        var id = context.Route("id");
        var tags = await store.WriteAsync(
            async work =>
            {
                var row = await resource.Rows(work.Db).FirstOrDefaultAsync(row => row.Id == id, work.Cancellation) ?? throw resource.NotFound(id);
                var after = change(context, await TagsOfAsync(work.Db, id, work.Cancellation)).Distinct(StringComparer.Ordinal).ToList();
                await work.Db.GetTable<TagRow>().Where(tag => tag.ResourceId == id).DeleteAsync(work.Cancellation);
                foreach (var tag in after)
                {
                    await work.Db.InsertAsync(new TagRow { ResourceId = id, Tag = tag }, token: work.Cancellation);
                }

                work.Bump(row);
                await work.Db.UpdateAsync(row, token: work.Cancellation);
                return after;
            },
            context.Aborted);
        await (status == 200 ? WriteAsync(context, tags) : context.NoContentAsync(status));
    }

    private async Task<TRow> FindAsync(ApiContext context, DataConnection db)
    {
        var id = context.Route("id");
        var caller = NeutronApi.CallerOf(context);
        var row = await resource.VisibleTo(resource.Rows(db), db, caller).FirstOrDefaultAsync(row => row.Id == id, context.Aborted) ?? throw resource.NotFound(id);
        context.Enforce(resource.TargetOf(resource.For((await resource.LoadAsync(db, [row], context.Aborted))[0], caller)));
        return row;
    }

    private static Task<List<string>> TagsOfAsync(DataConnection db, string id, CancellationToken cancellationToken) =>
        db.GetTable<TagRow>().Where(tag => tag.ResourceId == id).OrderBy(tag => tag.Tag).Select(tag => tag.Tag).ToListAsync(cancellationToken);

    private static string Checked(string tag) =>
        tag.Length is > 0 and <= LongestTag ? tag : throw NeutronErrors.InvalidInput($"'{tag}' exceeds maximum length of {LongestTag}");

    private static CloudException TagNotFound(ApiContext context) => NeutronErrors.NotFound("TagNotFound", $"Tag {context.Route("tag")} could not be found.");

    private static Task WriteAsync(ApiContext context, List<string> tags) => context.WriteJsonAsync(200, json =>
    {
        json.WriteStartObject();
        json.WritePropertyName("tags");
        json.WriteTexts(tags);
        json.WriteEndObject();
    });
}
