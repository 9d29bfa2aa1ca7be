using LinqToDB.Data;
using Microsoft.Extensions.Logging;
using SharpStack.Foundation.Bus;
using SharpStack.Foundation.Reconciling;
using SharpStack.Foundation.Storage.Leases;
using SharpStack.Neutron.Notifications;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.Agents;

/// <summary>Gives agents to what has too few of them, one thing at a time; of several servers one does it for all.</summary>
internal abstract class SchedulingReconciler : IAsyncDisposable
{
    private readonly string key;
    private readonly LeaseShare share;
    private readonly IMessageBus bus;
    private readonly Reconciler<string> reconciler;

    /// <param name="key">The lease, and the name of the work.</param>
    /// <param name="listNeedy">The ids of what may have too few agents.</param>
    /// <param name="ensure">Looks after one of them, within a transaction that holds the lease.</param>
    protected SchedulingReconciler(
        string key,
        LeaseShare share,
        NeutronStore store,
        Func<DataConnection, CancellationToken, Task<IReadOnlyCollection<string>>> listNeedy,
        Func<Work, string, Task> ensure,
        IMessageBus bus,
        TimeProvider time,
        ILogger log)
    {
        this.key = key;
        this.share = share;
        this.bus = bus;
        reconciler = new Reconciler<string>(
            $"neutron-{key}",
            async (id, cancellation) =>
            {
                using var hold = share.TryEnter(key);
                if (hold is null)
                {
                    return ReconcileResult.Done;
                }

                await store.WriteAsync(
                    async work =>
                    {
                        await hold.Lease.CheckAsync(work.Db, work.Cancellation);
                        await ensure(work, id);
                    },
                    cancellation);
                return ReconcileResult.Done;
            },
            async cancellation =>
            {
                if (!share.Holds(key))
                {
                    return [];
                }

                await using var db = store.Read();
                return await listNeedy(db, cancellation);
            },
            new ReconcilerOptions { Parallelism = 1 },
            time,
            log);
        share.Gained += reconciler.EnqueueAll;
    }

    public void Start() => reconciler.Start();

    /// <summary>Looks at everything soon, where this server does.</summary>
    public void Look() => reconciler.EnqueueAll();

    /// <summary>Has the server that does it look at everything soon.</summary>
    public ValueTask LookAtAllAsync()
    {
        if (!share.Holds(key))
        {
            return bus.FanoutAsync(ServerHints.WorkToDo, new WorkHint(key));
        }

        reconciler.EnqueueAll();
        return ValueTask.CompletedTask;
    }

    public ValueTask DisposeAsync() => reconciler.DisposeAsync();
}
