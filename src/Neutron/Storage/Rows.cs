using LinqToDB.Mapping;

namespace SharpStack.Neutron.Storage;

/// <summary>What every resource of the API has. Time stamps are microseconds since 1970.</summary>
internal abstract class ResourceRow
{
    [Column("id"), PrimaryKey]
    public string Id { get; set; } = "";

    [Column("project_id")]
    public string ProjectId { get; set; } = "";

    [Column("name")]
    public string Name { get; set; } = "";

    [Column("description")]
    public string Description { get; set; } = "";

    [Column("revision")]
    public long Revision { get; set; }

    [Column("created_at")]
    public long CreatedAt { get; set; }

    [Column("updated_at")]
    public long UpdatedAt { get; set; }
}

[Table("networks")]
internal sealed class NetworkRow : ResourceRow
{
    [Column("admin_state_up")]
    public bool AdminStateUp { get; set; }

    [Column("status")]
    public string Status { get; set; } = "";

    [Column("mtu")]
    public int Mtu { get; set; }

    [Column("shared")]
    public bool Shared { get; set; }

    [Column("external")]
    public bool External { get; set; }

    [Column("is_default")]
    public bool IsDefault { get; set; }

    [Column("port_security_enabled")]
    public bool PortSecurityEnabled { get; set; }

    [Column("availability_zone_hints")]
    public string AvailabilityZoneHints { get; set; } = "";
}

[Table("subnets")]
internal sealed class SubnetRow : ResourceRow
{
    [Column("network_id")]
    public string NetworkId { get; set; } = "";

    [Column("ip_version")]
    public int IpVersion { get; set; }

    [Column("cidr")]
    public string Cidr { get; set; } = "";

    [Column("gateway_ip")]
    public string? GatewayIp { get; set; }

    [Column("enable_dhcp")]
    public bool EnableDhcp { get; set; }

    [Column("ipv6_ra_mode")]
    public string? Ipv6RaMode { get; set; }

    [Column("ipv6_address_mode")]
    public string? Ipv6AddressMode { get; set; }

    [Column("allocation_pools")]
    public string AllocationPools { get; set; } = "";

    [Column("dns_nameservers")]
    public string DnsNameservers { get; set; } = "";

    [Column("host_routes")]
    public string HostRoutes { get; set; } = "";

    [Column("service_types")]
    public string ServiceTypes { get; set; } = "";
}

[Table("ports")]
internal sealed class PortRow : ResourceRow
{
    [Column("network_id")]
    public string NetworkId { get; set; } = "";

    [Column("mac_address")]
    public string MacAddress { get; set; } = "";

    [Column("admin_state_up")]
    public bool AdminStateUp { get; set; }

    [Column("status")]
    public string Status { get; set; } = "";

    [Column("device_id")]
    public string DeviceId { get; set; } = "";

    [Column("device_owner")]
    public string DeviceOwner { get; set; } = "";

    [Column("port_security_enabled")]
    public bool PortSecurityEnabled { get; set; }

    [Column("allowed_address_pairs")]
    public string AllowedAddressPairs { get; set; } = "";

    [Column("extra_dhcp_opts")]
    public string ExtraDhcpOpts { get; set; } = "";

    [Column("host")]
    public string Host { get; set; } = "";

    [Column("vnic_type")]
    public string VnicType { get; set; } = "";

    [Column("profile")]
    public string Profile { get; set; } = "";

    [Column("vif_type")]
    public string VifType { get; set; } = "";

    [Column("vif_details")]
    public string VifDetails { get; set; } = "";
}

[Table("security_groups")]
internal sealed class SecurityGroupRow : ResourceRow
{
    [Column("stateful")]
    public bool Stateful { get; set; }

    [Column("is_default")]
    public bool IsDefault { get; set; }
}

[Table("security_group_rules")]
internal sealed class SecurityGroupRuleRow : ResourceRow
{
    [Column("security_group_id")]
    public string SecurityGroupId { get; set; } = "";

    [Column("remote_group_id")]
    public string? RemoteGroupId { get; set; }

