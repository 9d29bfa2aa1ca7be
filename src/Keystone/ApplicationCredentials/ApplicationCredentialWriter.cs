using System.Text.Json;
using SharpStack.Foundation.Identity;

namespace SharpStack.Keystone.ApplicationCredentials;

internal static class ApplicationCredentialWriter
{
    public static void WriteRules(Utf8JsonWriter json, IEnumerable<AccessRule> rules)
    {
        json.WriteStartArray();
        foreach (var rule in rules)
        {
            json.WriteStartObject();
            WriteRule(json, rule);
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }

    public static void WriteRule(Utf8JsonWriter json, AccessRule rule)
    {
        json.WriteString("path", rule.Path);
        json.WriteString("id", rule.Id);
        json.WriteString("service", rule.Service);
        json.WriteString("method", rule.Method);
    }
}
