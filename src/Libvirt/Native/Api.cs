using System.Runtime.InteropServices;

namespace SharpStack.Libvirt.Native;

/// <summary>The functions of libvirt's C API that are used. Errors are per thread: read them before anything else runs on it.</summary>
internal static unsafe partial class Api
{
    private const string Library = "libvirt.so.0";

    [LibraryImport(Library, EntryPoint = "virInitialize")]
    public static partial int Initialize();

    [LibraryImport(Library, EntryPoint = "virGetVersion")]
    public static partial int GetVersion(nuint* library, nint type, nuint* typeVersion);

    [LibraryImport(Library, EntryPoint = "virGetLastError")]
    public static partial ErrorRecord* GetLastError();

    [LibraryImport(Library, EntryPoint = "virResetLastError")]
    public static partial void ResetLastError();

    [LibraryImport(Library, EntryPoint = "virSetErrorFunc")]
    public static partial void SetErrorFunction(nint data, nint handler);

    [LibraryImport(Library, EntryPoint = "virConnSetErrorFunc")]
    public static partial void SetConnectionErrorFunction(ConnectionHandle connection, nint data, nint handler);

    [LibraryImport(Library, EntryPoint = "virEventRegisterDefaultImpl")]
    public static partial int RegisterDefaultEventLoop();

    [LibraryImport(Library, EntryPoint = "virEventRunDefaultImpl")]
    public static partial int RunDefaultEventLoop();

    [LibraryImport(Library, EntryPoint = "virConnectOpen", StringMarshalling = StringMarshalling.Utf8)]
    public static partial ConnectionHandle ConnectOpen(string uri);

    [LibraryImport(Library, EntryPoint = "virConnectClose")]
    public static partial int ConnectClose(nint connection);

    [LibraryImport(Library, EntryPoint = "virConnectIsAlive")]
    public static partial int ConnectIsAlive(ConnectionHandle connection);

    [LibraryImport(Library, EntryPoint = "virConnectSetKeepAlive")]
    public static partial int ConnectSetKeepAlive(ConnectionHandle connection, int interval, uint count);

    [LibraryImport(Library, EntryPoint = "virConnectRegisterCloseCallback")]
    public static partial int ConnectRegisterCloseCallback(ConnectionHandle connection, nint callback, nint data, nint free);

    [LibraryImport(Library, EntryPoint = "virConnectUnregisterCloseCallback")]
    public static partial int ConnectUnregisterCloseCallback(ConnectionHandle connection, nint callback);

    [LibraryImport(Library, EntryPoint = "virConnectGetVersion")]
    public static partial int ConnectGetVersion(ConnectionHandle connection, nuint* version);

    [LibraryImport(Library, EntryPoint = "virConnectGetLibVersion")]
    public static partial int ConnectGetLibraryVersion(ConnectionHandle connection, nuint* version);

    [LibraryImport(Library, EntryPoint = "virConnectGetType")]
    public static partial byte* ConnectGetType(ConnectionHandle connection);

    [LibraryImport(Library, EntryPoint = "virConnectGetHostname")]
    public static partial byte* ConnectGetHostname(ConnectionHandle connection);

    [LibraryImport(Library, EntryPoint = "virConnectGetCapabilities")]
    public static partial byte* ConnectGetCapabilities(ConnectionHandle connection);

    [LibraryImport(Library, EntryPoint = "virConnectGetDomainCapabilities", StringMarshalling = StringMarshalling.Utf8)]
    public static partial byte* ConnectGetDomainCapabilities(ConnectionHandle connection, string? emulator, string? architecture,
        string? machine, string? virtType, uint flags);

    [LibraryImport(Library, EntryPoint = "virNodeGetInfo")]
    public static partial int NodeGetInfo(ConnectionHandle connection, NodeInfoRecord* info);

    [LibraryImport(Library, EntryPoint = "virConnectListAllDomains")]
    public static partial int ConnectListAllDomains(ConnectionHandle connection, nint** domains, uint flags);

    [LibraryImport(Library, EntryPoint = "virConnectDomainEventRegisterAny")]
    public static partial int ConnectDomainEventRegister(ConnectionHandle connection, nint domain, int eventId, nint callback, nint data, nint free);

    [LibraryImport(Library, EntryPoint = "virConnectDomainEventDeregisterAny")]
    public static partial int ConnectDomainEventDeregister(ConnectionHandle connection, int callbackId);

    [LibraryImport(Library, EntryPoint = "virDomainDefineXMLFlags", StringMarshalling = StringMarshalling.Utf8)]
    public static partial DomainHandle DomainDefine(ConnectionHandle connection, string xml, uint flags);

    [LibraryImport(Library, EntryPoint = "virDomainLookupByUUIDString", StringMarshalling = StringMarshalling.Utf8)]
    public static partial DomainHandle DomainLookupByUuid(ConnectionHandle connection, string uuid);

    [LibraryImport(Library, EntryPoint = "virDomainLookupByName", StringMarshalling = StringMarshalling.Utf8)]
    public static partial DomainHandle DomainLookupByName(ConnectionHandle connection, string name);

    [LibraryImport(Library, EntryPoint = "virDomainFree")]
    public static partial int DomainFree(nint domain);

