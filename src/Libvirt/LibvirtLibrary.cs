using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using SharpStack.Libvirt.Native;

namespace SharpStack.Libvirt;

/// <summary>The library of this process: initialised once, with one thread for all its events.</summary>
public static unsafe class LibvirtLibrary
{
    private static readonly Lazy<bool> Started = new(Start);

    /// <summary>True when libvirt is installed on this machine.</summary>
    public static bool IsInstalled => NativeLibrary.TryLoad("libvirt.so.0", typeof(LibvirtLibrary).Assembly, null, out _);

    /// <summary>Version of the library as a number: 9.0.0 is 9000000.</summary>
    public static long Version
    {
        get
        {
            EnsureStarted();
            nuint version;
            return Api.GetVersion(&version, 0, null) == 0 ? (long)version : throw LibvirtException.Last();
        }
    }

    /// <summary>Must have run before the first connection, else that one has no events.</summary>
    internal static void EnsureStarted() => _ = Started.Value;

    private static bool Start()
    {
        if (Api.Initialize() != 0)
        {
            throw LibvirtException.Last();
        }
        // Without a handler each error is also printed on standard error.
        Api.SetErrorFunction(0, SilentHandler);
        if (Api.RegisterDefaultEventLoop() != 0)
        {
            throw LibvirtException.Last();
        }
        new Thread(Loop) { IsBackground = true, Name = "libvirt-events" }.Start();
        return true;
    }

    internal static nint SilentHandler => (nint)(delegate* unmanaged[Cdecl]<nint, nint, void>)&OnError;

    private static void Loop()
    {
        while (Api.RunDefaultEventLoop() == 0)
        {
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void OnError(nint data, nint error)
    {
    }
}
