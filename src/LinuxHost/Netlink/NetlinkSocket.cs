using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using SharpStack.LinuxHost.Namespaces;
using SharpStack.LinuxHost.Native;

namespace SharpStack.LinuxHost.Netlink;

/// <summary>
/// One netlink socket. The kernel answers while the request is sent, so a call is a system call or two (tens of
/// microseconds) and is not asynchronous. Safe for several threads.
/// </summary>
internal sealed unsafe class NetlinkSocket : IDisposable
{
    public const ushort Request = 1;
    public const ushort Acknowledge = 4;
    public const ushort Dump = 0x300;
    public const ushort Replace = 0x100;
    public const ushort Exclusive = 0x200;
    public const ushort Create = 0x400;

    private const ushort MessageError = 2;
    private const ushort MessageDone = 3;
    private const ushort FlagCapped = 0x100;
    private const ushort FlagAcknowledgeAttributes = 0x200;
    private const int SocketLevelNetlink = 270;
    private const int OptionExtendedAcknowledge = 11;
    private const int OptionStrictCheck = 12;
    private const int ReceiveSize = 128 * 1024;

    private readonly SafeFileHandle socket;
    private readonly Lock gate = new();
    private readonly byte[] answer = GC.AllocateUninitializedArray<byte>(ReceiveSize, pinned: true);
    private uint sequence;

    /// <param name="networkNamespace">Null for this process's own.</param>
    /// <param name="protocol">0 NETLINK_ROUTE, 12 NETLINK_NETFILTER.</param>
    public NetlinkSocket(string? networkNamespace, int protocol = 0)
    {
        socket = NetworkNamespace.Run(networkNamespace, () =>
        {
            var handle = Libc.Socket(Libc.AddressFamilyNetlink, Libc.SocketRaw | Libc.SocketCloseOnExec, protocol);
            return handle.IsInvalid ? throw LinuxException.Last("open a netlink socket") : handle;
        });
        var on = 1;
        // Older kernels lack either: then errors come without text and dumps are filtered here.
        _ = Libc.SetSocketOption(socket, SocketLevelNetlink, OptionExtendedAcknowledge, &on, sizeof(int));
        _ = Libc.SetSocketOption(socket, SocketLevelNetlink, OptionStrictCheck, &on, sizeof(int));
    }

    public delegate void AnswerReader(ReadOnlySpan<byte> payload);

    /// <summary>Sends a request and reads its answers until the acknowledgement or the end of the dump.</summary>
    /// <exception cref="LinuxException">The kernel refused it.</exception>
    public void Execute(NetlinkMessage message, string operation, AnswerReader? read = null)
    {
        lock (gate)
        {
            var request = message.Finish(++sequence);
            fixed (byte* start = request)
            {
                if (Libc.Send(socket, start, (nuint)request.Length, 0) < 0)
                {
                    throw LinuxException.Last(operation);
                }
            }
            while (!ReadAnswers(operation, read))
            {
            }
        }
    }

    public void Dispose() => socket.Dispose();

    private bool ReadAnswers(string operation, AnswerReader? read)
    {
        nint received;
        fixed (byte* start = answer)
        {
            do
            {
                received = Libc.Receive(socket, start, ReceiveSize, 0);
            }
            while (received < 0 && Marshal.GetLastPInvokeError() == LinuxError.Interrupted);
        }
        if (received < 0)
        {
            throw LinuxException.Last(operation);
        }
        ReadOnlySpan<byte> rest = answer.AsSpan(0, (int)received);
        while (rest.Length >= 16)
        {
            var size = (int)MemoryMarshal.Read<uint>(rest);
            if (size < 16 || size > rest.Length)
            {
                break;
            }
            var type = MemoryMarshal.Read<ushort>(rest[4..]);
            var flags = MemoryMarshal.Read<ushort>(rest[6..]);
            var mine = MemoryMarshal.Read<uint>(rest[8..]) == sequence;
            var payload = rest[16..size];
            rest = rest[Math.Min((size + 3) & ~3, rest.Length)..];
            if (!mine)
            {
                continue;
            }
            switch (type)
            {
                case MessageDone:
                    return true;
                case MessageError:
                    var errno = -MemoryMarshal.Read<int>(payload);
                    return errno == 0 ? true : throw new LinuxException(errno, operation, Explanation(payload, flags));
                default:
                    read?.Invoke(payload);
                    break;
            }
        }
        return false;
    }

    /// <summary>The kernel's text (extended acknowledgement) behind an error code and the copy of the request's header.</summary>
    private static string? Explanation(ReadOnlySpan<byte> payload, ushort flags)
    {
        if ((flags & FlagAcknowledgeAttributes) == 0 || payload.Length < 20)
        {
            return null;
        }
        var skip = (flags & FlagCapped) != 0 ? 20 : 4 + (((int)MemoryMarshal.Read<uint>(payload[4..]) + 3) & ~3);
        if (skip > payload.Length)
        {
            return null;
        }
        var attributes = new NetlinkAttributes(payload[skip..]);
        while (attributes.MoveNext())
        {
            if (attributes.Type == 1)
            {
                return attributes.Text;
            }
        }
        return null;
    }
}
