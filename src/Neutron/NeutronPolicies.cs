using SharpStack.Foundation.Policy;

namespace SharpStack.Neutron;

/// <summary>Neutron's rules by its names. A resource's own rules stand with the resource in its policy list below.</summary>
internal static class NeutronPolicies
{
    private const string Admin = "rule:admin_only";
    private const string Member = "role:member and project_id:%(project_id)s";
    private const string Reader = "role:reader and project_id:%(project_id)s";
    private const string Any = "rule:regular_user";
    private const string Advanced = "rule:context_is_advsvc";
    private const string NetworkOwner = "rule:network_owner";
    private const string AdminOrMember = $"({Admin}) or ({Member})";
    private const string AdminOrReader = $"({Admin}) or ({Reader})";
    private const string AdminOrOwner = "rule:admin_or_owner";
    private const string AdminOrNetworkOwner = "rule:admin_or_network_owner";
    private const string AdvancedOrNetworkOwner = $"{Advanced} or {NetworkOwner} or {Admin}";

    private const string NoWildcard = "not field:rbac_policy:target_tenant=* and not field:rbac_policy:target_project=*";

    private static readonly string[] TagRules =
    [
        "networks_tags", "subnets_tags", "ports_tags", "security_groups_tags", "subnetpools_tags", "network_segment_ranges_tags", "routers_tags", "floatingips_tags", "policies_tags", "trunks_tags",
    ];

