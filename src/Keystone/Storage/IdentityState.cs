using LinqToDB.Mapping;

namespace SharpStack.Keystone.Storage;

/// <summary>One row for the whole database.</summary>
[Table("identity_state")]
internal sealed record IdentityStateRow
{
    public const int TheOne = 1;

    [Column("id"), PrimaryKey]
    public required int Id { get; init; }

    /// <summary>Raised by every write.</summary>
    [Column("revision")]
    public required long Revision { get; init; }

    /// <summary>Random, and the same for all processes on this database: protects what they share through a cache, and tells it from another cloud's.</summary>
    [Column("secret")]
    public required string Secret { get; init; }
}
