namespace SharpStack.Nova.Contracts;

/// <param name="Host">The name under which the compute service reports (<c>[DEFAULT] host</c>).</param>
public sealed record HostReport(string Host, HypervisorReport Hypervisor)
{
    /// <summary>When the service process started, UTC.</summary>
    public DateTimeOffset StartedAt { get; init; }
}

/// <summary>The facts of one hypervisor; sizes in MiB and GiB.</summary>
public sealed record HypervisorReport
{
    /// <summary>Also the name of the resource provider.</summary>
    public required string HypervisorHostname { get; init; }

    /// <summary><c>QEMU</c>, <c>KVM</c>, <c>fake</c>.</summary>
    public required string HypervisorType { get; init; }

    /// <summary>7002000 for QEMU 7.2.0.</summary>
    public int HypervisorVersion { get; init; }

    public string HostIp { get; init; } = "127.0.0.1";

    public int Vcpus { get; init; }

    public int MemoryMb { get; init; }

    public int MemoryMbUsed { get; init; }

    public int LocalGb { get; init; }

    public int LocalGbUsed { get; init; }

    public int DiskAvailableLeast { get; init; }

    public int RunningVms { get; init; }

    /// <summary>A JSON object: <c>{"arch": "x86_64", "model": "…", "vendor": "…", "features": […], "topology": {"cores": …, "threads": …, "sockets": …}}</c>.</summary>
    public string CpuInfo { get; init; } = "{}";

    /// <summary>The words of <c>uptime</c>; null where the driver has none.</summary>
    public string? Uptime { get; init; }

    /// <summary>What Placement is told, with the host's own <c>reserved_host_*</c> and <c>*_allocation_ratio</c>.</summary>
    public IReadOnlyList<InventoryReport> Inventories { get; init; } = [];

    /// <summary>Traits of the provider: <c>HW_CPU_X86_SSE2</c>, <c>COMPUTE_NODE</c>.</summary>
    public IReadOnlyList<string> Traits { get; init; } = [];
}

/// <summary>One inventory: <c>VCPU</c>, <c>MEMORY_MB</c>, <c>DISK_GB</c>.</summary>
public sealed record InventoryReport(string ResourceClass, int Total, int Reserved, double AllocationRatio, int MinUnit = 1, int MaxUnit = int.MaxValue, int StepSize = 1);

/// <param name="ServiceId">UUID of the service row.</param>
/// <param name="ComputeNodeId">UUID of the hypervisor row and of the resource provider; stable as long as the host's name is.</param>
/// <param name="Disabled">An administrator keeps the scheduler away from this host; its instances go on.</param>
public sealed record HostReportReply(string ServiceId, string ComputeNodeId, bool Disabled);

public sealed record HostQuery(string Host);
