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

    /// <summary>
    /// Takes the lowest free id: of the project's own ranges, else of those that all may use. Ids that are in another project's range are left to it.
    /// </summary>
    /// <param name="physicalNetwork">Null for any.</param>
    public static async Task<Segment?> TakeFreeAsync(Work work, string projectId, string type, IEnumerable<SegmentRange> configured, string? physicalNetwork = null)
    {
        var made = await work.Db.GetTable<NetworkSegmentRangeRow>().Where(row => row.NetworkType == type && !row.IsDefault).OrderBy(row => row.Minimum).ToListAsync(work.Cancellation);
        var own = made.FindAll(row => !row.Shared && row.ProjectId == projectId).ConvertAll(RangeOf);
        var others = made.FindAll(row => !row.Shared && row.ProjectId != projectId).ConvertAll(RangeOf);
        var ranges = own.Concat(configured).Concat(made.Where(row => row.Shared).Select(RangeOf)).Where(range => physicalNetwork is null || range.PhysicalNetwork == physicalNetwork).ToList();
        var taken = new Dictionary<string, HashSet<int>>();
        foreach (var range in ranges)
        {
            var network = range.PhysicalNetwork ?? "";
            if (others.Count == 0)
            {
                // Most ranges are used from their start without gaps: then nothing of them needs to be read.
                var used = await work.Db.GetTable<SegmentAllocationRow>()
                    .Where(row => row.NetworkType == type && row.PhysicalNetwork == network && row.SegmentationId >= range.Min && row.SegmentationId <= range.Max)
                    .GroupBy(row => row.NetworkType).Select(group => new { Count = group.Count(), Last = group.Max(row => row.SegmentationId) }).FirstOrDefaultAsync(work.Cancellation);
                var next = used is null ? range.Min : used.Last + 1;
                if (next - range.Min == (used?.Count ?? 0))
                {
                    if (next > range.Max)
                    {
                        continue;
                    }

                    return await TakeAsync(work, new Segment(type, range.PhysicalNetwork, next));
                }
            }

            if (!taken.TryGetValue(network, out var ids))
            {
                ids = [.. await work.Db.GetTable<SegmentAllocationRow>().Where(row => row.NetworkType == type && row.PhysicalNetwork == network).Select(row => row.SegmentationId).ToListAsync(work.Cancellation)];
                taken.Add(network, ids);
            }

            for (var id = range.Min; id <= range.Max; id++)
            {
                if (!ids.Contains(id) && (others.Count == 0 || !others.Exists(other => other.PhysicalNetwork == range.PhysicalNetwork && other.Min <= id && id <= other.Max)))
                {
                    return await TakeAsync(work, new Segment(type, range.PhysicalNetwork, id));
                }
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

    private static async Task<Segment> TakeAsync(Work work, Segment segment)
    {
        await work.Db.InsertAsync(RowOf(segment), token: work.Cancellation);
        return segment;
    }

    private static SegmentAllocationRow RowOf(Segment segment) =>
        new() { NetworkType = segment.NetworkType, PhysicalNetwork = segment.PhysicalNetwork ?? "", SegmentationId = segment.SegmentationId ?? 0 };

    private static SegmentRange RangeOf(NetworkSegmentRangeRow row) => new(row.PhysicalNetwork, row.Minimum, row.Maximum);
}
