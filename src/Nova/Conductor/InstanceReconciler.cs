using LinqToDB;
using LinqToDB.Async;
using Microsoft.Extensions.Logging;
using SharpStack.Foundation;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Reconciling;
using SharpStack.Foundation.Storage;
using SharpStack.Foundation.Storage.Leases;
using SharpStack.Nova.Clients;
using SharpStack.Nova.Contracts;
using SharpStack.Nova.Scheduling;
using SharpStack.Nova.ServerGroups;
using SharpStack.Nova.Servers;
using SharpStack.Nova.Services;
using SharpStack.Nova.Storage;

namespace SharpStack.Nova.Conductor;

/// <summary>
/// Brings one instance nearer to what it should be: chooses a host, claims its resources, has its ports made, has the host look, and
/// gives everything back when it is gone or failed. Each step is written down before the next one starts and may be done twice.
/// </summary>
internal sealed partial class InstanceReconciler : IAsyncDisposable
{
    /// <summary>How often a host is told again while it is waited for.</summary>
    private static readonly TimeSpan Reminder = TimeSpan.FromSeconds(10);

    private readonly NovaStore store;
    private readonly IScheduler scheduler;
    private readonly PlacementClient placement;
    private readonly NeutronClient neutron;
    private readonly HostRegistry hosts;
    private readonly ConductorHints hints;
    private readonly ConductorLeases leases;
    private readonly TimeProvider time;
    private readonly ILogger<InstanceReconciler> log;
    private readonly int maxAttempts;
    private readonly Reconciler<string> reconciler;

    public InstanceReconciler(
        NovaStore store,
        IScheduler scheduler,
        PlacementClient placement,
        NeutronClient neutron,
        HostRegistry hosts,
        ConductorHints hints,
        ConductorLeases leases,
        ServiceConfig config,
        TimeProvider time,
        ILogger<InstanceReconciler> log)
    {
        this.store = store;
        this.scheduler = scheduler;
        this.placement = placement;
        this.neutron = neutron;
        this.hosts = hosts;
        this.hints = hints;
        this.leases = leases;
        this.time = time;
        this.log = log;
        maxAttempts = config.Get(SchedulerOptions.MaxAttempts);
        reconciler = new Reconciler<string>(
            "nova-instance",
            ReconcileAsync,
            ListAsync,
            new ReconcilerOptions { Parallelism = 8, FirstRetry = TimeSpan.FromMilliseconds(500), LongestRetry = TimeSpan.FromSeconds(30), FullPeriod = TimeSpan.FromSeconds(30) },
            time,
            log);
        leases.Instances.Gained += EnqueueAll;
    }

    /// <summary>Runs before each step, with its name: tests stop the conductor there as if it had been killed.</summary>
    internal Func<string, Task>? BeforeStep { get; set; }

    public void Start() => reconciler.Start();

    /// <summary>Looks at an instance soon, where it is this conductor's.</summary>
    public void Look(string instanceId)
    {
        if (leases.Instances.Holds(instanceId))
        {
            reconciler.Enqueue(instanceId);
        }
    }

    /// <summary>Has the conductor that an instance is shared to look at it soon.</summary>
    public ValueTask EnqueueAsync(string instanceId)
    {
        if (!leases.Instances.Holds(instanceId))
        {
            return hints.ConductorAsync(instanceId, 0);
        }

        reconciler.Enqueue(instanceId);
        return ValueTask.CompletedTask;
    }

    public void EnqueueAll() => reconciler.EnqueueAll();

    /// <summary>Completes when nothing is being worked on here.</summary>
    internal Task WhenIdleAsync() => reconciler.WhenIdleAsync();

    public ValueTask DisposeAsync() => reconciler.DisposeAsync();

    private async Task<IReadOnlyCollection<string>> ListAsync(CancellationToken cancellationToken)
    {
        await using var session = store.Read();
        var pending = await session.Actions.Where(action => action.Pending).Select(action => action.InstanceId).ToListAsync(cancellationToken);
        var releasing = await session.Instances.Where(row => row.Release).Select(row => row.Uuid).ToListAsync(cancellationToken);
        return [.. pending.Concat(releasing).Distinct().Where(leases.Instances.Holds)];
    }

    private async Task<ReconcileResult> ReconcileAsync(string instanceId, CancellationToken cancellationToken)
    {
        using var hold = leases.Instances.TryEnter(instanceId);
        if (hold is null)
        {
            return ReconcileResult.Done;
        }

        try
        {
            return await ReconcileAsync(instanceId, hold.Lease, cancellationToken);
        }
        catch (LeaseLostException)
        {
            await LeaveToOthersAsync(instanceId, cancellationToken);
            return ReconcileResult.Done;
        }
    }

