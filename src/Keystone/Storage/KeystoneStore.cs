using LinqToDB.Data;
using SharpStack.Foundation.Storage;

namespace SharpStack.Keystone.Storage;

/// <summary>The identity database. Every write that is committed moves <see cref="Revision"/> on.</summary>
internal sealed class KeystoneStore(ServiceDatabase database)
{
    private long revision;

    /// <summary>Whatever was read before this number changed may be out of date.</summary>
    public long Revision => Interlocked.Read(ref revision);

    public DataConnection Read() => database.Read();

    public async Task<T> WriteAsync<T>(Func<DataConnection, Task<T>> work, CancellationToken cancellationToken)
    {
        try
        {
            return await database.WriteAsync(work, cancellationToken);
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
}
