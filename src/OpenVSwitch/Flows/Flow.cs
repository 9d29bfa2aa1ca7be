using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;

namespace SharpStack.OpenVSwitch.Flows;

/// <summary>
/// A flow: the packets it matches in a table at a priority, and what is done with them (no actions: drop). Two flows of the same table,
/// priority and match are one place in the switch; flows that are equal need no change.
/// </summary>
public sealed record Flow(byte Table, ushort Priority, FlowMatch Match, EquatableArray<FlowAction> Actions)
{
    /// <summary>Whose flow it is.</summary>
    public ulong Cookie { get; init; }

    /// <summary>Seconds without a packet after which it goes; 0 never.</summary>
    public ushort IdleTimeout { get; init; }

    /// <summary>Seconds after which it goes; 0 never.</summary>
    public ushort HardTimeout { get; init; }

    /// <summary>Where it is in the switch: a flow put at the same place replaces it.</summary>
    public FlowPlace Place => new(Table, Priority, Match);

    /// <summary>As ovs-ofctl add-flow reads it: <c>table=72,priority=74,ct_state=+new-est,ip,reg5=0x3 actions=resubmit(,73)</c>.</summary>
    public override string ToString()
    {
        var text = new StringBuilder();
        if (Cookie != 0)
        {
            text.Append(CultureInfo.InvariantCulture, $"cookie={FlowField.Hex(Cookie)},");
        }

        text.Append(CultureInfo.InvariantCulture, $"table={Table}");
        if (IdleTimeout > 0)
        {
            text.Append(CultureInfo.InvariantCulture, $",idle_timeout={IdleTimeout}");
        }

        if (HardTimeout > 0)
        {
            text.Append(CultureInfo.InvariantCulture, $",hard_timeout={HardTimeout}");
        }

        text.Append(CultureInfo.InvariantCulture, $",priority={Priority}");
        Match.Format(text);
        text.Append(" actions=");
        if (Actions.Count == 0)
        {
            text.Append("drop");
        }

        FlowAction.FormatAll(text, Actions.AsSpan());
        return text.ToString();
    }
}

/// <summary>The place of a flow in a switch.</summary>
public readonly record struct FlowPlace(byte Table, ushort Priority, FlowMatch Match);

/// <summary>What makes the flows of a switch those that are wanted.</summary>
public sealed record FlowDifference(IReadOnlyList<Flow> Added, IReadOnlyList<Flow> Changed, IReadOnlyList<Flow> Removed)
{
    /// <summary>Nothing is to be done.</summary>
    public bool IsEmpty => Added.Count == 0 && Changed.Count == 0 && Removed.Count == 0;

    /// <summary>Compares; where <paramref name="wanted"/> names one place twice, the last holds, as in the switch.</summary>
    public static FlowDifference Between(IEnumerable<Flow> actual, IEnumerable<Flow> wanted)
    {
        var target = new Dictionary<FlowPlace, Flow>();
        foreach (var flow in wanted)
        {
            target[flow.Place] = flow;
        }

        var removed = new List<Flow>();
        var changed = new List<Flow>();
        foreach (var flow in actual)
        {
            if (!target.Remove(flow.Place, out var wish))
            {
                removed.Add(flow);
            }
            else if (wish != flow)
            {
                changed.Add(wish);
            }
        }

        return new([.. target.Values], changed, removed);
    }

    /// <summary>The same as commands for one bundle.</summary>
    public IReadOnlyList<FlowCommand> Commands() =>
    [
        .. Added.Select(flow => new FlowCommand(FlowCommandKind.Add, flow)),
        .. Changed.Select(flow => new FlowCommand(FlowCommandKind.Add, flow)),
        .. Removed.Select(flow => new FlowCommand(FlowCommandKind.DeleteStrict, flow, ulong.MaxValue)),
    ];
}

/// <summary>OFPFC_* of a flow_mod.</summary>
public enum FlowCommandKind
{
    /// <summary>Adds, or replaces what is at the same place.</summary>
    Add = 0,

    /// <summary>Changes the actions of all flows that the match covers.</summary>
    Modify = 1,

    /// <summary>Changes the actions of the flow at this place.</summary>
    ModifyStrict = 2,

    /// <summary>Deletes all flows that the match covers.</summary>
    Delete = 3,

    /// <summary>Deletes the flow at this place.</summary>
    DeleteStrict = 4,
}

/// <summary>A flow_mod. Of the flows it would modify or delete, only those whose cookie equals the flow's under the mask are touched.</summary>
[StructLayout(LayoutKind.Auto)]
public readonly record struct FlowCommand(FlowCommandKind Kind, Flow Flow, ulong CookieMask = 0);
