using SharpStack.Placement.Storage;

namespace SharpStack.Placement.AllocationCandidates;

/// <summary>A request group with its names resolved, against one state of the providers.</summary>
internal sealed class GroupFilter
{
    private readonly int[][] requiredTraits;
    private readonly int[] forbiddenTraits;
    private readonly RequestGroup group;

    private GroupFilter(RequestGroup group, (int ClassId, long Amount)[] resources, int[][] requiredTraits, int[] forbiddenTraits, long? treeRoot)
    {
        this.group = group;
        this.requiredTraits = requiredTraits;
        this.forbiddenTraits = forbiddenTraits;
        TreeRoot = treeRoot;
        Amounts = new Amounts(resources);
    }

    public string Suffix => group.Suffix;

    public bool OneProvider => group.OneProvider;

    public Amounts Amounts { get; }

    /// <summary>The only tree to look in; -1 where <c>in_tree</c> names none; null for any.</summary>
    public long? TreeRoot { get; }

    /// <exception cref="UnknownNameException">A resource class or trait that nobody defined.</exception>
    public static GroupFilter Of(RequestGroup group, ProviderMap providers, Names names) => new(
        group,
        [.. group.Resources.Select(resource => (names.ClassId(resource.ResourceClass), resource.Amount))],
        [.. group.RequiredTraits.Select(any => any.Select(names.TraitId).ToArray())],
        [.. group.ForbiddenTraits.Select(names.TraitId)],
        group.InTree is null ? null : providers.Find(group.InTree)?.RootId ?? -1);

    /// <summary>Whether this provider alone meets the whole group.</summary>
    public bool AcceptsAlone(ProviderNode node)
    {
        foreach (var (classId, amount) in Amounts.Items)
        {
            if (!node.Offers(classId, amount))
            {
                return false;
            }
        }

        return (TreeRoot is null || node.RootId == TreeRoot)
            && !node.HasAnyTrait(forbiddenTraits)
            && Array.TrueForAll(requiredTraits, node.HasAnyTrait)
            && node.IsMemberOf(group.MemberOf)
            && !node.IsMemberOfAny(group.ForbiddenAggregates);
    }

    /// <summary>Whether a provider may give part of the resources for a tree: aggregates of the root count for all of its tree.</summary>
    public bool AcceptsPart(ProviderNode node, ProviderNode anchor) =>
        (group.MemberOf.Count == 0 || node.IsMemberOf(group.MemberOf) || (node != anchor && anchor.IsMemberOf(group.MemberOf)))
        && !node.IsMemberOfAny(group.ForbiddenAggregates)
        && !anchor.IsMemberOfAny(group.ForbiddenAggregates);

    /// <summary>Sharing providers have to be in the aggregates themselves.</summary>
    public bool AcceptsSharing(ProviderNode node) => TreeRoot is null && node.IsMemberOf(group.MemberOf);

    /// <summary>Whether providers together have what is required, and none has what is forbidden.</summary>
    public bool AcceptsTraits(ReadOnlySpan<ProviderNode> nodes)
    {
        foreach (var node in nodes)
        {
            if (node.HasAnyTrait(forbiddenTraits))
            {
                return false;
            }
        }

        foreach (var any in requiredTraits)
        {
            var met = false;
            foreach (var node in nodes)
            {
                met |= node.HasAnyTrait(any);
            }

            if (!met)
            {
                return false;
            }
        }

        return true;
    }
}

/// <summary>Amounts by resource class, written out once for all who get the same.</summary>
internal sealed class Amounts((int ClassId, long Amount)[] items)
{
    private byte[]? json;

    public (int ClassId, long Amount)[] Items { get; } = items;

    /// <summary><c>{"resources": {…}}</c>.</summary>
    public ReadOnlySpan<byte> Json(Names names)
    {
        if (json is null)
        {
            var text = new System.Text.StringBuilder("{\"resources\":{");
            for (var i = 0; i < Items.Length; i++)
            {
                text.Append(i == 0 ? "\"" : ",\"").Append(names.ClassName(Items[i].ClassId)).Append("\":").Append(Items[i].Amount);
            }

            json = System.Text.Encoding.ASCII.GetBytes(text.Append("}}").ToString());
        }

        return json;
    }
}
