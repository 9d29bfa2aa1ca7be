using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation.Bus;
using SharpStack.Foundation.Storage;

namespace SharpStack.Neutron.Storage;

/// <summary>Neutron's database, and the rule that hints leave only after what they tell of is committed.</summary>
internal sealed class NeutronStore(ServiceDatabase database, IMessageBus bus, TimeProvider time)
{
    /// <summary>Called after a transaction that left events for Nova.</summary>
    public Func<ValueTask>? NovaEventsWritten { get; set; }

    public TimeProvider Time => time;

    public ServiceDatabase Database => database;

    public DataConnection Read() => database.Read();

    /// <summary>One write transaction; its hints are sent when it is committed.</summary>
    public async Task<T> WriteAsync<T>(Func<Work, Task<T>> run, CancellationToken cancellationToken)
    {
        Work? committed = null;
        var result = await database.WriteAsync(
            async session =>
            {
                var work = new Work(session, time.NowMicroseconds(), cancellationToken);
                var value = await run(work);
                committed = work;
                return value;
            },
            cancellationToken);
        await committed!.SendAsync(bus);
        if (committed.HasNovaEvents && NovaEventsWritten is { } tell)
        {
            await tell();
        }

        return result;
    }

    public Task WriteAsync(Func<Work, Task> run, CancellationToken cancellationToken) =>
        WriteAsync(
            async work =>
            {
                await run(work);
                return true;
            },
            cancellationToken);
}

/// <summary>One write transaction: its session, its moment, and what is to be told once it is committed.</summary>
internal sealed class Work(DataConnection db, long now, CancellationToken cancellation)
{
    private readonly List<Func<IMessageBus, ValueTask>> hints = [];
    private readonly Dictionary<string, object> known = new(StringComparer.Ordinal);

    public DataConnection Db { get; } = db;

    /// <summary>Microseconds since 1970.</summary>
    public long Now { get; } = now;

    public CancellationToken Cancellation { get; } = cancellation;

    public bool HasNovaEvents { get; private set; }

    /// <summary>Keeps a resource as it will be shown, so that what this transaction wrote need not be read again. Whoever changes it after that must not.</summary>
    public void Remember<TView>(string id, TView view)
        where TView : class => known[id] = view;

    public TView? Recall<TView>(string id)
        where TView : class => known.GetValueOrDefault(id) as TView;

    public void Hint(Func<IMessageBus, ValueTask> send) => hints.Add(send);

    /// <summary>Leaves an event for Nova, to be delivered at least once.</summary>
    public async Task TellNovaAsync(string name, string serverId, string? tag, string status = "completed")
    {
        await Db.InsertAsync(new NovaEventRow { Name = name, ServerId = serverId, Tag = tag, Status = status }, token: Cancellation);
        HasNovaEvents = true;
    }

    /// <summary>Gives a new resource its id and times.</summary>
    public T Stamp<T>(T row)
        where T : ResourceRow
    {
        if (row.Id.Length == 0)
        {
            row.Id = Guid.NewGuid().ToString("D");
        }

        row.CreatedAt = row.UpdatedAt = Now;
        return row;
    }

    /// <summary>Marks a change of a resource: next revision, new time. The row is still to be written.</summary>
    public void Bump(ResourceRow row)
    {
        row.Revision++;
        row.UpdatedAt = Now;
    }

    public async Task SendAsync(IMessageBus bus)
    {
        foreach (var hint in hints)
        {
            await hint(bus);
        }
    }
}
