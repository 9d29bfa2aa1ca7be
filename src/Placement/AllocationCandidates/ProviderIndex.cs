using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Placement.ResourceProviders;
using SharpStack.Placement.Storage;

namespace SharpStack.Placement.AllocationCandidates;

/// <summary>Filters of <c>GET /resource_providers</c>.</summary>
internal sealed record ProviderFilter
{
    public string? Name { get; init; }

    public string? Uuid { get; init; }

    public string? InTree { get; init; }

    public required RequestGroup Group { get; init; }
}

/// <summary>
/// All providers in memory. Before each use the database is asked how far it has changed, and only the providers that did are read again, so that
/// writes of other processes are seen too. What is read here is never the ground for a write: claims check capacity in their own transaction.
/// </summary>
internal sealed class ProviderIndex(PlacementStore store, NameCatalog catalog) : IDisposable
{
    private static readonly Func<DataConnection, IQueryable<ChangeState>> State = CompiledQuery.Compile<DataConnection, IQueryable<ChangeState>>(
        session => session.GetTable<ChangeState>());

    private static readonly Func<DataConnection, long, IQueryable<ChangedProvider>> Changed = CompiledQuery.Compile<DataConnection, long, IQueryable<ChangedProvider>>(
        (session, known) =>
            from row in session.GetTable<ProviderRow>()
            join root in session.GetTable<ProviderRow>() on row.RootId equals root.Id
            from parent in session.GetTable<ProviderRow>().LeftJoin(parent => parent.Id == row.ParentId)
            where row.Revision > known
            select new ChangedProvider(row.Id, row.Uuid, row.Name, row.Generation, row.ParentId, parent == null ? null : parent.Uuid, row.RootId, root.Uuid, row.UpdatedAt));

    private static readonly Func<DataConnection, long, IQueryable<InventoryRow>> Inventories = CompiledQuery.Compile<DataConnection, long, IQueryable<InventoryRow>>(
        (session, known) =>
            from provider in session.GetTable<ProviderRow>()
            join row in session.GetTable<InventoryRow>() on provider.Id equals row.ProviderId
            where provider.Revision > known
            select row);

    private static readonly Func<DataConnection, long, IQueryable<Usage>> Usages = CompiledQuery.Compile<DataConnection, long, IQueryable<Usage>>(
        (session, known) =>
            from provider in session.GetTable<ProviderRow>()
            join row in session.GetTable<AllocationRow>() on provider.Id equals row.ProviderId
            where provider.Revision > known
            group row by new { row.ProviderId, row.ClassId } into used
            select new Usage(used.Key.ProviderId, used.Key.ClassId, used.Sum(row => row.Used)));

    private static readonly Func<DataConnection, long, IQueryable<ProviderTraitRow>> Traits = CompiledQuery.Compile<DataConnection, long, IQueryable<ProviderTraitRow>>(
        (session, known) =>
            from provider in session.GetTable<ProviderRow>()
            join row in session.GetTable<ProviderTraitRow>() on provider.Id equals row.ProviderId
            where provider.Revision > known
            select row);

    private static readonly Func<DataConnection, long, IQueryable<ProviderAggregateRow>> Aggregates = CompiledQuery.Compile<DataConnection, long, IQueryable<ProviderAggregateRow>>(
        (session, known) =>
            from provider in session.GetTable<ProviderRow>()
            join row in session.GetTable<ProviderAggregateRow>() on provider.Id equals row.ProviderId
            where provider.Revision > known
            select row);

    private readonly SemaphoreSlim gate = new(1);
    private readonly ProviderMap map = new();
    private long revision = -1;

    private sealed record ChangedProvider(long Id, string Uuid, string Name, long Generation, long? ParentId, string? ParentUuid, long RootId, string RootUuid, long UpdatedAt);

    private sealed record Usage(long ProviderId, int ClassId, long Used);

    /// <summary>Runs <paramref name="search"/> on the providers as they are now. It must not keep the map, but may keep nodes and trees.</summary>
    public async Task<T> SearchAsync<T>(Func<ProviderMap, Names, T> search, CancellationToken cancellationToken)
    {
        await gate.WaitAsync(cancellationToken);
        try
        {
            var names = await RefreshAsync(cancellationToken);
            return search(map, names);
        }
        finally
        {
            gate.Release();
        }
    }

    public Task<List<ResourceProvider>> ListAsync(ProviderFilter filter, CancellationToken cancellationToken) =>
        SearchAsync((providers, names) => ProviderListing.Find(providers, names, filter), cancellationToken);

    public void Dispose() => gate.Dispose();

    private async Task<Names> RefreshAsync(CancellationToken cancellationToken)
    {
        await using var session = store.Read();
        var state = await State(session).FirstAsync(cancellationToken);
        while (state.Revision != revision)
        {
            state = await LoadAsync(session, state, cancellationToken);
        }

        return await catalog.AtAsync(session, state.Names, cancellationToken);
    }

