using LinqToDB;
using LinqToDB.Async;
using SharpStack.Foundation;
using SharpStack.Foundation.Bus;
using SharpStack.Foundation.Hosting;
using SharpStack.Foundation.Storage;
using SharpStack.Nova.Contracts;
using SharpStack.Nova.Servers;
using SharpStack.Nova.Services;
using SharpStack.Nova.Storage;

namespace SharpStack.Nova.Conductor;

/// <summary>Answers compute hosts: what their instances should be; and writes down what they saw.</summary>
internal sealed class ConductorService(
    NovaStore store, IMessageBus bus, HostRegistry hosts, HostPublisher publisher, InstanceReconciler instances, Janitor janitor, ConductorLeases leases) : IWorker
{
    private readonly List<IDisposable> served = [];

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        await leases.Keeper.StartAsync(cancellationToken);
        served.Add(bus.Serve(ConductorContract.ReportHost, null, ReportHostAsync));
        served.Add(bus.Serve(HostProviders.HostChanged, null, publisher.ChangedAsync));
        served.Add(bus.Serve(ConductorContract.ListInstances, null, ListInstancesAsync));
        served.Add(bus.Serve(ConductorContract.GetInstance, null, GetInstanceAsync));
        served.Add(bus.Serve(ConductorContract.ReportInstance, null, ReportInstanceAsync));
        served.Add(bus.Serve(ConductorContract.ReportEvent, null, ReportEventAsync));
        served.Add(bus.Serve(ConductorHints.InstanceChanged, null, (hint, _) =>
        {
            instances.Look(hint.Id);
            return Task.FromResult(Ack.Ok);
        }));
        bus.Reconnected += instances.EnqueueAll;
        publisher.Start();
        instances.Start();
        janitor.Start();
    }

    public async Task StopAsync(CancellationToken cancellationToken)
    {
        bus.Reconnected -= instances.EnqueueAll;
        served.ForEach(registration => registration.Dispose());
        await janitor.DisposeAsync();
        await instances.DisposeAsync();
        await publisher.DisposeAsync();
        await leases.Keeper.StopAsync();
    }

    private async Task<HostReportReply> ReportHostAsync(HostReport report, CancellationToken cancellationToken)
    {
        var (service, node, changed) = await hosts.ReportAsync(report, cancellationToken);
        publisher.Reported(node.Uuid, changed);
        return new HostReportReply(service.Uuid, node.Uuid, service.Disabled);
    }

    private async Task<InstanceList> ListInstancesAsync(HostQuery query, CancellationToken cancellationToken)
    {
        await using var session = store.Read();
        return new InstanceList(await session.Instances
            .Where(row => row.Host == query.Host && row.DeletedAt == null)
            .Select(row => new InstanceHint(row.Uuid, row.Revision))
            .ToListAsync(cancellationToken));
    }

    private async Task<InstanceAnswer> GetInstanceAsync(InstanceQuery query, CancellationToken cancellationToken)
    {
        await using var session = store.Read();
        if (await session.FindInstanceAsync(query.Id, cancellationToken) is not { IsDeleted: false } row || row.Host != query.Host)
        {
            return new InstanceAnswer(null);
        }

        var action = await session.PendingActionAsync(row.Uuid, cancellationToken);
        return new InstanceAnswer(SpecOf(row, action, await session.UserDataAsync(row.Uuid, cancellationToken)));
    }

    private static InstanceSpec SpecOf(InstanceRow row, ActionRow? action, string? userData) =>
        new()
        {
            Id = row.Uuid,
            Revision = row.Revision,
            DomainName = row.DomainName,
            Name = row.Name,
            Hostname = row.Hostname,
            Desired = row.Desired,
            // Nothing is for the host to do before the ports are bound to it.
            Action = action is null || (action.Kind == InstanceActionKind.Create && row.Network != NetworkStage.Bound)
                ? null
                : new PendingAction(action.Id, action.Kind!.Value, action.RequestId, Timestamps.FromMicroseconds(action.Deadline)),
            ProjectId = row.ProjectId,
            UserId = row.UserId,
            ProjectName = row.ProjectName,
            UserName = row.UserName,
            Flavor = new FlavorSpec(row.FlavorName, row.Vcpus, row.MemoryMb, row.RootGb, row.EphemeralGb, row.SwapMb) { ExtraSpecs = StoredJson.Map(row.FlavorExtraSpecs) },
            Image = StoredJson.Image(row.Image),
            Ports = [.. StoredJson.Vifs(row.NetworkInfo).Select(PortOf)],
            KeyName = row.KeyName,
            UserData = userData,
            ConfigDrive = row.ConfigDrive,
            Metadata = StoredJson.Map(row.Metadata),
            CreatedAt = Timestamps.FromMicroseconds(row.CreatedAt),
            LaunchedAt = row.LaunchedAt is { } launched ? Timestamps.FromMicroseconds(launched) : null,
        };

    private static PortSpec PortOf(Vif vif) =>
        new()
        {
            Id = vif.Id,
            NetworkId = vif.NetworkId,
            NetworkName = vif.NetworkName,
            MacAddress = vif.Mac,
            FixedIps = [.. vif.Addresses.Select(address => address.Ip)],
            Mtu = vif.Mtu,
            VifType = vif.VifType,
            VnicType = vif.VnicType,
            Bridge = vif.Bridge,
            DeviceName = vif.DeviceName,
            VifDetails = vif.Details,
            Plugged = vif.Plugged,
        };

    private async Task<InstanceReportReply> ReportInstanceAsync(InstanceReport report, CancellationToken cancellationToken)
    {
        var accepted = false;
        var row = await store.ChangeAsync(
            report.Id,
            async (session, instance) =>
            {
                accepted = instance.Host == report.Host;
                if (!accepted)
                {
                    return false;
                }

                var pending = await session.PendingActionAsync(instance.Uuid, cancellationToken);
                if (report.ActionId is not null)
                {
                    accepted = pending?.Id == report.ActionId;
                    return accepted && await ApplyAsync(session, instance, pending!, report, cancellationToken);
                }

                return Observe(instance, pending, report);
            },
            cancellationToken);
        if (accepted)
        {
            await instances.EnqueueAsync(report.Id);
        }

        return new InstanceReportReply(accepted, row?.Revision ?? 0);
    }

    /// <summary>What a host says of the action that it was asked for.</summary>
    private async Task<bool> ApplyAsync(NovaSession session, InstanceRow instance, ActionRow action, InstanceReport report, CancellationToken cancellationToken)
    {
        instance.PowerState = report.PowerState;
        if (action.Kind == InstanceActionKind.Delete)
        {
            instance.Release |= !report.Exists;
            return true;
        }

        switch (report.Progress)
        {
            case ActionProgress.InProgress:
                instance.TaskState = report.TaskState ?? instance.TaskState;
                return true;
            case ActionProgress.Failed:
                var fault = report.Fault ?? new FaultReport(500, $"Host {report.Host} gave no reason: see its service log.");
                if (action.Kind == InstanceActionKind.Create)
                {
                    await (fault.Reschedule
                        ? instances.LeaveHostAsync(session, instance, action, fault, cancellationToken)
                        : InstanceReconciler.FailAsync(session, instance, action, fault, cancellationToken));
                    return true;
                }

                InstanceReconciler.SetFault(session, instance, fault);
                instance.VmState = report.PowerState switch
                {
                    PowerState.Running => VmStates.Active,
                    PowerState.Shutdown => VmStates.Stopped,
                    _ => VmStates.Error,
                };
                break;
            case ActionProgress.Done:
                instance.VmState = action.Kind == InstanceActionKind.Stop ? VmStates.Stopped : VmStates.Active;
                instance.LaunchedAt ??= report.LaunchedAt is { } launched ? Timestamps.ToMicroseconds(launched) : session.Now;
                (instance.FaultCode, instance.FaultMessage, instance.FaultDetails, instance.FaultAt) = (null, null, null, null);
                break;
        }

        instance.TaskState = null;
        instance.Desired = instance.VmState == VmStates.Stopped ? DesiredState.Stopped : DesiredState.Running;
        await session.FinishAsync(action, report.Progress == ActionProgress.Failed, cancellationToken);
        return true;
    }

    /// <summary>What a host saw without being asked: a guest that went off by itself is stopped from here on.</summary>
    private static bool Observe(InstanceRow instance, ActionRow? pending, InstanceReport report)
    {
        if (instance.Desired == DesiredState.Absent)
        {
            var before = instance.Release;
            instance.Release |= !report.Exists;
            return instance.Release != before;
        }

        if (pending is not null || instance.VmState == VmStates.Building || instance.PowerState == report.PowerState)
        {
            return false;
        }

        instance.PowerState = report.PowerState;
        if (report.PowerState is PowerState.Shutdown or PowerState.Crashed && instance.VmState == VmStates.Active)
        {
            instance.VmState = VmStates.Stopped;
            instance.Desired = DesiredState.Stopped;
        }
        else if (report.PowerState == PowerState.Running && instance.VmState == VmStates.Stopped)
        {
            instance.VmState = VmStates.Active;
            instance.Desired = DesiredState.Running;
        }

        return true;
    }

    private async Task<Ack> ReportEventAsync(ActionEventReport report, CancellationToken cancellationToken)
    {
        await store.WriteAsync(
            async session =>
            {
                if (!await session.Actions.AnyAsync(action => action.Id == report.ActionId && action.InstanceId == report.InstanceId, cancellationToken))
                {
                    return;
                }

                var started = Timestamps.ToMicroseconds(report.Start);
                var known = await session.Events
                    .Where(row => row.ActionId == report.ActionId && row.Event == report.Name && row.Host == report.Host && row.StartedAt == started)
                    .FirstOrDefaultAsync(cancellationToken);
                var row = (known ?? new ActionEventRow { ActionId = report.ActionId, Event = report.Name, Host = report.Host, StartedAt = started }) with
                {
                    FinishedAt = report.Finish is { } finish ? Timestamps.ToMicroseconds(finish) : known?.FinishedAt,
                    Result = report.Result ?? known?.Result,
                    Details = report.Details ?? known?.Details,
                };
                await (known is null ? session.AddEventAsync(row, cancellationToken) : session.Db.UpdateAsync(row, token: cancellationToken));
                await session.Actions.Where(action => action.Id == report.ActionId).Set(action => action.UpdatedAt, session.Now).UpdateAsync(cancellationToken);
            },
            cancellationToken);
        return Ack.Ok;
    }
}
