using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation;
using SharpStack.Foundation.Configuration;
using SharpStack.Placement.Storage;

namespace SharpStack.Placement.Allocations;

/// <summary>Changes allocations inside a write transaction: capacity is checked where nobody else can take it.</summary>
internal sealed class AllocationWrites(ServiceConfig config, NameCatalog catalog)
{
    private readonly string incompleteProject = config.Get(PlacementOptions.IncompleteConsumerProjectId);
    private readonly string incompleteUser = config.Get(PlacementOptions.IncompleteConsumerUserId);

    /// <summary>Gives every consumer exactly what its claim says, all or nothing.</summary>
    /// <exception cref="AllocationRefusedException">Not all of it is to be had.</exception>
    /// <exception cref="UnknownNameException">No such resource class.</exception>
    /// <exception cref="CloudException">A consumer's generation is another one (409), a provider does not exist (400).</exception>
    public async Task ReplaceAsync(WriteSession write, IReadOnlyList<Claim> claims)
    {
        var session = write.Db;
        var cancelled = write.Cancelled;
        var uuids = claims.Select(claim => claim.Consumer).ToList();
        var consumers = await session.GetTable<ConsumerRow>().Where(row => uuids.Contains(row.Uuid)).ToDictionaryAsync(row => row.Uuid, cancelled);
        foreach (var claim in claims)
        {
            CheckGeneration(claim, consumers.GetValueOrDefault(claim.Consumer));
        }

        var providers = await ProvidersAsync(session, claims, cancelled);
        var requests = await ResolveAsync(write, claims, providers);
        var released = await ReleaseAsync(session, [.. consumers.Values.Select(row => row.Id)], cancelled);
        await CheckCapacityAsync(write, requests);

        var rows = new List<AllocationRow>();
        var raised = requests.Select(request => request.Provider.Id).ToHashSet();
        foreach (var claim in claims)
        {
            var wanted = requests.Where(request => request.Claim == claim).ToList();
            var existing = consumers.GetValueOrDefault(claim.Consumer);
            if (wanted.Count == 0)
            {
                if (existing is not null)
                {
                    await session.GetTable<ConsumerRow>().Where(row => row.Id == existing.Id).DeleteAsync(cancelled);
                    raised.UnionWith(released.Where(row => row.ConsumerId == existing.Id).Select(row => row.ProviderId));
                }

                continue;
            }

            var consumer = await WriteConsumerAsync(session, claim, existing, cancelled);
            rows.AddRange(wanted.Select(request => new AllocationRow
            {
                ConsumerId = consumer, ProviderId = request.Provider.Id, ClassId = request.ClassId, Used = request.Amount, CreatedAt = write.Now,
            }));
        }

        await session.BulkCopyAsync(rows, cancelled);
        await write.TouchAsync(raised, raiseGeneration: true);
        await write.TouchAsync(released.Select(row => row.ProviderId).Where(id => !raised.Contains(id)).ToHashSet(), raiseGeneration: false);
    }

    /// <summary>Takes everything from a consumer.</summary>
    /// <returns>False where it had nothing.</returns>
    public static async Task<bool> DeleteAsync(WriteSession write, string consumer)
    {
        var row = await write.Db.GetTable<ConsumerRow>().FirstOrDefaultAsync(row => row.Uuid == consumer, write.Cancelled);
        if (row is null)
        {
            return false;
        }

        var released = await ReleaseAsync(write.Db, [row.Id], write.Cancelled);
        await write.Db.GetTable<ConsumerRow>().Where(removed => removed.Id == row.Id).DeleteAsync(write.Cancelled);
        await write.TouchAsync(released.Select(allocation => allocation.ProviderId).ToHashSet(), raiseGeneration: false);
        return released.Count > 0;
    }

    private static void CheckGeneration(Claim claim, ConsumerRow? existing)
    {
        if (claim.ChecksGeneration && claim.ExpectedGeneration != existing?.Generation)
        {
            var expected = existing is null ? "null" : existing.Generation.ToString();
            throw CloudException.Conflict(
                $"consumer generation conflict - expected {expected} but got {claim.ExpectedGeneration?.ToString() ?? "None"}", ErrorCodes.ConcurrentUpdate);
        }
    }

