using FluentMigrator;

namespace SharpStack.Keystone.Storage;

[Migration(10, "Endpoint groups and filters, policy associations, limits, configuration of domains, password rules")]
public sealed class M0010CatalogAndLimits : ForwardOnlyMigration
{
    public override void Up()
    {
        Create.Table("endpoint_groups")
            .WithColumn("id").AsString(64).PrimaryKey()
            .WithColumn("name").AsString(255).NotNullable()
            .WithColumn("description").AsString(int.MaxValue).Nullable()
            .WithColumn("filters").AsString(int.MaxValue).NotNullable();

        Create.Table("project_endpoints")
            .WithColumn("project_id").AsString(64).PrimaryKey()
            .WithColumn("endpoint_id").AsString(64).PrimaryKey().Indexed();

        Create.Table("project_endpoint_groups")
            .WithColumn("project_id").AsString(64).PrimaryKey()
            .WithColumn("endpoint_group_id").AsString(64).PrimaryKey().Indexed();

        Create.Table("policy_associations")
            .WithColumn("endpoint_id").AsString(64).PrimaryKey()
            .WithColumn("service_id").AsString(64).PrimaryKey()
            .WithColumn("region_id").AsString(255).PrimaryKey()
            .WithColumn("policy_id").AsString(64).NotNullable().Indexed();

        Create.Table("registered_limits")
            .WithColumn("id").AsString(64).PrimaryKey()
            .WithColumn("service_id").AsString(64).NotNullable()
            .WithColumn("region_id").AsString(255).NotNullable()
            .WithColumn("resource_name").AsString(255).NotNullable()
            .WithColumn("default_limit").AsInt32().NotNullable()
            .WithColumn("description").AsString(int.MaxValue).Nullable();
        Create.Index("ux_registered_limits").OnTable("registered_limits")
            .OnColumn("service_id").Ascending().OnColumn("region_id").Ascending().OnColumn("resource_name").Ascending().WithOptions().Unique();

        Create.Table("limits")
            .WithColumn("id").AsString(64).PrimaryKey()
            .WithColumn("registered_limit_id").AsString(64).NotNullable()
            .WithColumn("project_id").AsString(64).NotNullable().Indexed()
            .WithColumn("domain_id").AsString(64).NotNullable().Indexed()
            .WithColumn("resource_limit").AsInt32().NotNullable()
            .WithColumn("description").AsString(int.MaxValue).Nullable();
        Create.Index("ux_limits").OnTable("limits")
            .OnColumn("registered_limit_id").Ascending().OnColumn("project_id").Ascending().OnColumn("domain_id").Ascending().WithOptions().Unique();

        Create.Table("domain_configs")
            .WithColumn("domain_id").AsString(64).PrimaryKey()
            .WithColumn("config_group").AsString(64).PrimaryKey()
            .WithColumn("config_option").AsString(64).PrimaryKey()
            .WithColumn("config_value").AsString(int.MaxValue).NotNullable()
            .WithColumn("is_sensitive").AsBoolean().NotNullable();

        // The ids that Keystone gives to users and groups of other directories.
        Create.Table("id_mappings")
            .WithColumn("public_id").AsString(64).PrimaryKey()
            .WithColumn("domain_id").AsString(64).NotNullable()
            .WithColumn("local_id").AsString(255).NotNullable()
            .WithColumn("entity_type").AsString(8).NotNullable();
        Create.Index("ux_id_mappings").OnTable("id_mappings")
            .OnColumn("domain_id").Ascending().OnColumn("local_id").Ascending().OnColumn("entity_type").Ascending().WithOptions().Unique();

        Alter.Table("users").AddColumn("failed_auth_count").AsInt32().NotNullable().WithDefaultValue(0);
        Alter.Table("users").AddColumn("failed_auth_at").AsInt64().Nullable();
        Alter.Table("users").AddColumn("last_active_at").AsInt64().Nullable();
        Alter.Table("passwords").AddColumn("self_service").AsBoolean().NotNullable().WithDefaultValue(false);
    }
}
