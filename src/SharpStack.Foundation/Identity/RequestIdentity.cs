namespace SharpStack.Foundation.Identity;

/// <summary>Who asks, as a validated token says. Shared between requests: never changed.</summary>
public sealed record RequestIdentity
{
    private Policy.PolicyCredentials? credentials;

    public required string UserId { get; init; }

    public required string UserName { get; init; }

    public required string UserDomainId { get; init; }

    public string UserDomainName { get; init; } = "";

    public string? ProjectId { get; init; }

    public string? ProjectName { get; init; }

    public string? ProjectDomainId { get; init; }

    public string? ProjectDomainName { get; init; }

    /// <summary>Set for a token scoped to a domain.</summary>
    public string? DomainId { get; init; }

    public string? DomainName { get; init; }

    /// <summary><c>all</c> for a token scoped to the system.</summary>
    public string? SystemScope { get; init; }

    /// <summary>Names of the effective roles, implied ones included.</summary>
    public IReadOnlyList<string> Roles { get; init; } = [];

    public IReadOnlyList<string> RoleIds { get; init; } = [];

    public bool IsAdminProject { get; init; } = true;

    public DateTimeOffset IssuedAt { get; init; }

    public DateTimeOffset ExpiresAt { get; init; }

    public IReadOnlyList<string> Methods { get; init; } = [];

    public IReadOnlyList<string> AuditIds { get; init; } = [];

    /// <summary>Set for a token that was issued by a trust.</summary>
    public string? TrustId { get; init; }

    public string? TrustorUserId { get; init; }

    public string? TrusteeUserId { get; init; }

    /// <summary>Set for a token that was issued by an application credential.</summary>
    public string? ApplicationCredentialId { get; init; }

    /// <summary>The application credential may not make others, or trusts.</summary>
    public bool IsRestricted { get; init; }

    /// <summary>The requests that the application credential may make; null where it may make all.</summary>
    public IReadOnlyList<AccessRule>? AccessRules { get; init; }

    /// <summary>Set for a token that was issued by an OAuth 1.0a access token.</summary>
    public string? AccessTokenId { get; init; }

    /// <summary>The service on whose behalf a request comes, where it showed a token of its own beside the user's.</summary>
    public RequestIdentity? Service { get; private init; }

    /// <summary>For the policy engine; made once for each identity.</summary>
    public Policy.PolicyCredentials Credentials => credentials ??= new Policy.PolicyCredentials
    {
        UserId = UserId,
        UserDomainId = UserDomainId,
        ProjectId = ProjectId,
        ProjectDomainId = ProjectDomainId,
        DomainId = DomainId,
        SystemScope = SystemScope,
        Roles = Roles,
        IsAdminProject = IsAdminProject,
        ServiceUserId = Service?.UserId,
        ServiceProjectId = Service?.ProjectId,
        ServiceRoles = Service?.Roles ?? [],
        Values = TrustId is null ? null : new Dictionary<string, string?>
        {
            ["trust_id"] = TrustId, ["trustor_id"] = TrustorUserId, ["trustee_id"] = TrusteeUserId,
        },
    };

    /// <summary>The caller's own project and user: the target of most policy rules.</summary>
    internal Policy.PolicyTarget OwnTarget => field ??= Policy.PolicyTarget.Of(
        ("project_id", ProjectId), ("tenant_id", ProjectId), ("user_id", UserId), ("domain_id", DomainId));

    /// <summary>The same user, asking through a service.</summary>
    public RequestIdentity Through(RequestIdentity service) => this with { Service = service, credentials = null };

    public bool HasRole(string role) => Roles.Contains(role, StringComparer.OrdinalIgnoreCase);
}

/// <summary>Turns a token into who holds it: Keystone in this process, or Keystone by HTTP with a cache.</summary>
public interface ITokenValidator
{
    /// <returns>Null for a token that is unknown, expired, revoked or malformed.</returns>
    /// <exception cref="CloudException">Keystone cannot be reached (<see cref="ErrorKind.ServiceUnavailable"/>).</exception>
    ValueTask<RequestIdentity?> ValidateAsync(string token, CancellationToken cancellationToken);

    /// <summary>
    /// The same for a token that a service passes on: work that began in time may end after the token did, within Keystone's <c>allow_expired_window</c>.
    /// </summary>
    ValueTask<RequestIdentity?> ValidateExpiredAsync(string token, CancellationToken cancellationToken) => ValidateAsync(token, cancellationToken);
}
