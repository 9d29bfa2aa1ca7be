namespace SharpStack.CommandLine;

/// <summary>The words after a command: options with a value (<c>--data DIR</c> or <c>--data=DIR</c>), flags, and plain words.</summary>
internal sealed class Arguments
{
    private readonly Dictionary<string, string> values = new(StringComparer.Ordinal);
    private readonly HashSet<string> flags = new(StringComparer.Ordinal);
    private readonly List<string> words = [];
    private readonly List<(string Name, string Value)> given = [];

    private Arguments()
    {
    }

    public IReadOnlyList<string> Words => words;

    /// <summary>The options with a value in the order in which they were given; one that was repeated, each time.</summary>
    public IReadOnlyList<(string Name, string Value)> Given => given;

    /// <param name="given">What stands on the command line.</param>
    /// <param name="knownValues">The options that take a value, with their dashes.</param>
    /// <param name="knownFlags">The options that take none.</param>
    /// <exception cref="UsageException">An option that the command does not have, or one without its value.</exception>
    public static Arguments Parse(IReadOnlyList<string> given, IReadOnlyList<string> knownValues, IReadOnlyList<string> knownFlags)
    {
        var parsed = new Arguments();
        for (var i = 0; i < given.Count; i++)
        {
            var word = given[i];
            if (!word.StartsWith("--", StringComparison.Ordinal))
            {
                parsed.words.Add(word);
                continue;
            }

            var equals = word.IndexOf('=', StringComparison.Ordinal);
            var name = equals < 0 ? word : word[..equals];
            if (equals < 0 && knownFlags.Contains(name))
            {
                parsed.flags.Add(name);
            }
            else if (!knownValues.Contains(name))
            {
                throw new UsageException($"unknown option {name}; this command has {string.Join(", ", knownValues.Concat(knownFlags).Order(StringComparer.Ordinal))}");
            }
            else if (equals >= 0)
            {
                parsed.Add(name, word[(equals + 1)..]);
            }
            else
            {
                parsed.Add(name, ++i < given.Count ? given[i] : throw new UsageException($"{name} needs a value"));
            }
        }

        return parsed;
    }

    public bool Has(string flag) => flags.Contains(flag);

    public string? Value(string option) => values.GetValueOrDefault(option);

    /// <exception cref="UsageException">It is there and no whole number.</exception>
    public int? Number(string option) =>
        Value(option) is not { } text ? null
        : int.TryParse(text, System.Globalization.NumberStyles.None, System.Globalization.CultureInfo.InvariantCulture, out var number) ? number
        : throw new UsageException($"{option} takes a number, not '{text}'");

    private void Add(string name, string value)
    {
        values[name] = value;
        given.Add((name, value));
    }
}

/// <summary>The command line is wrong; the message says how it should be.</summary>
internal sealed class UsageException(string message) : Exception(message);

/// <summary>The command cannot do its work; the message says why and what to do.</summary>
internal sealed class CommandException(string message) : Exception(message);
