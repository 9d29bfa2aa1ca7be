using SharpStack.Placement.Storage;

namespace SharpStack.Placement.AllocationCandidates;

/// <summary>What <c>GET /allocation_candidates</c> asks for.</summary>
internal sealed record CandidateQuery
{
    public required IReadOnlyDictionary<string, RequestGroup> Groups { get; init; }

    /// <summary>The most requests to give; null for all.</summary>
    public int? Limit { get; init; }

    /// <summary><c>group_policy=isolate</c>: no two suffixed groups from one provider.</summary>
    public bool Isolate { get; init; }

    /// <summary><c>root_required</c>.</summary>
    public IReadOnlyList<string> RootRequired { get; init; } = [];

    public IReadOnlyList<string> RootForbidden { get; init; } = [];

    public IReadOnlyList<IReadOnlySet<string>> SameSubtrees { get; init; } = [];

    /// <summary>Since 1.29 one request may take from several providers of a tree.</summary>
    public bool Nested { get; init; } = true;

    public bool Randomize { get; init; }
}

/// <summary>One way to have all that was asked for.</summary>
/// <param name="Parts">What to take of which provider.</param>
/// <param name="Mappings">Which providers serve which group.</param>
internal sealed record Candidate((ProviderNode Node, Amounts Amounts)[] Parts, (string Suffix, ProviderNode[] Nodes)[] Mappings);

/// <param name="Providers">Those to summarise: all of the trees that the candidates touch, or those that they take from.</param>
internal sealed record CandidateResult(IReadOnlyList<Candidate> Candidates, IReadOnlyCollection<ProviderNode> Providers, Names Names);

/// <summary>Finds candidates tree by tree, so that a limit ends the work early.</summary>
internal sealed class CandidateSearch
{
    private readonly CandidateQuery query;
    private readonly ProviderMap providers;
    private readonly Names names;
    private readonly GroupFilter[] groups;
    private readonly int[] rootRequired;
    private readonly int[] rootForbidden;
    private readonly Dictionary<long, List<ProviderNode>> sharing;
    private readonly bool merges;
    private readonly HashSet<string>? seen;

    private CandidateSearch(CandidateQuery query, ProviderMap providers, Names names)
    {
        this.query = query;
        this.providers = providers;
        this.names = names;
        rootRequired = [.. query.RootRequired.Select(names.TraitId)];
        rootForbidden = [.. query.RootForbidden.Select(names.TraitId)];
        groups = [.. query.Groups.Values.Select(group => GroupFilter.Of(group, providers, names))];
        sharing = FindSharing();
        merges = providers.HasTrees || sharing.Count > 0;
        seen = sharing.Count > 0 ? [] : null;
    }

    private sealed record Match((ProviderNode Node, Amounts Amounts)[] Parts, ProviderNode[] Nodes);

    /// <exception cref="UnknownNameException">A resource class or trait that nobody defined.</exception>
    public static CandidateResult Find(CandidateQuery query, ProviderMap providers, Names names, CancellationToken cancelled) =>
        new CandidateSearch(query, providers, names).Run(cancelled);

    private CandidateResult Run(CancellationToken cancelled)
    {
        var found = new List<Candidate>();
        var limit = query.Randomize ? int.MaxValue : query.Limit ?? int.MaxValue;
        foreach (var tree in providers.Trees)
        {
            if (found.Count >= limit)
            {
                break;
            }

            cancelled.ThrowIfCancellationRequested();
            if (!Array.TrueForAll(rootRequired, tree.Root.HasTrait) || tree.Root.HasAnyTrait(rootForbidden))
            {
                continue;
            }

            if (groups.Length == 1 && !merges)
            {
                AddPlain(tree.Root, found);
            }
            else
            {
                AddOf(tree, found, limit, cancelled);
            }
        }

        if (query.Randomize)
        {
            Random.Shared.Shuffle(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(found));
            if (query.Limit < found.Count)
            {
                found.RemoveRange(query.Limit.Value, found.Count - query.Limit.Value);
            }
        }

        return new CandidateResult(found, Summarised(found), names);
    }

