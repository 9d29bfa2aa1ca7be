using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using LinqToDB.Mapping;

namespace SharpStack.Keystone.Limits;

/// <summary>What every project may have of a service's resource where it has no limit of its own.</summary>
[Table("registered_limits")]
internal sealed record RegisteredLimitRow
{
    [Column("id"), PrimaryKey]
    public required string Id { get; init; }

    [Column("service_id")]
    public required string ServiceId { get; init; }

    /// <summary>Empty for all regions.</summary>
    [Column("region_id")]
    public required string RegionId { get; init; }

    [Column("resource_name")]
    public required string ResourceName { get; init; }

    /// <summary>-1 for no limit.</summary>
    [Column("default_limit")]
    public required int DefaultLimit { get; init; }

    [Column("description")]
    public string? Description { get; init; }
}

/// <summary>What one project or domain may have of what a registered limit is for.</summary>
[Table("limits")]
internal sealed record LimitRow
{
    [Column("id"), PrimaryKey]
    public required string Id { get; init; }

    [Column("registered_limit_id")]
    public required string RegisteredLimitId { get; init; }

    /// <summary>Empty for a domain's limit.</summary>
    [Column("project_id")]
    public required string ProjectId { get; init; }

    /// <summary>Empty for a project's limit.</summary>
    [Column("domain_id")]
    public required string DomainId { get; init; }

    [Column("resource_limit")]
    public required int ResourceLimit { get; init; }

    [Column("description")]
    public string? Description { get; init; }
}

/// <summary>A limit with what it limits.</summary>
internal sealed record LimitView(LimitRow Row, RegisteredLimitRow Of);

internal static class LimitTables
{
    public static ITable<RegisteredLimitRow> RegisteredLimits(this DataConnection db) => db.GetTable<RegisteredLimitRow>();

    public static ITable<LimitRow> Limits(this DataConnection db) => db.GetTable<LimitRow>();

    /// <summary>The limits of some projects, by the project's id; one query for each few hundred.</summary>
    public static async Task<ILookup<string, LimitView>> OfProjectsAsync(DataConnection db, IReadOnlyList<string> projects, CancellationToken cancellationToken)
    {
        var found = new List<LimitView>();
        foreach (var chunk in projects.Chunk(500))
        {
            found.AddRange(await db.LimitViews().Where(l => chunk.Contains(l.Row.ProjectId)).OrderBy(static l => l.Row.Id).ToListAsync(cancellationToken));
        }
        return found.ToLookup(static l => l.Row.ProjectId);
    }

    public static IQueryable<LimitView> LimitViews(this DataConnection db) =>
        from l in db.Limits()
        join r in db.RegisteredLimits() on l.RegisteredLimitId equals r.Id
        select new LimitView(l, r);
}
