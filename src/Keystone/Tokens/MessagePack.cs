using System.Buffers.Binary;
using System.Text;

namespace SharpStack.Keystone.Tokens;

/// <summary>Writes the part of MessagePack that token payloads use, as Python's <c>msgpack.packb</c> does.</summary>
internal ref struct MessagePackWriter(Span<byte> buffer)
{
    private readonly Span<byte> buffer = buffer;

    public int Length { get; private set; }

    public void WriteArray(int count)
    {
        if (count < 16)
        {
            Byte((byte)(0x90 | count));
        }
        else
        {
            Byte(0xdc);
            BinaryPrimitives.WriteUInt16BigEndian(Take(2), checked((ushort)count));
        }
    }

    public void Write(bool value) => Byte(value ? (byte)0xc3 : (byte)0xc2);

    public void WriteNil() => Byte(0xc0);

    public void Write(long value)
    {
        switch (value)
        {
            case < 0:
                throw new ArgumentOutOfRangeException(nameof(value));
            case < 0x80:
                Byte((byte)value);
                break;
            case <= byte.MaxValue:
                Byte(0xcc);
                Byte((byte)value);
                break;
            case <= ushort.MaxValue:
                Byte(0xcd);
                BinaryPrimitives.WriteUInt16BigEndian(Take(2), (ushort)value);
                break;
            case <= uint.MaxValue:
                Byte(0xce);
                BinaryPrimitives.WriteUInt32BigEndian(Take(4), (uint)value);
                break;
            default:
                Byte(0xcf);
                BinaryPrimitives.WriteUInt64BigEndian(Take(8), (ulong)value);
                break;
        }
    }

    public void Write(double value)
    {
        Byte(0xcb);
        BinaryPrimitives.WriteDoubleBigEndian(Take(8), value);
    }

    public void Write(scoped ReadOnlySpan<byte> bytes)
    {
        Byte(0xc4);
        Byte(checked((byte)bytes.Length));
        bytes.CopyTo(Take(bytes.Length));
    }

    public void Write(string text)
    {
        var length = Encoding.UTF8.GetByteCount(text);
        if (length < 32)
        {
            Byte((byte)(0xa0 | length));
        }
        else
        {
            Byte(0xd9);
            Byte(checked((byte)length));
        }
        Encoding.UTF8.GetBytes(text, Take(length));
    }

    private void Byte(byte value) => Take(1)[0] = value;

    private Span<byte> Take(int count)
    {
        var span = buffer.Slice(Length, count);
        Length += count;
        return span;
    }
}

/// <summary>Reads what <see cref="MessagePackWriter"/> writes, and the older encoding of bytes as text. Malformed input is a <see cref="FormatException"/>.</summary>
internal ref struct MessagePackReader(ReadOnlySpan<byte> input)
{
    private ReadOnlySpan<byte> input = input;

    public int ReadArray()
    {
        var head = Byte();
        return head switch
        {
            >= 0x90 and <= 0x9f => head & 0xf,
            0xdc => BinaryPrimitives.ReadUInt16BigEndian(Take(2)),
            _ => throw Unexpected(head),
        };
    }

    public bool ReadBoolean() => Byte() switch
    {
        0xc3 => true,
        0xc2 => false,
        var other => throw Unexpected(other),
    };

    public long ReadInteger()
    {
        var head = Byte();
        return head switch
        {
            < 0x80 => head,
            0xcc => Byte(),
            0xcd => BinaryPrimitives.ReadUInt16BigEndian(Take(2)),
            0xce => BinaryPrimitives.ReadUInt32BigEndian(Take(4)),
            0xcf when BinaryPrimitives.ReadUInt64BigEndian(Take(8)) is <= long.MaxValue and var large => (long)large,
            _ => throw Unexpected(head),
        };
    }

    /// <summary>Reads a nil where there is one, and nothing otherwise.</summary>
    public bool TryReadNil()
    {
        if (input.IsEmpty || input[0] != 0xc0)
        {
            return false;
        }
        input = input[1..];
        return true;
    }

    /// <summary>A number of seconds: Python writes a float, or an integer where it was given one.</summary>
    public double ReadNumber()
    {
        var head = Byte();
        return head switch
        {
            0xcb => BinaryPrimitives.ReadDoubleBigEndian(Take(8)),
            0xca => BinaryPrimitives.ReadSingleBigEndian(Take(4)),
            0xce => BinaryPrimitives.ReadUInt32BigEndian(Take(4)),
            0xcf => BinaryPrimitives.ReadUInt64BigEndian(Take(8)),
            < 0x80 => head,
            _ => throw Unexpected(head),
        };
    }

    public ReadOnlySpan<byte> ReadBytes()
    {
        var head = Byte();
        return Take(head switch
        {
            >= 0xa0 and <= 0xbf => head & 0x1f,
            0xc4 or 0xd9 => Byte(),
            0xc5 or 0xda => BinaryPrimitives.ReadUInt16BigEndian(Take(2)),
            _ => throw Unexpected(head),
        });
    }

    private static FormatException Unexpected(byte head) => new($"unexpected byte 0x{head:x2}");

    private byte Byte() => Take(1)[0];

    private ReadOnlySpan<byte> Take(int count)
    {
        if (input.Length < count)
        {
            throw new FormatException("the payload ends early");
        }
        var span = input[..count];
        input = input[count..];
        return span;
    }
}
