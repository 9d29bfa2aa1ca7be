using LinqToDB.Mapping;

namespace SharpStack.Neutron.Storage;

/// <summary>What every resource of the API has. Time stamps are microseconds since 1970.</summary>
internal abstract class ResourceRow
{
    [Column("id", CanBeNull = false), PrimaryKey]
    public string Id { get; set; } = "";

    [Column("project_id", CanBeNull = false)]
    public string ProjectId { get; set; } = "";

    [Column("name", CanBeNull = false)]
    public string Name { get; set; } = "";

    [Column("description", CanBeNull = false)]
    public string Description { get; set; } = "";

    [Column("revision")]
    public long Revision { get; set; }

    [Column("created_at")]
    public long CreatedAt { get; set; }

    [Column("updated_at")]
    public long UpdatedAt { get; set; }
}

/// <summary>What RBAC policies can open to other projects.</summary>
internal interface IShareableRow
{
    string Id { get; }

    /// <summary>A policy shares it with all.</summary>
    bool Shared { get; set; }

    /// <summary>There are policies that share it with single projects: only then they are read.</summary>
    bool SharedSelectively { get; set; }
}

[Table("networks")]
internal sealed class NetworkRow : ResourceRow, IShareableRow
{
    [Column("admin_state_up")]
    public bool AdminStateUp { get; set; }

    [Column("status", CanBeNull = false)]
    public string Status { get; set; } = "";

    [Column("mtu")]
    public int Mtu { get; set; }

    [Column("shared")]
    public bool Shared { get; set; }

    [Column("shared_selectively")]
    public bool SharedSelectively { get; set; }

    [Column("dns_domain", CanBeNull = false)]
    public string DnsDomain { get; set; } = "";

    /// <summary>A policy makes it external, to all or to single projects.</summary>
    [Column("external")]
    public bool External { get; set; }

    [Column("is_default")]
    public bool IsDefault { get; set; }

    [Column("port_security_enabled")]
    public bool PortSecurityEnabled { get; set; }

    [Column("availability_zone_hints", CanBeNull = false)]
    public string AvailabilityZoneHints { get; set; } = "";

    [Column("qos_policy_id")]
    public string? QosPolicyId { get; set; }
}

[Table("subnets")]
internal sealed class SubnetRow : ResourceRow
{
    [Column("network_id", CanBeNull = false)]
    public string NetworkId { get; set; } = "";

    [Column("ip_version")]
    public int IpVersion { get; set; }

    [Column("cidr", CanBeNull = false)]
    public string Cidr { get; set; } = "";

    [Column("gateway_ip")]
    public string? GatewayIp { get; set; }

    [Column("enable_dhcp")]
    public bool EnableDhcp { get; set; }

    [Column("ipv6_ra_mode")]
    public string? Ipv6RaMode { get; set; }

    [Column("ipv6_address_mode")]
    public string? Ipv6AddressMode { get; set; }

    [Column("allocation_pools", CanBeNull = false)]
    public string AllocationPools { get; set; } = "";

    [Column("dns_nameservers", CanBeNull = false)]
    public string DnsNameservers { get; set; } = "";

    [Column("host_routes", CanBeNull = false)]
    public string HostRoutes { get; set; } = "";

    [Column("service_types", CanBeNull = false)]
    public string ServiceTypes { get; set; } = "";

    [Column("subnetpool_id")]
    public string? SubnetPoolId { get; set; }

    [Column("segment_id")]
    public string? SegmentId { get; set; }

    [Column("dns_publish_fixed_ip")]
    public bool DnsPublishFixedIp { get; set; }
}

[Table("ports")]
internal sealed class PortRow : ResourceRow
{
    [Column("network_id", CanBeNull = false)]
    public string NetworkId { get; set; } = "";

    [Column("mac_address", CanBeNull = false)]
    public string MacAddress { get; set; } = "";

    [Column("admin_state_up")]
    public bool AdminStateUp { get; set; }

    [Column("status", CanBeNull = false)]
    public string Status { get; set; } = "";

    [Column("device_id", CanBeNull = false)]
    public string DeviceId { get; set; } = "";

