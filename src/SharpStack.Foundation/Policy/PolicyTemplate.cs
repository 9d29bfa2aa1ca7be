using System.Text;

namespace SharpStack.Foundation.Policy;

/// <summary>The right side of a check: text with <c>%(key)s</c> places that the target fills in; <c>%%</c> is a percent sign.</summary>
internal sealed class PolicyTemplate
{
    private readonly record struct Segment(string Text, bool IsKey);

    private readonly Segment[] segments;

    private PolicyTemplate(string source, Segment[] segments)
    {
        Source = source;
        this.segments = segments;
    }

    public string Source { get; }

    public bool IsConstant => Array.TrueForAll(segments, static s => !s.IsKey);

    public static PolicyTemplate Parse(string source)
    {
        var segments = new List<Segment>();
        var text = new StringBuilder();
        for (var i = 0; i < source.Length; i++)
        {
            if (source[i] != '%')
            {
                text.Append(source[i]);
                continue;
            }
            if (i + 1 < source.Length && source[i + 1] == '%')
            {
                text.Append('%');
                i++;
                continue;
            }
            var close = i + 1 < source.Length && source[i + 1] == '(' ? source.IndexOf(")s", i + 2, StringComparison.Ordinal) : -1;
            if (close < 0)
            {
                throw new FormatException($"'{source}' has a % that starts neither %(key)s nor %%");
            }
            if (text.Length > 0)
            {
                segments.Add(new(text.ToString(), false));
                text.Clear();
            }
            segments.Add(new(source[(i + 2)..close], true));
            i = close + 1;
        }
        if (text.Length > 0)
        {
            segments.Add(new(text.ToString(), false));
        }
        return new(source, [.. segments]);
    }

    /// <summary>Whether the filled-in text is <paramref name="value"/>; false where the target lacks a key.</summary>
    public bool Matches(ReadOnlySpan<char> value, PolicyTarget target, StringComparison comparison)
    {
        foreach (var segment in segments)
        {
            var expected = segment.Text;
            if (segment.IsKey)
            {
                if (!target.TryGet(segment.Text, out var found))
                {
                    return false;
                }
                expected = found ?? "None";
            }
            if (!value.StartsWith(expected, comparison))
            {
                return false;
            }
            value = value[expected.Length..];
        }
        return value.IsEmpty;
    }

    /// <summary>The filled-in text for an explanation, or null and the key that the target lacks.</summary>
    public string? Render(PolicyTarget target, out string? missing)
    {
        var text = new StringBuilder();
        foreach (var segment in segments)
        {
            if (!segment.IsKey)
            {
                text.Append(segment.Text);
            }
            else if (target.TryGet(segment.Text, out var found))
            {
                text.Append(found ?? "None");
            }
            else
            {
                missing = segment.Text;
                return null;
            }
        }
        missing = null;
        return text.ToString();
    }
}
