using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation;
using SharpStack.Keystone.Storage;

namespace SharpStack.Keystone.Limits;

/// <summary>How limits of projects bind each other: <c>[unified_limit] enforcement_model</c>.</summary>
internal abstract class LimitModel
{
    public abstract string Name { get; }

    public abstract string Description { get; }

    /// <summary>The deepest nesting of projects below a domain; null for any.</summary>
    public virtual int? MaxDepth => null;

    public static LimitModel Of(string name) => name == "strict_two_level" ? new StrictTwoLevelModel() : new FlatModel();

    /// <summary>Refuses (403), within the write, limits that would break the tree's order; they are written already.</summary>
    public virtual Task CheckAsync(DataConnection db, IReadOnlyList<LimitView> limits, CancellationToken cancellationToken) => Task.CompletedTask;
}

internal sealed class FlatModel : LimitModel
{
    public override string Name => "flat";

    public override string Description => "Limit enforcement and validation does not take project hierarchy into consideration.";
}

/// <summary>A project's limit is at most its domain's, and projects nest no deeper than two levels.</summary>
internal sealed class StrictTwoLevelModel : LimitModel
{
    public override string Name => "strict_two_level";

    public override string Description => "This model requires project hierarchy never exceeds a depth of two";

    public override int? MaxDepth => 2;

    public override async Task CheckAsync(DataConnection db, IReadOnlyList<LimitView> limits, CancellationToken cancellationToken)
    {
        foreach (var (limit, of) in limits)
        {
            var broken = limit.DomainId.Length > 0
                ? await db.Limits().AnyAsync(
                    l => l.RegisteredLimitId == of.Id && l.ResourceLimit > limit.ResourceLimit
                        && db.Projects().Any(p => p.Id == l.ProjectId && p.DomainId == limit.DomainId),
                    cancellationToken)
                : await ParentLimitAsync(db, limit, of, cancellationToken) is { } most && limit.ResourceLimit > most;
            if (broken)
            {
                var (level, id) = limit.DomainId.Length > 0 ? ("domain_id", limit.DomainId) : ("project_id", limit.ProjectId);
                throw CloudException.Forbidden(
                    $"Invalid resource limit: The resource limit ({level}: {id}, resource_name: {of.ResourceName}, resource_limit: {limit.ResourceLimit}, "
                    + $"service_id: {of.ServiceId}, region_id: {(of.RegionId.Length == 0 ? "None" : of.RegionId)}) doesn't satisfy current hierarchy model..");
            }
        }
    }

    private static async Task<int?> ParentLimitAsync(DataConnection db, LimitRow limit, RegisteredLimitRow of, CancellationToken cancellationToken)
    {
        var parent = await db.Projects().Where(p => p.Id == limit.ProjectId).Select(static p => p.ParentId).FirstOrDefaultAsync(cancellationToken);
        if (parent is null)
        {
            return null;
        }
        var own = await db.Limits().Where(l => l.RegisteredLimitId == of.Id && l.DomainId == parent).Select(static l => (int?)l.ResourceLimit)
            .FirstOrDefaultAsync(cancellationToken);
        return own ?? of.DefaultLimit;
    }
}
