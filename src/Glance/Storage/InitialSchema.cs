using FluentMigrator;

namespace SharpStack.Glance.Storage;

[Migration(2026_01_01_01)]
public sealed class InitialSchema : ForwardOnlyMigration
{
    public override void Up()
    {
        Create.Table("images")
            .WithColumn("id").AsString(36).PrimaryKey()
            .WithColumn("name").AsString(255).Nullable()
            .WithColumn("status").AsString(30).NotNullable()
            .WithColumn("visibility").AsString(9).NotNullable()
            .WithColumn("owner").AsString(255).Nullable()
            .WithColumn("disk_format").AsString(20).Nullable()
            .WithColumn("container_format").AsString(20).Nullable()
            .WithColumn("size").AsInt64().Nullable()
            .WithColumn("virtual_size").AsInt64().Nullable()
            .WithColumn("min_disk").AsInt64().NotNullable()
            .WithColumn("min_ram").AsInt64().NotNullable()
            .WithColumn("protected").AsBoolean().NotNullable()
            .WithColumn("os_hidden").AsBoolean().NotNullable()
            .WithColumn("checksum").AsString(32).Nullable()
            .WithColumn("os_hash_algo").AsString(64).Nullable()
            .WithColumn("os_hash_value").AsString(128).Nullable()
            .WithColumn("store").AsString(255).Nullable()
            .WithColumn("location").AsString(4096).Nullable()
            .WithColumn("claim").AsString(255).Nullable()
            .WithColumn("revision").AsInt64().NotNullable()
            .WithColumn("created_at").AsInt64().NotNullable()
            .WithColumn("updated_at").AsInt64().NotNullable();
        Create.Index("ix_images_list").OnTable("images").OnColumn("status").Ascending().OnColumn("created_at").Descending().OnColumn("id").Descending();
        Create.Index("ix_images_owner").OnTable("images").OnColumn("owner").Ascending().OnColumn("visibility").Ascending();

        Create.Table("image_properties")
            .WithColumn("image_id").AsString(36).NotNullable().ForeignKey("images", "id")
            .WithColumn("name").AsString(255).NotNullable()
            .WithColumn("value").AsString(int.MaxValue).NotNullable();
        Create.UniqueConstraint("ux_image_properties").OnTable("image_properties").Columns("image_id", "name");

        Create.Table("image_tags")
            .WithColumn("image_id").AsString(36).NotNullable().ForeignKey("images", "id")
            .WithColumn("value").AsString(255).NotNullable();
        Create.UniqueConstraint("ux_image_tags").OnTable("image_tags").Columns("image_id", "value");

        Create.Table("image_members")
            .WithColumn("image_id").AsString(36).NotNullable().ForeignKey("images", "id")
            .WithColumn("member").AsString(255).NotNullable()
            .WithColumn("status").AsString(20).NotNullable()
            .WithColumn("created_at").AsInt64().NotNullable()
            .WithColumn("updated_at").AsInt64().NotNullable();
        Create.UniqueConstraint("ux_image_members").OnTable("image_members").Columns("image_id", "member");

        Create.Table("tasks")
            .WithColumn("id").AsString(36).PrimaryKey()
            .WithColumn("image_id").AsString(36).NotNullable()
            .WithColumn("type").AsString(30).NotNullable()
            .WithColumn("status").AsString(30).NotNullable()
            .WithColumn("owner").AsString(255).NotNullable()
            .WithColumn("user_id").AsString(64).NotNullable()
            .WithColumn("request_id").AsString(64).NotNullable()
            .WithColumn("input").AsString(int.MaxValue).NotNullable()
            .WithColumn("store").AsString(255).Nullable()
            .WithColumn("message").AsString(int.MaxValue).NotNullable()
            .WithColumn("created_at").AsInt64().NotNullable()
            .WithColumn("updated_at").AsInt64().NotNullable();
        Create.Index("ix_tasks_image").OnTable("tasks").OnColumn("image_id").Ascending().OnColumn("created_at").Ascending();
    }
}
