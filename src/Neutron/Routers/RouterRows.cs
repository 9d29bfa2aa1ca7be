using LinqToDB.Mapping;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.Routers;

[Table("routers")]
internal sealed class RouterRow : ResourceRow
{
    [Column("admin_state_up")]
    public bool AdminStateUp { get; set; }

    [Column("status", CanBeNull = false)]
    public string Status { get; set; } = "";

    [Column("gw_port_id")]
    public string? GatewayPortId { get; set; }

    [Column("enable_snat")]
    public bool EnableSnat { get; set; }

    [Column("ha")]
    public bool IsHa { get; set; }

    [Column("routes", CanBeNull = false)]
    public string Routes { get; set; } = "[]";

    [Column("availability_zone_hints", CanBeNull = false)]
    public string AvailabilityZoneHints { get; set; } = "[]";

    [Column("gw_qos_policy_id")]
    public string? GatewayQosPolicyId { get; set; }
}

[Table("router_ports")]
internal sealed class RouterPortRow
{
    [Column("port_id", CanBeNull = false), PrimaryKey]
    public string PortId { get; set; } = "";

    [Column("router_id", CanBeNull = false)]
    public string RouterId { get; set; } = "";

    [Column("port_type", CanBeNull = false)]
    public string PortType { get; set; } = "";
}

[Table("router_agents")]
internal sealed class RouterAgentRow
{
    [Column("router_id", CanBeNull = false), PrimaryKey]
    public string RouterId { get; set; } = "";

    [Column("agent_id", CanBeNull = false), PrimaryKey]
    public string AgentId { get; set; } = "";

    [Column("ha_state", CanBeNull = false)]
    public string HaState { get; set; } = "";

    [Column("ha_port_id")]
    public string? HaPortId { get; set; }
}

[Table("ha_networks")]
internal sealed class HaNetworkRow
{
    [Column("project_id", CanBeNull = false), PrimaryKey]
    public string ProjectId { get; set; } = "";

    [Column("network_id", CanBeNull = false)]
    public string NetworkId { get; set; } = "";
}

[Table("ha_virtual_routers")]
internal sealed class HaVirtualRouterRow
{
    [Column("network_id", CanBeNull = false), PrimaryKey]
    public string NetworkId { get; set; } = "";

    [Column("vr_id"), PrimaryKey]
    public int VirtualRouterId { get; set; }

    [Column("router_id", CanBeNull = false)]
    public string RouterId { get; set; } = "";
}

[Table("conntrack_helpers")]
internal sealed class ConntrackHelperRow : ResourceRow
{
    [Column("router_id", CanBeNull = false)]
    public string RouterId { get; set; } = "";

    [Column("protocol", CanBeNull = false)]
    public string Protocol { get; set; } = "";

    [Column("port")]
    public int Port { get; set; }

    [Column("helper", CanBeNull = false)]
    public string Helper { get; set; } = "";
}
