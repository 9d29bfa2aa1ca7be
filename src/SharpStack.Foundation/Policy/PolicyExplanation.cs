using System.Text;

namespace SharpStack.Foundation.Policy;

/// <summary>Why a rule allowed or refused: the tree of its checks, each with its result and what was compared.</summary>
/// <param name="Rule">The rule's name.</param>
/// <param name="Reason">One sentence for the message of a 403 to an administrator; empty where allowed.</param>
/// <param name="Root">Null where the rule is unknown or the token's scope was refused first.</param>
public sealed record PolicyExplanation(string Rule, bool Allowed, string Reason, PolicyStep? Root)
{
    /// <summary>The tree, one check a line, indented by two blanks.</summary>
    public override string ToString()
    {
        var text = new StringBuilder();
        text.Append(Rule).Append(": ").AppendLine(Allowed ? "allowed" : "denied");
        if (Reason.Length > 0)
        {
            text.Append("  ").AppendLine(Reason);
        }
        Append(text, Root, 1);
        return text.ToString();
    }

    private static void Append(StringBuilder text, PolicyStep? step, int depth)
    {
        if (step is null)
        {
            return;
        }
        text.Append(' ', depth * 2).Append(step.Passed ? "pass  " : "fail  ").Append(step.Check);
        if (step.Detail.Length > 0)
        {
            text.Append("  (").Append(step.Detail).Append(')');
        }
        text.AppendLine();
        foreach (var child in step.Children)
        {
            Append(text, child, depth + 1);
        }
    }
}

/// <summary>One check of a rule: its text, its result, what was compared, and the checks below it.</summary>
public sealed record PolicyStep(string Check, bool Passed, string Detail, IReadOnlyList<PolicyStep> Children)
{
    /// <summary>The innermost checks that made this one fail.</summary>
    internal IEnumerable<PolicyStep> Failures() =>
        Passed ? []
        : Children.Any(static c => !c.Passed) ? Children.SelectMany(static c => c.Failures())
        : [this];
}
