using LinqToDB;
using LinqToDB.Data;
using LinqToDB.Mapping;

namespace SharpStack.Keystone.OAuth1;

/// <summary>A program of a third party that users may let act for them.</summary>
[Table("oauth_consumers")]
internal sealed record ConsumerRow
{
    [Column("id"), PrimaryKey]
    public required string Id { get; init; }

    [Column("description")]
    public string? Description { get; init; }

    /// <summary>Signs the requests, so it is kept as it is; shown at the creation only.</summary>
    [Column("secret")]
    public required string Secret { get; init; }

    [Column("extra")]
    public string Extra { get; init; } = "{}";
}

/// <summary>A consumer's wish to act on a project, which a user may grant.</summary>
[Table("oauth_request_tokens")]
internal sealed record RequestTokenRow
{
    [Column("id"), PrimaryKey]
    public required string Id { get; init; }

    [Column("secret")]
    public required string Secret { get; init; }

    [Column("consumer_id")]
    public required string ConsumerId { get; init; }

    [Column("project_id")]
    public required string ProjectId { get; init; }

    /// <summary>Known to the user who granted it, and by them to the consumer.</summary>
    [Column("verifier")]
    public string? Verifier { get; init; }

    [Column("user_id")]
    public string? UserId { get; init; }

    /// <summary>Ids with commas between them.</summary>
    [Column("role_ids")]
    public string RoleIds { get; init; } = "";

    [Column("expires_at")]
    public long? ExpiresAt { get; init; }
}

/// <summary>What was granted: the consumer acts for the user on the project with the roles.</summary>
[Table("oauth_access_tokens")]
internal sealed record AccessTokenRow
{
    [Column("id"), PrimaryKey]
    public required string Id { get; init; }

    [Column("secret")]
    public required string Secret { get; init; }

    [Column("consumer_id")]
    public required string ConsumerId { get; init; }

    [Column("project_id")]
    public required string ProjectId { get; init; }

    [Column("user_id")]
    public required string UserId { get; init; }

    /// <summary>Ids with commas between them.</summary>
    [Column("role_ids")]
    public string RoleIds { get; init; } = "";

    [Column("expires_at")]
    public long? ExpiresAt { get; init; }

    public IReadOnlyList<string> Roles => RoleIds.Split(',', StringSplitOptions.RemoveEmptyEntries);
}

internal static class OAuthTables
{
    public static ITable<ConsumerRow> Consumers(this DataConnection db) => db.GetTable<ConsumerRow>();

    public static ITable<RequestTokenRow> RequestTokens(this DataConnection db) => db.GetTable<RequestTokenRow>();

    public static ITable<AccessTokenRow> AccessTokens(this DataConnection db) => db.GetTable<AccessTokenRow>();
}
