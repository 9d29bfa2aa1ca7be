using System.Globalization;
using System.Text;

namespace SharpStack.Keystone.Ldap;

/// <summary>Filters and distinguished names as text (RFC 4515, RFC 4514): what users send becomes a value in them, and never a part of their form.</summary>
internal static class LdapNames
{
    /// <summary>A value within a filter.</summary>
    public static string FilterValue(string value)
    {
        var text = new StringBuilder(value.Length);
        foreach (var character in value)
        {
            _ = character is '*' or '(' or ')' or '\\' or '\0' ? text.Append(CultureInfo.InvariantCulture, $"\\{(int)character:x2}") : text.Append(character);
        }
        return text.ToString();
    }

    /// <summary>The attribute and the value of a DN's first part: <c>cn</c> and <c>ada</c> of <c>cn=ada,ou=Users</c>. Null where the DN is none.</summary>
    public static (string Attribute, string Value)? First(string dn) => Parts(dn) is [[var first, ..], ..] ? first : null;

    /// <summary>A form in which equal DNs are equal texts.</summary>
    public static string Normal(string dn) => string.Join(
        ',',
        Parts(dn).Select(static part => string.Join(
            '+', part.Select(static one => $"{one.Attribute.ToLowerInvariant()}={Squeezed(one.Value)}").Order(StringComparer.Ordinal))));

    private static string Squeezed(string value) => string.Join(' ', value.ToLowerInvariant().Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));

    private static List<List<(string Attribute, string Value)>> Parts(string dn)
    {
        var parts = new List<List<(string, string)>>();
        var part = new List<(string, string)>();
        var attribute = new StringBuilder();
        var value = new List<byte>();
        var inValue = false;
        var quoted = false;
        var high = '\0';
        for (var i = 0; i < dn.Length; i++)
        {
            var c = dn[i];
            if (c == '\\' && i + 1 < dn.Length)
            {
                if (i + 2 < dn.Length && char.IsAsciiHexDigit(dn[i + 1]) && char.IsAsciiHexDigit(dn[i + 2]))
                {
                    value.Add(byte.Parse(dn.AsSpan(i + 1, 2), NumberStyles.HexNumber, CultureInfo.InvariantCulture));
                    i += 2;
                }
                else
                {
                    Add(dn[++i]);
                }
            }
            else if (c == '"' && inValue)
            {
                quoted = !quoted;
            }
            else if (!inValue && c == '=')
            {
                inValue = true;
            }
            else if (inValue && !quoted && c is (',' or ';' or '+'))
            {
                End(c != '+');
            }
            else if (inValue)
            {
                Add(c);
            }
            else
            {
                attribute.Append(c);
            }
        }
        if (inValue)
        {
            End(true);
        }
        return parts;

        void Add(char character)
        {
            if (char.IsHighSurrogate(character))
            {
                high = character;
                return;
            }
            value.AddRange(high == 0 ? Encoding.UTF8.GetBytes([character]) : Encoding.UTF8.GetBytes([high, character]));
            high = '\0';
        }

        void End(bool ofPart)
        {
            part.Add((attribute.ToString().Trim(), Encoding.UTF8.GetString([.. value]).Trim()));
            attribute.Clear();
            value.Clear();
            inValue = false;
            if (ofPart)
            {
                parts.Add(part);
                part = [];
            }
        }
    }
}
