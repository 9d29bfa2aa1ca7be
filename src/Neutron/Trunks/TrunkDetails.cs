using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.Trunks;

/// <summary>What a port shows of the trunk that it carries.</summary>
internal sealed record TrunkDetails(string TrunkId, IReadOnlyList<SubPortRow> SubPorts, IReadOnlyDictionary<string, string> Macs)
{
    /// <summary>The trunks that ports carry, by port.</summary>
    public static async Task<Dictionary<string, TrunkDetails>> LoadAsync(DataConnection db, List<string> portIds, CancellationToken cancellationToken)
    {
        var trunks = await db.GetTable<TrunkRow>().WhereIn(row => row.PortId, portIds).Select(row => new { row.Id, row.PortId }).ToListAsync(cancellationToken);
        if (trunks.Count == 0)
        {
            return [];
        }

        var ids = trunks.ConvertAll(row => row.Id);
        var rows = await (from sub in db.GetTable<SubPortRow>().WhereIn(row => row.TrunkId, ids)
                          join port in db.GetTable<PortRow>() on sub.PortId equals port.Id
                          orderby sub.SegmentationId
                          select new { Sub = sub, port.MacAddress }).ToListAsync(cancellationToken);
        var byTrunk = rows.ToLookup(row => row.Sub.TrunkId);
        return trunks.ToDictionary(
            row => row.PortId, row => new TrunkDetails(row.Id, [.. byTrunk[row.Id].Select(sub => sub.Sub)], byTrunk[row.Id].ToDictionary(sub => sub.Sub.PortId, sub => sub.MacAddress)));
    }

    public void Write(Utf8JsonWriter json)
    {
        json.WriteStartObject();
        json.WriteString("trunk_id", TrunkId);
        json.WritePropertyName("sub_ports");
        TrunkResource.WriteSubPorts(json, SubPorts, Macs);
        json.WriteEndObject();
    }
}
