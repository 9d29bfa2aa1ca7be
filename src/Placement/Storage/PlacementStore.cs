using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation.Storage;

namespace SharpStack.Placement.Storage;

/// <summary>Placement's database: reading sessions, and write transactions that carry a revision.</summary>
internal sealed class PlacementStore(ServiceDatabase database, TimeProvider time)
{
    /// <summary>Adds the standard names that the database lacks.</summary>
    public Task AddStandardNamesAsync(CancellationToken cancellationToken) =>
        database.WriteAsync(
            async session =>
            {
                var now = time.NowMicroseconds();
                var classes = await session.GetTable<ResourceClassRow>().Select(row => row.Name).ToListAsync(cancellationToken);
                var missing = StandardNames.ResourceClasses
                    .Select((name, index) => new ResourceClassRow { Id = index, Name = name, CreatedAt = now })
                    .ExceptBy(classes, row => row.Name)
                    .ToList();
                var traits = await session.GetTable<TraitRow>().ToListAsync(cancellationToken);
                var next = traits.Select(row => row.Id).DefaultIfEmpty(0).Max() + 1;
                var missingTraits = StandardNames.Traits.Except(traits.Select(row => row.Name))
                    .Select(name => new TraitRow { Id = next++, Name = name, CreatedAt = now })
                    .ToList();
                if (missing.Count + missingTraits.Count > 0)
                {
                    await session.BulkCopyAsync(missing, cancellationToken);
                    await session.BulkCopyAsync(missingTraits, cancellationToken);
                    await session.GetTable<ChangeState>()
                        .Set(row => row.Revision, row => row.Revision + 1)
                        .Set(row => row.Names, row => row.Revision + 1)
                        .UpdateAsync(cancellationToken);
                }
            },
            cancellationToken);

    public DataConnection Read() => database.Read();

    /// <summary>Runs <paramref name="work"/> as the only writer; see <see cref="WriteSession"/>.</summary>
    public Task<T> WriteAsync<T>(Func<WriteSession, Task<T>> work, CancellationToken cancellationToken) =>
        database.WriteAsync(
            async connection =>
            {
                await connection.GetTable<ChangeState>().Set(row => row.Revision, row => row.Revision + 1).UpdateAsync(cancellationToken);
                var state = await connection.GetTable<ChangeState>().FirstAsync(cancellationToken);
                return await work(new WriteSession(connection, state.Revision, state.Names, time.NowMicroseconds(), cancellationToken));
            },
            cancellationToken);

    public Task WriteAsync(Func<WriteSession, Task> work, CancellationToken cancellationToken) =>
        WriteAsync(
            async session =>
            {
                await work(session);
                return true;
            },
            cancellationToken);
}

/// <summary>A write transaction of Placement.</summary>
/// <param name="Db">Its connection.</param>
/// <param name="Revision">Its own revision; no other transaction has it.</param>
/// <param name="Names">The revision that last changed a resource class or trait.</param>
/// <param name="Now">Microseconds since 1970, UTC.</param>
/// <param name="Cancelled">Ends the request's work.</param>
internal sealed record WriteSession(DataConnection Db, long Revision, long Names, long Now, CancellationToken Cancelled)
{
    /// <summary>Marks providers as changed for those who hold them in memory, and raises their generations where that is asked for.</summary>
    public Task TouchAsync(IReadOnlyCollection<long> providers, bool raiseGeneration)
    {
        if (providers.Count == 0)
        {
            return Task.CompletedTask;
        }

        var raise = raiseGeneration ? 1 : 0;
        return Db.GetTable<ProviderRow>()
            .Where(row => providers.Contains(row.Id))
            .Set(row => row.Generation, row => row.Generation + raise)
            .Set(row => row.Revision, Revision)
            .Set(row => row.UpdatedAt, Now)
            .UpdateAsync(Cancelled);
    }

    /// <summary>To be called where a provider was removed.</summary>
    public Task StructureChangedAsync() => Db.GetTable<ChangeState>().Set(row => row.Structure, Revision).UpdateAsync(Cancelled);

    /// <summary>To be called where a resource class or trait was added, renamed or removed.</summary>
    public Task NamesChangedAsync() => Db.GetTable<ChangeState>().Set(row => row.Names, Revision).UpdateAsync(Cancelled);
}
