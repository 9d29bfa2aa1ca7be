using System.Globalization;
using System.Text.RegularExpressions;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;

namespace SharpStack.Placement.AllocationCandidates;

/// <summary>
/// One group of a request: <c>resources</c>, <c>required</c>, <c>member_of</c> and <c>in_tree</c> with the same suffix. The group without a suffix may be served by
/// several providers of a tree (and by sharing providers), one with a suffix by a single provider.
/// </summary>
internal sealed partial class RequestGroup(string suffix)
{
    private const int MaxSuffixes = 256;

    public string Suffix { get; } = suffix;

    public bool OneProvider => Suffix.Length > 0;

    public IReadOnlyList<(string ResourceClass, long Amount)> Resources { get; private set; } = [];

    /// <summary>Each set has to be met by one of its traits.</summary>
    public List<HashSet<string>> RequiredTraits { get; } = [];

    public HashSet<string> ForbiddenTraits { get; } = [];

    /// <summary>Each set has to be met by one of its aggregates.</summary>
    public List<HashSet<string>> MemberOf { get; } = [];

    public HashSet<string> ForbiddenAggregates { get; } = [];

    public string? InTree { get; private set; }

    /// <summary>What follows <c>resources</c> and the like from 1.33 on.</summary>
    [GeneratedRegex("[a-zA-Z0-9_-]{1,64}")]
    public static partial Regex SuffixPattern { get; }

    [GeneratedRegex("^(resources|required|member_of|in_tree)([1-9][0-9]*)?$")]
    private static partial Regex NumberedKey { get; }

    [GeneratedRegex("^(resources|required|member_of|in_tree)([a-zA-Z0-9_-]{1,64})?$")]
    private static partial Regex SuffixedKey { get; }

    /// <summary>The filters of <c>GET /resource_providers</c>.</summary>
    public static RequestGroup ForProviders(ApiContext context)
    {
        var group = new RequestGroup("");
        group.ReadMembership(context);
        group.ReadTraits(context);
        if (context.Query["resources"] is { } resources)
        {
            group.Resources = ParseResources(resources);
        }

        return group;
    }

    /// <summary>Whether a query parameter is one of a group in this version.</summary>
    public static bool IsKey(string name, Microversion version)
    {
        if (!version.AtLeast(25))
        {
            return name switch { "resources" => true, "required" => version.AtLeast(17), "member_of" => version.AtLeast(21), _ => false };
        }

        var match = Key(version).Match(name);
        return match.Success && (match.Groups[1].Value != "in_tree" || version.AtLeast(31));
    }

    /// <summary>The groups of <c>GET /allocation_candidates</c>, by suffix.</summary>
    public static IReadOnlyDictionary<string, RequestGroup> Read(ApiContext context, IReadOnlyList<IReadOnlySet<string>> sameSubtrees)
    {
        var version = context.Version;
        var groups = new Dictionary<string, RequestGroup>();
        foreach (var name in context.Query.Names)
        {
            if (Key(version).Match(name) is not { Success: true } match)
            {
                continue;
            }

            var suffix = match.Groups[2].Value;
            if (!groups.TryGetValue(suffix, out var group))
            {
                groups[suffix] = group = new RequestGroup(suffix);
            }

            switch (match.Groups[1].Value)
            {
                case "resources":
                    group.Resources = ParseResources(context.Query[name]!);
                    break;
                case "required":
                    group.ReadTraits(context);
                    break;
                case "member_of":
                    group.ReadMembership(context);
                    break;
                default:
                    group.InTree = ParseTree(context.Query[name]!);
                    break;
            }
        }

        if (groups.Count > MaxSuffixes)
        {
            throw CloudException.BadRequest($"Invalid query string parameters: at most {MaxSuffixes} request groups are taken.");
        }

        if (version.AtLeast(36))
        {
            CheckSubtrees(groups, sameSubtrees);
        }
        else
        {
            CheckOrphans(groups);
        }

        if (version.AtLeast(22))
        {
            CheckConflicts(groups.Values);
        }

        return groups;
    }

