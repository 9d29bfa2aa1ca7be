using LinqToDB;
using LinqToDB.Async;
using SharpStack.Nova.Storage;

namespace SharpStack.Nova.Aggregates;

/// <summary>One aggregate with its hosts and metadata; the zone is an item of the metadata.</summary>
internal sealed record HostAggregate(AggregateRow Row, IReadOnlyList<string> Hosts, IReadOnlyDictionary<string, string> Metadata)
{
    public string? Zone => Metadata.GetValueOrDefault(AggregateStore.ZoneKey);
}

/// <summary>Aggregates as others ask for them.</summary>
internal static class AggregateStore
{
    public const string ZoneKey = "availability_zone";

    /// <summary>All aggregates, or one, by id.</summary>
    public static async Task<List<HostAggregate>> ListAsync(NovaSession session, long? id, CancellationToken cancellationToken)
    {
        var rows = await (id is null ? session.Aggregates : session.Aggregates.Where(row => row.Id == id)).OrderBy(row => row.Id).ToListAsync(cancellationToken);
        if (rows.Count == 0)
        {
            return [];
        }

        var hosts = (await (id is null ? session.AggregateHosts : session.AggregateHosts.Where(row => row.AggregateId == id)).OrderBy(row => row.Host).ToListAsync(cancellationToken))
            .ToLookup(row => row.AggregateId, row => row.Host);
        var metadata = (await (id is null ? session.AggregateMetadata : session.AggregateMetadata.Where(row => row.AggregateId == id)).OrderBy(row => row.Name).ToListAsync(cancellationToken))
            .ToLookup(row => row.AggregateId);
        return rows.ConvertAll(row => new HostAggregate(row, [.. hosts[row.Id]], metadata[row.Id].ToDictionary(item => item.Name, item => item.Value)));
    }

    /// <summary>The metadata of the aggregates that each host is in, aggregate by aggregate; hosts in none are left out.</summary>
    /// <param name="hosts">Null for all hosts.</param>
    public static async Task<Dictionary<string, IReadOnlyList<IReadOnlyDictionary<string, string>>>> MetadataByHostAsync(
        NovaSession session, IReadOnlyCollection<string>? hosts, CancellationToken cancellationToken)
    {
        var members = hosts is null ? session.AggregateHosts : session.AggregateHosts.Where(member => hosts.Contains(member.Host));
        var items = await (
            from member in members
            join item in session.AggregateMetadata on member.AggregateId equals item.AggregateId
            orderby item.AggregateId
            select new { member.Host, item.AggregateId, item.Name, item.Value }).ToListAsync(cancellationToken);
        return items.GroupBy(item => item.Host).ToDictionary(
            host => host.Key,
            host => (IReadOnlyList<IReadOnlyDictionary<string, string>>)
                [.. host.GroupBy(item => item.AggregateId).Select(aggregate => aggregate.ToDictionary(item => item.Name, item => item.Value))]);
    }

    /// <summary>The zones that aggregates give to hosts; hosts in none are left out.</summary>
    public static async Task<Dictionary<string, string>> ZonesAsync(NovaSession session, CancellationToken cancellationToken)
    {
        var zones = await (
            from member in session.AggregateHosts
            join item in session.AggregateMetadata on member.AggregateId equals item.AggregateId
            where item.Name == ZoneKey
            orderby item.AggregateId
            select new { member.Host, item.Value }).ToListAsync(cancellationToken);
        return zones.DistinctBy(item => item.Host).ToDictionary(item => item.Host, item => item.Value);
    }

    /// <summary>The zone that an aggregate gives to a host; null for none.</summary>
    public static Task<string?> ZoneOfAsync(NovaSession session, string host, CancellationToken cancellationToken) => (
        from member in session.AggregateHosts
        join item in session.AggregateMetadata on member.AggregateId equals item.AggregateId
        where member.Host == host && item.Name == ZoneKey
        orderby item.AggregateId
        select item.Value).FirstOrDefaultAsync(cancellationToken);
}
