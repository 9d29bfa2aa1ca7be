using LinqToDB;
using LinqToDB.Data;
using LinqToDB.Mapping;

namespace SharpStack.Keystone.Storage;

// Names are kept twice: as given, and folded to lower case for look-ups and uniqueness, alike on every database engine.

[Table("users")]
internal sealed record UserRow
{
    [Column("id"), PrimaryKey]
    public required string Id { get; init; }

    [Column("domain_id")]
    public required string DomainId { get; init; }

    [Column("name")]
    public required string Name { get; init; }

    [Column("name_key")]
    public required string NameKey { get; init; }

    [Column("enabled")]
    public required bool Enabled { get; init; }

    [Column("default_project_id")]
    public string? DefaultProjectId { get; init; }

    [Column("extra")]
    public string Extra { get; init; } = "{}";

    [Column("options")]
    public string Options { get; init; } = "{}";

    [Column("created_at")]
    public required long CreatedAt { get; init; }

    /// <summary>Wrong passwords since the last right one.</summary>
    [Column("failed_auth_count")]
    public int FailedAuthCount { get; init; }

    [Column("failed_auth_at")]
    public long? FailedAuthAt { get; init; }

    /// <summary>The last log-in, where inactive users are disabled.</summary>
    [Column("last_active_at")]
    public long? LastActiveAt { get; init; }

    /// <summary>What the directory calls a user who is kept there; null for the users of this table.</summary>
    public string? LocalId { get; init; }

    /// <summary>Made for somebody whom an identity provider vouched for, and named by it.</summary>
    public bool IsFederated => NameKey == FederatedKeyOf(Id);

    /// <summary>What stands for the name of such a user: providers do not agree on names, so these users are found by their ids only.</summary>
    public static string FederatedKeyOf(string id) => $"federated:{id}";
}

[Table("passwords")]
internal sealed record PasswordRow
{
    [Column("id"), PrimaryKey, Identity]
    public long Id { get; init; }

    [Column("user_id")]
    public required string UserId { get; init; }

    [Column("hash")]
    public required string Hash { get; init; }

    [Column("created_at")]
    public required long CreatedAt { get; init; }

    [Column("expires_at")]
    public long? ExpiresAt { get; init; }

    /// <summary>Set by the user, and not by an administrator.</summary>
    [Column("self_service")]
    public bool SelfService { get; init; }
}

[Table("identity_groups")]
internal sealed record GroupRow
{
    [Column("id"), PrimaryKey]
    public required string Id { get; init; }

    [Column("domain_id")]
    public required string DomainId { get; init; }

    [Column("name")]
    public required string Name { get; init; }

    [Column("name_key")]
    public required string NameKey { get; init; }

    [Column("description")]
    public string? Description { get; init; }

    [Column("extra")]
    public string Extra { get; init; } = "{}";

    /// <summary>What the directory calls a group that is kept there; null for the groups of this table.</summary>
    public string? LocalId { get; init; }
}

[Table("memberships")]
internal sealed record MembershipRow
{
    [Column("user_id"), PrimaryKey(1)]
    public required string UserId { get; init; }

    [Column("group_id"), PrimaryKey(2)]
    public required string GroupId { get; init; }
}

/// <summary>A project, or a domain: a project that acts as one and belongs to none.</summary>
[Table("projects")]
internal sealed record ProjectRow
{
    [Column("id"), PrimaryKey]
    public required string Id { get; init; }

    [Column("name")]
    public required string Name { get; init; }

    [Column("name_key")]
    public required string NameKey { get; init; }

    /// <summary>The domain's id; empty for a domain.</summary>
    [Column("domain_id")]
    public required string DomainId { get; init; }

    [Column("parent_id")]
    public string? ParentId { get; init; }

    [Column("is_domain")]
    public required bool IsDomain { get; init; }

    [Column("enabled")]
    public required bool Enabled { get; init; }

    [Column("description")]
    public string? Description { get; init; }

    [Column("extra")]
    public string Extra { get; init; } = "{}";

    [Column("options")]
    public string Options { get; init; } = "{}";
}

[Table("project_tags")]
internal sealed record ProjectTagRow
{
    [Column("project_id"), PrimaryKey(1)]
    public required string ProjectId { get; init; }

    [Column("name"), PrimaryKey(2)]
    public required string Name { get; init; }
}

[Table("roles")]
internal sealed record RoleRow
{
    [Column("id"), PrimaryKey]
    public required string Id { get; init; }

    [Column("name")]
    public required string Name { get; init; }

    [Column("name_key")]
    public required string NameKey { get; init; }

    /// <summary>Empty for a global role.</summary>
    [Column("domain_id")]
    public required string DomainId { get; init; }

    [Column("description")]
    public string? Description { get; init; }

    [Column("extra")]
    public string Extra { get; init; } = "{}";

    [Column("options")]
    public string Options { get; init; } = "{}";
}

[Table("implied_roles")]
internal sealed record ImpliedRoleRow
{
    [Column("prior_role_id"), PrimaryKey(1)]
    public required string PriorRoleId { get; init; }

    [Column("implied_role_id"), PrimaryKey(2)]
    public required string ImpliedRoleId { get; init; }
}

[Table("assignments")]
internal sealed record AssignmentRow
{
    public const string User = "user";
    public const string Group = "group";
    public const string Project = "project";
    public const string Domain = "domain";
    public const string System = "system";

    /// <summary><see cref="User"/> or <see cref="Group"/>.</summary>
    [Column("actor_type"), PrimaryKey(1)]
    public required string ActorType { get; init; }

