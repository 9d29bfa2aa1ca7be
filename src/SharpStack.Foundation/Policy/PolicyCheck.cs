namespace SharpStack.Foundation.Policy;

internal delegate bool PolicyPredicate(PolicyCredentials credentials, PolicyTarget target);

/// <summary>One node of a parsed rule. Printing a node gives text that parses to the same node.</summary>
internal abstract class PolicyCheck
{
    public virtual IReadOnlyList<PolicyCheck> Children => [];

    public abstract PolicyPredicate Compile(Func<string, PolicyPredicate> rules);

    public abstract PolicyStep Explain(PolicyCredentials credentials, PolicyTarget target, Func<string, PolicyCheck?> rules);

    public abstract override string ToString();

    public IEnumerable<string> References() =>
        this is RuleCheck rule ? [rule.Name] : Children.SelectMany(static c => c.References());

    protected PolicyStep Leaf(bool passed, string detail) => new(ToString(), passed, detail, []);
}

internal sealed class ConstantCheck(bool value) : PolicyCheck
{
    public static readonly ConstantCheck Allow = new(true);
    public static readonly ConstantCheck Deny = new(false);

    public override PolicyPredicate Compile(Func<string, PolicyPredicate> rules) =>
        value ? static (_, _) => true : static (_, _) => false;

    public override PolicyStep Explain(PolicyCredentials credentials, PolicyTarget target, Func<string, PolicyCheck?> rules) =>
        Leaf(value, value ? "always allowed" : "never allowed");

    public override string ToString() => value ? "@" : "!";
}

internal sealed class NotCheck(PolicyCheck inner) : PolicyCheck
{
    public override IReadOnlyList<PolicyCheck> Children => [inner];

    public override PolicyPredicate Compile(Func<string, PolicyPredicate> rules)
    {
        var compiled = inner.Compile(rules);
        return (c, t) => !compiled(c, t);
    }

    public override PolicyStep Explain(PolicyCredentials credentials, PolicyTarget target, Func<string, PolicyCheck?> rules)
    {
        var step = inner.Explain(credentials, target, rules);
        return new(ToString(), !step.Passed, step.Passed ? $"{step.Check} passes" : "", [step]);
    }

    public override string ToString() => $"not {inner}";
}

internal sealed class AllCheck(IReadOnlyList<PolicyCheck> checks) : PolicyCheck
{
    public override IReadOnlyList<PolicyCheck> Children => checks;

    public override PolicyPredicate Compile(Func<string, PolicyPredicate> rules)
    {
        var compiled = checks.Select(c => c.Compile(rules)).ToArray();
        return (c, t) =>
        {
            foreach (var check in compiled)
            {
                if (!check(c, t))
                {
                    return false;
                }
            }
            return true;
        };
    }

    public override PolicyStep Explain(PolicyCredentials credentials, PolicyTarget target, Func<string, PolicyCheck?> rules)
    {
        var steps = checks.Select(c => c.Explain(credentials, target, rules)).ToArray();
        return new(ToString(), Array.TrueForAll(steps, static s => s.Passed), "", steps);
    }

    public override string ToString() => $"({string.Join(" and ", checks)})";
}

internal sealed class AnyCheck(IReadOnlyList<PolicyCheck> checks) : PolicyCheck
{
    public override IReadOnlyList<PolicyCheck> Children => checks;

    public override PolicyPredicate Compile(Func<string, PolicyPredicate> rules)
    {
        var compiled = checks.Select(c => c.Compile(rules)).ToArray();
        return (c, t) =>
        {
            foreach (var check in compiled)
            {
                if (check(c, t))
                {
                    return true;
                }
            }
            return false;
        };
    }

    public override PolicyStep Explain(PolicyCredentials credentials, PolicyTarget target, Func<string, PolicyCheck?> rules)
    {
        var steps = checks.Select(c => c.Explain(credentials, target, rules)).ToArray();
        return new(ToString(), Array.Exists(steps, static s => s.Passed), "", steps);
    }

    public override string ToString() => $"({string.Join(" or ", checks)})";
}

/// <summary><c>rule:name</c>: what another rule says.</summary>
internal sealed class RuleCheck(string name) : PolicyCheck
{
    public string Name => name;

    public override PolicyPredicate Compile(Func<string, PolicyPredicate> rules) => rules(name);

    public override PolicyStep Explain(PolicyCredentials credentials, PolicyTarget target, Func<string, PolicyCheck?> rules)
    {
        if (rules(name) is not { } rule)
        {
            return Leaf(false, "no such rule");
        }
        var step = rule.Explain(credentials, target, rules);
        return new(ToString(), step.Passed, "", [step]);
    }

    public override string ToString() => $"rule:{name}";
}

