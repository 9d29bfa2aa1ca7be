using System.Text.Json;
using System.Text.Json.Nodes;
using SharpStack.Foundation.Providers;
using SharpStack.Neutron.Agents;
using SharpStack.Neutron.Ml2;

namespace SharpStack.Neutron.PlacementReports;

/// <summary>A provider as it is to be.</summary>
internal sealed record WantedProvider(string Id, string Name, IReadOnlyDictionary<string, ProviderInventory> Inventories, IReadOnlySet<string> Traits);

/// <summary>What an OVS agent reports that it can guarantee, below one hypervisor.</summary>
/// <param name="Hypervisor">Its name in Nova, and of its resource provider.</param>
internal sealed record HypervisorResources(string Hypervisor, WantedProvider Agent, IReadOnlyList<WantedProvider> Bridges);

/// <summary>Reads an agent's <c>configurations</c>.</summary>
internal static class AgentResources
{
    public const string EgressBandwidth = "NET_BW_EGR_KILOBIT_PER_SEC";
    public const string IngressBandwidth = "NET_BW_IGR_KILOBIT_PER_SEC";
    public const string EgressPacketRate = "NET_PACKET_RATE_EGR_KILOPACKET_PER_SEC";
    public const string IngressPacketRate = "NET_PACKET_RATE_IGR_KILOPACKET_PER_SEC";
    public const string PacketRate = "NET_PACKET_RATE_KILOPACKET_PER_SEC";

    private static readonly HashSet<string> VnicTraits = [.. OpenVSwitchMechanismDriver.VnicTypes.Select(PlacementNames.VnicTypeTrait)];

    private static readonly string[] Reported =
    [
        "bridge_mappings", "resource_provider_bandwidths", "resource_provider_inventory_defaults", "resource_provider_hypervisors",
        "resource_provider_packet_processing_without_direction", "resource_provider_packet_processing_with_direction", "resource_provider_packet_processing_inventory_defaults",
    ];

    /// <summary>Whether two reports of an agent come to the same providers.</summary>
    public static bool AreSame(Agent one, Agent other) => Reported.All(name => JsonNode.DeepEquals(one.Object(name), other.Object(name)));

    /// <summary>The providers that an agent is to have; none where it guarantees nothing.</summary>
    public static IReadOnlyList<HypervisorResources> Of(Agent agent)
    {
        var bandwidths = agent.Object("resource_provider_bandwidths");
        var rates = agent.Object("resource_provider_packet_processing_without_direction") is { Count: > 0 } undirected ? undirected
            : agent.Object("resource_provider_packet_processing_with_direction");
        var networks = agent.Object("bridge_mappings").ToLookup(pair => (string)pair.Value!, pair => pair.Key);
        var bridges = bandwidths.Where(pair => networks.Contains(pair.Key)).ToLookup(pair => HypervisorOf(agent, pair.Key));
        var bandwidthDefaults = agent.Object("resource_provider_inventory_defaults");
        var rateDefaults = agent.Object("resource_provider_packet_processing_inventory_defaults");
        return [.. bridges.Select(group => group.Key).Union(rates.Select(pair => pair.Key)).Order(StringComparer.Ordinal).Select(hypervisor => new HypervisorResources(
            hypervisor,
            new WantedProvider(
                PlacementNames.AgentProvider(hypervisor),
                $"{hypervisor}:{agent.Row.AgentType}",
                InventoriesOf(rates[hypervisor], rateDefaults, ("any", PacketRate), ("egress", EgressPacketRate), ("ingress", IngressPacketRate)),
                VnicTraits),
            [.. bridges[hypervisor].Select(bridge => new WantedProvider(
                PlacementNames.BridgeProvider(hypervisor, bridge.Key),
                $"{hypervisor}:{agent.Row.AgentType}:{bridge.Key}",
                InventoriesOf(bridge.Value, bandwidthDefaults, ("egress", EgressBandwidth), ("ingress", IngressBandwidth)),
                networks[bridge.Key].Select(PlacementNames.PhysicalNetworkTrait).Concat(VnicTraits).ToHashSet()))]))];
    }

    /// <summary>Whether a port that was given something of a provider gets it from this agent on that segment.</summary>
    public static bool IsGivenBy(Agent agent, Segment segment, string providerId) => Of(agent).Any(resources => resources.Agent.Id == providerId
        || (segment.PhysicalNetwork is { } network && resources.Bridges.Any(bridge => bridge.Id == providerId && bridge.Traits.Contains(PlacementNames.PhysicalNetworkTrait(network)))));

    private static string HypervisorOf(Agent agent, string bridge) => (string?)agent.Object("resource_provider_hypervisors")[bridge] ?? agent.Row.Host;

    private static Dictionary<string, ProviderInventory> InventoriesOf(JsonNode? amounts, JsonObject defaults, params ReadOnlySpan<(string Direction, string Class)> classes)
    {
        var inventories = new Dictionary<string, ProviderInventory>();
        foreach (var (direction, resource) in classes)
        {
            if (amounts?[direction] is JsonValue amount && amount.GetValueKind() == JsonValueKind.Number && (int)amount > 0)
            {
                var rest = new ProviderInventory((int)amount);
                inventories[resource] = rest with
                {
                    Reserved = (int?)defaults["reserved"] ?? rest.Reserved,
                    AllocationRatio = (double?)defaults["allocation_ratio"] ?? rest.AllocationRatio,
                    MinUnit = (int?)defaults["min_unit"] ?? rest.MinUnit,
                    MaxUnit = (int?)defaults["max_unit"] ?? rest.MaxUnit,
                    StepSize = (int?)defaults["step_size"] ?? rest.StepSize,
                };
            }
        }

        return inventories;
    }
}
