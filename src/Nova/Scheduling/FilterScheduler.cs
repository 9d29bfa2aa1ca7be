using SharpStack.Foundation;
using SharpStack.Foundation.Configuration;
using SharpStack.Nova.Scheduling.Filters;
using SharpStack.Nova.Scheduling.Weighers;

namespace SharpStack.Nova.Scheduling;

/// <summary>OpenStack's filter scheduler: candidates from Placement, then filters, then weights.</summary>
internal sealed class FilterScheduler : IScheduler
{
    private readonly CandidateClient candidates;
    private readonly IHostStates hosts;
    private readonly AggregateRestrictions restrictions;
    private readonly HostChoices choices;
    private readonly IHostFilter[] filters;
    private readonly IHostWeigher[] weighers;
    private readonly int limit;
    private readonly int attempts;
    private readonly int subset;
    private readonly bool shuffle;

    public FilterScheduler(CandidateClient candidates, IHostStates hosts, AggregateRestrictions restrictions, HostChoices choices, IEnumerable<IHostFilter> filters, IEnumerable<IHostWeigher> weighers, ServiceConfig config)
    {
        this.candidates = candidates;
        this.hosts = hosts;
        this.restrictions = restrictions;
        this.choices = choices;
        this.filters = Enabled(filters, config.Get(SchedulerOptions.EnabledFilters));
        this.weighers = Enabled(weighers, config.Get(SchedulerOptions.WeightClasses));
        limit = config.Get(SchedulerOptions.MaxPlacementResults);
        attempts = config.Get(SchedulerOptions.MaxAttempts);
        subset = config.Get(SchedulerOptions.HostSubsetSize);
        shuffle = config.Get(SchedulerOptions.ShuffleSameWeight);
    }

    public async Task<SchedulerChoice> SelectDestinationAsync(RequestSpec spec, CancellationToken cancellationToken)
    {
        var request = ResourceRequest.Of(spec);
        await restrictions.ApplyAsync(spec, request, cancellationToken);
        var open = await choices.ReadAsync(cancellationToken);
        // The one host asked for must not fall behind the limit.
        var proposed = await ProposeAsync(request, spec, spec.ForcedHost is null && spec.ForcedNode is null ? limit : null, cancellationToken);
        if (proposed.Count == 0)
        {
            throw new NoValidHostException(await Shortage.ExplainAsync(request, candidates, hosts, cancellationToken));
        }

        var states = await StatesAsync(proposed, cancellationToken);
        var ranked = Rank(states, open, spec);
        return await choices.WriteAsync(
            open,
            now =>
            {
                var best = ReferenceEquals(now, open) ? ranked : Rank(states, now, spec);
                var chosen = best.Take(attempts).Select(host => new Destination(host.State.Host, host.State.Node, host.State.ComputeNodeId, host.Candidate.Allocations) { Mappings = host.Candidate.Mappings }).ToList();
                return (new SchedulerChoice(chosen[0], chosen[1..]), ChoiceOf(spec, best[0]));
            },
            cancellationToken);
    }

    private static IHostFilter[] Enabled(IEnumerable<IHostFilter> all, IReadOnlyList<string> names)
    {
        var known = all.ToDictionary(filter => filter.Name);
        return [.. names.Select(name => known.GetValueOrDefault(name)
            ?? throw new FormatException($"nova: [filter_scheduler] enabled_filters: there is no filter {name}; there are {string.Join(", ", known.Keys.Order(StringComparer.Ordinal))}."))];
    }

    /// <summary>Weighers by class name, whatever the path before it; <c>all_weighers</c> is all of them.</summary>
    private static IHostWeigher[] Enabled(IEnumerable<IHostWeigher> all, IReadOnlyList<string> classes)
    {
        var names = classes.Select(path => path[(path.LastIndexOf('.') + 1)..]).ToHashSet();
        return [.. all.Where(weigher => names.Contains("all_weighers") || names.Contains(weigher.Name))];
    }

    private async Task<IReadOnlyList<HostCandidate>> ProposeAsync(ResourceRequest request, RequestSpec spec, int? most, CancellationToken cancellationToken)
    {
        try
        {
            return await candidates.FindAsync(request.Query(most), cancellationToken);
        }
        catch (CloudException failure) when (failure.Kind == ErrorKind.BadRequest)
        {
            // A physical network's trait is there once an agent guarantees something on it.
            throw new NoValidHostException(spec.Ports.SelectMany(port => port.Groups).SelectMany(group => group.Required).FirstOrDefault(trait => failure.Message.Contains(trait, StringComparison.Ordinal)) is { } unknown
                ? $"No valid host was found. No host guarantees anything with {unknown}, which a port asks for. {Shortage.SeeAgents}"
                : $"No valid host was found. Placement does not understand the flavor's extra specs: {failure.Message.Trim()}");
        }
    }

