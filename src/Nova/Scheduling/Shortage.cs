namespace SharpStack.Nova.Scheduling;

/// <summary>Says why Placement has no candidate at all, and which host came nearest.</summary>
internal static class Shortage
{
    public const string SeeAgents = "See [ovs] resource_provider_bandwidths of the Open vSwitch agents, and resources_synced in `openstack network agent show`.";

    private const string None = "No valid host was found.";
    private const int Looked = 1000;

    public static async Task<string> ExplainAsync(ResourceRequest request, CandidateClient candidates, IHostStates hosts, CancellationToken cancellationToken)
    {
        if (request.HasAggregates && await candidates.FindAsync(request.Query(Looked, withAggregates: false), cancellationToken) is { Count: > 0 } elsewhere)
        {
            return $"{None} {Hosts(elsewhere.Count)} with room for {request}, but none in the aggregates that the availability zone or the project is kept to.";
        }

        if (request.Ports.Count > 0 && await candidates.FindAsync(request.Query(Looked, withPorts: static _ => false), cancellationToken) is { Count: > 0 } roomy)
        {
            return await ExplainPortsAsync(request, roomy.Count, candidates, hosts, cancellationToken);
        }

        if (request.RequiredTraits.Count > 0)
        {
            var without = await candidates.FindAsync(request.Query(Looked, withTraits: false), cancellationToken);
            if (without.Count > 0)
            {
                return $"{None} {Hosts(without.Count)} with room for {request}, but none with the required traits {string.Join(", ", request.RequiredTraits)}.";
            }
        }

        var wanted = request.Totals;
        var near = await FindPartialAsync(wanted, candidates, cancellationToken);
        if (near.Count == 0)
        {
            var disabled = await FindPartialAsync(wanted, candidates, cancellationToken, enabledOnly: false);
            return disabled.Count > 0
                ? $"{None} ComputeFilter removed {disabled.Count} (service disabled): enable one with `openstack compute service set --enable`."
                : $"{None} No host has any of {request} left: is a compute service running? See `openstack compute service list`.";
        }

        // The one that lacks the smallest part of what is asked for.
        var nearest = near.MinBy(candidate => wanted.Sum(want => Lack(candidate.Capacities, want) / (double)want.Value))!;
        var name = await NameAsync(nearest.RootId, hosts, cancellationToken);
        var lacks = Lacks(nearest.Capacities, wanted);
        if (lacks.Length > 0)
        {
            return $"{None} {Hosts(near.Count)}, none with room for {request}; nearest: host {name} lacks {lacks}.";
        }

        var units = await candidates.UnitsAsync(nearest.RootId, cancellationToken);
        var limits = wanted.Where(want => units.ContainsKey(want.Key)).Select(want => (want.Key, want.Value, Unit: units[want.Key]))
            .Where(want => want.Value > want.Unit.MaxUnit || want.Value < want.Unit.MinUnit || want.Value % want.Unit.StepSize != 0)
            .Select(want => $"{want.Key} from {want.Unit.MinUnit} to {want.Unit.MaxUnit} in steps of {want.Unit.StepSize}")
            .ToList();
        return limits.Count > 0
            ? $"{None} {Hosts(near.Count)}, none that gives one instance {request}; nearest: host {name} gives {string.Join(", ", limits)}."
            : $"{None} {Hosts(near.Count)}, none with {request} in one place; nearest: host {name}.";
    }

    /// <summary>Hosts have room for the flavor, and none has what the ports ask for beside it.</summary>
    private static async Task<string> ExplainPortsAsync(ResourceRequest request, int roomy, CandidateClient candidates, IHostStates hosts, CancellationToken cancellationToken)
    {
        var there = $"{None} {Hosts(roomy)} with room for {ResourceRequest.Shown(request.OwnTotals)}";
        foreach (var group in request.Ports)
        {
            if ((await candidates.FindAsync(request.Query(1, withPorts: port => port == group), cancellationToken)).Count > 0)
            {
                continue;
            }

            var asked = $"{ResourceRequest.Shown(group.Resources)} with {string.Join(", ", group.Required)}";
            var some = new ResourceRequest();
            some.Add(group with { Resources = group.Resources.ToDictionary(pair => pair.Key, _ => 1) });
            var near = await candidates.FindProvidersAsync(some.Query(Looked), group.Id, cancellationToken);
            if (near.Count == 0)
            {
                return $"{there}, but none has any of {asked} left. {SeeAgents}";
            }

            var (rootId, capacities) = near.MinBy(provider => group.Resources.Sum(want => Lack(provider.Capacities, want) / (double)want.Value));
            return $"{there}, but none guarantees {asked}; nearest: host {await NameAsync(rootId, hosts, cancellationToken)} lacks {Lacks(capacities, group.Resources)}.";
        }

        return $"{there}, but none guarantees all at once that the ports ask for: {string.Join("; ", request.Ports.Select(group => ResourceRequest.Shown(group.Resources)))}.";
    }

    private static async Task<string> NameAsync(string rootId, IHostStates hosts, CancellationToken cancellationToken) =>
        await hosts.ListAsync([rootId], cancellationToken) is [var known, ..] ? known.Host : rootId;

    private static string Lacks(IReadOnlyDictionary<string, Capacity> capacities, IReadOnlyDictionary<string, int> wanted) => string.Join(
        ", ",
        wanted.Where(want => Lack(capacities, want) > 0).Select(want =>
            $"{want.Key} {Lack(capacities, want)} (has {Math.Max(0, capacities.GetValueOrDefault(want.Key).Free)} of {capacities.GetValueOrDefault(want.Key).Total} free)"));

    private static long Lack(IReadOnlyDictionary<string, Capacity> capacities, KeyValuePair<string, int> want) => Math.Max(0, want.Value - capacities.GetValueOrDefault(want.Key).Free);

    private static string Hosts(int count) => count == 1 ? "1 host" : $"{count} hosts";

    /// <summary>Hosts that have something left of at least one class.</summary>
    private static async Task<List<HostCandidate>> FindPartialAsync(
        IReadOnlyDictionary<string, int> wanted, CandidateClient candidates, CancellationToken cancellationToken, bool enabledOnly = true)
    {
        var trait = enabledOnly ? "&required=!COMPUTE_STATUS_DISABLED" : "";
        var found = new Dictionary<string, HostCandidate>();
        foreach (var resource in wanted.Keys)
        {
            foreach (var candidate in await candidates.FindAsync($"?resources={resource}:1{trait}&limit={Looked}", cancellationToken))
            {
                found.TryAdd(candidate.RootId, candidate);
            }
        }

        return [.. found.Values];
    }
}
