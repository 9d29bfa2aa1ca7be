namespace SharpStack.Nova.Compute;

/// <summary>A step that failed for good on this host: trying it again here would fail again.</summary>
/// <param name="message">For the user: what happened and what to do next.</param>
/// <param name="reschedule">Another host may succeed.</param>
/// <param name="inner">What an administrator wants to see.</param>
public sealed class ComputeException(string message, bool reschedule = false, Exception? inner = null) : Exception(message, inner)
{
    public bool Reschedule => reschedule;
}
