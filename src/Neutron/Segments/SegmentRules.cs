using LinqToDB;
using LinqToDB.Async;
using SharpStack.Foundation;
using SharpStack.Neutron.Agents;
using SharpStack.Neutron.Api;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.Segments;

/// <summary>Routed networks: their subnets belong to segments, and a port has addresses of the segment that its host is on.</summary>
internal static class SegmentRules
{
    /// <summary>All subnets of a network belong to segments of it, or none does.</summary>
    public static async Task CheckSubnetAsync(Work work, string networkId, string subnetId, string? segmentId)
    {
        if (segmentId is not null)
        {
            var segment = await work.Db.GetTable<SegmentRow>().FirstOrDefaultAsync(row => row.Id == segmentId, work.Cancellation) ?? throw NeutronErrors.SegmentNotFound(segmentId);
            if (segment.NetworkId != networkId)
            {
                throw CloudException.BadRequest(
                    $"The subnet's network id, '{networkId}', doesn't match the network_id of segment with id '{segmentId}'", "NetworkIdsDontMatch");
            }
        }

        var isMixed = await work.Db.GetTable<SubnetRow>().AnyAsync(
            row => row.NetworkId == networkId && row.Id != subnetId && (segmentId == null ? row.SegmentId != null : row.SegmentId == null), work.Cancellation);
        if (isMixed)
        {
            throw CloudException.BadRequest($"All of the subnets on network '{networkId}' must either all be associated with segments or all not associated with any segment.", "SubnetsNotAllAssociatedWithSegments");
        }
    }

    /// <summary>A subnet without a segment may be given one where the network has no other.</summary>
    public static async Task CheckChangeAsync(Work work, SubnetRow row, string? segmentId)
    {
        if (row.SegmentId == segmentId)
        {
            return;
        }

        if (row.SegmentId is not null)
        {
            throw CloudException.BadRequest("A subnet that is already associated with a segment cannot have its segment association changed.", "SubnetSegmentAssociationChangeNotAllowed");
        }

        if (await work.Db.GetTable<SegmentRow>().CountAsync(segment => segment.NetworkId == row.NetworkId, work.Cancellation) > 1)
        {
            throw CloudException.BadRequest(
                $"The network '{row.NetworkId}' has multiple segments, it is only possible to associate an existing subnet with a segment on networks with a single segment.",
                "NoUpdateSubnetWhenMultipleSegmentsOnNetwork");
        }

        await CheckSubnetAsync(work, row.NetworkId, row.Id, segmentId);
    }

    /// <summary>The segments of a network that are on physical networks which a host's agents reach.</summary>
    public static async Task<HashSet<string>> OfHostAsync(Work work, AgentDirectory agents, string networkId, string host)
    {
        var there = await agents.OnHostAsync(work.Db, host, work.Cancellation);
        return [.. (await work.Db.GetTable<SegmentRow>().Where(row => row.NetworkId == networkId && row.PhysicalNetwork != null).ToListAsync(work.Cancellation))
            .Where(row => there.Exists(agent => agent.Object("bridge_mappings").ContainsKey(row.PhysicalNetwork!))).Select(row => row.Id)];
    }
}