    [Column("device_owner", CanBeNull = false)]
    public string DeviceOwner { get; set; } = "";

    [Column("port_security_enabled")]
    public bool PortSecurityEnabled { get; set; }

    [Column("allowed_address_pairs", CanBeNull = false)]
    public string AllowedAddressPairs { get; set; } = "";

    [Column("extra_dhcp_opts", CanBeNull = false)]
    public string ExtraDhcpOpts { get; set; } = "";

    [Column("host", CanBeNull = false)]
    public string Host { get; set; } = "";

    [Column("vnic_type", CanBeNull = false)]
    public string VnicType { get; set; } = "";

    [Column("profile", CanBeNull = false)]
    public string Profile { get; set; } = "";

    [Column("vif_type", CanBeNull = false)]
    public string VifType { get; set; } = "";

    [Column("vif_details", CanBeNull = false)]
    public string VifDetails { get; set; } = "";

    /// <summary>The segment of its network that it is bound to; null where it is bound to none, or was before segments were noted.</summary>
    [Column("bound_segment_id")]
    public string? BoundSegmentId { get; set; }

    [Column("data_plane_status")]
    public string? DataPlaneStatus { get; set; }

    [Column("dns_name", CanBeNull = false)]
    public string DnsName { get; set; } = "";

    [Column("dns_domain", CanBeNull = false)]
    public string DnsDomain { get; set; } = "";

    [Column("propagate_uplink_status")]
    public bool PropagateUplinkStatus { get; set; }

    /// <summary><c>immediate</c>, <c>deferred</c> or <c>none</c>.</summary>
    [Column("ip_allocation", CanBeNull = false)]
    public string IpAllocation { get; set; } = "immediate";

    [Column("qos_policy_id")]
    public string? QosPolicyId { get; set; }
}

/// <summary>A binding of a port to a host where it is to be active later.</summary>
[Table("port_bindings")]
internal sealed class PortBindingRow
{
    [Column("port_id", CanBeNull = false), PrimaryKey]
    public string PortId { get; set; } = "";

    [Column("host", CanBeNull = false), PrimaryKey]
    public string Host { get; set; } = "";

    [Column("vnic_type", CanBeNull = false)]
    public string VnicType { get; set; } = "";

    [Column("profile", CanBeNull = false)]
    public string Profile { get; set; } = "";

    [Column("vif_type", CanBeNull = false)]
    public string VifType { get; set; } = "";

    [Column("vif_details", CanBeNull = false)]
    public string VifDetails { get; set; } = "";
}

[Table("address_scopes")]
internal sealed class AddressScopeRow : ResourceRow, IShareableRow
{
    [Column("ip_version")]
    public int IpVersion { get; set; }

    [Column("shared")]
    public bool Shared { get; set; }

    [Column("shared_selectively")]
    public bool SharedSelectively { get; set; }
}

[Table("subnetpools")]
internal sealed class SubnetPoolRow : ResourceRow, IShareableRow
{
    [Column("ip_version")]
    public int IpVersion { get; set; }

    [Column("prefixes", CanBeNull = false)]
    public string Prefixes { get; set; } = "";

    [Column("min_prefixlen")]
    public int MinPrefixLength { get; set; }

    [Column("max_prefixlen")]
    public int MaxPrefixLength { get; set; }

    [Column("default_prefixlen")]
    public int DefaultPrefixLength { get; set; }

    [Column("default_quota")]
    public int? DefaultQuota { get; set; }

    [Column("is_default")]
    public bool IsDefault { get; set; }

    [Column("address_scope_id")]
    public string? AddressScopeId { get; set; }

    [Column("shared")]
    public bool Shared { get; set; }

    [Column("shared_selectively")]
    public bool SharedSelectively { get; set; }
}

[Table("rbac_policies")]
internal sealed class RbacPolicyRow : ResourceRow
{
    [Column("object_type", CanBeNull = false)]
    public string ObjectType { get; set; } = "";

    [Column("object_id", CanBeNull = false)]
    public string ObjectId { get; set; } = "";

