using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Threading.Channels;
using SharpStack.Libvirt.Native;

namespace SharpStack.Libvirt;

/// <summary>virDomainEventType: what happened to a domain.</summary>
public enum DomainEventKind
{
    Defined = 0,
    Undefined = 1,
    Started = 2,
    Suspended = 3,
    Resumed = 4,
    Stopped = 5,
    Shutdown = 6,
    PowerManagementSuspended = 7,
    Crashed = 8,
}

/// <summary>A change in a domain's life.</summary>
/// <param name="Detail">Its reason, whose meaning depends on the kind.</param>
public readonly record struct DomainEvent(Guid Uuid, DomainEventKind Kind, int Detail);

/// <summary>virNodeInfo.</summary>
/// <param name="MemoryKib">Memory of the host, KiB.</param>
public sealed record NodeInfo(string Model, long MemoryKib, int Processors, int Megahertz, int NumaNodes, int Sockets, int Cores, int Threads);

/// <summary>
/// A connection to a hypervisor. Calls block and may come from several threads; <see cref="LibvirtHost"/> runs them on threads
/// meant for waiting.
/// </summary>
public sealed unsafe class LibvirtConnection : IDisposable
{
    private const int LifecycleEvent = 0;

    /// <summary>Native callbacks carry a number, not an object: a late one finds nothing instead of freed memory.</summary>
    private static readonly ConcurrentDictionary<nint, LibvirtConnection> OpenConnections = new();

    private static long lastKey;

    private readonly nint key = (nint)Interlocked.Increment(ref lastKey);
    private readonly Channel<DomainEvent> events = Channel.CreateUnbounded<DomainEvent>(new UnboundedChannelOptions { SingleReader = true });
    private readonly TaskCompletionSource closed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly ConnectionHandle handle;
    private int lifecycle = -1;
    private bool watchesClose;

    private LibvirtConnection(ConnectionHandle handle, string uri)
    {
        this.handle = handle;
        Uri = uri;
    }

    public string Uri { get; }

    /// <summary>Lifecycle events since the connection was opened; completed when it is closed or lost.</summary>
    public ChannelReader<DomainEvent> Events => events.Reader;

    /// <summary>Ends when the connection is closed or lost.</summary>
    public Task Closed => closed.Task;

    public bool IsAlive => !closed.Task.IsCompleted && Api.ConnectIsAlive(handle) == 1;

    /// <summary>"QEMU", "TEST".</summary>
    public string HypervisorType => Marshal.PtrToStringUTF8((nint)Api.ConnectGetType(handle)) ?? throw LibvirtException.Last();

    /// <summary>Version of the hypervisor as a number: 7.2.22 is 7002022.</summary>
    public long HypervisorVersion
    {
        get
        {
            nuint version;
            Check(Api.ConnectGetVersion(handle, &version));
            return (long)version;
        }
    }

    public string Hostname => TakeString(Api.ConnectGetHostname(handle));

    /// <summary>Capabilities of host and hypervisor as XML.</summary>
    public string Capabilities => TakeString(Api.ConnectGetCapabilities(handle));

    public NodeInfo NodeInfo
    {
        get
        {
            Api.NodeInfoRecord info;
            Check(Api.NodeGetInfo(handle, &info));
            return new NodeInfo(Marshal.PtrToStringUTF8((nint)info.Model) ?? "", (long)info.Memory, (int)info.Processors, (int)info.Megahertz,
                (int)info.Nodes, (int)info.Sockets, (int)info.Cores, (int)info.Threads);
        }
    }

    /// <param name="uri">For instance "qemu:///system" or "test:///default".</param>
    /// <exception cref="LibvirtException">No such driver, or its daemon does not answer.</exception>
    public static LibvirtConnection Open(string uri)
    {
        LibvirtLibrary.EnsureStarted();
        var handle = Api.ConnectOpen(uri);
        if (handle.IsInvalid)
        {
            var failure = LibvirtException.Last();
            handle.Dispose();
            throw failure;
        }
        var connection = new LibvirtConnection(handle, uri);
        OpenConnections[connection.key] = connection;
        try
        {
            connection.Register();
            return connection;
        }
        catch
        {
            connection.Dispose();
            throw;
        }
    }

