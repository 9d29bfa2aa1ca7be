using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation;
using SharpStack.Foundation.Storage;
using SharpStack.Foundation.Storage.Leases;
using SharpStack.Nova.Aggregates;
using SharpStack.Nova.Contracts;
using SharpStack.Nova.Servers;

namespace SharpStack.Nova.Storage;

/// <summary>Nova's database: sessions for reading, and write transactions.</summary>
internal sealed class NovaStore(ServiceDatabase database, TimeProvider time)
{
    public ServiceDatabase Database => database;

    /// <summary>A session for reading; dispose it soon.</summary>
    public NovaSession Read() => new(database.Read(), time.NowMicroseconds());

    /// <summary>Runs <paramref name="work"/> in one write transaction; it may be run again and does nothing but use its session.</summary>
    public Task<T> WriteAsync<T>(Func<NovaSession, Task<T>> work, CancellationToken cancellationToken) =>
        database.WriteAsync(connection => work(new NovaSession(connection, time.NowMicroseconds())), cancellationToken);

    public Task WriteAsync(Func<NovaSession, Task> work, CancellationToken cancellationToken) =>
        database.WriteAsync(connection => work(new NovaSession(connection, time.NowMicroseconds())), cancellationToken);

    /// <summary>Changes one instance that is not deleted; <paramref name="change"/> says whether there was anything to change.</summary>
    /// <returns>The row as it is now; null where the instance is gone.</returns>
    public Task<InstanceRow?> ChangeAsync(string uuid, Func<NovaSession, InstanceRow, Task<bool>> change, CancellationToken cancellationToken) =>
        WriteAsync(
            async session =>
            {
                if (await session.FindInstanceAsync(uuid, cancellationToken) is not { IsDeleted: false } row)
                {
                    return null;
                }

                if (await change(session, row))
                {
                    await session.SaveAsync(row, cancellationToken);
                }

                return row;
            },
            cancellationToken);

    public Task<InstanceRow?> ChangeAsync(string uuid, Func<InstanceRow, bool> change, CancellationToken cancellationToken) =>
        ChangeAsync(uuid, (_, row) => Task.FromResult(change(row)), cancellationToken);

    /// <summary>As the others, by who holds a lease for the instance.</summary>
    /// <exception cref="LeaseLostException">The lease is another's by now: nothing is changed.</exception>
    public Task<InstanceRow?> ChangeAsync(Lease lease, string uuid, Func<NovaSession, InstanceRow, Task<bool>> change, CancellationToken cancellationToken) =>
        ChangeAsync(
            uuid,
            async (session, row) =>
            {
                await lease.CheckAsync(session.Db, cancellationToken);
                return await change(session, row);
            },
            cancellationToken);

    public Task<InstanceRow?> ChangeAsync(Lease lease, string uuid, Func<InstanceRow, bool> change, CancellationToken cancellationToken) =>
        ChangeAsync(lease, uuid, (_, row) => Task.FromResult(change(row)), cancellationToken);
}

/// <summary>A session on Nova's tables.</summary>
internal sealed class NovaSession(DataConnection db, long now) : IAsyncDisposable
{
    public DataConnection Db { get; } = db;

    /// <summary>When the session began, microseconds since 1970.</summary>
    public long Now { get; } = now;

    public ITable<InstanceRow> Instances => Db.GetTable<InstanceRow>();

    public ITable<ActionRow> Actions => Db.GetTable<ActionRow>();

    public ITable<ActionEventRow> Events => Db.GetTable<ActionEventRow>();

    public ITable<FlavorRow> Flavors => Db.GetTable<FlavorRow>();

    public ITable<FlavorProjectRow> FlavorProjects => Db.GetTable<FlavorProjectRow>();

    public ITable<KeyPairRow> KeyPairs => Db.GetTable<KeyPairRow>();

    public ITable<ServiceRow> Services => Db.GetTable<ServiceRow>();

    public ITable<ComputeNodeRow> ComputeNodes => Db.GetTable<ComputeNodeRow>();

    public ITable<AggregateRow> Aggregates => Db.GetTable<AggregateRow>();

    public ITable<AggregateHostRow> AggregateHosts => Db.GetTable<AggregateHostRow>();

    public ITable<AggregateMetadataRow> AggregateMetadata => Db.GetTable<AggregateMetadataRow>();

    public ITable<QuotaRow> Quotas => Db.GetTable<QuotaRow>();

    public ITable<QuotaClassRow> QuotaClasses => Db.GetTable<QuotaClassRow>();

    public Task<InstanceRow?> FindInstanceAsync(string uuid, CancellationToken cancellationToken) =>
        InstanceQueries.ByUuid(Db, uuid, cancellationToken);

    /// <exception cref="CloudException">404 where there is none that is not deleted.</exception>
    public async Task<InstanceRow> GetInstanceAsync(string uuid, CancellationToken cancellationToken) =>
        await FindInstanceAsync(uuid, cancellationToken) is { IsDeleted: false } row
            ? row
            : throw CloudException.NotFound($"Instance {uuid} could not be found.");

    public Task<string?> UserDataAsync(string uuid, CancellationToken cancellationToken) =>
        Instances.Where(row => row.Uuid == uuid).Select(row => row.UserData).FirstOrDefaultAsync(cancellationToken);

    /// <summary>Writes a changed row under its next revision.</summary>
    public async Task SaveAsync(InstanceRow row, CancellationToken cancellationToken)
    {
        row.Revision++;
        row.UpdatedAt = Now;
        await Db.UpdateAsync(row, token: cancellationToken);
    }

    /// <summary>The action that the instance waits for; null for none.</summary>
    public Task<ActionRow?> PendingActionAsync(string uuid, CancellationToken cancellationToken) =>
        Actions.Where(action => action.InstanceId == uuid && action.Pending).OrderByDescending(action => action.Id).FirstOrDefaultAsync(cancellationToken);

    /// <summary>Ends an action.</summary>
    /// <param name="failed">Whether users see it with the message <c>Error</c>.</param>
    public Task FinishAsync(ActionRow action, bool failed, CancellationToken cancellationToken)
    {
        action.Pending = false;
        action.FinishedAt = Now;
        action.UpdatedAt = Now;
        action.Message = failed ? "Error" : null;
        return Db.UpdateAsync(action, token: cancellationToken);
    }

    public async Task<ActionRow> StartAsync(ActionRow action, CancellationToken cancellationToken) =>
        action with { Id = await Db.InsertWithInt64IdentityAsync(action, token: cancellationToken) };

    public Task AddEventAsync(ActionEventRow row, CancellationToken cancellationToken) => Db.InsertAsync(row, token: cancellationToken);

    public ValueTask DisposeAsync() => Db.DisposeAsync();
}

internal static class InstanceQueries
{
    private static readonly Func<DataConnection, string, CancellationToken, Task<InstanceRow?>> FindByUuid =
        CompiledQuery.Compile((DataConnection db, string uuid, CancellationToken cancellationToken) =>
            db.GetTable<InstanceRow>().Where(row => row.Uuid == uuid).FirstOrDefaultAsync(cancellationToken));

    public static Task<InstanceRow?> ByUuid(DataConnection db, string uuid, CancellationToken cancellationToken) => FindByUuid(db, uuid, cancellationToken);
}