    private static readonly PolicyRule[] Rules =
    [
        Base("context_is_admin", "role:admin"),
        Base("owner", "tenant_id:%(tenant_id)s"),
        Base("admin_or_owner", "rule:context_is_admin or rule:owner"),
        Base("context_is_advsvc", "role:advsvc"),
        Base("admin_or_network_owner", "rule:context_is_admin or tenant_id:%(network:tenant_id)s"),
        Base("admin_owner_or_network_owner", "rule:owner or rule:admin_or_network_owner"),
        Base("network_owner", "tenant_id:%(network:tenant_id)s"),
        Base("admin_only", "rule:context_is_admin"),
        Base("regular_user", ""),
        Base("shared", "field:networks:shared=True"),
        Base("default", "rule:admin_or_owner"),
        Base("shared_address_groups", "field:address_groups:shared=True"),
        Base("sg_owner", "tenant_id:%(security_group:tenant_id)s"),
        Base("admin_or_sg_owner", "rule:context_is_admin or tenant_id:%(security_group:tenant_id)s"),
        Base("admin_owner_or_sg_owner", "rule:owner or rule:admin_or_sg_owner"),
        Base("external", "field:networks:router:external=True"),
        Base("shared_address_scopes", "field:address_scopes:shared=True"),
        Base("shared_security_group", "field:security_groups:shared=True"),
        Base("shared_qos_policy", "field:policies:shared=True"),
        Base("shared_subnetpools", "field:subnetpools:shared=True"),
        Base("restrict_wildcard", $"({NoWildcard}) or {Admin}"),
        Base("admin_or_data_plane_int", "rule:context_is_admin or role:data_plane_integrator"),
        Base("admin_or_ext_parent_owner", "rule:context_is_admin or tenant_id:%(ext_parent:tenant_id)s"),
        Base("ext_parent_owner", "tenant_id:%(ext_parent:tenant_id)s"),
        Base("network_device", "field:port:device_owner=~^network:"),

        Rule("create_network", AdminOrMember, Any),
        .. Each("create_network", Admin, "shared", "router:external", "is_default", "segments", "provider:network_type", "provider:physical_network", "provider:segmentation_id"),
        Rule("create_network:port_security_enabled", AdminOrMember, Any),
        Rule("get_network", $"{AdminOrReader} or rule:shared or rule:external or {Advanced}", $"{AdminOrOwner} or rule:shared or rule:external or {Advanced}"),
        Rule("get_network:router:external", Any),
        .. Each("get_network", Admin, "segments", "provider:network_type", "provider:physical_network", "provider:segmentation_id"),
        Rule("update_network", AdminOrMember, AdminOrOwner),
        .. Each("update_network", Admin, "segments", "shared", "router:external", "is_default", "provider:network_type", "provider:physical_network", "provider:segmentation_id"),
        Rule("update_network:port_security_enabled", AdminOrMember, AdminOrOwner),
        Rule("delete_network", AdminOrMember, AdminOrOwner),

        Rule("create_subnet", $"{AdminOrMember} or {NetworkOwner}", AdminOrNetworkOwner),
        .. Each("create_subnet", Admin, "segment_id", "service_types"),
        Rule("get_subnet", $"{AdminOrReader} or rule:shared", $"{AdminOrOwner} or rule:shared"),
        Rule("get_subnet:segment_id", Admin),
        Rule("update_subnet", $"{AdminOrMember} or {NetworkOwner}", AdminOrNetworkOwner),
        .. Each("update_subnet", Admin, "segment_id", "service_types"),
        Rule("delete_subnet", $"{AdminOrMember} or {NetworkOwner}", AdminOrNetworkOwner),

        Rule("create_port", AdminOrMember, Any),
        Rule("create_port:device_owner", $"not rule:network_device or {AdvancedOrNetworkOwner}"),
        Rule("create_port:mac_address", AdvancedOrNetworkOwner),
        Rule("create_port:fixed_ips", $"{AdvancedOrNetworkOwner} or rule:shared"),
        Rule("create_port:fixed_ips:ip_address", AdvancedOrNetworkOwner),
        Rule("create_port:fixed_ips:subnet_id", $"{AdvancedOrNetworkOwner} or rule:shared"),
        Rule("create_port:port_security_enabled", AdvancedOrNetworkOwner),
        .. Each("create_port", Admin, "binding:host_id", "binding:profile"),
        Rule("create_port:binding:vnic_type", AdminOrMember, Any),
        .. Each("create_port", $"{Admin} or {NetworkOwner}", "allowed_address_pairs", "allowed_address_pairs:mac_address", "allowed_address_pairs:ip_address"),
        Rule("get_port", $"{AdminOrReader} or {Advanced} or {NetworkOwner}", $"{Advanced} or rule:admin_owner_or_network_owner"),
        .. Each("get_port", Admin, "binding:vif_type", "binding:vif_details", "binding:host_id", "binding:profile", "resource_request"),
        Rule("update_port", $"{AdminOrMember} or {Advanced}", $"{AdminOrOwner} or {Advanced}"),
        Rule("update_port:device_owner", $"not rule:network_device or {AdvancedOrNetworkOwner}"),
        Rule("update_port:mac_address", $"{Admin} or {Advanced}"),
        .. Each("update_port", AdvancedOrNetworkOwner, "fixed_ips", "fixed_ips:ip_address", "port_security_enabled"),
        Rule("update_port:fixed_ips:subnet_id", $"{AdvancedOrNetworkOwner} or rule:shared"),
        .. Each("update_port", Admin, "binding:host_id", "binding:profile"),
        Rule("update_port:binding:vnic_type", $"{AdminOrMember} or {Advanced}", $"{AdminOrOwner} or {Advanced}"),
        .. Each("update_port", $"{Admin} or {NetworkOwner}", "allowed_address_pairs", "allowed_address_pairs:mac_address", "allowed_address_pairs:ip_address"),
        Rule("delete_port", $"{AdminOrMember} or {Advanced} or {NetworkOwner}", $"{Advanced} or rule:admin_owner_or_network_owner"),

        .. Each("update_port", $"{Admin} or role:data_plane_integrator", "data_plane_status"),
        .. Plain(Admin, "create_port_binding", "get_port_binding", "update_port_binding", "delete_port_binding", "activate"),

        Rule("create_address_scope", AdminOrMember, Any),
        Rule("create_address_scope:shared", Admin),
        Rule("get_address_scope", $"{AdminOrReader} or rule:shared_address_scopes", $"{AdminOrOwner} or rule:shared_address_scopes"),
        Rule("update_address_scope", AdminOrMember, AdminOrOwner),
        Rule("update_address_scope:shared", Admin),
        Rule("delete_address_scope", AdminOrMember, AdminOrOwner),
        Rule("create_subnetpool", AdminOrMember, Any),
        .. Each("create_subnetpool", Admin, "shared", "is_default"),
        Rule("get_subnetpool", $"{AdminOrReader} or rule:shared_subnetpools", $"{AdminOrOwner} or rule:shared_subnetpools"),
        Rule("update_subnetpool", AdminOrMember, AdminOrOwner),
        Rule("update_subnetpool:is_default", Admin),
        Rule("delete_subnetpool", AdminOrMember, AdminOrOwner),
        Rule("onboard_network_subnets", AdminOrMember, AdminOrOwner),
        Rule("add_prefixes", AdminOrMember, AdminOrOwner),
        Rule("remove_prefixes", AdminOrMember, AdminOrOwner),
        .. Plain(Admin, "create_segment", "get_segment", "update_segment", "delete_segment"),
        .. Plain(Admin, "create_network_segment_range", "get_network_segment_range", "update_network_segment_range", "delete_network_segment_range"),
        Rule("create_rbac_policy", AdminOrMember, Any),
        Rule("create_rbac_policy:target_tenant", $"{Admin} or ({NoWildcard})", "rule:restrict_wildcard"),
        Rule("get_rbac_policy", AdminOrReader, AdminOrOwner),
        Rule("update_rbac_policy", AdminOrMember, AdminOrOwner),
        Rule("update_rbac_policy:target_tenant", $"{Admin} or ({NoWildcard})", "rule:restrict_wildcard and rule:admin_or_owner"),
        Rule("delete_rbac_policy", AdminOrMember, AdminOrOwner),

        Rule("create_security_group", AdminOrMember, AdminOrOwner),
        Rule("get_security_group", $"{AdminOrReader} or rule:shared_security_group", Any),
        Rule("update_security_group", AdminOrMember, AdminOrOwner),
        Rule("delete_security_group", AdminOrMember, AdminOrOwner),
        Rule("create_security_group_rule", AdminOrMember, AdminOrOwner),
        Rule("get_security_group_rule", $"{AdminOrReader} or rule:sg_owner", "rule:admin_owner_or_sg_owner"),
        Rule("delete_security_group_rule", AdminOrMember, AdminOrOwner),
        Rule("create_default_security_group_rule", Admin),
        Rule("get_default_security_group_rule", "role:reader", Any),
        Rule("delete_default_security_group_rule", Admin),

        Rule("create_address_group", AdminOrMember, AdminOrOwner),
        Rule("get_address_group", $"{AdminOrReader} or rule:shared_address_groups", $"{AdminOrOwner} or rule:shared_address_groups"),
        Rule("update_address_group", AdminOrMember, AdminOrOwner),
        Rule("delete_address_group", AdminOrMember, AdminOrOwner),

        Rule("create_router", AdminOrMember, Any),
        .. Each("create_router", Admin, "distributed", "ha", "external_gateway_info:enable_snat", "external_gateway_info:external_fixed_ips"),
        .. Owners("create_router", "external_gateway_info", "external_gateway_info:network_id"),
        Rule("get_router", AdminOrReader, AdminOrOwner),
        .. Each("get_router", Admin, "distributed", "ha"),
        Rule("update_router", AdminOrMember, AdminOrOwner),
        .. Each("update_router", Admin, "distributed", "ha", "external_gateway_info:enable_snat", "external_gateway_info:external_fixed_ips"),
        .. Owners("update_router", "external_gateway_info", "external_gateway_info:network_id"),
        Rule("delete_router", AdminOrMember, AdminOrOwner),
        Rule("add_router_interface", AdminOrMember, AdminOrOwner),
        Rule("remove_router_interface", AdminOrMember, AdminOrOwner),
        Rule("add_extraroutes", AdminOrMember, AdminOrOwner),
        Rule("remove_extraroutes", AdminOrMember, AdminOrOwner),
        Rule("create_l3-router", Admin),
        Rule("get_l3-routers", Admin),
        Rule("delete_l3-router", Admin),
        Rule("get_l3-agents", Admin),
        Rule("create_floatingip", AdminOrMember, Any),
        Rule("create_floatingip:floating_ip_address", Admin),
        Rule("get_floatingip", AdminOrReader, AdminOrOwner),
        Rule("update_floatingip", AdminOrMember, AdminOrOwner),
        Rule("delete_floatingip", AdminOrMember, AdminOrOwner),
        Rule("get_floatingip_pool", AdminOrReader, Any),
        .. OfParent("floatingip_port_forwarding"),
        .. OfParent("router_conntrack_helper"),

        Rule("create_trunk", AdminOrMember, Any),
        Rule("get_trunk", AdminOrReader, AdminOrOwner),
        Rule("update_trunk", AdminOrMember, AdminOrOwner),
        Rule("delete_trunk", AdminOrMember, AdminOrOwner),
        Rule("get_subports", AdminOrReader, Any),
        Rule("add_subports", AdminOrMember, AdminOrOwner),
        Rule("remove_subports", AdminOrMember, AdminOrOwner),
        Rule("get_policy", $"{AdminOrReader} or rule:shared_qos_policy", Any),
        .. Plain(Admin, "create_policy", "update_policy", "delete_policy"),
        Rule("get_rule_type", Any),
        .. QosRule("bandwidth_limit", hasAlias: true),
        .. QosRule("dscp_marking", hasAlias: true),
        .. QosRule("minimum_bandwidth", hasAlias: true),
        .. QosRule("minimum_packet_rate", hasAlias: true),
        .. QosRule("packet_rate_limit", hasAlias: false),

        Rule("get_auto_allocated_topology", AdminOrReader, AdminOrOwner),
        Rule("delete_auto_allocated_topology", AdminOrMember, AdminOrOwner),
        Rule("get_quota", Admin),
        Rule("update_quota", Admin),
        Rule("delete_quota", Admin),
        Rule("get_agent", Admin),
        Rule("update_agent", Admin),
        Rule("delete_agent", Admin),
        Rule("create_dhcp-network", Admin),
        Rule("get_dhcp-networks", Admin),
        Rule("delete_dhcp-network", Admin),
        Rule("get_dhcp-agents", Admin),
        Rule("get_network_ip_availability", Admin),
        Rule("get_availability_zone", Any),
        .. Each("get", AdminOrReader, TagRules).Select(rule => rule with { Name = rule.Name.Replace(':', '_') }),
        .. Each("update", AdminOrMember, TagRules).Select(rule => rule with { Name = rule.Name.Replace(':', '_') }),
        .. Each("delete", AdminOrMember, TagRules).Select(rule => rule with { Name = rule.Name.Replace(':', '_') }),
    ];

