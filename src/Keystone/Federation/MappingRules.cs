using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using SharpStack.Foundation;

namespace SharpStack.Keystone.Federation;

/// <summary>A domain by its id or its name.</summary>
internal sealed record MappedDomain(string? Id, string? Name);

/// <param name="IsLocal">The user exists here already; else one is made for the provider's.</param>
internal sealed record MappedPerson(bool IsLocal, string? Id, string? Name, string? Email, MappedDomain? Domain);

internal sealed record MappedGroup(string Name, MappedDomain Domain);

/// <param name="Domain">Null for the provider's.</param>
internal sealed record MappedProject(string Name, IReadOnlyList<string> Roles, MappedDomain? Domain);

/// <summary>What the rules make of an assertion.</summary>
/// <param name="User">Only a local one's domain counts, unless the rules are of version 2.0.</param>
internal sealed record MappedIdentity(
    MappedPerson User, IReadOnlyList<string> GroupIds, IReadOnlyList<MappedGroup> GroupNames, IReadOnlyList<MappedProject> Projects);

/// <summary>
/// The mapping language (Keystone's administrator guide, "Mapping Combinations"): each rule has <c>remote</c> conditions on the assertion, and
/// <c>local</c> values in which <c>{0}</c>, <c>{1}</c> … stand for what the conditions picked. All rules that match count. In version 2.0 the domains
/// of users and projects count, and a local part's <c>domain</c> is their default.
/// </summary>
internal sealed class MappingRules
{
    /// <summary>The versions of the language; the first is the default.</summary>
    public static readonly string[] Versions = ["1.0", "2.0"];

    /// <summary>Patterns come from administrators, what they are tried on from providers.</summary>
    private static readonly TimeSpan PatternLimit = TimeSpan.FromMilliseconds(250);

    private static readonly string[] Conditions = ["any_one_of", "not_any_of", "blacklist", "whitelist"];

    private readonly IReadOnlyList<Rule> rules;

    private MappingRules(IReadOnlyList<Rule> rules) => this.rules = rules;

    private sealed record Rule(IReadOnlyList<Remote> Remote, IReadOnlyList<Local> Local);

    /// <param name="Condition">One of <see cref="Conditions"/>; null where the values are only picked.</param>
    private sealed record Remote(string Type, string? Condition, IReadOnlyList<string> Values, IReadOnlyList<Regex>? Patterns)
    {
        public bool Matches(string value) => Patterns is null ? Values.Contains(value) : Patterns.Any(p => p.IsMatch(value));
    }

    private sealed record Local(
        MappedPerson? User, string? GroupId, MappedGroup? Group, string? Groups, string? GroupIds, MappedDomain? Domain, IReadOnlyList<MappedProject>? Projects);

    /// <param name="version">One of <see cref="Versions"/>.</param>
    /// <exception cref="CloudException">The rules are not of the language (400); the message says which and why.</exception>
    public static MappingRules Parse(JsonElement rules, string version)
    {
        if (rules.ValueKind != JsonValueKind.Array || rules.GetArrayLength() == 0)
        {
            throw Wrong("rules", "it must be a list with at least one rule");
        }
        return new([.. rules.EnumerateArray().Select((rule, i) => ParseRule(rule, version != Versions[0], $"rules[{i}]"))]);
    }

