using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation.Storage;

namespace SharpStack.Keystone.Storage;

/// <summary>
/// The identity database, which other processes may write too. Every write begins by raising the one row <c>identity_state</c>, which also puts
/// writers one after the other, so that ids grow in the order of commits.
/// </summary>
internal sealed class KeystoneStore(ServiceDatabase database, TimeProvider time) : IDisposable
{
    /// <summary>How long a write of another process may go unseen.</summary>
    public static readonly TimeSpan CheckPeriod = TimeSpan.FromMilliseconds(200);

    private readonly SemaphoreSlim checking = new(1);
    private long revision;
    private long epoch;
    private long checkedAt;
    private bool hasChecked;

    /// <summary>Whatever was read before this number changed may be out of date. It is this process's own.</summary>
    public long Revision => Interlocked.Read(ref revision);

    /// <summary>The database's number of the last change that this process knows of; the same in all processes.</summary>
    public long Epoch => Interlocked.Read(ref epoch);

    public DataConnection Read() => database.Read();

    /// <summary>
    /// Looks whether another process has written, at most once in <see cref="CheckPeriod"/>: what is read from <see cref="Revision"/> on after this knows
    /// of everything that was committed that long ago.
    /// </summary>
    public ValueTask CheckAsync(CancellationToken cancellationToken) => IsChecked() ? ValueTask.CompletedTask : CheckOnceAsync(cancellationToken);

    /// <summary>What the processes on this database, and nobody else, have in common.</summary>
    public async Task<string> SecretAsync(CancellationToken cancellationToken)
    {
        await using var db = Read();
        return await db.GetTable<IdentityStateRow>().Where(static s => s.Id == IdentityStateRow.TheOne).Select(static s => s.Secret).SingleAsync(cancellationToken);
    }

    public async Task<T> WriteAsync<T>(Func<DataConnection, Task<T>> work, CancellationToken cancellationToken)
    {
        try
        {
            var raised = 0L;
            var result = await database.WriteAsync(
                async db =>
                {
                    await db.GetTable<IdentityStateRow>().Where(static s => s.Id == IdentityStateRow.TheOne).Set(static s => s.Revision, static s => s.Revision + 1).UpdateAsync(cancellationToken);
                    raised = await ReadEpochAsync(db, cancellationToken);
                    return await work(db);
                },
                cancellationToken);
            Interlocked.Exchange(ref epoch, Math.Max(Epoch, raised));
            return result;
        }
        catch
        {
            // The answer to a commit may be lost, and the commit done.
            Volatile.Write(ref hasChecked, false);
            throw;
        }
        finally
        {
            Interlocked.Increment(ref revision);
        }
    }

    public Task WriteAsync(Func<DataConnection, Task> work, CancellationToken cancellationToken) =>
        WriteAsync(
            async db =>
            {
                await work(db);
                return true;
            },
            cancellationToken);

    public void Dispose() => checking.Dispose();

    private static Task<long> ReadEpochAsync(DataConnection db, CancellationToken cancellationToken) =>
        db.GetTable<IdentityStateRow>().Where(static s => s.Id == IdentityStateRow.TheOne).Select(static s => s.Revision).SingleAsync(cancellationToken);

    private bool IsChecked() => Volatile.Read(ref hasChecked) && time.GetElapsedTime(Interlocked.Read(ref checkedAt)) < CheckPeriod;

    private async ValueTask CheckOnceAsync(CancellationToken cancellationToken)
    {
        await checking.WaitAsync(cancellationToken);
        try
        {
            if (IsChecked())
            {
                return;
            }
            var at = time.GetTimestamp();
            await using var db = Read();
            var found = await ReadEpochAsync(db, cancellationToken);
            // Also one that is lower: a database that was restored.
            if (Interlocked.Exchange(ref epoch, found) != found)
            {
                Interlocked.Increment(ref revision);
            }
            Interlocked.Exchange(ref checkedAt, at);
            Volatile.Write(ref hasChecked, true);
        }
        finally
        {
            checking.Release();
        }
    }
}
