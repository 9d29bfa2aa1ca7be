using System.Text.Json;

namespace SharpStack.Foundation.Policy;

/// <summary>An operator's policy files: <c>policy.yaml</c> or <c>policy.json</c>, and the files of <c>policy.d</c> in order of name.</summary>
public sealed class PolicyOverrides
{
    private readonly Dictionary<string, PolicyText> rules = new(StringComparer.Ordinal);

    private PolicyOverrides()
    {
    }

    public static PolicyOverrides None { get; } = new();

    internal IReadOnlyDictionary<string, PolicyText> Rules => rules;

    /// <summary>Reads those of the files and directories that exist; later ones win.</summary>
    /// <exception cref="PolicyDefinitionException">A file that is no map of names to rules.</exception>
    /// <param name="paths">Files and directories.</param>
    /// <param name="directory">Where relative paths begin.</param>
    public static PolicyOverrides Load(IEnumerable<string> paths, string directory = "")
    {
        var overrides = new PolicyOverrides();
        foreach (var relative in paths)
        {
            var path = Path.Combine(directory, relative);
            IEnumerable<string> files = Directory.Exists(path)
                ? Directory.EnumerateFiles(path).Where(static f => !Path.GetFileName(f).StartsWith('.')).Order(StringComparer.Ordinal)
                : File.Exists(path) ? [path] : [];
            foreach (var file in files)
            {
                overrides.Add(File.ReadAllText(file), file);
            }
        }
        return overrides;
    }

    /// <summary>Reads the text of one file; <paramref name="source"/> names it in errors.</summary>
    public static PolicyOverrides Parse(string text, string source = "policy.yaml")
    {
        var overrides = new PolicyOverrides();
        overrides.Add(text, source);
        return overrides;
    }

    private void Add(string text, string source)
    {
        try
        {
            foreach (var (name, value) in text.TrimStart().StartsWith('{') ? ReadJson(text) : PolicyYaml.Read(text))
            {
                rules[name] = value;
            }
        }
        catch (Exception e) when (e is FormatException or JsonException)
        {
            throw new PolicyDefinitionException([$"{source}: {e.Message}"]);
        }
    }

    private static IEnumerable<KeyValuePair<string, PolicyText>> ReadJson(string text)
    {
        using var document = JsonDocument.Parse(text, new() { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true });
        foreach (var property in document.RootElement.EnumerateObject())
        {
            yield return KeyValuePair.Create(property.Name, property.Value.ValueKind switch
            {
                JsonValueKind.String => new PolicyText(property.Value.GetString()!),
                JsonValueKind.Array => new PolicyText([.. property.Value.EnumerateArray().Select(Inner)]),
                _ => throw new FormatException($"{property.Name}: a rule is a string or a list of lists"),
            });
        }

        static IReadOnlyList<string> Inner(JsonElement element) => element.ValueKind switch
        {
            JsonValueKind.String => [element.GetString()!],
            JsonValueKind.Array => [.. element.EnumerateArray().Select(
                static e => e.ValueKind == JsonValueKind.String ? e.GetString()! : throw new FormatException("a check is a string"))],
            _ => throw new FormatException("a rule is a string or a list of lists"),
        };
    }
}

/// <summary>A rule as a file gives it: in the language, or in the old form of lists.</summary>
internal sealed class PolicyText
{
    private readonly string? text;
    private readonly IReadOnlyList<IReadOnlyList<string>>? lists;

    public PolicyText(string text) => this.text = text;

    public PolicyText(IReadOnlyList<IReadOnlyList<string>> lists) => this.lists = lists;

    public PolicyCheck Parse() => text is not null ? PolicyParser.Parse(text) : PolicyParser.Parse(lists!);
}
