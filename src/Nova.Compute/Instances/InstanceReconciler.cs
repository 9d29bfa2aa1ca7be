using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using SharpStack.Foundation.Bus;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Reconciling;
using SharpStack.Nova.Compute.Drivers;
using SharpStack.Nova.Contracts;

namespace SharpStack.Nova.Compute.Instances;

/// <summary>
/// Makes each instance of this host what the conductor says it should be. The key is the instance; everything else is read anew each time: what should be
/// from the conductor, what is from the driver.
/// </summary>
internal sealed partial class InstanceReconciler : IAsyncDisposable
{
    /// <summary>How often a guest that is shutting down is asked again: one that was just booting did not hear the first time.</summary>
    private static readonly TimeSpan ShutdownRetry = TimeSpan.FromSeconds(10);

    /// <summary>When to look at a preparation that has not said that it is done.</summary>
    private static readonly TimeSpan LongestPreparation = TimeSpan.FromMinutes(1);

    private readonly IMessageBus bus;
    private readonly IComputeDriver driver;
    private readonly ServiceConfig config;
    private readonly TimeProvider time;
    private readonly ILogger log;
    private readonly string host;
    private readonly SemaphoreSlim builds;
    private readonly CancellationTokenSource stopping = new();
    private readonly Reconciler<string> reconciler;
    private readonly ConcurrentDictionary<string, ActionRun> runs = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, PowerState> reported = new(StringComparer.Ordinal);

    public InstanceReconciler(string host, IMessageBus bus, IComputeDriver driver, ServiceConfig config, TimeProvider time, ILogger log, ReconcilerOptions? options = null)
    {
        this.host = host;
        this.bus = bus;
        this.driver = driver;
        this.config = config;
        this.time = time;
        this.log = log;
        builds = new SemaphoreSlim(config.Get(ComputeOptions.MaxConcurrentBuilds) is var limit and > 0 ? limit : int.MaxValue);
        reconciler = new Reconciler<string>(
            $"nova-compute {host}",
            ReconcileAsync,
            ListAsync,
            // More than builds at once: a deletion does not wait for other guests' images.
            options ?? new ReconcilerOptions { Parallelism = 32, FullPeriod = TimeSpan.FromSeconds(config.Get(ComputeOptions.SyncPowerStateInterval)) },
            time,
            log);
    }

    public void Start() => reconciler.Start();

    public void Enqueue(string id) => reconciler.Enqueue(id);

    public void EnqueueAll() => reconciler.EnqueueAll();

    public Task WhenIdleAsync() => reconciler.WhenIdleAsync();

    public async ValueTask DisposeAsync()
    {
        await stopping.CancelAsync();
        await reconciler.DisposeAsync();
        foreach (var id in runs.Keys)
        {
            await AbandonAsync(id);
        }

        builds.Dispose();
        stopping.Dispose();
    }

    /// <summary>What the conductor expects here, and what is here without being expected.</summary>
    private async Task<IReadOnlyCollection<string>> ListAsync(CancellationToken cancellationToken)
    {
        var expected = await bus.CallAsync(ConductorContract.ListInstances, new HostQuery(host), cancellationToken: cancellationToken);
        var here = await driver.ListAsync(cancellationToken);
        return expected.Instances.Select(instance => instance.Id).Union(here, StringComparer.Ordinal).ToArray();
    }