/// <summary><c>role:name</c>, in any case.</summary>
internal sealed class RoleCheck(PolicyTemplate role) : PolicyCheck
{
    public override PolicyPredicate Compile(Func<string, PolicyPredicate> rules) => Holds;

    public override PolicyStep Explain(PolicyCredentials credentials, PolicyTarget target, Func<string, PolicyCheck?> rules)
    {
        var rendered = role.Render(target, out var missing);
        return Leaf(
            Holds(credentials, target),
            rendered is null ? $"the target has no {missing}" : $"the token's roles: {Names(credentials.Roles)}");
    }

    public override string ToString() => $"role:{role.Source}";

    internal static string Names(IReadOnlyList<string> names) => names.Count == 0 ? "none" : string.Join(", ", names);

    private bool Holds(PolicyCredentials credentials, PolicyTarget target)
    {
        var roles = credentials.Roles;
        for (var i = 0; i < roles.Count; i++)
        {
            if (role.Matches(roles[i], target, StringComparison.OrdinalIgnoreCase))
            {
                return true;
            }
        }
        return false;
    }
}

/// <summary><c>'literal':%(key)s</c>, <c>True:%(key)s</c>, <c>None:%(key)s</c>: a constant against the target.</summary>
internal sealed class LiteralCheck(string kind, string literal, PolicyTemplate match) : PolicyCheck
{
    public override PolicyPredicate Compile(Func<string, PolicyPredicate> rules) =>
        (_, t) => match.Matches(literal, t, StringComparison.Ordinal);

    public override PolicyStep Explain(PolicyCredentials credentials, PolicyTarget target, Func<string, PolicyCheck?> rules)
    {
        var rendered = match.Render(target, out var missing);
        return Leaf(
            match.Matches(literal, target, StringComparison.Ordinal),
            rendered is null ? $"the target has no {missing}" : $"the target has '{rendered}'");
    }

    public override string ToString() => $"{kind}:{match.Source}";
}

/// <summary>
/// <c>user_id:%(target.user.id)s</c>: a value of the credentials against the target.
/// A value that the token lacks equals nothing that the target brings, not even a None: two things nobody owns have no common owner.
/// </summary>
internal sealed class CredentialCheck : PolicyCheck
{
    private readonly string name;
    private readonly PolicyTemplate match;
    private readonly Func<PolicyCredentials, string?>? single;
    private readonly Func<PolicyCredentials, IReadOnlyList<string>>? many;
    private readonly bool constant;

    public CredentialCheck(string name, PolicyTemplate match)
    {
        this.name = name;
        this.match = match;
        constant = match.IsConstant;
        (single, many) = PolicyCredentials.Accessor(name);
    }

    public override PolicyPredicate Compile(Func<string, PolicyPredicate> rules) => single is not null ? EqualsSingle : EqualsAny;

    public override PolicyStep Explain(PolicyCredentials credentials, PolicyTarget target, Func<string, PolicyCheck?> rules)
    {
        var rendered = match.Render(target, out var missing);
        var own = single is not null ? single(credentials) ?? "None" : RoleCheck.Names(many!(credentials));
        return Leaf(
            single is not null ? EqualsSingle(credentials, target) : EqualsAny(credentials, target),
            rendered is null ? $"the target has no {missing}" : $"the token has '{own}', the target '{rendered}'");
    }

    public override string ToString() => $"{name}:{match.Source}";

    private bool EqualsSingle(PolicyCredentials credentials, PolicyTarget target)
    {
        var value = single!(credentials);
        return (value is not null || constant) && match.Matches(value ?? "None", target, StringComparison.Ordinal);
    }

    private bool EqualsAny(PolicyCredentials credentials, PolicyTarget target)
    {
        var values = many!(credentials);
        for (var i = 0; i < values.Count; i++)
        {
            if (match.Matches(values[i], target, StringComparison.Ordinal))
            {
                return true;
            }
        }
        return false;
    }
}

/// <summary>Neutron's <c>field:networks:shared=True</c>: a field of the target against a constant.</summary>
internal sealed class FieldCheck(string resource, string field, string value) : PolicyCheck
{
    public override PolicyPredicate Compile(Func<string, PolicyPredicate> rules) => (_, t) => Holds(t);

    public override PolicyStep Explain(PolicyCredentials credentials, PolicyTarget target, Func<string, PolicyCheck?> rules) =>
        Leaf(Holds(target), target.TryGet(field, out var found) ? $"the target has '{found ?? "None"}'" : $"the target has no {field}");

    public override string ToString() => $"field:{resource}:{field}={value}";

    private bool Holds(PolicyTarget target) =>
        target.TryGet(field, out var found)
        && (value.StartsWith('~')
            ? found is not null && found.StartsWith(value.AsSpan(1).TrimStart('^'), StringComparison.Ordinal)
            : string.Equals(found ?? "None", value, StringComparison.Ordinal));
}
