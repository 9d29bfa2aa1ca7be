namespace SharpStack.Foundation.Policy;

/// <summary>Who asks, as oslo.context gives it to rules: <c>user_id:%(user_id)s</c>, <c>role:admin</c>, <c>system_scope:all</c>.</summary>
public sealed record PolicyCredentials
{
    public string? UserId { get; init; }
    public string? ProjectId { get; init; }
    public string? DomainId { get; init; }
    public string? UserDomainId { get; init; }
    public string? ProjectDomainId { get; init; }

    /// <summary>Role names; compared without regard to case.</summary>
    public IReadOnlyList<string> Roles { get; init; } = [];

    /// <summary><c>all</c> for a system-scoped token, otherwise null.</summary>
    public string? SystemScope { get; init; }

    public bool IsAdminProject { get; init; } = true;

    /// <summary>The service's own all-powerful context (<c>is_admin:True</c>); never set from a token.</summary>
    public bool IsAdmin { get; init; }

    public string? ServiceUserId { get; init; }
    public string? ServiceProjectId { get; init; }
    public IReadOnlyList<string> ServiceRoles { get; init; } = [];

    /// <summary>Further values by dotted name, such as <c>token.OS-TRUST:trust.id</c>.</summary>
    public IReadOnlyDictionary<string, string?>? Values { get; init; }

    internal PolicyScope Scope =>
        !string.IsNullOrEmpty(SystemScope) ? PolicyScope.System
        : !string.IsNullOrEmpty(DomainId) ? PolicyScope.Domain
        : PolicyScope.Project;

    /// <summary>How to read one named value, chosen when a rule is compiled. Lists and single values differ: a list matches by any element.</summary>
    internal static (Func<PolicyCredentials, string?>? Single, Func<PolicyCredentials, IReadOnlyList<string>>? Many) Accessor(string name) => name switch
    {
        "user_id" or "user" or "token.user.id" => (static c => c.UserId, null),
        "project_id" or "tenant_id" or "tenant" or "token.project.id" => (static c => c.ProjectId, null),
        "domain_id" or "token.domain.id" => (static c => c.DomainId, null),
        "user_domain_id" or "token.user.domain.id" => (static c => c.UserDomainId, null),
        "project_domain_id" or "token.project.domain.id" => (static c => c.ProjectDomainId, null),
        "system_scope" or "system" => (static c => c.SystemScope, null),
        "token.system.all" => (static c => c.SystemScope == "all" ? "True" : null, null),
        "is_admin_project" or "token.is_admin_project" => (static c => PolicyTarget.Format(c.IsAdminProject), null),
        "is_admin" => (static c => PolicyTarget.Format(c.IsAdmin), null),
        "service_user_id" => (static c => c.ServiceUserId, null),
        "service_project_id" => (static c => c.ServiceProjectId, null),
        "roles" or "token.roles.name" => (null, static c => c.Roles),
        "service_roles" => (null, static c => c.ServiceRoles),
        _ => (c => c.Values is { } values && values.TryGetValue(name, out var value) ? value : null, null),
    };
}
