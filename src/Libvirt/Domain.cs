using System.Runtime.InteropServices;
using System.Text;
using SharpStack.Libvirt.Native;

namespace SharpStack.Libvirt;

/// <summary>virDomainState.</summary>
public enum DomainState
{
    NoState = 0,
    Running = 1,
    Blocked = 2,
    Paused = 3,
    ShuttingDown = 4,
    ShutOff = 5,
    Crashed = 6,
    PowerManagementSuspended = 7,
}

/// <summary>virDomainUndefineFlagsValues.</summary>
[Flags]
public enum UndefineOptions
{
    None = 0,
    ManagedSave = 1,
    SnapshotsMetadata = 2,
    Nvram = 4,
    CheckpointsMetadata = 16,
}

/// <summary>Live configuration, persistent configuration, or both (virDomainModificationImpact).</summary>
[Flags]
public enum DeviceScope
{
    Current = 0,
    Live = 1,
    Configuration = 2,
}

/// <summary>virDomainInfo.</summary>
/// <param name="MaximumMemoryKib">Memory it may have, KiB.</param>
/// <param name="MemoryKib">Memory it has, KiB.</param>
/// <param name="ProcessorTime">Processor time used since it started.</param>
public sealed record DomainInfo(DomainState State, long MaximumMemoryKib, long MemoryKib, int Processors, TimeSpan ProcessorTime);

/// <summary>virDomainBlockStatsStruct; -1 for what the emulator does not count.</summary>
public readonly record struct DiskStatistics(long ReadRequests, long ReadBytes, long WriteRequests, long WriteBytes, long Errors);

/// <summary>virDomainInterfaceStatsStruct; -1 for what is not counted.</summary>
public readonly record struct InterfaceStatistics(long RxBytes, long RxPackets, long RxErrors, long RxDrop, long TxBytes, long TxPackets, long TxErrors, long TxDrop);

/// <summary>A virtual machine of a connection. All calls block, some for seconds: make them off the request threads.</summary>
public sealed unsafe class Domain : IDisposable
{
    private const int UuidBufferSize = 37;

    private readonly DomainHandle handle;

    internal Domain(DomainHandle handle)
    {
        this.handle = handle;
        Uuid = ReadUuid();
        Name = Marshal.PtrToStringUTF8((nint)Api.DomainGetName(handle)) ?? throw LibvirtException.Last();
    }

    public Guid Uuid { get; }

    public string Name { get; }

    /// <summary>Number while it runs, null while it is shut off.</summary>
    public int? Id => Api.DomainGetId(handle) is var id && id == uint.MaxValue ? null : (int)id;

    public DomainState State
    {
        get
        {
            int state, reason;
            Check(Api.DomainGetState(handle, &state, &reason, 0));
            return (DomainState)state;
        }
    }

    public bool IsPersistent => Check(Api.DomainIsPersistent(handle)) == 1;

    public DomainInfo Info
    {
        get
        {
            Api.DomainInfoRecord info;
            Check(Api.DomainGetInfo(handle, &info));
            return new DomainInfo((DomainState)info.State, (long)info.MaximumMemory, (long)info.Memory, info.Processors,
                TimeSpan.FromMicroseconds(info.ProcessorTime / 1000.0));
        }
    }

    /// <summary>The time of each virtual processor, nanoseconds.</summary>
    public long[] ProcessorTimes()
    {
        var count = Info.Processors;
        var records = stackalloc Api.ProcessorRecord[count];
        var filled = Check(Api.DomainGetProcessors(handle, records, count, null, 0));
        var times = new long[filled];
        for (var i = 0; i < filled; i++)
        {
            times[i] = (long)records[i].Time;
        }

        return times;
    }

    /// <param name="device">As the guest knows it: <c>vda</c>.</param>
    public DiskStatistics DiskStatistics(string device)
    {
        DiskStatistics statistics;
        Check(Api.DomainBlockStatistics(handle, device, &statistics, (nuint)sizeof(DiskStatistics)));
        return statistics;
    }

    /// <param name="device">The host's name of the interface.</param>
    public InterfaceStatistics InterfaceStatistics(string device)
    {
        InterfaceStatistics statistics;
        Check(Api.DomainInterfaceStatistics(handle, device, &statistics, (nuint)sizeof(InterfaceStatistics)));
        return statistics;
    }

    /// <summary>The domain as libvirt describes it now.</summary>
    /// <param name="inactive">True: the persistent configuration instead of the running one.</param>
    public string GetXml(bool inactive = false) => LibvirtConnection.TakeString(Api.DomainGetXml(handle, inactive ? 2u : 0));

    /// <param name="paused">Leaves it paused before its first instruction.</param>
    public void Start(bool paused = false) => Check(Api.DomainCreate(handle, paused ? 1u : 0));

    /// <summary>Pulls the plug.</summary>
    /// <param name="graceful">Only ask the emulator to end (SIGTERM), never kill it.</param>
    public void Destroy(bool graceful = false) => Check(Api.DomainDestroy(handle, graceful ? 1u : 0));

    public void Undefine(UndefineOptions options = UndefineOptions.None) =>
        Check(options == UndefineOptions.None ? Api.DomainUndefine(handle) : Api.DomainUndefine(handle, (uint)options));

    /// <summary>Presses the power button; returns at once.</summary>
    public void Shutdown() => Check(Api.DomainShutdown(handle));

    /// <summary>Asks the guest to restart; returns at once.</summary>
    public void Reboot() => Check(Api.DomainReboot(handle, 0));

    /// <summary>Presses the reset button.</summary>
    public void Reset() => Check(Api.DomainReset(handle, 0));

    public void Suspend() => Check(Api.DomainSuspend(handle));

    public void Resume() => Check(Api.DomainResume(handle));

    public void AttachDevice(string xml, DeviceScope scope) => Check(Api.DomainAttachDevice(handle, xml, (uint)scope));

    /// <summary>Asks for the device's removal, which a running guest completes later.</summary>
    public void DetachDevice(string xml, DeviceScope scope) => Check(Api.DomainDetachDevice(handle, xml, (uint)scope));

    public void Dispose() => handle.Dispose();

    internal static Guid ParseUuid(byte* text) => Guid.Parse(Encoding.ASCII.GetString(text, UuidBufferSize - 1));

    private static int Check(int result) => result >= 0 ? result : throw LibvirtException.Last();

    private Guid ReadUuid()
    {
        var buffer = stackalloc byte[UuidBufferSize];
        Check(Api.DomainGetUuid(handle, buffer));
        return ParseUuid(buffer);
    }
}
