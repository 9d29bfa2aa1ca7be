namespace SharpStack.Neutron.Agents.OpenVSwitch;

/// <summary>What the next pass over the host is to look at: all that comes while one is under way, each item once.</summary>
internal sealed class PendingWork
{
    private readonly Lock gate = new();
    private HashSet<WorkItem> items = [];

    public void Add(params IEnumerable<WorkItem> more)
    {
        lock (gate)
        {
            items.UnionWith(more);
        }
    }

    /// <summary>What there is, which from now on is the caller's.</summary>
    public IReadOnlyCollection<WorkItem> Take()
    {
        lock (gate)
        {
            var taken = items;
            items = [];
            return taken;
        }
    }
}
