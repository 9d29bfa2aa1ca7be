using LinqToDB;
using LinqToDB.Data;
using LinqToDB.Mapping;

namespace SharpStack.Keystone.Federation;

[Table("identity_providers")]
internal sealed record IdentityProviderRow
{
    [Column("id"), PrimaryKey]
    public required string Id { get; init; }

    /// <summary>Where the provider's users live.</summary>
    [Column("domain_id")]
    public required string DomainId { get; init; }

    [Column("enabled")]
    public required bool Enabled { get; init; }

    [Column("description")]
    public string? Description { get; init; }

    /// <summary>Minutes for which group memberships that a mapping gave outlive the token; null for the configured default.</summary>
    [Column("authorization_ttl")]
    public int? AuthorizationTtl { get; init; }
}

/// <summary>A name by which the provider calls itself in what it vouches for: an issuer, an entity id.</summary>
[Table("idp_remote_ids")]
internal sealed record RemoteIdRow
{
    [Column("remote_id"), PrimaryKey]
    public required string RemoteId { get; init; }

    [Column("idp_id")]
    public required string IdpId { get; init; }
}

[Table("federation_protocols")]
internal sealed record ProtocolRow
{
    [Column("idp_id"), PrimaryKey(1)]
    public required string IdpId { get; init; }

    [Column("id"), PrimaryKey(2)]
    public required string Id { get; init; }

    [Column("mapping_id")]
    public required string MappingId { get; init; }

    /// <summary>The attribute of the assertion that holds the remote id; null for the configured one.</summary>
    [Column("remote_id_attribute")]
    public string? RemoteIdAttribute { get; init; }
}

[Table("mappings")]
internal sealed record MappingRow
{
    [Column("id"), PrimaryKey]
    public required string Id { get; init; }

    /// <summary>A JSON array.</summary>
    [Column("rules")]
    public required string Rules { get; init; }

    /// <summary>One of <see cref="MappingRules.Versions"/>.</summary>
    [Column("schema_version")]
    public required string SchemaVersion { get; init; }
}

[Table("service_providers")]
internal sealed record ServiceProviderRow
{
    [Column("id"), PrimaryKey]
    public required string Id { get; init; }

    [Column("auth_url")]
    public required string AuthUrl { get; init; }

    [Column("sp_url")]
    public required string SpUrl { get; init; }

    [Column("enabled")]
    public required bool Enabled { get; init; }

    [Column("description")]
    public string? Description { get; init; }

    [Column("relay_state_prefix")]
    public required string RelayStatePrefix { get; init; }
}

/// <summary>Which local user stands for somebody whom a provider vouches for.</summary>
[Table("federated_users")]
internal sealed record FederatedUserRow
{
    [Column("idp_id"), PrimaryKey(1)]
    public required string IdpId { get; init; }

    [Column("protocol_id"), PrimaryKey(2)]
    public required string ProtocolId { get; init; }

    [Column("unique_id"), PrimaryKey(3)]
    public required string UniqueId { get; init; }

    [Column("user_id")]
    public required string UserId { get; init; }

    [Column("display_name")]
    public string? DisplayName { get; init; }
}

/// <summary>A membership that a mapping gave; it counts until the provider's time to live has passed.</summary>
[Table("expiring_memberships")]
internal sealed record ExpiringMembershipRow
{
    [Column("user_id"), PrimaryKey(1)]
    public required string UserId { get; init; }

    [Column("group_id"), PrimaryKey(2)]
    public required string GroupId { get; init; }

    [Column("idp_id"), PrimaryKey(3)]
    public required string IdpId { get; init; }

    [Column("last_verified")]
    public required long LastVerified { get; init; }
}

internal static class FederationTables
{
    public static ITable<IdentityProviderRow> IdentityProviders(this DataConnection db) => db.GetTable<IdentityProviderRow>();

    public static ITable<RemoteIdRow> RemoteIds(this DataConnection db) => db.GetTable<RemoteIdRow>();

    public static ITable<ProtocolRow> FederationProtocols(this DataConnection db) => db.GetTable<ProtocolRow>();

    public static ITable<MappingRow> Mappings(this DataConnection db) => db.GetTable<MappingRow>();

    public static ITable<ServiceProviderRow> ServiceProviders(this DataConnection db) => db.GetTable<ServiceProviderRow>();

    public static ITable<FederatedUserRow> FederatedUsers(this DataConnection db) => db.GetTable<FederatedUserRow>();

    public static ITable<ExpiringMembershipRow> ExpiringMemberships(this DataConnection db) => db.GetTable<ExpiringMembershipRow>();
}
