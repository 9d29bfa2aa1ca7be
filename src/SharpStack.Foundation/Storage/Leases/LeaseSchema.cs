using FluentMigrator.Builders.Create;
using LinqToDB.Mapping;

namespace SharpStack.Foundation.Storage.Leases;

/// <summary>The tables of leases; each service's database that shares work has its own.</summary>
public static class LeaseSchema
{
    /// <summary>To be called by one migration of the service.</summary>
    public static void Add(ICreateExpressionRoot create)
    {
        create.Table("lease_owners")
            .WithColumn("id").AsString(36).PrimaryKey()
            .WithColumn("kind").AsString(64).NotNullable()
            .WithColumn("host").AsString(255).NotNullable()
            .WithColumn("process").AsString(255).NotNullable()
            .WithColumn("beat").AsInt64().NotNullable()
            .WithColumn("beat_at").AsInt64().NotNullable();
        create.Table("leases")
            .WithColumn("name").AsString(255).PrimaryKey()
            .WithColumn("owner").AsString(36).NotNullable().Indexed("ix_leases_owner")
            .WithColumn("token").AsInt64().NotNullable();
    }
}

/// <summary>A process that takes work: alive as long as its beat grows.</summary>
[Table("lease_owners")]
internal sealed record LeaseOwnerRow
{
    [Column("id"), PrimaryKey]
    public required string Id { get; init; }

    /// <summary>What work it takes; owners of one kind share it.</summary>
    [Column("kind")]
    public required string Kind { get; init; }

    [Column("host")]
    public required string Host { get; init; }

    /// <summary>See <see cref="ProcessIdentity"/>.</summary>
    [Column("process")]
    public required string Process { get; init; }

    /// <summary>Others compare it with what they saw before, by their own clocks: no two clocks need to agree.</summary>
    [Column("beat")]
    public long Beat { get; init; }

    /// <summary>For people who look at the table; nothing is decided by it.</summary>
    [Column("beat_at")]
    public long BeatAt { get; init; }
}

[Table("leases")]
internal sealed record LeaseRow
{
    [Column("name"), PrimaryKey]
    public required string Name { get; init; }

    /// <summary>Empty for none.</summary>
    [Column("owner")]
    public required string Owner { get; init; }

    /// <summary>The fence: grows each time the lease changes hands.</summary>
    [Column("token")]
    public long Token { get; init; }
}
