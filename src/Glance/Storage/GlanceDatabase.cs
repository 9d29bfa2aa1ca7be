using LinqToDB;
using LinqToDB.Async;
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

/// <summary>Opens the stores, and undoes what an earlier run of this host left half done.</summary>
internal sealed class GlanceWorker(GlanceDatabase database, ImageStores stores, StagingArea staging, UploadClaims claims) : IWorker
{
    public async Task StartAsync(CancellationToken cancellationToken)
    {
        stores.Abandon(claims.IsLeftOver);
        staging.Abandon(claims.IsLeftOver);
        var (ofHost, ofRun) = (claims.HostPrefix, claims.RunPrefix);
        await database.Service.WriteAsync(
            session => session.GetTable<ImageRow>()
                .Where(row => row.Status == ImageStatus.Saving && row.Claim!.StartsWith(ofHost) && !row.Claim!.StartsWith(ofRun))
                .Set(row => row.Status, ImageStatus.Queued)
                .Set(row => row.Claim, (string?)null)
                .Set(row => row.Revision, row => row.Revision + 1)
                .UpdateAsync(cancellationToken),
            cancellationToken);
        using var session = database.Service.Read();
        var deleted = await session.GetTable<ImageRow>().Where(row => row.Status == ImageStatus.Deleted && row.Location != null)
            .Select(row => new { row.Id, row.Store, row.Location }).ToListAsync(cancellationToken);
        foreach (var row in deleted)
        {
            await stores.ForgetAsync(database, row.Id, row.Store, row.Location!, cancellationToken);
        }
    }

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
