using System.Text;

namespace SharpStack.Foundation.Configuration;

/// <summary>
/// The file format of oslo.config: <c>[group]</c>, <c>name = value</c> or <c>name: value</c>, <c>#</c> and <c>;</c> comments at a line's
/// start, continuation lines that begin with white space, repeated names (all kept, the last wins for single values).
/// </summary>
public sealed class IniFile
{
    private readonly Dictionary<(string Group, string Name), List<string>> values = [];

    public IEnumerable<(string Group, string Name)> Names => values.Keys;

    public static IniFile Parse(string text, string source)
    {
        var file = new IniFile();
        var group = "DEFAULT";
        List<string>? current = null;
        var number = 0;
        foreach (var raw in text.AsSpan().EnumerateLines())
        {
            number++;
            var line = raw.TrimEnd();
            if (line.IsEmpty)
            {
                current = null;
            }
            else if (line[0] is '#' or ';')
            {
                continue;
            }
            else if (char.IsWhiteSpace(line[0]))
            {
                if (current is null)
                {
                    throw new FormatException($"{source}:{number}: a continuation line without an option before it");
                }

                current[^1] = current[^1].Length == 0 ? line.Trim().ToString() : $"{current[^1]}\n{line.Trim()}";
            }
            else if (line[0] == '[')
            {
                if (line[^1] != ']' || line.Length < 3)
                {
                    throw new FormatException($"{source}:{number}: a group reads [name]");
                }

                group = line[1..^1].Trim().ToString();
                current = null;
            }
            else
            {
                var at = line.IndexOfAny('=', ':');
                if (at <= 0)
                {
                    throw new FormatException($"{source}:{number}: an option reads name = value");
                }

                current = file.ListOf(group, line[..at].Trim().ToString());
                current.Add(Unquote(line[(at + 1)..].Trim()));
            }
        }

        return file;
    }

    public static IniFile Load(string path) => Parse(File.ReadAllText(path, Encoding.UTF8), path);

    public IReadOnlyList<string>? Get(string group, string name) => values.GetValueOrDefault((group, name));

    public void Set(string group, string name, string value) => values[(group, name)] = [value];

    /// <summary>Lays another file over this one: an option that it names is replaced.</summary>
    public void Overlay(IniFile later)
    {
        foreach (var (key, list) in later.values)
        {
            values[key] = list;
        }
    }

    private List<string> ListOf(string group, string name)
    {
        if (!values.TryGetValue((group, name), out var list))
        {
            values[(group, name)] = list = [];
        }

        return list;
    }

    private static string Unquote(ReadOnlySpan<char> value) =>
        value.Length > 1 && value[0] == value[^1] && value[0] is '"' or '\'' && value.Length > 1 ? value[1..^1].ToString() : value.ToString();
}
