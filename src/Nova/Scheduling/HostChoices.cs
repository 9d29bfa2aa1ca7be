using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Mapping;
using SharpStack.Nova.Servers;
using SharpStack.Nova.Storage;

namespace SharpStack.Nova.Scheduling;

/// <summary>A host that was chosen for an instance, perhaps not claimed yet. Choices are numbered over all schedulers in the order in which they were made.</summary>
[Table("host_choices")]
internal sealed record HostChoiceRow
{
    [Column("id"), PrimaryKey, Identity]
    public long Id { get; init; }

    [Column("instance_id")]
    public required string InstanceId { get; init; }

    [Column("compute_node_id")]
    public required string ComputeNodeId { get; init; }

    /// <summary>Microseconds since 1970.</summary>
    [Column("chosen_at")]
    public long ChosenAt { get; init; }

    [Column("vcpus")]
    public long Vcpus { get; init; }

    [Column("memory_mb")]
    public long MemoryMb { get; init; }

    [Column("local_gb")]
    public long LocalGb { get; init; }

    /// <summary>What the host had given away before, as this choice knew it: Placement's amount and the choices on their way.</summary>
    [Column("vcpus_before")]
    public long VcpusBefore { get; init; }

    [Column("memory_mb_before")]
    public long MemoryMbBefore { get; init; }

    [Column("local_gb_before")]
    public long LocalGbBefore { get; init; }
}

/// <param name="Newest">The number of the newest choice that was there; those after it are found by it.</param>
/// <param name="Recent">Choices in order, the latest of each instance: at least all from the oldest one on that is still on its way.</param>
/// <param name="Unsettled">The instances that had no host of their own yet: Placement may know of their claims or not.</param>
internal sealed record OpenChoices(long Newest, IReadOnlyList<HostChoiceRow> Recent, IReadOnlySet<string> Unsettled);

/// <summary>
/// What all schedulers of the cloud have chosen and no conductor has written down yet. Between a choice and its claim nobody else sees it, and so those who choose at the
/// same time would all take the host that is the best one; OpenStack's scheduler subtracts what it chose from its own picture of the host, this one from everybody's.
/// </summary>
internal sealed class HostChoices(NovaStore store) : IDisposable
{
    /// <summary>Microseconds after which a choice without a claim is of a conductor that gave up or died.</summary>
    private const long Patience = 10_000_000;

    private const int CleanEvery = 64;

    // The choices of one process come one after the other anyway; without this they would find out by failing.
    private readonly SemaphoreSlim gate = new(1);

    /// <summary>To be read before Placement is asked: what is settled by then, Placement counts.</summary>
    public async Task<OpenChoices> ReadAsync(CancellationToken cancellationToken)
    {
        await using var session = store.Read();
        var since = session.Now - Patience;
        var table = session.Db.GetTable<HostChoiceRow>();
        var all =
            from choice in table
            from instance in session.Instances.LeftJoin(instance => instance.Uuid == choice.InstanceId)
            select new
            {
                Choice = choice,
                IsOpen = choice.ChosenAt >= since && (instance.Uuid == null || (instance.Host == null && instance.DeletedAt == null && instance.VmState == VmStates.Building)),
            };
        var rows = await all
            .Where(row => row.Choice.Id >= all.Where(open => open.IsOpen).Min(open => (long?)open.Choice.Id) || row.Choice.Id == table.Max(choice => (long?)choice.Id))
            .OrderBy(row => row.Choice.Id)
            .ToListAsync(cancellationToken);
        return new OpenChoices(
            rows.Count == 0 ? 0 : rows[^1].Choice.Id,
            Latest(rows.Select(row => row.Choice)),
            rows.Where(row => row.IsOpen).Select(row => row.Choice.InstanceId).ToHashSet());
    }

    /// <summary>Writes a choice down where nobody else chooses at the same time.</summary>
    /// <param name="seen">What the caller has seen.</param>
    /// <param name="choose">Chooses with regard to <paramref name="seen"/> and those that came after it; may be run again.</param>
    public async Task<T> WriteAsync<T>(OpenChoices seen, Func<OpenChoices, (T Result, HostChoiceRow Choice)> choose, CancellationToken cancellationToken)
    {
        await gate.WaitAsync(cancellationToken);
        try
        {
            return await store.WriteAsync(
                async session =>
                {
                    // Read and added to in one transaction: of two that do so at once, the engine lets one pass and has the other begin again.
                    var table = session.Db.GetTable<HostChoiceRow>();
                    var later = await table.Where(choice => choice.Id > seen.Newest).OrderBy(choice => choice.Id).ToListAsync(cancellationToken);
                    var (result, choice) = choose(later.Count == 0 ? seen : With(seen, later));
                    var id = await session.Db.InsertWithInt64IdentityAsync(choice with { ChosenAt = session.Now }, token: cancellationToken);
                    if (id % CleanEvery == 0)
                    {
                        await table.Where(old => old.ChosenAt < session.Now - Patience).DeleteAsync(cancellationToken);
                    }

                    return result;
                },
                cancellationToken);
        }
        finally
        {
            gate.Release();
        }
    }

    public void Dispose() => gate.Dispose();

    private static OpenChoices With(OpenChoices seen, List<HostChoiceRow> later) =>
        new(later[^1].Id, Latest(seen.Recent.Concat(later)), seen.Unsettled.Union(later.Select(choice => choice.InstanceId)).ToHashSet());

    /// <summary>An instance for which was chosen again is no longer where it was to be.</summary>
    private static List<HostChoiceRow> Latest(IEnumerable<HostChoiceRow> choices) => [.. choices.GroupBy(choice => choice.InstanceId).Select(own => own.Last()).OrderBy(choice => choice.Id)];
}
