namespace SharpStack.Nova.Scheduling;

/// <summary>Says why Placement has no candidate at all, and which host came nearest.</summary>
internal static class Shortage
{
    private const int Looked = 1000;

    public static async Task<string> ExplainAsync(ResourceRequest request, CandidateClient candidates, IHostStates hosts, CancellationToken cancellationToken)
    {
        const string none = "No valid host was found.";
        if (request.HasAggregates && await candidates.FindAsync(request.Query(Looked, withAggregates: false), cancellationToken) is { Count: > 0 } elsewhere)
        {
            return $"{none} {Hosts(elsewhere.Count)} with room for {request}, but none in the aggregates that the availability zone or the project is kept to.";
        }

        if (request.RequiredTraits.Count > 0)
        {
            var without = await candidates.FindAsync(request.Query(Looked, withTraits: false), cancellationToken);
            if (without.Count > 0)
            {
                return $"{none} {Hosts(without.Count)} with room for {request}, but none with the required traits {string.Join(", ", request.RequiredTraits)}.";
            }
        }

        var wanted = request.Totals;
        var near = await FindPartialAsync(wanted, candidates, cancellationToken);
        if (near.Count == 0)
        {
            var disabled = await FindPartialAsync(wanted, candidates, cancellationToken, enabledOnly: false);
            return disabled.Count > 0
                ? $"{none} ComputeFilter removed {disabled.Count} (service disabled): enable one with `openstack compute service set --enable`."
                : $"{none} No host has any of {request} left: is a compute service running? See `openstack compute service list`.";
        }

        // The one that lacks the smallest part of what is asked for.
        var nearest = near.MinBy(candidate => wanted.Sum(want => Lack(candidate, want) / (double)want.Value))!;
        var name = await hosts.ListAsync([nearest.RootId], cancellationToken) is [var known, ..] ? known.Host : nearest.RootId;
        var lacks = wanted.Where(want => Lack(nearest, want) > 0)
            .Select(want => $"{want.Key} {Lack(nearest, want)} (has {Math.Max(0, nearest.Capacities.GetValueOrDefault(want.Key).Free)} of {nearest.Capacities.GetValueOrDefault(want.Key).Total} free)")
            .ToList();
        if (lacks.Count > 0)
        {
            return $"{none} {Hosts(near.Count)}, none with room for {request}; nearest: host {name} lacks {string.Join(", ", lacks)}.";
        }

        var units = await candidates.UnitsAsync(nearest.RootId, cancellationToken);
        var limits = wanted.Where(want => units.ContainsKey(want.Key)).Select(want => (want.Key, want.Value, Unit: units[want.Key]))
            .Where(want => want.Value > want.Unit.MaxUnit || want.Value < want.Unit.MinUnit || want.Value % want.Unit.StepSize != 0)
            .Select(want => $"{want.Key} from {want.Unit.MinUnit} to {want.Unit.MaxUnit} in steps of {want.Unit.StepSize}")
            .ToList();
        return limits.Count > 0
            ? $"{none} {Hosts(near.Count)}, none that gives one instance {request}; nearest: host {name} gives {string.Join(", ", limits)}."
            : $"{none} {Hosts(near.Count)}, none with {request} in one place; nearest: host {name}.";
    }

    private static long Lack(HostCandidate candidate, KeyValuePair<string, int> want) => Math.Max(0, want.Value - candidate.Capacities.GetValueOrDefault(want.Key).Free);

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
