using System.Text.Json.Nodes;

namespace SharpStack.Neutron.PlacementReports;

/// <summary><c>allocation</c> in a port's <c>binding:profile</c>: the provider (UUID) that Nova claimed for each group of the port's resource request.</summary>
internal static class PortAllocation
{
    private const string Member = "allocation";

    /// <param name="profile">JSON text.</param>
    /// <returns>None where the port was given nothing.</returns>
    public static IReadOnlyDictionary<string, string> Read(string profile) =>
        profile.Contains(Member, StringComparison.Ordinal) && (JsonNode.Parse(profile) as JsonObject)?[Member] is JsonObject allocation
            ? allocation.Where(pair => pair.Value is JsonValue).ToDictionary(pair => pair.Key, pair => pair.Value!.ToString()) : new Dictionary<string, string>();
}
