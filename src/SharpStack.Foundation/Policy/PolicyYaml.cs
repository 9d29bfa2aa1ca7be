using System.Text;

namespace SharpStack.Foundation.Policy;

/// <summary>
/// The YAML that policy files are written in: one flat map of names to rules. A rule is a plain or quoted string (also over several lines, also a
/// block with <c>|</c> or <c>&gt;</c>) or a list of strings or of lists, in brackets or with dashes. Anchors, tags and nested maps are errors.
/// </summary>
internal sealed class PolicyYaml
{
    private readonly string text;
    private int position;

    private PolicyYaml(string text) => this.text = text.ReplaceLineEndings("\n");

    public static List<KeyValuePair<string, PolicyText>> Read(string text)
    {
        var reader = new PolicyYaml(text.TrimStart('\uFEFF'));
        var rules = new List<KeyValuePair<string, PolicyText>>();
        while (reader.SkipToEntry())
        {
            rules.Add(reader.Entry());
        }
        return rules;
    }

    private bool AtEnd => position >= text.Length;

    private char Current => AtEnd ? '\n' : text[position];

    private int Line => text.AsSpan(0, Math.Min(position, text.Length)).Count('\n') + 1;

    private FormatException Error(string message) => new($"line {Line}: {message}");

    /// <summary>Skips blanks, line ends and comments; true where something is left.</summary>
    private bool SkipSpace()
    {
        while (!AtEnd)
        {
            if (char.IsWhiteSpace(Current))
            {
                position++;
            }
            else if (Current == '#' && (position == 0 || char.IsWhiteSpace(text[position - 1])))
            {
                SkipLine();
            }
            else
            {
                return true;
            }
        }
        return false;
    }

    private bool SkipToEntry()
    {
        while (SkipSpace())
        {
            if (Column() == 0 && (StartsWith("---") || StartsWith("...")))
            {
                SkipLine();
            }
            else
            {
                return true;
            }
        }
        return false;
    }

    private bool StartsWith(string token) => text.AsSpan(position).StartsWith(token, StringComparison.Ordinal);

    private void SkipLine()
    {
        var end = text.IndexOf('\n', position);
        position = end < 0 ? text.Length : end + 1;
    }

    private int Column() => position - (text.LastIndexOf('\n', Math.Max(position - 1, 0)) + 1);

    private KeyValuePair<string, PolicyText> Entry()
    {
        if (position > 0 && Column() != 0)
        {
            throw Error("a rule starts at the first column: \"name\": \"rule\"");
        }
        string name;
        if (Current is '"' or '\'')
        {
            name = Quoted();
        }
        else
        {
            var end = position;
            while (end < text.Length && text[end] != '\n' && !(text[end] == ':' && (end + 1 == text.Length || char.IsWhiteSpace(text[end + 1]))))
            {
                end++;
            }
            name = text[position..end].Trim();
            position = end;
        }
        while (Current is ' ' or '\t')
        {
            position++;
        }
        if (Current != ':' || name.Length == 0)
        {
            throw Error($"expected \"name\": \"rule\", found '{name}'");
        }
        position++;
        return KeyValuePair.Create(name, Value());
    }

    private PolicyText Value()
    {
        var start = position;
        if (!SkipSpace() || Column() == 0 && Current != '-')
        {
            // Nothing after the colon: an empty rule, which allows everyone.
            position = Math.Min(position, text.Length);
            return new("");
        }
        switch (Current)
        {
            case '"' or '\'':
                var quoted = Quoted();
                EndOfValue();
                return new(quoted);
            case '[':
                var lists = FlowList();
                EndOfValue();
                return new(lists);
            case '-' when position + 1 < text.Length && char.IsWhiteSpace(text[position + 1]) && text.AsSpan(start, position - start).Contains('\n'):
                return new(BlockList());
            case '|' or '>':
                SkipLine();
                return new(Indented());
            case '&' or '*' or '{' or '!' when Current != '!' || (position + 1 < text.Length && char.IsLetter(text[position + 1])):
                throw Error("a rule is a string or a list of lists");
            default:
                return new(Plain());
        }
    }

