using System.Collections.Concurrent;
using LinqToDB;
using LinqToDB.Async;
using SharpStack.Neutron.Contracts;
using SharpStack.Neutron.PlacementReports;
using SharpStack.Neutron.Ports;
using SharpStack.Neutron.Routers;
using SharpStack.Neutron.Storage;
using SharpStack.Neutron.Trunks;

namespace SharpStack.Neutron.Agents;

/// <summary>Takes the agents' signs of life.</summary>
internal sealed class AgentReports(NeutronStore store, AgentDirectory directory, PortOperations ports, DhcpSchedulingReconciler scheduling, L3SchedulingReconciler l3Scheduling, PlacementReporter placement)
{
    private readonly ConcurrentDictionary<string, bool> seen = new();

    public async Task<AgentReportAnswer> ReportAsync(AgentReport report, CancellationToken cancellationToken)
    {
        var (row, status) = await store.WriteAsync(work => RecordAsync(work, report), cancellationToken);
        var isFirst = seen.TryAdd(row.Id, true);
        if (status != "alive" || report.Start)
        {
            await scheduling.LookAtAllAsync();
            await l3Scheduling.LookAtAllAsync();
        }

        return new AgentReportAnswer(row.Id, status, isFirst || status == "revived", row.AdminStateUp);
    }

    private async Task<(AgentRow Row, string Status)> RecordAsync(Work work, AgentReport report)
    {
        var row = await work.Db.GetTable<AgentRow>().FirstOrDefaultAsync(agent => agent.AgentType == report.AgentType && agent.Host == report.Host, work.Cancellation);
        var status = row is null ? "new" : directory.IsAlive(row) ? "alive" : "revived";
        var isNew = row is null;
        var tunnel = row is null ? null : TunnelQuestions.EndpointOf(row);
        row ??= new AgentRow { Id = Guid.NewGuid().ToString("D"), AgentType = report.AgentType, Host = report.Host, AdminStateUp = true, CreatedAt = work.Now, StartedAt = work.Now };
        row.Binary = report.Binary;
        row.Topic = report.Topic;
        row.AvailabilityZone = report.AvailabilityZone;
        var before = isNew || report.Start ? null : row.Configurations;
        row.Configurations = report.Configurations.ToJsonString();
        row.HeartbeatAt = work.Now;
        row.StartedAt = report.Start ? work.Now : row.StartedAt;
        if (isNew)
        {
            await work.Db.InsertAsync(row, token: work.Cancellation);
        }
        else
        {
            await work.Db.UpdateAsync(row, token: work.Cancellation);
        }

        if (row.AgentType == AgentTypes.OpenVSwitch)
        {
            placement.Reported(work, row, before);
            TunnelQuestions.TellChange(work, tunnel, TunnelQuestions.EndpointOf(row));
        }

        if (row.AgentType == AgentTypes.OpenVSwitch && (status != "alive" || report.Start))
        {
            await BindFailedAsync(work, row.Host);
        }

        return (row, status);
    }

    /// <summary>Ports that could not be bound while the host's agent was away are bound now.</summary>
    private async Task BindFailedAsync(Work work, string host)
    {
        foreach (var port in await work.Db.GetTable<PortRow>().Where(port => port.Host == host && port.VifType == PortOperations.BindingFailed).ToListAsync(work.Cancellation))
        {
            await ports.BindAsync(work, port);
            if (PortOperations.IsBound(port))
            {
                await ports.TouchAsync(work, port);
                await TrunkBindings.ReviewAsync(work, ports, port);
            }
        }
    }
}