    /// <summary>Reads what changed up to a state.</summary>
    /// <returns>That state; or a newer one, where a name or the structure changed meanwhile: then what was read is forgotten.</returns>
    private async Task<ChangeState> LoadAsync(DataConnection session, ChangeState state, CancellationToken cancellationToken)
    {
        // A row that changes while this reads has a revision above the state's: the next refresh reads it again.
        var known = state.Structure > revision ? -1 : revision;
        var changed = await Changed(session, known).ToListAsync(cancellationToken);
        var nodes = new List<ProviderNode>(changed.Count);
        if (changed.Count > 0)
        {
            var used = (await Usages(session, known).ToListAsync(cancellationToken)).ToDictionary(row => (row.ProviderId, row.ClassId), row => row.Used);
            var inventories = (await Inventories(session, known).ToListAsync(cancellationToken)).ToLookup(row => row.ProviderId);
            var traits = (await Traits(session, known).ToListAsync(cancellationToken)).ToLookup(row => row.ProviderId, row => row.TraitId);
            var aggregates = (await Aggregates(session, known).ToListAsync(cancellationToken)).ToLookup(row => row.ProviderId, row => row.Aggregate);
            nodes.AddRange(changed.Select(row => new ProviderNode(
                new ResourceProvider(row.Id, row.Uuid, row.Name, row.Generation, row.ParentUuid, row.RootUuid, row.UpdatedAt),
                row.ParentId,
                row.RootId,
                [.. inventories[row.Id].OrderBy(inventory => inventory.ClassId).Select(inventory => new NodeInventory(inventory, used.GetValueOrDefault((row.Id, inventory.ClassId))))],
                [.. traits[row.Id].Order()],
                [.. aggregates[row.Id]])));

            // Another process may have added a class or removed a provider between two of these queries: the parts would not fit each other.
            var now = await State(session).FirstAsync(cancellationToken);
            if (now.Names != state.Names || now.Structure != state.Structure)
            {
                return now;
            }
        }

        var names = await catalog.AtAsync(session, state.Names, cancellationToken);
        revision = -1;
        map.Apply(nodes, anew: known < 0, names.TraitId(StandardNames.SharesViaAggregate));
        revision = state.Revision;
        return state;
    }
}

/// <summary>The providers by id, by UUID and by tree.</summary>
internal sealed class ProviderMap
{
    private readonly Dictionary<long, ProviderNode> nodes = [];
    private readonly Dictionary<string, ProviderNode> byUuid = [];
    private readonly Dictionary<long, ProviderTree> trees = [];
    private readonly Dictionary<long, ProviderNode> sharing = [];
    private List<long>? order;
    private int children;

    /// <summary>Whether any provider has a parent.</summary>
    public bool HasTrees => children > 0;

    public IReadOnlyCollection<ProviderNode> Sharing => sharing.Values;

    public IReadOnlyCollection<ProviderNode> All => nodes.Values;

    /// <summary>All trees, by the id of the root: the oldest first.</summary>
    public IEnumerable<ProviderTree> Trees
    {
        get
        {
            foreach (var root in order ??= [.. trees.Keys.Order()])
            {
                yield return trees[root];
            }
        }
    }

    public ProviderNode? Find(string uuid) => byUuid.GetValueOrDefault(uuid);

    public ProviderNode? Find(long id) => nodes.GetValueOrDefault(id);

    public ProviderTree? Tree(long root) => trees.GetValueOrDefault(root);

    /// <param name="changed">New and changed providers.</param>
    /// <param name="anew">These are all that there are.</param>
    /// <param name="sharingTrait">Marks those that share with their aggregates.</param>
    public void Apply(IReadOnlyList<ProviderNode> changed, bool anew, int sharingTrait)
    {
        if (anew)
        {
            nodes.Clear();
            byUuid.Clear();
            trees.Clear();
            sharing.Clear();
            children = 0;
            order = null;
        }

        var members = new Dictionary<long, HashSet<long>>();
        HashSet<long> Members(long root)
        {
            if (!members.TryGetValue(root, out var ids))
            {
                members[root] = ids = trees.TryGetValue(root, out var tree) ? [.. tree.Nodes.Select(node => node.Id)] : [];
            }

            return ids;
        }

        foreach (var node in changed)
        {
            if (nodes.TryGetValue(node.Id, out var former))
            {
                Members(former.RootId);
                children -= former.ParentId is null ? 0 : 1;
            }

            children += node.ParentId is null ? 0 : 1;
            nodes[node.Id] = node;
            byUuid[node.Provider.Uuid] = node;
            Members(node.RootId).Add(node.Id);
            if (node.HasTrait(sharingTrait))
            {
                sharing[node.Id] = node;
            }
            else
            {
                sharing.Remove(node.Id);
            }
        }

        foreach (var (root, ids) in members)
        {
            ProviderNode[] inTree = [.. ids.Select(id => nodes[id]).Where(node => node.RootId == root).OrderBy(node => node.Id)];
            if (inTree.Length == 0 || nodes[root].RootId != root)
            {
                order = trees.Remove(root) ? null : order;
            }
            else
            {
                order = trees.ContainsKey(root) ? order : null;
                trees[root] = new ProviderTree(nodes[root], inTree);
            }
        }
    }
}
