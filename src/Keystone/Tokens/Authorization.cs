using SharpStack.Foundation.Identity;
using SharpStack.Foundation.Storage;
using SharpStack.Keystone.ApplicationCredentials;
using SharpStack.Keystone.Authentication;
using SharpStack.Keystone.OAuth1;
using SharpStack.Keystone.Storage;
using SharpStack.Keystone.Trusts;

namespace SharpStack.Keystone.Tokens;

/// <summary>The users and the bounds of a trust that a token was issued by.</summary>
/// <param name="ValidUntil">When the first trust of its chain ends; null where none does.</param>
internal sealed record TrustDelegation(TrustRow Row, UserRow Trustor, UserRow Trustee, long? ValidUntil);

/// <summary>A user in a scope, with the roles that are in effect there: what a token stands for at this moment.</summary>
/// <param name="User">Whose name the token bears: for a trust with impersonation, the trustor's.</param>
/// <param name="Project">For a token scoped to a project, directly or by delegation.</param>
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
    private RequestIdentity? identity;
    private Rendered? rendered;

    public TrustDelegation? Trust { get; init; }

    public ApplicationCredentialRow? ApplicationCredential { get; init; }

    /// <summary>What the application credential may do; null where it may do all that its roles allow.</summary>
    public IReadOnlyList<AccessRule>? AccessRules { get; init; }

    public AccessTokenRow? AccessToken { get; init; }

    /// <summary>The clouds that Keystone to Keystone leads to, a JSON array; null where there are none.</summary>
    public byte[]? ServiceProviders { get; init; }

    /// <summary>For a user of another's identity provider.</summary>
    public FederatedIdentity? Federation { get; init; }

    /// <summary>When the first of the user's expiring memberships ends, and this is to be found out anew.</summary>
    public long? ValidUntil { get; init; }

    /// <summary>The part of the identity that all tokens of this user and scope share.</summary>
    public RequestIdentity Identity => identity ??= new RequestIdentity
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
        TrustId = Trust?.Row.Id,
        TrustorUserId = Trust?.Trustor.Id,
        TrusteeUserId = Trust?.Trustee.Id,
        ApplicationCredentialId = ApplicationCredential?.Id,
        IsRestricted = ApplicationCredential is { Unrestricted: false },
        AccessRules = AccessRules,
        AccessTokenId = AccessToken?.Id,
    };

    /// <summary>What all tokens of this user and scope have alike in their answers.</summary>
    public TokenPieces Pieces
    {
        get
        {
            // A copy that was made of this one has others.
            if (rendered is not { } known || !ReferenceEquals(known.Of, this))
            {
                rendered = known = new(this, TokenPieces.Of(this));
            }
            return known.Pieces;
        }
    }

    public bool IsStale(DateTimeOffset now) => Timestamps.ToMicroseconds(now) >= ValidUntil;

    /// <summary>The same on the same project, narrowed to what was delegated. Null where no role is left.</summary>
    public Authorization? Narrowed(PayloadKind kind, IReadOnlyList<RoleRow> roles) =>
        roles.Count == 0 ? null : this with { Kind = kind, Roles = roles, identity = null };

    // Not a record: it would compare what it is part of.
    private sealed class Rendered(Authorization of, TokenPieces pieces)
    {
        public Authorization Of => of;

        public TokenPieces Pieces => pieces;
    }
}

/// <summary>A token that was issued or validated.</summary>
internal sealed record Token(string Id, TokenPayload Payload, DateTimeOffset IssuedAt, Authorization Authorization)
{
    /// <summary>False for those of other projects, where an operator has named one for the cloud's administrators.</summary>
    public bool IsAdminProject { get; init; } = true;

    public RequestIdentity Identity => field ??= Authorization.Identity with
    {
        IssuedAt = IssuedAt,
        ExpiresAt = Payload.ExpiresAt,
        Methods = AuthMethodMap.Names(Payload.Methods),
        AuditIds = Payload.AuditIds,
        IsAdminProject = IsAdminProject,
    };

    /// <summary>Whether it has ended, or the trust that it was issued by.</summary>
    public bool IsExpired(DateTimeOffset now, TimeSpan window = default) =>
        now >= Payload.ExpiresAt + window || Timestamps.ToMicroseconds(now) >= Authorization.Trust?.ValidUntil;

    public long IssuedAtMicroseconds => Timestamps.ToMicroseconds(IssuedAt);
}
