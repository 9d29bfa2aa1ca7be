using System.Text;
using SharpStack.LinuxHost.Namespaces;
using SharpStack.LinuxHost.Native;

namespace SharpStack.LinuxHost.Links;

/// <summary>Persistent tap devices, as <c>ip tuntap add mode tap</c> makes them.</summary>
public static unsafe class Tap
{
    private const nuint SetInterface = 0x400454ca;
    private const nuint SetPersist = 0x400454cb;
    private const short ModeTap = 2;
    private const short NoPacketInformation = 0x1000;

    /// <summary>Makes a tap that stays until it is deleted. An existing free tap of that name is taken as it is.</summary>
    /// <param name="name">At most 15 characters.</param>
    /// <param name="networkNamespace">Null for this process's own.</param>
    /// <exception cref="LinuxException">EBUSY: a program holds it open. EINVAL: another kind of link has that name.</exception>
    public static void Create(string name, string? networkNamespace = null) => NetworkNamespace.Run(networkNamespace, () =>
    {
        using var device = Libc.Open("/dev/net/tun", Libc.OpenReadWrite | Libc.OpenCloseOnExec);
        if (device.IsInvalid)
        {
            throw LinuxException.Last("open /dev/net/tun");
        }
        var request = stackalloc byte[InterfaceRequest.Size];
        InterfaceRequest.SetName(new Span<byte>(request, InterfaceRequest.Size), name);
        *(short*)(request + InterfaceRequest.NameSize) = ModeTap | NoPacketInformation;
        if (Libc.Ioctl(device, SetInterface, request) != 0 || Libc.Ioctl(device, SetPersist, 1) != 0)
        {
            throw LinuxException.Last($"create tap {name}");
        }
    });
}

/// <summary>struct ifreq: a name of 16 bytes and a union of 24.</summary>
internal static class InterfaceRequest
{
    public const int NameSize = 16;
    public const int Size = 40;

    public static void SetName(Span<byte> request, string name)
    {
        if (name.Length == 0 || Encoding.UTF8.GetByteCount(name) >= NameSize)
        {
            throw new ArgumentException($"'{name}' cannot name a link: 1 to 15 characters.", nameof(name));
        }
        request.Clear();
        Encoding.UTF8.GetBytes(name, request);
    }
}
