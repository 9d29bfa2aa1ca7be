using FluentMigrator;

namespace SharpStack.Placement.Storage;

[Migration(1, "Resource classes, traits, providers, inventories, consumers and allocations")]
public sealed class M0001Placement : ForwardOnlyMigration
{
    public override void Up()
    {
        Create.Table("resource_classes")
            .WithColumn("id").AsInt32().PrimaryKey()
            .WithColumn("name").AsString(255).NotNullable().Unique("ux_resource_classes_name")
            .WithColumn("created_at").AsInt64().NotNullable();

        Create.Table("traits")
            .WithColumn("id").AsInt32().PrimaryKey()
            .WithColumn("name").AsString(255).NotNullable().Unique("ux_traits_name")
            .WithColumn("created_at").AsInt64().NotNullable();

        Create.Table("resource_providers")
            .WithColumn("id").AsInt64().PrimaryKey().Identity()
            .WithColumn("uuid").AsString(36).NotNullable().Unique("ux_resource_providers_uuid")
            .WithColumn("name").AsString(200).NotNullable().Unique("ux_resource_providers_name")
            .WithColumn("generation").AsInt64().NotNullable()
            .WithColumn("parent_id").AsInt64().Nullable().Indexed("ix_resource_providers_parent")
            .WithColumn("root_id").AsInt64().NotNullable().Indexed("ix_resource_providers_root")
            .WithColumn("revision").AsInt64().NotNullable().Indexed("ix_resource_providers_revision")
            .WithColumn("created_at").AsInt64().NotNullable()
            .WithColumn("updated_at").AsInt64().NotNullable();

        Create.Table("inventories")
            .WithColumn("provider_id").AsInt64().PrimaryKey().ForeignKey("fk_inventories_provider", "resource_providers", "id")
            .WithColumn("class_id").AsInt32().PrimaryKey().ForeignKey("fk_inventories_class", "resource_classes", "id").Indexed("ix_inventories_class")
            .WithColumn("total").AsInt32().NotNullable()
            .WithColumn("reserved").AsInt32().NotNullable()
            .WithColumn("min_unit").AsInt32().NotNullable()
            .WithColumn("max_unit").AsInt32().NotNullable()
            .WithColumn("step_size").AsInt32().NotNullable()
            .WithColumn("allocation_ratio").AsDouble().NotNullable()
            .WithColumn("updated_at").AsInt64().NotNullable();

        Create.Table("provider_aggregates")
            .WithColumn("provider_id").AsInt64().PrimaryKey().ForeignKey("fk_provider_aggregates_provider", "resource_providers", "id")
            .WithColumn("aggregate").AsString(36).PrimaryKey();

        Create.Table("provider_traits")
            .WithColumn("provider_id").AsInt64().PrimaryKey().ForeignKey("fk_provider_traits_provider", "resource_providers", "id")
            .WithColumn("trait_id").AsInt32().PrimaryKey().ForeignKey("fk_provider_traits_trait", "traits", "id").Indexed("ix_provider_traits_trait");

        Create.Table("consumers")
            .WithColumn("id").AsInt64().PrimaryKey().Identity()
            .WithColumn("uuid").AsString(36).NotNullable().Unique("ux_consumers_uuid")
            .WithColumn("project_id").AsString(255).NotNullable().Indexed("ix_consumers_project")
            .WithColumn("user_id").AsString(255).NotNullable()
            .WithColumn("consumer_type").AsString(255).Nullable()
            .WithColumn("generation").AsInt64().NotNullable();

        Create.Table("allocations")
            .WithColumn("consumer_id").AsInt64().PrimaryKey().ForeignKey("fk_allocations_consumer", "consumers", "id")
            .WithColumn("provider_id").AsInt64().PrimaryKey().ForeignKey("fk_allocations_provider", "resource_providers", "id")
            .WithColumn("class_id").AsInt32().PrimaryKey().ForeignKey("fk_allocations_class", "resource_classes", "id")
            .WithColumn("used").AsInt64().NotNullable()
            .WithColumn("created_at").AsInt64().NotNullable();
        Create.Index("ix_allocations_provider").OnTable("allocations").OnColumn("provider_id").Ascending().OnColumn("class_id").Ascending();

        // One row: see ChangeState.
        Create.Table("change_state")
            .WithColumn("id").AsInt32().PrimaryKey()
            .WithColumn("revision").AsInt64().NotNullable()
            .WithColumn("structure").AsInt64().NotNullable()
            .WithColumn("names").AsInt64().NotNullable();
        Insert.IntoTable("change_state").Row(new { id = 1, revision = 0L, structure = 0L, names = 0L });
    }
}
