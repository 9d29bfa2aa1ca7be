using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Policy;
using SharpStack.Keystone.Catalog;
using SharpStack.Keystone.Storage;

namespace SharpStack.Keystone.Policies;

/// <summary>
/// <c>OS-ENDPOINT-POLICY</c>: which policy is for which endpoint: its own, else that of its service in its region or a region around it, else that of its service.
/// </summary>
internal sealed class PolicyAssociationRoutes(KeystoneStore store, Answers answers)
{
    public void Map(ApiRoutes routes)
    {
        const string prefix = "/v3/policies/{policy_id}/OS-ENDPOINT-POLICY";
        MapOne(routes, prefix + "/endpoints/{endpoint_id}", "endpoint");
        MapOne(routes, prefix + "/services/{service_id}", "service");
        MapOne(routes, prefix + "/services/{service_id}/regions/{region_id}", "region_and_service");
        routes.Read(prefix + "/endpoints", ListEndpointsAsync, "identity:list_endpoints_for_policy");
        routes.Read("/v3/endpoints/{endpoint_id}/OS-ENDPOINT-POLICY/policy", ShowPolicyAsync, "identity:get_policy_for_endpoint");
    }

    private void MapOne(ApiRoutes routes, string pattern, string kind)
    {
        routes.Read(pattern, CheckAsync, $"identity:check_policy_association_for_{kind}");
        routes.Put(pattern, CreateAsync).Policy($"identity:create_policy_association_for_{kind}");
        routes.Delete(pattern, DeleteAsync).Policy($"identity:delete_policy_association_for_{kind}");
    }

    private static PolicyAssociationRow InPath(ApiContext context)
    {
        return new() { PolicyId = context.Route("policy_id"), EndpointId = Value("endpoint_id"), ServiceId = Value("service_id"), RegionId = Value("region_id") };

        string Value(string name) => context.Http.Request.RouteValues[name] as string ?? "";
    }

    private static async Task RequireAsync(DataConnection db, PolicyAssociationRow row, CancellationToken cancellationToken)
    {
        if (!await db.PolicyBlobs().AnyAsync(p => p.Id == row.PolicyId, cancellationToken))
        {
            throw Fail.NotFound("policy", row.PolicyId);
        }
        if (row.EndpointId.Length > 0 && !await db.Endpoints().AnyAsync(e => e.Id == row.EndpointId, cancellationToken))
        {
            throw Fail.NotFound("endpoint", row.EndpointId);
        }
        if (row.ServiceId.Length > 0 && !await db.Services().AnyAsync(s => s.Id == row.ServiceId, cancellationToken))
        {
            throw Fail.NotFound("service", row.ServiceId);
        }
        if (row.RegionId.Length > 0 && !await db.Regions().AnyAsync(r => r.Id == row.RegionId, cancellationToken))
        {
            throw Fail.NotFound("region", row.RegionId);
        }
    }

    private static IQueryable<PolicyAssociationRow> Same(DataConnection db, PolicyAssociationRow row) =>
        db.PolicyAssociations().Where(a => a.EndpointId == row.EndpointId && a.ServiceId == row.ServiceId && a.RegionId == row.RegionId);

    private async Task CheckAsync(ApiContext context)
    {
        context.Enforce(PolicyTarget.Empty);
        var row = InPath(context);
        await using var db = store.Read();
        await RequireAsync(db, row, context.Aborted);
        if (!await Same(db, row).AnyAsync(a => a.PolicyId == row.PolicyId, context.Aborted))
        {
            throw CloudException.NotFound("Could not find policy association.");
        }
        await context.NoContentAsync();
    }

    private async Task CreateAsync(ApiContext context)
    {
        context.Enforce(PolicyTarget.Empty);
        var row = InPath(context);
        await store.WriteAsync(
            async db =>
            {
                await RequireAsync(db, row, context.Aborted);
                // A place has one policy: another one takes it over.
                await db.InsertOrReplaceAsync(row, token: context.Aborted);
            },
            context.Aborted);
        await context.NoContentAsync();
    }

    private async Task DeleteAsync(ApiContext context)
    {
        context.Enforce(PolicyTarget.Empty);
        var row = InPath(context);
        await store.WriteAsync(
            async db =>
            {
                await RequireAsync(db, row, context.Aborted);
                await Same(db, row).Where(a => a.PolicyId == row.PolicyId).DeleteAsync(context.Aborted);
            },
            context.Aborted);
        await context.NoContentAsync();
    }

    private async Task ListEndpointsAsync(ApiContext context)
    {
        context.Enforce(PolicyTarget.Empty);
        var id = context.Route("policy_id");
        await using var db = store.Read();
        await RequireAsync(db, new() { PolicyId = id, EndpointId = "", ServiceId = "", RegionId = "" }, context.Aborted);
        var endpoints = await db.Endpoints().OrderBy(static e => e.Id).ToListAsync(context.Aborted);
        var found = new List<EndpointRow>();
        foreach (var row in await db.PolicyAssociations().Where(a => a.PolicyId == id).ToListAsync(context.Aborted))
        {
            var regions = row.RegionId.Length > 0 ? await RegionRoutes.TreeAsync(db, row.RegionId, context.Aborted) : null;
            found.AddRange(endpoints.Where(e => row.EndpointId.Length > 0
                ? e.Id == row.EndpointId
                : e.ServiceId == row.ServiceId && (regions is null || (e.RegionId is not null && regions.Contains(e.RegionId)))));
        }
        await answers.CollectionAsync(context, "endpoints", found, EndpointRoutes.WriteEndpoint);
    }

    private async Task ShowPolicyAsync(ApiContext context)
    {
        context.Enforce(PolicyTarget.Empty);
        var id = context.Route("endpoint_id");
        await using var db = store.Read();
        var endpoint = await db.Endpoints().FirstOrDefaultAsync(e => e.Id == id, context.Aborted) ?? throw Fail.NotFound("endpoint", id);
        var candidates = await db.PolicyAssociations().Where(a => a.EndpointId == id || a.ServiceId == endpoint.ServiceId).ToListAsync(context.Aborted);
        var parents = await db.Regions().ToDictionaryAsync(static r => r.Id, static r => r.ParentRegionId, context.Aborted);
        var chosen = candidates.Find(a => a.EndpointId == id);
        for (var region = endpoint.RegionId; chosen is null && region is not null; region = parents.GetValueOrDefault(region))
        {
            chosen = candidates.Find(a => a.RegionId == region);
        }
        chosen ??= candidates.Find(static a => a.RegionId.Length == 0);
        var policy = chosen is null ? null : await db.PolicyBlobs().FirstOrDefaultAsync(p => p.Id == chosen.PolicyId, context.Aborted);
        await answers.MemberAsync(
            context, 200, "policy", policy ?? throw CloudException.NotFound($"No policy is associated with endpoint {id}."), PolicyBlobRoutes.WritePolicy);
    }
}
