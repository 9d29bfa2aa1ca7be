using System.Runtime.InteropServices;
using System.Text;

namespace SharpStack.LinuxHost.Netlink;

/// <summary>Builds one netlink request: header, family header, nested attributes (rtnetlink(7)).</summary>
internal sealed class NetlinkMessage
{
    private byte[] buffer = new byte[512];
    private int length = 16;

    public NetlinkMessage(ushort type, ushort flags)
    {
        Type = type;
        Flags = flags;
    }

    public ushort Type { get; }

    public ushort Flags { get; }

    /// <summary>Appends a fixed header (ifinfomsg, ifaddrmsg, rtmsg).</summary>
    public NetlinkMessage Header<T>(in T header) where T : unmanaged
    {
        MemoryMarshal.Write(Reserve(Marshal.SizeOf<T>()), header);
        return this;
    }

    public NetlinkMessage Attribute(ushort type, ReadOnlySpan<byte> value)
    {
        var span = Reserve(4 + value.Length);
        MemoryMarshal.Write(span, (ushort)(4 + value.Length));
        MemoryMarshal.Write(span[2..], type);
        value.CopyTo(span[4..]);
        return this;
    }

    public NetlinkMessage Attribute(ushort type, uint value) => Attribute(type, MemoryMarshal.AsBytes(new ReadOnlySpan<uint>(in value)));

    public NetlinkMessage Attribute(ushort type, string value) => Attribute(type, Encoding.UTF8.GetBytes(value + "\0"));

    public NetlinkMessage Nested(ushort type, Action<NetlinkMessage> content)
    {
        var start = length;
        Attribute(type, []);
        content(this);
        MemoryMarshal.Write(buffer.AsSpan(start), (ushort)(length - start));
        return this;
    }

    public ReadOnlySpan<byte> Finish(uint sequence)
    {
        var span = buffer.AsSpan(0, length);
        MemoryMarshal.Write(span, (uint)length);
        MemoryMarshal.Write(span[4..], Type);
        MemoryMarshal.Write(span[6..], Flags);
        MemoryMarshal.Write(span[8..], sequence);
        return span;
    }

    private Span<byte> Reserve(int size)
    {
        var padded = (size + 3) & ~3;
        if (length + padded > buffer.Length)
        {
            Array.Resize(ref buffer, Math.Max(buffer.Length * 2, length + padded));
        }
        var span = buffer.AsSpan(length, size);
        length += padded;
        return span;
    }
}

/// <summary>Walks the attributes of an answer.</summary>
internal ref struct NetlinkAttributes(ReadOnlySpan<byte> data)
{
    private ReadOnlySpan<byte> rest = data;

    public ushort Type { get; private set; }

    public ReadOnlySpan<byte> Value { get; private set; }

    public readonly uint UInt32 => MemoryMarshal.Read<uint>(Value);

    public readonly string Text => Encoding.UTF8.GetString(Value).TrimEnd('\0');

    public bool MoveNext()
    {
        if (rest.Length < 4)
        {
            return false;
        }
        var size = MemoryMarshal.Read<ushort>(rest);
        if (size < 4 || size > rest.Length)
        {
            return false;
        }
        // The two high bits say "nested" and "network byte order".
        Type = (ushort)(MemoryMarshal.Read<ushort>(rest[2..]) & 0x3fff);
        Value = rest[4..size];
        rest = rest[Math.Min((size + 3) & ~3, rest.Length)..];
        return true;
    }
}

[StructLayout(LayoutKind.Sequential)]
internal struct LinkHeader
{
    public byte Family;
    public byte Padding;
    public ushort Kind;
    public int Index;
    public uint Flags;
    public uint Change;
}

[StructLayout(LayoutKind.Sequential)]
internal struct AddressHeader
{
    public byte Family;
    public byte PrefixLength;
    public byte Flags;
    public byte Scope;
    public int Index;
}

[StructLayout(LayoutKind.Sequential)]
internal struct RouteHeader
{
    public byte Family;
    public byte DestinationLength;
    public byte SourceLength;
    public byte TypeOfService;
    public byte Table;
    public byte Protocol;
    public byte Scope;
    public byte Kind;
    public uint Flags;
}
