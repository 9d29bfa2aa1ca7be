using System.Buffers;

namespace SharpStack.OpenVSwitch.Ovsdb;

/// <summary>
/// Finds where a JSON object ends in a stream that has nothing between objects. It goes on where it stopped when more bytes come, so that a
/// large message in many pieces costs one pass.
/// </summary>
internal struct JsonFraming
{
    private int depth;
    private bool inString;
    private bool escaped;
    private long seen;

    /// <summary>Takes the first whole object off the buffer.</summary>
    public bool TryRead(ref ReadOnlySequence<byte> buffer, out ReadOnlySequence<byte> message)
    {
        foreach (var segment in buffer.Slice(seen))
        {
            foreach (var octet in segment.Span)
            {
                seen++;
                if (Ends(octet))
                {
                    message = buffer.Slice(0, seen);
                    buffer = buffer.Slice(seen);
                    seen = 0;
                    return true;
                }
            }
        }

        message = default;
        return false;
    }

    private bool Ends(byte octet)
    {
        if (inString)
        {
            inString = octet != '"' || escaped;
            escaped = octet == '\\' && !escaped;
            return false;
        }

        switch (octet)
        {
            case (byte)'"':
                inString = true;
                return false;
            case (byte)'{':
            case (byte)'[':
                depth++;
                return false;
            case (byte)'}':
            case (byte)']':
                return --depth == 0;
            default:
                return false;
        }
    }
}
