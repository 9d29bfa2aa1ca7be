using SharpStack.Nova.Contracts;

namespace SharpStack.Nova.Compute.Instances;

/// <summary>
/// How far this process has come with an action. It is lost in a crash, and may be: the steps look at the host itself, and only waiting times begin anew.
/// </summary>
internal sealed class ActionRun(PendingAction action, DateTimeOffset now) : IDisposable
{
    private readonly CancellationTokenSource abandoned = new();

    public PendingAction Action { get; } = action;

    public DateTimeOffset Started { get; } = now;

    /// <summary>When the interfaces were plugged: since then Neutron has been expected to wire them.</summary>
    public DateTimeOffset? Plugged { get; set; }

    /// <summary>The making of the disks, which may take as long as an image's download; it goes on while the key is put aside.</summary>
    public Task? Preparation { get; set; }

    /// <summary>Cancelled when the instance is wanted no more.</summary>
    public CancellationToken Abandoned => abandoned.Token;

    /// <summary>When the guest was asked to shut down.</summary>
    public DateTimeOffset? ShutdownAsked { get; set; }

    /// <summary>The power was cut, or went off, for the reboot that this is.</summary>
    public bool PowerWasOff { get; set; }

    /// <summary>What was last told of it to the conductor.</summary>
    public string? TaskState { get; set; }

    /// <summary>The end, kept until the conductor has heard of it: a reboot is not done twice because its report was lost.</summary>
    public InstanceReport? Outcome { get; set; }

    /// <summary>Nova's name of the event, as users read it in <c>openstack server event show</c>.</summary>
    public string EventName => Action.Kind switch
    {
        InstanceActionKind.Create => "compute__do_build_and_run_instance",
        InstanceActionKind.Start => "compute_start_instance",
        InstanceActionKind.Stop => "compute_stop_instance",
        InstanceActionKind.Delete => "compute_terminate_instance",
        _ => "compute_reboot_instance",
    };

    /// <summary>Ends what goes on in the background; when this returns, nothing does.</summary>
    public async Task AbandonAsync()
    {
        await abandoned.CancelAsync();
        if (Preparation is { IsCompleted: false } preparation)
        {
            await preparation.ContinueWith(_ => { }, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
        }
    }

    public void Dispose() => abandoned.Dispose();
}
