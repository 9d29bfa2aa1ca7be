using Microsoft.Extensions.Logging;
using SharpStack.Foundation;
using SharpStack.Foundation.Bus;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Reconciling;
using SharpStack.Nova.Compute.Drivers;
using SharpStack.Nova.Compute.Hosts;
using SharpStack.Nova.Compute.Instances;
using SharpStack.Nova.Contracts;

namespace SharpStack.Nova.Compute;

/// <summary>nova-compute for one host: its driver, its reconciler, its heartbeat and what it answers.</summary>
internal sealed partial class ComputeService : IAsyncDisposable
{
    private readonly string host;
    private readonly IMessageBus bus;
    private readonly IComputeDriver driver;
    private readonly ServiceConfig config;
    private readonly TimeProvider time;
    private readonly ILogger log;
    private readonly Func<ServiceConfig, CancellationToken, Task<ComputeView>>? inspect;
    private readonly InstanceReconciler instances;
    private readonly HostReporter reporter;
    private readonly CancellationTokenSource stopping = new();
    private readonly List<IDisposable> served = [];
    private readonly List<Task> loops = [];
    private bool disposed;

    public ComputeService(string host, IMessageBus bus, IComputeDriver driver, ServiceConfig config, TimeProvider time, ILogger log, ReconcilerOptions? options = null, Func<ServiceConfig, CancellationToken, Task<ComputeView>>? inspect = null)
    {
        this.host = host;
        this.bus = bus;
        this.driver = driver;
        this.config = config;
        this.time = time;
        this.log = log;
        this.inspect = inspect;
        instances = new InstanceReconciler(host, bus, driver, config, time, log, options);
        reporter = new HostReporter(host, bus, driver, config, time, log);
    }

    internal InstanceReconciler Instances => instances;

    internal HostReporter Reporter => reporter;

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        await driver.StartAsync(cancellationToken);
        served.Add(bus.Serve(ComputeContract.InstanceChanged, host, (hint, _) =>
        {
            instances.Enqueue(hint.Id);
            return Task.FromResult(Ack.Ok);
        }));
        served.Add(bus.Serve(ComputeContract.GetConsoleOutput, host, GetConsoleOutputAsync));
        served.Add(bus.Serve(ComputeContract.GetDiagnostics, host, GetDiagnosticsAsync));
        served.Add(bus.Serve(ComputeContract.CacheImages, host, CacheImagesAsync));
        served.Add(bus.Serve(ComputeContract.Inspect, host, (_, cancellation) => InspectAsync(cancellation)));
        bus.Reconnected += instances.EnqueueAll;
        reporter.Start();
        instances.Start();
        loops.Add(FollowChangesAsync());
        loops.Add(CleanAsync());
    }

    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref disposed, true))
        {
            return;
        }

        bus.Reconnected -= instances.EnqueueAll;
        served.ForEach(each => each.Dispose());
        await stopping.CancelAsync();
        await instances.DisposeAsync();
        await reporter.DisposeAsync();
        await Task.WhenAll(loops);
        await driver.DisposeAsync();
        stopping.Dispose();
    }

    private async Task<ConsoleOutput> GetConsoleOutputAsync(ConsoleOutputQuery query, CancellationToken cancellationToken) =>
        await driver.ReadConsoleAsync(query.Id, query.Lines, cancellationToken) is { } text
            ? new ConsoleOutput(text)
            : throw CloudException.Conflict($"Instance {query.Id} is not ready: its console has nothing to read until the guest has been started.");

    private async Task<GuestDiagnostics> GetDiagnosticsAsync(DiagnosticsQuery query, CancellationToken cancellationToken) =>
        await driver.DiagnoseAsync(query.Id, cancellationToken)
            ?? throw CloudException.Conflict($"Instance {query.Id} does not run: only a running guest can be diagnosed.");

    private async Task<Ack> CacheImagesAsync(ImagesToCache wanted, CancellationToken cancellationToken)
    {
        foreach (var image in wanted.Images)
        {
            try
            {
                await driver.CacheImageAsync(image, cancellationToken);
            }
            catch (Exception failure) when (failure is not OperationCanceledException)
            {
                LogNotCached(host, image.Id, failure);
            }
        }

        return Ack.Ok;
    }

    private async Task<ComputeView> InspectAsync(CancellationToken cancellationToken)
    {
        if (!driver.IsSimulated && inspect is not null)
        {
            return await inspect(config, cancellationToken);
        }

        var guests = new List<GuestView>();
        foreach (var id in await driver.ListAsync(cancellationToken))
        {
            guests.Add(new GuestView(id, id, (await driver.InspectAsync(id, cancellationToken)).Power));
        }

        return new ComputeView(host) { IsSimulated = driver.IsSimulated, Guests = guests };
    }

    private async Task FollowChangesAsync()
    {
        try
        {
            await foreach (var id in driver.Changes.ReadAllAsync(stopping.Token))
            {
                if (id is null)
                {
                    instances.EnqueueAll();
                }
                else
                {
                    instances.Enqueue(id);
                }
            }
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
        }
    }

    private async Task CleanAsync()
    {
        using var timer = new PeriodicTimer(TimeSpan.FromSeconds(config.Get(ComputeOptions.ImageCacheInterval)), time);
        try
        {
            while (await timer.WaitForNextTickAsync(stopping.Token))
            {
                try
                {
                    await driver.CleanAsync(stopping.Token);
                }
                catch (Exception failure) when (failure is not OperationCanceledException)
                {
                    LogCleaningFailed(host, failure);
                }
            }
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
        }
    }

    [LoggerMessage(EventId = 5002, Level = LogLevel.Warning, Message = "Compute host {Host} could not fetch image {Image} ahead of need: the first server that needs it fetches it")]
    private partial void LogNotCached(string host, string image, Exception failure);

    [LoggerMessage(EventId = 5001, Level = LogLevel.Warning, Message = "Compute host {Host}: cleaning up failed and will be tried again")]
    private partial void LogCleaningFailed(string host, Exception failure);
}