    /// <summary>
    /// What was claimed after another conductor had taken the instance over, and even ended its deletion, would be nobody's: whose instance it is, is told to look.
    /// </summary>
    private async Task LeaveToOthersAsync(string instanceId, CancellationToken cancellationToken)
    {
        LogLeft(instanceId);
        var deleted = await store.WriteAsync(
            async session =>
            {
                if (await session.FindInstanceAsync(instanceId, cancellationToken) is not { IsDeleted: true, Release: false } row)
                {
                    return false;
                }

                row.Release = true;
                await session.SaveAsync(row, cancellationToken);
                return true;
            },
            cancellationToken);
        if (deleted)
        {
            await hints.ConductorAsync(instanceId, 0);
        }
    }

    private async Task<ReconcileResult> ReconcileAsync(string instanceId, Lease lease, CancellationToken cancellationToken)
    {
        InstanceRow? row;
        ActionRow? action;
        await using (var session = store.Read())
        {
            row = await session.FindInstanceAsync(instanceId, cancellationToken);
            action = row is null ? null : await session.PendingActionAsync(instanceId, cancellationToken);
        }

        if (row is null)
        {
            return ReconcileResult.Done;
        }

        if (row.Desired == DesiredState.Absent && !row.IsDeleted)
        {
            return await DeleteAsync(lease, row, action, cancellationToken);
        }

        if (row.Release)
        {
            await ReleaseAsync(lease, row, cancellationToken);
            return ReconcileResult.Done;
        }

        return action is null ? ReconcileResult.Done
            : action.Kind == InstanceActionKind.Create ? await BuildAsync(lease, row, action, cancellationToken)
            : await WaitForHostAsync(lease, row, action, cancellationToken);
    }

    private async Task<ReconcileResult> BuildAsync(Lease lease, InstanceRow row, ActionRow action, CancellationToken cancellationToken)
    {
        if (IsLate(action))
        {
            return await FailBuildAsync(lease, row, action, new FaultReport(500, $"Build of instance {row.Uuid} aborted: it did not end in time. Look at the service log of host {row.Host ?? "(none was chosen)"} and create the server again."), cancellationToken);
        }

        try
        {
            var fresh = false;
            if (row.Host is null)
            {
                fresh = row.Network == NetworkStage.None;
                if (await PlaceAsync(lease, row, action, cancellationToken) is not { Desired: not DesiredState.Absent } placed)
                {
                    reconciler.Enqueue(row.Uuid);
                    return ReconcileResult.Done;
                }

                row = placed;
            }

            if (row.Network != NetworkStage.Bound)
            {
                if (await ConnectAsync(lease, row, fresh, cancellationToken) is not { Desired: not DesiredState.Absent } connected)
                {
                    reconciler.Enqueue(row.Uuid);
                    return ReconcileResult.Done;
                }

                row = connected;
                await hints.HostAsync(row.Host!, row.Uuid, row.Revision);
                return Later(action);
            }
        }
        catch (NoValidHostException failure)
        {
            return await FailBuildAsync(lease, row, action, new FaultReport(500, failure.Message), cancellationToken);
        }
        catch (PortBindingException failure)
        {
            await TryNextHostAsync(lease, row, action, failure.Message, cancellationToken);
            reconciler.Enqueue(row.Uuid);
            return ReconcileResult.Done;
        }
        catch (CloudException failure) when (!failure.IsTransient && failure.Kind < ErrorKind.Internal)
        {
            return await FailBuildAsync(lease, row, action, new FaultReport(500, $"Build of instance {row.Uuid} aborted: {failure.Message}"), cancellationToken);
        }

        if (!await hosts.IsUpAsync(row.Host!, cancellationToken))
        {
            await TryNextHostAsync(lease, row, action, $"Host {row.Host} stopped reporting.", cancellationToken);
            reconciler.Enqueue(row.Uuid);
            return ReconcileResult.Done;
        }

        await hints.HostAsync(row.Host!, row.Uuid, row.Revision);
        return Later(action);
    }

