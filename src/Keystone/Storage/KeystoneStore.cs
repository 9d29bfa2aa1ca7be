using LinqToDB.Data;
using SharpStack.Foundation.Storage;

namespace SharpStack.Keystone.Storage;

/// <summary>The identity database. It is opened and migrated at first use, and every write that is committed moves <see cref="Revision"/> on.</summary>
internal sealed class KeystoneStore(string url) : IAsyncDisposable
{
    private readonly Lazy<ServiceDatabase> database = new(() =>
    {
        var opened = new ServiceDatabase(url, typeof(KeystoneStore).Assembly, typeof(M0001Identity).Namespace!);
        opened.Migrate();
        return opened;
    });

    private long revision;

    /// <summary>Whatever was read before this number changed may be out of date.</summary>
    public long Revision => Interlocked.Read(ref revision);

    public void Open() => _ = database.Value;

    public DataConnection Read() => database.Value.Read();

    public async Task<T> WriteAsync<T>(Func<DataConnection, Task<T>> work, CancellationToken cancellationToken)
    {
        try
        {
            return await database.Value.WriteAsync(work, cancellationToken);
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

    public ValueTask DisposeAsync() => database.IsValueCreated ? database.Value.DisposeAsync() : ValueTask.CompletedTask;
}
