using System.Buffers;
using System.IO.Pipelines;
using System.Runtime.InteropServices;

namespace SharpStack.LinuxHost.Kestrel;

/// <summary>
/// Lets requests in whose <c>Host</c> is a link-local address with its zone, <c>[fe80::1%25eth0]</c>, as many clients write it though no server can use it (RFC 6874, section 1): the web
/// server refuses them. The zone becomes zeros, in place, since what follows may be a body whose length was told.
/// </summary>
internal sealed class ZoneFilter(IDuplexPipe transport) : PipeReader, IDuplexPipe
{
    private static ReadOnlySpan<byte> Field => "host:"u8;

    public PipeReader Input => this;

    public PipeWriter Output => transport.Output;

    public override async ValueTask<ReadResult> ReadAsync(CancellationToken cancellationToken = default)
    {
        var read = await transport.Input.ReadAsync(cancellationToken);
        Clear(read.Buffer);
        return read;
    }

    public override bool TryRead(out ReadResult result)
    {
        if (!transport.Input.TryRead(out result))
        {
            return false;
        }

        Clear(result.Buffer);
        return true;
    }

    public override void AdvanceTo(SequencePosition consumed) => transport.Input.AdvanceTo(consumed);

    public override void AdvanceTo(SequencePosition consumed, SequencePosition examined) => transport.Input.AdvanceTo(consumed, examined);

    public override void CancelPendingRead() => transport.Input.CancelPendingRead();

    public override void Complete(Exception? exception = null) => transport.Input.Complete(exception);

    /// <summary>A line is read again until it is there whole, and then from its beginning.</summary>
    private static void Clear(ReadOnlySequence<byte> bytes)
    {
        var reader = new SequenceReader<byte>(bytes);
        while (reader.TryReadTo(out ReadOnlySequence<byte> line, (byte)'\n'))
        {
            if (line.Length > Field.Length && IsHost(line))
            {
                ClearZone(line);
            }
        }
    }

    private static bool IsHost(ReadOnlySequence<byte> line)
    {
        Span<byte> name = stackalloc byte[Field.Length];
        line.Slice(0, Field.Length).CopyTo(name);
        return System.Text.Ascii.EqualsIgnoreCase(name, Field);
    }

    private static void ClearZone(ReadOnlySequence<byte> line)
    {
        if (line.PositionOf((byte)'[') is { } open && line.Slice(open).PositionOf((byte)'%') is { } zone && line.Slice(zone).PositionOf((byte)']') is { } end)
        {
            foreach (var part in line.Slice(zone, end))
            {
                MemoryMarshal.AsMemory(part).Span.Fill((byte)'0');
            }
        }
    }
}
