using FluentMigrator;

namespace SharpStack.Keystone.Storage;

[Migration(20, "Identity providers, protocols, mappings, service providers and the users who come from them")]
public sealed class M0020Federation : ForwardOnlyMigration
{
    public override void Up()
    {
        Create.Table("identity_providers")
            .WithColumn("id").AsString(64).PrimaryKey()
            .WithColumn("domain_id").AsString(64).NotNullable().Indexed()
            .WithColumn("enabled").AsBoolean().NotNullable()
            .WithColumn("description").AsString(int.MaxValue).Nullable()
            .WithColumn("authorization_ttl").AsInt32().Nullable();

        Create.Table("idp_remote_ids")
            .WithColumn("remote_id").AsString(255).PrimaryKey()
            .WithColumn("idp_id").AsString(64).NotNullable().Indexed();

        Create.Table("federation_protocols")
            .WithColumn("idp_id").AsString(64).PrimaryKey()
            .WithColumn("id").AsString(64).PrimaryKey()
            .WithColumn("mapping_id").AsString(64).NotNullable().Indexed()
            .WithColumn("remote_id_attribute").AsString(64).Nullable();

        Create.Table("mappings")
            .WithColumn("id").AsString(64).PrimaryKey()
            .WithColumn("rules").AsString(int.MaxValue).NotNullable();

        Create.Table("service_providers")
            .WithColumn("id").AsString(64).PrimaryKey()
            .WithColumn("auth_url").AsString(256).NotNullable()
            .WithColumn("sp_url").AsString(256).NotNullable()
            .WithColumn("enabled").AsBoolean().NotNullable()
            .WithColumn("description").AsString(int.MaxValue).Nullable()
            .WithColumn("relay_state_prefix").AsString(256).NotNullable();

        Create.Table("federated_users")
            .WithColumn("idp_id").AsString(64).PrimaryKey()
            .WithColumn("protocol_id").AsString(64).PrimaryKey()
            .WithColumn("unique_id").AsString(255).PrimaryKey()
            .WithColumn("user_id").AsString(64).NotNullable().Indexed()
            .WithColumn("display_name").AsString(255).Nullable();

        Create.Table("expiring_memberships")
            .WithColumn("user_id").AsString(64).PrimaryKey()
            .WithColumn("group_id").AsString(64).PrimaryKey()
            .WithColumn("idp_id").AsString(64).PrimaryKey()
            .WithColumn("last_verified").AsInt64().NotNullable();
    }
}
