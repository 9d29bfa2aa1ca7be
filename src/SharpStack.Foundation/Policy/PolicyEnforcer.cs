using System.Collections.Frozen;

namespace SharpStack.Foundation.Policy;

/// <summary>
/// Decides who may do what, in the oslo.policy language: defaults in code, an operator's overrides over them, compiled once to delegates.
/// A rule that nobody defined refuses, unless a rule named <c>default</c> exists. Immutable and safe for concurrent use.
/// </summary>
/// <exception cref="PolicyDefinitionException">Rules that do not parse, that refer to rules which do not exist, or to themselves in a circle.</exception>
public sealed class PolicyEnforcer
{
    private const string DefaultRule = "default";

    private readonly record struct Compiled(PolicyPredicate Predicate, PolicyScope Scopes);

    private readonly FrozenDictionary<string, PolicyCheck> checks;
    private readonly FrozenDictionary<string, Compiled> rules;
    private readonly bool enforceScope;

    public PolicyEnforcer(
        IEnumerable<PolicyRule> defaults, PolicyOverrides? overrides = null, bool enforceScope = true, bool enforceNewDefaults = false)
    {
        this.enforceScope = enforceScope;
        Defaults = defaults.ToFrozenDictionary(static r => r.Name);
        var errors = new List<string>();
        checks = Merge(Defaults, overrides ?? PolicyOverrides.None, enforceNewDefaults, errors);
        FindUndefined(errors);
        FindCycles(errors);
        if (errors.Count > 0)
        {
            throw new PolicyDefinitionException(errors);
        }
        rules = Compile();
    }

    /// <summary>The rules in code, by name.</summary>
    public IReadOnlyDictionary<string, PolicyRule> Defaults { get; }

    /// <summary>The rules in effect: name and check, after overrides and deprecated checks are merged in.</summary>
    public IEnumerable<KeyValuePair<string, string>> Effective => checks.Select(static c => KeyValuePair.Create(c.Key, c.Value.ToString()));

    public bool Check(string rule, PolicyCredentials credentials, PolicyTarget target) =>
        (rules.TryGetValue(rule, out var compiled) || rules.TryGetValue(DefaultRule, out compiled))
        && ScopeFits(compiled.Scopes, credentials)
        && compiled.Predicate(credentials, target);

    /// <summary>The same decision with its reasons: slower, for denials and for <c>sharpstack policy explain</c>.</summary>
    public PolicyExplanation Explain(string rule, PolicyCredentials credentials, PolicyTarget target)
    {
        if (Find(rule) is not { } check)
        {
            return new(rule, false, $"the policy has no rule {rule}", null);
        }
        var scopes = Defaults.TryGetValue(rule, out var definition) ? definition.Scopes : PolicyScope.None;
        if (!ScopeFits(scopes, credentials))
        {
            return new(
                rule,
                false,
                $"{rule} needs a token of scope {ScopeNames(scopes)}, and this one has scope {ScopeNames(credentials.Scope)}",
                null);
        }
        var root = check.Explain(credentials, target, Find);
        var reason = root.Passed
            ? ""
            : $"{rule} is {check}; " + string.Join("; ", root.Failures().Select(static f => $"{f.Check} fails ({f.Detail})").Distinct());
        return new(rule, root.Passed, reason, root);
    }

    private static string ScopeNames(PolicyScope scopes) =>
        string.Join(" or ", Enum.GetValues<PolicyScope>()
            .Where(s => s is PolicyScope.System or PolicyScope.Domain or PolicyScope.Project && scopes.HasFlag(s))
            .Select(static s => s.ToString().ToLowerInvariant()));

    private bool ScopeFits(PolicyScope scopes, PolicyCredentials credentials) =>
        !enforceScope || scopes == PolicyScope.None || (scopes & credentials.Scope) != 0;

    private PolicyCheck? Find(string rule) => checks.GetValueOrDefault(rule) ?? checks.GetValueOrDefault(DefaultRule);

    private static FrozenDictionary<string, PolicyCheck> Merge(
        IReadOnlyDictionary<string, PolicyRule> defaults, PolicyOverrides overrides, bool enforceNewDefaults, List<string> errors)
    {
        var merged = new Dictionary<string, PolicyCheck>(StringComparer.Ordinal);
        foreach (var (name, value) in overrides.Rules)
        {
            merged[name] = Read(name, value.Parse, errors);
        }
        foreach (var rule in defaults.Values)
        {
            if (merged.ContainsKey(rule.Name))
            {
                continue;
            }
            var check = Read(rule.Name, () => PolicyParser.Parse(rule.Check), errors);
            if (rule.Deprecated is { } old)
            {
                var former = Read(old.Name, () => PolicyParser.Parse(old.Check), errors);
                if (old.Name != rule.Name
                    && merged.TryGetValue(old.Name, out var overridden)
                    && overridden.ToString() != former.ToString()
                    && overridden.ToString() != $"rule:{rule.Name}")
                {
                    // An operator who narrowed the old name must not find the new one open after an upgrade.
                    check = overridden;
                }
                else if (!enforceNewDefaults && old.Check != rule.Check)
                {
                    check = new AnyCheck([check, former]);
                }
            }
            merged[rule.Name] = check;
        }
        return merged.ToFrozenDictionary(StringComparer.Ordinal);
    }

    private static PolicyCheck Read(string name, Func<PolicyCheck> parse, List<string> errors)
    {
        try
        {
            return parse();
        }
        catch (FormatException e)
        {
            errors.Add($"{name}: {e.Message}");
            return ConstantCheck.Deny;
        }
    }

    private void FindUndefined(List<string> errors)
    {
        if (checks.ContainsKey(DefaultRule))
        {
            return;
        }
        foreach (var (name, check) in checks)
        {
            errors.AddRange(check.References().Distinct().Where(r => !checks.ContainsKey(r))
                .Select(r => $"{name}: refers to rule:{r}, which does not exist"));
        }
    }

    private void FindCycles(List<string> errors)
    {
        var done = new HashSet<string>(StringComparer.Ordinal);
        var path = new List<string>();
        foreach (var name in checks.Keys.Order(StringComparer.Ordinal))
        {
            Visit(name);
        }

        void Visit(string name)
        {
            var start = path.IndexOf(name);
            if (start >= 0)
            {
                errors.Add($"{name}: refers to itself in a circle ({string.Join(" -> ", path.Skip(start))} -> {name})");
                return;
            }
            if (done.Contains(name) || !checks.TryGetValue(name, out var check))
            {
                return;
            }
            path.Add(name);
            foreach (var reference in check.References().Distinct())
            {
                Visit(reference);
            }
            path.RemoveAt(path.Count - 1);
            done.Add(name);
        }
    }

    private FrozenDictionary<string, Compiled> Compile()
    {
        var compiled = new Dictionary<string, PolicyPredicate>(StringComparer.Ordinal);
        return checks.Keys.ToFrozenDictionary(
            static name => name,
            name => new Compiled(One(name), Defaults.TryGetValue(name, out var rule) ? rule.Scopes : PolicyScope.None),
            StringComparer.Ordinal);

        PolicyPredicate One(string name)
        {
            if (!checks.ContainsKey(name))
            {
                name = DefaultRule;
            }
            if (!compiled.TryGetValue(name, out var predicate))
            {
                predicate = checks[name].Compile(One);
                compiled[name] = predicate;
            }
            return predicate;
        }
    }
}
