using LinqToDB;
using LinqToDB.Async;
using SharpStack.Foundation;
using SharpStack.Foundation.Storage;
using SharpStack.Nova.Servers;
using SharpStack.Nova.Storage;

namespace SharpStack.Nova.Flavors;

/// <summary>Flavors, and who may use those that are not public.</summary>
internal sealed class FlavorStore(NovaStore store)
{
    /// <summary>The flavors that a project may use; all for null.</summary>
    /// <param name="isPublic">Only public or only private ones; null for both.</param>
    public async Task<List<FlavorRow>> ListAsync(string? projectId, bool? isPublic, CancellationToken cancellationToken)
    {
        await using var session = store.Read();
        var flavors = session.Flavors.AsQueryable();
        if (isPublic is { } wanted)
        {
            flavors = projectId is not null && wanted
                ? flavors.Where(flavor => flavor.IsPublic || session.FlavorProjects.Any(access => access.Flavor == flavor.Id && access.ProjectId == projectId))
                : flavors.Where(flavor => flavor.IsPublic == wanted);
        }

        return await flavors.ToListAsync(cancellationToken);
    }

    /// <exception cref="CloudException">404 where there is none that the project may use.</exception>
    public async Task<FlavorRow> GetAsync(string flavorId, string? projectId, bool all, CancellationToken cancellationToken)
    {
        await using var session = store.Read();
        return await FindAsync(session, flavorId, projectId, all, cancellationToken) ?? throw NotFound(flavorId);
    }

    public static Task<FlavorRow?> FindAsync(NovaSession session, string flavorId, string? projectId, bool all, CancellationToken cancellationToken) =>
        session.Flavors
            .Where(flavor => flavor.FlavorId == flavorId
                && (all || flavor.IsPublic || session.FlavorProjects.Any(access => access.Flavor == flavor.Id && access.ProjectId == projectId)))
            .FirstOrDefaultAsync(cancellationToken);

    public async Task<FlavorRow> CreateAsync(FlavorRow flavor, CancellationToken cancellationToken)
    {
        try
        {
            return await store.WriteAsync(
                async session =>
                {
                    var row = flavor with { CreatedAt = session.Now };
                    return row with { Id = await session.Db.InsertWithInt64IdentityAsync(row, token: cancellationToken) };
                },
                cancellationToken);
        }
        catch (UniqueConstraintException failure)
        {
            throw failure.Constraint.Contains("flavor_id", StringComparison.Ordinal)
                ? CloudException.Conflict($"Flavor with ID {flavor.FlavorId} already exists.")
                : CloudException.Conflict($"Flavor with name {flavor.Name} already exists.");
        }
    }

    public Task DeleteAsync(string flavorId, CancellationToken cancellationToken) =>
        store.WriteAsync(
            async session =>
            {
                if (await session.Flavors.Where(flavor => flavor.FlavorId == flavorId).DeleteAsync(cancellationToken) == 0)
                {
                    throw NotFound(flavorId);
                }
            },
            cancellationToken);

    public Task<FlavorRow> UpdateAsync(string flavorId, Func<FlavorRow, FlavorRow> change, CancellationToken cancellationToken) =>
        store.WriteAsync(
            async session =>
            {
                var row = await FindAsync(session, flavorId, null, true, cancellationToken) ?? throw NotFound(flavorId);
                var changed = change(row) with { UpdatedAt = session.Now };
                await session.Db.UpdateAsync(changed, token: cancellationToken);
                return changed;
            },
            cancellationToken);

    public Task<FlavorRow> UpdateExtraSpecsAsync(string flavorId, Action<Dictionary<string, string>> change, CancellationToken cancellationToken) =>
        UpdateAsync(
            flavorId,
            row =>
            {
                var specs = StoredJson.Map(row.ExtraSpecs);
                change(specs);
                return row with { ExtraSpecs = StoredJson.Text(specs) };
            },
            cancellationToken);

    public async Task<List<string>> ProjectsAsync(long flavor, CancellationToken cancellationToken)
    {
        await using var session = store.Read();
        return await session.FlavorProjects.Where(access => access.Flavor == flavor).OrderBy(access => access.ProjectId).Select(access => access.ProjectId).ToListAsync(cancellationToken);
    }

    public async Task AddAccessAsync(FlavorRow flavor, string projectId, CancellationToken cancellationToken)
    {
        try
        {
            await store.WriteAsync(session => session.Db.InsertAsync(new FlavorProjectRow { Flavor = flavor.Id, ProjectId = projectId }, token: cancellationToken), cancellationToken);
        }
        catch (UniqueConstraintException)
        {
            throw CloudException.Conflict($"Flavor access already exists for flavor {flavor.FlavorId} and project {projectId} combination.");
        }
    }

    public Task RemoveAccessAsync(FlavorRow flavor, string projectId, CancellationToken cancellationToken) =>
        store.WriteAsync(
            async session =>
            {
                if (await session.FlavorProjects.Where(access => access.Flavor == flavor.Id && access.ProjectId == projectId).DeleteAsync(cancellationToken) == 0)
                {
                    throw CloudException.NotFound($"Flavor access not found for {flavor.FlavorId} / {projectId} combination.");
                }
            },
            cancellationToken);

    private static CloudException NotFound(string flavorId) => CloudException.NotFound($"Flavor {flavorId} could not be found.");
}
