using System.Globalization;
using SharpStack.OpenVSwitch.Switches;

namespace SharpStack.Neutron.Agents.OpenVSwitch;

/// <summary>A network's segment, which is one broadcast domain on this host.</summary>
internal readonly record struct SegmentKey(string NetworkId, int? SegmentationId);

/// <summary>
/// Which VLAN on the integration bridge stands for which segment. The numbers mean something on this host only; they are kept in the ports'
/// other_config, under the names that OpenStack's agent uses, so that a restart finds them again.
/// </summary>
internal sealed class LocalVlans
{
    /// <summary>The VLAN of ports that must not talk to anybody.</summary>
    public const int Dead = 4095;

    private const int Highest = 4094;

    private readonly Dictionary<SegmentKey, int> assigned = [];

    /// <summary>The VLAN of every wanted segment; those of others are free again.</summary>
    public IReadOnlyDictionary<SegmentKey, int> Assign(IEnumerable<SegmentKey> wanted, IReadOnlyList<BridgePort> onBridge)
    {
        var keys = wanted.ToHashSet();
        foreach (var gone in assigned.Keys.Where(key => !keys.Contains(key)).ToList())
        {
            assigned.Remove(gone);
        }

        foreach (var port in onBridge)
        {
            if (Remembered(port) is var (key, vlan) && keys.Contains(key) && !assigned.ContainsKey(key) && !assigned.ContainsValue(vlan))
            {
                assigned.Add(key, vlan);
            }
        }

        var taken = assigned.Values.ToHashSet();
        var next = 1;
        foreach (var key in keys.Where(key => !assigned.ContainsKey(key)).OrderBy(key => key.NetworkId, StringComparer.Ordinal))
        {
            while (taken.Contains(next))
            {
                next++;
            }

            if (next > Highest)
            {
                throw new InvalidOperationException($"No local VLAN is left for network {key.NetworkId}: a host can have ports of at most {Highest} networks.");
            }

            taken.Add(next);
            assigned.Add(key, next);
        }

        return assigned;
    }

    /// <summary>What a port's other_config says of its segment.</summary>
    public static IReadOnlyDictionary<string, string> Describe(SegmentKey key, string networkType, string? physicalNetwork, int vlan)
    {
        var map = new Dictionary<string, string>(StringComparer.Ordinal)
        {
            ["net_uuid"] = key.NetworkId,
            ["network_type"] = networkType,
            ["physical_network"] = physicalNetwork ?? "None",
            ["tag"] = vlan.ToString(CultureInfo.InvariantCulture),
        };
        if (key.SegmentationId is { } segment)
        {
            map["segmentation_id"] = segment.ToString(CultureInfo.InvariantCulture);
        }

        return map;
    }

    private static (SegmentKey Key, int Vlan)? Remembered(BridgePort port)
    {
        if (!port.OtherConfig.TryGetValue("net_uuid", out var network)
            || !port.OtherConfig.TryGetValue("tag", out var tag)
            || !int.TryParse(tag, NumberStyles.None, CultureInfo.InvariantCulture, out var vlan)
            || vlan is < 1 or > Highest)
        {
            return null;
        }

        int? segment = port.OtherConfig.TryGetValue("segmentation_id", out var text) && int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var id) ? id : null;
        return (new SegmentKey(network, segment), vlan);
    }
}
