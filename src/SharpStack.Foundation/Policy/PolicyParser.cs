namespace SharpStack.Foundation.Policy;

/// <summary>
/// Reads the policy language: <c>and</c>, <c>or</c>, <c>not</c> (which binds tightest), parentheses, <c>@</c>, <c>!</c> and checks <c>kind:match</c>,
/// separated by white space. Errors are <see cref="FormatException"/>.
/// </summary>
internal static class PolicyParser
{
    // Rules come from people's files: a depth that no one writes keeps the parser's own stack safe.
    private const int MaxDepth = 200;

    public static PolicyCheck Parse(string rule)
    {
        if (string.IsNullOrWhiteSpace(rule))
        {
            return ConstantCheck.Allow;
        }
        var reader = new Reader(Tokenize(rule));
        var check = reader.Or(0);
        if (reader.Next is { } rest)
        {
            throw new FormatException($"'{rest}' was not expected there: checks are joined by 'and' or 'or'");
        }
        return check;
    }

    /// <summary>The old form: an outer list joined by "or" of inner lists joined by "and"; a bare string is an inner list of one.</summary>
    public static PolicyCheck Parse(IReadOnlyList<IReadOnlyList<string>> rule)
    {
        if (rule.Count == 0)
        {
            return ConstantCheck.Allow;
        }
        var any = rule.Where(static inner => inner.Count > 0)
            .Select(static inner => inner.Count == 1 ? ParseCheck(inner[0]) : new AllCheck([.. inner.Select(ParseCheck)]))
            .ToArray();
        return any.Length switch
        {
            0 => ConstantCheck.Deny,
            1 => any[0],
            _ => new AnyCheck(any),
        };
    }

    private static List<string> Tokenize(string rule)
    {
        var tokens = new List<string>();
        foreach (var word in rule.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries))
        {
            // Parentheses inside a check are those of %(key)s, never at a word's ends.
            var token = word.TrimStart('(');
            tokens.AddRange(Enumerable.Repeat("(", word.Length - token.Length));
            var clean = token.TrimEnd(')');
            if (clean.Length > 0)
            {
                tokens.Add(clean);
            }
            tokens.AddRange(Enumerable.Repeat(")", token.Length - clean.Length));
        }
        return tokens;
    }

    private static PolicyCheck ParseCheck(string text)
    {
        switch (text)
        {
            case "@": return ConstantCheck.Allow;
            case "!": return ConstantCheck.Deny;
        }
        var colon = text.IndexOf(':', StringComparison.Ordinal);
        if (colon < 0)
        {
            throw new FormatException($"'{text}' is no check: write kind:match, such as role:member or rule:admin_required");
        }
        var (kind, match) = (text[..colon], text[(colon + 1)..]);
        switch (kind)
        {
            case "rule":
                return new RuleCheck(match);
            case "role":
                return new RoleCheck(PolicyTemplate.Parse(match));
            case "http" or "https":
                throw new FormatException($"'{text}' asks a remote server, which is not supported: express the rule with roles and targets");
            case "field":
                var separator = match.IndexOf(':', StringComparison.Ordinal);
                var equals = match.IndexOf('=', StringComparison.Ordinal);
                return separator >= 0 && equals > separator
                    ? new FieldCheck(match[..separator], match[(separator + 1)..equals], match[(equals + 1)..])
                    : throw new FormatException($"'{text}' is no field check: write field:resource:field=value");
        }
        var template = PolicyTemplate.Parse(match);
        return Literal(kind) is { } literal ? new LiteralCheck(kind, literal, template) : new CredentialCheck(kind, template);
    }

    private static string? Literal(string kind)
    {
        if (kind is "True" or "False" or "None")
        {
            return kind;
        }
        if (kind.Length >= 2 && kind[0] is '\'' or '"' && kind[^1] == kind[0])
        {
            return kind[1..^1];
        }
        return long.TryParse(kind, out var number) ? number.ToString() : null;
    }

    private sealed class Reader(List<string> tokens)
    {
        private int position;

        public string? Next => position < tokens.Count ? tokens[position] : null;

        public PolicyCheck Or(int depth)
        {
            List<PolicyCheck> checks = [And(depth)];
            while (Skip("or"))
            {
                checks.Add(And(depth));
            }
            return checks.Count == 1 ? checks[0] : new AnyCheck(checks);
        }

        private PolicyCheck And(int depth)
        {
            List<PolicyCheck> checks = [Unary(depth)];
            while (Skip("and"))
            {
                checks.Add(Unary(depth));
            }
            return checks.Count == 1 ? checks[0] : new AllCheck(checks);
        }

        private PolicyCheck Unary(int depth)
        {
            if (depth > MaxDepth)
            {
                throw new FormatException($"more than {MaxDepth} levels of parentheses and 'not'");
            }
            if (Skip("not"))
            {
                return new NotCheck(Unary(depth + 1));
            }
            if (Skip("("))
            {
                var inner = Or(depth + 1);
                return Skip(")") ? inner : throw new FormatException("a parenthesis is not closed");
            }
            var token = Next ?? throw new FormatException("the rule ends where a check is expected");
            if (token is ")" || IsWord(token, "and") || IsWord(token, "or"))
            {
                throw new FormatException($"'{token}' stands where a check is expected");
            }
            position++;
            return ParseCheck(token);
        }

        private bool Skip(string word)
        {
            if (Next is { } token && IsWord(token, word))
            {
                position++;
                return true;
            }
            return false;
        }

        private static bool IsWord(string token, string word) => string.Equals(token, word, StringComparison.OrdinalIgnoreCase);
    }
}
