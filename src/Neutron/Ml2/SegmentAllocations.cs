using LinqToDB;
using LinqToDB.Async;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.Ml2;

/// <summary>Which segments are taken. A row's key is the segment, so that no two networks ever share one.</summary>
internal static class SegmentAllocations
{
    /// <returns>False where it is taken already.</returns>
    public static async Task<bool> TryTakeAsync(Work work, Segment segment)
    {
        var row = RowOf(segment);
        var isTaken = await work.Db.GetTable<SegmentAllocationRow>().AnyAsync(
            taken => taken.NetworkType == row.NetworkType && taken.PhysicalNetwork == row.PhysicalNetwork && taken.SegmentationId == row.SegmentationId, work.Cancellation);
        if (!isTaken)
        {
            await work.Db.InsertAsync(row, token: work.Cancellation);
        }

        return !isTaken;
    }

    /// <summary>Takes the lowest free id of the ranges.</summary>
    public static async Task<Segment?> TakeFreeAsync(Work work, string type, string? physicalNetwork, IEnumerable<(int Min, int Max)> ranges)
    {
        var network = physicalNetwork ?? "";
        var taken = (await work.Db.GetTable<SegmentAllocationRow>()
            .Where(row => row.NetworkType == type && row.PhysicalNetwork == network).Select(row => row.SegmentationId).ToListAsync(work.Cancellation)).ToHashSet();
        foreach (var (min, max) in ranges)
        {
            for (var id = min; id <= max; id++)
            {
                if (taken.Contains(id))
                {
                    continue;
                }

                var segment = new Segment(type, physicalNetwork, id);
                await work.Db.InsertAsync(RowOf(segment), token: work.Cancellation);
                return segment;
            }
        }

        return null;
    }

    public static Task ReleaseAsync(Work work, Segment segment)
    {
        var row = RowOf(segment);
        return work.Db.GetTable<SegmentAllocationRow>()
            .Where(taken => taken.NetworkType == row.NetworkType && taken.PhysicalNetwork == row.PhysicalNetwork && taken.SegmentationId == row.SegmentationId)
            .DeleteAsync(work.Cancellation);
    }

    private static SegmentAllocationRow RowOf(Segment segment) =>
        new() { NetworkType = segment.NetworkType, PhysicalNetwork = segment.PhysicalNetwork ?? "", SegmentationId = segment.SegmentationId ?? 0 };
}
