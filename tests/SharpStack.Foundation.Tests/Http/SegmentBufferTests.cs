using System.Buffers;
using System.Text;
using SharpStack.Foundation.Http;

namespace SharpStack.Foundation.Tests.Http;

public sealed class SegmentBufferTests
{
    [Fact]
    public void What_is_written_in_any_pieces_comes_out_whole_and_in_order()
    {
        using var buffer = new SegmentBuffer();
        var expected = new StringBuilder();
        for (var i = 0; i < 5000; i++)
        {
            var text = new string((char)('a' + (i % 26)), (i * 37 % 900) + 1);
            expected.Append(text);
            buffer.Write(Encoding.ASCII.GetBytes(text));
        }

        // One piece larger than any segment.
        var whole = expected.ToString();
        buffer.Write(Encoding.ASCII.GetBytes(whole));
        expected.Append(whole);
        Assert.Equal(expected.Length, buffer.Length);
        Assert.Equal(expected.ToString(), string.Concat(buffer.Segments.Select(segment => Encoding.ASCII.GetString(segment.Span))));
    }

    [Fact]
    public void Nothing_written_is_nothing_to_send()
    {
        using var buffer = new SegmentBuffer();
        Assert.NotEqual(0, buffer.GetSpan(100_000).Length);
        Assert.Empty(buffer.Segments);
        Assert.Equal(0, buffer.Length);
    }
}