    private async Task<List<Host>> StatesAsync(IReadOnlyList<HostCandidate> proposed, CancellationToken cancellationToken)
    {
        var states = (await hosts.ListAsync([.. proposed.Select(candidate => candidate.RootId)], cancellationToken)).ToDictionary(state => state.ComputeNodeId);
        var known = new List<Host>(proposed.Count);
        foreach (var candidate in proposed)
        {
            if (states.TryGetValue(candidate.RootId, out var state))
            {
                known.Add(new Host(candidate, WithClaims(state, candidate.Capacities)));
            }
        }

        return known;
    }

    private static HostState WithClaims(HostState state, IReadOnlyDictionary<string, Capacity> capacities) => state with
    {
        VcpusUsed = (int)(capacities.GetValueOrDefault("VCPU").Used + capacities.GetValueOrDefault("PCPU").Used),
        MemoryMbUsed = (int)capacities.GetValueOrDefault("MEMORY_MB").Used,
        LocalGbUsed = (int)capacities.GetValueOrDefault("DISK_GB").Used,
    };

    /// <summary>The hosts that pass, best first.</summary>
    /// <exception cref="NoValidHostException">None passes.</exception>
    private List<Host> Rank(List<Host> states, OpenChoices open, RequestSpec spec)
    {
        var expected = Expect(states, open, spec);
        var passed = Filter(expected, Follow(spec, states, open), out var removed);
        if (passed.Count == 0 && !ReferenceEquals(expected, states))
        {
            // What is only on its way may yet go elsewhere: nobody is refused for it.
            passed = Filter(states, spec, out removed);
        }

        return passed.Count == 0 ? throw new NoValidHostException($"No valid host was found. {Report(states.Count, removed)}") : Weigh(passed, spec);
    }

    /// <summary>Members of an affinity group of which none has a host yet go where the first of them is on its way to.</summary>
    private static RequestSpec Follow(RequestSpec spec, List<Host> states, OpenChoices open) =>
        spec.Group is { Policy: "affinity", Hosts.Count: 0 } group && open.Recent.FirstOrDefault(choice => group.MemberIds.Contains(choice.InstanceId)) is { } first
            ? spec with { Group = group with { Hosts = [.. states.Where(host => host.State.ComputeNodeId == first.ComputeNodeId).Select(host => host.State.Host)] } }
            : spec;

    /// <summary>The hosts as they will be when what was chosen for others is there.</summary>
    private static List<Host> Expect(List<Host> states, OpenChoices open, RequestSpec spec)
    {
        var coming = open.Recent.Where(choice => choice.InstanceId != spec.InstanceId).ToLookup(choice => choice.ComputeNodeId);
        return coming.Count == 0 ? states : states.ConvertAll(host =>
        {
            // From the oldest on that Placement may not know yet; what came before it does.
            var choices = coming[host.State.ComputeNodeId].SkipWhile(choice => !open.Unsettled.Contains(choice.InstanceId)).ToList();
            if (choices.Count == 0)
            {
                return host;
            }

            var state = host.State;
            var unsettled = choices.Where(choice => open.Unsettled.Contains(choice.InstanceId)).ToList();
            var arriving = unsettled.Select(choice => choice.InstanceId).Where(id => !state.InstanceIds.Contains(id)).ToList();
            return host with
            {
                State = state with
                {
                    VcpusUsed = Amount(state.VcpusUsed, choice => choice.VcpusBefore, choice => choice.Vcpus),
                    MemoryMbUsed = Amount(state.MemoryMbUsed, choice => choice.MemoryMbBefore, choice => choice.MemoryMb),
                    LocalGbUsed = Amount(state.LocalGbUsed, choice => choice.LocalGbBefore, choice => choice.LocalGb),
                    InstanceCount = state.InstanceCount + arriving.Count,
                    BusyInstanceCount = state.BusyInstanceCount + arriving.Count,
                    InstanceIds = [.. state.InstanceIds, .. arriving],
                },
            };

            // Placement's amount has some of the unsettled ones and does not say which; what was there before the oldest of them, and all since, says how much it will be.
            int Amount(int claimed, Func<HostChoiceRow, long> before, Func<HostChoiceRow, long> asked) =>
                (int)Math.Clamp(before(choices[0]) + choices.Sum(asked), claimed, claimed + unsettled.Sum(asked));
        });
    }

