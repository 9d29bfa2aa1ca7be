using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Neutron.PlacementReports;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.Qos;

/// <summary>Amounts that are to come from one provider.</summary>
/// <param name="Id">The same as long as the rules are: Nova names the provider by it.</param>
/// <param name="Kind">The kind of the rules that it comes from.</param>
internal sealed record RequestGroup(string Id, QosRuleKind Kind, IReadOnlyList<string> Required, IReadOnlyList<(string Class, int Amount)> Resources);

/// <summary>What ports ask of Placement by the policies that they follow: <c>resource_request</c> (API extension <c>port-resource-request-groups</c>).</summary>
internal static class ResourceRequests
{
    public const string Attribute = "resource_request";

    /// <summary>By port; those that ask for nothing are left out.</summary>
    public static async Task<Dictionary<string, IReadOnlyList<RequestGroup>>> LoadAsync(
        DataConnection db, IEnumerable<PortRow> ports, IReadOnlyDictionary<string, NetworkRow> networks, CancellationToken cancellationToken)
    {
        var policies = ports.Where(port => networks.ContainsKey(port.NetworkId))
            .Select(port => (Port: port, PolicyId: QosAttachments.EffectiveOf(port, networks[port.NetworkId]))).Where(pair => pair.PolicyId is not null).ToList();
        var rules = await QosAttachments.RulesAsync(db, policies.Select(pair => pair.PolicyId), cancellationToken);
        var asking = policies.FindAll(pair => rules[pair.PolicyId!].Any(rule => QosRuleKind.Of(rule).IsGuarantee));
        if (asking.Count == 0)
        {
            return [];
        }

        var physical = await PhysicalNetworksAsync(db, [.. asking.Select(pair => pair.Port.NetworkId).Distinct()], cancellationToken);
        return asking.Select(pair => (pair.Port.Id, Groups: Of(pair.Port, rules[pair.PolicyId!], physical.GetValueOrDefault(pair.Port.NetworkId))))
            .Where(pair => pair.Groups.Count > 0).ToDictionary(pair => pair.Id, pair => pair.Groups);
    }

    /// <summary>The groups that rules make of a port: one for bandwidth, which is a physical network's, and one for packets, which are the switch's.</summary>
    /// <param name="physicalNetwork">Of the network's first segment; null where it has none.</param>
    public static IReadOnlyList<RequestGroup> Of(PortRow port, IEnumerable<QosRuleRow> rules, string? physicalNetwork)
    {
        var byType = rules.ToLookup(rule => rule.Type);
        var vnic = PlacementNames.VnicTypeTrait(port.VnicType);
        List<RequestGroup> groups = [];
        if (physicalNetwork is not null)
        {
            Add(QosRuleKind.MinimumBandwidth, PlacementNames.PhysicalNetworkTrait(physicalNetwork), vnic);
        }

        Add(QosRuleKind.MinimumPacketRate, vnic);
        return groups;

        void Add(QosRuleKind kind, params string[] required)
        {
            var own = byType[kind.Type].ToList();
            if (own.Count > 0)
            {
                groups.Add(new RequestGroup(PlacementNames.RequestGroup(port.Id, own.Select(rule => rule.Id)), kind, required, [.. own.Select(rule => (ClassOf(rule), rule.Amount))]));
            }
        }
    }

    /// <summary>What ports of a network are to hold instead of what they were given, once they follow another policy; those that were given nothing are left out.</summary>
    public static async Task<List<(PortRow Port, AllocationChange Change)>> FollowAsync(
        DataConnection db, string networkId, IEnumerable<PortRow> ports, string? policyBefore, string? policyAfter, CancellationToken cancellationToken)
    {
        var given = ports.Where(static port => PortAllocation.Read(port.Profile).Count > 0).ToList();
        if (given.Count == 0 || policyBefore == policyAfter)
        {
            return [];
        }

        var rules = await QosAttachments.RulesAsync(db, [policyBefore, policyAfter], cancellationToken);
        var physical = (await PhysicalNetworksAsync(db, [networkId], cancellationToken)).GetValueOrDefault(networkId);
        return given.ConvertAll(port => (port, PortAllocation.Follow(port, Of(port, rules[policyBefore ?? ""], physical), Of(port, rules[policyAfter ?? ""], physical))!));
    }

    /// <summary>The physical networks of first segments, by network; those of others are left out.</summary>
    public static async Task<Dictionary<string, string>> PhysicalNetworksAsync(DataConnection db, List<string> networkIds, CancellationToken cancellationToken) =>
        (await db.GetTable<SegmentRow>().WhereIn(row => row.NetworkId, networkIds).Select(row => new { row.NetworkId, row.SegmentIndex, row.PhysicalNetwork }).ToListAsync(cancellationToken))
            .GroupBy(row => row.NetworkId, (id, rows) => (Id: id, rows.MinBy(row => row.SegmentIndex)!.PhysicalNetwork)).Where(first => first.PhysicalNetwork is not null)
            .ToDictionary(first => first.Id, first => first.PhysicalNetwork!);

    public static void Write(Utf8JsonWriter json, IReadOnlyList<RequestGroup>? groups)
    {
        if (groups is null)
        {
            json.WriteNullValue();
            return;
        }

        json.WriteStartObject();
        json.WriteStartArray("request_groups");
        foreach (var group in groups)
        {
            json.WriteStartObject();
            json.WriteString("id", group.Id);
            json.WriteStartArray("required");
            foreach (var trait in group.Required)
            {
                json.WriteStringValue(trait);
            }

            json.WriteEndArray();
            json.WriteStartObject("resources");
            foreach (var (resource, amount) in group.Resources)
            {
                json.WriteNumber(resource, amount);
            }

            json.WriteEndObject();
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteStartArray("same_subtree");
        foreach (var group in groups)
        {
            json.WriteStringValue(group.Id);
        }

        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static string ClassOf(QosRuleRow rule) => (rule.Type == QosRuleKind.MinimumBandwidth.Type, rule.Direction) switch
    {
        (true, "egress") => AgentResources.EgressBandwidth,
        (true, _) => AgentResources.IngressBandwidth,
        (_, "egress") => AgentResources.EgressPacketRate,
        (_, "ingress") => AgentResources.IngressPacketRate,
        _ => AgentResources.PacketRate,
    };
}
