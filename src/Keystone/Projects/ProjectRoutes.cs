using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using SharpStack.Foundation;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Policy;
using SharpStack.Keystone.Limits;
using SharpStack.Keystone.Roles;
using SharpStack.Keystone.Storage;

namespace SharpStack.Keystone.Projects;

internal sealed class ProjectRoutes(ProjectOperations projects, ProjectQueries queries, KeystoneStore store, Answers answers, ServiceConfig config)
{
    private const int MaxTags = 80;

    private static readonly JsonSchema Create = JsonSchema.Object(
        true,
        ("name!", Schemas.ProjectName),
        ("domain_id", Schemas.Id.OrNull()),
        ("parent_id", Schemas.Id.OrNull()),
        ("is_domain", JsonSchema.Boolean),
        ("enabled", JsonSchema.Boolean),
        ("description", Schemas.Text.OrNull()),
        ("tags", Schemas.Tags),
        ("options", Schemas.ImmutableOption));

    private readonly string defaultDomainId = config.Get(KeystoneOptions.DefaultDomainId);

    public void Map(ApiRoutes routes)
    {
        routes.Read("/v3/projects", ListAsync, "identity:list_projects");
        routes.Post("/v3/projects", CreateAsync).Policy("identity:create_project").Body(Schemas.Envelope("project", Create));
        routes.Read("/v3/projects/{project_id}", ShowAsync, "identity:get_project");
        routes.Patch("/v3/projects/{project_id}", UpdateAsync).Policy("identity:update_project").Body(Schemas.Envelope("project", Create.Update()));
        routes.Delete("/v3/projects/{project_id}", DeleteAsync).Policy("identity:delete_project");
        routes.Read("/v3/projects/{project_id}/tags", ListTagsAsync, "identity:list_project_tags");
        routes.Put("/v3/projects/{project_id}/tags", ReplaceTagsAsync).Policy("identity:update_project_tags").Body(Schemas.Envelope("tags", Schemas.Tags));
        routes.Delete("/v3/projects/{project_id}/tags", DeleteTagsAsync).Policy("identity:delete_project_tags");
        routes.Read("/v3/projects/{project_id}/tags/{value}", CheckTagAsync, "identity:get_project_tag");
        routes.Put("/v3/projects/{project_id}/tags/{value}", AddTagAsync).Policy("identity:create_project_tag");
        routes.Delete("/v3/projects/{project_id}/tags/{value}", DeleteTagAsync).Policy("identity:delete_project_tag");
    }

    public static void Write(Utf8JsonWriter json, ProjectView project, string root)
    {
        json.WriteStartObject();
        WriteMembers(json, project, root);
        json.WriteEndObject();
    }

    public static void WriteDomain(Utf8JsonWriter json, ProjectView domain, string root)
    {
        json.WriteStartObject();
        json.WriteString("id", domain.Row.Id);
        json.WriteString("name", domain.Row.Name);
        WriteShared(json, domain);
        json.WriteSelfLink($"{root}/domains/{domain.Row.Id.Escaped()}");
        json.WriteEndObject();
    }

    private static void WriteMembers(Utf8JsonWriter json, ProjectView project, string root)
    {
        var row = project.Row;
        json.WriteString("id", row.Id);
        json.WriteString("name", row.Name);
        json.WriteString("domain_id", row.IsDomain ? null : row.DomainId);
        json.WriteString("parent_id", row.ParentId);
        json.WriteBoolean("is_domain", row.IsDomain);
        WriteShared(json, project);
        json.WriteSelfLink($"{root}/projects/{row.Id.Escaped()}");
    }

    private static void WriteShared(Utf8JsonWriter json, ProjectView project)
    {
        json.WriteBoolean("enabled", project.Row.Enabled);
        json.WriteString("description", project.Row.Description);
        json.WriteStartArray("tags");
        foreach (var tag in project.Tags)
        {
            json.WriteStringValue(tag);
        }
        json.WriteEndArray();
        JsonText.WriteOptions(json, project.Row.Options);
        JsonText.WriteMembers(json, project.Row.Extra);
    }

    private async Task<ProjectView> EnforcedAsync(ApiContext context)
    {
        var id = context.Route("project_id");
        var project = await queries.FindAsync(id, context.Aborted);
        context.Enforce(project is null
            ? PolicyTarget.Empty
            : PolicyTarget.Of(("target.project.id", id), ("target.project.domain_id", project.Row.IsDomain ? null : project.Row.DomainId)));
        return project ?? throw Fail.NotFound("project", id);
    }

