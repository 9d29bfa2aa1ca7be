using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Neutron.Api;
using SharpStack.Neutron.Ports;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.Trunks;

/// <summary>A port that was sent to be on a trunk; without an id it is told by its network's.</summary>
internal sealed record SubPortWish(string PortId, string SegmentationType, int? SegmentationId)
{
    public const string Inherit = "inherit";

    public static List<SubPortWish> Read(IEnumerable<JsonElement> items) =>
        [.. items.Select(item => new SubPortWish(
            item.GetProperty("port_id").GetString()!,
            item.TryGetProperty("segmentation_type", out var type) ? Checks.Shown(type) : "",
            item.TryGetProperty("segmentation_id", out var id) ? Checks.ToNumber(id) : null))];
}

/// <summary>Which ports may be on which trunk.</summary>
internal sealed class TrunkRules(PortResource ports)
{
    private const string Vlan = "vlan";
    private const int LastVlan = 4094;

    public static string? CheckSubPorts(JsonElement value)
    {
        if (value.ValueKind != JsonValueKind.Array)
        {
            return $"Invalid data format for subports: '{Checks.Shown(value)}' is not a list";
        }

        var (seen, tags) = (new HashSet<string>(StringComparer.Ordinal), new HashSet<(string, string)>());
        foreach (var item in value.EnumerateArray())
        {
            if (item.ValueKind != JsonValueKind.Object)
            {
                return $"Invalid data format for subport: '{Checks.Shown(item)}' is not a dict";
            }

            if (!item.TryGetProperty("port_id", out var port))
            {
                return "A valid port UUID must be specified";
            }

            if (Checks.Uuid(port) is not null)
            {
                return $"Invalid UUID for subport: '{Checks.Shown(port)}'";
            }

            if (!seen.Add(port.GetString()!))
            {
                return $"Non unique UUID for subport: '{port.GetString()}'";
            }

            var type = item.TryGetProperty("segmentation_type", out var sentType) ? Checks.Shown(sentType) : null;
            if (type == SubPortWish.Inherit)
            {
                continue;
            }

            var hasId = item.TryGetProperty("segmentation_id", out var id) && id.ValueKind != JsonValueKind.Null;
            if ((type is null || !hasId) && item.EnumerateObject().Count() > 1)
            {
                return $"Invalid subport details '{Checks.Shown(item)}': missing segmentation information. Must specify both segmentation_id and segmentation_type";
            }

            if (type is not null && !tags.Add((type, Checks.Shown(id))))
            {
                return $"Segmentation ID '{Checks.Shown(id)}' for '{port.GetString()}' is not unique";
            }
        }

        return null;
    }

    /// <summary>The port that is to carry a trunk: not on another one, and not plugged anywhere yet.</summary>
    public async Task<PortRow> ParentAsync(Work work, Caller caller, string id)
    {
        var port = await ports.VisibleTo(work.Db.GetTable<PortRow>(), work.Db, caller).FirstOrDefaultAsync(row => row.Id == id, work.Cancellation) ?? throw NeutronErrors.PortNotFound(id);
        await RefuseTrunkedAsync(work, [id]);
        return port.Host.Length > 0 ? throw TrunkErrors.ParentInUse(id) : port;
    }

