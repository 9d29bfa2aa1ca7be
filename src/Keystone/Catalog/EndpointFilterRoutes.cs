using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Policy;
using SharpStack.Foundation.Storage;
using SharpStack.Keystone.Projects;
using SharpStack.Keystone.Storage;

namespace SharpStack.Keystone.Catalog;

/// <summary><c>/v3/OS-EP-FILTER</c>: which endpoints the catalog of a project has, one by one or by endpoint groups.</summary>
internal sealed class EndpointFilterRoutes(KeystoneStore store, CatalogReader reader, Answers answers)
{
    public void Map(ApiRoutes routes)
    {
        const string prefix = "/v3/OS-EP-FILTER";
        const string one = prefix + "/projects/{project_id}/endpoints/{endpoint_id}";
        routes.Read(prefix + "/endpoints/{endpoint_id}/projects", ListProjectsOfEndpointAsync, "identity:list_projects_for_endpoint");
        routes.Read(prefix + "/projects/{project_id}/endpoints", ListEndpointsAsync, "identity:list_endpoints_for_project");
        routes.Read(one, CheckAsync, "identity:check_endpoint_in_project");
        routes.Put(one, AddAsync).Policy("identity:add_endpoint_to_project");
        routes.Delete(one, RemoveAsync).Policy("identity:remove_endpoint_from_project");

        const string group = prefix + "/endpoint_groups/{endpoint_group_id}";
        const string grouped = group + "/projects/{project_id}";
        routes.Read(prefix + "/projects/{project_id}/endpoint_groups", ListGroupsAsync, "identity:list_endpoint_groups_for_project");
        routes.Read(group + "/projects", ListProjectsOfGroupAsync, "identity:list_projects_associated_with_endpoint_group");
        routes.Read(group + "/endpoints", ListEndpointsOfGroupAsync, "identity:list_endpoints_associated_with_endpoint_group");
        routes.Read(grouped, ShowGroupAsync, "identity:get_endpoint_group_in_project");
        routes.Put(grouped, AddGroupAsync).Policy("identity:add_endpoint_group_to_project");
        routes.Delete(grouped, RemoveGroupAsync).Policy("identity:remove_endpoint_group_from_project");
    }

    /// <summary>Refuses (404) a path to what does not exist.</summary>
    private static async Task RequireAsync(DataConnection db, ApiContext context)
    {
        foreach (var (name, value) in context.Http.Request.RouteValues)
        {
            var id = (string)value!;
            var (noun, exists) = name switch
            {
                "project_id" => ("project", await db.Projects().AnyAsync(p => p.Id == id, context.Aborted)),
                "endpoint_id" => ("endpoint", await db.Endpoints().AnyAsync(e => e.Id == id, context.Aborted)),
                _ => ("Endpoint Group", await db.EndpointGroups().AnyAsync(g => g.Id == id, context.Aborted)),
            };
            if (!exists)
            {
                throw Fail.NotFound(noun, id);
            }
        }
    }

    private static CloudException NotInProject(string endpointId, string projectId) =>
        CloudException.NotFound($"Endpoint {endpointId} not found in project {projectId}");

    private async Task<DataConnection> OpenAsync(ApiContext context)
    {
        context.Enforce(PolicyTarget.Empty);
        var db = store.Read();
        try
        {
            await RequireAsync(db, context);
            return db;
        }
        catch
        {
            await db.DisposeAsync();
            throw;
        }
    }

    private async Task WriteProjectsAsync(ApiContext context, DataConnection db, IQueryable<ProjectRow> query)
    {
        var rows = await query.OrderBy(static p => p.Id).ToListAsync(context.Aborted);
        await answers.CollectionAsync(context, "projects", await ProjectQueries.WithTagsAsync(db, rows, context.Aborted), ProjectRoutes.Write);
    }

    private async Task ListProjectsOfEndpointAsync(ApiContext context)
    {
        await using var db = await OpenAsync(context);
        var id = context.Route("endpoint_id");
        await WriteProjectsAsync(context, db, db.Projects().Where(p => db.ProjectEndpoints().Any(e => e.EndpointId == id && e.ProjectId == p.Id)));
    }

    private async Task ListProjectsOfGroupAsync(ApiContext context)
    {
        await using var db = await OpenAsync(context);
        var id = context.Route("endpoint_group_id");
        await WriteProjectsAsync(context, db, db.Projects().Where(p => db.ProjectEndpointGroups().Any(g => g.EndpointGroupId == id && g.ProjectId == p.Id)));
    }

