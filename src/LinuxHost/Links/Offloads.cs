using SharpStack.LinuxHost.Namespaces;
using SharpStack.LinuxHost.Native;

namespace SharpStack.LinuxHost.Links;

/// <summary>
/// What the driver leaves to hardware. A userspace switch gets frames whose checksum was never filled in unless the
/// sender's transmit checksumming is off (which turns segmentation off with it).
/// </summary>
public static unsafe class Offloads
{
    private const nuint SocketEthtool = 0x8946;
    private const uint GetTransmitChecksum = 0x16;
    private const uint SetTransmitChecksum = 0x17;

    public static void SetTransmitChecksumming(string link, bool enabled, string? networkNamespace = null) =>
        Execute(link, SetTransmitChecksum, enabled ? 1u : 0u, networkNamespace, $"set transmit checksumming of {link}");

    public static bool GetTransmitChecksumming(string link, string? networkNamespace = null) =>
        Execute(link, GetTransmitChecksum, 0, networkNamespace, $"read transmit checksumming of {link}") != 0;

    private static uint Execute(string link, uint command, uint data, string? networkNamespace, string operation) =>
        NetworkNamespace.Run(networkNamespace, () =>
        {
            using var socket = Libc.Socket(Libc.AddressFamilyInet, Libc.SocketDatagram | Libc.SocketCloseOnExec, 0);
            if (socket.IsInvalid)
            {
                throw LinuxException.Last(operation);
            }
            var value = stackalloc uint[2];
            value[0] = command;
            value[1] = data;
            var request = stackalloc byte[InterfaceRequest.Size];
            InterfaceRequest.SetName(new Span<byte>(request, InterfaceRequest.Size), link);
            *(uint**)(request + InterfaceRequest.NameSize) = value;
            return Libc.Ioctl(socket, SocketEthtool, request) == 0 ? value[1] : throw LinuxException.Last(operation);
        });
}
