using System.Text.Json;
using System.Text.Json.Serialization;
using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation.Caching;
using SharpStack.Foundation.Configuration;
using SharpStack.Keystone.Storage;

namespace SharpStack.Keystone.Catalog;

/// <summary>
/// Reads the catalog and what is filtered from it, in a fixed number of queries; or from the cache that the processes on one database share, under the number of the database's
/// last change, so that it is never older than what this process knows of.
/// </summary>
internal sealed class CatalogReader(ServiceConfig config, KeystoneStore store, SharedCaches caches)
{
    private readonly bool allWithoutFilter = config.Get(KeystoneOptions.ReturnAllEndpoints);
    private readonly TimeSpan cacheTime = TimeSpan.FromSeconds(config.Get(CacheOptions.ExpirationTime));
    private ISharedCache? cache;

    public async Task<ServiceCatalog> ReadAsync(DataConnection db, CancellationToken cancellationToken)
    {
        // Before the rows: a change between the two makes them seem older than they are, never newer.
        var key = $"catalog {store.Epoch}";
        var shared = await CacheAsync(cancellationToken);
        if (shared.IsEnabled && await shared.FindAsync(key, cancellationToken) is { } text && CatalogRows.Parse(text) is { } known)
        {
            return CatalogOf(known);
        }

        var rows = new CatalogRows(
            await db.Services().Where(static s => s.Enabled).OrderBy(static s => s.Id).ToListAsync(cancellationToken),
            await db.Endpoints().OrderBy(static e => e.Id).ToListAsync(cancellationToken),
            await FilterRowsAsync(db, cancellationToken));
        if (shared.IsEnabled)
        {
            shared.Keep(key, rows.ToJson(), cacheTime);
        }

        return CatalogOf(rows);
    }

    public async Task<EndpointFilters> FiltersAsync(DataConnection db, CancellationToken cancellationToken) => FiltersOf(await FilterRowsAsync(db, cancellationToken));

    private static async Task<FilterRows> FilterRowsAsync(DataConnection db, CancellationToken cancellationToken)
    {
        var groups = await db.EndpointGroups().ToListAsync(cancellationToken);
        return new(
            groups,
            await db.ProjectEndpoints().ToListAsync(cancellationToken),
            groups.Count == 0 ? [] : await db.ProjectEndpointGroups().ToListAsync(cancellationToken));
    }

    private ServiceCatalog CatalogOf(CatalogRows rows) => new(rows.Services, rows.Endpoints, FiltersOf(rows.Filters));

    private EndpointFilters FiltersOf(FilterRows rows)
    {
        var groups = rows.Groups.ToDictionary(static g => g.Id, static g => new EndpointFilter(g));
        return new(
            rows.Endpoints.ToLookup(static p => p.ProjectId, static p => p.EndpointId),
            rows.ProjectGroups.ToLookup(static p => p.ProjectId, p => groups[p.EndpointGroupId]),
            allWithoutFilter);
    }

    private async ValueTask<ISharedCache> CacheAsync(CancellationToken cancellationToken) =>
        cache ??= config.Get(KeystoneOptions.CatalogCaching) && caches.Of(config).IsEnabled ? caches.Sealed(config, "catalog", await store.SecretAsync(cancellationToken)) : caches.None;
}

/// <summary>What the catalog is made of.</summary>
internal sealed record CatalogRows(IReadOnlyList<ServiceRow> Services, IReadOnlyList<EndpointRow> Endpoints, FilterRows Filters)
{
    public byte[] ToJson() => JsonSerializer.SerializeToUtf8Bytes(this, CatalogJson.Default.CatalogRows);

    /// <summary>Null for what another release kept.</summary>
    public static CatalogRows? Parse(byte[] text)
    {
        try
        {
            return JsonSerializer.Deserialize(text, CatalogJson.Default.CatalogRows);
        }
        catch (JsonException)
        {
            return null;
        }
    }
}

internal sealed record FilterRows(IReadOnlyList<EndpointGroupRow> Groups, IReadOnlyList<ProjectEndpointRow> Endpoints, IReadOnlyList<ProjectEndpointGroupRow> ProjectGroups);

[JsonSerializable(typeof(CatalogRows))]
internal sealed partial class CatalogJson : JsonSerializerContext;

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
