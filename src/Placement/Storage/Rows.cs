using LinqToDB.Mapping;

namespace SharpStack.Placement.Storage;

[Table("resource_classes")]
internal sealed record ResourceClassRow
{
    [Column("id"), PrimaryKey]
    public int Id { get; init; }

    [Column("name")]
    public required string Name { get; init; }

    [Column("created_at")]
    public long CreatedAt { get; init; }
}

[Table("traits")]
internal sealed record TraitRow
{
    [Column("id"), PrimaryKey]
    public int Id { get; init; }

    [Column("name")]
    public required string Name { get; init; }

    [Column("created_at")]
    public long CreatedAt { get; init; }
}

[Table("resource_providers")]
internal sealed record ProviderRow
{
    [Column("id"), PrimaryKey, Identity]
    public long Id { get; init; }

    [Column("uuid")]
    public required string Uuid { get; init; }

    [Column("name")]
    public required string Name { get; init; }

    [Column("generation")]
    public long Generation { get; init; }

    [Column("parent_id")]
    public long? ParentId { get; init; }

    /// <summary>Its own id where it has no parent.</summary>
    [Column("root_id")]
    public long RootId { get; init; }

    /// <summary>The database's revision of the last change to this provider, its inventories, traits, aggregates or allocations.</summary>
    [Column("revision")]
    public long Revision { get; init; }

    [Column("created_at")]
    public long CreatedAt { get; init; }

    [Column("updated_at")]
    public long UpdatedAt { get; init; }
}

[Table("inventories")]
internal sealed record InventoryRow
{
    [Column("provider_id"), PrimaryKey]
    public long ProviderId { get; init; }

    [Column("class_id"), PrimaryKey]
    public int ClassId { get; init; }

    [Column("total")]
    public int Total { get; init; }

    [Column("reserved")]
    public int Reserved { get; init; }

    [Column("min_unit")]
    public int MinUnit { get; init; }

    [Column("max_unit")]
    public int MaxUnit { get; init; }

    [Column("step_size")]
    public int StepSize { get; init; }

    [Column("allocation_ratio")]
    public double AllocationRatio { get; init; }

    [Column("updated_at")]
    public long UpdatedAt { get; init; }

    /// <summary>What may be allocated in all.</summary>
    [NotColumn]
    public long Capacity => (long)((Total - (double)Reserved) * AllocationRatio);

    /// <summary>Whether one allocation may have this size, whatever is in use.</summary>
    public bool Permits(long amount) => amount >= MinUnit && amount <= MaxUnit && amount % StepSize == 0;
}

[Table("provider_aggregates")]
internal sealed record ProviderAggregateRow
{
    [Column("provider_id"), PrimaryKey]
    public long ProviderId { get; init; }

    [Column("aggregate"), PrimaryKey]
    public required string Aggregate { get; init; }
}

[Table("provider_traits")]
internal sealed record ProviderTraitRow
{
    [Column("provider_id"), PrimaryKey]
    public long ProviderId { get; init; }

    [Column("trait_id"), PrimaryKey]
    public int TraitId { get; init; }
}

[Table("consumers")]
internal sealed record ConsumerRow
{
    [Column("id"), PrimaryKey, Identity]
    public long Id { get; init; }

    [Column("uuid")]
    public required string Uuid { get; init; }

    [Column("project_id")]
    public required string ProjectId { get; init; }

    [Column("user_id")]
    public required string UserId { get; init; }

    /// <summary>Null for consumers made before microversion 1.38: <c>unknown</c> on the wire.</summary>
    [Column("consumer_type")]
    public string? ConsumerType { get; init; }

    [Column("generation")]
    public long Generation { get; init; }
}

[Table("allocations")]
internal sealed record AllocationRow
{
    [Column("consumer_id"), PrimaryKey]
    public long ConsumerId { get; init; }

    [Column("provider_id"), PrimaryKey]
    public long ProviderId { get; init; }

    [Column("class_id"), PrimaryKey]
    public int ClassId { get; init; }

    [Column("used")]
    public long Used { get; init; }

    [Column("created_at")]
    public long CreatedAt { get; init; }
}

/// <summary>
/// How far the database has changed. Every write transaction begins by raising <see cref="Revision"/>: that makes writers one after the other on every engine,
/// which is what makes claims atomic, and it tells every process how much of its memory is out of date.
/// </summary>
[Table("change_state")]
internal sealed record ChangeState
{
    [Column("id"), PrimaryKey]
    public int Id { get; init; }

    [Column("revision")]
    public long Revision { get; init; }

    /// <summary>The revision that last removed a provider: what is in memory is then read anew as a whole.</summary>
    [Column("structure")]
    public long Structure { get; init; }

    /// <summary>The revision that last changed a resource class or a trait.</summary>
    [Column("names")]
    public long Names { get; init; }
}
