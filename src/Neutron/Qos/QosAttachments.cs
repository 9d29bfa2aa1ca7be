using System.Linq.Expressions;
using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Neutron.Api;
using SharpStack.Neutron.Contracts;
using SharpStack.Neutron.FloatingIps;
using SharpStack.Neutron.Rbac;
using SharpStack.Neutron.Routers;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.Qos;

/// <summary>What follows which policy: ports, networks, floating IPs and the gateways of routers.</summary>
internal static class QosAttachments
{
    public const string Attribute = "qos_policy_id";

    /// <summary>The attribute of what can have a policy.</summary>
    public static ResourceAttribute<TRow, TView>[] AttributeOf<TRow, TView>(NeutronOptions options, Expression<Func<TRow, string?>> column, ResourceAttribute<TRow, TView>? ofNetwork = null)
        where TRow : ResourceRow
        where TView : class, IResourceView<TRow> =>
        !options.HasPlugin("qos") ? []
        : [Attributes<TRow, TView>.Text(Attribute, column, post: true, put: true, check: Checks.UuidOrNull), .. ofNetwork is null ? (ResourceAttribute<TRow, TView>[])[] : [ofNetwork]];

    /// <summary>The policy that something is to have after a request, which may say nothing of it.</summary>
    public static Task<string?> ReadAsync(Work work, Caller caller, Body body, string? current) =>
        body.Has(Attribute) ? ChangeAsync(work, caller, current, body.TextOrNull(Attribute)) : Task.FromResult(current);

    /// <summary>Whether a request has something follow another policy, one that the caller may see.</summary>
    public static async Task<bool> IsChangedAsync(DataConnection db, Caller caller, Body body, string? current, CancellationToken cancellationToken) =>
        body.Has(Attribute) && body.TextOrNull(Attribute) is var wanted && wanted != current
        && (wanted is null || await Sharing.VisibleTo(db.GetTable<QosPolicyRow>().Where(row => row.Id == wanted), db, caller).AnyAsync(cancellationToken));

    /// <summary>Refuses a policy that the caller may not see, and taking away one that it may not see.</summary>
    public static async Task<string?> ChangeAsync(Work work, Caller caller, string? current, string? wanted)
    {
        if (wanted == current)
        {
            return current;
        }

        var ids = new[] { current, wanted }.OfType<string>().ToList();
        var seen = await Sharing.VisibleTo(work.Db.GetTable<QosPolicyRow>().WhereIn(row => row.Id, ids), work.Db, caller).Select(row => row.Id).ToListAsync(work.Cancellation);
        return current is not null && !seen.Contains(current) ? throw QosErrors.MayNotRemove(current)
            : wanted is not null && !seen.Contains(wanted) ? throw QosErrors.PolicyNotFound(wanted)
            : wanted;
    }

    /// <summary>The policy that a project's new networks get; null for none.</summary>
    public static Task<string?> DefaultOfAsync(Work work, string projectId) =>
        work.Db.GetTable<QosPolicyRow>().Where(row => row.ProjectId == projectId && row.IsDefault).Select(row => (string?)row.Id).FirstOrDefaultAsync(work.Cancellation);

    /// <summary>Refuses a policy with rules that nothing would see to.</summary>
    public static async Task CheckPortAsync(Work work, PortRow port, NetworkRow network)
    {
        if (EffectiveOf(port, network) is { } id && await FirstUnsupportedAsync(work, id, network.Id) is { } type)
        {
            throw QosErrors.NotSupportedByPort(type, port.Id);
        }
    }

    public static async Task CheckNetworkAsync(Work work, NetworkRow network)
    {
        if (network.QosPolicyId is { } id && await FirstUnsupportedAsync(work, id, network.Id) is { } type)
        {
            throw QosErrors.NotSupportedByNetwork(type, network.Id);
        }
    }

    /// <summary>The policy that a port follows: its own, or its network's, which is not for the network's own services but for gateways of routers.</summary>
    public static string? EffectiveOf(PortRow port, NetworkRow network) =>
        port.QosPolicyId ?? (port.DeviceOwner == RouterPortOwners.Gateway || !port.DeviceOwner.StartsWith("network:", StringComparison.Ordinal) ? network.QosPolicyId : null);

    /// <summary>The ports that follow a policy; the same as <see cref="EffectiveOf"/>, in SQL.</summary>
    public static IQueryable<PortRow> PortsOf(DataConnection db, string policyId) =>
        db.GetTable<PortRow>().Where(port => port.QosPolicyId == policyId
            || (port.QosPolicyId == null && (port.DeviceOwner == RouterPortOwners.Gateway || !port.DeviceOwner.StartsWith("network:"))
                && db.GetTable<NetworkRow>().Any(network => network.Id == port.NetworkId && network.QosPolicyId == policyId)));