    [Column("actor_id"), PrimaryKey(2)]
    public required string ActorId { get; init; }

    /// <summary><see cref="Project"/>, <see cref="Domain"/> or <see cref="System"/>.</summary>
    [Column("target_type"), PrimaryKey(3)]
    public required string TargetType { get; init; }

    /// <summary>The project's or the domain's id; <c>all</c> for the system.</summary>
    [Column("target_id"), PrimaryKey(4)]
    public required string TargetId { get; init; }

    [Column("role_id"), PrimaryKey(5)]
    public required string RoleId { get; init; }

    /// <summary>The role is held on the projects below the target, not on the target.</summary>
    [Column("inherited"), PrimaryKey(6)]
    public required bool Inherited { get; init; }
}

[Table("regions")]
internal sealed record RegionRow
{
    [Column("id"), PrimaryKey]
    public required string Id { get; init; }

    [Column("parent_region_id")]
    public string? ParentRegionId { get; init; }

    [Column("description")]
    public string Description { get; init; } = "";

    [Column("extra")]
    public string Extra { get; init; } = "{}";
}

[Table("services")]
internal sealed record ServiceRow
{
    [Column("id"), PrimaryKey]
    public required string Id { get; init; }

    [Column("type")]
    public required string Type { get; init; }

    [Column("name")]
    public string? Name { get; init; }

    [Column("enabled")]
    public required bool Enabled { get; init; }

    [Column("extra")]
    public string Extra { get; init; } = "{}";
}

[Table("endpoints")]
internal sealed record EndpointRow
{
    [Column("id"), PrimaryKey]
    public required string Id { get; init; }

    [Column("service_id")]
    public required string ServiceId { get; init; }

    [Column("interface")]
    public required string Interface { get; init; }

    [Column("region_id")]
    public string? RegionId { get; init; }

    [Column("url")]
    public required string Url { get; init; }

    [Column("enabled")]
    public required bool Enabled { get; init; }

    [Column("extra")]
    public string Extra { get; init; } = "{}";
}

/// <summary>What makes tokens invalid that have not expired; exactly one of the four ids is set.</summary>
[Table("revocations")]
internal sealed record RevocationRow
{
    [Column("id"), PrimaryKey, Identity]
    public long Id { get; init; }

    [Column("audit_id")]
    public string? AuditId { get; init; }

    [Column("audit_chain_id")]
    public string? AuditChainId { get; init; }

    [Column("user_id")]
    public string? UserId { get; init; }

    /// <summary>A project or a domain.</summary>
    [Column("scope_id")]
    public string? ScopeId { get; init; }

    /// <summary>Tokens issued up to then are revoked.</summary>
    [Column("issued_before")]
    public required long IssuedBefore { get; init; }
}

/// <summary>A secret that a user keeps here, such as an EC2 or TOTP key; the blob is encrypted with the keys of its own repository.</summary>
[Table("credentials")]
internal sealed record CredentialRow
{
    [Column("id"), PrimaryKey]
    public required string Id { get; init; }

    [Column("user_id")]
    public required string UserId { get; init; }

    [Column("project_id")]
    public string? ProjectId { get; init; }

    [Column("type")]
    public required string Type { get; init; }

    [Column("encrypted_blob")]
    public required string EncryptedBlob { get; init; }

    /// <summary>The SHA-1 of the key that encrypted the blob; null for rows older than this column.</summary>
    [Column("key_hash")]
    public string? KeyHash { get; init; }

    [Column("extra")]
    public string Extra { get; init; } = "{}";
}

/// <summary>A text that is kept for other services; Keystone itself does not read it.</summary>
[Table("policies")]
internal sealed record PolicyBlobRow
{
    [Column("id"), PrimaryKey]
    public required string Id { get; init; }

    [Column("type")]
    public required string Type { get; init; }

    [Column("blob")]
    public required string Blob { get; init; }

    [Column("extra")]
    public string Extra { get; init; } = "{}";
}

internal static class Tables
{
    public static ITable<CredentialRow> Credentials(this DataConnection db) => db.GetTable<CredentialRow>();

    public static ITable<PolicyBlobRow> PolicyBlobs(this DataConnection db) => db.GetTable<PolicyBlobRow>();

    public static ITable<UserRow> Users(this DataConnection db) => db.GetTable<UserRow>();

    public static ITable<PasswordRow> Passwords(this DataConnection db) => db.GetTable<PasswordRow>();

    public static ITable<GroupRow> Groups(this DataConnection db) => db.GetTable<GroupRow>();

    public static ITable<MembershipRow> Memberships(this DataConnection db) => db.GetTable<MembershipRow>();

    public static ITable<ProjectRow> Projects(this DataConnection db) => db.GetTable<ProjectRow>();

    public static ITable<ProjectTagRow> ProjectTags(this DataConnection db) => db.GetTable<ProjectTagRow>();

    public static ITable<RoleRow> Roles(this DataConnection db) => db.GetTable<RoleRow>();

    public static ITable<ImpliedRoleRow> ImpliedRoles(this DataConnection db) => db.GetTable<ImpliedRoleRow>();

    public static ITable<AssignmentRow> Assignments(this DataConnection db) => db.GetTable<AssignmentRow>();

    public static ITable<RegionRow> Regions(this DataConnection db) => db.GetTable<RegionRow>();

    public static ITable<ServiceRow> Services(this DataConnection db) => db.GetTable<ServiceRow>();

    public static ITable<EndpointRow> Endpoints(this DataConnection db) => db.GetTable<EndpointRow>();

    public static ITable<RevocationRow> Revocations(this DataConnection db) => db.GetTable<RevocationRow>();
}
