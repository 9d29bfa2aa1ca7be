using System.IO.Pipelines;
using LinqToDB.Async;
using LinqToDB;
using Microsoft.Extensions.Logging;
using SharpStack.Foundation;
using SharpStack.Foundation.Hosting;
using SharpStack.Foundation.Reconciling;
using SharpStack.Foundation.Storage;
using SharpStack.Foundation.Storage.Leases;
using SharpStack.Glance.Data;
using SharpStack.Glance.Images;
using SharpStack.Glance.Storage;
using SharpStack.Glance.Stores;

namespace SharpStack.Glance.Imports;

/// <summary>
/// Carries staged data into the store for every image that is importing; a restart begins again from the staged file. Of several services each import is taken by
/// one that has the staged file, and goes on with another one that has it when that one dies.
/// </summary>
internal sealed class ImportWorker : IWorker, IAsyncDisposable
{
    /// <summary>How long data is waited for whose host is away.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(10);

    private const string Finished = "Import finished";

    private readonly GlanceDatabase database;
    private readonly ImageData data;
    private readonly ImageStores stores;
    private readonly StagingArea staging;
    private readonly TaskRepository tasks;
    private readonly UploadClaims claims;
    private readonly LeaseKeeper leases;
    private readonly HostOptions host;
    private readonly TimeProvider time;
    private readonly Reconciler<string> reconciler;

    public ImportWorker(
        GlanceDatabase database, ImageData data, ImageStores stores, StagingArea staging, TaskRepository tasks, UploadClaims claims, GlanceLeases leases, HostOptions host,
        TimeProvider time, ILogger<ImportWorker> log)
    {
        this.claims = claims;
        this.leases = leases.Keeper;
        this.host = host;
        this.time = time;
        this.database = database;
        this.data = data;
        this.stores = stores;
        this.staging = staging;
        this.tasks = tasks;
        reconciler = new Reconciler<string>("image-import", ImportAsync, ImportingAsync, new ReconcilerOptions { Parallelism = 2 }, time, log);
    }

    public Task StartAsync(CancellationToken cancellationToken)
    {
        leases.Buried += OnBuried;
        reconciler.Start();
        return Task.CompletedTask;
    }

    public async Task StopAsync(CancellationToken cancellationToken)
    {
        leases.Buried -= OnBuried;
        await reconciler.DisposeAsync();
    }

    public ValueTask DisposeAsync() => reconciler.DisposeAsync();

    public void Look(string imageId) => reconciler.Enqueue(imageId);

    private async Task<IReadOnlyCollection<string>> ImportingAsync(CancellationToken cancellationToken)
    {
        await using var session = database.Service.Read();
        var importing = await session.GetTable<ImageRow>().Where(row => row.Status == ImageStatus.Importing).Select(row => row.Id).ToListAsync(cancellationToken);
        var open = await session.GetTable<TaskRow>().Where(row => row.Status == TaskRow.Processing).Select(row => row.ImageId).ToListAsync(cancellationToken);
        return [.. importing.Union(open)];
    }

    private void OnBuried(string host, string owner) => reconciler.EnqueueAll();

    private async Task<ReconcileResult> ImportAsync(string imageId, CancellationToken cancellationToken)
    {
        ImageRow? image;
        await using (var session = database.Service.Read())
        {
            image = await session.GetTable<ImageRow>().FirstOrDefaultAsync(row => row.Id == imageId, cancellationToken);
        }

        if (await tasks.OpenAsync(imageId, cancellationToken) is not { } task)
        {
            return ReconcileResult.Done;
        }

        if (image is not { Status: ImageStatus.Importing, Claim: not null })
        {
            // The service died between the import's end and its task's.
            await (image?.Status == ImageStatus.Active ? tasks.SetAsync(task.Id, TaskRow.Success, Finished) : tasks.SetAsync(task.Id, TaskRow.Failure, "The image was deleted, or its import given up."));
            return ReconcileResult.Done;
        }

        var stagedAt = UploadClaims.HostOf(image.Claim);
        if (!staging.Has(imageId) && stagedAt != host.HostName)
        {
            // Where the staging folder is not shared the data is only there.
            if ((await leases.LiveOwnersAsync(cancellationToken)).Values.Contains(stagedAt))
            {
                return ReconcileResult.Done;
            }

            if (time.GetUtcNow() - Timestamps.FromMicroseconds(task.UpdatedAt) < Patience)
            {
                return ReconcileResult.After(TimeSpan.FromMinutes(1));
            }
        }

        if (await leases.TryAcquireAsync($"import/{imageId}", cancellationToken) is not { } lease)
        {
            return ReconcileResult.Done;
        }

        try
        {
            await ImportAsync(image, task, lease, cancellationToken);
        }
        finally
        {
            await leases.ReleaseAsync(lease, CancellationToken.None);
        }

        return ReconcileResult.Done;
    }

    private async Task ImportAsync(ImageRow image, TaskRow task, Lease lease, CancellationToken cancellationToken)
    {
        // A claim of its own: one who had the import before and still writes has another file, and no say any more.
        var claim = claims.New();
        var former = image.Claim;
        var taken = await database.Service.WriteAsync(
            async session =>
            {
                await lease.CheckAsync(session, cancellationToken);
                return await session.GetTable<ImageRow>().Where(row => row.Id == image.Id && row.Status == ImageStatus.Importing && row.Claim == former)
                    .Set(row => row.Claim, claim).UpdateAsync(cancellationToken);
            },
            cancellationToken);
        if (taken == 0)
        {
            return;
        }

        await tasks.SetAsync(task.Id, TaskRow.Processing, "");
        var (status, message) = (TaskRow.Success, Finished);
        try
        {
            var (name, store) = stores.Select(task.Store);
            await using var staged = staging.Open(image.Id);
            await data.StoreAsync(image, claim, name, store, PipeReader.Create(staged), staged.Length, cancellationToken);
        }
        catch (FileNotFoundException)
        {
            (status, message) = (TaskRow.Failure, $"The staged data is gone with host {UploadClaims.HostOf(former!)}: stage it again.");
            await data.ReleaseAsync(image.Id, claim);
        }
        catch (CloudException failure) when (!failure.IsTransient)
        {
            (status, message) = (TaskRow.Failure, failure.Message);
            await data.ReleaseAsync(image.Id, claim);
        }

        staging.Remove(image.Id);
        await tasks.SetAsync(task.Id, status, message);
    }
}