    [Column("action", CanBeNull = false)]
    public string Action { get; set; } = "";

    /// <summary>A project, or <c>*</c>.</summary>
    [Column("target", CanBeNull = false)]
    public string Target { get; set; } = "";
}

[Table("network_segment_ranges")]
internal sealed class NetworkSegmentRangeRow : ResourceRow
{
    [Column("is_default")]
    public bool IsDefault { get; set; }

    [Column("shared")]
    public bool Shared { get; set; }

    [Column("network_type", CanBeNull = false)]
    public string NetworkType { get; set; } = "";

    [Column("physical_network")]
    public string? PhysicalNetwork { get; set; }

    [Column("minimum")]
    public int Minimum { get; set; }

    [Column("maximum")]
    public int Maximum { get; set; }
}

[Table("auto_allocated_topologies")]
internal sealed class AutoAllocatedTopologyRow
{
    [Column("project_id", CanBeNull = false), PrimaryKey]
    public string ProjectId { get; set; } = "";

    [Column("network_id", CanBeNull = false)]
    public string NetworkId { get; set; } = "";

    [Column("router_id")]
    public string? RouterId { get; set; }
}

[Table("security_groups")]
internal sealed class SecurityGroupRow : ResourceRow, IShareableRow
{
    [Column("shared")]
    public bool Shared { get; set; }

    [Column("shared_selectively")]
    public bool SharedSelectively { get; set; }

    [Column("stateful")]
    public bool Stateful { get; set; }

    [Column("is_default")]
    public bool IsDefault { get; set; }
}

/// <summary>What traffic a rule of a security group lets through.</summary>
internal abstract class TrafficRow : ResourceRow
{
    [Column("remote_group_id")]
    public string? RemoteGroupId { get; set; }

    [Column("remote_address_group_id")]
    public string? RemoteAddressGroupId { get; set; }

    [Column("direction", CanBeNull = false)]
    public string Direction { get; set; } = "";

    [Column("ethertype", CanBeNull = false)]
    public string Ethertype { get; set; } = "";

    [Column("protocol")]
    public string? Protocol { get; set; }

    [Column("port_range_min")]
    public int? PortRangeMin { get; set; }

    [Column("port_range_max")]
    public int? PortRangeMax { get; set; }

    [Column("remote_ip_prefix")]
    public string? RemoteIpPrefix { get; set; }
}

[Table("security_group_rules")]
internal sealed class SecurityGroupRuleRow : TrafficRow
{
    [Column("security_group_id", CanBeNull = false)]
    public string SecurityGroupId { get; set; } = "";
}

/// <summary>A rule that new security groups begin with.</summary>
[Table("default_security_group_rules")]
internal sealed class DefaultSecurityGroupRuleRow : TrafficRow
{
    /// <summary>As the group of the other side: the group itself that the rule comes to be in.</summary>
    public const string Parent = "PARENT";

    [Column("used_in_default_sg")]
    public bool UsedInDefault { get; set; }

    [Column("used_in_non_default_sg")]
    public bool UsedInOthers { get; set; }
}

[Table("segment_allocations")]
internal sealed class SegmentAllocationRow
{
    [Column("network_type", CanBeNull = false), PrimaryKey]
    public string NetworkType { get; set; } = "";

    [Column("physical_network", CanBeNull = false), PrimaryKey]
    public string PhysicalNetwork { get; set; } = "";

    [Column("segmentation_id"), PrimaryKey]
    public int SegmentationId { get; set; }
}

[Table("network_segments")]
internal sealed class SegmentRow : ResourceRow
{
    [Column("network_id", CanBeNull = false)]
    public string NetworkId { get; set; } = "";

    [Column("network_type", CanBeNull = false)]
    public string NetworkType { get; set; } = "";

    [Column("physical_network")]
    public string? PhysicalNetwork { get; set; }

    [Column("segmentation_id")]
    public int? SegmentationId { get; set; }

    [Column("segment_index")]
    public int SegmentIndex { get; set; }
}

[Table("ip_allocations")]
internal sealed class IpAllocationRow
{
    [Column("network_id", CanBeNull = false), PrimaryKey]
    public string NetworkId { get; set; } = "";

