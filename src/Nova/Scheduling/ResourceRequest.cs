using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace SharpStack.Nova.Scheduling;

/// <summary>What an instance asks of Placement: amounts and traits, in groups by suffix (the plain one is <c>""</c>).</summary>
internal sealed partial class ResourceRequest
{
    /// <summary>A host that an administrator disabled has this trait: it is left out where the work is cheapest.</summary>
    private const string DisabledTrait = "COMPUTE_STATUS_DISABLED";

    private readonly SortedDictionary<string, Group> groups = new(StringComparer.Ordinal) { [""] = new Group() };
    private readonly List<IReadOnlyList<string>> sameSubtrees = [];
    private readonly List<PortRequestGroup> ports = [];
    private string? groupPolicy;

    private sealed class Group
    {
        public SortedDictionary<string, int> Resources { get; } = new(StringComparer.Ordinal);

        public SortedSet<string> Required { get; } = new(StringComparer.Ordinal);

        public SortedSet<string> Forbidden { get; } = new(StringComparer.Ordinal);
    }

    /// <summary><c>resources:VGPU</c>, <c>resources1:VGPU</c>, <c>resources_GPU:VGPU</c>, and the same with <c>trait</c>.</summary>
    [GeneratedRegex("^(resources|trait)([a-zA-Z0-9_-]{1,64})?:([A-Z0-9_]+)$")]
    private static partial Regex Key { get; }

    /// <summary>The hosts have to be in one of each set of aggregates (UUIDs).</summary>
    public List<IReadOnlyCollection<string>> RequiredAggregates { get; } = [];

    /// <summary>The hosts must be in none of these aggregates (UUIDs).</summary>
    public IReadOnlyCollection<string> ForbiddenAggregates { get; set; } = [];

    /// <summary>The groups that are the ports', not the flavor's.</summary>
    public IReadOnlyList<PortRequestGroup> Ports => ports;

    public bool HasAggregates => RequiredAggregates.Count > 0 || ForbiddenAggregates.Count > 0;

    /// <summary>Amounts by class over all groups.</summary>
    public IReadOnlyDictionary<string, int> Totals => Sum(groups.Values);

    /// <summary>The same without those of the ports.</summary>
    public IReadOnlyDictionary<string, int> OwnTotals => Sum(groups.Where(group => !IsOfPort(group.Key)).Select(group => group.Value));

    private static Dictionary<string, int> Sum(IEnumerable<Group> groups) =>
        groups.SelectMany(group => group.Resources).GroupBy(pair => pair.Key).ToDictionary(pair => pair.Key, pair => pair.Sum(amount => amount.Value));

    public IReadOnlyList<string> RequiredTraits => [.. groups.Values.SelectMany(group => group.Required).Distinct()];

    public static ResourceRequest Of(RequestSpec spec)
    {
        var request = new ResourceRequest();
        var plain = request.groups[""];
        var cpus = spec.ExtraSpecs.GetValueOrDefault("hw:cpu_policy") == "dedicated" ? "PCPU" : "VCPU";
        plain.Resources[cpus] = spec.Vcpus;
        plain.Resources["MEMORY_MB"] = spec.MemoryMb;
        plain.Resources["DISK_GB"] = (spec.ImageId is null ? 0 : spec.RootGb) + spec.EphemeralGb + ((spec.SwapMb + 1023) / 1024);
        plain.Forbidden.Add(DisabledTrait);
        foreach (var (key, value) in spec.ExtraSpecs)
        {
            if (key == "group_policy")
            {
                request.groupPolicy = value;
            }
            else if (Key.Match(key) is { Success: true } match)
            {
                request.Add(match.Groups[1].Value, match.Groups[2].Value, match.Groups[3].Value, value);
            }
        }

        foreach (var (key, value) in spec.ImageProperties)
        {
            if (key.StartsWith("trait:", StringComparison.Ordinal) && Key.Match(key) is { Success: true } match)
            {
                request.Add("trait", "", match.Groups[3].Value, value);
            }
        }

        foreach (var port in spec.Ports)
        {
            foreach (var group in port.Groups)
            {
                request.Add(group);
            }

            request.sameSubtrees.Add(port.SameSubtree);
        }

        foreach (var group in request.groups.Values)
        {
            foreach (var none in group.Resources.Where(pair => pair.Value <= 0).Select(pair => pair.Key).ToList())
            {
                group.Resources.Remove(none);
            }
        }

        return request;
    }