    /// <param name="assertion">Values by the attribute's name.</param>
    /// <exception cref="CloudException">No rule applies, or one refers to a value that it did not pick (401).</exception>
    public MappedIdentity Apply(IReadOnlyDictionary<string, IReadOnlyList<string>> assertion)
    {
        MappedPerson? user = null;
        var matched = false;
        var groupIds = new List<string>();
        var groups = new List<MappedGroup>();
        IReadOnlyList<MappedProject> projects = [];
        foreach (var rule in rules)
        {
            if (Pick(rule, assertion) is not { } picked)
            {
                continue;
            }
            foreach (var local in rule.Local)
            {
                matched = true;
                if (user is null && local.User is { } person)
                {
                    user = person with
                    {
                        Id = Fill(person.Id, picked),
                        Name = Fill(person.Name, picked),
                        Email = Fill(person.Email, picked),
                        Domain = Fill(person.Domain, picked),
                    };
                }
                if (local.GroupId is not null)
                {
                    groupIds.Add(Fill(local.GroupId, picked)!);
                }
                if (local.Group is { } group)
                {
                    groups.Add(new(Fill(group.Name, picked)!, Fill(group.Domain, picked)!));
                }
                if (local.Groups is not null)
                {
                    var domain = Fill(local.Domain, picked);
                    groups.AddRange(FillList(local.Groups, picked).Select(name => GroupOf(name, domain)));
                }
                if (local.GroupIds is not null)
                {
                    groupIds.AddRange(FillList(local.GroupIds, picked));
                }
                if (local.Projects is not null)
                {
                    projects = [.. local.Projects.Select(p => new MappedProject(Fill(p.Name, picked)!, [.. p.Roles.Select(r => Fill(r, picked)!)], Fill(p.Domain, picked)))];
                }
            }
        }
        return matched
            ? new(user ?? new(false, null, null, null, null), [.. groupIds.Distinct()], [.. groups.Distinct()], projects)
            : throw CloudException.Unauthorized("Could not map any federated user properties to identity values. Check debug logs or the mapping used for additional details.");
    }

    /// <summary>The values that the rule's conditions picked, in their order; null where the rule does not apply.</summary>
    private static List<IReadOnlyList<string>>? Pick(Rule rule, IReadOnlyDictionary<string, IReadOnlyList<string>> assertion)
    {
        var picked = new List<IReadOnlyList<string>>();
        foreach (var remote in rule.Remote)
        {
            if (!assertion.TryGetValue(remote.Type, out var values))
            {
                return null;
            }
            switch (remote.Condition)
            {
                case "any_one_of" when !values.Any(remote.Matches):
                case "not_any_of" when values.Any(remote.Matches):
                    return null;
                case "any_one_of" or "not_any_of":
                    break;
                case "blacklist":
                    picked.Add([.. values.Where(v => !remote.Matches(v))]);
                    break;
                case "whitelist":
                    picked.Add([.. values.Where(remote.Matches)]);
                    break;
                default:
                    picked.Add(values);
                    break;
            }
        }
        return picked;
    }

    private static MappedGroup GroupOf(string text, MappedDomain? domain)
    {
        if (text.StartsWith("JSON:", StringComparison.Ordinal))
        {
            try
            {
                using var group = JsonDocument.Parse(text["JSON:".Length..]);
                if (group.RootElement.Text("name") is { } name && group.RootElement.TryGetProperty("domain", out var own))
                {
                    return new(name, DomainOf(own, "groups"));
                }
            }
            catch (JsonException)
            {
                // Said below in the mapping's words.
            }
            throw CloudException.Unauthorized("Invalid rule: a group given as JSON needs a name and a domain.");
        }
        return new(text, domain ?? throw CloudException.Unauthorized("Invalid rule: Both 'groups' and 'domain' keywords must be specified."));
    }