    private async Task ListAsync(ApiContext context)
    {
        context.Enforce(PolicyTarget.Of(("target.domain_id", context.Identity.DomainId)));
        await using var db = store.Read();
        var wanted = context.Query.Flag("is_domain") ?? false;
        var query = ProjectQueries.Filter(db, context, db.Projects().Where(p => p.IsDomain == wanted));
        if (context.Identity.DomainId is { } own)
        {
            query = query.Where(p => p.DomainId == own);
        }
        var page = await answers.PageAsync(context, query, static p => p.Id);
        var views = await ProjectQueries.WithTagsAsync(db, page.Items, context.Aborted);
        await answers.CollectionAsync(context, "projects", new Page<ProjectView>(views, page.Truncated, page.NextMarker), Write);
    }

    private async Task CreateAsync(ApiContext context)
    {
        context.Enforce();
        var body = await context.ReadMemberAsync("project");
        var project = await projects.CreateProjectAsync(body, body.Text("domain_id") ?? context.Identity.DomainId ?? defaultDomainId, context.Aborted);
        await answers.MemberAsync(context, 201, "project", project, Write);
    }

    private async Task ShowAsync(ApiContext context)
    {
        var project = await EnforcedAsync(context);
        var (parentsList, parentsIds) = (IsAsked(context, "parents_as_list"), IsAsked(context, "parents_as_ids"));
        var (subtreeList, subtreeIds) = (IsAsked(context, "subtree_as_list"), IsAsked(context, "subtree_as_ids"));
        if (parentsList && parentsIds)
        {
            throw CloudException.BadRequest("Cannot use parents_as_list and parents_as_ids query params at the same time.");
        }
        if (subtreeList && subtreeIds)
        {
            throw CloudException.BadRequest("Cannot use subtree_as_list and subtree_as_ids query params at the same time.");
        }
        if (!(parentsList || parentsIds || subtreeList || subtreeIds))
        {
            await answers.MemberAsync(context, 200, "project", project, Write);
            return;
        }
        await using var db = store.Read();
        var parents = parentsList || parentsIds ? await ProjectTree.AncestorIdsAsync(db, project.Row, context.Aborted) : [];
        var subtree = subtreeList || subtreeIds ? await ProjectTree.SubtreeAsync(db, project.Row.Id, context.Aborted) : [];
        // Lists show only what the caller has a role in; ids tell no more than the tree's form.
        var mine = parentsList || subtreeList ? await queries.OfUserAsync(context.Identity.UserId, null, context.Aborted) : [];
        var shown = mine.Where(m => (parentsList && parents.Contains(m.Row.Id)) || (subtreeList && subtree.Exists(p => p.Id == m.Row.Id))).Select(static m => m.Row.Id).ToList();
        var limits = shown.Count > 0 && IsAsked(context, "include_limits") ? await LimitTables.OfProjectsAsync(db, shown, context.Aborted) : null;
        await answers.MemberAsync(context, 200, "project", project, (json, view, root) =>
        {
            json.WriteStartObject();
            WriteMembers(json, view, root);
            if (parentsList)
            {
                WriteList("parents", [.. parents]);
            }
            else if (parentsIds)
            {
                json.WritePropertyName("parents");
                WriteChain(0);
            }
            if (subtreeList)
            {
                WriteList("subtree", [.. subtree.Select(static p => p.Id)]);
            }
            else if (subtreeIds)
            {
                json.WritePropertyName("subtree");
                WriteTree(view.Row.Id);
            }
            json.WriteEndObject();

            void WriteList(string name, HashSet<string> ids)
            {
                json.WriteStartArray(name);
                foreach (var item in mine.Where(m => ids.Contains(m.Row.Id)))
                {
                    json.WriteStartObject();
                    json.WriteStartObject("project");
                    WriteMembers(json, item, root);
                    if (limits is not null)
                    {
                        WriteLimits(limits[item.Row.Id]);
                    }
                    json.WriteEndObject();
                    json.WriteEndObject();
                }
                json.WriteEndArray();
            }

            void WriteLimits(IEnumerable<LimitView> some)
            {
                json.WriteStartArray("limits");
                foreach (var limit in some)
                {
                    json.WriteStartObject();
                    LimitRoutes.WriteMembers(json, limit);
                    json.WriteEndObject();
                }
                json.WriteEndArray();
            }

            void WriteChain(int index)
            {
                if (index == parents.Count)
                {
                    json.WriteNullValue();
                    return;
                }
                json.WriteStartObject();
                json.WritePropertyName(parents[index]);
                WriteChain(index + 1);
                json.WriteEndObject();
            }

            void WriteTree(string id)
            {
                var children = subtree.Where(p => p.ParentId == id).ToList();
                if (children.Count == 0)
                {
                    json.WriteNullValue();
                    return;
                }
                json.WriteStartObject();
                foreach (var child in children)
                {
                    json.WritePropertyName(child.Id);
                    WriteTree(child.Id);
                }
                json.WriteEndObject();
            }
        });
    }

