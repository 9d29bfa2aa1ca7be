using System.Text.Json;
using SharpStack.Foundation;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Identity;

namespace SharpStack.Nova.Scheduling;

/// <summary>How much of a class a host has, as Placement counts it (with overcommitment).</summary>
internal readonly record struct Capacity(long Total, long Used)
{
    public long Free => Total - Used;
}

/// <summary>A host that Placement proposes.</summary>
/// <param name="RootId">UUID of the root provider, which is the compute node's.</param>
/// <param name="Allocations">Amounts by class, by provider; of the first proposal for this host.</param>
/// <param name="Mappings">Its providers by the suffix of the group that they are for.</param>
/// <param name="Capacities">Of all providers of the tree together.</param>
internal sealed record HostCandidate(
    string RootId, IReadOnlyDictionary<string, IReadOnlyDictionary<string, int>> Allocations, IReadOnlyDictionary<string, IReadOnlyList<string>> Mappings, IReadOnlyDictionary<string, Capacity> Capacities);

/// <summary>Asks Placement for candidates, with Nova's own credentials.</summary>
internal sealed class CandidateClient(ServiceClients clients, ServiceConfig config)
{
    private const string Version = "placement 1.36";

    private readonly ServiceClient placement = clients.For(config, "placement", "placement");

    /// <summary>The hosts proposed, in Placement's order, each once.</summary>
    public async Task<IReadOnlyList<HostCandidate>> FindAsync(string query, CancellationToken cancellationToken)
    {
        using var document = await placement.CallAsync(HttpMethod.Get, "/allocation_candidates" + query, null, Version, cancellationToken);
        var root = document!.RootElement;
        var roots = new Dictionary<string, string>();
        var capacities = new Dictionary<string, Dictionary<string, Capacity>>();
        foreach (var summary in root.GetProperty("provider_summaries").EnumerateObject())
        {
            var rootId = summary.Value.GetProperty("root_provider_uuid").GetString()!;
            roots[summary.Name] = rootId;
            if (!capacities.TryGetValue(rootId, out var byClass))
            {
                capacities[rootId] = byClass = [];
            }

            foreach (var resource in summary.Value.GetProperty("resources").EnumerateObject())
            {
                var sum = byClass.GetValueOrDefault(resource.Name);
                byClass[resource.Name] = new Capacity(
                    sum.Total + resource.Value.GetProperty("capacity").GetInt64(), sum.Used + resource.Value.GetProperty("used").GetInt64());
            }
        }

        var hosts = new Dictionary<string, HostCandidate>();
        foreach (var request in root.GetProperty("allocation_requests").EnumerateArray())
        {
            var allocations = request.GetProperty("allocations");
            foreach (var part in allocations.EnumerateObject())
            {
                // A sharing provider's own root is no host: the host states know none of that id.
                var rootId = roots[part.Name];
                if (!hosts.ContainsKey(rootId))
                {
                    hosts[rootId] = new HostCandidate(rootId, Read(allocations), ReadMappings(request.GetProperty("mappings")), capacities[rootId]);
                }
            }
        }

        return [.. hosts.Values];
    }

    /// <summary>The providers that one group of a request could be served by, with what they have.</summary>
    /// <param name="suffix">The group's.</param>
    public async Task<IReadOnlyList<(string RootId, IReadOnlyDictionary<string, Capacity> Capacities)>> FindProvidersAsync(string query, string suffix, CancellationToken cancellationToken)
    {
        using var document = await placement.CallAsync(HttpMethod.Get, "/allocation_candidates" + query, null, Version, cancellationToken);
        var root = document!.RootElement;
        var summaries = root.GetProperty("provider_summaries");
        return [.. root.GetProperty("allocation_requests").EnumerateArray()
            .Select(request => request.GetProperty("mappings").GetProperty(suffix)[0].GetString()!).Distinct()
            .Select(id => summaries.GetProperty(id))
            .Select(summary => (
                summary.GetProperty("root_provider_uuid").GetString()!,
                (IReadOnlyDictionary<string, Capacity>)summary.GetProperty("resources").EnumerateObject().ToDictionary(
                    resource => resource.Name, resource => new Capacity(resource.Value.GetProperty("capacity").GetInt64(), resource.Value.GetProperty("used").GetInt64()))))];
    }

    /// <summary>Limits on a single allocation, by class: what Placement's summaries do not tell.</summary>
    public async Task<IReadOnlyDictionary<string, (int MinUnit, int MaxUnit, int StepSize)>> UnitsAsync(string providerId, CancellationToken cancellationToken)
    {
        using var document = await placement.CallAsync(HttpMethod.Get, $"/resource_providers/{providerId}/inventories", null, Version, cancellationToken);
        return document!.RootElement.GetProperty("inventories").EnumerateObject().ToDictionary(
            inventory => inventory.Name,
            inventory => (inventory.Value.GetProperty("min_unit").GetInt32(), inventory.Value.GetProperty("max_unit").GetInt32(), inventory.Value.GetProperty("step_size").GetInt32()));
    }

    private static Dictionary<string, IReadOnlyList<string>> ReadMappings(JsonElement mappings) =>
        mappings.EnumerateObject().ToDictionary(group => group.Name, group => (IReadOnlyList<string>)[.. group.Value.EnumerateArray().Select(provider => provider.GetString()!)]);

    private static Dictionary<string, IReadOnlyDictionary<string, int>> Read(JsonElement allocations) =>
        allocations.EnumerateObject().ToDictionary(
            part => part.Name,
            part => (IReadOnlyDictionary<string, int>)part.Value.GetProperty("resources").EnumerateObject().ToDictionary(resource => resource.Name, resource => resource.Value.GetInt32()));
}
