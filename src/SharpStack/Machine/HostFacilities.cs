using System.Net.Sockets;
using SharpStack.LinuxHost.Processes;

namespace SharpStack.Machine;

/// <summary>What the machine offers a real cloud, and what the cloud therefore brings itself.</summary>
internal sealed record HostFacilities
{
    /// <summary>Open vSwitch's datapath: <c>system</c> with the kernel module, <c>netdev</c> (in user space) without.</summary>
    public string Datapath { get; init; } = "netdev";

    /// <summary>True where no Open vSwitch ran, so that the cloud started its own and stops it again.</summary>
    public bool OwnOpenVSwitch { get; init; }

    /// <summary>True where no libvirtd ran.</summary>
    public bool OwnLibvirt { get; init; }

    /// <summary>libvirt's <c>virt_type</c>: <c>kvm</c> where /dev/kvm can be used, <c>qemu</c> (emulation) otherwise.</summary>
    public string VirtType { get; init; } = "qemu";

    /// <summary>Whether somebody answers at a Unix socket.</summary>
    public static bool Answers(string socketPath)
    {
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            socket.Connect(new UnixDomainSocketEndPoint(socketPath));
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    /// <summary>Whether the kernel has Open vSwitch's datapath, after an attempt to load it.</summary>
    public static async Task<bool> HasKernelDatapathAsync(CancellationToken cancellationToken) =>
        Directory.Exists("/sys/module/openvswitch") || (await Shell.TryAsync("modprobe", ["-q", "openvswitch"], cancellationToken)).Succeeded;
}