    private async Task ListEndpointsAsync(ApiContext context)
    {
        await using var db = await OpenAsync(context);
        var (endpoints, filters) = (await db.Endpoints().OrderBy(static e => e.Id).ToListAsync(context.Aborted), await reader.FiltersAsync(db, context.Aborted));
        var chosen = filters.EndpointsOf(context.Route("project_id"), endpoints);
        await answers.CollectionAsync(context, "endpoints", [.. endpoints.Where(e => chosen.Contains(e.Id))], EndpointRoutes.WriteEndpoint);
    }

    private async Task ListEndpointsOfGroupAsync(ApiContext context)
    {
        await using var db = await OpenAsync(context);
        var id = context.Route("endpoint_group_id");
        var group = new EndpointFilter(await db.EndpointGroups().FirstAsync(g => g.Id == id, context.Aborted));
        var endpoints = await db.Endpoints().OrderBy(static e => e.Id).ToListAsync(context.Aborted);
        await answers.CollectionAsync(context, "endpoints", [.. endpoints.Where(group.Matches)], EndpointRoutes.WriteEndpoint);
    }

    private async Task ListGroupsAsync(ApiContext context)
    {
        await using var db = await OpenAsync(context);
        var id = context.Route("project_id");
        var groups = await db.EndpointGroups().Where(g => db.ProjectEndpointGroups().Any(p => p.ProjectId == id && p.EndpointGroupId == g.Id))
            .OrderBy(static g => g.Id).ToListAsync(context.Aborted);
        await answers.CollectionAsync(context, "endpoint_groups", groups, EndpointGroupRoutes.WriteGroup);
    }

    private async Task CheckAsync(ApiContext context)
    {
        await using var db = await OpenAsync(context);
        var (endpoint, project) = (context.Route("endpoint_id"), context.Route("project_id"));
        if (!await db.ProjectEndpoints().AnyAsync(p => p.ProjectId == project && p.EndpointId == endpoint, context.Aborted))
        {
            throw NotInProject(endpoint, project);
        }
        await context.NoContentAsync();
    }

    private Task AddAsync(ApiContext context) =>
        AddAsync(context, new ProjectEndpointRow { ProjectId = context.Route("project_id"), EndpointId = context.Route("endpoint_id") }, "project_endpoint");

    private Task AddGroupAsync(ApiContext context) => AddAsync(
        context,
        new ProjectEndpointGroupRow { ProjectId = context.Route("project_id"), EndpointGroupId = context.Route("endpoint_group_id") },
        "project_endpoint_group");

    private async Task AddAsync<TRow>(ApiContext context, TRow row, string type)
        where TRow : class
    {
        context.Enforce(PolicyTarget.Empty);
        try
        {
            await store.WriteAsync(
                async db =>
                {
                    await RequireAsync(db, context);
                    await db.InsertAsync(row, token: context.Aborted);
                },
                context.Aborted);
        }
        catch (UniqueConstraintException)
        {
            throw Fail.Conflict(type, "Duplicate entry");
        }
        await context.NoContentAsync();
    }

    private async Task RemoveAsync(ApiContext context)
    {
        context.Enforce(PolicyTarget.Empty);
        var (endpoint, project) = (context.Route("endpoint_id"), context.Route("project_id"));
        var removed = await store.WriteAsync(
            db => db.ProjectEndpoints().Where(p => p.ProjectId == project && p.EndpointId == endpoint).DeleteAsync(context.Aborted), context.Aborted);
        if (removed == 0)
        {
            throw NotInProject(endpoint, project);
        }
        await context.NoContentAsync();
    }

    private async Task ShowGroupAsync(ApiContext context)
    {
        await using var db = await OpenAsync(context);
        var (group, project) = (context.Route("endpoint_group_id"), context.Route("project_id"));
        if (!await db.ProjectEndpointGroups().AnyAsync(p => p.ProjectId == project && p.EndpointGroupId == group, context.Aborted))
        {
            throw NoAssociation();
        }
        await context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WriteStartObject("project_endpoint_group");
            json.WriteString("endpoint_group_id", group);
            json.WriteString("project_id", project);
            json.WriteSelfLink($"/OS-EP-FILTER/endpoint_groups/{group}/projects/{project}");
            json.WriteEndObject();
            json.WriteEndObject();
        });
    }

    private async Task RemoveGroupAsync(ApiContext context)
    {
        await using (await OpenAsync(context))
        {
            // Only looks whether both exist.
        }
        var (group, project) = (context.Route("endpoint_group_id"), context.Route("project_id"));
        var removed = await store.WriteAsync(
            db => db.ProjectEndpointGroups().Where(p => p.ProjectId == project && p.EndpointGroupId == group).DeleteAsync(context.Aborted), context.Aborted);
        if (removed == 0)
        {
            throw NoAssociation();
        }
        await context.NoContentAsync();
    }

    private static CloudException NoAssociation() => CloudException.NotFound("Endpoint Group Project Association not found");
}
