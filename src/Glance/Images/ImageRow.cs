using LinqToDB.Mapping;

namespace SharpStack.Glance.Images;

internal static class ImageStatus
{
    public const string Queued = "queued";
    public const string Saving = "saving";
    public const string Uploading = "uploading";
    public const string Importing = "importing";
    public const string Active = "active";
    public const string Deactivated = "deactivated";
    public const string Deleted = "deleted";
}

internal static class ImageVisibility
{
    public const string Public = "public";
    public const string Community = "community";
    public const string Shared = "shared";
    public const string Private = "private";
}

/// <summary>An image as it is stored; deleted ones stay, so that no id is ever used twice.</summary>
[Table("images")]
internal sealed record ImageRow
{
    [PrimaryKey, Column("id")]
    public required string Id { get; init; }

    [Column("name")]
    public string? Name { get; init; }

    [Column("status")]
    public required string Status { get; init; }

    [Column("visibility")]
    public required string Visibility { get; init; }

    [Column("owner")]
    public string? Owner { get; init; }

    [Column("disk_format")]
    public string? DiskFormat { get; init; }

    [Column("container_format")]
    public string? ContainerFormat { get; init; }

    /// <summary>Bytes; null until there is data.</summary>
    [Column("size")]
    public long? Size { get; init; }

    /// <summary>Bytes of the disk that the data describes; null where unknown.</summary>
    [Column("virtual_size")]
    public long? VirtualSize { get; init; }

    /// <summary>GB.</summary>
    [Column("min_disk")]
    public long MinDisk { get; init; }

    /// <summary>MB.</summary>
    [Column("min_ram")]
    public long MinRam { get; init; }

    [Column("protected")]
    public bool Protected { get; init; }

    [Column("os_hidden")]
    public bool Hidden { get; init; }

    /// <summary>MD5, hexadecimal.</summary>
    [Column("checksum")]
    public string? Checksum { get; init; }

    [Column("os_hash_algo")]
    public string? HashAlgorithm { get; init; }

    [Column("os_hash_value")]
    public string? HashValue { get; init; }

    /// <summary>The store's name; null for the single store of <c>[glance_store]</c>.</summary>
    [Column("store")]
    public string? Store { get; init; }

    /// <summary>The store's own URL of the data.</summary>
    [Column("location")]
    public string? Location { get; init; }

    /// <summary>Names the one upload that may finish while the status is saving.</summary>
    [Column("claim")]
    public string? Claim { get; init; }

    [Column("revision")]
    public long Revision { get; init; }

    [Column("created_at")]
    public long CreatedAt { get; init; }

    [Column("updated_at")]
    public long UpdatedAt { get; init; }
}

[Table("image_properties")]
internal sealed record ImagePropertyRow
{
    [PrimaryKey(0), Column("image_id")]
    public required string ImageId { get; init; }

    [PrimaryKey(1), Column("name")]
    public required string Name { get; init; }

    [Column("value")]
    public required string Value { get; init; }
}

[Table("image_tags")]
internal sealed record ImageTagRow
{
    [PrimaryKey(0), Column("image_id")]
    public required string ImageId { get; init; }

    [PrimaryKey(1), Column("value")]
    public required string Value { get; init; }
}

/// <summary>An image whole: the row, its properties and tags.</summary>
/// <param name="Member">The asking project, where the image is shared with it.</param>
internal sealed record Image(ImageRow Row, IReadOnlyDictionary<string, string> Properties, IReadOnlySet<string> Tags, string? Member);