    /// <summary>The subports as they were sent, each of them fit for a trunk with this parent.</summary>
    public async Task<List<SubPortRow>> SubPortsAsync(Work work, Caller caller, TrunkRow trunk, IReadOnlyList<SubPortWish> wishes)
    {
        if (wishes.Count == 0)
        {
            return [];
        }

        if (wishes.Any(wish => wish.PortId == trunk.PortId))
        {
            throw TrunkErrors.ParentInUse(trunk.PortId);
        }

        var ids = wishes.Select(wish => wish.PortId).ToList();
        var found = await ports.VisibleTo(work.Db.GetTable<PortRow>(), work.Db, caller).WhereIn(row => row.Id, ids).ToDictionaryAsync(row => row.Id, work.Cancellation);
        if (ids.Find(id => !found.ContainsKey(id)) is { } missing)
        {
            throw NeutronErrors.PortNotFound(missing);
        }

        var parent = await work.Db.GetTable<PortRow>().FirstAsync(row => row.Id == trunk.PortId, work.Cancellation);
        var networkIds = found.Values.Select(port => port.NetworkId).Append(parent.NetworkId).Distinct().ToList();
        var networks = await work.Db.GetTable<NetworkRow>().WhereIn(row => row.Id, networkIds).ToDictionaryAsync(row => row.Id, work.Cancellation);
        var segments = (await work.Db.GetTable<SegmentRow>().WhereIn(row => row.NetworkId, networkIds).OrderBy(row => row.SegmentIndex).ToListAsync(work.Cancellation)).ToLookup(row => row.NetworkId);
        await RefuseTrunkedAsync(work, ids);
        var rows = new List<SubPortRow>();
        foreach (var wish in wishes)
        {
            var port = found[wish.PortId];
            var (mtu, limit) = (networks[port.NetworkId].Mtu, networks[parent.NetworkId].Mtu);
            if (mtu > limit)
            {
                throw TrunkErrors.TooLargeMtu(port.Id, mtu, parent.Id, limit);
            }

            if (port.DeviceId.Length > 0)
            {
                throw NeutronErrors.Conflict("PortInUse", $"Unable to complete operation on port {port.Id} for network {port.NetworkId}. Port already has an attached device {port.DeviceId}.");
            }

            rows.Add(RowOf(trunk, wish, segments[port.NetworkId].FirstOrDefault()));
        }

        return rows;
    }

    /// <summary>A port that a trunk needs is not deleted.</summary>
    public static async Task CheckDeletionAsync(Work work, string portId)
    {
        if (await work.Db.GetTable<SubPortRow>().FirstOrDefaultAsync(row => row.PortId == portId, work.Cancellation) is { } sub)
        {
            throw TrunkErrors.IsSubPort(portId, sub.TrunkId);
        }

        if (await work.Db.GetTable<TrunkRow>().FirstOrDefaultAsync(row => row.PortId == portId, work.Cancellation) is { } trunk)
        {
            throw TrunkErrors.IsParent(portId, trunk.Id);
        }
    }

    private static async Task RefuseTrunkedAsync(Work work, List<string> ids)
    {
        if (await work.Db.GetTable<SubPortRow>().WhereIn(row => row.PortId, ids).FirstOrDefaultAsync(work.Cancellation) is { } sub)
        {
            throw TrunkErrors.PortInUse(sub.PortId);
        }

        if (await work.Db.GetTable<TrunkRow>().WhereIn(row => row.PortId, ids).FirstOrDefaultAsync(work.Cancellation) is { } trunk)
        {
            throw TrunkErrors.ParentInUse(trunk.PortId);
        }
    }

    private static SubPortRow RowOf(TrunkRow trunk, SubPortWish wish, SegmentRow? segment)
    {
        var (type, id) = wish.SegmentationType == SubPortWish.Inherit ? (segment?.NetworkType ?? "", segment?.SegmentationId) : (wish.SegmentationType, wish.SegmentationId);
        return type.Length == 0 ? throw NeutronErrors.InvalidInput($"Invalid subport details '{wish.PortId}': missing segmentation information. Must specify both segmentation_id and segmentation_type")
            : type != Vlan ? throw NeutronErrors.InvalidInput($"Unknown segmentation_type '{type}'")
            : id is not { } tag ? throw NeutronErrors.InvalidInput("Invalid subport details: segmentation_id is not an integer")
            : tag is < 1 or > LastVlan ? throw NeutronErrors.InvalidInput($"Segmentation ID '{tag}' is not in range")
            : new SubPortRow { PortId = wish.PortId, TrunkId = trunk.Id, SegmentationType = type, SegmentationId = tag };
    }
}
