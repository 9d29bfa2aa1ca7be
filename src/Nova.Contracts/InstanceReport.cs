namespace SharpStack.Nova.Contracts;

/// <summary>Nova's numbers for what a guest is doing.</summary>
public enum PowerState
{
    NoState = 0,
    Running = 1,
    Paused = 3,
    Shutdown = 4,
    Crashed = 6,
    Suspended = 7,
}

public enum ActionProgress
{
    /// <summary>Still at it; <see cref="InstanceReport.TaskState"/> says where.</summary>
    InProgress,
    Done,

    /// <summary>Permanently: <see cref="InstanceReport.Fault"/> says why. Transient failures are retried by the host and not reported as this.</summary>
    Failed,
}

public sealed record InstanceReport(string Host, string Id, long Revision, PowerState PowerState)
{
    /// <summary>Whether the host still has anything of the instance (domain, disks, interfaces).</summary>
    public bool Exists { get; init; } = true;

    /// <summary>The action that this report is about; null for what was seen without being asked.</summary>
    public long? ActionId { get; init; }

    public ActionProgress Progress { get; init; } = ActionProgress.InProgress;

    /// <summary>Nova's <c>OS-EXT-STS:task_state</c> for the step: <c>networking</c>, <c>block_device_mapping</c>, <c>spawning</c>.</summary>
    public string? TaskState { get; init; }

    public FaultReport? Fault { get; init; }

    /// <summary>When the guest ran for the first time, UTC.</summary>
    public DateTimeOffset? LaunchedAt { get; init; }
}

/// <param name="Code">As an HTTP status: 500 for what failed on the host.</param>
/// <param name="Message">For the user: what happened and what to do next.</param>
/// <param name="Details">For an administrator.</param>
/// <param name="Reschedule">Another host may succeed: the conductor releases this one and schedules anew.</param>
public sealed record FaultReport(int Code, string Message, string? Details = null, bool Reschedule = false);

/// <param name="Accepted">False where the instance is not this host's any more, or the action was given up: look again with <see cref="ConductorContract.GetInstance"/>.</param>
public sealed record InstanceReportReply(bool Accepted, long Revision);

/// <param name="Name">Nova's name of the step: <c>compute__do_build_and_run_instance</c>.</param>
/// <param name="Finish">Null for the start of the step.</param>
/// <param name="Result"><c>Success</c> or <c>Error</c>; null for the start.</param>
public sealed record ActionEventReport(
    string Host, string InstanceId, long ActionId, string Name, DateTimeOffset Start, DateTimeOffset? Finish = null, string? Result = null, string? Details = null);
