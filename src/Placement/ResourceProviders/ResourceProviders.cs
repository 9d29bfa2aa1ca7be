using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation;
using SharpStack.Placement.Storage;

namespace SharpStack.Placement.ResourceProviders;

/// <summary>A provider as it is shown.</summary>
internal sealed record ResourceProvider(long Id, string Uuid, string Name, long Generation, string? ParentUuid, string RootUuid, long UpdatedAt);

/// <summary>Providers of resources and the trees they form.</summary>
internal sealed class ResourceProviderStore(PlacementStore store)
{
    public async Task<ResourceProvider?> FindAsync(string uuid, CancellationToken cancellationToken)
    {
        await using var session = store.Read();
        return await FindAsync(session, uuid, cancellationToken);
    }

    public static Task<ResourceProvider?> FindAsync(DataConnection session, string uuid, CancellationToken cancellationToken) =>
        (from row in session.GetTable<ProviderRow>()
         join root in session.GetTable<ProviderRow>() on row.RootId equals root.Id
         from parent in session.GetTable<ProviderRow>().LeftJoin(parent => parent.Id == row.ParentId)
         where row.Uuid == uuid
         select new ResourceProvider(row.Id, row.Uuid, row.Name, row.Generation, parent == null ? null : parent.Uuid, root.Uuid, row.UpdatedAt))
        .FirstOrDefaultAsync(cancellationToken);

    public static async Task<ResourceProvider> GetAsync(DataConnection session, string uuid, CancellationToken cancellationToken) =>
        await FindAsync(session, uuid, cancellationToken) ?? throw NotFound(uuid);

    public static CloudException NotFound(string uuid) => CloudException.NotFound($"No resource provider with uuid {uuid} found");

    /// <summary>The same for handlers that look a provider up themselves to word the error.</summary>
    public static CloudException NotFoundFor(string uuid) =>
        CloudException.NotFound($"No resource provider with uuid {uuid} found : No resource provider with uuid {uuid} found");

    public Task<ResourceProvider> CreateAsync(string name, string uuid, string? parentUuid, CancellationToken cancellationToken) =>
        store.WriteAsync(
            async write =>
            {
                var session = write.Db;
                ProviderRow? parent = null;
                if (parentUuid is not null)
                {
                    CloudException Refused(string reason) =>
                        CloudException.BadRequest($"Unable to create resource provider \"{name}\", {uuid}: Object action create failed because: {reason}");
                    if (parentUuid == uuid)
                    {
                        throw Refused("parent provider UUID cannot be same as UUID. Please set parent provider UUID to None if there is no parent.");
                    }

                    parent = await RowAsync(session, parentUuid, cancellationToken) ?? throw Refused("parent provider UUID does not exist.");
                }

                var taken = await session.GetTable<ProviderRow>().Where(row => row.Uuid == uuid || row.Name == name)
                    .Select(row => new { row.Uuid, row.Name }).ToListAsync(cancellationToken);
                if (taken.Count > 0)
                {
                    var duplicate = taken.Exists(row => row.Uuid == uuid) ? $"uuid: {uuid}" : $"name: {name}";
                    throw CloudException.Conflict($"Conflicting resource provider {duplicate} already exists.", ErrorCodes.DuplicateName);
                }

                var row = new ProviderRow
                {
                    Uuid = uuid, Name = name, ParentId = parent?.Id, RootId = parent?.RootId ?? 0, Revision = write.Revision, CreatedAt = write.Now, UpdatedAt = write.Now,
                };
                var id = await session.InsertWithInt64IdentityAsync(row, token: cancellationToken);
                if (parent is null)
                {
                    await session.GetTable<ProviderRow>().Where(inserted => inserted.Id == id).Set(inserted => inserted.RootId, id).UpdateAsync(cancellationToken);
                }

                return await GetAsync(session, uuid, cancellationToken);
            },
            cancellationToken);

    /// <param name="parent">Whether the parent is to be set, and to what.</param>
    /// <param name="mayMove">Since 1.37 a provider may change or lose its parent; before, it could only be given one.</param>
    public Task<ResourceProvider> UpdateAsync(string uuid, string name, (bool IsSet, string? Uuid) parent, bool mayMove, CancellationToken cancellationToken) =>
        store.WriteAsync(
            async write =>
            {
                var session = write.Db;
                var row = await RowAsync(session, uuid, cancellationToken) ?? throw NotFound(uuid);
                if (await session.GetTable<ProviderRow>().AnyAsync(other => other.Name == name && other.Id != row.Id, cancellationToken))
                {
                    throw CloudException.Conflict($"Conflicting resource provider {name} already exists.", ErrorCodes.DuplicateName);
                }

                await session.GetTable<ProviderRow>().Where(changed => changed.Id == row.Id)
                    .Set(changed => changed.Name, name).Set(changed => changed.UpdatedAt, write.Now).Set(changed => changed.Revision, write.Revision)
                    .UpdateAsync(cancellationToken);
                if (parent.IsSet)
                {
                    await MoveAsync(write, row, parent.Uuid, mayMove);
                }

                return await GetAsync(session, uuid, cancellationToken);
            },
            cancellationToken);

