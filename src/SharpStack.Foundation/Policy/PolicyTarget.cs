namespace SharpStack.Foundation.Policy;

/// <summary>
/// The object that a request touches, by dotted key (<c>project_id</c>, <c>target.user.domain_id</c>).
/// Values are as Python prints them: <c>True</c>, <c>False</c>, and null stands for <c>None</c>.
/// </summary>
public abstract class PolicyTarget
{
    /// <summary>A request that touches no particular object.</summary>
    public static PolicyTarget Empty { get; } = new PairsTarget([]);

    /// <summary>False when the key is unknown: a check that needs it then fails.</summary>
    public abstract bool TryGet(string key, out string? value);

    /// <summary>A target of a few values: <c>PolicyTarget.Of(("project_id", id))</c>.</summary>
    public static PolicyTarget Of(params ReadOnlySpan<(string Key, string? Value)> values) => new PairsTarget(values.ToArray());

    public static PolicyTarget Of(IReadOnlyDictionary<string, string?> values) => new DictionaryTarget(values);

    public static string Format(bool value) => value ? "True" : "False";

    // Targets have one to five keys: a scan is cheaper than building a dictionary for each request.
    private sealed class PairsTarget((string Key, string? Value)[] pairs) : PolicyTarget
    {
        public override bool TryGet(string key, out string? value)
        {
            foreach (var (name, candidate) in pairs)
            {
                if (string.Equals(name, key, StringComparison.Ordinal))
                {
                    value = candidate;
                    return true;
                }
            }
            value = null;
            return false;
        }
    }

    private sealed class DictionaryTarget(IReadOnlyDictionary<string, string?> values) : PolicyTarget
    {
        public override bool TryGet(string key, out string? value) => values.TryGetValue(key, out value);
    }
}
