using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.Api;

/// <summary>The tags of resources, read with one query for a whole list.</summary>
internal static class Tags
{
    public static async Task<ILookup<string, string>> LoadAsync(DataConnection db, List<string> ids, CancellationToken cancellationToken) =>
        (await db.GetTable<TagRow>().WhereIn(tag => tag.ResourceId, ids).OrderBy(tag => tag.Tag).ToListAsync(cancellationToken)).ToLookup(tag => tag.ResourceId, tag => tag.Tag);
}