    public Task DeleteAsync(string uuid, CancellationToken cancellationToken) =>
        store.WriteAsync(
            async write =>
            {
                var session = write.Db;
                var row = await RowAsync(session, uuid, cancellationToken) ?? throw CloudException.NotFound($"No resource provider with uuid {uuid} found for delete");
                if (await session.GetTable<ProviderRow>().AnyAsync(child => child.ParentId == row.Id, cancellationToken))
                {
                    throw CloudException.Conflict(
                        $"Unable to delete parent resource provider {uuid}: It has child resource providers.", ErrorCodes.CannotDeleteParent);
                }

                if (await session.GetTable<AllocationRow>().AnyAsync(allocation => allocation.ProviderId == row.Id, cancellationToken))
                {
                    throw CloudException.Conflict($"Unable to delete resource provider {uuid}: Resource provider has allocations.", ErrorCodes.ProviderInUse);
                }

                await session.GetTable<InventoryRow>().Where(owned => owned.ProviderId == row.Id).DeleteAsync(cancellationToken);
                await session.GetTable<ProviderAggregateRow>().Where(owned => owned.ProviderId == row.Id).DeleteAsync(cancellationToken);
                await session.GetTable<ProviderTraitRow>().Where(owned => owned.ProviderId == row.Id).DeleteAsync(cancellationToken);
                await session.GetTable<ProviderRow>().Where(removed => removed.Id == row.Id).DeleteAsync(cancellationToken);
                await write.StructureChangedAsync();
            },
            cancellationToken);

    private static Task<ProviderRow?> RowAsync(DataConnection session, string uuid, CancellationToken cancellationToken) =>
        session.GetTable<ProviderRow>().FirstOrDefaultAsync(row => row.Uuid == uuid, cancellationToken);

    private static async Task MoveAsync(WriteSession write, ProviderRow row, string? parentUuid, bool mayMove)
    {
        CloudException Refused(string action, string reason) =>
            CloudException.BadRequest($"Unable to save resource provider {row.Uuid}: Object action {action} failed because: {reason}");
        ProviderRow? parent = null;
        if (parentUuid is not null)
        {
            parent = await RowAsync(write.Db, parentUuid, write.Cancelled) ?? throw Refused("create", "parent provider UUID does not exist.");
            if (row.ParentId is not null && row.ParentId != parent.Id && !mayMove)
            {
                throw Refused("update", "re-parenting a provider is not currently allowed.");
            }
        }
        else if (row.ParentId is not null && !mayMove)
        {
            throw Refused("update", "un-parenting a provider is not currently allowed.");
        }

        if (row.ParentId == parent?.Id)
        {
            return;
        }

        var subtree = await SubtreeAsync(write, row);
        if (parent is not null && subtree.Contains(parent.Id))
        {
            throw Refused("update", "creating loop in the provider tree is not allowed.");
        }

        var root = parent?.RootId ?? row.Id;
        await write.Db.GetTable<ProviderRow>().Where(changed => changed.Id == row.Id).Set(changed => changed.ParentId, parent?.Id).UpdateAsync(write.Cancelled);
        await write.Db.GetTable<ProviderRow>().Where(changed => subtree.Contains(changed.Id))
            .Set(changed => changed.RootId, root).Set(changed => changed.Revision, write.Revision).UpdateAsync(write.Cancelled);
    }

    private static async Task<List<long>> SubtreeAsync(WriteSession write, ProviderRow top)
    {
        var tree = await write.Db.GetTable<ProviderRow>().Where(row => row.RootId == top.RootId).Select(row => new { row.Id, row.ParentId }).ToListAsync(write.Cancelled);
        var children = tree.ToLookup(row => row.ParentId, row => row.Id);
        var subtree = new List<long> { top.Id };
        for (var i = 0; i < subtree.Count; i++)
        {
            subtree.AddRange(children[subtree[i]]);
        }

        return subtree;
    }
}
