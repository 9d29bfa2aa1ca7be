using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Policy;

namespace SharpStack.Nova.Policies;

/// <summary>Nova's rules under their names in Zed, with their former checks.</summary>
internal static class NovaPolicies
{
    public const string ContextIsAdmin = "context_is_admin";

    private const string Compute = "os_compute_api:";
    private const string Admin = "rule:context_is_admin";
    private const string Member = "rule:project_member_or_admin";
    private const string Reader = "rule:project_reader_or_admin";
    private const string Owner = "rule:admin_or_owner";
    private const string KeyOwner = "(rule:context_is_admin) or user_id:%(user_id)s";

    private static readonly DeprecatedRule FormerOwner = new(Owner, "is_admin:True or role:admin or project_id:%(project_id)s", "Nova's rules ask for a role in the project since Wallaby.", "21.0.0");

    private static readonly PolicyRule[] Base =
    [
        new(ContextIsAdmin, "role:admin", "Decides what is required for the 'is_admin:True' check to succeed.", PolicyScope.None),
        new("admin_or_owner", "is_admin:True or role:admin or project_id:%(project_id)s", "Default rule for most non-Admin APIs, of old.", PolicyScope.None),
        new("admin_api", "is_admin:True or role:admin", "Default rule for most Admin APIs, of old.", PolicyScope.None),
        new("project_member_api", "role:member and project_id:%(project_id)s", "Default rule for Project level non admin APIs.", PolicyScope.None, FormerOwner),
        new("project_reader_api", "role:reader and project_id:%(project_id)s", "Default rule for Project level read only APIs.", PolicyScope.None, FormerOwner),
        new("project_member_or_admin", "rule:project_member_api or rule:context_is_admin", "Default rule for Project Member or admin APIs.", PolicyScope.None, FormerOwner),
        new("project_reader_or_admin", "rule:project_reader_api or rule:context_is_admin", "Default rule for Project reader or admin APIs.", PolicyScope.None, FormerOwner),
    ];

    private static readonly (string Check, string? Former, string[] Names)[] Rules =
    [
        (Admin, null,
        [
            "os-admin-actions:reset_state", "os-availability-zone:detail", "os-extended-server-attributes", "os-flavor-access:add_tenant_access",
            "os-flavor-access:remove_tenant_access", "os-flavor-extra-specs:create", "os-flavor-extra-specs:update", "os-flavor-extra-specs:delete",
            "os-flavor-manage:create", "os-flavor-manage:update", "os-flavor-manage:delete", "os-instance-actions:events:details", "os-instance-actions:events",
            "os-lock-server:unlock:unlock_override", "os-quota-class-sets:show", "os-quota-class-sets:update", "os-quota-sets:update", "os-quota-sets:delete",
            "os-server-external-events:create", "servers:index:get_all_tenants", "servers:detail:get_all_tenants", "servers:allow_all_filters",
            "servers:show:host_status", "servers:show:host_status:unknown-only", "servers:create:forced_host", "servers:create:zero_disk_flavor",
            "os-simple-tenant-usage:list", "os-server-groups:index:all_projects", "os-aggregates:index", "os-aggregates:show", "os-aggregates:create",
            "os-aggregates:update", "os-aggregates:delete", "os-aggregates:add_host", "os-aggregates:remove_host", "os-aggregates:set_metadata",
            "os-migrations:index", "servers:migrations:index", "servers:migrations:show", "os-server-diagnostics",
        ]),
        (Member, null,
        [
            "os-console-output", "os-lock-server:lock", "os-lock-server:unlock", "server-metadata:create", "server-metadata:update_all", "server-metadata:update",
            "server-metadata:delete", "os-server-tags:delete_all", "os-server-tags:update_all", "os-server-tags:delete", "os-server-tags:update", "servers:create",
            "servers:create:attach_volume", "servers:create:attach_network", "servers:create:trusted_certs", "servers:delete", "servers:update", "servers:reboot",
            "servers:create_image", "servers:start", "servers:stop", "os-server-groups:create", "os-server-groups:delete",
        ]),
        (Member, "os-attach-interfaces", ["os-attach-interfaces:create", "os-attach-interfaces:delete"]),
        (Reader, "os-attach-interfaces", ["os-attach-interfaces:list", "os-attach-interfaces:show"]),
        (Member, "os-deferred-delete", ["os-deferred-delete:force"]),
        (Member, "os-security-groups", ["os-security-groups:add", "os-security-groups:remove"]),
        (Reader, "os-security-groups", ["os-security-groups:list"]),
        (Reader, "os-instance-actions", ["os-instance-actions:list", "os-instance-actions:show"]),
        (Reader, "os-flavor-extra-specs:index", ["servers:show:flavor-extra-specs"]),
        (Reader, null,
        [
            "os-flavor-extra-specs:show", "os-flavor-extra-specs:index", "ips:show", "ips:index", "os-quota-sets:show", "os-quota-sets:detail",
            "server-metadata:index", "server-metadata:show", "os-server-tags:index", "os-server-tags:show", "servers:index", "servers:detail", "servers:show",
            "os-simple-tenant-usage:show", "os-server-groups:index", "os-server-groups:show",
        ]),
        ("@", null, ["os-availability-zone:list", "extensions", "limits", "os-quota-sets:defaults"]),
        (Admin, "os-flavor-access", ["os-flavor-access"]),
        (Admin, "os-hypervisors",
        [
            "os-hypervisors:list", "os-hypervisors:list-detail", "os-hypervisors:statistics", "os-hypervisors:show", "os-hypervisors:uptime",
            "os-hypervisors:search", "os-hypervisors:servers",
        ]),
        (Admin, "os-hosts", ["os-hosts:list", "os-hosts:show", "os-hosts:update", "os-hosts:start", "os-hosts:shutdown", "os-hosts:reboot"]),
        (Admin, "os-instance-usage-audit-log", ["os-instance-usage-audit-log:list", "os-instance-usage-audit-log:show"]),
        (Admin, "os-services", ["os-services:list", "os-services:update", "os-services:delete"]),
        (Admin, "os-used-limits", ["limits:other_project"]),
        (KeyOwner, null, ["os-keypairs:index", "os-keypairs:create", "os-keypairs:delete", "os-keypairs:show"]),
    ];

    public static IEnumerable<PolicyRule> All { get; } =
    [
        .. Base,
        .. Rules.SelectMany(group => group.Names.Select(name => new PolicyRule(
            Compute + name,
            group.Check,
            Deprecated: group.Former is null ? null : new DeprecatedRule(Compute + group.Former, group.Check == Admin ? "rule:admin_api" : Owner)))),
        new("compute:servers:create:requested_destination", Admin),
        new("compute:aggregates:images", Admin),
        new("network:attach_external_network", Admin),
    ];

    public static PolicyEnforcer Enforcer(ServiceConfig config) => PolicyOptions.Enforcer(config, All);
}
