using System.Net.Sockets;
using System.Text;
using System.Text.RegularExpressions;
using SharpStack.LinuxHost.Processes;

namespace SharpStack.LinuxHost.Firewall;

/// <summary>What one owner has in a table of the packet filter.</summary>
/// <param name="Name">nat, mangle, filter or raw.</param>
/// <param name="Chains">
/// The owner's chains with their rules, in iptables' words as <c>iptables-save</c> writes them, without <c>-A CHAIN</c>. The rates of a hashlimit are told apart by its name only.
/// </param>
/// <param name="Hooks">Rules of the table's own chains that lead to the owner's, in order: <c>PREROUTING -j CHAIN</c>.</param>
public sealed record FilterTable(string Name, IReadOnlyDictionary<string, IReadOnlyList<string>> Chains, IReadOnlyList<string> Hooks);

/// <summary>
/// Tables of the kernel's packet filter in a network namespace, by iptables-save and iptables-restore: a table changes in one step, and only where it
/// differs. Chains and rules of others stay.
/// </summary>
public static partial class PacketFilter
{
    /// <summary>Sees to it that the owner has these chains and no others.</summary>
    /// <param name="networkNamespace">Null for this process's own.</param>
    /// <param name="family">IPv4 or IPv6.</param>
    /// <param name="tables">Tables that are not named stay as they are.</param>
    /// <param name="owns">Whether a chain of this name is the owner's.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <returns>Whether anything differed.</returns>
    /// <exception cref="ShellException">The kernel or the tools refused; the table that they refused is as it was.</exception>
    public static async Task<bool> ApplyAsync(
        string? networkNamespace, AddressFamily family, IReadOnlyList<FilterTable> tables, Func<string, bool> owns, CancellationToken cancellationToken)
    {
        var actual = await ReadAsync(networkNamespace, family, owns, cancellationToken);
        var text = new StringBuilder();
        foreach (var table in tables)
        {
            WriteDifference(text, table, actual.FirstOrDefault(each => each.Name == table.Name) ?? new FilterTable(table.Name, new Dictionary<string, IReadOnlyList<string>>(), []));
        }

        if (text.Length == 0)
        {
            return false;
        }

        await RunAsync(Program(family, "restore"), ["--noflush", "--wait"], text.ToString(), networkNamespace, cancellationToken);
        return true;
    }

    /// <summary>What the owner has in each table that the namespace has.</summary>
    /// <inheritdoc cref="ApplyAsync"/>
    public static async Task<IReadOnlyList<FilterTable>> ReadAsync(string? networkNamespace, AddressFamily family, Func<string, bool> owns, CancellationToken cancellationToken)
    {
        var saved = await RunAsync(Program(family, "save"), [], null, networkNamespace, cancellationToken);
        var tables = new List<FilterTable>();
        var chains = new Dictionary<string, IReadOnlyList<string>>();
        var hooks = new List<string>();
        foreach (var line in saved.Split('\n'))
        {
            switch (line.Length == 0 ? ' ' : line[0])
            {
                case '*':
                    tables.Add(new FilterTable(line[1..], chains = [], hooks = []));
                    break;
                case ':' when line[1..line.IndexOf(' ', StringComparison.Ordinal)] is var chain && owns(chain):
                    chains[chain] = new List<string>();
                    break;
                case '-' when line.StartsWith("-A ", StringComparison.Ordinal):
                    var rule = line["-A ".Length..];
                    var name = rule.Split(' ', 2)[0];
                    if (chains.TryGetValue(name, out var rules))
                    {
                        ((List<string>)rules).Add(rule[(name.Length + 1)..]);
                    }
                    else if (TargetOf(rule) is { } target && owns(target))
                    {
                        hooks.Add(rule);
                    }

                    break;
            }
        }

        return tables;
    }

    private static void WriteDifference(StringBuilder text, FilterTable wanted, FilterTable actual)
    {
        var stale = actual.Chains.Keys.Except(wanted.Chains.Keys).Order(StringComparer.Ordinal).ToList();
        var isHooked = actual.Hooks.SequenceEqual(wanted.Hooks);
        if (isHooked && stale.Count == 0 && wanted.Chains.All(chain => actual.Chains.TryGetValue(chain.Key, out var rules) && rules.Select(Comparable).SequenceEqual(chain.Value.Select(Comparable))))
        {
            return;
        }

        text.Append('*').Append(wanted.Name).Append('\n');
        // Naming a chain empties it; with the new rules that is one step for the kernel.
        foreach (var chain in wanted.Chains.Keys.Concat(stale))
        {
            text.Append(':').Append(chain).Append(" - [0:0]\n");
        }

        foreach (var hook in isHooked ? [] : actual.Hooks)
        {
            text.Append("-D ").Append(hook).Append('\n');
        }

        foreach (var hook in isHooked ? [] : wanted.Hooks)
        {
            AppendRule(text, hook);
        }

        foreach (var (chain, rules) in wanted.Chains)
        {
            foreach (var rule in rules)
            {
                AppendRule(text, $"{chain} {rule}");
            }
        }

        foreach (var chain in stale)
        {
            text.Append("-X ").Append(chain).Append('\n');
        }

        text.Append("COMMIT\n");
    }

    private static void AppendRule(StringBuilder text, string rule)
    {
        if (rule.AsSpan().ContainsAny('\n', '\r', '\0'))
        {
            throw new ArgumentException("A rule is one line.", nameof(rule));
        }

        text.Append("-A ").Append(rule).Append('\n');
    }

    /// <summary>Rates come back rounded: a limit is known by its name.</summary>
    private static string Comparable(string rule) => RatesOfLimits().Replace(rule, "");

    [GeneratedRegex(@"--hashlimit-above \S+ --hashlimit-burst \S+ ")]
    private static partial Regex RatesOfLimits();

    private static string? TargetOf(string rule)
    {
        var words = rule.Split(' ');
        var at = Array.IndexOf(words, "-j");
        return at >= 0 && at + 1 < words.Length ? words[at + 1] : null;
    }

    private static string Program(AddressFamily family, string verb) => $"{(family == AddressFamily.InterNetworkV6 ? "ip6tables" : "iptables")}-{verb}";

    private static async Task<string> RunAsync(string program, IReadOnlyList<string> arguments, string? input, string? networkNamespace, CancellationToken cancellationToken)
    {
        var outcome = await Shell.TryAsync(program, arguments, input, networkNamespace, cancellationToken);
        return outcome.Succeeded ? outcome.Output : throw new ShellException($"{program} in {networkNamespace ?? "this namespace"} failed ({outcome.ExitCode}): {outcome.Error.Trim()}");
    }
}