    [Column("direction")]
    public string Direction { get; set; } = "";

    [Column("ethertype")]
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

[Table("segment_allocations")]
internal sealed class SegmentAllocationRow
{
    [Column("network_type"), PrimaryKey]
    public string NetworkType { get; set; } = "";

    [Column("physical_network"), PrimaryKey]
    public string PhysicalNetwork { get; set; } = "";

    [Column("segmentation_id"), PrimaryKey]
    public int SegmentationId { get; set; }
}

[Table("network_segments")]
internal sealed class SegmentRow
{
    [Column("id"), PrimaryKey]
    public string Id { get; set; } = "";

    [Column("network_id")]
    public string NetworkId { get; set; } = "";

    [Column("network_type")]
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
    [Column("network_id"), PrimaryKey]
    public string NetworkId { get; set; } = "";

    [Column("ip_address"), PrimaryKey]
    public string IpAddress { get; set; } = "";

    [Column("subnet_id")]
    public string SubnetId { get; set; } = "";

    [Column("port_id")]
    public string PortId { get; set; } = "";

    [Column("position")]
    public int Position { get; set; }
}

[Table("provisioning_blocks")]
internal sealed class ProvisioningBlockRow
{
    [Column("port_id"), PrimaryKey]
    public string PortId { get; set; } = "";

    [Column("entity"), PrimaryKey]
    public string Entity { get; set; } = "";
}

[Table("default_security_groups")]
internal sealed class DefaultSecurityGroupRow
{
    [Column("project_id"), PrimaryKey]
    public string ProjectId { get; set; } = "";

    [Column("security_group_id")]
    public string SecurityGroupId { get; set; } = "";
}

[Table("port_security_groups")]
internal sealed class PortSecurityGroupRow
{
    [Column("port_id"), PrimaryKey]
    public string PortId { get; set; } = "";

    [Column("security_group_id"), PrimaryKey]
    public string SecurityGroupId { get; set; } = "";
}

[Table("agents")]
internal sealed class AgentRow
{
    [Column("id"), PrimaryKey]
    public string Id { get; set; } = "";

    [Column("agent_type")]
    public string AgentType { get; set; } = "";

    [Column("binary")]
    public string Binary { get; set; } = "";

    [Column("host")]
    public string Host { get; set; } = "";

    [Column("topic")]
    public string Topic { get; set; } = "";

    [Column("availability_zone")]
    public string AvailabilityZone { get; set; } = "";

    [Column("admin_state_up")]
    public bool AdminStateUp { get; set; }

    [Column("description")]
    public string? Description { get; set; }

    [Column("configurations")]
    public string Configurations { get; set; } = "";

    [Column("created_at")]
    public long CreatedAt { get; set; }

    [Column("started_at")]
    public long StartedAt { get; set; }

    [Column("heartbeat_at")]
    public long HeartbeatAt { get; set; }
}

[Table("network_dhcp_agents")]
internal sealed class NetworkDhcpAgentRow
{
    [Column("network_id"), PrimaryKey]
    public string NetworkId { get; set; } = "";

    [Column("agent_id"), PrimaryKey]
    public string AgentId { get; set; } = "";
}

[Table("quotas")]
internal sealed class QuotaRow
{
    [Column("project_id"), PrimaryKey]
    public string ProjectId { get; set; } = "";

    [Column("resource"), PrimaryKey]
    public string Resource { get; set; } = "";

    [Column("limit")]
    public int Limit { get; set; }
}

[Table("tags")]
internal sealed class TagRow
{
    [Column("resource_id"), PrimaryKey]
    public string ResourceId { get; set; } = "";

    [Column("tag"), PrimaryKey]
    public string Tag { get; set; } = "";
}

[Table("nova_events")]
internal sealed class NovaEventRow
{
    [Column("id"), PrimaryKey, Identity]
    public long Id { get; set; }

    [Column("name")]
    public string Name { get; set; } = "";

    [Column("server_id")]
    public string ServerId { get; set; } = "";

    [Column("tag")]
    public string? Tag { get; set; }

    [Column("status")]
    public string Status { get; set; } = "";
}
