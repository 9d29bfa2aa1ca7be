namespace SharpStack.Foundation.Policy;

/// <summary>The token scopes that a rule accepts; <see cref="None"/> accepts every scope unchecked.</summary>
[Flags]
public enum PolicyScope
{
    None = 0,
    System = 1,
    Domain = 2,
    Project = 4,
    All = System | Domain | Project,
}

/// <summary>A policy default in code, under OpenStack's name for it.</summary>
/// <param name="Name">For example <c>identity:list_users</c>; rules that are only referred to have plain names.</param>
/// <param name="Check">The rule in the oslo.policy language; empty allows everyone.</param>
/// <param name="Scopes">Checked before the rule where scope is enforced.</param>
/// <param name="Deprecated">The rule's predecessor: still accepted beside the new check, or found under its old name in an override file.</param>
public sealed record PolicyRule(
    string Name,
    string Check,
    string Description = "",
    PolicyScope Scopes = PolicyScope.Project,
    DeprecatedRule? Deprecated = null);

/// <summary>What a rule was before: its former name (often the same) and its former check.</summary>
public sealed record DeprecatedRule(string Name, string Check, string Reason = "", string Since = "");

/// <summary>Policy text that cannot be used: every error of all rules and files at once.</summary>
public sealed class PolicyDefinitionException(IReadOnlyList<string> errors)
    : Exception("The policy cannot be used:" + string.Concat(errors.Select(static e => Environment.NewLine + "  " + e)))
{
    public IReadOnlyList<string> Errors { get; } = errors;
}
