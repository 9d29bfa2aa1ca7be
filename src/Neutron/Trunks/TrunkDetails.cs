using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Neutron.Contracts;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.Trunks;

/// <summary>What a port shows of the trunk that it carries.</summary>
internal sealed record TrunkDetails(TrunkRow Row, IReadOnlyList<SubPortRow> SubPorts, IReadOnlyDictionary<string, string> Macs)
{
    /// <summary>The trunks that ports carry, by port.</summary>
    public static async Task<Dictionary<string, TrunkDetails>> LoadAsync(DataConnection db, List<string> portIds, CancellationToken cancellationToken)
    {
        var trunks = await db.GetTable<TrunkRow>().WhereIn(row => row.PortId, portIds).ToListAsync(cancellationToken);
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
            row => row.PortId, row => new TrunkDetails(row, [.. byTrunk[row.Id].Select(sub => sub.Sub)], byTrunk[row.Id].ToDictionary(sub => sub.Sub.PortId, sub => sub.MacAddress)));
    }

    /// <summary>For the agent of the port's host.</summary>
    public DeviceTrunk ToDevice() => new(Row.Id, Row.Revision, Row.Status, [.. SubPorts.Select(sub => new DeviceSubPort(sub.PortId, Macs.GetValueOrDefault(sub.PortId, ""), sub.SegmentationId))]);

    public void Write(Utf8JsonWriter json)
    {
        json.WriteStartObject();
        json.WriteString("trunk_id", Row.Id);
        json.WritePropertyName("sub_ports");
        TrunkResource.WriteSubPorts(json, SubPorts, Macs);
        json.WriteEndObject();
    }
}
