using LinqToDB.Mapping;

namespace SharpStack.Nova.Aggregates;

[Table("aggregates")]
internal sealed record AggregateRow
{
    [Column("id"), PrimaryKey, Identity]
    public long Id { get; init; }

    [Column("uuid")]
    public required string Uuid { get; init; }

    [Column("name")]
    public required string Name { get; init; }

    [Column("created_at")]
    public long CreatedAt { get; init; }

    [Column("updated_at")]
    public long? UpdatedAt { get; init; }
}

[Table("aggregate_hosts")]
internal sealed record AggregateHostRow
{
    [Column("aggregate_id"), PrimaryKey(0)]
    public long AggregateId { get; init; }

    [Column("host"), PrimaryKey(1)]
    public required string Host { get; init; }
}

[Table("aggregate_metadata")]
internal sealed record AggregateMetadataRow
{
    [Column("aggregate_id"), PrimaryKey(0)]
    public long AggregateId { get; init; }

    [Column("name"), PrimaryKey(1)]
    public required string Name { get; init; }

    [Column("value")]
    public required string Value { get; init; }
}
