namespace SharpStack.Nova.Scheduling;

/// <summary>What Nova's own database knows of the hosts, for filters and weighers; read in one go.</summary>
public interface IHostStates
{
    /// <summary>The hosts whose compute node has one of these UUIDs; unknown UUIDs are left out.</summary>
    Task<IReadOnlyList<HostState>> ListAsync(IReadOnlyCollection<string> computeNodeIds, CancellationToken cancellationToken);

    /// <summary>UUIDs and metadata of all host aggregates.</summary>
    Task<IReadOnlyList<(string Id, IReadOnlyDictionary<string, string> Metadata)>> AggregatesAsync(CancellationToken cancellationToken);
}

/// <summary>
/// One host as Nova's database has it; sizes in MiB and GiB. While the scheduler works, the used amounts are those claimed in Placement, which are
/// newer than what the host last reported.
/// </summary>
public sealed record HostState
{
    public required string Host { get; init; }

    public required string Node { get; init; }

    public required string ComputeNodeId { get; init; }

    public required string AvailabilityZone { get; init; }

    /// <summary>The metadata of each aggregate that the host is in and that has any.</summary>
    public IReadOnlyList<IReadOnlyDictionary<string, string>> Aggregates { get; init; } = [];

    /// <summary>The service reported within <c>service_down_time</c> and was not forced down.</summary>
    public required bool IsUp { get; init; }

    /// <summary>An administrator disabled the service, with this reason.</summary>
    public required bool IsDisabled { get; init; }

    public string? DisabledReason { get; init; }

    public required string HypervisorType { get; init; }

    public int HypervisorVersion { get; init; }

    public string HostIp { get; init; } = "";

    /// <summary>As the host reported it, a JSON object.</summary>
    public string CpuInfo { get; init; } = "{}";

    public int Vcpus { get; init; }

    public int VcpusUsed { get; init; }

    public int MemoryMb { get; init; }

    public int MemoryMbUsed { get; init; }

    public int LocalGb { get; init; }

    public int LocalGbUsed { get; init; }

    /// <summary>Instances whose host this is.</summary>
    public int InstanceCount { get; init; }

    /// <summary>Instances that have an action pending on this host.</summary>
    public int BusyInstanceCount { get; init; }

    /// <summary>UUIDs of the instances on this host, for affinity.</summary>
    public IReadOnlyCollection<string> InstanceIds { get; init; } = [];
}
