using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Mapping;
using SharpStack.Foundation;
using SharpStack.Foundation.Storage;
using SharpStack.Glance.Storage;

namespace SharpStack.Glance.Members;

/// <summary>A project that an image is shared with, and what it thinks of that: pending, accepted or rejected.</summary>
[Table("image_members")]
internal sealed record MemberRow
{
    [PrimaryKey(0), Column("image_id")]
    public required string ImageId { get; init; }

    [PrimaryKey(1), Column("member")]
    public required string Member { get; init; }

    [Column("status")]
    public required string Status { get; init; }

    [Column("created_at")]
    public long CreatedAt { get; init; }

    [Column("updated_at")]
    public long UpdatedAt { get; init; }
}

internal sealed class MemberRepository(GlanceDatabase database, GlanceConfig config, TimeProvider time)
{
    public async Task<IReadOnlyList<MemberRow>> ListAsync(string imageId, CancellationToken cancellationToken)
    {
        using var session = database.Service.Read();
        return await session.GetTable<MemberRow>().Where(row => row.ImageId == imageId).OrderBy(row => row.CreatedAt).ThenBy(row => row.Member).ToListAsync(cancellationToken);
    }

    public async Task<MemberRow> GetAsync(string imageId, string member, CancellationToken cancellationToken)
    {
        using var session = database.Service.Read();
        return await session.GetTable<MemberRow>().FirstOrDefaultAsync(row => row.ImageId == imageId && row.Member == member, cancellationToken) ?? throw NotFound(imageId, member);
    }

    public async Task<MemberRow> AddAsync(string imageId, string member, CancellationToken cancellationToken)
    {
        var now = time.NowMicroseconds();
        var row = new MemberRow { ImageId = imageId, Member = member, Status = "pending", CreatedAt = now, UpdatedAt = now };
        var quota = config.Get(GlanceOptions.ImageMemberQuota);
        await database.Service.WriteAsync(
            async session =>
            {
                var members = session.GetTable<MemberRow>().Where(other => other.ImageId == imageId);
                if (await members.AnyAsync(other => other.Member == member, cancellationToken))
                {
                    throw CloudException.Conflict($"Member {member} is duplicated for image {imageId}");
                }

                var attempted = await members.CountAsync(cancellationToken) + 1;
                if (quota >= 0 && attempted > quota)
                {
                    throw new CloudException(
                        ErrorKind.PayloadTooLarge,
                        $"Image member limit exceeded for image {imageId}: The limit has been exceeded on the number of allowed image members for this image. Attempted: {attempted}, Maximum: {quota}:");
                }

                await session.InsertAsync(row, token: cancellationToken);
            },
            cancellationToken);
        return row;
    }

    public async Task<MemberRow> SetStatusAsync(MemberRow row, string status, CancellationToken cancellationToken)
    {
        var after = row with { Status = status, UpdatedAt = time.NowMicroseconds() };
        return await database.Service.WriteAsync(session => session.UpdateAsync(after, token: cancellationToken), cancellationToken) == 1 ? after : throw NotFound(row.ImageId, row.Member);
    }

    public async Task RemoveAsync(string imageId, string member, CancellationToken cancellationToken)
    {
        if (await database.Service.WriteAsync(session => session.GetTable<MemberRow>().Where(row => row.ImageId == imageId && row.Member == member).DeleteAsync(cancellationToken), cancellationToken) == 0)
        {
            throw NotFound(imageId, member);
        }
    }

    private static CloudException NotFound(string imageId, string member) => CloudException.NotFound($"{member} not found in the member list of the image {imageId}.");
}