    /// <summary>The common case, in which neither trees nor sharing providers nor other groups have a say.</summary>
    private void AddPlain(ProviderNode node, List<Candidate> found)
    {
        var group = groups[0];
        if (group.AcceptsAlone(node))
        {
            found.Add(new Candidate([(node, group.Amounts)], [(group.Suffix, node.Alone)]));
        }
    }

    private void AddOf(ProviderTree tree, List<Candidate> found, int limit, CancellationToken cancelled)
    {
        var matches = new IReadOnlyList<Match>[groups.Length];
        for (var i = 0; i < groups.Length; i++)
        {
            matches[i] = groups[i].OneProvider || !merges ? Alone(groups[i], tree) : Together(groups[i], tree, cancelled);
            if (matches[i].Count == 0)
            {
                return;
            }
        }

        var chosen = new Match[groups.Length];
        Combine(0);

        void Combine(int depth)
        {
            if (depth == groups.Length)
            {
                cancelled.ThrowIfCancellationRequested();
                if (Merge(chosen) is { } candidate)
                {
                    found.Add(candidate);
                }

                return;
            }

            foreach (var match in matches[depth])
            {
                if (found.Count >= limit)
                {
                    return;
                }

                chosen[depth] = match;
                Combine(depth + 1);
            }
        }
    }

    /// <summary>Providers that meet a group each by itself: those of the tree, and sharing ones that serve it.</summary>
    private List<Match> Alone(GroupFilter group, ProviderTree tree)
    {
        var matches = new List<Match>();
        foreach (var node in tree.Nodes)
        {
            Add(node);
        }

        if (sharing.TryGetValue(tree.Root.Id, out var shared))
        {
            foreach (var node in shared)
            {
                Add(node);
            }
        }

        return matches;

        void Add(ProviderNode node)
        {
            if (group.AcceptsAlone(node))
            {
                matches.Add(new Match(group.Amounts.Items.Length == 0 ? [] : [(node, group.Amounts)], [node]));
            }
        }
    }

    /// <summary>Ways in which providers of the tree and sharing ones meet a group together.</summary>
    private List<Match> Together(GroupFilter group, ProviderTree tree, CancellationToken cancelled)
    {
        var matches = new List<Match>();
        if (group.TreeRoot is { } only && only != tree.Root.Id)
        {
            return matches;
        }

        var items = group.Amounts.Items;
        var choices = new List<ProviderNode>[items.Length];
        for (var i = 0; i < items.Length; i++)
        {
            choices[i] = [.. tree.Nodes.Where(node => node.Offers(items[i].ClassId, items[i].Amount) && group.AcceptsPart(node, tree.Root))];
            if (sharing.TryGetValue(tree.Root.Id, out var shared))
            {
                choices[i].AddRange(shared.Where(node =>
                    node.Offers(items[i].ClassId, items[i].Amount) && group.AcceptsSharing(node) && group.AcceptsPart(node, tree.Root)));
            }

            if (choices[i].Count == 0)
            {
                return matches;
            }
        }

        var chosen = new ProviderNode[items.Length];
        Choose(0);
        return matches;

        void Choose(int depth)
        {
            if (depth < items.Length)
            {
                foreach (var node in choices[depth])
                {
                    chosen[depth] = node;
                    Choose(depth + 1);
                }

                return;
            }

            cancelled.ThrowIfCancellationRequested();
            if (!group.AcceptsTraits(chosen))
            {
                return;
            }

            if (Array.TrueForAll(chosen, node => node == chosen[0]))
            {
                matches.Add(new Match([(chosen[0], group.Amounts)], [chosen[0]]));
                return;
            }

            var nodes = chosen.Distinct().ToArray();
            matches.Add(new Match([.. nodes.Select(node => (node, new Amounts([.. items.Where((_, i) => chosen[i] == node)])))], nodes));
        }
    }

