using LinqToDB;
using LinqToDB.Data;
using LinqToDB.Mapping;

namespace SharpStack.Keystone.Trusts;

/// <summary>A user (the trustor) lets another one (the trustee) act with some of the trustor's roles on a project.</summary>
[Table("trusts")]
internal sealed record TrustRow
{
    [Column("id"), PrimaryKey]
    public required string Id { get; init; }

    [Column("trustor_user_id")]
    public required string TrustorUserId { get; init; }

    [Column("trustee_user_id")]
    public required string TrusteeUserId { get; init; }

    [Column("project_id")]
    public string? ProjectId { get; init; }

    /// <summary>The trustee's tokens are in the name of the trustor.</summary>
    [Column("impersonation")]
    public required bool Impersonation { get; init; }

    [Column("expires_at")]
    public long? ExpiresAt { get; init; }

    /// <summary>Tokens that may still be issued; null for any number.</summary>
    [Column("remaining_uses")]
    public int? RemainingUses { get; init; }

    /// <summary>The trust that this one passes on.</summary>
    [Column("redelegated_trust_id")]
    public string? RedelegatedTrustId { get; init; }

    /// <summary>How many times the trustee may still pass it on.</summary>
    [Column("redelegation_count")]
    public int RedelegationCount { get; init; }

    [Column("extra")]
    public string Extra { get; init; } = "{}";
}

[Table("trust_roles")]
internal sealed record TrustRoleRow
{
    [Column("trust_id"), PrimaryKey(1)]
    public required string TrustId { get; init; }

    [Column("role_id"), PrimaryKey(2)]
    public required string RoleId { get; init; }
}

internal static class TrustTables
{
    public static ITable<TrustRow> Trusts(this DataConnection db) => db.GetTable<TrustRow>();

    public static ITable<TrustRoleRow> TrustRoles(this DataConnection db) => db.GetTable<TrustRoleRow>();
}
