using LinqToDB;
using LinqToDB.Data;
using LinqToDB.Mapping;

namespace SharpStack.Keystone.DomainConfigs;

/// <summary>One option of a domain's own configuration.</summary>
[Table("domain_configs")]
internal sealed record DomainConfigRow
{
    [Column("domain_id"), PrimaryKey(1)]
    public required string DomainId { get; init; }

    [Column("config_group"), PrimaryKey(2)]
    public required string Group { get; init; }

    [Column("config_option"), PrimaryKey(3)]
    public required string Option { get; init; }

    /// <summary>JSON.</summary>
    [Column("config_value")]
    public required string Value { get; init; }

    /// <summary>Never given back: a password.</summary>
    [Column("is_sensitive")]
    public required bool IsSensitive { get; init; }
}

internal static class DomainConfigTables
{
    public static ITable<DomainConfigRow> DomainConfigs(this DataConnection db) => db.GetTable<DomainConfigRow>();
}
