using LinqToDB;
using LinqToDB.Data;
using LinqToDB.Mapping;

namespace SharpStack.Keystone.ApplicationCredentials;

/// <summary>A secret with which a program acts for its owner on one project, with some of the owner's roles.</summary>
[Table("application_credentials")]
internal sealed record ApplicationCredentialRow
{
    [Column("id"), PrimaryKey]
    public required string Id { get; init; }

    [Column("name")]
    public required string Name { get; init; }

    [Column("name_key")]
    public required string NameKey { get; init; }

    [Column("user_id")]
    public required string UserId { get; init; }

    [Column("project_id")]
    public required string ProjectId { get; init; }

    [Column("secret_hash")]
    public required string SecretHash { get; init; }

    [Column("description")]
    public string? Description { get; init; }

    [Column("expires_at")]
    public long? ExpiresAt { get; init; }

    /// <summary>Its tokens may make application credentials and trusts.</summary>
    [Column("unrestricted")]
    public bool Unrestricted { get; init; }

    /// <summary>It was made with rules. One that has lost all of them allows nothing, where one without rules allows everything.</summary>
    [Column("has_access_rules")]
    public bool HasAccessRules { get; init; }
}

[Table("application_credential_roles")]
internal sealed record ApplicationCredentialRoleRow
{
    [Column("application_credential_id"), PrimaryKey(1)]
    public required string ApplicationCredentialId { get; init; }

    [Column("role_id"), PrimaryKey(2)]
    public required string RoleId { get; init; }
}

/// <summary>A request that an application credential may make: a service's type, a method and a pattern of the path.</summary>
[Table("access_rules")]
internal sealed record AccessRuleRow
{
    [Column("id"), PrimaryKey]
    public required string Id { get; init; }

    [Column("user_id")]
    public required string UserId { get; init; }

    [Column("service")]
    public required string Service { get; init; }

    [Column("path")]
    public required string Path { get; init; }

    [Column("method")]
    public required string Method { get; init; }
}

[Table("application_credential_access_rules")]
internal sealed record ApplicationCredentialAccessRuleRow
{
    [Column("application_credential_id"), PrimaryKey(1)]
    public required string ApplicationCredentialId { get; init; }

    [Column("access_rule_id"), PrimaryKey(2)]
    public required string AccessRuleId { get; init; }
}

internal static class ApplicationCredentialTables
{
    public static ITable<ApplicationCredentialRow> ApplicationCredentials(this DataConnection db) => db.GetTable<ApplicationCredentialRow>();

    public static ITable<ApplicationCredentialRoleRow> ApplicationCredentialRoles(this DataConnection db) => db.GetTable<ApplicationCredentialRoleRow>();

    public static ITable<AccessRuleRow> AccessRules(this DataConnection db) => db.GetTable<AccessRuleRow>();

    public static ITable<ApplicationCredentialAccessRuleRow> ApplicationCredentialAccessRules(this DataConnection db) => db.GetTable<ApplicationCredentialAccessRuleRow>();
}