    private async Task UpdateAsync(ApiContext context)
    {
        var project = await EnforcedAsync(context);
        var body = await context.ReadMemberAsync("project", project.Row.Id);
        await answers.MemberAsync(context, 200, "project", await projects.UpdateAsync(project.Row.Id, body, "project", context.Aborted), Write);
    }

    private async Task DeleteAsync(ApiContext context)
    {
        await projects.DeleteProjectAsync((await EnforcedAsync(context)).Row, context.Aborted);
        await context.NoContentAsync();
    }

    private async Task ListTagsAsync(ApiContext context) => await WriteTagsAsync(context, (await EnforcedAsync(context)).Tags);

    private async Task ReplaceTagsAsync(ApiContext context)
    {
        var project = await EnforcedAsync(context);
        var tags = (await context.ReadJsonAsync()).GetProperty("tags").EnumerateArray().Select(static t => t.GetString()!).ToList();
        await projects.SetTagsAsync(project.Row, tags, context.Aborted);
        await WriteTagsAsync(context, tags);
    }

    private async Task DeleteTagsAsync(ApiContext context)
    {
        await projects.SetTagsAsync((await EnforcedAsync(context)).Row, [], context.Aborted);
        await context.NoContentAsync();
    }

    private async Task CheckTagAsync(ApiContext context)
    {
        var project = await EnforcedAsync(context);
        Require(project, context.Route("value"));
        await context.NoContentAsync();
    }

    private async Task AddTagAsync(ApiContext context)
    {
        var project = await EnforcedAsync(context);
        var tag = context.Route("value");
        using var text = JsonDocument.Parse(JsonSerializer.SerializeToUtf8Bytes(tag));
        if (Schemas.Tag.Validate(text.RootElement) is { } error)
        {
            throw CloudException.BadRequest(error.Message);
        }
        if (project.Tags.Count >= MaxTags)
        {
            throw CloudException.BadRequest($"A project has at most {MaxTags} tags: remove one first.");
        }
        if (!project.Tags.Contains(tag))
        {
            await projects.SetTagsAsync(project.Row, [.. project.Tags, tag], context.Aborted);
        }
        context.Http.Response.Headers.Location = $"{answers.Root(context)}/projects/{project.Row.Id}/tags/{tag.Escaped()}";
        await context.NoContentAsync(201);
    }

    private async Task DeleteTagAsync(ApiContext context)
    {
        var project = await EnforcedAsync(context);
        var tag = context.Route("value");
        Require(project, tag);
        await projects.SetTagsAsync(project.Row, [.. project.Tags.Where(t => t != tag)], context.Aborted);
        await context.NoContentAsync();
    }

    private static void Require(ProjectView project, string tag)
    {
        if (!project.Tags.Contains(tag))
        {
            throw Fail.NotFound("project tag", tag);
        }
    }

    private Task WriteTagsAsync(ApiContext context, IReadOnlyList<string> tags) => context.WriteJsonAsync(200, json =>
    {
        json.WriteStartObject();
        json.WriteStartArray("tags");
        foreach (var tag in tags)
        {
            json.WriteStringValue(tag);
        }
        json.WriteEndArray();
        json.WriteSelfLink($"{answers.Root(context)}/projects/{context.Route("project_id").Escaped()}/tags");
        json.WriteEndObject();
    });

    /// <summary>Keystone's reading of such a flag: present and not 0.</summary>
    private static bool IsAsked(ApiContext context, string name) => context.Query.Has(name) && context.Query[name] != "0";
}
