using System.Globalization;
using System.Text.Json.Nodes;
using SharpStack.Foundation.Configuration;

namespace SharpStack.Neutron.Agents;

/// <summary>What a host can guarantee of its network, as an operator says it and as the agent reports it for Placement.</summary>
internal static class ResourceProviderOptions
{
    public static readonly ConfigOption<IReadOnlyList<string>> Bandwidths = new(
        "ovs", "resource_provider_bandwidths", [], "What the bridges of bridge_mappings can guarantee in kbit/s, as bridge:egress:ingress, comma separated; as the instances see it. A direction left empty is not guaranteed.");

    public static readonly ConfigOption<IReadOnlyDictionary<string, string>> Hypervisors = new(
        "ovs", "resource_provider_hypervisors", new Dictionary<string, string>(), "Bridges whose hypervisor has another name than resource_provider_default_hypervisor, as bridge:hypervisor, comma separated.");

    public static readonly ConfigOption<string> DefaultHypervisor = new(
        "ovs", "resource_provider_default_hypervisor", "", "The hypervisor, by its name in Nova, below which the providers are; empty for this host's name.");

    public static readonly ConfigOption<IReadOnlyDictionary<string, string>> BandwidthDefaults = Defaults("resource_provider_inventory_defaults", "bandwidth");

    public static readonly ConfigOption<IReadOnlyList<string>> PacketRates = new(
        "ovs", "resource_provider_packet_processing_without_direction", [], "What the switch can guarantee in thousands of packets a second, both directions together, as hypervisor:rate, comma separated; no name for this host.");

    public static readonly ConfigOption<IReadOnlyList<string>> DirectedPacketRates = new(
        "ovs", "resource_provider_packet_processing_with_direction", [], "The same by direction, as hypervisor:egress:ingress; not beside resource_provider_packet_processing_without_direction.");

    public static readonly ConfigOption<IReadOnlyDictionary<string, string>> PacketRateDefaults = Defaults("resource_provider_packet_processing_inventory_defaults", "packet rate");

    private static readonly string[] Directions = ["egress", "ingress"];

    /// <summary>The part of <c>configurations</c> that Neutron's server makes resource providers of.</summary>
    /// <param name="mappings">Physical network to bridge.</param>
    /// <exception cref="FormatException">An option is not to be understood, or contradicts another.</exception>
    public static JsonObject Read(ServiceConfig config, string host, IReadOnlyDictionary<string, string> mappings)
    {
        var bandwidths = Rates(config, Bandwidths, Directions, null);
        if (bandwidths.Select(pair => pair.Key).FirstOrDefault(bridge => !mappings.Values.Contains(bridge)) is { } unmapped)
        {
            throw Wrong(Bandwidths, $"bridge '{unmapped}' is not in bridge_mappings");
        }

        var rates = Rates(config, PacketRates, ["any"], host);
        var directed = Rates(config, DirectedPacketRates, Directions, host);
        if (rates.Count > 0 && directed.Count > 0)
        {
            throw Wrong(DirectedPacketRates, $"not beside {PacketRates.Name}");
        }

        var named = config.Get(Hypervisors);
        var hypervisor = config.Get(DefaultHypervisor) is { Length: > 0 } name ? name : host;
        return new JsonObject
        {
            [Bandwidths.Name] = bandwidths,
            [BandwidthDefaults.Name] = Defaults(config, BandwidthDefaults),
            [Hypervisors.Name] = new JsonObject(mappings.Values.Distinct().Select(bridge => KeyValuePair.Create(bridge, (JsonNode?)named.GetValueOrDefault(bridge, hypervisor)))),
            [PacketRates.Name] = rates,
            [DirectedPacketRates.Name] = directed,
            [PacketRateDefaults.Name] = Defaults(config, PacketRateDefaults),
        };
    }

    /// <summary>A report's configurations, with what was read.</summary>
    public static JsonObject With(this JsonObject configurations, JsonObject providers)
    {
        foreach (var (name, value) in providers)
        {
            configurations[name] = value!.DeepClone();
        }

        return configurations;
    }

    private static ConfigOption<IReadOnlyDictionary<string, string>> Defaults(string name, string what) => new(
        "ovs",
        name,
        new Dictionary<string, string> { ["allocation_ratio"] = "1.0", ["min_unit"] = "1", ["step_size"] = "1", ["reserved"] = "0" },
        $"What else Placement is told of the {what}: allocation_ratio, min_unit, max_unit, step_size, reserved.");

    /// <param name="defaultName">What an entry without a name is of; null where each needs one.</param>
    private static JsonObject Rates(ServiceConfig config, ConfigOption<IReadOnlyList<string>> option, string[] directions, string? defaultName)
    {
        var all = new JsonObject();
        foreach (var entry in config.Get(option))
        {
            var parts = entry.Contains(':', StringComparison.Ordinal) ? entry.Split(':') : [entry, .. directions.Select(_ => "")];
            if (parts.Length != directions.Length + 1 || (parts[0].Length == 0 && defaultName is null))
            {
                throw Wrong(option, $"'{entry}' is not NAME:{string.Join(':', directions.Select(direction => direction.ToUpperInvariant()))}");
            }

            var name = parts[0].Length == 0 ? defaultName! : parts[0];
            if (!all.TryAdd(name, new JsonObject(directions.Zip(parts[1..], (direction, amount) => KeyValuePair.Create(direction, amount.Length == 0 ? null : (JsonNode?)Number(option, amount))))))
            {
                throw Wrong(option, $"'{name}' is there twice");
            }
        }

        return all;
    }

    private static JsonObject Defaults(ServiceConfig config, ConfigOption<IReadOnlyDictionary<string, string>> option) =>
        new(config.Get(option).Select(pair => KeyValuePair.Create(pair.Key, (JsonNode?)(pair.Key switch
        {
            "allocation_ratio" => double.TryParse(pair.Value, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var ratio) ? ratio : throw Wrong(option, $"'{pair.Value}' is no ratio"),
            "min_unit" or "max_unit" or "step_size" or "reserved" => Number(option, pair.Value),
            var other => throw Wrong(option, $"there is no '{other}'"),
        }))));

    private static int Number(ConfigOption option, string text) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : throw Wrong(option, $"'{text}' is not a whole number from 0 on");

    private static FormatException Wrong(ConfigOption option, string reason) => new($"neutron: [{option.Group}] {option.Name}: {reason}");
}
