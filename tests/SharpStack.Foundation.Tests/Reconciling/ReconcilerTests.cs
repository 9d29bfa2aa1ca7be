using System.Collections.Concurrent;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using SharpStack.Foundation.Reconciling;
using SharpStack.TestKit;

namespace SharpStack.Foundation.Tests.Reconciling;

public sealed class ReconcilerTests
{
    private readonly FakeTimeProvider time = new();

    [Fact]
    public async Task At_the_start_every_key_is_looked_at()
    {
        var seen = new ConcurrentBag<int>();
        await using var reconciler = Make((key, _) => Count(seen, key), [1, 2, 3]);
        reconciler.Start();
        await Eventually.TrueAsync(() => seen.Count == 3, "three keys");
        Assert.Equal([1, 2, 3], seen.Order());
    }

    [Fact]
    public async Task A_key_is_never_worked_on_twice_at_once_and_is_worked_on_again_when_enqueued_meanwhile()
    {
        var runs = 0;
        var atOnce = 0;
        var most = 0;
        var go = new TaskCompletionSource();
        await using var reconciler = Make(
            async (_, _) =>
            {
                most = Math.Max(most, Interlocked.Increment(ref atOnce));
                Interlocked.Increment(ref runs);
                await go.Task;
                Interlocked.Decrement(ref atOnce);
                return ReconcileResult.Done;
            },
            []);
        reconciler.Start();
        reconciler.Enqueue(7);
        await Eventually.TrueAsync(() => runs == 1, "the first run");
        for (var i = 0; i < 10; i++)
        {
            reconciler.Enqueue(7);
        }

        go.SetResult();
        await reconciler.WhenIdleAsync();
        Assert.Equal(2, runs);
        Assert.Equal(1, most);
    }

    [Fact]
    public async Task A_failure_is_tried_again_later_and_later()
    {
        var runs = 0;
        await using var reconciler = Make((_, _) => Interlocked.Increment(ref runs) < 3 ? throw new InvalidOperationException("not yet") : Done(), []);
        reconciler.Start();
        reconciler.Enqueue(1);
        await reconciler.WhenIdleAsync();
        Assert.Equal(1, runs);
        time.Advance(TimeSpan.FromSeconds(0.5));
        await reconciler.WhenIdleAsync();
        Assert.Equal(1, runs);
        time.Advance(TimeSpan.FromSeconds(1));
        await Eventually.TrueAsync(() => runs == 2, "the second run");
        await reconciler.WhenIdleAsync();
        time.Advance(TimeSpan.FromSeconds(3));
        await Eventually.TrueAsync(() => runs == 3, "the third run");
        await reconciler.WhenIdleAsync();
        time.Advance(TimeSpan.FromSeconds(30));
        await reconciler.WhenIdleAsync();
        Assert.Equal(3, runs);
    }

    [Fact]
    public async Task A_wish_to_look_again_is_kept()
    {
        var runs = 0;
        await using var reconciler = Make((_, _) => Task.FromResult(Interlocked.Increment(ref runs) == 1 ? ReconcileResult.After(TimeSpan.FromSeconds(5)) : ReconcileResult.Done), []);
        reconciler.Start();
        reconciler.Enqueue(1);
        await reconciler.WhenIdleAsync();
        time.Advance(TimeSpan.FromSeconds(4));
        await reconciler.WhenIdleAsync();
        Assert.Equal(1, runs);
        time.Advance(TimeSpan.FromSeconds(1.5));
        await Eventually.TrueAsync(() => runs == 2, "the second look");
    }

    [Fact]
    public async Task A_lost_hint_costs_one_period()
    {
        var seen = new ConcurrentBag<int>();
        var keys = new List<int>();
        await using var reconciler = Make((key, _) => Count(seen, key), keys);
        reconciler.Start();
        await reconciler.WhenIdleAsync();
        keys.Add(5);
        time.Advance(TimeSpan.FromMinutes(1.1));
        await Eventually.TrueAsync(() => seen.Contains(5), "the key that no hint named");
    }

    [Fact]
    public async Task A_list_that_cannot_be_read_is_asked_for_less_and_less_often_but_every_five_seconds_at_least()
    {
        var asked = new ConcurrentQueue<DateTimeOffset>();
        await using var reconciler = new Reconciler<int>(
            "test",
            (_, _) => Done(),
            _ =>
            {
                asked.Enqueue(time.GetUtcNow());
                throw CloudException.Unavailable("Nobody serves it.");
            },
            new ReconcilerOptions(),
            time,
            NullLogger.Instance);
        reconciler.Start();
        await Eventually.TrueAsync(
            () =>
            {
                time.Advance(TimeSpan.FromMilliseconds(100));
                return asked.Count == 6;
            },
            "asked six times");
        var pauses = asked.Zip(asked.Skip(1), (earlier, later) => (later - earlier).TotalSeconds);
        // Time goes on in steps, and the next pause begins a moment after the failure.
        Assert.All(pauses.Zip([1, 2, 4, 5, 5]), pair => Assert.InRange(pair.First, pair.Second, pair.Second + 0.9));
    }

    private static Task<ReconcileResult> Done() => Task.FromResult(ReconcileResult.Done);

    private static Task<ReconcileResult> Count(ConcurrentBag<int> seen, int key)
    {
        seen.Add(key);
        return Done();
    }

    private Reconciler<int> Make(Func<int, CancellationToken, Task<ReconcileResult>> reconcile, IReadOnlyCollection<int> keys) =>
        new("test", reconcile, _ => Task.FromResult<IReadOnlyCollection<int>>([.. keys]), new ReconcilerOptions(), time, NullLogger.Instance);
}
