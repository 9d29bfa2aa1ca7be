using FluentMigrator;

namespace SharpStack.Neutron.Storage.Migrations;

/// <summary>Networks, subnets, ports, addresses, segments, security groups, agents, quotas, tags and the events for Nova.</summary>
[Migration(1)]
public sealed class M001Initial : ForwardOnlyMigration
{
    private const int Uuid = 36;

    public override void Up()
    {
        Standard(Create.Table("networks"))
            .WithColumn("admin_state_up").AsBoolean().NotNullable()
            .WithColumn("status").AsString(16).NotNullable()
            .WithColumn("mtu").AsInt32().NotNullable()
            .WithColumn("shared").AsBoolean().NotNullable()
            .WithColumn("external").AsBoolean().NotNullable()
            .WithColumn("is_default").AsBoolean().NotNullable()
            .WithColumn("port_security_enabled").AsBoolean().NotNullable()
            .WithColumn("availability_zone_hints").AsString(int.MaxValue).NotNullable();
        Create.Index().OnTable("networks").OnColumn("project_id");

        // One row a segment that is in use; the key refuses what is taken. No physical network is '', no segmentation id is 0.
        Create.Table("segment_allocations")
            .WithColumn("network_type").AsString(16).PrimaryKey()
            .WithColumn("physical_network").AsString(64).PrimaryKey()
            .WithColumn("segmentation_id").AsInt32().PrimaryKey();
        Create.Table("network_segments")
            .WithColumn("id").AsString(Uuid).PrimaryKey()
            .WithColumn("network_id").AsString(Uuid).NotNullable().ForeignKey("fk_segments_network", "networks", "id").OnDelete(System.Data.Rule.Cascade).Indexed()
            .WithColumn("network_type").AsString(16).NotNullable()
            .WithColumn("physical_network").AsString(64).Nullable()
            .WithColumn("segmentation_id").AsInt32().Nullable()
            .WithColumn("segment_index").AsInt32().NotNullable();

        Standard(Create.Table("subnets"))
            .WithColumn("network_id").AsString(Uuid).NotNullable().ForeignKey("fk_subnets_network", "networks", "id").Indexed()
            .WithColumn("ip_version").AsInt32().NotNullable()
            .WithColumn("cidr").AsString(64).NotNullable()
            .WithColumn("gateway_ip").AsString(64).Nullable()
            .WithColumn("enable_dhcp").AsBoolean().NotNullable()
            .WithColumn("ipv6_ra_mode").AsString(16).Nullable()
            .WithColumn("ipv6_address_mode").AsString(16).Nullable()
            .WithColumn("allocation_pools").AsString(int.MaxValue).NotNullable()
            .WithColumn("dns_nameservers").AsString(int.MaxValue).NotNullable()
            .WithColumn("host_routes").AsString(int.MaxValue).NotNullable()
            .WithColumn("service_types").AsString(int.MaxValue).NotNullable();

        Standard(Create.Table("ports"))
            .WithColumn("network_id").AsString(Uuid).NotNullable().ForeignKey("fk_ports_network", "networks", "id")
            .WithColumn("mac_address").AsString(32).NotNullable()
            .WithColumn("admin_state_up").AsBoolean().NotNullable()
            .WithColumn("status").AsString(16).NotNullable()
            .WithColumn("device_id").AsString(255).NotNullable().Indexed()
            .WithColumn("device_owner").AsString(255).NotNullable()
            .WithColumn("port_security_enabled").AsBoolean().NotNullable()
            .WithColumn("allowed_address_pairs").AsString(int.MaxValue).NotNullable()
            .WithColumn("extra_dhcp_opts").AsString(int.MaxValue).NotNullable()
            .WithColumn("host").AsString(255).NotNullable().Indexed()
            .WithColumn("vnic_type").AsString(64).NotNullable()
            .WithColumn("profile").AsString(int.MaxValue).NotNullable()
            .WithColumn("vif_type").AsString(64).NotNullable()
            .WithColumn("vif_details").AsString(int.MaxValue).NotNullable();
        Create.Index("ux_ports_mac").OnTable("ports").OnColumn("network_id").Ascending().OnColumn("mac_address").Ascending().WithOptions().Unique();
        Create.Index().OnTable("ports").OnColumn("project_id");

        Create.Table("ip_allocations")
            .WithColumn("network_id").AsString(Uuid).PrimaryKey()
            .WithColumn("ip_address").AsString(64).PrimaryKey()
            .WithColumn("subnet_id").AsString(Uuid).NotNullable().ForeignKey("fk_ips_subnet", "subnets", "id").Indexed()
            .WithColumn("port_id").AsString(Uuid).NotNullable().ForeignKey("fk_ips_port", "ports", "id").OnDelete(System.Data.Rule.Cascade).Indexed()
            .WithColumn("position").AsInt32().NotNullable();

        Create.Table("provisioning_blocks")
            .WithColumn("port_id").AsString(Uuid).PrimaryKey().ForeignKey("fk_blocks_port", "ports", "id").OnDelete(System.Data.Rule.Cascade)
            .WithColumn("entity").AsString(16).PrimaryKey();

        Standard(Create.Table("security_groups"))
            .WithColumn("stateful").AsBoolean().NotNullable()
            .WithColumn("is_default").AsBoolean().NotNullable();
        Create.Index().OnTable("security_groups").OnColumn("project_id");
        Create.Table("default_security_groups")
            .WithColumn("project_id").AsString(255).PrimaryKey()
            .WithColumn("security_group_id").AsString(Uuid).NotNullable().ForeignKey("fk_default_groups", "security_groups", "id").OnDelete(System.Data.Rule.Cascade);
        Standard(Create.Table("security_group_rules"))
            .WithColumn("security_group_id").AsString(Uuid).NotNullable().ForeignKey("fk_rules_group", "security_groups", "id").OnDelete(System.Data.Rule.Cascade).Indexed()
            .WithColumn("remote_group_id").AsString(Uuid).Nullable().ForeignKey("fk_rules_remote", "security_groups", "id").OnDelete(System.Data.Rule.Cascade).Indexed()
            .WithColumn("direction").AsString(16).NotNullable()
            .WithColumn("ethertype").AsString(16).NotNullable()
            .WithColumn("protocol").AsString(40).Nullable()
            .WithColumn("port_range_min").AsInt32().Nullable()
            .WithColumn("port_range_max").AsInt32().Nullable()
            .WithColumn("remote_ip_prefix").AsString(255).Nullable();
        Create.Table("port_security_groups")
            .WithColumn("port_id").AsString(Uuid).PrimaryKey().ForeignKey("fk_port_groups_port", "ports", "id").OnDelete(System.Data.Rule.Cascade)
            .WithColumn("security_group_id").AsString(Uuid).PrimaryKey().ForeignKey("fk_port_groups_group", "security_groups", "id").Indexed();

        Create.Table("agents")
            .WithColumn("id").AsString(Uuid).PrimaryKey()
            .WithColumn("agent_type").AsString(255).NotNullable()
            .WithColumn("binary").AsString(255).NotNullable()
            .WithColumn("host").AsString(255).NotNullable()
            .WithColumn("topic").AsString(255).NotNullable()
            .WithColumn("availability_zone").AsString(255).NotNullable()
            .WithColumn("admin_state_up").AsBoolean().NotNullable()
            .WithColumn("description").AsString(255).Nullable()
            .WithColumn("configurations").AsString(int.MaxValue).NotNullable()
            .WithColumn("created_at").AsInt64().NotNullable()
            .WithColumn("started_at").AsInt64().NotNullable()
            .WithColumn("heartbeat_at").AsInt64().NotNullable();
        Create.Index("ux_agents").OnTable("agents").OnColumn("agent_type").Ascending().OnColumn("host").Ascending().WithOptions().Unique();
        Create.Table("network_dhcp_agents")
            .WithColumn("network_id").AsString(Uuid).PrimaryKey().ForeignKey("fk_dhcp_network", "networks", "id").OnDelete(System.Data.Rule.Cascade)
            .WithColumn("agent_id").AsString(Uuid).PrimaryKey().ForeignKey("fk_dhcp_agent", "agents", "id").OnDelete(System.Data.Rule.Cascade).Indexed();

        Create.Table("quotas")
            .WithColumn("project_id").AsString(255).PrimaryKey()
            .WithColumn("resource").AsString(64).PrimaryKey()
            .WithColumn("limit").AsInt32().NotNullable();
        Create.Table("tags")
            .WithColumn("resource_id").AsString(Uuid).PrimaryKey()
            .WithColumn("tag").AsString(255).PrimaryKey();

        // What Nova is still to be told.
        Create.Table("nova_events")
            .WithColumn("id").AsInt64().PrimaryKey().Identity()
            .WithColumn("name").AsString(64).NotNullable()
            .WithColumn("server_id").AsString(Uuid).NotNullable()
            .WithColumn("tag").AsString(Uuid).Nullable()
            .WithColumn("status").AsString(16).NotNullable();
    }

    /// <summary>What every resource of the API has.</summary>
    internal static FluentMigrator.Builders.Create.Table.ICreateTableColumnOptionOrWithColumnSyntax Standard(FluentMigrator.Builders.Create.Table.ICreateTableWithColumnOrSchemaOrDescriptionSyntax table) =>
        table
            .WithColumn("id").AsString(Uuid).PrimaryKey()
            .WithColumn("project_id").AsString(255).NotNullable()
            .WithColumn("name").AsString(255).NotNullable()
            .WithColumn("description").AsString(255).NotNullable()
            .WithColumn("revision").AsInt64().NotNullable()
            .WithColumn("created_at").AsInt64().NotNullable()
            .WithColumn("updated_at").AsInt64().NotNullable();
}