    /// <summary>One trait expression, <c>A,!B</c>, or since 1.39 <c>in:A,B</c>.</summary>
    public static (List<HashSet<string>> Required, HashSet<string> Forbidden) ParseTraits(string value, bool mayForbid, bool mayChoose)
    {
        if (value.StartsWith("in:", StringComparison.Ordinal))
        {
            if (!mayChoose)
            {
                throw Bad($"The format 'in:HW_CPU_X86_VMX,CUSTOM_MAGIC' only supported since microversion 1.39. Got: {value}");
            }

            var any = value[3..].Split(',', StringSplitOptions.TrimEntries).ToHashSet();
            if (any.Contains(""))
            {
                throw Bad($"Expected 'required' parameter value of the form: in:HW_CPU_X86_VMX,CUSTOM_MAGIC. Got an empty trait in: {value}");
            }

            return any.Any(trait => trait[0] == '!')
                ? throw Bad($"The format 'in:HW_CPU_X86_VMX,CUSTOM_MAGIC' does not support forbidden traits. Got: {value}")
                : ([any], []);
        }

        var all = value.Split(',', StringSplitOptions.TrimEntries);
        var forbidden = all.Where(trait => trait.StartsWith('!')).Select(trait => trait.TrimStart('!')).ToHashSet();
        if (forbidden.Contains("") || all.Contains(""))
        {
            throw Bad($"Expected 'required' parameter value of the form: {(mayForbid ? "HW_CPU_X86_VMX,!CUSTOM_MAGIC" : "HW_CPU_X86_VMX,CUSTOM_MAGIC")}. Got an empty trait in: {value}");
        }

        return forbidden.Count > 0 && !mayForbid
            ? throw Bad($"Expected 'required' parameter value of the form: HW_CPU_X86_VMX,CUSTOM_MAGIC. Got: {value}")
            : ([.. all.Where(trait => trait[0] != '!').Select(trait => (HashSet<string>)[trait])], forbidden);
    }

    private static CloudException Bad(string message) => CloudException.BadRequest("Invalid query string parameters: " + message);

    private static Regex Key(Microversion version) => version.AtLeast(33) ? SuffixedKey : NumberedKey;

    private static List<(string ResourceClass, long Amount)> ParseResources(string text)
    {
        const string form = "Badly formed resources parameter. Expected resources query string parameter in form: ?resources=VCPU:2,MEMORY_MB:1024. Got: ";
        if (string.IsNullOrWhiteSpace(text))
        {
            throw CloudException.BadRequest(form + "empty string.");
        }

        var resources = new Dictionary<string, long>();
        foreach (var item in text.Split(','))
        {
            var parts = item.Split(':');
            if (parts.Length != 2)
            {
                throw CloudException.BadRequest($"{form}{item}.");
            }

            if (!long.TryParse(parts[1], NumberStyles.Integer, CultureInfo.InvariantCulture, out var amount))
            {
                throw CloudException.BadRequest($"Requested resource {parts[0]} expected positive integer amount. Got: {parts[1]}.");
            }

            if (amount < 1)
            {
                throw CloudException.BadRequest($"Requested resource {parts[0]} requires amount >= 1. Got: {amount}.");
            }

            resources[parts[0]] = amount;
        }

        return [.. resources.Select(pair => (pair.Key, pair.Value))];
    }

    private static string ParseTree(string value) =>
        PlacementApi.IsUuid(value.Trim()) ? value.Trim() : throw Bad($"Expected 'in_tree' parameter to be a format of uuid. Got: {value}");

    private void ReadTraits(ApiContext context)
    {
        var values = context.Query.All("required" + Suffix);
        var mayChoose = context.Version.AtLeast(39);

        // Before 1.39 a repeated parameter counts once, by its last value.
        for (var i = mayChoose ? 0 : Math.Max(0, values.Count - 1); i < values.Count; i++)
        {
            var (required, forbidden) = ParseTraits(values[i] ?? "", context.Version.AtLeast(22), mayChoose);
            RequiredTraits.AddRange(required);
            ForbiddenTraits.UnionWith(forbidden);
        }
    }

