using System.IO.Pipelines;
using LinqToDB.Async;
using LinqToDB;
using Microsoft.Extensions.Logging;
using SharpStack.Foundation;
using SharpStack.Foundation.Hosting;
using SharpStack.Foundation.Reconciling;
using SharpStack.Glance.Data;
using SharpStack.Glance.Images;
using SharpStack.Glance.Storage;
using SharpStack.Glance.Stores;

namespace SharpStack.Glance.Imports;

/// <summary>Carries staged data into the store for every image that is importing; a restart begins again from the staged file.</summary>
internal sealed class ImportWorker : IWorker, IAsyncDisposable
{
    private readonly GlanceDatabase database;
    private readonly ImageData data;
    private readonly ImageStores stores;
    private readonly StagingArea staging;
    private readonly TaskRepository tasks;
    private readonly Reconciler<string> reconciler;

    public ImportWorker(GlanceDatabase database, ImageData data, ImageStores stores, StagingArea staging, TaskRepository tasks, TimeProvider time, ILogger<ImportWorker> log)
    {
        this.database = database;
        this.data = data;
        this.stores = stores;
        this.staging = staging;
        this.tasks = tasks;
        reconciler = new Reconciler<string>("image-import", ImportAsync, ImportingAsync, new ReconcilerOptions { Parallelism = 2 }, time, log);
    }

    public Task StartAsync(CancellationToken cancellationToken)
    {
        reconciler.Start();
        return Task.CompletedTask;
    }

    public Task StopAsync(CancellationToken cancellationToken) => reconciler.DisposeAsync().AsTask();

    public ValueTask DisposeAsync() => reconciler.DisposeAsync();

    public void Look(string imageId) => reconciler.Enqueue(imageId);

    private async Task<IReadOnlyCollection<string>> ImportingAsync(CancellationToken cancellationToken)
    {
        using var session = database.Service.Read();
        return await session.GetTable<ImageRow>().Where(row => row.Status == ImageStatus.Importing).Select(row => row.Id).ToListAsync(cancellationToken);
    }

    private async Task<ReconcileResult> ImportAsync(string imageId, CancellationToken cancellationToken)
    {
        ImageRow? image;
        using (var session = database.Service.Read())
        {
            image = await session.GetTable<ImageRow>().FirstOrDefaultAsync(row => row.Id == imageId && row.Status == ImageStatus.Importing, cancellationToken);
        }

        // Data staged on another host of the service is that host's to import.
        if (image?.Claim is null || await tasks.OpenAsync(imageId, cancellationToken) is not { } task || (!staging.Has(imageId) && task.Status == "pending"))
        {
            return ReconcileResult.Done;
        }

        await tasks.SetAsync(task.Id, "processing", "");
        var (status, message) = ("success", "Import finished");
        try
        {
            var (name, store) = stores.Select(task.Store);
            await using var staged = staging.Open(imageId);
            await data.StoreAsync(image, image.Claim, name, store, PipeReader.Create(staged), staged.Length, cancellationToken);
        }
        catch (Exception failure) when (failure is CloudException { IsTransient: false } or FileNotFoundException)
        {
            (status, message) = ("failure", failure.Message);
            await data.ReleaseAsync(imageId, image.Claim);
        }

        staging.Remove(imageId);
        await tasks.SetAsync(task.Id, status, message);
        return ReconcileResult.Done;
    }
}
