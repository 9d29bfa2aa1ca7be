using SharpStack.Foundation.Identity;
using SharpStack.Foundation.Storage;
using SharpStack.Keystone.Storage;

namespace SharpStack.Keystone.Tokens;

/// <summary>A user in a scope, with the roles that are in effect there: what a token stands for at this moment.</summary>
/// <param name="Project">For a project-scoped token.</param>
/// <param name="Domain">The project's domain, or the domain of a domain-scoped token.</param>
/// <param name="Roles">Global roles, implied ones included; none where unscoped.</param>
/// <param name="Catalog">The rendered catalog; null where unscoped.</param>
internal sealed record Authorization(
    UserRow User,
    ProjectRow UserDomain,
    long? PasswordExpiresAt,
    PayloadKind Kind,
    ProjectRow? Project,
    ProjectRow? Domain,
    IReadOnlyList<RoleRow> Roles,
    byte[]? Catalog)
{
    /// <summary>The part of the identity that all tokens of this user and scope share.</summary>
    public RequestIdentity Identity => field ??= new RequestIdentity
    {
        UserId = User.Id,
        UserName = User.Name,
        UserDomainId = UserDomain.Id,
        UserDomainName = UserDomain.Name,
        ProjectId = Project?.Id,
        ProjectName = Project?.Name,
        ProjectDomainId = Project is null ? null : Domain?.Id,
        ProjectDomainName = Project is null ? null : Domain?.Name,
        DomainId = Kind == PayloadKind.Domain ? Domain?.Id : null,
        DomainName = Kind == PayloadKind.Domain ? Domain?.Name : null,
        SystemScope = Kind == PayloadKind.System ? "all" : null,
        Roles = [.. Roles.Select(static r => r.Name)],
        RoleIds = [.. Roles.Select(static r => r.Id)],
    };
}

/// <summary>A token that was issued or validated.</summary>
internal sealed record Token(string Id, TokenPayload Payload, DateTimeOffset IssuedAt, Authorization Authorization)
{
    public RequestIdentity Identity => field ??= Authorization.Identity with
    {
        IssuedAt = IssuedAt,
        ExpiresAt = Payload.ExpiresAt,
        Methods = Payload.Methods.Names(),
        AuditIds = Payload.AuditIds,
    };

    public bool IsExpired(DateTimeOffset now, TimeSpan window = default) => now >= Payload.ExpiresAt + window;

    public long IssuedAtMicroseconds => Timestamps.ToMicroseconds(IssuedAt);
}