    /// <summary>Chooses a host and claims its resources.</summary>
    private async Task<InstanceRow?> PlaceAsync(Lease lease, InstanceRow row, ActionRow action, CancellationToken cancellationToken)
    {
        await StepAsync(lease, "schedule");
        var started = time.NowMicroseconds();
        var networks = StoredJson.Networks(row.RequestedNetworks);
        var ports = await neutron.ResourceRequestsAsync([.. networks.Select(network => network.PortId).OfType<string>()], cancellationToken);
        GroupRule? group;
        await using (var session = store.Read())
        {
            group = await ServerGroupStore.RuleOfAsync(session, row.Uuid, cancellationToken);
        }

        var choice = await scheduler.SelectDestinationAsync(SpecOf(row) with { Group = group, Ports = ports }, cancellationToken);
        foreach (var destination in choice.Alternates.Prepend(choice.Selected))
        {
            await StepAsync(lease, "claim");
            if (!await placement.ClaimAsync(row, destination, () => CheckAsync(lease, cancellationToken), cancellationToken))
            {
                continue;
            }

            await StepAsync(lease, "host");
            return await store.ChangeAsync(
                lease,
                row.Uuid,
                async (session, instance) =>
                {
                    if (instance.Desired == DesiredState.Absent)
                    {
                        return false;
                    }

                    await ServerGroupStore.CheckAsync(session, row.Uuid, destination.Host, cancellationToken);
                    instance.Host = destination.Host;
                    instance.Node = destination.Node;
                    instance.ComputeNodeId = destination.ComputeNodeId;
                    instance.AvailabilityZone = await hosts.ZoneOfAsync(session, destination.Host, cancellationToken);
                    instance.RequestedNetworks = StoredJson.Text(networks.Select(network => network with { Allocation = AllocationOf(network, ports, destination) }));
                    instance.TaskState = TaskStates.Networking;
                    instance.Network = NetworkStage.Started;
                    await session.Actions.Where(other => other.Id == action.Id).Set(other => other.Attempts, other => other.Attempts + 1).UpdateAsync(cancellationToken);
                    await session.AddEventAsync(
                        new ActionEventRow { ActionId = action.Id, Event = "conductor_schedule_and_build_instances", StartedAt = started, FinishedAt = session.Now, Result = "Success" },
                        cancellationToken);
                    return true;
                },
                cancellationToken);
        }

        throw CloudException.Unavailable($"Others were quicker on all of the {choice.Alternates.Count + 1} hosts that were chosen for instance {row.Uuid}.");
    }

    /// <summary>Has the ports made and bound.</summary>
    private async Task<InstanceRow?> ConnectAsync(Lease lease, InstanceRow row, bool fresh, CancellationToken cancellationToken)
    {
        await StepAsync(lease, "ports");
        var (vifs, groups) = await neutron.EnsurePortsAsync(row, fresh, cancellationToken);
        await StepAsync(lease, "network");
        return await store.ChangeAsync(
            lease,
            row.Uuid,
            instance =>
            {
                if (instance.Desired == DesiredState.Absent || instance.Host != row.Host)
                {
                    return false;
                }

                instance.NetworkInfo = StoredJson.Text(vifs);
                instance.Addresses = StoredJson.Addresses(vifs);
                instance.SecurityGroups = groups is null ? instance.SecurityGroups : StoredJson.Groups(groups);
                instance.Network = NetworkStage.Bound;
                instance.TaskState = TaskStates.Spawning;
                return true;
            },
            cancellationToken);
    }

    /// <summary>Leaves a host that failed, for another one where attempts are left.</summary>
    private Task<InstanceRow?> TryNextHostAsync(Lease lease, InstanceRow row, ActionRow action, string reason, CancellationToken cancellationToken) =>
        store.ChangeAsync(
            lease,
            row.Uuid,
            async (session, instance) =>
            {
                var current = await session.Actions.Where(other => other.Id == action.Id && other.Pending).FirstOrDefaultAsync(cancellationToken);
                if (current is null || instance.Host != row.Host)
                {
                    return false;
                }

                await LeaveHostAsync(session, instance, current, new FaultReport(500, reason), cancellationToken);
                return true;
            },
            cancellationToken);

    /// <summary>As <see cref="TryNextHostAsync"/>, within a transaction.</summary>
    public async Task LeaveHostAsync(NovaSession session, InstanceRow instance, ActionRow action, FaultReport fault, CancellationToken cancellationToken)
    {
        if (action.Attempts >= maxAttempts)
        {
            await FailAsync(
                session,
                instance,
                action,
                fault with
                {
                    Message = $"Exceeded maximum number of retries. Exceeded max scheduling attempts {maxAttempts} for instance {instance.Uuid}. Last exception: {fault.Message}",
                },
                cancellationToken);
            return;
        }

        instance.IgnoredHosts = StoredJson.Text(StoredJson.Texts(instance.IgnoredHosts).Append(instance.Host!).Distinct());
        instance.Host = null;
        instance.Node = null;
        instance.ComputeNodeId = null;
        instance.TaskState = TaskStates.Scheduling;
        instance.Network = NetworkStage.Started;
    }