    private static HostChoiceRow ChoiceOf(RequestSpec spec, Host host)
    {
        return new HostChoiceRow
        {
            InstanceId = spec.InstanceId,
            ComputeNodeId = host.State.ComputeNodeId,
            Vcpus = Asked("VCPU") + Asked("PCPU"),
            MemoryMb = Asked("MEMORY_MB"),
            LocalGb = Asked("DISK_GB"),
            VcpusBefore = host.State.VcpusUsed,
            MemoryMbBefore = host.State.MemoryMbUsed,
            LocalGbBefore = host.State.LocalGbUsed,
        };

        // A disk that several hosts share is not this one's.
        long Asked(string resource) => host.Candidate.Capacities.ContainsKey(resource) ? host.Candidate.Allocations.Values.Sum(amounts => amounts.GetValueOrDefault(resource)) : 0;
    }

    private List<Host> Filter(List<Host> all, RequestSpec spec, out List<Removal> removed)
    {
        removed = [];
        var left = all;
        Apply("host asked for", host => spec.ForcedHost is not null && host.Host != spec.ForcedHost ? $"not {spec.ForcedHost}" : null, removed);
        Apply("hypervisor asked for", host => spec.ForcedNode is not null && host.Node != spec.ForcedNode ? $"not {spec.ForcedNode}" : null, removed);
        Apply("retry", host => spec.IgnoredHosts.Contains(host.Host) ? "the instance failed there before" : null, removed);
        foreach (var filter in spec.IsForced ? filters.Where(filter => filter is ComputeFilter or AvailabilityZoneFilter) : filters)
        {
            Apply(filter.Name, host => filter.Refuse(host, spec), removed);
        }

        return left;

        void Apply(string step, Func<HostState, string?> refuse, List<Removal> log)
        {
            var passed = new List<Host>(left.Count);
            foreach (var host in left)
            {
                if (refuse(host.State) is { } reason)
                {
                    log.Add(new Removal(step, reason, host.State.Host));
                }
                else
                {
                    passed.Add(host);
                }
            }

            left = passed;
        }
    }

    /// <summary>How many hosts each step removed, why and which; the last host to go came nearest.</summary>
    private static string Report(int count, List<Removal> removed)
    {
        if (count == 0)
        {
            return "Placement proposes hosts that Nova does not know: their services have not reported yet, or were removed.";
        }

        var steps = removed.GroupBy(removal => removal.Step).Select(step =>
            $"{step.Key} removed {step.Count()} ({string.Join("; ", step.GroupBy(removal => removal.Reason).Select(reason => $"{reason.Key}: {Shown([.. reason.Select(removal => removal.Host)])}"))})");
        var nearest = removed[^1];
        return $"{count} host{(count == 1 ? "" : "s")} had room: {string.Join(", ", steps)}; nearest: host {nearest.Host} ({nearest.Reason}).";
    }

    private static string Shown(List<string> names) =>
        names.Count <= 5 ? string.Join(", ", names) : $"{string.Join(", ", names.Take(5))} and {names.Count - 5} more";

    private List<Host> Weigh(List<Host> passed, RequestSpec spec)
    {
        var weights = new double[passed.Count];
        foreach (var weigher in weighers)
        {
            var raw = passed.ConvertAll(host => weigher.Weigh(host.State, spec));
            var (lowest, highest) = (raw.Min(), raw.Max());
            if (highest > lowest)
            {
                for (var i = 0; i < weights.Length; i++)
                {
                    weights[i] += weigher.MultiplierOf(passed[i].State) * (raw[i] - lowest) / (highest - lowest);
                }
            }
        }

        var order = Enumerable.Range(0, passed.Count).OrderByDescending(i => weights[i]).ToArray();
        var same = shuffle ? order.TakeWhile(i => weights[i] == weights[order[0]]).Count() : 1;
        var choice = Random.Shared.Next(Math.Min(order.Length, Math.Max(same, subset)));
        return [passed[order[choice]], .. order.Where((_, place) => place != choice).Select(i => passed[i])];
    }

    private sealed record Host(HostCandidate Candidate, HostState State);

    private readonly record struct Removal(string Step, string Reason, string Host);
}
