using FluentMigrator;

namespace SharpStack.Keystone.Storage;

[Migration(1, "Users, groups, projects, roles, assignments, catalog, revocations")]
public sealed class M0001Identity : ForwardOnlyMigration
{
    public override void Up()
    {
        Create.Table("projects")
            .WithColumn("id").AsString(64).PrimaryKey()
            .WithColumn("name").AsString(64).NotNullable()
            .WithColumn("name_key").AsString(64).NotNullable()
            .WithColumn("domain_id").AsString(64).NotNullable()
            .WithColumn("parent_id").AsString(64).Nullable().Indexed()
            .WithColumn("is_domain").AsBoolean().NotNullable()
            .WithColumn("enabled").AsBoolean().NotNullable()
            .WithColumn("description").AsString(int.MaxValue).Nullable()
            .WithColumn("extra").AsString(int.MaxValue).NotNullable()
            .WithColumn("options").AsString(int.MaxValue).NotNullable();
        Create.Index("ux_projects_name").OnTable("projects").OnColumn("domain_id").Ascending().OnColumn("name_key").Ascending().WithOptions().Unique();
        Create.Index("ix_projects_name").OnTable("projects").OnColumn("name_key").Ascending();

        Create.Table("project_tags")
            .WithColumn("project_id").AsString(64).PrimaryKey()
            .WithColumn("name").AsString(255).PrimaryKey();
        Create.Index("ix_project_tags_name").OnTable("project_tags").OnColumn("name").Ascending();

        Create.Table("users")
            .WithColumn("id").AsString(64).PrimaryKey()
            .WithColumn("domain_id").AsString(64).NotNullable()
            .WithColumn("name").AsString(255).NotNullable()
            .WithColumn("name_key").AsString(255).NotNullable()
            .WithColumn("enabled").AsBoolean().NotNullable()
            .WithColumn("default_project_id").AsString(64).Nullable().Indexed()
            .WithColumn("extra").AsString(int.MaxValue).NotNullable()
            .WithColumn("options").AsString(int.MaxValue).NotNullable()
            .WithColumn("created_at").AsInt64().NotNullable();
        Create.Index("ux_users_name").OnTable("users").OnColumn("domain_id").Ascending().OnColumn("name_key").Ascending().WithOptions().Unique();
        Create.Index("ix_users_name").OnTable("users").OnColumn("name_key").Ascending();

        Create.Table("passwords")
            .WithColumn("id").AsInt64().PrimaryKey().Identity()
            .WithColumn("user_id").AsString(64).NotNullable().Indexed()
            .WithColumn("hash").AsString(255).NotNullable()
            .WithColumn("created_at").AsInt64().NotNullable()
            .WithColumn("expires_at").AsInt64().Nullable();

        Create.Table("identity_groups")
            .WithColumn("id").AsString(64).PrimaryKey()
            .WithColumn("domain_id").AsString(64).NotNullable()
            .WithColumn("name").AsString(255).NotNullable()
            .WithColumn("name_key").AsString(255).NotNullable()
            .WithColumn("description").AsString(int.MaxValue).Nullable()
            .WithColumn("extra").AsString(int.MaxValue).NotNullable();
        Create.Index("ux_identity_groups_name").OnTable("identity_groups")
            .OnColumn("domain_id").Ascending().OnColumn("name_key").Ascending().WithOptions().Unique();

        Create.Table("memberships")
            .WithColumn("user_id").AsString(64).PrimaryKey()
            .WithColumn("group_id").AsString(64).PrimaryKey().Indexed();

        Create.Table("roles")
            .WithColumn("id").AsString(64).PrimaryKey()
            .WithColumn("name").AsString(255).NotNullable()
            .WithColumn("name_key").AsString(255).NotNullable()
            .WithColumn("domain_id").AsString(64).NotNullable()
            .WithColumn("description").AsString(int.MaxValue).Nullable()
            .WithColumn("extra").AsString(int.MaxValue).NotNullable()
            .WithColumn("options").AsString(int.MaxValue).NotNullable();
        Create.Index("ux_roles_name").OnTable("roles").OnColumn("domain_id").Ascending().OnColumn("name_key").Ascending().WithOptions().Unique();

        Create.Table("implied_roles")
            .WithColumn("prior_role_id").AsString(64).PrimaryKey()
            .WithColumn("implied_role_id").AsString(64).PrimaryKey().Indexed();

        Create.Table("assignments")
            .WithColumn("actor_type").AsString(8).PrimaryKey()
            .WithColumn("actor_id").AsString(64).PrimaryKey()
            .WithColumn("target_type").AsString(8).PrimaryKey()
            .WithColumn("target_id").AsString(64).PrimaryKey()
            .WithColumn("role_id").AsString(64).PrimaryKey().Indexed()
            .WithColumn("inherited").AsBoolean().PrimaryKey();
        Create.Index("ix_assignments_actor").OnTable("assignments").OnColumn("actor_id").Ascending();
        Create.Index("ix_assignments_target").OnTable("assignments").OnColumn("target_id").Ascending();

        Create.Table("regions")
            .WithColumn("id").AsString(255).PrimaryKey()
            .WithColumn("parent_region_id").AsString(255).Nullable()
            .WithColumn("description").AsString(255).NotNullable()
            .WithColumn("extra").AsString(int.MaxValue).NotNullable();

        Create.Table("services")
            .WithColumn("id").AsString(64).PrimaryKey()
            .WithColumn("type").AsString(255).NotNullable()
            .WithColumn("name").AsString(255).Nullable()
            .WithColumn("enabled").AsBoolean().NotNullable()
            .WithColumn("extra").AsString(int.MaxValue).NotNullable();

        Create.Table("endpoints")
            .WithColumn("id").AsString(64).PrimaryKey()
            .WithColumn("service_id").AsString(64).NotNullable().Indexed()
            .WithColumn("interface").AsString(8).NotNullable()
            .WithColumn("region_id").AsString(255).Nullable().Indexed()
            .WithColumn("url").AsString(int.MaxValue).NotNullable()
            .WithColumn("enabled").AsBoolean().NotNullable()
            .WithColumn("extra").AsString(int.MaxValue).NotNullable();

        Create.Table("revocations")
            .WithColumn("id").AsInt64().PrimaryKey().Identity()
            .WithColumn("audit_id").AsString(32).Nullable()
            .WithColumn("audit_chain_id").AsString(32).Nullable()
            .WithColumn("user_id").AsString(64).Nullable()
            .WithColumn("scope_id").AsString(64).Nullable()
            .WithColumn("issued_before").AsInt64().NotNullable().Indexed();
    }
}
