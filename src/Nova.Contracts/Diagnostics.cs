namespace SharpStack.Nova.Contracts;

public sealed record DiagnosticsQuery(string Id);

/// <summary>What a running guest has used since it started. Bytes, and times in nanoseconds.</summary>
/// <param name="State">Nova's name of the power state: <c>running</c>.</param>
/// <param name="Driver"><c>libvirt</c>, <c>fake</c>.</param>
/// <param name="Hypervisor"><c>kvm</c>, <c>qemu</c>.</param>
/// <param name="MaximumMemoryMb">Memory that it may have, MiB.</param>
/// <param name="MemoryMb">Memory that it has, MiB.</param>
public sealed record GuestDiagnostics(string State, string Driver, string Hypervisor, int MaximumMemoryMb, int MemoryMb)
{
    /// <summary>Time by virtual processor.</summary>
    public IReadOnlyList<long> ProcessorTimes { get; init; } = [];

    public IReadOnlyList<DiskDiagnostics> Disks { get; init; } = [];

    public IReadOnlyList<NicDiagnostics> Nics { get; init; } = [];
}

/// <param name="Device">As the guest knows it: <c>vda</c>.</param>
public sealed record DiskDiagnostics(string Device, long ReadRequests, long ReadBytes, long WriteRequests, long WriteBytes, long Errors);

/// <param name="Device">The host's name of the interface; null where it has none, and so no numbers.</param>
public sealed record NicDiagnostics(
    string? Device, string MacAddress, long RxBytes, long RxPackets, long RxErrors, long RxDrop, long TxBytes, long TxPackets, long TxErrors, long TxDrop);

/// <summary>Images that a host is to have in its cache before a server needs them.</summary>
public sealed record ImagesToCache(IReadOnlyList<ImageSpec> Images);
