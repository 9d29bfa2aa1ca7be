using System.Text;
using System.Text.RegularExpressions;

namespace SharpStack.Foundation.Identity;

/// <summary>
/// A request that the holder of an application credential may make. In the path, <c>*</c> and <c>{name}</c> stand for one segment and <c>**</c> for any
/// number, as keystonemiddleware reads them.
/// </summary>
/// <param name="Service">The type of the service, such as <c>compute</c>.</param>
public sealed partial record AccessRule(string Id, string Service, string Method, string Path)
{
    private Regex? pattern;

    public bool Allows(string service, string method, string path) =>
        string.Equals(service, Service, StringComparison.Ordinal)
        && string.Equals(method, Method, StringComparison.Ordinal)
        && (pattern ??= Compile(Path)).IsMatch(path);

    /// <summary>Whether a request is among those that the rules allow.</summary>
    /// <param name="rules">Null for a token that is not bound to rules.</param>
    public static bool Allow(IReadOnlyList<AccessRule>? rules, string service, string method, string path) =>
        rules is null
        // What a token may do can always be asked for with itself.
        || (service == "identity" && method == "GET" && path.EndsWith("/v3/auth/tokens", StringComparison.Ordinal))
        || rules.Any(rule => rule.Allows(service, method, path));

    private static Regex Compile(string path)
    {
        var text = new StringBuilder("^");
        foreach (Match part in Parts().Matches(path))
        {
            text.Append(part.Value switch
            {
                "**" => ".*",
                "*" or ['{', ..] => "[^/]+",
                var literal => Regex.Escape(literal),
            });
        }

        // Without backtracking: a user wrote the pattern, and whoever has the credential writes the path.
        return new Regex(text.Append("\\z").ToString(), RegexOptions.NonBacktracking | RegexOptions.CultureInvariant);
    }

    [GeneratedRegex(@"\{[^}]*\}|\*\*|\*|[^{*]+|\{")]
    private static partial Regex Parts();
}