    [LibraryImport(Library, EntryPoint = "virDomainGetName")]
    public static partial byte* DomainGetName(DomainHandle domain);

    [LibraryImport(Library, EntryPoint = "virDomainGetUUIDString")]
    public static partial int DomainGetUuid(DomainHandle domain, byte* buffer);

    [LibraryImport(Library, EntryPoint = "virDomainGetUUIDString")]
    public static partial int DomainGetUuid(nint domain, byte* buffer);

    [LibraryImport(Library, EntryPoint = "virDomainGetID")]
    public static partial uint DomainGetId(DomainHandle domain);

    [LibraryImport(Library, EntryPoint = "virDomainCreateWithFlags")]
    public static partial int DomainCreate(DomainHandle domain, uint flags);

    [LibraryImport(Library, EntryPoint = "virDomainDestroyFlags")]
    public static partial int DomainDestroy(DomainHandle domain, uint flags);

    [LibraryImport(Library, EntryPoint = "virDomainUndefineFlags")]
    public static partial int DomainUndefine(DomainHandle domain, uint flags);

    [LibraryImport(Library, EntryPoint = "virDomainUndefine")]
    public static partial int DomainUndefine(DomainHandle domain);

    [LibraryImport(Library, EntryPoint = "virDomainShutdown")]
    public static partial int DomainShutdown(DomainHandle domain);

    [LibraryImport(Library, EntryPoint = "virDomainReboot")]
    public static partial int DomainReboot(DomainHandle domain, uint flags);

    [LibraryImport(Library, EntryPoint = "virDomainReset")]
    public static partial int DomainReset(DomainHandle domain, uint flags);

    [LibraryImport(Library, EntryPoint = "virDomainSuspend")]
    public static partial int DomainSuspend(DomainHandle domain);

    [LibraryImport(Library, EntryPoint = "virDomainResume")]
    public static partial int DomainResume(DomainHandle domain);

    [LibraryImport(Library, EntryPoint = "virDomainGetState")]
    public static partial int DomainGetState(DomainHandle domain, int* state, int* reason, uint flags);

    [LibraryImport(Library, EntryPoint = "virDomainGetInfo")]
    public static partial int DomainGetInfo(DomainHandle domain, DomainInfoRecord* info);

    [LibraryImport(Library, EntryPoint = "virDomainGetVcpus")]
    public static partial int DomainGetProcessors(DomainHandle domain, ProcessorRecord* records, int count, byte* maps, int mapLength);

    [LibraryImport(Library, EntryPoint = "virDomainBlockStats", StringMarshalling = StringMarshalling.Utf8)]
    public static partial int DomainBlockStatistics(DomainHandle domain, string device, DiskStatistics* statistics, nuint size);

    [LibraryImport(Library, EntryPoint = "virDomainInterfaceStats", StringMarshalling = StringMarshalling.Utf8)]
    public static partial int DomainInterfaceStatistics(DomainHandle domain, string device, InterfaceStatistics* statistics, nuint size);

    [LibraryImport(Library, EntryPoint = "virDomainGetXMLDesc")]
    public static partial byte* DomainGetXml(DomainHandle domain, uint flags);

    [LibraryImport(Library, EntryPoint = "virDomainIsPersistent")]
    public static partial int DomainIsPersistent(DomainHandle domain);

    [LibraryImport(Library, EntryPoint = "virDomainAttachDeviceFlags", StringMarshalling = StringMarshalling.Utf8)]
    public static partial int DomainAttachDevice(DomainHandle domain, string xml, uint flags);

    [LibraryImport(Library, EntryPoint = "virDomainDetachDeviceFlags", StringMarshalling = StringMarshalling.Utf8)]
    public static partial int DomainDetachDevice(DomainHandle domain, string xml, uint flags);

    [StructLayout(LayoutKind.Sequential)]
    public struct ErrorRecord
    {
        public int Code;
        public int Domain;
        public byte* Message;
    }

    [StructLayout(LayoutKind.Sequential)]
    public struct ProcessorRecord
    {
        public uint Number;
        public int State;
        public ulong Time;
        public int Processor;
    }

    [StructLayout(LayoutKind.Sequential)]
    public struct DomainInfoRecord
    {
        public byte State;
        public ulong MaximumMemory;
        public ulong Memory;
        public ushort Processors;
        public ulong ProcessorTime;
    }

    [StructLayout(LayoutKind.Sequential)]
    public struct NodeInfoRecord
    {
        public fixed byte Model[32];
        public ulong Memory;
        public uint Processors;
        public uint Megahertz;
        public uint Nodes;
        public uint Sockets;
        public uint Cores;
        public uint Threads;
    }
}

internal sealed class ConnectionHandle() : SafeHandle(0, ownsHandle: true)
{
    public override bool IsInvalid => handle == 0;

    protected override bool ReleaseHandle() => Api.ConnectClose(handle) >= 0;
}

internal sealed class DomainHandle : SafeHandle
{
    public DomainHandle()
        : base(0, ownsHandle: true)
    {
    }

    public DomainHandle(nint value)
        : this() => SetHandle(value);

    public override bool IsInvalid => handle == 0;

    protected override bool ReleaseHandle() => Api.DomainFree(handle) == 0;
}
