using LinqToDB;
using LinqToDB.Async;
using SharpStack.Foundation.Configuration;
using SharpStack.Nova.Aggregates;
using SharpStack.Nova.Contracts;
using SharpStack.Nova.Scheduling;
using SharpStack.Nova.Servers;
using SharpStack.Nova.Storage;

namespace SharpStack.Nova.Services;

/// <summary>Services and hypervisors: what they reported, and which of them are up.</summary>
internal sealed class HostRegistry(NovaStore store, ServiceConfig config) : IHostStates
{
    public const string Compute = "nova-compute";

    private readonly long downAfter = (long)TimeSpan.FromSeconds(config.Get(NovaOptions.ServiceDownTime)).TotalMicroseconds;
    private readonly string zone = config.Get(NovaOptions.DefaultZone);
    private readonly string internalZone = config.Get(NovaOptions.InternalZone);

    public bool IsUp(ServiceRow service, long now) => !service.ForcedDown && now - service.LastSeenAt <= downAfter;

    /// <param name="zones">The zones that aggregates give to hosts.</param>
    public string ZoneOf(ServiceRow service, IReadOnlyDictionary<string, string> zones) =>
        service.Binary == Compute ? zones.GetValueOrDefault(service.Host, zone) : internalZone;

    /// <summary>The zone of a compute host.</summary>
    public async Task<string> ZoneOfAsync(NovaSession session, string host, CancellationToken cancellationToken) =>
        await AggregateStore.ZoneOfAsync(session, host, cancellationToken) ?? zone;

    /// <summary>Writes down the zone that a host is in now with the servers on it.</summary>
    public async Task ChangeZoneAsync(NovaSession session, string host, CancellationToken cancellationToken)
    {
        var current = await ZoneOfAsync(session, host, cancellationToken);
        await session.Instances.Where(row => row.Host == host && row.DeletedAt == null && row.AvailabilityZone != current)
            .Set(row => row.AvailabilityZone, current)
            .Set(row => row.Revision, row => row.Revision + 1)
            .UpdateAsync(cancellationToken);
    }

    /// <summary>The zones in which a compute service is enabled.</summary>
    public async Task<IReadOnlySet<string>> AvailableZonesAsync(NovaSession session, CancellationToken cancellationToken)
    {
        var zones = await AggregateStore.ZonesAsync(session, cancellationToken);
        return (await session.Services.Where(service => service.Binary == Compute && !service.Disabled).ToListAsync(cancellationToken)).Select(service => ZoneOf(service, zones)).ToHashSet();
    }

    /// <summary>Writes down that a service lives.</summary>
    public Task<ServiceRow> SeenAsync(string host, string binary, CancellationToken cancellationToken) =>
        store.WriteAsync(session => SeenAsync(session, host, binary, cancellationToken), cancellationToken);

    /// <summary>Writes down what a compute host reported.</summary>
    /// <returns>The rows, and whether Placement is to be told something new.</returns>
    public Task<(ServiceRow Service, ComputeNodeRow Node, bool Changed)> ReportAsync(HostReport report, CancellationToken cancellationToken) =>
        store.WriteAsync(
            async session =>
            {
                var service = await SeenAsync(session, report.Host, Compute, cancellationToken);
                var known = await session.ComputeNodes.Where(node => node.Host == report.Host).FirstOrDefaultAsync(cancellationToken);
                var facts = report.Hypervisor;
                var row = (known ?? new ComputeNodeRow
                {
                    Uuid = Guid.NewGuid().ToString(),
                    Host = report.Host,
                    HypervisorHostname = facts.HypervisorHostname,
                    HypervisorType = facts.HypervisorType,
                    CreatedAt = session.Now,
                }) with
                {
                    HypervisorHostname = facts.HypervisorHostname,
                    HypervisorType = facts.HypervisorType,
                    HypervisorVersion = facts.HypervisorVersion,
                    HostIp = facts.HostIp,
                    Vcpus = facts.Vcpus,
                    MemoryMb = facts.MemoryMb,
                    MemoryMbUsed = facts.MemoryMbUsed,
                    LocalGb = facts.LocalGb,
                    LocalGbUsed = facts.LocalGbUsed,
                    DiskAvailableLeast = facts.DiskAvailableLeast,
                    RunningVms = facts.RunningVms,
                    CpuInfo = facts.CpuInfo,
                    Uptime = facts.Uptime,
                    Inventories = StoredJson.Text(facts.Inventories),
                    Traits = StoredJson.Text(facts.Traits),
                    UpdatedAt = session.Now,
                };
                if (known is null)
                {
                    row = row with { Id = await session.Db.InsertWithInt64IdentityAsync(row, token: cancellationToken) };
                }
                else if (row != known with { UpdatedAt = row.UpdatedAt })
                {
                    await session.Db.UpdateAsync(row, token: cancellationToken);
                }

                return (service, row, known?.Inventories != row.Inventories || known.Traits != row.Traits || known.HypervisorHostname != row.HypervisorHostname);
            },
            cancellationToken);

