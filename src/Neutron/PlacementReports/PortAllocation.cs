using System.Text.Json.Nodes;
using SharpStack.Neutron.Qos;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.PlacementReports;

/// <summary>What another policy makes of what a port was given.</summary>
/// <param name="Profile">The port's <c>binding:profile</c> as it is to be, JSON text.</param>
/// <param name="Difference">How much more of each class the server is to hold of each provider; less where it is negative.</param>
internal sealed record AllocationChange(string Profile, IReadOnlyDictionary<string, IReadOnlyDictionary<string, int>> Difference);

/// <summary><c>allocation</c> in a port's <c>binding:profile</c>: the provider (UUID) that Nova claimed for each group of the port's resource request.</summary>
internal static class PortAllocation
{
    private const string Member = "allocation";

    /// <param name="profile">JSON text.</param>
    /// <returns>None where the port was given nothing.</returns>
    public static IReadOnlyDictionary<string, string> Read(string profile) =>
        profile.Contains(Member, StringComparison.Ordinal) && (JsonNode.Parse(profile) as JsonObject)?[Member] is JsonObject allocation
            ? allocation.Where(pair => pair.Value is JsonValue).ToDictionary(pair => pair.Key, pair => pair.Value!.ToString()) : new Dictionary<string, string>();

    /// <summary>
    /// Goes over from the groups of one policy to those of another: each comes from the provider that the group of its kind came from. A kind that was not asked for before has no
    /// provider, as only the scheduler could choose one; nothing is guaranteed of it, as in OpenStack.
    /// </summary>
    /// <returns>Null for a port that was given nothing.</returns>
    public static AllocationChange? Follow(PortRow port, IReadOnlyList<RequestGroup> before, IReadOnlyList<RequestGroup> after)
    {
        var given = Read(port.Profile);
        if (given.Count == 0)
        {
            return null;
        }

        var left = new JsonObject();
        var difference = new Dictionary<string, Dictionary<string, int>>();
        foreach (var group in before)
        {
            if (!given.TryGetValue(group.Id, out var provider))
            {
                continue;
            }

            if (!difference.TryGetValue(provider, out var amounts))
            {
                difference[provider] = amounts = [];
            }

            Add(amounts, group, -1);
            if (after.FirstOrDefault(other => other.Kind == group.Kind) is { } next)
            {
                Add(amounts, next, 1);
                left[next.Id] = provider;
            }
        }

        var profile = (JsonObject)JsonNode.Parse(port.Profile)!;
        profile[Member] = left;
        return new AllocationChange(
            profile.ToJsonString(),
            difference.Select(pair => (pair.Key, Amounts: pair.Value.Where(amount => amount.Value != 0).ToDictionary())).Where(pair => pair.Amounts.Count > 0)
                .ToDictionary(pair => pair.Key, pair => (IReadOnlyDictionary<string, int>)pair.Amounts));
    }

    private static void Add(Dictionary<string, int> amounts, RequestGroup group, int sign)
    {
        foreach (var (resource, amount) in group.Resources)
        {
            amounts[resource] = amounts.GetValueOrDefault(resource) + (sign * amount);
        }
    }
}
