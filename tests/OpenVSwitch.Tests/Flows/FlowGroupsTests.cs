using SharpStack.OpenVSwitch.Flows;

namespace SharpStack.OpenVSwitch.Tests.Flows;

public sealed class FlowGroupsTests
{
    private static readonly IReadOnlyList<Flow> One = [Flow(1, 10), Flow(2, 10)];
    private static readonly IReadOnlyList<Flow> Two = [Flow(3, 10)];

    [Fact]
    public void What_stays_needs_no_change_and_what_comes_and_goes_is_told()
    {
        var groups = new FlowGroups();
        Differs(groups.Become([One, Two]), added: [.. One, .. Two]);
        Differs(groups.Become([One, [Flow(4, 10)]]), added: [Flow(4, 10)], removed: [Flow(3, 10)]);
        Differs(groups.Become([One, [Flow(4, 10)]]));
    }

    [Fact]
    public void A_group_in_place_of_another_changes_only_what_differs()
    {
        var groups = new FlowGroups();
        groups.Become([One, Two]);
        Differs(groups.Become([[Flow(1, 10), Flow(2, 20)], Two]), changed: [Flow(2, 20)]);
    }

    [Fact]
    public void A_place_that_two_groups_name_is_the_last_ones_and_stays_with_the_other()
    {
        IReadOnlyList<Flow> other = [Flow(1, 30)];
        var groups = new FlowGroups();
        groups.Become([One]);
        Differs(groups.Become([One, other]), changed: [Flow(1, 30)]);
        Differs(groups.Become([One, other, Two]), added: Two);
        Differs(groups.Become([One, Two]), changed: [Flow(1, 10)]);
        Differs(groups.Become([One]), removed: Two);
    }

    private static void Differs(FlowDifference difference, IEnumerable<Flow>? added = null, IEnumerable<Flow>? changed = null, IEnumerable<Flow>? removed = null)
    {
        Assert.Equal(added ?? [], difference.Added);
        Assert.Equal(changed ?? [], difference.Changed);
        Assert.Equal(removed ?? [], difference.Removed);
    }

    private static Flow Flow(uint port, byte table) => new(0, 1, FlowMatch.Any.InPort(port), [FlowAction.Resubmit(table)]);
}
