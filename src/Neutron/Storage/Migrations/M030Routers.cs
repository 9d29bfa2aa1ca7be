using FluentMigrator;

namespace SharpStack.Neutron.Storage.Migrations;

[Migration(30, "Routers, floating IPs, port forwardings, and the agents that serve them")]
public sealed class M030Routers : ForwardOnlyMigration
{
    private const int Uuid = 36;

    public override void Up()
    {
        Create.ResourceTable("routers")
            .WithColumn("admin_state_up").AsBoolean().NotNullable()
            .WithColumn("status").AsString(16).NotNullable()
            .WithColumn("gw_port_id").AsString(Uuid).Nullable()
            .WithColumn("enable_snat").AsBoolean().NotNullable()
            .WithColumn("ha").AsBoolean().NotNullable()
            .WithColumn("routes").AsString(int.MaxValue).NotNullable()
            .WithColumn("availability_zone_hints").AsString(int.MaxValue).NotNullable()
            .WithColumn("gw_qos_policy_id").AsString(Uuid).Nullable();
        Create.Index().OnTable("routers").OnColumn("project_id");

        // What is a router's is so by this table: a port's owner is a word that its user may have written.
        Create.Table("router_ports")
            .WithColumn("port_id").AsString(Uuid).PrimaryKey().ForeignKey("fk_router_ports_port", "ports", "id").OnDelete(System.Data.Rule.Cascade)
            .WithColumn("router_id").AsString(Uuid).NotNullable().ForeignKey("fk_router_ports_router", "routers", "id").Indexed()
            .WithColumn("port_type").AsString(255).NotNullable();

        Create.Table("router_agents")
            .WithColumn("router_id").AsString(Uuid).PrimaryKey().ForeignKey("fk_router_agents_router", "routers", "id").OnDelete(System.Data.Rule.Cascade)
            .WithColumn("agent_id").AsString(Uuid).PrimaryKey().ForeignKey("fk_router_agents_agent", "agents", "id").OnDelete(System.Data.Rule.Cascade).Indexed()
            .WithColumn("ha_state").AsString(16).NotNullable()
            .WithColumn("ha_port_id").AsString(Uuid).Nullable();
        Create.Table("ha_networks")
            .WithColumn("project_id").AsString(255).PrimaryKey()
            .WithColumn("network_id").AsString(Uuid).NotNullable().ForeignKey("fk_ha_networks_network", "networks", "id").OnDelete(System.Data.Rule.Cascade);
        Create.Table("ha_virtual_routers")
            .WithColumn("network_id").AsString(Uuid).PrimaryKey().ForeignKey("fk_ha_virtual_network", "networks", "id").OnDelete(System.Data.Rule.Cascade)
            .WithColumn("vr_id").AsInt32().PrimaryKey()
            .WithColumn("router_id").AsString(Uuid).NotNullable().ForeignKey("fk_ha_virtual_router", "routers", "id").OnDelete(System.Data.Rule.Cascade).Indexed();

        Create.ResourceTable("floating_ips")
            .WithColumn("floating_network_id").AsString(Uuid).NotNullable().ForeignKey("fk_floating_ips_network", "networks", "id")
            .WithColumn("floating_ip_address").AsString(64).NotNullable()
            .WithColumn("floating_port_id").AsString(Uuid).NotNullable().ForeignKey("fk_floating_ips_port", "ports", "id").Indexed()
            .WithColumn("fixed_port_id").AsString(Uuid).Nullable().ForeignKey("fk_floating_ips_fixed", "ports", "id").Indexed()
            .WithColumn("fixed_ip_address").AsString(64).Nullable()
            .WithColumn("router_id").AsString(Uuid).Nullable().ForeignKey("fk_floating_ips_router", "routers", "id").Indexed()
            .WithColumn("status").AsString(16).NotNullable()
            .WithColumn("qos_policy_id").AsString(Uuid).Nullable();
        Create.Index("ux_floating_ips").OnTable("floating_ips").OnColumn("floating_network_id").Ascending().OnColumn("floating_ip_address").Ascending().WithOptions().Unique();
        Create.Index().OnTable("floating_ips").OnColumn("project_id");

        Create.ResourceTable("port_forwardings")
            .WithColumn("floating_ip_id").AsString(Uuid).NotNullable().ForeignKey("fk_forwardings_floating", "floating_ips", "id").Indexed()
            .WithColumn("protocol").AsString(16).NotNullable()
            .WithColumn("internal_port_id").AsString(Uuid).NotNullable().ForeignKey("fk_forwardings_port", "ports", "id").Indexed()
            .WithColumn("internal_ip_address").AsString(64).NotNullable()
            .WithColumn("internal_first").AsInt32().NotNullable()
            .WithColumn("internal_last").AsInt32().NotNullable()
            .WithColumn("external_first").AsInt32().NotNullable()
            .WithColumn("external_last").AsInt32().NotNullable();

        Create.ResourceTable("conntrack_helpers")
            .WithColumn("router_id").AsString(Uuid).NotNullable().ForeignKey("fk_helpers_router", "routers", "id").OnDelete(System.Data.Rule.Cascade).Indexed()
            .WithColumn("protocol").AsString(16).NotNullable()
            .WithColumn("port").AsInt32().NotNullable()
            .WithColumn("helper").AsString(64).NotNullable();
    }
}