    /// <summary>What users with the right to it see of hosts, by name.</summary>
    public async Task<IReadOnlyDictionary<string, HostStatus>> StatusesAsync(NovaSession session, CancellationToken cancellationToken) =>
        (await session.Services.Where(service => service.Binary == Compute).ToListAsync(cancellationToken)).ToDictionary(
            service => service.Host,
            service => service.ForcedDown ? HostStatus.Down : service.Disabled ? HostStatus.Maintenance : IsUp(service, session.Now) ? HostStatus.Up : HostStatus.Unknown);

    public async Task<bool> IsUpAsync(string host, CancellationToken cancellationToken)
    {
        await using var session = store.Read();
        return await session.Services.Where(service => service.Host == host && service.Binary == Compute).FirstOrDefaultAsync(cancellationToken) is { } row && IsUp(row, session.Now);
    }

    public async Task<IReadOnlyList<HostState>> ListAsync(IReadOnlyCollection<string> computeNodeIds, CancellationToken cancellationToken)
    {
        await using var session = store.Read();
        var rows = await (
            from node in session.ComputeNodes
            join service in session.Services on node.Host equals service.Host
            where service.Binary == Compute && (computeNodeIds.Count > 500 || computeNodeIds.Contains(node.Uuid))
            select new { Node = node, Service = service }).ToListAsync(cancellationToken);
        if (computeNodeIds.Count > 500)
        {
            // Longer lists than a statement takes: all rows are read, and chosen from here.
            var wanted = computeNodeIds.ToHashSet();
            rows.RemoveAll(row => !wanted.Contains(row.Node.Uuid));
        }

        var hosts = rows.Select(row => row.Node.Host).ToList();
        var instances = (await session.Instances
            .Where(row => row.DeletedAt == null && row.Host != null && (hosts.Count > 500 || hosts.Contains(row.Host)))
            .Select(row => new { row.Host, row.Uuid, row.TaskState, row.Vcpus })
            .ToListAsync(cancellationToken)).ToLookup(row => row.Host!);
        var metadata = await AggregateStore.MetadataByHostAsync(session, hosts.Count > 500 ? null : hosts, cancellationToken);
        return [.. rows.Select(row => new HostState
        {
            Aggregates = metadata.GetValueOrDefault(row.Node.Host, []),
            Host = row.Node.Host,
            Node = row.Node.HypervisorHostname,
            ComputeNodeId = row.Node.Uuid,
            AvailabilityZone = metadata.GetValueOrDefault(row.Node.Host, []).FirstOrDefault(items => items.ContainsKey(AggregateStore.ZoneKey))?[AggregateStore.ZoneKey] ?? zone,
            IsUp = IsUp(row.Service, session.Now),
            IsDisabled = row.Service.Disabled,
            DisabledReason = row.Service.DisabledReason,
            HypervisorType = row.Node.HypervisorType,
            HypervisorVersion = row.Node.HypervisorVersion,
            HostIp = row.Node.HostIp,
            CpuInfo = row.Node.CpuInfo,
            Vcpus = row.Node.Vcpus,
            VcpusUsed = instances[row.Node.Host].Sum(instance => instance.Vcpus),
            MemoryMb = row.Node.MemoryMb,
            MemoryMbUsed = row.Node.MemoryMbUsed,
            LocalGb = row.Node.LocalGb,
            LocalGbUsed = row.Node.LocalGbUsed,
            InstanceCount = instances[row.Node.Host].Count(),
            BusyInstanceCount = instances[row.Node.Host].Count(instance => instance.TaskState != null),
            InstanceIds = [.. instances[row.Node.Host].Select(instance => instance.Uuid)],
        })];
    }

    public async Task<IReadOnlyList<(string Id, IReadOnlyDictionary<string, string> Metadata)>> AggregatesAsync(CancellationToken cancellationToken)
    {
        await using var session = store.Read();
        var items = await (
            from aggregate in session.Aggregates
            join item in session.AggregateMetadata on aggregate.Id equals item.AggregateId
            orderby aggregate.Id
            select new { aggregate.Uuid, item.Name, item.Value }).ToListAsync(cancellationToken);
        return [.. items.GroupBy(item => item.Uuid).Select(aggregate =>
            (aggregate.Key, (IReadOnlyDictionary<string, string>)aggregate.ToDictionary(item => item.Name, item => item.Value)))];
    }

    private static async Task<ServiceRow> SeenAsync(NovaSession session, string host, string binary, CancellationToken cancellationToken)
    {
        if (await session.Services.Where(service => service.Host == host && service.Binary == binary).FirstOrDefaultAsync(cancellationToken) is { } known)
        {
            var seen = known with { LastSeenAt = session.Now, UpdatedAt = session.Now };
            await session.Db.UpdateAsync(seen, token: cancellationToken);
            return seen;
        }

        var row = new ServiceRow
        {
            Uuid = Guid.NewGuid().ToString(),
            Host = host,
            Binary = binary,
            LastSeenAt = session.Now,
            CreatedAt = session.Now,
            UpdatedAt = session.Now,
        };
        return row with { Id = await session.Db.InsertWithInt64IdentityAsync(row, token: cancellationToken) };
    }
}
