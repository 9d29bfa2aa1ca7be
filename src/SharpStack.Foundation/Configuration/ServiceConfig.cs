using System.Collections.Concurrent;
using System.Text;

namespace SharpStack.Foundation.Configuration;

/// <summary>The configuration of one service (keystone, glance, placement, nova, neutron), read from its own files.</summary>
public sealed class ServiceConfig
{
    private readonly IniFile file;
    private readonly ConcurrentDictionary<ConfigOption, object?> parsed = new();

    public ServiceConfig(string service, IniFile file)
    {
        Service = service;
        this.file = file;
    }

    public string Service { get; }

    /// <summary>Reads <c>--config-file</c>s in order, then the <c>*.conf</c> and <c>*.ini</c> files of <c>--config-dir</c>s by name.</summary>
    public static ServiceConfig Load(string service, IEnumerable<string> files, IEnumerable<string>? directories = null)
    {
        var merged = new IniFile();
        foreach (var path in files.Concat((directories ?? []).SelectMany(FilesOf)))
        {
            merged.Overlay(IniFile.Load(path));
        }

        return new ServiceConfig(service, merged);
    }

    public static ServiceConfig Empty(string service) => new(service, new IniFile());

    public T Get<T>(ConfigOption<T> option) => (T)parsed.GetOrAdd(option, static (key, self) => self.Read((ConfigOption<T>)key), this)!;

    public bool IsSet(ConfigOption option) => Find(option) is not null;

    /// <summary>The same configuration with one value replaced; for tests and command lines.</summary>
    public ServiceConfig With(string group, string name, string value)
    {
        file.Set(group, name, value);
        parsed.Clear();
        return this;
    }

    /// <summary>Every error of every declared option, not only the first.</summary>
    public IReadOnlyList<string> Validate(IEnumerable<ConfigOption> options) =>
        [.. options.Select(option => Find(option) is { } values ? Checked(option, values) : null).OfType<string>()];

    /// <summary>Writes a commented sample of the options, as <c>oslo-config-generator</c> does.</summary>
    public static string Sample(IEnumerable<ConfigOption> options)
    {
        var text = new StringBuilder();
        foreach (var group in options.GroupBy(option => option.Group).OrderBy(group => group.Key == "DEFAULT" ? "" : group.Key, StringComparer.Ordinal))
        {
            text.Append('[').Append(group.Key).Append("]\n\n");
            foreach (var option in group.OrderBy(option => option.Name, StringComparer.Ordinal))
            {
                text.Append("# ").Append(option.Help).Append(" (").Append(option.TypeName).Append(" value)\n#")
                    .Append(option.Name).Append(" = ").Append(option.Secret ? "<secret>" : option.DefaultText).Append("\n\n");
            }
        }

        return text.ToString();
    }

    private static IEnumerable<string> FilesOf(string directory) =>
        Directory.Exists(directory)
            ? Directory.EnumerateFiles(directory).Where(path => path.EndsWith(".conf", StringComparison.Ordinal) || path.EndsWith(".ini", StringComparison.Ordinal)).Order(StringComparer.Ordinal)
            : [];

    private T Read<T>(ConfigOption<T> option)
    {
        if (Find(option) is not { } values)
        {
            return option.Default;
        }

        try
        {
            return option.TryParse(Expanded(values, option.Group), out var value, out var error) ? value : throw new FormatException($"{Service}: {error}");
        }
        catch (InvalidDataException failure)
        {
            throw new FormatException($"{Service}: {failure.Message}", failure);
        }
    }

    private string? Checked(ConfigOption option, IReadOnlyList<string> values)
    {
        try
        {
            return option.Check(Expanded(values, option.Group));
        }
        catch (InvalidDataException failure)
        {
            return failure.Message;
        }
    }

    private IReadOnlyList<string>? Find(ConfigOption option)
    {
        if (file.Get(option.Group, option.Name) is { } values)
        {
            return values;
        }

        foreach (var older in option.DeprecatedNames)
        {
            var slash = older.IndexOf('/', StringComparison.Ordinal);
            if (file.Get(slash < 0 ? option.Group : older[..slash], older[(slash + 1)..]) is { } old)
            {
                return old;
            }
        }

        return null;
    }

    /// <summary>oslo.config's substitution: <c>$name</c>, <c>${name}</c> and <c>${group.name}</c>; <c>$$</c> is a dollar sign.</summary>
    private string[] Expanded(IReadOnlyList<string> values, string group)
    {
        var expanded = new string[values.Count];
        for (var i = 0; i < values.Count; i++)
        {
            expanded[i] = values[i].Contains('$', StringComparison.Ordinal) ? Expand(values[i], group, 0) : values[i];
        }

        return expanded;
    }

    private string Expand(string value, string group, int depth)
    {
        if (depth > 8)
        {
            throw new InvalidDataException($"[{group}] a value refers to itself through $substitution");
        }

        var text = new StringBuilder(value.Length);
        for (var i = 0; i < value.Length; i++)
        {
            if (value[i] != '$' || i + 1 == value.Length)
            {
                text.Append(value[i]);
            }
            else if (value[i + 1] == '$')
            {
                text.Append('$');
                i++;
            }
            else
            {
                var braced = value[i + 1] == '{';
                var start = i + (braced ? 2 : 1);
                var end = start;
                while (end < value.Length && (char.IsLetterOrDigit(value[end]) || value[end] is '_' or '-' || (braced && value[end] is '.')))
                {
                    end++;
                }

                var name = value[start..end];
                var dot = name.IndexOf('.', StringComparison.Ordinal);
                var found = dot < 0 ? file.Get(group, name) ?? file.Get("DEFAULT", name) : file.Get(name[..dot], name[(dot + 1)..]);
                if (found is null || name.Length == 0)
                {
                    // A password may hold a dollar sign: what names no option is left as it stands.
                    text.Append(value[i]);
                    continue;
                }

                text.Append(Expand(found[^1], group, depth + 1));
                i = braced ? end : end - 1;
            }
        }

        return text.ToString();
    }
}