    /// <summary>A text that stands for a list: one placeholder alone gives the values that it stands for, a list in brackets its members.</summary>
    private static IEnumerable<string> FillList(string template, List<IReadOnlyList<string>> picked)
    {
        if (template is ['{', .. var digits, '}'] && int.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out var index))
        {
            return Value(picked, index);
        }
        var text = Fill(template, picked)!;
        return text is ['[', .. var inner, ']']
            ? inner.Split(',').Select(static item => item.Trim().Trim('\'', '"')).Where(static item => item.Length > 0)
            : [text];
    }

    private static MappedDomain? Fill(MappedDomain? domain, List<IReadOnlyList<string>> picked) =>
        domain is null ? null : new(Fill(domain.Id, picked), Fill(domain.Name, picked));

    private static string? Fill(string? template, List<IReadOnlyList<string>> picked)
    {
        if (template is null || !template.Contains('{', StringComparison.Ordinal))
        {
            return template;
        }
        var text = new StringBuilder();
        for (var i = 0; i < template.Length; i++)
        {
            var close = template[i] == '{' ? template.IndexOf('}', i) : -1;
            if (close > 0 && int.TryParse(template.AsSpan(i + 1, close - i - 1), NumberStyles.None, CultureInfo.InvariantCulture, out var index))
            {
                var values = Value(picked, index);
                // Several values in one text look as they do in OpenStack.
                text.Append(values.Count == 1 ? values[0] : $"[{string.Join(", ", values.Select(static v => $"'{v}'"))}]");
                i = close;
            }
            else
            {
                text.Append(template[i]);
            }
        }
        return text.ToString();
    }

    private static IReadOnlyList<string> Value(List<IReadOnlyList<string>> picked, int index) => index < picked.Count
        ? picked[index]
        : throw CloudException.Unauthorized("A local section of the mapping refers to a remote match that doesn't exist (e.g. {0} in a local section).");

    private static Rule ParseRule(JsonElement rule, bool hasDomains, string where)
    {
        Allow(rule, where, "local", "remote");
        var local = Required(rule, "local", JsonValueKind.Array, where);
        var remote = Required(rule, "remote", JsonValueKind.Array, where);
        if (remote.GetArrayLength() == 0)
        {
            throw Wrong($"{where}.remote", "it must have at least one condition");
        }
        return new(
            [.. remote.EnumerateArray().Select((item, i) => ParseRemote(item, $"{where}.remote[{i}]"))],
            [.. local.EnumerateArray().Select((item, i) => ParseLocal(item, hasDomains, $"{where}.local[{i}]"))]);
    }

    private static Remote ParseRemote(JsonElement remote, string where)
    {
        Allow(remote, where, ["type", "regex", .. Conditions]);
        var type = Required(remote, "type", JsonValueKind.String, where).GetString()!;
        var given = Conditions.Where(c => remote.Has(c)).ToArray();
        if (given.Length > 1)
        {
            throw Wrong(where, $"it has {string.Join(" and ", given)}, of which one is allowed");
        }
        var isPattern = remote.TryGetProperty("regex", out var regex)
            && (regex.ValueKind is JsonValueKind.True or JsonValueKind.False ? regex.GetBoolean() : throw Wrong($"{where}.regex", "it must be true or false"));
        if (given is not [var condition])
        {
            return isPattern ? throw Wrong(where, "regex needs one of " + string.Join(", ", Conditions)) : new(type, null, [], null);
        }
        var values = Required(remote, condition, JsonValueKind.Array, where).EnumerateArray()
            .Select(v => v.ValueKind == JsonValueKind.String ? v.GetString()! : throw Wrong($"{where}.{condition}", "its members must be texts")).ToList();
        return new(type, condition, values, isPattern ? [.. values.Select(v => Pattern(v, $"{where}.{condition}"))] : null);
    }

    private static Regex Pattern(string text, string where)
    {
        try
        {
            return new(text, RegexOptions.CultureInvariant, PatternLimit);
        }
        catch (ArgumentException failure)
        {
            throw Wrong(where, $"'{text}' is no regular expression: {failure.Message}");
        }
    }

    private static Local ParseLocal(JsonElement local, bool hasDomains, string where)
    {
        Allow(local, where, "user", "projects", "group", "groups", "group_ids", "domain");
        var domain = local.TryGetProperty("domain", out var named) ? DomainOf(named, $"{where}.domain") : null;
        var fallback = hasDomains ? domain : null;
        MappedPerson? user = null;
        if (local.TryGetProperty("user", out var person))
        {
            Allow(person, $"{where}.user", "id", "name", "email", "domain", "type");
            var type = TextOf(person, "type", $"{where}.user");
            if (type is not (null or "ephemeral" or "local"))
            {
                throw Wrong($"{where}.user.type", $"'{type}' is not one of ephemeral and local");
            }
            user = new(
                type == "local",
                TextOf(person, "id", $"{where}.user"),
                TextOf(person, "name", $"{where}.user"),
                TextOf(person, "email", $"{where}.user"),
                person.TryGetProperty("domain", out var of) ? DomainOf(of, $"{where}.user.domain") : fallback);
        }
        string? groupId = null;
        MappedGroup? group = null;
        if (local.TryGetProperty("group", out var one))
        {
            Allow(one, $"{where}.group", "id", "name", "domain");
            if (one.Has("id"))
            {
                groupId = one.Has("name") || one.Has("domain") ? throw Wrong($"{where}.group", "it has an id, so it takes no name and no domain") : TextOf(one, "id", $"{where}.group");
            }
            else
            {
                group = new(
                    TextOf(one, "name", $"{where}.group") ?? throw Wrong($"{where}.group", "it needs an id, or a name and a domain"),
                    DomainOf(Required(one, "domain", JsonValueKind.Object, $"{where}.group"), $"{where}.group.domain"));
            }
        }
        return new(
            user,
            groupId,
            group,
            TextOf(local, "groups", where),
            TextOf(local, "group_ids", where),
            domain,
            local.TryGetProperty("projects", out var projects) ? ParseProjects(projects, hasDomains, fallback, $"{where}.projects") : null);
    }

    private static List<MappedProject> ParseProjects(JsonElement projects, bool hasDomains, MappedDomain? fallback, string where)
    {
        if (projects.ValueKind != JsonValueKind.Array)
        {
            throw Wrong(where, "it must be a list");
        }
        var parsed = new List<MappedProject>();
        foreach (var project in projects.EnumerateArray())
        {
            Allow(project, where, ["name", "roles", .. hasDomains ? new[] { "domain" } : []]);
            parsed.Add(new(
                Required(project, "name", JsonValueKind.String, where).GetString()!,
                [.. Required(project, "roles", JsonValueKind.Array, where).EnumerateArray().Select(role => TextOf(role, "name", $"{where}.roles") ?? throw Wrong($"{where}.roles", "a role needs a name"))],
                project.TryGetProperty("domain", out var domain) ? DomainOf(domain, $"{where}.domain") : fallback));
        }
        return parsed;
    }

    private static MappedDomain DomainOf(JsonElement domain, string where)
    {
        Allow(domain, where, "id", "name");
        return new(TextOf(domain, "id", where), TextOf(domain, "name", where));
    }

    private static string? TextOf(JsonElement parent, string name, string where) => parent.ValueKind != JsonValueKind.Object
        ? throw Wrong(where, "it must be an object")
        : !parent.TryGetProperty(name, out var value) ? null
        : value.ValueKind == JsonValueKind.String ? value.GetString() : throw Wrong($"{where}.{name}", "it must be a text");

    private static JsonElement Required(JsonElement parent, string name, JsonValueKind kind, string where) =>
        parent.TryGetProperty(name, out var value) && value.ValueKind == kind
            ? value
            : throw Wrong(where, $"it needs '{name}', {kind switch { JsonValueKind.Array => "a list", JsonValueKind.Object => "an object", _ => "a text" }}");

    private static void Allow(JsonElement item, string where, params ReadOnlySpan<string> names)
    {
        if (item.ValueKind != JsonValueKind.Object)
        {
            throw Wrong(where, "it must be an object");
        }
        foreach (var property in item.EnumerateObject())
        {
            if (!names.Contains(property.Name))
            {
                throw Wrong(where, $"'{property.Name}' is not one of {string.Join(", ", names.ToArray())}");
            }
        }
    }

    private static CloudException Wrong(string where, string why) => CloudException.BadRequest($"Invalid mapping: {where}: {why}.");
}
