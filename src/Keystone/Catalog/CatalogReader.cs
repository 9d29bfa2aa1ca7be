using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation.Configuration;
using SharpStack.Keystone.Storage;

namespace SharpStack.Keystone.Catalog;

/// <summary>Reads the catalog and what is filtered from it, in a fixed number of queries.</summary>
internal sealed class CatalogReader(ServiceConfig config)
{
    private readonly bool allWithoutFilter = config.Get(KeystoneOptions.ReturnAllEndpoints);

    public async Task<ServiceCatalog> ReadAsync(DataConnection db, CancellationToken cancellationToken) => new(
        await db.Services().Where(static s => s.Enabled).OrderBy(static s => s.Id).ToListAsync(cancellationToken),
        await db.Endpoints().OrderBy(static e => e.Id).ToListAsync(cancellationToken),
        await FiltersAsync(db, cancellationToken));

    public async Task<EndpointFilters> FiltersAsync(DataConnection db, CancellationToken cancellationToken)
    {
        var groups = (await db.EndpointGroups().ToListAsync(cancellationToken)).ToDictionary(static g => g.Id, static g => new EndpointFilter(g));
        return new(
            (await db.ProjectEndpoints().ToListAsync(cancellationToken)).ToLookup(static p => p.ProjectId, static p => p.EndpointId),
            groups.Count == 0
                ? Enumerable.Empty<ProjectEndpointGroupRow>().ToLookup(static p => p.ProjectId, p => groups[p.EndpointGroupId])
                : (await db.ProjectEndpointGroups().ToListAsync(cancellationToken)).ToLookup(static p => p.ProjectId, p => groups[p.EndpointGroupId]),
            allWithoutFilter);
    }
}

/// <summary>What an endpoint group asks of an endpoint.</summary>
internal sealed class EndpointFilter
{
    private readonly Dictionary<string, string?> wanted;

    public EndpointFilter(EndpointGroupRow group)
    {
        using var filters = JsonDocument.Parse(group.Filters);
        wanted = filters.RootElement.EnumerateObject().ToDictionary(
            static f => f.Name, static f => f.Value.ValueKind switch { JsonValueKind.String => f.Value.GetString(), JsonValueKind.Null => null, _ => f.Value.GetRawText() });
    }

    public bool Matches(EndpointRow endpoint) => wanted.All(w => w.Value == w.Key switch
    {
        "service_id" => endpoint.ServiceId,
        "region_id" => endpoint.RegionId,
        _ => endpoint.Interface,
    });
}

/// <param name="AllWithoutFilter">Whether a project that nothing is filtered for has the whole catalog, or an empty one.</param>
internal sealed record EndpointFilters(ILookup<string, string> Endpoints, ILookup<string, EndpointFilter> Groups, bool AllWithoutFilter)
{
    public bool HasAny => Endpoints.Count > 0 || Groups.Count > 0 || !AllWithoutFilter;

    /// <summary>The ids of the endpoints given to a project, by themselves and by groups; none where nothing is filtered for it.</summary>
    public HashSet<string> EndpointsOf(string projectId, IReadOnlyList<EndpointRow> endpoints)
    {
        var chosen = new HashSet<string>(Endpoints[projectId], StringComparer.Ordinal);
        foreach (var group in Groups[projectId])
        {
            chosen.UnionWith(endpoints.Where(group.Matches).Select(static e => e.Id));
        }
        return chosen;
    }
}