    private async Task<ReconcileResult> FailBuildAsync(Lease lease, InstanceRow row, ActionRow action, FaultReport fault, CancellationToken cancellationToken)
    {
        var host = row.Host;
        await StepAsync(lease, "fail");
        var failed = await store.ChangeAsync(
            lease,
            row.Uuid,
            async (session, instance) =>
            {
                if (instance.Desired == DesiredState.Absent)
                {
                    return false;
                }

                await FailAsync(session, instance, action, fault, cancellationToken);
                return true;
            },
            cancellationToken);
        LogFailed(row.Uuid, fault.Message);
        if (host is not null && failed is not null)
        {
            await hints.HostAsync(host, row.Uuid, failed.Revision);
        }

        reconciler.Enqueue(row.Uuid);
        return ReconcileResult.Done;
    }

    /// <summary>Ends a build: the instance is in error with the reason, has no host, and what it holds is to be given back.</summary>
    public static async Task FailAsync(NovaSession session, InstanceRow instance, ActionRow action, FaultReport fault, CancellationToken cancellationToken)
    {
        await session.AddEventAsync(
            new ActionEventRow
            {
                ActionId = action.Id,
                Event = "compute__do_build_and_run_instance",
                Host = instance.Host,
                StartedAt = action.StartedAt,
                FinishedAt = session.Now,
                Result = "Error",
                Details = fault.Message,
            },
            cancellationToken);
        await session.FinishAsync(action, failed: true, cancellationToken);
        SetFault(session, instance, fault);
        instance.VmState = VmStates.Error;
        instance.TaskState = null;
        instance.Host = null;
        instance.Node = null;
        instance.ComputeNodeId = null;
        instance.Release = true;
    }

    public static void SetFault(NovaSession session, InstanceRow instance, FaultReport fault)
    {
        instance.FaultCode = fault.Code;
        instance.FaultMessage = fault.Message;
        instance.FaultDetails = fault.Details;
        instance.FaultAt = session.Now;
    }

    /// <summary>An action that is the host's alone.</summary>
    private async Task<ReconcileResult> WaitForHostAsync(Lease lease, InstanceRow row, ActionRow action, CancellationToken cancellationToken)
    {
        if (row.Host is not null && !IsLate(action))
        {
            await hints.HostAsync(row.Host, row.Uuid, row.Revision);
            return Later(action);
        }

        await store.ChangeAsync(
            lease,
            row.Uuid,
            async (session, instance) =>
            {
                if (await session.PendingActionAsync(row.Uuid, cancellationToken) is not { } pending || pending.Id != action.Id)
                {
                    return false;
                }

                await session.AddEventAsync(
                    new ActionEventRow
                    {
                        ActionId = action.Id,
                        Event = $"conductor_{action.Action}",
                        Host = instance.Host,
                        StartedAt = action.StartedAt,
                        FinishedAt = session.Now,
                        Result = "Error",
                        Details = $"Host {instance.Host ?? "(none)"} did not end the action in time. See `openstack compute service list`, then try again.",
                    },
                    cancellationToken);
                await session.FinishAsync(pending, failed: true, cancellationToken);
                instance.TaskState = null;
                instance.Desired = instance.VmState == VmStates.Stopped ? DesiredState.Stopped : DesiredState.Running;
                return true;
            },
            cancellationToken);
        return ReconcileResult.Done;
    }

    private async Task<ReconcileResult> DeleteAsync(Lease lease, InstanceRow row, ActionRow? action, CancellationToken cancellationToken)
    {
        var late = action is null || IsLate(action);
        if (row.Host is not null && !row.Release && !late && await hosts.IsUpAsync(row.Host, cancellationToken))
        {
            await hints.HostAsync(row.Host, row.Uuid, row.Revision);
            return Later(action!);
        }

        // The host has let go of it, never had it, or is down: it removes what it still has when it is back and asks.
        var released = false;
        try
        {
            await GiveBackAsync(lease, row, cancellationToken);
            released = true;
        }
        catch (CloudException failure) when (late)
        {
            LogNotReleased(row.Uuid, failure);
        }

        await StepAsync(lease, "deleted");
        await store.ChangeAsync(
            lease,
            row.Uuid,
            async (session, instance) =>
            {
                if (await session.PendingActionAsync(row.Uuid, cancellationToken) is { } pending)
                {
                    await session.FinishAsync(pending, failed: false, cancellationToken);
                }

                instance.SetDeleted(session.Now);
                instance.Release = !released;
                return true;
            },
            cancellationToken);
        return ReconcileResult.Done;
    }