    private async Task<ReconcileResult> ReconcileAsync(string id, CancellationToken cancellationToken)
    {
        var answer = await bus.CallAsync(ConductorContract.GetInstance, new InstanceQuery(host, id), cancellationToken: cancellationToken);
        if (answer.Instance is not { } instance)
        {
            await ForgetAsync(id, cancellationToken);
            return ReconcileResult.Done;
        }

        if (instance.Action is not { } action)
        {
            return instance.Desired == DesiredState.Absent
                ? await RemoveAsync(instance, cancellationToken)
                : await ObserveAsync(instance, cancellationToken);
        }

        if (runs.TryGetValue(id, out var run) && run.Action.Id != action.Id)
        {
            await AbandonAsync(id);
            run = null;
        }

        run ??= runs[id] = new ActionRun(action, time.GetUtcNow());
        if (run.Outcome is null)
        {
            if (run.TaskState is null && !driver.IsSimulated)
            {
                await ReportEventAsync(instance, run, null, cancellationToken);
            }

            run.TaskState ??= "";

            var again = await TryAsync(instance, run, cancellationToken);
            if (again is not null)
            {
                return ReconcileResult.After(again.Value);
            }
        }

        // The end is reported with the revision that was read now, so that a later change is not taken for done.
        if (!await ReportAsync(run.Outcome! with { Revision = instance.Revision }, cancellationToken))
        {
            await AbandonAsync(id);
            return ReconcileResult.After(TimeSpan.FromSeconds(1));
        }

        await ReportEventAsync(instance, run, run.Outcome, cancellationToken);
        await AbandonAsync(id);
        return ReconcileResult.Done;
    }

    /// <summary>Takes the action as far as it goes now.</summary>
    /// <returns>When to look again; null once <see cref="ActionRun.Outcome"/> is there.</returns>
    private async Task<TimeSpan?> TryAsync(InstanceSpec instance, ActionRun run, CancellationToken cancellationToken)
    {
        try
        {
            return instance.Desired == DesiredState.Absent ? await DeleteAsync(instance, run, cancellationToken) : run.Action.Kind switch
            {
                InstanceActionKind.Create => await CreateAsync(instance, run, cancellationToken),
                InstanceActionKind.Start => await PowerOnAsync(instance, run, cancellationToken),
                InstanceActionKind.Stop => await StopAsync(instance, run, cancellationToken),
                InstanceActionKind.RebootSoft => await RebootAsync(instance, run, TimeSpan.FromSeconds(config.Get(ComputeOptions.SoftRebootSeconds)), cancellationToken),
                InstanceActionKind.RebootHard => await RebootAsync(instance, run, TimeSpan.Zero, cancellationToken),
                _ => await DeleteAsync(instance, run, cancellationToken),
            };
        }
        catch (Exception failure) when (failure is not OperationCanceledException || !cancellationToken.IsCancellationRequested)
        {
            // A removal has no end but its success; anything else gives up for good, or when its time is over.
            if (instance.Desired == DesiredState.Absent || (failure is not ComputeException && time.GetUtcNow() < run.Action.Deadline))
            {
                throw;
            }

            LogActionFailed(run.Action.Kind, instance.Id, host, run.Action.RequestId, failure);
            await FailAsync(instance, run, failure, cancellationToken);
            return null;
        }
    }