    /// <summary>The query of <c>GET /allocation_candidates</c>.</summary>
    /// <param name="limit">Null for all candidates.</param>
    /// <param name="withTraits">False to leave out what is required, to learn what would be there without.</param>
    /// <param name="withAggregates">False to leave out the aggregates, for the same reason.</param>
    /// <param name="withPorts">Which of the ports' groups are asked for; null for all.</param>
    public string Query(int? limit, bool withTraits = true, bool withAggregates = true, Func<PortRequestGroup, bool>? withPorts = null)
    {
        var query = new StringBuilder();
        void Append(string name, string value) => query.Append(query.Length == 0 ? '?' : '&').Append(name).Append('=').Append(value);
        var suffixed = 0;
        var without = withPorts is null ? [] : ports.Where(port => !withPorts(port)).Select(port => port.Id).ToHashSet();
        foreach (var (suffix, group) in groups)
        {
            if (group.Resources.Count == 0 || without.Contains(suffix))
            {
                continue;
            }

            suffixed += suffix.Length > 0 ? 1 : 0;
            Append("resources" + suffix, string.Join(',', group.Resources.Select(pair => string.Create(CultureInfo.InvariantCulture, $"{pair.Key}:{pair.Value}"))));
            var traits = (withTraits ? group.Required : []).Concat(group.Forbidden.Select(trait => "!" + trait)).ToList();
            if (traits.Count > 0)
            {
                Append("required" + suffix, string.Join(',', traits));
            }
        }

        foreach (var aggregates in withAggregates ? RequiredAggregates : [])
        {
            Append("member_of", "in:" + string.Join(',', aggregates));
        }

        if (withAggregates && ForbiddenAggregates.Count > 0)
        {
            Append("member_of", "!in:" + string.Join(',', ForbiddenAggregates));
        }

        foreach (var subtree in sameSubtrees)
        {
            var there = subtree.Where(suffix => groups[suffix].Resources.Count > 0 && !without.Contains(suffix)).ToList();
            if (there.Count > 1)
            {
                Append("same_subtree", string.Join(',', there));
            }
        }

        if (groupPolicy is not null || suffixed > 1)
        {
            Append("group_policy", groupPolicy is "isolate" ? "isolate" : "none");
        }

        if (limit is not null)
        {
            Append("limit", limit.Value.ToString(CultureInfo.InvariantCulture));
        }

        return query.ToString();
    }

    public override string ToString() => Shown(Totals);

    /// <summary>Amounts in words.</summary>
    public static string Shown(IReadOnlyDictionary<string, int> amounts) => string.Join(", ", amounts.OrderBy(pair => pair.Key, StringComparer.Ordinal).Select(pair => $"{pair.Key} {pair.Value}"));

    private bool IsOfPort(string suffix) => ports.Exists(port => port.Id == suffix);

    /// <summary>Asks for what a port asks for, too.</summary>
    public void Add(PortRequestGroup wanted)
    {
        ports.Add(wanted);
        var group = groups[wanted.Id] = new Group();
        foreach (var (resource, amount) in wanted.Resources)
        {
            group.Resources[resource] = amount;
        }

        group.Required.UnionWith(wanted.Required);
    }

    private void Add(string kind, string suffix, string name, string value)
    {
        if (!groups.TryGetValue(suffix, out var group))
        {
            groups[suffix] = group = new Group();
        }

        if (kind == "trait")
        {
            (value == "forbidden" ? group.Forbidden : group.Required).Add(name);
        }
        else if (int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out var amount))
        {
            group.Resources[name] = amount;
        }
    }
}
