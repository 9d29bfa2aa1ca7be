using LinqToDB;
using LinqToDB.Async;
using Microsoft.Extensions.Logging;
using SharpStack.Foundation.Hosting;
using SharpStack.Foundation.Storage;
using SharpStack.Glance.Data;
using SharpStack.Glance.Images;
using SharpStack.Glance.Imports;
using SharpStack.Glance.Stores;

namespace SharpStack.Glance.Storage;

/// <summary>The image service's own database.</summary>
internal sealed class GlanceDatabase(ServiceDatabase database)
{
    public ServiceDatabase Service => database;
}

/// <summary>Undoes what runs of the service that are dead have left half done, and deletes the data of images that are deleted.</summary>
internal sealed partial class GlanceWorker(GlanceDatabase database, ImageStores stores, StagingArea staging, GlanceLeases leases, ILogger<GlanceWorker> log) : IWorker
{
    private Task sweeping = Task.CompletedTask;

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        leases.Keeper.Buried += OnBuried;
        await leases.Keeper.StartAsync(cancellationToken);
        await SweepAsync(cancellationToken);
        using var session = database.Service.Read();
        var deleted = await session.GetTable<ImageRow>().Where(row => row.Status == ImageStatus.Deleted && row.Location != null)
            .Select(row => new { row.Id, row.Store, row.Location }).ToListAsync(cancellationToken);
        foreach (var row in deleted)
        {
            await stores.ForgetAsync(database, row.Id, row.Store, row.Location!, cancellationToken);
        }
    }

    public async Task StopAsync(CancellationToken cancellationToken)
    {
        leases.Keeper.Buried -= OnBuried;
        await leases.Keeper.StopAsync();
        await sweeping;
    }

    private void OnBuried(string host, string owner) => sweeping = SweepLaterAsync(sweeping);

    private async Task SweepLaterAsync(Task before)
    {
        await before;
        try
        {
            await SweepAsync(CancellationToken.None);
        }
        catch (Exception failure)
        {
            // The next one that is buried, or the next start, has it done.
            LogFailed(failure);
        }
    }

    /// <summary>Uploads of the dead are given up: their images are queued again, their unfinished files removed.</summary>
    private async Task SweepAsync(CancellationToken cancellationToken)
    {
        // Who lives is asked after what there is: whoever begins something is registered before.
        List<string> claims;
        await using (var session = database.Service.Read())
        {
            claims = await session.GetTable<ImageRow>().Where(row => row.Status == ImageStatus.Saving && row.Claim != null).Select(row => row.Claim!).ToListAsync(cancellationToken);
        }

        var parts = new HashSet<string>(StringComparer.Ordinal);
        Abandon(part => !parts.Add(part) && false);
        var live = await leases.Keeper.LiveOwnersAsync(cancellationToken);
        bool IsDead(string claim) => !live.ContainsKey(UploadClaims.OwnerOf(claim));
        var dead = claims.FindAll(IsDead);
        if (dead.Count > 0)
        {
            await database.Service.WriteAsync(
                session => session.GetTable<ImageRow>()
                    .Where(row => row.Status == ImageStatus.Saving && dead.Contains(row.Claim!))
                    .Set(row => row.Status, ImageStatus.Queued)
                    .Set(row => row.Claim, (string?)null)
                    .Set(row => row.Revision, row => row.Revision + 1)
                    .UpdateAsync(cancellationToken),
                cancellationToken);
        }

        Abandon(part => parts.Contains(part) && IsDead(part));
    }

    private void Abandon(Predicate<string> isLeftOver)
    {
        stores.Abandon(isLeftOver);
        staging.Abandon(isLeftOver);
    }

    [LoggerMessage(EventId = 2101, Level = LogLevel.Warning, Message = "What a dead run of the image service left could not be undone yet")]
    private partial void LogFailed(Exception failure);
}
