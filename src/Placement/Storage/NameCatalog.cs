using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation;

namespace SharpStack.Placement.Storage;

/// <summary>All resource classes and traits at one revision; never changed.</summary>
internal sealed class Names(long revision, IReadOnlyList<ResourceClassRow> classes, IReadOnlyList<TraitRow> traits)
{
    private readonly Dictionary<string, ResourceClassRow> classesByName = classes.ToDictionary(row => row.Name);
    private readonly Dictionary<int, string> classNames = classes.ToDictionary(row => row.Id, row => row.Name);
    private readonly Dictionary<string, TraitRow> traitsByName = traits.ToDictionary(row => row.Name);
    private readonly Dictionary<int, string> traitNames = traits.ToDictionary(row => row.Id, row => row.Name);

    public long Revision { get; } = revision;

    public IReadOnlyList<ResourceClassRow> Classes { get; } = classes;

    public IReadOnlyList<TraitRow> Traits { get; } = traits;

    public ResourceClassRow? FindClass(string name) => classesByName.GetValueOrDefault(name);

    public TraitRow? FindTrait(string name) => traitsByName.GetValueOrDefault(name);

    public string ClassName(int id) => classNames[id];

    public string TraitName(int id) => traitNames[id];

    /// <exception cref="UnknownNameException">No such resource class.</exception>
    public int ClassId(string name) => FindClass(name)?.Id ?? throw new UnknownNameException($"No such resource class {name}.", isTrait: false);

    /// <exception cref="UnknownNameException">No such trait.</exception>
    public int TraitId(string name) => FindTrait(name)?.Id ?? throw new UnknownNameException($"No such trait(s): {name}.", isTrait: true);
}

/// <summary>A resource class or trait that nobody defined; what status that is depends on where it was named.</summary>
internal sealed class UnknownNameException(string message, bool isTrait) : CloudException(ErrorKind.NotFound, message)
{
    public bool IsTrait { get; } = isTrait;
}

/// <summary>Keeps the names in memory, coherent with the database.</summary>
internal sealed class NameCatalog(PlacementStore store)
{
    private Names names = new(-1, [], []);

    public async ValueTask<Names> CurrentAsync(CancellationToken cancellationToken)
    {
        await using var session = store.Read();
        return await CurrentAsync(session, cancellationToken);
    }

    public async ValueTask<Names> CurrentAsync(DataConnection session, CancellationToken cancellationToken) =>
        await AtAsync(session, await session.GetTable<ChangeState>().Select(row => row.Names).FirstAsync(cancellationToken), cancellationToken);

    /// <summary>The names as a write transaction sees them.</summary>
    public ValueTask<Names> CurrentAsync(WriteSession session) => AtAsync(session.Db, session.Names, session.Cancelled);

    /// <summary>The names at a revision that was read in the same session.</summary>
    public async ValueTask<Names> AtAsync(DataConnection session, long revision, CancellationToken cancellationToken)
    {
        var known = names;
        if (known.Revision == revision)
        {
            return known;
        }

        return names = new Names(
            revision,
            await session.GetTable<ResourceClassRow>().OrderBy(row => row.Id).ToListAsync(cancellationToken),
            await session.GetTable<TraitRow>().OrderBy(row => row.Id).ToListAsync(cancellationToken));
    }
}