    private static async Task<Dictionary<string, ProviderRow>> ProvidersAsync(DataConnection session, IReadOnlyList<Claim> claims, CancellationToken cancelled)
    {
        var uuids = claims.SelectMany(claim => claim.Allocations.Keys).Distinct().ToList();
        if (uuids.Count == 0)
        {
            return [];
        }

        var providers = await session.GetTable<ProviderRow>().Where(row => uuids.Contains(row.Uuid)).ToDictionaryAsync(row => row.Uuid, cancelled);
        return uuids.Find(uuid => !providers.ContainsKey(uuid)) is { } missing
            ? throw CloudException.BadRequest($"Allocation for resource provider '{missing}' that does not exist.")
            : providers;
    }

    private async Task<List<Request>> ResolveAsync(WriteSession write, IReadOnlyList<Claim> claims, Dictionary<string, ProviderRow> providers)
    {
        var names = await catalog.CurrentAsync(write);
        return [.. from claim in claims
                   from allocation in claim.Allocations
                   from amount in allocation.Value
                   select new Request(claim, providers[allocation.Key], names.ClassId(amount.Key), amount.Key, amount.Value)];
    }

    private static async Task<List<AllocationRow>> ReleaseAsync(DataConnection session, IReadOnlyCollection<long> consumers, CancellationToken cancelled)
    {
        if (consumers.Count == 0)
        {
            return [];
        }

        var rows = await session.GetTable<AllocationRow>().Where(row => consumers.Contains(row.ConsumerId)).ToListAsync(cancelled);
        await session.GetTable<AllocationRow>().Where(row => consumers.Contains(row.ConsumerId)).DeleteAsync(cancelled);
        return rows;
    }

    private static async Task CheckCapacityAsync(WriteSession write, List<Request> requests)
    {
        if (requests.Count == 0)
        {
            return;
        }

        var ids = requests.Select(request => request.Provider.Id).Distinct().ToList();
        var inventories = (await write.Db.GetTable<InventoryRow>().Where(row => ids.Contains(row.ProviderId)).ToListAsync(write.Cancelled))
            .ToDictionary(row => (row.ProviderId, row.ClassId));
        var used = (await write.Db.GetTable<AllocationRow>().Where(row => ids.Contains(row.ProviderId))
            .GroupBy(row => new { row.ProviderId, row.ClassId })
            .Select(group => new { group.Key.ProviderId, group.Key.ClassId, Used = group.Sum(row => row.Used) })
            .ToListAsync(write.Cancelled)).ToDictionary(row => (row.ProviderId, row.ClassId), row => row.Used);
        foreach (var request in requests)
        {
            var key = (request.Provider.Id, request.ClassId);
            var where = $"'{request.ClassName}' on resource provider '{request.Provider.Uuid}'";
            if (!inventories.TryGetValue(key, out var inventory))
            {
                throw new AllocationRefusedException($"Inventory for {where} invalid.");
            }

            if (!inventory.Permits(request.Amount))
            {
                throw new AllocationRefusedException($"Unable to create allocation for {where}. The requested amount would violate inventory constraints.");
            }

            if (inventory.Capacity - used.GetValueOrDefault(key) < request.Amount)
            {
                throw new AllocationRefusedException($"Unable to create allocation for {where}. The requested amount would exceed the capacity.");
            }

            used[key] = used.GetValueOrDefault(key) + request.Amount;
        }
    }

    private async Task<long> WriteConsumerAsync(DataConnection session, Claim claim, ConsumerRow? existing, CancellationToken cancelled)
    {
        var row = new ConsumerRow
        {
            Id = existing?.Id ?? 0,
            Uuid = claim.Consumer,
            ProjectId = claim.ProjectId ?? incompleteProject,
            UserId = claim.UserId ?? incompleteUser,
            ConsumerType = claim.Type ?? existing?.ConsumerType,
            Generation = (existing?.Generation ?? 0) + 1,
        };
        if (existing is null)
        {
            return await session.InsertWithInt64IdentityAsync(row, token: cancelled);
        }

        await session.UpdateAsync(row, token: cancelled);
        return existing.Id;
    }

    private sealed record Request(Claim Claim, ProviderRow Provider, int ClassId, string ClassName, long Amount);
}