    /// <summary>What a domain of this type could have, as XML.</summary>
    public string GetDomainCapabilities(string? architecture = null, string? machine = null, string? virtType = null) =>
        TakeString(Api.ConnectGetDomainCapabilities(handle, null, architecture, machine, virtType, 0));

    /// <summary>Makes a persistent domain, or replaces the configuration of the one with its uuid and name.</summary>
    public Domain Define(string xml) => Wrap(Api.DomainDefine(handle, xml, 0));

    public Domain? Find(Guid uuid) => WrapOrNull(Api.DomainLookupByUuid(handle, uuid.ToString()));

    public Domain? Find(string name) => WrapOrNull(Api.DomainLookupByName(handle, name));

    /// <summary>Every domain, running or not. Dispose each.</summary>
    public IReadOnlyList<Domain> ListDomains()
    {
        nint* list;
        var count = Check(Api.ConnectListAllDomains(handle, &list, 0));
        var domains = new List<Domain>(count);
        try
        {
            for (var i = 0; i < count; i++)
            {
                domains.Add(new Domain(new DomainHandle(list[i])));
            }
        }
        finally
        {
            NativeMemory.Free(list);
        }
        return domains;
    }

    public void Dispose()
    {
        if (handle.IsClosed)
        {
            return;
        }
        OpenConnections.TryRemove(key, out _);
        if (lifecycle >= 0)
        {
            _ = Api.ConnectDomainEventDeregister(handle, lifecycle);
        }
        if (watchesClose)
        {
            _ = Api.ConnectUnregisterCloseCallback(handle, CloseCallback);
        }
        handle.Dispose();
        Finish();
    }

    /// <summary>Copies a string that libvirt allocated, and frees it.</summary>
    internal static string TakeString(byte* text)
    {
        if (text is null)
        {
            throw LibvirtException.Last();
        }
        try
        {
            return Marshal.PtrToStringUTF8((nint)text)!;
        }
        finally
        {
            NativeMemory.Free(text);
        }
    }

    private static nint CloseCallback => (nint)(delegate* unmanaged[Cdecl]<nint, int, nint, void>)&OnClose;

    private static int Check(int result) => result >= 0 ? result : throw LibvirtException.Last();

    private static Domain Wrap(DomainHandle domain)
    {
        if (!domain.IsInvalid)
        {
            return new Domain(domain);
        }
        var failure = LibvirtException.Last();
        domain.Dispose();
        throw failure;
    }

    private static Domain? WrapOrNull(DomainHandle domain)
    {
        if (!domain.IsInvalid)
        {
            return new Domain(domain);
        }
        var failure = LibvirtException.Last();
        domain.Dispose();
        return failure.IsNoDomain ? null : throw failure;
    }

    private void Register()
    {
        Api.SetConnectionErrorFunction(handle, 0, LibvirtLibrary.SilentHandler);
        // Drivers that live in this process have no connection to keep alive or to lose.
        _ = Api.ConnectSetKeepAlive(handle, 5, 3);
        watchesClose = Api.ConnectRegisterCloseCallback(handle, CloseCallback, key, 0) == 0;
        lifecycle = Check(Api.ConnectDomainEventRegister(handle, 0, LifecycleEvent,
            (nint)(delegate* unmanaged[Cdecl]<nint, nint, int, int, nint, int>)&OnLifecycle, key, 0));
        Api.ResetLastError();
    }

    private void Finish()
    {
        events.Writer.TryComplete();
        closed.TrySetResult();
    }

    /// <summary>Runs on the event thread: it may only take note.</summary>
    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int OnLifecycle(nint connection, nint domain, int kind, int detail, nint key)
    {
        var uuid = stackalloc byte[37];
        if (OpenConnections.TryGetValue(key, out var target) && Api.DomainGetUuid(domain, uuid) == 0)
        {
            target.events.Writer.TryWrite(new DomainEvent(Domain.ParseUuid(uuid), (DomainEventKind)kind, detail));
        }
        return 0;
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void OnClose(nint connection, int reason, nint key)
    {
        if (OpenConnections.TryGetValue(key, out var target))
        {
            target.Finish();
        }
    }
}