    [Column("ip_address", CanBeNull = false), PrimaryKey]
    public string IpAddress { get; set; } = "";

    [Column("subnet_id", CanBeNull = false)]
    public string SubnetId { get; set; } = "";

    [Column("port_id", CanBeNull = false)]
    public string PortId { get; set; } = "";

    [Column("position")]
    public int Position { get; set; }
}

[Table("provisioning_blocks")]
internal sealed class ProvisioningBlockRow
{
    [Column("port_id", CanBeNull = false), PrimaryKey]
    public string PortId { get; set; } = "";

    [Column("entity", CanBeNull = false), PrimaryKey]
    public string Entity { get; set; } = "";
}

[Table("default_security_groups")]
internal sealed class DefaultSecurityGroupRow
{
    [Column("project_id", CanBeNull = false), PrimaryKey]
    public string ProjectId { get; set; } = "";

    [Column("security_group_id", CanBeNull = false)]
    public string SecurityGroupId { get; set; } = "";
}

[Table("port_security_groups")]
internal sealed class PortSecurityGroupRow
{
    [Column("port_id", CanBeNull = false), PrimaryKey]
    public string PortId { get; set; } = "";

    [Column("security_group_id", CanBeNull = false), PrimaryKey]
    public string SecurityGroupId { get; set; } = "";
}

[Table("agents")]
internal sealed class AgentRow
{
    [Column("id", CanBeNull = false), PrimaryKey]
    public string Id { get; set; } = "";

    [Column("agent_type", CanBeNull = false)]
    public string AgentType { get; set; } = "";

    [Column("binary", CanBeNull = false)]
    public string Binary { get; set; } = "";

    [Column("host", CanBeNull = false)]
    public string Host { get; set; } = "";

    [Column("topic", CanBeNull = false)]
    public string Topic { get; set; } = "";

    [Column("availability_zone", CanBeNull = false)]
    public string AvailabilityZone { get; set; } = "";

    [Column("admin_state_up")]
    public bool AdminStateUp { get; set; }

    [Column("description")]
    public string? Description { get; set; }

    [Column("configurations", CanBeNull = false)]
    public string Configurations { get; set; } = "";

    [Column("created_at")]
    public long CreatedAt { get; set; }

    [Column("started_at")]
    public long StartedAt { get; set; }

    [Column("heartbeat_at")]
    public long HeartbeatAt { get; set; }

    /// <summary>Whether Placement has what the agent guarantees; null where it guarantees nothing.</summary>
    [Column("resources_synced")]
    public bool? ResourcesSynced { get; set; }
}

[Table("network_dhcp_agents")]
internal sealed class NetworkDhcpAgentRow
{
    [Column("network_id", CanBeNull = false), PrimaryKey]
    public string NetworkId { get; set; } = "";

    [Column("agent_id", CanBeNull = false), PrimaryKey]
    public string AgentId { get; set; } = "";
}

[Table("quotas")]
internal sealed class QuotaRow
{
    [Column("project_id", CanBeNull = false), PrimaryKey]
    public string ProjectId { get; set; } = "";

    [Column("resource", CanBeNull = false), PrimaryKey]
    public string Resource { get; set; } = "";

    [Column("limit")]
    public int Limit { get; set; }
}

[Table("tags")]
internal sealed class TagRow
{
    [Column("resource_id", CanBeNull = false), PrimaryKey]
    public string ResourceId { get; set; } = "";

    [Column("tag", CanBeNull = false), PrimaryKey]
    public string Tag { get; set; } = "";
}

[Table("nova_events")]
internal sealed class NovaEventRow
{
    [Column("id"), PrimaryKey, Identity]
    public long Id { get; set; }

    [Column("name", CanBeNull = false)]
    public string Name { get; set; } = "";

    [Column("server_id", CanBeNull = false)]
    public string ServerId { get; set; } = "";

    [Column("tag")]
    public string? Tag { get; set; }

    [Column("status", CanBeNull = false)]
    public string Status { get; set; } = "";
}
