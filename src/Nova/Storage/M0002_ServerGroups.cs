using FluentMigrator;

namespace SharpStack.Nova.Storage;

[Migration(2, "Server groups and their members")]
public sealed class M0002ServerGroups : ForwardOnlyMigration
{
    public override void Up()
    {
        Create.Table("server_groups")
            .WithColumn("id").AsInt64().PrimaryKey().Identity()
            .WithColumn("uuid").AsString(36).NotNullable().Unique("ux_server_groups_uuid")
            .WithColumn("name").AsString(255).NotNullable()
            .WithColumn("project_id").AsString(255).NotNullable().Indexed("ix_server_groups_project")
            .WithColumn("user_id").AsString(255).NotNullable()
            .WithColumn("policy").AsString(255).NotNullable()
            .WithColumn("max_per_host").AsInt32().Nullable();
        Create.Table("server_group_members")
            .WithColumn("instance_id").AsString(36).PrimaryKey()
            .WithColumn("group_id").AsInt64().NotNullable().Indexed("ix_server_group_members_group")
            .ForeignKey("fk_server_group_members_group", "server_groups", "id");
    }
}