    private async Task<TimeSpan?> CreateAsync(InstanceSpec instance, ActionRun run, CancellationToken cancellationToken)
    {
        var guest = await driver.InspectAsync(instance.Id, cancellationToken);
        if (!guest.IsOn)
        {
            await ProgressAsync(instance, run, "networking", cancellationToken);
            await PlugOnceAsync(instance, run, cancellationToken);
            await ProgressAsync(instance, run, "block_device_mapping", cancellationToken);
            run.Preparation ??= PrepareAsync(instance, run);
            if (!run.Preparation.IsCompleted)
            {
                // The key is free meanwhile: a deletion does not wait for the image.
                _ = run.Preparation.ContinueWith(_ => Enqueue(instance.Id), CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
                return time.GetUtcNow() < run.Action.Deadline
                    ? LongestPreparation
                    : throw new ComputeException($"The image did not arrive on host {host} in time: check that Glance answers, and the host's network and disk.", reschedule: true);
            }

            try
            {
                await run.Preparation;
            }
            catch
            {
                run.Preparation = null;
                throw;
            }

            await ProgressAsync(instance, run, "spawning", cancellationToken);
            if (WaitForWiring(instance, run) is { } wait)
            {
                return wait;
            }

            await driver.PowerOnAsync(instance, cancellationToken);
        }

        return await FinishAsync(instance, run, cancellationToken);
    }

    private async Task PrepareAsync(InstanceSpec instance, ActionRun run)
    {
        using var either = CancellationTokenSource.CreateLinkedTokenSource(run.Abandoned, stopping.Token);
        await builds.WaitAsync(either.Token);
        try
        {
            await driver.PrepareAsync(instance, either.Token);
        }
        finally
        {
            builds.Release();
        }
    }

    /// <summary>Forgets an action; nothing of it goes on in the background when this returns.</summary>
    private async Task AbandonAsync(string id)
    {
        if (runs.TryRemove(id, out var run))
        {
            await run.AbandonAsync();
            run.Dispose();
        }
    }

    private async Task<TimeSpan?> PowerOnAsync(InstanceSpec instance, ActionRun run, CancellationToken cancellationToken)
    {
        if (!(await driver.InspectAsync(instance.Id, cancellationToken)).IsOn)
        {
            await PlugOnceAsync(instance, run, cancellationToken);
            if (WaitForWiring(instance, run) is { } wait)
            {
                return wait;
            }

            await driver.PowerOnAsync(instance, cancellationToken);
        }

        return await FinishAsync(instance, run, cancellationToken);
    }

    private async Task<TimeSpan?> StopAsync(InstanceSpec instance, ActionRun run, CancellationToken cancellationToken) =>
        await ShutDownAsync(instance.Id, run, TimeSpan.FromSeconds(config.Get(ComputeOptions.ShutdownTimeout)), cancellationToken) is { } wait
            ? wait
            : await FinishAsync(instance, run, cancellationToken);

    private async Task<TimeSpan?> RebootAsync(InstanceSpec instance, ActionRun run, TimeSpan patience, CancellationToken cancellationToken)
    {
        if (!run.PowerWasOff)
        {
            if (await ShutDownAsync(instance.Id, run, patience, cancellationToken) is { } wait)
            {
                return wait;
            }

            run.PowerWasOff = true;
        }

        return await PowerOnAsync(instance, run, cancellationToken);
    }

    /// <summary>Asks the guest to go off, and cuts its power when it has not done so in time.</summary>
    /// <returns>When to look again; null once it is off.</returns>
    private async Task<TimeSpan?> ShutDownAsync(string id, ActionRun run, TimeSpan patience, CancellationToken cancellationToken)
    {
        var guest = await driver.InspectAsync(id, cancellationToken);
        if (!guest.IsOn)
        {
            return null;
        }

        var now = time.GetUtcNow();
        run.ShutdownAsked ??= now;
        var left = run.ShutdownAsked.Value + patience - now;
        if (left <= TimeSpan.Zero || guest.Power != PowerState.Running)
        {
            await driver.PowerOffAsync(id, cancellationToken);
            return null;
        }

        await driver.RequestShutdownAsync(id, cancellationToken);
        // The guest's going off is a change that brings the key back at once.
        return driver.IsSimulated ? null : left < ShutdownRetry ? left : ShutdownRetry;
    }

    private async Task<TimeSpan?> DeleteAsync(InstanceSpec instance, ActionRun run, CancellationToken cancellationToken)
    {
        await run.AbandonAsync();
        await driver.RemoveAsync(instance.Id, cancellationToken);
        reported.TryRemove(instance.Id, out _);
        run.Outcome = new InstanceReport(host, instance.Id, instance.Revision, PowerState.NoState) { Exists = false, ActionId = run.Action.Id, Progress = ActionProgress.Done };
        return null;
    }

    private async Task PlugOnceAsync(InstanceSpec instance, ActionRun run, CancellationToken cancellationToken)
    {
        if (instance.Ports.FirstOrDefault(port => port.VifType is "binding_failed" or "unbound") is { } port)
        {
            throw new ComputeException(
                $"Neutron could not bind port {port.Id} to host {host}: check with `openstack network agent list` that the host's agent is alive and knows the network's physical network.",
                reschedule: true);
        }

        if (run.Plugged is null)
        {
            await driver.PlugAsync(instance, cancellationToken);
            run.Plugged = time.GetUtcNow();
        }
    }

    /// <returns>How long to wait at most for Neutron to wire the ports; null when the guest may run.</returns>
    private TimeSpan? WaitForWiring(InstanceSpec instance, ActionRun run)
    {
        var limit = TimeSpan.FromSeconds(config.Get(ComputeOptions.PluggingTimeout));
        if (driver.IsSimulated || limit == TimeSpan.Zero || instance.Ports.All(port => port.Plugged || port.VifType == "other"))
        {
            return null;
        }

        var left = run.Plugged!.Value + limit - time.GetUtcNow();
        if (left > TimeSpan.Zero)
        {
            return left;
        }

        var missing = string.Join(", ", instance.Ports.Where(port => !port.Plugged).Select(port => port.Id));
        if (config.Get(ComputeOptions.PluggingIsFatal))
        {
            throw new ComputeException(
                $"Neutron did not wire port {missing} within {limit.TotalSeconds:0} seconds (vif_plugging_timeout): look at `openstack network agent list` and at the log of the agent on {host}.",
                reschedule: true);
        }

        LogNotWired(instance.Id, missing);
        return null;
    }

    private async Task<TimeSpan?> FinishAsync(InstanceSpec instance, ActionRun run, CancellationToken cancellationToken)
    {
        var power = (await driver.InspectAsync(instance.Id, cancellationToken)).Power;
        run.Outcome = new InstanceReport(host, instance.Id, instance.Revision, power)
        {
            ActionId = run.Action.Id,
            Progress = ActionProgress.Done,
            LaunchedAt = power == PowerState.Running ? instance.LaunchedAt ?? time.GetUtcNow() : instance.LaunchedAt,
        };
        return null;
    }

    private async Task FailAsync(InstanceSpec instance, ActionRun run, Exception failure, CancellationToken cancellationToken)
    {
        if (run.Action.Kind == InstanceActionKind.Create)
        {
            await run.AbandonAsync();
            await driver.RemoveAsync(instance.Id, cancellationToken);
        }

        var guest = await driver.InspectAsync(instance.Id, cancellationToken);
        run.Outcome = new InstanceReport(host, instance.Id, instance.Revision, guest.Power)
        {
            Exists = guest.Exists,
            ActionId = run.Action.Id,
            Progress = ActionProgress.Failed,
            Fault = new FaultReport(500, failure.Message, failure.InnerException?.ToString(), failure is ComputeException { Reschedule: true }),
        };
    }

    /// <summary>The conductor does not know it as this host's: nothing of it may stay.</summary>
    private async Task ForgetAsync(string id, CancellationToken cancellationToken)
    {
        await AbandonAsync(id);
        reported.TryRemove(id, out _);
        if ((await driver.InspectAsync(id, cancellationToken)).Exists)
        {
            LogRemnant(id, host);
            await driver.RemoveAsync(id, cancellationToken);
        }
    }

    private async Task<ReconcileResult> RemoveAsync(InstanceSpec instance, CancellationToken cancellationToken)
    {
        await AbandonAsync(instance.Id);
        await driver.RemoveAsync(instance.Id, cancellationToken);
        reported.TryRemove(instance.Id, out _);
        await ReportAsync(new InstanceReport(host, instance.Id, instance.Revision, PowerState.NoState) { Exists = false }, cancellationToken);
        return ReconcileResult.Done;
    }

    /// <summary>Without an action nothing is changed; a guest that did something by itself is reported once.</summary>
    private async Task<ReconcileResult> ObserveAsync(InstanceSpec instance, CancellationToken cancellationToken)
    {
        await AbandonAsync(instance.Id);
        var guest = await driver.InspectAsync(instance.Id, cancellationToken);
        var seen = reported.TryGetValue(instance.Id, out var before);
        if (!seen && guest is { Exists: true, IsOn: false } && instance.Desired == DesiredState.Running && config.Get(ComputeOptions.ResumeGuests))
        {
            await ResumeAsync(instance, cancellationToken);
            guest = await driver.InspectAsync(instance.Id, cancellationToken);
        }

        // What never ran and is not here yet is no news: its action is still to come.
        if ((!seen && (guest.Exists || instance.LaunchedAt is not null)) || (seen && before != guest.Power))
        {
            await ReportAsync(new InstanceReport(host, instance.Id, instance.Revision, guest.Power) { Exists = guest.Exists }, cancellationToken);
        }

        return ReconcileResult.Done;
    }

    /// <summary>Gives a guest that went off with its host its power back.</summary>
    private async Task ResumeAsync(InstanceSpec instance, CancellationToken cancellationToken)
    {
        try
        {
            await driver.PlugAsync(instance, cancellationToken);
            await driver.PowerOnAsync(instance, cancellationToken);
            LogResumed(instance.Id, host);
        }
        catch (ComputeException failure)
        {
            LogNotResumed(instance.Id, host, failure);
        }
    }

    private async Task ProgressAsync(InstanceSpec instance, ActionRun run, string taskState, CancellationToken cancellationToken)
    {
        // A resumed action does not go back to an earlier step in the users' eyes.
        if (driver.IsSimulated || run.TaskState == taskState || run.TaskState == "spawning")
        {
            return;
        }

        run.TaskState = taskState;
        var guest = await driver.InspectAsync(instance.Id, cancellationToken);
        await ReportAsync(
            new InstanceReport(host, instance.Id, instance.Revision, guest.Power) { ActionId = run.Action.Id, TaskState = taskState }, cancellationToken);
    }

    private async Task<bool> ReportAsync(InstanceReport report, CancellationToken cancellationToken)
    {
        var reply = await bus.CallAsync(ConductorContract.ReportInstance, report, cancellationToken: cancellationToken);
        if (reply.Accepted && report.Exists)
        {
            reported[report.Id] = report.PowerState;
        }

        return reply.Accepted;
    }

    /// <summary>The events are for reading only: nothing waits for them.</summary>
    private ValueTask ReportEventAsync(InstanceSpec instance, ActionRun run, InstanceReport? outcome, CancellationToken cancellationToken) =>
        bus.CastAsync(
            ConductorContract.ReportEvent,
            new ActionEventReport(
                host, instance.Id, run.Action.Id, run.EventName, run.Started,
                outcome is null ? null : time.GetUtcNow(),
                outcome is null ? null : outcome.Progress == ActionProgress.Done ? "Success" : "Error",
                outcome?.Fault?.Message),
            cancellationToken: cancellationToken);

    [LoggerMessage(EventId = 5101, Level = LogLevel.Error, Message = "{Action} of instance {Id} failed on {Host} ({RequestId})")]
    private partial void LogActionFailed(InstanceActionKind action, string id, string host, string requestId, Exception failure);

    [LoggerMessage(EventId = 5102, Level = LogLevel.Warning, Message = "Instance {Id} starts although Neutron has not wired port {Ports} (vif_plugging_is_fatal is off)")]
    private partial void LogNotWired(string id, string ports);

    [LoggerMessage(EventId = 5104, Level = LogLevel.Information, Message = "Instance {Id} went off with {Host} and runs again")]
    private partial void LogResumed(string id, string host);

    [LoggerMessage(EventId = 5105, Level = LogLevel.Error, Message = "Instance {Id} went off with {Host} and cannot be started again")]
    private partial void LogNotResumed(string id, string host, Exception failure);

    [LoggerMessage(EventId = 5103, Level = LogLevel.Warning, Message = "Instance {Id} is not one of {Host}'s any more: what is left of it is removed")]
    private partial void LogRemnant(string id, string host);
}
