using System.Buffers;
using System.Buffers.Binary;

namespace SharpStack.OpenVSwitch.OpenFlow;

/// <summary>A growing big-endian buffer on a pooled array: whole bundles are encoded into one of these and sent in one write.</summary>
internal sealed class OpenFlowBuffer : IDisposable
{
    private byte[] bytes = ArrayPool<byte>.Shared.Rent(4096);

    public int Length { get; private set; }

    public ReadOnlyMemory<byte> Written => bytes.AsMemory(0, Length);

    public void U8(byte value) => Take(1)[0] = value;

    public void U16(ushort value) => BinaryPrimitives.WriteUInt16BigEndian(Take(2), value);

    public void U32(uint value) => BinaryPrimitives.WriteUInt32BigEndian(Take(4), value);

    public void U64(ulong value) => BinaryPrimitives.WriteUInt64BigEndian(Take(8), value);

    /// <summary>Writes the low <paramref name="length"/> bytes of the value.</summary>
    public void Value(UInt128 value, int length)
    {
        Span<byte> whole = stackalloc byte[16];
        BinaryPrimitives.WriteUInt128BigEndian(whole, value);
        whole[(16 - length)..].CopyTo(Take(length));
    }

    public void Bytes(ReadOnlySpan<byte> value) => value.CopyTo(Take(value.Length));

    public void Zeros(int count) => Take(count).Clear();

    /// <summary>Fills with zeros until the length since <paramref name="start"/> is a multiple of eight.</summary>
    public void Align8(int start) => Zeros(-(Length - start) & 7);

    /// <summary>Writes the number of bytes since <paramref name="start"/> at <paramref name="position"/>: the length fields of messages and actions.</summary>
    public void PatchLength(int position, int start) => BinaryPrimitives.WriteUInt16BigEndian(bytes.AsSpan(position), checked((ushort)(Length - start)));

    public void Dispose()
    {
        ArrayPool<byte>.Shared.Return(bytes);
        bytes = [];
    }

    private Span<byte> Take(int count)
    {
        if (Length + count > bytes.Length)
        {
            var larger = ArrayPool<byte>.Shared.Rent(Math.Max(bytes.Length * 2, Length + count));
            bytes.AsSpan(0, Length).CopyTo(larger);
            ArrayPool<byte>.Shared.Return(bytes);
            bytes = larger;
        }

        Length += count;
        return bytes.AsSpan(Length - count, count);
    }
}

/// <summary>Reads big-endian values off a span; a message that ends too early is an <see cref="OpenFlowException"/>.</summary>
internal ref struct OpenFlowReader(ReadOnlySpan<byte> bytes)
{
    private ReadOnlySpan<byte> rest = bytes;

    public readonly int Remaining => rest.Length;

    public byte U8() => Take(1)[0];

    public ushort U16() => BinaryPrimitives.ReadUInt16BigEndian(Take(2));

    public uint U32() => BinaryPrimitives.ReadUInt32BigEndian(Take(4));

    public ulong U64() => BinaryPrimitives.ReadUInt64BigEndian(Take(8));

    /// <summary>A value of any length; of more than sixteen bytes, the last sixteen.</summary>
    public UInt128 Value(int length)
    {
        UInt128 value = 0;
        foreach (var octet in Take(length))
        {
            value = (value << 8) | octet;
        }

        return value;
    }

    public void Skip(int count) => Take(count);

    public ReadOnlySpan<byte> Take(int count)
    {
        if ((uint)count > (uint)rest.Length)
        {
            throw new OpenFlowException("The switch sent a message that is shorter than its own length fields say.");
        }

        var taken = rest[..count];
        rest = rest[count..];
        return taken;
    }
}