    private void ReadMembership(ApiContext context)
    {
        var name = "member_of" + Suffix;
        var values = context.Query.All(name);
        if (values.Count > 1 && !context.Version.AtLeast(24))
        {
            throw CloudException.BadRequest($"Multiple {name} parameters are not supported");
        }

        foreach (var value in values)
        {
            var text = value ?? "";
            var forbids = text.StartsWith('!');
            var rest = forbids ? text[1..] : text;
            var several = rest.StartsWith("in:", StringComparison.Ordinal);
            if (rest.Contains(',', StringComparison.Ordinal) && !several)
            {
                throw CloudException.BadRequest(
                    $"Multiple values for 'member_of' must be prefixed with the 'in:' or '!in:' keyword using the valid microversion. Got: {text}");
            }

            var aggregates = (several ? rest[3..].Split(',') : [rest]).ToHashSet();
            if (aggregates.FirstOrDefault(aggregate => !PlacementApi.IsUuid(aggregate)) is { } wrong)
            {
                throw Bad($"Expected 'member_of' parameter to contain valid UUID(s). Got: {wrong}");
            }

            if (!forbids)
            {
                MemberOf.Add(aggregates);
            }
            else if (context.Version.AtLeast(32))
            {
                ForbiddenAggregates.UnionWith(aggregates);
            }
            else
            {
                throw CloudException.BadRequest($"Forbidden {name} parameters are not supported in the specified microversion");
            }
        }
    }

    private static void CheckSubtrees(Dictionary<string, RequestGroup> groups, IReadOnlyList<IReadOnlySet<string>> sameSubtrees)
    {
        var without = groups.Values.Where(group => group.Resources.Count == 0).Select(group => group.Suffix).ToList();
        if (without.Count == groups.Count)
        {
            throw CloudException.BadRequest("There must be at least one resources or resources[$S] parameter.", ErrorCodes.MissingQueryValue);
        }

        static string Shown(IEnumerable<string> names) => $"[{string.Join(", ", names.Select(name => $"'{name}'"))}]";
        var subtrees = sameSubtrees.SelectMany(set => set).ToHashSet();
        var alone = without.Where(suffix => !subtrees.Contains(suffix)).ToList();
        if (alone.Count > 0)
        {
            throw CloudException.BadRequest(
                $"Resourceless suffixed group request should be specified in `same_subtree` query param: bad group(s) - {Shown(alone)}.", ErrorCodes.BadQueryValue);
        }

        var unknown = subtrees.Where(suffix => !groups.ContainsKey(suffix)).ToList();
        if (unknown.Count > 0)
        {
            throw CloudException.BadRequest(
                $"Real suffixes should be specified in `same_subtree`: {Shown(unknown)} not found in {Shown(groups.Keys)}.", ErrorCodes.BadQueryValue);
        }
    }

    private static void CheckOrphans(Dictionary<string, RequestGroup> groups)
    {
        var without = groups.Values.Where(group => group.Resources.Count == 0).ToList();
        var traits = without.Where(group => group.RequiredTraits.Count > 0).Select(group => "required" + group.Suffix).ToList();
        if (traits.Count > 0)
        {
            throw CloudException.BadRequest($"All traits parameters must be associated with resources.  Found the following orphaned traits keys: {string.Join(", ", traits)}");
        }

        var members = without.Where(group => group.MemberOf.Count + group.ForbiddenAggregates.Count > 0).Select(group => "member_of" + group.Suffix).ToList();
        if (members.Count > 0)
        {
            throw CloudException.BadRequest(
                $"All member_of parameters must be associated with resources. Found the following orphaned member_of keys: {string.Join(", ", members)}");
        }

        if (without.Count > 0)
        {
            throw CloudException.BadRequest("All request groups must specify resources.");
        }

        if (groups.Count == 0)
        {
            throw CloudException.BadRequest("At least one request group (`resources` or `resources{$S}`) is required.");
        }
    }

    private static void CheckConflicts(IEnumerable<RequestGroup> groups)
    {
        var conflicts = groups
            .SelectMany(group => group.RequiredTraits.Where(group.ForbiddenTraits.IsSupersetOf)
                .Select(any => $"required{group.Suffix}: ({string.Join(", ", any.Order(StringComparer.Ordinal))})"))
            .Order(StringComparer.Ordinal)
            .ToList();
        if (conflicts.Count > 0)
        {
            throw CloudException.BadRequest($"Conflicting required and forbidden traits found in the following traits keys: {string.Join(", ", conflicts)}");
        }
    }
}
