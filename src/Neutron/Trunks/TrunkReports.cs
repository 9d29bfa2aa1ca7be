using LinqToDB;
using LinqToDB.Async;
using SharpStack.Neutron.Contracts;
using SharpStack.Neutron.Ports;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.Trunks;

/// <summary>Takes what OVS agents say of the trunks of their hosts.</summary>
internal sealed class TrunkReports(NeutronStore store)
{
    public Task<TrunkStatusAnswer> ReportAsync(TrunkStatusReport report, CancellationToken cancellationToken) =>
        store.WriteAsync(
            async work =>
            {
                var lookAgain = new List<string>();
                foreach (var seen in report.Trunks)
                {
                    if (await work.Db.GetTable<TrunkRow>().FirstOrDefaultAsync(row => row.Id == seen.TrunkId, work.Cancellation) is { } trunk
                        && !await TakeAsync(work, report.Host, trunk, seen))
                    {
                        lookAgain.Add(trunk.PortId);
                    }
                }

                return new TrunkStatusAnswer(lookAgain);
            },
            cancellationToken);

    /// <returns>False where the agent saw an older trunk, or is no longer the one to speak for it.</returns>
    private static async Task<bool> TakeAsync(Work work, string host, TrunkRow trunk, TrunkSeen seen)
    {
        var parent = await work.Db.GetTable<PortRow>().FirstAsync(row => row.Id == trunk.PortId, work.Cancellation);
        if (parent.Host != host || !PortOperations.IsBound(parent) || trunk.Revision != seen.Revision)
        {
            return false;
        }

        // A subport that no mechanism driver could bind is the administrator's to look at, whatever else is wired.
        if (trunk.Status == seen.Status || trunk.Status == DeviceTrunk.Error)
        {
            return true;
        }

        trunk.Status = seen.Status;
        if (seen.Status != DeviceTrunk.Build)
        {
            // What the agent is at now it will report as of the revision that it has.
            work.Bump(trunk);
        }

        await work.Db.UpdateAsync(trunk, token: work.Cancellation);
        return true;
    }
}
