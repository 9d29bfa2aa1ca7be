using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation;
using SharpStack.Foundation.Identity;
using SharpStack.Foundation.Storage;
using SharpStack.Glance.Members;
using SharpStack.Glance.Storage;

namespace SharpStack.Glance.Images;

/// <summary>Who looks, as far as it decides what there is to see.</summary>
internal readonly record struct Viewer(string? ProjectId, bool IsAdmin);

/// <summary>Reads and writes images; what a viewer may not see is not there.</summary>
internal sealed class ImageRepository(GlanceDatabase database, TimeProvider time)
{
    public static CloudException NotFound(string id) => CloudException.NotFound($"No image found with ID {id}");

    public async Task<Image> GetAsync(string id, Viewer viewer, CancellationToken cancellationToken)
    {
        using var session = database.Service.Read();
        return await FindAsync(session, id, viewer, cancellationToken) ?? throw NotFound(id);
    }

    /// <summary>One page of a list: the images in one query, their properties and tags in one each.</summary>
    public async Task<IReadOnlyList<Image>> ListAsync(ImageQuery query, Viewer viewer, CancellationToken cancellationToken)
    {
        using var session = database.Service.Read();
        var marker = query.Marker is null ? null : await FindAsync(session, query.Marker, viewer, cancellationToken)
            ?? throw CloudException.BadRequest($"No image found with ID {query.Marker}");
        var rows = await query.Apply(session, viewer, marker?.Row).ToListAsync(cancellationToken);
        if (rows.Count == 0)
        {
            return [];
        }

        var ids = rows.ConvertAll(row => row.Id);
        var properties = (await session.GetTable<ImagePropertyRow>().Where(row => ids.Contains(row.ImageId)).ToListAsync(cancellationToken)).ToLookup(row => row.ImageId);
        var tags = (await session.GetTable<ImageTagRow>().Where(row => ids.Contains(row.ImageId)).ToListAsync(cancellationToken)).ToLookup(row => row.ImageId);
        // Only shared images of others have the viewer as member: all that a list without rights shows of them is there through the membership.
        return rows.ConvertAll(row => Assemble(row, properties[row.Id], tags[row.Id], row.Visibility == ImageVisibility.Shared && row.Owner != viewer.ProjectId && !viewer.IsAdmin ? viewer.ProjectId : null));
    }

    public async Task AddAsync(Image image, CancellationToken cancellationToken)
    {
        try
        {
            await database.Service.WriteAsync(
                async session =>
                {
                    await session.InsertAsync(image.Row, token: cancellationToken);
                    await AddDetailsAsync(session, image, cancellationToken);
                },
                cancellationToken);
        }
        catch (UniqueConstraintException)
        {
            throw CloudException.Conflict($"Image ID {image.Row.Id} already exists!");
        }
    }

    /// <summary>Changes an image in one transaction; <paramref name="change"/> gives the new one and throws to refuse.</summary>
    public Task<Image> ChangeAsync(string id, Viewer viewer, Func<Image, Image> change, CancellationToken cancellationToken) =>
        database.Service.WriteAsync(
            async session =>
            {
                var before = await FindAsync(session, id, viewer, cancellationToken) ?? throw NotFound(id);
                var after = change(before);
                if (ReferenceEquals(before, after))
                {
                    return before;
                }

                after = after with { Row = after.Row with { Revision = before.Row.Revision + 1, UpdatedAt = time.NowMicroseconds() } };
                await session.UpdateAsync(after.Row, token: cancellationToken);
                if (!ReferenceEquals(before.Properties, after.Properties) || !ReferenceEquals(before.Tags, after.Tags))
                {
                    await RemoveDetailsAsync(session, id, cancellationToken);
                    await AddDetailsAsync(session, after, cancellationToken);
                }

                return after;
            },
            cancellationToken);

    /// <summary>Marks an image deleted and drops what hangs on it; its data is the caller's to delete.</summary>
    public Task<Image> DeleteAsync(string id, Viewer viewer, Action<Image> check, CancellationToken cancellationToken) =>
        database.Service.WriteAsync(
            async session =>
            {
                var image = await FindAsync(session, id, viewer, cancellationToken) ?? throw CloudException.NotFound($"Failed to find image {id} to delete");
                check(image);
                await session.UpdateAsync(image.Row with { Status = ImageStatus.Deleted, Claim = null, Revision = image.Row.Revision + 1, UpdatedAt = time.NowMicroseconds() }, token: cancellationToken);
                await RemoveDetailsAsync(session, id, cancellationToken);
                await session.GetTable<MemberRow>().Where(row => row.ImageId == id).DeleteAsync(cancellationToken);
                return image;
            },
            cancellationToken);

    /// <summary>Bytes that a project's images take.</summary>
    public async Task<long> StoredAsync(string? owner, CancellationToken cancellationToken)
    {
        using var session = database.Service.Read();
        return await session.GetTable<ImageRow>().Where(row => row.Owner == owner && row.Status != ImageStatus.Deleted).SumAsync(row => row.Size ?? 0, cancellationToken);
    }

    internal static async Task<Image?> FindAsync(DataConnection session, string id, Viewer viewer, CancellationToken cancellationToken)
    {
        var row = await session.GetTable<ImageRow>().FirstOrDefaultAsync(image => image.Id == id && image.Status != ImageStatus.Deleted, cancellationToken);
        if (row is null)
        {
            return null;
        }

        var isMember = viewer.ProjectId is not null && row.Visibility == ImageVisibility.Shared && row.Owner != viewer.ProjectId
            && await session.GetTable<MemberRow>().AnyAsync(member => member.ImageId == id && member.Member == viewer.ProjectId, cancellationToken);
        if (!viewer.IsAdmin && !isMember && (row.Owner is null || row.Owner != viewer.ProjectId) && row.Visibility is not (ImageVisibility.Public or ImageVisibility.Community))
        {
            return null;
        }

        var properties = await session.GetTable<ImagePropertyRow>().Where(property => property.ImageId == id).ToListAsync(cancellationToken);
        var tags = await session.GetTable<ImageTagRow>().Where(tag => tag.ImageId == id).ToListAsync(cancellationToken);
        return Assemble(row, properties, tags, isMember ? viewer.ProjectId : null);
    }

    private static Image Assemble(ImageRow row, IEnumerable<ImagePropertyRow> properties, IEnumerable<ImageTagRow> tags, string? member) =>
        new(
            row,
            properties.ToDictionary(property => property.Name, property => property.Value, StringComparer.Ordinal),
            tags.Select(tag => tag.Value).ToHashSet(StringComparer.Ordinal),
            member);

    private static async Task RemoveDetailsAsync(DataConnection session, string id, CancellationToken cancellationToken)
    {
        await session.GetTable<ImagePropertyRow>().Where(row => row.ImageId == id).DeleteAsync(cancellationToken);
        await session.GetTable<ImageTagRow>().Where(row => row.ImageId == id).DeleteAsync(cancellationToken);
    }

    private static async Task AddDetailsAsync(DataConnection session, Image image, CancellationToken cancellationToken)
    {
        await session.BulkCopyAsync(image.Properties.Select(pair => new ImagePropertyRow { ImageId = image.Row.Id, Name = pair.Key, Value = pair.Value }), cancellationToken);
        await session.BulkCopyAsync(image.Tags.Select(tag => new ImageTagRow { ImageId = image.Row.Id, Value = tag }), cancellationToken);
    }
}