    /// <summary>Gives back what a failed build, or a deletion that could not wait, still holds.</summary>
    private async Task ReleaseAsync(Lease lease, InstanceRow row, CancellationToken cancellationToken)
    {
        await GiveBackAsync(lease, row, cancellationToken);
        await StepAsync(lease, "released");
        await store.WriteAsync(
            async session =>
            {
                await lease.CheckAsync(session.Db, cancellationToken);
                if (await session.FindInstanceAsync(row.Uuid, cancellationToken) is not { } instance)
                {
                    return;
                }

                instance.Release = false;
                if (!instance.IsDeleted)
                {
                    instance.Network = NetworkStage.Started;
                    instance.NetworkInfo = "[]";
                    instance.Addresses = "{}";
                }

                await session.SaveAsync(instance, cancellationToken);
            },
            cancellationToken);
    }

    private async Task GiveBackAsync(Lease lease, InstanceRow row, CancellationToken cancellationToken)
    {
        await StepAsync(lease, "release ports");
        await neutron.ReleasePortsAsync(row, cancellationToken);
        await StepAsync(lease, "release allocation");
        await placement.ReleaseAsync(row.Uuid, cancellationToken);
    }

    /// <summary>What a destination has claimed for a port: one provider a group.</summary>
    private static Dictionary<string, string>? AllocationOf(RequestedNetwork network, IReadOnlyList<PortRequest> ports, Destination destination) =>
        ports.FirstOrDefault(port => port.PortId == network.PortId)?.Groups.ToDictionary(group => group.Id, group => destination.Mappings[group.Id][0]);

    private static RequestSpec SpecOf(InstanceRow row) =>
        new()
        {
            InstanceId = row.Uuid,
            ProjectId = row.ProjectId,
            UserId = row.UserId,
            FlavorName = row.FlavorName,
            Vcpus = row.Vcpus,
            MemoryMb = row.MemoryMb,
            RootGb = row.RootGb,
            EphemeralGb = row.EphemeralGb,
            SwapMb = row.SwapMb,
            ExtraSpecs = StoredJson.Map(row.FlavorExtraSpecs),
            ImageId = row.ImageId.Length > 0 ? row.ImageId : null,
            ImageProperties = StoredJson.Image(row.Image)?.Properties ?? new Dictionary<string, string>(),
            AvailabilityZone = row.RequestedZone,
            ForcedHost = row.RequestedHost,
            ForcedNode = row.RequestedNode,
            IsForced = row.HostIsForced,
            IgnoredHosts = StoredJson.Texts(row.IgnoredHosts),
            Hints = StoredJson.Hints(row.SchedulerHints),
            PhysicalNetworks = [.. StoredJson.Networks(row.RequestedNetworks).Select(network => network.PhysicalNetwork).OfType<string>().Distinct()],
        };

    private Task CheckAsync(Lease lease, CancellationToken cancellationToken) =>
        store.WriteAsync(session => lease.CheckAsync(session.Db, cancellationToken), cancellationToken);

    private bool IsLate(ActionRow action) => time.NowMicroseconds() > action.Deadline;

    private ReconcileResult Later(ActionRow action)
    {
        var left = TimeSpan.FromMicroseconds(Math.Max(0, action.Deadline - time.NowMicroseconds())) + TimeSpan.FromMilliseconds(10);
        return ReconcileResult.After(left < Reminder ? left : Reminder);
    }

    /// <exception cref="LeaseLostException">Another conductor has the instance by now.</exception>
    private async Task StepAsync(Lease lease, string name)
    {
        await (BeforeStep?.Invoke(name) ?? Task.CompletedTask);
        lease.ThrowIfLost();
    }

    [LoggerMessage(EventId = 4001, Level = LogLevel.Warning, Message = "Instance {Id} was not built: {Reason}")]
    private partial void LogFailed(string id, string reason);

    [LoggerMessage(EventId = 4005, Level = LogLevel.Warning, Message = "Instance {Id} may be another conductor's by now: this one leaves it until it knows")]
    private partial void LogLeft(string id);

    [LoggerMessage(EventId = 4002, Level = LogLevel.Warning, Message = "Instance {Id} is deleted, but not all that it held could be given back yet")]
    private partial void LogNotReleased(string id, Exception failure);
}
