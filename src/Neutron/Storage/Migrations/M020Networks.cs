using System.Data;
using FluentMigrator;

namespace SharpStack.Neutron.Storage.Migrations;

/// <summary>Segments as resources, subnet pools, address scopes, RBAC policies, ranges of segments, bindings of one port to several hosts.</summary>
[Migration(20, "Segments, subnet pools, address scopes, RBAC, ranges, bindings")]
public sealed class M020Networks : ForwardOnlyMigration
{
    private const int Uuid = 36;

    public override void Up()
    {
        AddStandard("network_segments", "project_id", 255);
        AddStandard("network_segments", "name", 255);
        AddStandard("network_segments", "description", 255);
        foreach (var number in (string[])["revision", "created_at", "updated_at"])
        {
            Alter.Table("network_segments").AddColumn(number).AsInt64().NotNullable().WithDefaultValue(0);
        }

        AddFlag("networks", "shared_selectively");
        AddStandard("networks", "dns_domain", 255);
        Alter.Table("subnets").AddColumn("subnetpool_id").AsString(Uuid).Nullable();
        Alter.Table("subnets").AddColumn("segment_id").AsString(Uuid).Nullable();
        AddFlag("subnets", "dns_publish_fixed_ip");
        Create.Index("ix_subnets_pool").OnTable("subnets").OnColumn("subnetpool_id");
        Create.Index("ix_subnets_segment").OnTable("subnets").OnColumn("segment_id");
        Alter.Table("ports").AddColumn("bound_segment_id").AsString(Uuid).Nullable();
        Alter.Table("ports").AddColumn("data_plane_status").AsString(16).Nullable();
        AddStandard("ports", "dns_name", 255);
        AddStandard("ports", "dns_domain", 255);
        AddFlag("ports", "propagate_uplink_status");
        Alter.Table("ports").AddColumn("ip_allocation").AsString(16).NotNullable().WithDefaultValue("immediate");
        AddFlag("security_groups", "shared");
        AddFlag("security_groups", "shared_selectively");

        // The active binding of a port stands with the port; here are those that wait for a migration.
        Create.Table("port_bindings")
            .WithColumn("port_id").AsString(Uuid).PrimaryKey().ForeignKey("fk_bindings_port", "ports", "id").OnDelete(Rule.Cascade)
            .WithColumn("host").AsString(255).PrimaryKey()
            .WithColumn("vnic_type").AsString(64).NotNullable()
            .WithColumn("profile").AsString(int.MaxValue).NotNullable()
            .WithColumn("vif_type").AsString(64).NotNullable()
            .WithColumn("vif_details").AsString(int.MaxValue).NotNullable();
        Create.Index("ix_port_bindings_host").OnTable("port_bindings").OnColumn("host");

        Shareable(M001Initial.Standard(Create.Table("address_scopes")))
            .WithColumn("ip_version").AsInt32().NotNullable();
        Shareable(M001Initial.Standard(Create.Table("subnetpools")))
            .WithColumn("ip_version").AsInt32().NotNullable()
            .WithColumn("prefixes").AsString(int.MaxValue).NotNullable()
            .WithColumn("min_prefixlen").AsInt32().NotNullable()
            .WithColumn("max_prefixlen").AsInt32().NotNullable()
            .WithColumn("default_prefixlen").AsInt32().NotNullable()
            .WithColumn("default_quota").AsInt32().Nullable()
            .WithColumn("is_default").AsBoolean().NotNullable()
            .WithColumn("address_scope_id").AsString(Uuid).Nullable().ForeignKey("fk_pools_scope", "address_scopes", "id").Indexed();
        M001Initial.Standard(Create.Table("rbac_policies"))
            .WithColumn("object_type").AsString(64).NotNullable()
            .WithColumn("object_id").AsString(Uuid).NotNullable()
            .WithColumn("action").AsString(64).NotNullable()
            .WithColumn("target").AsString(255).NotNullable().Indexed();
        Create.Index("ux_rbac").OnTable("rbac_policies").OnColumn("object_id").Ascending().OnColumn("action").Ascending().OnColumn("target").Ascending().WithOptions().Unique();
        M001Initial.Standard(Create.Table("network_segment_ranges"))
            .WithColumn("is_default").AsBoolean().NotNullable()
            .WithColumn("shared").AsBoolean().NotNullable()
            .WithColumn("network_type").AsString(16).NotNullable().Indexed()
            .WithColumn("physical_network").AsString(64).Nullable()
            .WithColumn("minimum").AsInt32().NotNullable()
            .WithColumn("maximum").AsInt32().NotNullable();
        Create.Table("auto_allocated_topologies")
            .WithColumn("project_id").AsString(255).PrimaryKey()
            .WithColumn("network_id").AsString(Uuid).NotNullable()
            .WithColumn("router_id").AsString(Uuid).Nullable();

        // What is shared with all, or external to all, is so by a policy.
        Execute.WithConnection(static (connection, transaction) =>
        {
            var found = new List<(string Id, string Project, string Action)>();
            foreach (var (column, action) in ((string, string)[])[("shared", "access_as_shared"), ("external", "access_as_external")])
            {
                using var read = Command(connection, transaction, $"SELECT id, project_id FROM networks WHERE {column} = @on");
                Add(read, "@on", true);
                using var rows = read.ExecuteReader();
                while (rows.Read())
                {
                    found.Add((rows.GetString(0), rows.GetString(1), action));
                }
            }

            foreach (var (id, project, action) in found)
            {
                using var write = Command(
                    connection,
                    transaction,
                    "INSERT INTO rbac_policies (id, project_id, name, description, revision, created_at, updated_at, object_type, object_id, action, target) VALUES (@id, @project, '', '', 0, 0, 0, 'network', @network, @action, '*')");
                Add(write, "@id", Guid.NewGuid().ToString("D"));
                Add(write, "@project", project);
                Add(write, "@network", id);
                Add(write, "@action", action);
                write.ExecuteNonQuery();
            }
        });
    }

    private void AddStandard(string table, string column, int length) => Alter.Table(table).AddColumn(column).AsString(length).NotNullable().WithDefaultValue("");

    private void AddFlag(string table, string column) => Alter.Table(table).AddColumn(column).AsBoolean().NotNullable().WithDefaultValue(false);

    private static FluentMigrator.Builders.Create.Table.ICreateTableColumnOptionOrWithColumnSyntax Shareable(FluentMigrator.Builders.Create.Table.ICreateTableColumnOptionOrWithColumnSyntax table) =>
        table
            .WithColumn("shared").AsBoolean().NotNullable()
            .WithColumn("shared_selectively").AsBoolean().NotNullable();

    private static IDbCommand Command(IDbConnection connection, IDbTransaction transaction, string text)
    {
        var command = connection.CreateCommand();
        command.Transaction = transaction;
        command.CommandText = text;
        return command;
    }

    private static void Add(IDbCommand command, string name, object value)
    {
        var parameter = command.CreateParameter();
        parameter.ParameterName = name;
        parameter.Value = value;
        command.Parameters.Add(parameter);
    }
}
