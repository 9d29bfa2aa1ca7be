using System.Text;
using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Policy;
using SharpStack.Neutron.Quotas;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.Api;

/// <summary>The five operations of a resource, with Neutron's conventions: attribute maps, filters, fields, sorting, paging, bulk, policies, revisions.</summary>
internal sealed class ResourceRoutes<TRow, TView>(IResource<TRow, TView> resource, NeutronStore store, NeutronOptions options, QuotaEngine quotas)
    where TRow : ResourceRow
    where TView : class, IResourceView<TRow>
{
    /// <summary>Rows whose parts are loaded at once: a statement with more ids would pass what SQLite takes.</summary>
    private const int LargestLoad = 5000;

    private readonly Dictionary<string, ResourceAttribute<TRow, TView>> attributes = resource.Attributes.ToDictionary(attribute => attribute.Name);
    private readonly (ResourceAttribute<TRow, TView> Attribute, JsonEncodedText Name, string? Rule)[] shown =
        [.. resource.Attributes.Where(attribute => attribute.Write is not null).Select(attribute =>
            (attribute, JsonEncodedText.Encode(attribute.Name), NeutronPolicies.Has($"get_{resource.RuleName}:{attribute.Name}") ? $"get_{resource.RuleName}:{attribute.Name}" : null))];

    private readonly string getRule = $"get_{resource.RuleName}";
    private readonly string createRule = $"create_{resource.RuleName}";
    private readonly string updateRule = $"update_{resource.RuleName}";
    private readonly string deleteRule = $"delete_{resource.RuleName}";

    public void Map(ApiRoutes routes)
    {
        Map(routes, resource.Path);
        if (resource.Path == $"/v2.0/{resource.Plural}" && resource.Plural.Contains('_', StringComparison.Ordinal))
        {
            // OpenStack's own clients write it either way.
            Map(routes, resource.Path.Replace('_', '-'));
        }
    }

    private void Map(ApiRoutes routes, string path)
    {
        if (!resource.IsReachedByIdOnly)
        {
            routes.Get(path, ListAsync).Policy(getRule);
            routes.Post(path, CreateAsync).Policy(Rules(createRule, static attribute => attribute.Post));
        }

        routes.Get(path + "/{id}", ShowAsync).Policy(getRule);
        if (resource.CanUpdate)
        {
            routes.Put(path + "/{id}", UpdateAsync).Policy(Rules(updateRule, static attribute => attribute.Put));
        }

        routes.Delete(path + "/{id}", DeleteAsync).Policy(deleteRule);
    }

    /// <summary>A list of rows that were found otherwise.</summary>
    public async Task WriteListAsync(ApiContext context, DataConnection db, IReadOnlyList<TRow> rows)
    {
        var caller = NeutronApi.CallerOf(context);
        var views = (await resource.LoadAsync(db, rows, context.Aborted)).ConvertAll(view => resource.For(view, caller));
        await context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WriteStartArray(resource.Plural);
            views.ForEach(view => Write(json, context, view, null));
            json.WriteEndArray();
            json.WriteEndObject();
        });
    }

    private string[] Rules(string rule, Func<ResourceAttribute<TRow, TView>, bool> isTaken) => [rule, .. resource.Attributes.Where(attribute => attribute.Enforced && isTaken(attribute)).Select(attribute => $"{rule}:{attribute.Name}")];

    private async Task ListAsync(ApiContext context)
    {
        if (context.Identity.ProjectId is null && !context.Can(getRule))
        {
            // What a project may not see is left out of its list; a token of another scope is told so.
            throw context.Denied(getRule);
        }

        var caller = NeutronApi.CallerOf(context);
        if (((caller.SeesAll ? context.Query["project_id"] ?? context.Query["tenant_id"] : null) ?? caller.ProjectId) is { } project)
        {
            await resource.PrepareAsync(project, context.Aborted);
        }

        var list = new ListQuery<TRow, TView>(context, caller, resource, attributes, options);
        List<TView> views;
        await using (var db = store.Read())
        {
            var rows = await list.RunAsync(db, resource.VisibleTo(await RowsAsync(context, db, caller), db, caller), context.Aborted);
            views = new List<TView>(rows.Count);
            foreach (var chunk in rows.Chunk(LargestLoad))
            {
                views.AddRange((await resource.LoadAsync(db, chunk, context.Aborted)).Select(view => resource.For(view, caller)));
            }
        }

        var visible = views.FindAll(view => context.Can(getRule, resource.TargetOf(view)));
        context.WithoutPolicy();
        var fields = FieldsOf(context);
        await context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WriteStartArray(resource.Plural);
            visible.ForEach(view => Write(json, context, view, fields));
            json.WriteEndArray();
            list.WriteLinks(json, resource.Plural, visible.Count, visible.Count > 0 ? visible[0].Row.Id : null, visible.Count > 0 ? visible[^1].Row.Id : null);
            json.WriteEndObject();
        });
    }

    /// <summary>Each of several may be written like a single one, within its name.</summary>
    private JsonElement Unwrapped(JsonElement item) => item.ValueKind == JsonValueKind.Object && item.TryGetProperty(resource.Singular, out var inner) && inner.ValueKind == JsonValueKind.Object ? inner : item;

    private async Task ShowAsync(ApiContext context)
    {
        await using var db = store.Read();
        var view = await FindAsync(context, db, NeutronApi.CallerOf(context), context.Route("id"));
        await AnswerAsync(context, 200, view);
    }

    private async Task CreateAsync(ApiContext context)
    {
        var caller = NeutronApi.CallerOf(context);
        var root = await context.ReadJsonAsync();
        if (root.ValueKind != JsonValueKind.Object)
        {
            throw NeutronErrors.BadRequest($"Unable to find '{resource.Singular}' in request body");
        }

        var isBulk = root.TryGetProperty(resource.Plural, out var many);
        if (!isBulk && !root.TryGetProperty(resource.Singular, out many))
        {
            throw NeutronErrors.BadRequest($"Unable to find '{resource.Singular}' in request body");
        }

        if (isBulk && (many.ValueKind != JsonValueKind.Array || many.GetArrayLength() == 0))
        {
            throw NeutronErrors.BadRequest("Resources required");
        }

        var bodies = (isBulk ? many.EnumerateArray().Select(Unwrapped) : [many]).Select(item => Checked(context, caller, item)).ToList();
        await using (var db = store.Read())
        {
            if (resource.HidesParentFromThoseWithoutRights)
            {
                await RowsAsync(context, db, caller);
            }

            foreach (var body in bodies)
            {
                Enforce(context, createRule, await resource.TargetOfNewAsync(db, body, context.Aborted), body, isUpdate: false);
            }

            if (!resource.HidesParentFromThoseWithoutRights)
            {
                await RowsAsync(context, db, caller);
            }
        }

        var views = await store.WriteAsync(
            async work =>
            {
                if (resource.HasQuota)
                {
                    await quotas.CheckAsync(work, bodies, resource.Singular);
                }

                var ids = await resource.CreateAsync(work, caller, bodies);
                var written = ids.Select(work.Recall<TView>).OfType<TView>().ToList();
                return written.Count == ids.Count ? written.ConvertAll(view => resource.For(view, caller)) : await LoadAsync(work.Db, caller, ids, context.Aborted);
            },
            context.Aborted);
        if (!isBulk)
        {
            await AnswerAsync(context, 201, views[0]);
            return;
        }

        await context.WriteJsonAsync(201, json =>
        {
            json.WriteStartObject();
            json.WriteStartArray(resource.Plural);
            views.ForEach(view => Write(json, context, view, null));
            json.WriteEndArray();
            json.WriteEndObject();
        });
    }

    private async Task UpdateAsync(ApiContext context)
    {
        var caller = NeutronApi.CallerOf(context);
        var id = context.Route("id");
        var root = await context.ReadJsonAsync();
        if (root.ValueKind != JsonValueKind.Object || !root.TryGetProperty(resource.Singular, out var item))
        {
            throw NeutronErrors.BadRequest($"Unable to find '{resource.Singular}' in request body");
        }

        var body = Checked(context, caller, item, isUpdate: true);
        Func<Task>? undo;
        await using (var db = store.Read())
        {
            var before = await FindAsync(context, db, caller, id);
            if (resource.HidesFromUpdatesOfOthers && before.Row.ProjectId != caller.ProjectId && !context.Can(updateRule, resource.TargetOfUpdate(before, body)))
            {
                throw NeutronErrors.NotFound("HTTPNotFound", "The resource could not be found.");
            }

            Enforce(context, updateRule, resource.TargetOfUpdate(before, body), body, isUpdate: true);
            undo = await resource.BeforeUpdateAsync(db, caller, before, body, context.Aborted);
        }

        TView view;
        try
        {
            view = await WriteUpdateAsync(context, caller, id, body);
        }
        catch when (undo is not null)
        {
            await undo();
            throw;
        }

        await AnswerAsync(context, 200, view);
    }

    private Task<TView> WriteUpdateAsync(ApiContext context, Caller caller, string id, Body body)
    {
        var wanted = NeutronApi.WantedRevision(context);
        return store.WriteAsync(
            async work =>
            {
                var current = await LoadAsync(work.Db, caller, id, context.Aborted);
                NeutronApi.CheckRevision(wanted, current.Row.Revision);
                await resource.UpdateAsync(work, caller, current, body);
                return await LoadAsync(work.Db, caller, id, context.Aborted);
            },
            context.Aborted);
    }

    private async Task DeleteAsync(ApiContext context)
    {
        var caller = NeutronApi.CallerOf(context);
        var id = context.Route("id");
        await using (var db = store.Read())
        {
            context.Enforce(deleteRule, resource.TargetOf(await FindAsync(context, db, caller, id)));
        }

        var wanted = NeutronApi.WantedRevision(context);
        await store.WriteAsync(
            async work =>
            {
                var current = await LoadAsync(work.Db, caller, id, context.Aborted);
                NeutronApi.CheckRevision(wanted, current.Row.Revision);
                await resource.DeleteAsync(work, caller, current);
                await work.Db.GetTable<TagRow>().Where(tag => tag.ResourceId == id).DeleteAsync(context.Aborted);
            },
            context.Aborted);
        await context.NoContentAsync();
    }

    /// <summary>The rows of the parent that the path names.</summary>
    private async Task<IQueryable<TRow>> RowsAsync(ApiContext context, DataConnection db, Caller caller) =>
        ParentOf(context) is { Length: > 0 } parent ? await resource.OfParentAsync(resource.Rows(db), db, caller, parent, context.Aborted) : resource.Rows(db);

    private static string ParentOf(ApiContext context) => context.Http.Request.RouteValues.TryGetValue("parent", out var id) ? (string)id! : "";

    /// <summary>Refuses an action on the resource that the path names where the route's rule does.</summary>
    public async Task<Caller> EnforceAsync(ApiContext context)
    {
        var caller = NeutronApi.CallerOf(context);
        await using var db = store.Read();
        context.Enforce(resource.TargetOf(await FindAsync(context, db, caller, context.Route("id"))));
        return caller;
    }

    /// <summary>A resource that the caller may see; all others do not exist.</summary>
    public async Task<TView> FindAsync(ApiContext context, DataConnection db, Caller caller, string id)
    {
        var rows = await resource.VisibleTo(await RowsAsync(context, db, caller), db, caller).Where(row => row.Id == id).ToListAsync(context.Aborted);
        var loaded = (await resource.LoadAsync(db, rows, context.Aborted)).FirstOrDefault() ?? throw resource.NotFound(id);
        var view = resource.For(loaded, caller);
        return context.Can(getRule, resource.TargetOf(view)) ? view : throw resource.NotFound(id);
    }

    /// <summary>A resource as it is in a transaction, whoever asks for it.</summary>
    public async Task<TView> LoadAsync(DataConnection db, Caller caller, string id, CancellationToken cancellationToken) =>
        (await LoadAsync(db, caller, [id], cancellationToken)).FirstOrDefault() ?? throw resource.NotFound(id);

    private async Task<List<TView>> LoadAsync(DataConnection db, Caller caller, IReadOnlyList<string> ids, CancellationToken cancellationToken)
    {
        var wanted = ids.ToList();
        var rows = await resource.Rows(db).WhereIn(row => row.Id, wanted).ToListAsync(cancellationToken);
        var ordered = rows.Count < 2 ? rows : [.. wanted.Join(rows, id => id, row => row.Id, (_, row) => row)];
        return (await resource.LoadAsync(db, ordered, cancellationToken)).ConvertAll(view => resource.For(view, caller));
    }

    private void Enforce(ApiContext context, string rule, PolicyTarget target, Body body, bool isUpdate)
    {
        context.Enforce(rule, target);
        foreach (var attribute in resource.Attributes)
        {
            if (!attribute.Enforced || !body.Has(attribute.Name) || (!isUpdate && attribute.IsDefault is { } isDefault && isDefault(body.Raw(attribute.Name))))
            {
                continue;
            }

            context.Enforce($"{rule}:{attribute.Name}", target);
            foreach (var part in attribute.EnforcedParts)
            {
                if (body.Items(attribute.Name).Any(item => item.TryGetProperty(part, out _)))
                {
                    context.Enforce($"{rule}:{attribute.Name}:{part}", target);
                }
            }
        }
    }

    private Body Checked(ApiContext context, Caller caller, JsonElement item, bool isUpdate = false)
    {
        if (item.ValueKind != JsonValueKind.Object)
        {
            throw NeutronErrors.BadRequest($"Invalid format: {Checks.Shown(item)}");
        }

        var project = item.TryGetProperty("project_id", out var sent) ? sent : item.TryGetProperty("tenant_id", out sent) ? sent : default;
        if (project.ValueKind != JsonValueKind.Undefined && item.TryGetProperty("tenant_id", out var tenant) && tenant.ToString() != project.ToString())
        {
            throw NeutronErrors.BadRequest("'project_id' and 'tenant_id' do not match");
        }

        if (project.ValueKind == JsonValueKind.String && project.GetString() != caller.ProjectId && !caller.SeesAll)
        {
            throw NeutronErrors.BadRequest("Specifying 'project_id' or 'tenant_id' other than the authenticated project in request requires admin or advsvc privileges");
        }

        var unknown = item.EnumerateObject().Where(member => !attributes.ContainsKey(member.Name)).Select(member => member.Name).ToList();
        if (unknown.Count > 0)
        {
            throw NeutronErrors.BadRequest($"Unrecognized attribute(s) '{string.Join(", ", unknown)}'");
        }

        foreach (var attribute in resource.Attributes)
        {
            if (!item.TryGetProperty(attribute.Name, out var value))
            {
                if (attribute.Required && !isUpdate)
                {
                    throw NeutronErrors.BadRequest($"Failed to parse request. Required attribute '{attribute.Name}' not specified");
                }

                continue;
            }

            if (!(isUpdate ? attribute.Put : attribute.Post))
            {
                throw NeutronErrors.BadRequest(isUpdate ? $"Cannot update read-only attribute {attribute.Name}" : $"Attribute '{attribute.Name}' not allowed in POST");
            }

            if (attribute.Check?.Invoke(value) is { } reason)
            {
                throw NeutronErrors.BadRequest($"Invalid input for {attribute.Name}. Reason: {reason}.");
            }
        }

        var owner = project.ValueKind == JsonValueKind.String ? project.GetString()! : caller.ProjectId;
        if (owner is null && !isUpdate)
        {
            throw NeutronErrors.BadRequest("The token has no project: send project_id, or use a token of a project.");
        }

        return new Body(item, owner ?? "", ParentOf(context));
    }

    private HashSet<string>? FieldsOf(ApiContext context)
    {
        var fields = context.Query.All("fields").Where(name => !string.IsNullOrEmpty(name)).Select(name => name!).ToHashSet(StringComparer.Ordinal);
        return fields.Count == 0 ? null : fields;
    }

    public Task AnswerAsync(ApiContext context, int status, TView view)
    {
        context.WithoutPolicy();
        var fields = FieldsOf(context);
        context.Http.Response.Headers.ETag = default;
        return context.WriteJsonAsync(status, json =>
        {
            json.WriteStartObject();
            json.WritePropertyName(resource.Singular);
            Write(json, context, view, fields);
            json.WriteEndObject();
        });
    }

    /// <summary>The resource without its name around it, as some actions answer.</summary>
    public Task AnswerBareAsync(ApiContext context, TView view)
    {
        context.WithoutPolicy();
        return context.WriteJsonAsync(200, json => Write(json, context, view, null));
    }

    private void Write(Utf8JsonWriter json, ApiContext context, TView view, HashSet<string>? fields)
    {
        json.WriteStartObject();
        foreach (var (attribute, name, rule) in shown)
        {
            if ((fields is null || fields.Contains(attribute.Name)) && attribute.IsShown?.Invoke(view) != false && (rule is null || context.Can(rule, resource.TargetOf(view))))
            {
                json.WritePropertyName(name);
                attribute.Write!(json, view);
            }
        }

        json.WriteEndObject();
    }
}
