namespace SharpStack.OpenVSwitch.Flows;

/// <summary>
/// The flows of a switch in groups that are told apart by being the same object or not: what becomes of them costs what the groups that come and go have, however many stay.
/// </summary>
public sealed class FlowGroups
{
    private readonly Dictionary<FlowPlace, int> uses = [];
    private IReadOnlyList<IReadOnlyList<Flow>> groups;

    /// <param name="groups">What the switch has.</param>
    public FlowGroups(params IReadOnlyList<IReadOnlyList<Flow>> groups)
    {
        this.groups = groups;
        foreach (var flow in groups.SelectMany(group => group))
        {
            Use(flow.Place, 1);
        }
    }

    /// <summary>Puts other groups in place of those that are there; where they name one place twice, the last holds, as in the switch.</summary>
    /// <returns>What that changes in the switch.</returns>
    public FlowDifference Become(IReadOnlyList<IReadOnlyList<Flow>> wanted)
    {
        var gone = Except(groups, wanted);
        var come = Except(wanted, groups);
        var isShared = false;
        foreach (var flow in gone.SelectMany(group => group))
        {
            isShared |= Use(flow.Place, -1) > 0;
        }

        foreach (var flow in come.SelectMany(group => group))
        {
            isShared |= Use(flow.Place, 1) > 1;
        }

        // A place that several groups name: which of them holds is told by all of them together.
        var difference = isShared ? FlowDifference.Between(Last(groups), wanted.SelectMany(group => group)) : FlowDifference.Between(gone.SelectMany(group => group), come.SelectMany(group => group));
        groups = wanted;
        return difference;
    }

    private static IReadOnlyList<IReadOnlyList<Flow>> Except(IReadOnlyList<IReadOnlyList<Flow>> some, IReadOnlyList<IReadOnlyList<Flow>> others)
    {
        var excluded = new HashSet<IReadOnlyList<Flow>>(others, ReferenceEqualityComparer.Instance);
        return [.. some.Where(group => !excluded.Contains(group))];
    }

    private static Dictionary<FlowPlace, Flow>.ValueCollection Last(IEnumerable<IReadOnlyList<Flow>> groups)
    {
        var flows = new Dictionary<FlowPlace, Flow>();
        foreach (var flow in groups.SelectMany(group => group))
        {
            flows[flow.Place] = flow;
        }

        return flows.Values;
    }

    private int Use(FlowPlace place, int more)
    {
        var count = uses.GetValueOrDefault(place) + more;
        if (count == 0)
        {
            uses.Remove(place);
        }
        else
        {
            uses[place] = count;
        }

        return count;
    }
}
