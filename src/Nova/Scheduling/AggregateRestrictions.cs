using SharpStack.Foundation.Configuration;

namespace SharpStack.Nova.Scheduling;

/// <summary>What host aggregates say about a request before Placement is asked: so that a zone of ten hosts among thousands is not looked for among all.</summary>
internal sealed class AggregateRestrictions(IHostStates hosts, ServiceConfig config)
{
    private readonly bool byZone = config.Get(SchedulerOptions.ZoneByPlacement);
    private readonly bool byTenant = config.Get(SchedulerOptions.LimitTenants);
    private readonly bool tenantsNeedOne = config.Get(SchedulerOptions.TenantsNeedAggregate);
    private readonly bool isolated = config.Get(SchedulerOptions.IsolatedAggregates);

    /// <exception cref="NoValidHostException">The project has no hosts.</exception>
    public async Task ApplyAsync(RequestSpec spec, ResourceRequest request, CancellationToken cancellationToken)
    {
        if (!byTenant && !isolated && !(byZone && spec.AvailabilityZone is not null))
        {
            return;
        }

        var aggregates = await hosts.AggregatesAsync(cancellationToken);
        if (byZone && spec.AvailabilityZone is { } zone)
        {
            // A zone without an aggregate is the default one, of all hosts that are in no other: the filter tells those.
            Require(aggregates.Where(aggregate => aggregate.Metadata.GetValueOrDefault("availability_zone") == zone));
        }

        if (byTenant)
        {
            var own = aggregates.Where(aggregate => aggregate.Metadata.Any(item => item.Value == spec.ProjectId && item.Key.StartsWith("filter_tenant_id", StringComparison.Ordinal))).ToList();
            if (own.Count == 0 && tenantsNeedOne)
            {
                throw new NoValidHostException($"No valid host was found. No hosts available for tenant: no aggregate names project {spec.ProjectId} in filter_tenant_id.");
            }

            Require(own);
        }

        if (isolated)
        {
            var asked = request.RequiredTraits.Select(trait => "trait:" + trait).ToHashSet();
            request.ForbiddenAggregates = [.. aggregates
                .Where(aggregate => aggregate.Metadata.Any(item => item.Value == "required" && item.Key.StartsWith("trait:", StringComparison.Ordinal) && !asked.Contains(item.Key)))
                .Select(aggregate => aggregate.Id)];
        }

        void Require(IEnumerable<(string Id, IReadOnlyDictionary<string, string> Metadata)> matching)
        {
            var ids = matching.Select(aggregate => aggregate.Id).ToList();
            if (ids.Count > 0)
            {
                request.RequiredAggregates.Add(ids);
            }
        }
    }
}