    /// <summary>Folds one match of each group into a candidate; null where they do not go together.</summary>
    private Candidate? Merge(Match[] matches)
    {
        var mappings = new (string, ProviderNode[])[matches.Length];
        for (var i = 0; i < matches.Length; i++)
        {
            mappings[i] = (groups[i].Suffix, matches[i].Nodes);
        }

        var parts = matches[0].Parts;
        if (matches.Length > 1)
        {
            if ((query.Isolate && !IsIsolated(matches)) || !query.SameSubtrees.All(suffixes => IsOneSubtree(suffixes, matches)))
            {
                return null;
            }

            var sums = new Dictionary<(ProviderNode Node, int ClassId), long>();
            foreach (var (node, amounts) in matches.SelectMany(match => match.Parts))
            {
                foreach (var (classId, amount) in amounts.Items)
                {
                    sums[(node, classId)] = sums.GetValueOrDefault((node, classId)) + amount;
                }
            }

            foreach (var ((node, classId), amount) in sums)
            {
                var inventory = node.Inventory(classId)!;
                if (inventory.Used + amount > inventory.Capacity || amount > inventory.Row.MaxUnit)
                {
                    return null;
                }
            }

            parts = [.. sums.GroupBy(sum => sum.Key.Node).Select(node => (node.Key, new Amounts([.. node.Select(sum => (sum.Key.ClassId, sum.Value))])))];
        }

        if (!query.Nested && providers.HasTrees && parts.DistinctBy(part => part.Node.RootId).Count() != parts.Length)
        {
            return null;
        }

        var candidate = new Candidate(parts, mappings);
        return seen is null || seen.Add(KeyOf(candidate)) ? candidate : null;
    }

    private bool IsIsolated(Match[] matches)
    {
        var suffixed = matches.Where((_, i) => groups[i].OneProvider).Select(match => match.Nodes[0]).ToList();
        return suffixed.Distinct().Count() == suffixed.Count;
    }

    /// <summary>Whether one of the providers that serve these groups is above all the others.</summary>
    private bool IsOneSubtree(IReadOnlySet<string> suffixes, Match[] matches)
    {
        var nodes = matches.Where((_, i) => suffixes.Contains(groups[i].Suffix)).SelectMany(match => match.Nodes).Distinct().ToList();
        return nodes.Count == 1 || nodes.Exists(top => nodes.TrueForAll(node => IsBelow(node, top)));
    }

    private bool IsBelow(ProviderNode? node, ProviderNode top)
    {
        while (node is not null && node.Id != top.Id)
        {
            node = node.ParentId is { } parent ? providers.Find(parent) : null;
        }

        return node is not null;
    }

    /// <summary>Sharing providers by the root of each tree that they serve: the trees with which they have an aggregate in common.</summary>
    private Dictionary<long, List<ProviderNode>> FindSharing()
    {
        var found = new Dictionary<long, List<ProviderNode>>();
        if (providers.Sharing.Count == 0)
        {
            return found;
        }

        var byAggregate = providers.All.SelectMany(node => node.Aggregates.Select(aggregate => (aggregate, node.RootId))).ToLookup(pair => pair.aggregate, pair => pair.RootId);
        foreach (var node in providers.Sharing)
        {
            foreach (var root in node.Aggregates.SelectMany(aggregate => byAggregate[aggregate]).Distinct().Where(root => root != node.RootId))
            {
                if (!found.TryGetValue(root, out var list))
                {
                    found[root] = list = [];
                }

                list.Add(node);
            }
        }

        return found;
    }

    private HashSet<ProviderNode> Summarised(List<Candidate> found)
    {
        var nodes = new HashSet<ProviderNode>(found.Count);
        var roots = new HashSet<long>(found.Count);
        foreach (var candidate in found)
        {
            foreach (var (node, _) in candidate.Parts)
            {
                if (!query.Nested && providers.HasTrees)
                {
                    nodes.Add(node);
                }
                else if (roots.Add(node.RootId))
                {
                    nodes.UnionWith(providers.Tree(node.RootId)!.Nodes);
                }
            }
        }

        return nodes;
    }

    /// <summary>The same candidate may be found from several trees where all of it is shared.</summary>
    private static string KeyOf(Candidate candidate) =>
        string.Join(';', candidate.Parts.SelectMany(part => part.Amounts.Items.Select(item => $"{part.Node.Id}:{item.ClassId}:{item.Amount}")).Order(StringComparer.Ordinal))
        + "|"
        + string.Join(';', candidate.Mappings.SelectMany(mapping => mapping.Nodes.Select(node => $"{mapping.Suffix}:{node.Id}")).Order(StringComparer.Ordinal));
}