    private static readonly HashSet<string> Names = [.. Rules.Select(rule => rule.Name)];

    public static IEnumerable<PolicyRule> All => Rules;

    /// <summary>Whether there is a rule of that name: attributes without one are shown to all who see the resource.</summary>
    public static bool Has(string name) => Names.Contains(name);

    private static PolicyRule Base(string name, string check) => new(name, check, Scopes: PolicyScope.None);

    private static PolicyRule Rule(string name, string check, string? before = null) =>
        new(name, check, Deprecated: before is null ? null : new DeprecatedRule(name, before, "The network API supports scopes and default roles.", "Wallaby"));

    /// <summary>Attributes that members of the project may send.</summary>
    private static IEnumerable<PolicyRule> Owners(string rule, params string[] attributes) => attributes.Select(attribute => Rule($"{rule}:{attribute}", AdminOrMember, AdminOrOwner));

    /// <summary>The rules of what belongs to a resource with an owner. The new defaults of Zed forgot administrators; those of later releases have them.</summary>
    private static IEnumerable<PolicyRule> OfParent(string name)
    {
        yield return Rule($"get_{name}", $"{AdminOrReader} or rule:ext_parent_owner", "rule:admin_or_ext_parent_owner");
        foreach (var verb in (string[])["create", "update", "delete"])
        {
            yield return Rule($"{verb}_{name}", $"{AdminOrMember} or rule:ext_parent_owner", "rule:admin_or_ext_parent_owner");
        }
    }

    /// <summary>Whoever sees a policy sees its rules.</summary>
    private static IEnumerable<PolicyRule> QosRule(string type, bool hasAlias)
    {
        foreach (var place in hasAlias ? (string[])["policy", "alias"] : ["policy"])
        {
            var name = $"{place}_{type}_rule";
            yield return Rule($"get_{name}", Any);
            yield return Rule($"update_{name}", Admin);
            yield return Rule($"delete_{name}", Admin);
        }

        yield return Rule($"create_policy_{type}_rule", Admin);
    }

    private static IEnumerable<PolicyRule> Each(string rule, string check, params string[] attributes) => attributes.Select(attribute => Rule($"{rule}:{attribute}", check));

    private static IEnumerable<PolicyRule> Plain(string check, params string[] names) => names.Select(name => Rule(name, check));
}
