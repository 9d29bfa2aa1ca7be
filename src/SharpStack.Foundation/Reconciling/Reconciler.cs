using System.Diagnostics.Metrics;
using System.Threading.Channels;
using Microsoft.Extensions.Logging;

namespace SharpStack.Foundation.Reconciling;

/// <summary>What a reconciliation leaves behind: nothing to do, or a wish to look again after a while.</summary>
public readonly record struct ReconcileResult(TimeSpan? Again)
{
    public static ReconcileResult Done => default;

    public static ReconcileResult After(TimeSpan delay) => new(delay);
}

public sealed record ReconcilerOptions
{
    /// <summary>How many keys are worked on at once; one key is never worked on twice at once.</summary>
    public int Parallelism { get; init; } = 4;

    public TimeSpan FirstRetry { get; init; } = TimeSpan.FromSeconds(1);

    public TimeSpan LongestRetry { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>How often every key is looked at without a hint.</summary>
    public TimeSpan FullPeriod { get; init; } = TimeSpan.FromMinutes(1);
}

/// <summary>
/// The one shape of everything that acts: a keyed queue, deduplicated, one key at a time, retry with back-off, and
/// all keys at the start, on reconnect and on a slow period. The function takes no input but the key: it reads what should be,
/// looks at what is, makes the difference smaller and reports what it saw. A key enqueued while it is being worked on is worked on again after.
/// </summary>
public sealed partial class Reconciler<TKey> : IAsyncDisposable
    where TKey : notnull
{
    /// <summary>Whoever lists the keys is asked this often at least, so that what was missed meanwhile is not late.</summary>
    private static readonly TimeSpan LongestListRetry = TimeSpan.FromSeconds(5);

    private readonly string name;
    private readonly Func<TKey, CancellationToken, Task<ReconcileResult>> reconcile;
    private readonly Func<CancellationToken, Task<IReadOnlyCollection<TKey>>> listAll;
    private readonly ReconcilerOptions options;
    private readonly TimeProvider time;
    private readonly ILogger log;
    private readonly Channel<TKey> ready = Channel.CreateUnbounded<TKey>();
    private readonly Dictionary<TKey, Entry> entries = [];
    private readonly CancellationTokenSource stopping = new();
    private readonly List<TaskCompletionSource> idleWaiters = [];
    private Task? running;
    private bool disposed;
    private ITimer? fullTimer;
    private TimeSpan listRetry;

    public Reconciler(
        string name,
        Func<TKey, CancellationToken, Task<ReconcileResult>> reconcile,
        Func<CancellationToken, Task<IReadOnlyCollection<TKey>>> listAll,
        ReconcilerOptions options,
        TimeProvider time,
        ILogger log)
    {
        this.name = name;
        this.reconcile = reconcile;
        this.listAll = listAll;
        this.options = options;
        this.time = time;
        this.log = log;
    }

    private sealed class Entry
    {
        public bool Queued;
        public bool Running;
        public bool Dirty;
        public int Failures;
        public ITimer? Timer;
    }

    /// <summary>Starts the workers and enqueues every key there is.</summary>
    public void Start()
    {
        if (running is not null)
        {
            throw new InvalidOperationException($"The reconciler {name} runs already.");
        }

        running = Task.WhenAll(Enumerable.Range(0, options.Parallelism).Select(_ => Task.Run(WorkAsync)));
        // The first look is not the timer's: where it fails it sets the timer, which has to be there.
        fullTimer = time.CreateTimer(_ => EnqueueAll(), null, options.FullPeriod, options.FullPeriod);
        EnqueueAll();
    }

    public void Enqueue(TKey key)
    {
        lock (entries)
        {
            var entry = EntryOf(key);
            entry.Timer?.Dispose();
            entry.Timer = null;
            MakeReady(key, entry);
        }
    }

    /// <summary>Looks at every key soon: at the start, after a reconnect, on the slow period.</summary>
    public void EnqueueAll() => _ = EnqueueAllAsync();

    /// <summary>Completes when nothing is queued or being worked on; keys that wait for a retry or a later look do not count.</summary>
    public Task WhenIdleAsync()
    {
        lock (entries)
        {
            if (IsIdle())
            {
                return Task.CompletedTask;
            }

            var waiter = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            idleWaiters.Add(waiter);
            return waiter.Task;
        }
    }

    public async ValueTask DisposeAsync()
    {
        // A worker stops its reconciler, and the container disposes what it holds once more.
        if (Interlocked.Exchange(ref disposed, true))
        {
            return;
        }

        await stopping.CancelAsync();
        ready.Writer.TryComplete();
        if (fullTimer is not null)
        {
            await fullTimer.DisposeAsync();
        }

        lock (entries)
        {
            foreach (var entry in entries.Values)
            {
                entry.Timer?.Dispose();
            }
        }

        if (running is not null)
        {
            await running;
        }

        stopping.Dispose();
    }

    private async Task EnqueueAllAsync()
    {
        try
        {
            foreach (var key in await listAll(stopping.Token))
            {
                Enqueue(key);
            }

            listRetry = TimeSpan.Zero;
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
        }
        catch (ObjectDisposedException)
        {
        }
        catch (Exception failure)
        {
            // Who answers the list is away: where it came from is no news, and asking without a pause would not help it back.
            if (failure is CloudException { IsTransient: true })
            {
                LogListNotRead(name, failure.Message);
            }
            else
            {
                LogListFailed(name, failure);
            }

            if (!stopping.IsCancellationRequested)
            {
                listRetry = listRetry == TimeSpan.Zero || options.FirstRetry > LongestListRetry ? options.FirstRetry
                    : listRetry * 2 < LongestListRetry ? listRetry * 2 : LongestListRetry;
                fullTimer?.Change(listRetry, options.FullPeriod);
            }
        }
    }

    private async Task WorkAsync()
    {
        try
        {
            await foreach (var key in ready.Reader.ReadAllAsync(stopping.Token))
            {
                lock (entries)
                {
                    var entry = entries[key];
                    entry.Queued = false;
                    entry.Running = true;
                }

                await WorkOnAsync(key);
            }
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
        }
    }

    private async Task WorkOnAsync(TKey key)
    {
        TimeSpan? again = null;
        var failed = false;
        var started = time.GetTimestamp();
        try
        {
            again = (await reconcile(key, stopping.Token)).Again;
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
            return;
        }
        catch (Exception failure)
        {
            failed = true;
            if (failure is CloudException { IsTransient: true })
            {
                LogNotYet(name, key.ToString()!, failure.Message);
            }
            else
            {
                LogFailed(name, key.ToString()!, failure);
            }
        }

        ReconcilerMetrics.Duration.Record(
            time.GetElapsedTime(started).TotalSeconds, new KeyValuePair<string, object?>("reconciler", name), new KeyValuePair<string, object?>("failed", failed));
        lock (entries)
        {
            var entry = entries[key];
            entry.Running = false;
            entry.Failures = failed ? entry.Failures + 1 : 0;
            if (entry.Dirty)
            {
                entry.Dirty = false;
                MakeReady(key, entry);
            }
            else if (failed || again is not null)
            {
                var delay = failed ? BackOff(entry.Failures) : again!.Value;
                entry.Timer = time.CreateTimer(_ => Enqueue(key), null, delay, Timeout.InfiniteTimeSpan);
            }
            else
            {
                entries.Remove(key);
            }

            if (IsIdle())
            {
                idleWaiters.ForEach(waiter => waiter.TrySetResult());
                idleWaiters.Clear();
            }
        }
    }

    private TimeSpan BackOff(int failures)
    {
        var factor = Math.Pow(2, Math.Min(failures - 1, 20)) * (0.75 + (Random.Shared.NextDouble() * 0.5));
        return TimeSpan.FromTicks(Math.Min((long)(options.FirstRetry.Ticks * factor), options.LongestRetry.Ticks));
    }

    private bool IsIdle() => entries.Values.All(entry => !entry.Queued && !entry.Running);

    private Entry EntryOf(TKey key)
    {
        if (!entries.TryGetValue(key, out var entry))
        {
            entries[key] = entry = new Entry();
        }

        return entry;
    }

    private void MakeReady(TKey key, Entry entry)
    {
        if (entry.Running)
        {
            entry.Dirty = true;
        }
        else if (!entry.Queued)
        {
            entry.Queued = true;
            ready.Writer.TryWrite(key);
        }
    }

    [LoggerMessage(EventId = 1001, Level = LogLevel.Warning, Message = "Reconciler {Name}: {Key} failed and will be tried again")]
    private partial void LogFailed(string name, string key, Exception failure);

    [LoggerMessage(EventId = 1003, Level = LogLevel.Warning, Message = "Reconciler {Name}: the list of keys cannot be read and will be tried again: {Reason}")]
    private partial void LogListNotRead(string name, string reason);

    [LoggerMessage(EventId = 1004, Level = LogLevel.Warning, Message = "Reconciler {Name}: {Key} failed and will be tried again: {Reason}")]
    private partial void LogNotYet(string name, string key, string reason);

    [LoggerMessage(EventId = 1002, Level = LogLevel.Warning, Message = "Reconciler {Name}: the list of keys cannot be read and will be tried again")]
    private partial void LogListFailed(string name, Exception failure);
}

internal static class ReconcilerMetrics
{
    private static readonly Meter Meter = new("SharpStack.Reconciling");

    public static readonly Histogram<double> Duration = Meter.CreateHistogram<double>("sharpstack.reconcile.duration", "s", "Time of one reconciliation of one key.");
}