    /// <summary>The rules of policies, by policy.</summary>
    public static async Task<ILookup<string, QosRuleRow>> RulesAsync(DataConnection db, IEnumerable<string?> policyIds, CancellationToken cancellationToken)
    {
        var ids = policyIds.OfType<string>().Distinct().ToList();
        return (ids.Count == 0 ? [] : await db.GetTable<QosRuleRow>().WhereIn(row => row.PolicyId, ids).OrderBy(row => row.CreatedAt).ThenBy(row => row.Id).ToListAsync(cancellationToken))
            .ToLookup(row => row.PolicyId);
    }

    /// <summary>Limits as agents take them.</summary>
    public static IReadOnlyList<BandwidthLimit> LimitsOf(IEnumerable<QosRuleRow> rules) =>
        [.. rules.Where(row => row.Type == QosRuleKind.BandwidthLimit.Type).Select(row => new BandwidthLimit(row.Direction!, row.Amount, row.Burst ?? 0))];

    /// <summary>What a policy has an OVS agent do; null where that is nothing.</summary>
    public static DeviceQos? DeviceOf(IEnumerable<QosRuleRow> rules)
    {
        var all = rules.ToList();
        var limits = LimitsOf(all);
        var mark = all.Find(row => row.Type == QosRuleKind.DscpMarking.Type)?.Amount;
        return limits.Count == 0 && mark is null ? null : new DeviceQos(limits, mark);
    }

    /// <summary>The agents of all that follows a policy are to look at it.</summary>
    public static async Task TellAsync(Work work, string policyId)
    {
        foreach (var port in await PortsOf(work.Db, policyId).Where(port => port.Host != "").Select(port => new { port.Id, port.NetworkId, port.Revision, port.Host }).ToListAsync(work.Cancellation))
        {
            work.Hint(bus => bus.CastAsync(OpenVSwitchContracts.PortChanged, new PortHint(port.Id, port.NetworkId, port.Revision), port.Host));
        }

        var routers = await work.Db.GetTable<FloatingIpRow>().Where(row => row.RouterId != null && (row.QosPolicyId == policyId
                || (row.QosPolicyId == null && work.Db.GetTable<NetworkRow>().Any(network => network.Id == row.FloatingNetworkId && network.QosPolicyId == policyId)))).Select(row => row.RouterId!)
            .Union(work.Db.GetTable<RouterRow>().Where(row => row.GatewayQosPolicyId == policyId).Select(row => row.Id)).ToListAsync(work.Cancellation);
        if (routers.Count > 0)
        {
            await RouterHints.TellAsync(work, routers);
        }
    }

    /// <summary>Refuses a rule of a policy where something that follows the policy could not have it, or has what Placement counts already.</summary>
    public static async Task CheckRuleAsync(Work work, QosRuleKind kind, string policyId)
    {
        var ports = PortsOf(work.Db, policyId);
        if (!kind.IsSupported && await ports.Select(port => port.Id).FirstOrDefaultAsync(work.Cancellation) is { } any)
        {
            throw QosErrors.NotSupportedByPort(kind.Type, any);
        }

        if (!kind.IsGuarantee)
        {
            return;
        }

        if (kind == QosRuleKind.MinimumBandwidth && await ports.Where(port => !work.Db.GetTable<SegmentRow>().Any(
            segment => segment.NetworkId == port.NetworkId && segment.PhysicalNetwork != null && segment.SegmentIndex == work.Db.GetTable<SegmentRow>().Where(other => other.NetworkId == port.NetworkId).Min(other => other.SegmentIndex)))
            .Select(port => port.Id).FirstOrDefaultAsync(work.Cancellation) is { } placeless)
        {
            throw QosErrors.NotSupportedByPort(kind.Type, placeless);
        }

        if (await ports.AnyAsync(port => port.DeviceOwner.StartsWith("compute:"), work.Cancellation))
        {
            throw QosErrors.TrackedInPlacement();
        }
    }

    /// <summary>The first kind of rule of a policy that nothing on a network sees to. Bandwidth is a physical network's: others have none that could be counted.</summary>
    private static async Task<string?> FirstUnsupportedAsync(Work work, string policyId, string networkId)
    {
        var types = await work.Db.GetTable<QosRuleRow>().Where(row => row.PolicyId == policyId).Select(row => row.Type).ToListAsync(work.Cancellation);
        return types.Find(static type => QosRuleKind.All.Any(kind => kind.Type == type && !kind.IsSupported))
            ?? (types.Contains(QosRuleKind.MinimumBandwidth.Type) && (await ResourceRequests.PhysicalNetworksAsync(work.Db, [networkId], work.Cancellation)).Count == 0 ? QosRuleKind.MinimumBandwidth.Type : null);
    }
}
