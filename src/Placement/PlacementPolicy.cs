using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Policy;

namespace SharpStack.Placement;

/// <summary>The base rules that Placement's policies refer to (Zed's defaults: new system rules, and the former <c>role:admin</c> beside them).</summary>
internal static class PlacementPolicy
{
    private static readonly DeprecatedRule Former = new(
        "rule:admin_api", "role:admin", "Placement's policies use roles and scopes; the plain admin role is the former rule.", "Wallaby");

    private static readonly PolicyRule[] Base =
    [
        new("admin_api", "role:admin", "Default rule for most placement APIs.", PolicyScope.System),
        new("system_admin_api", "role:admin and system_scope:all", "Default rule for System Admin APIs.", PolicyScope.None, Former),
        new("system_reader_api", "role:reader and system_scope:all", "Default rule for System level read only APIs.", PolicyScope.None, Former),
        new("project_reader_api", "role:reader and project_id:%(project_id)s", "Default rule for Project level read only APIs.", PolicyScope.None, Former),
        new("system_or_project_reader", "rule:system_reader_api or rule:project_reader_api", "Default rule for System+Project read only APIs.", PolicyScope.None, Former),
    ];

    public static PolicyRule Reading(string name, string description) => new(name, "rule:system_reader_api", description, PolicyScope.System);

    public static PolicyRule Changing(string name, string description) => new(name, "rule:system_admin_api", description, PolicyScope.System);

    public static PolicyRule ReadingOwn(string name, string description) =>
        new(name, "rule:system_or_project_reader", description, PolicyScope.System | PolicyScope.Project);

    /// <summary>Zed's Placement enforces neither scopes nor the new defaults unless told to: Nova's service user is an admin of a project.</summary>
    public static PolicyEnforcer Enforcer(ServiceConfig config, IEnumerable<PolicyRule> rules) =>
        PolicyOptions.Enforcer(config, Base.Concat(rules), enforceScope: false, enforceNewDefaults: false);
}