    private void EndOfValue()
    {
        while (Current is ' ' or '\t')
        {
            position++;
        }
        if (Current is not ('\n' or '#'))
        {
            throw Error($"'{Current}' after the rule's end");
        }
        SkipLine();
    }

    /// <summary>A plain string: to the line's end or a comment, and on over the indented lines below.</summary>
    private string Plain()
    {
        var first = RestOfLine();
        var more = Indented();
        return more.Length == 0 ? first : first + " " + more;
    }

    private string RestOfLine()
    {
        var end = text.IndexOf('\n', position);
        end = end < 0 ? text.Length : end;
        var line = text[position..end];
        position = Math.Min(end + 1, text.Length);
        var comment = line.StartsWith('#') ? 0 : line.IndexOf(" #", StringComparison.Ordinal);
        return (comment < 0 ? line : line[..comment]).Trim();
    }

    private string Indented()
    {
        var words = new List<string>();
        while (!AtEnd && Current is ' ' or '\t' or '\n')
        {
            var line = RestOfLine();
            if (line.Length > 0)
            {
                words.Add(line);
            }
        }
        return string.Join(' ', words);
    }

    private string Quoted()
    {
        var quote = Current;
        var value = new StringBuilder();
        for (position++; !AtEnd; position++)
        {
            var c = Current;
            if (c == quote)
            {
                if (quote == '\'' && position + 1 < text.Length && text[position + 1] == '\'')
                {
                    value.Append('\'');
                    position++;
                    continue;
                }
                position++;
                return value.ToString();
            }
            if (quote == '"' && c == '\\' && position + 1 < text.Length)
            {
                position++;
                value.Append(Current switch
                {
                    'n' or '\n' => ' ',
                    't' => '\t',
                    '"' or '\\' or '/' => Current,
                    _ => throw Error($"\\{Current} is not supported in a rule"),
                });
                continue;
            }
            value.Append(c == '\n' ? ' ' : c);
        }
        throw Error("a quote is not closed");
    }

    private List<IReadOnlyList<string>> FlowList()
    {
        var lists = new List<IReadOnlyList<string>>();
        position++;
        while (NextItem())
        {
            if (Current != '[')
            {
                lists.Add([FlowString()]);
                continue;
            }
            position++;
            var inner = new List<string>();
            while (NextItem())
            {
                inner.Add(FlowString());
            }
            lists.Add(inner);
        }
        return lists;
    }

    /// <summary>Moves to a list's next item; false, and past the bracket, at the list's end.</summary>
    private bool NextItem()
    {
        while (SkipSpace() && Current == ',')
        {
            position++;
        }
        if (AtEnd)
        {
            throw Error("a bracket is not closed");
        }
        if (Current != ']')
        {
            return true;
        }
        position++;
        return false;
    }

    private string FlowString()
    {
        if (Current is '"' or '\'')
        {
            return Quoted();
        }
        var end = text.AsSpan(position).IndexOfAny(",]\n");
        end = end < 0 ? text.Length : position + end;
        var value = text[position..end].Trim();
        position = end;
        return value.StartsWith('[') ? throw Error("lists of lists go no deeper than two") : value;
    }

    private List<IReadOnlyList<string>> BlockList()
    {
        var lists = new List<List<string>>();
        var outer = Column();
        while (SkipSpace() && Current == '-' && Column() >= outer && position + 1 < text.Length && char.IsWhiteSpace(text[position + 1]))
        {
            var newItem = Column() == outer;
            position++;
            while (Current is ' ')
            {
                position++;
            }
            if (newItem)
            {
                lists.Add([]);
            }
            if (Current == '-' && position + 1 < text.Length && text[position + 1] == ' ')
            {
                continue;
            }
            lists[^1].Add(Current is '"' or '\'' ? Quoted() : RestOfLine());
        }
        return [.. lists];
    }
}
