using System.Buffers;

namespace SharpStack.Foundation.Http;

/// <summary>Memory for an answer of any size, in pieces from the shared pool: a long one is never copied to grow.</summary>
internal sealed class SegmentBuffer : IBufferWriter<byte>, IDisposable
{
    private const int FirstSize = 4 << 10;
    private const int LargestSize = 256 << 10;

    private readonly List<(byte[] Memory, int Used)> full = [];
    private byte[] current = [];
    private int used;

    /// <summary>Bytes written.</summary>
    public long Length { get; private set; }

    public IEnumerable<ReadOnlyMemory<byte>> Segments => full.Append((current, used)).Where(segment => segment.Item2 > 0).Select(segment => (ReadOnlyMemory<byte>)segment.Item1.AsMemory(0, segment.Item2));

    public void Advance(int count)
    {
        used += count;
        Length += count;
    }

    public Memory<byte> GetMemory(int sizeHint = 0)
    {
        Reserve(sizeHint);
        return current.AsMemory(used);
    }

    public Span<byte> GetSpan(int sizeHint = 0)
    {
        Reserve(sizeHint);
        return current.AsSpan(used);
    }

    public void Dispose()
    {
        foreach (var (memory, _) in full)
        {
            ArrayPool<byte>.Shared.Return(memory);
        }

        full.Clear();
        if (current.Length > 0)
        {
            ArrayPool<byte>.Shared.Return(current);
        }

        current = [];
    }

    private void Reserve(int size)
    {
        if (current.Length - used >= Math.Max(size, 1))
        {
            return;
        }

        // Doubled up to a bound: small answers take little, long ones few pieces.
        var next = current.Length == 0 ? FirstSize : Math.Min(current.Length * 2, LargestSize);
        if (used > 0)
        {
            full.Add((current, used));
        }
        else if (current.Length > 0)
        {
            ArrayPool<byte>.Shared.Return(current);
        }

        current = ArrayPool<byte>.Shared.Rent(Math.Max(next, size));
        used = 0;
    }
}
