using System.Security.Cryptography;
using System.Text;
using LinqToDB;
using LinqToDB.Data;
using LinqToDB.Mapping;

namespace SharpStack.Keystone.Directories;

/// <summary>Which user or group of which directory an id stands for.</summary>
[Table("id_mappings")]
internal sealed record IdMappingRow
{
    public const string User = "user";
    public const string Group = "group";

    [Column("public_id"), PrimaryKey]
    public required string PublicId { get; init; }

    [Column("domain_id")]
    public required string DomainId { get; init; }

    [Column("local_id")]
    public required string LocalId { get; init; }

    [Column("entity_type")]
    public required string EntityType { get; init; }

    /// <summary>The mapping with the id that OpenStack's <c>sha256</c> generator makes, so that grants made under one service hold under the other.</summary>
    public static IdMappingRow Of(string domainId, string localId, string entityType) => new()
    {
        PublicId = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(domainId + entityType + localId))),
        DomainId = domainId,
        LocalId = localId,
        EntityType = entityType,
    };
}

internal static class IdMappingTables
{
    public static ITable<IdMappingRow> IdMappings(this DataConnection db) => db.GetTable<IdMappingRow>();
}
