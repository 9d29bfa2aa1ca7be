using FluentMigrator;

namespace SharpStack.Keystone.Storage;

[Migration(3, "Trusts, application credentials with access rules, OAuth 1.0a, keys of credentials")]
public sealed class M0003Delegation : ForwardOnlyMigration
{
    public override void Up()
    {
        Create.Table("trusts")
            .WithColumn("id").AsString(64).PrimaryKey()
            .WithColumn("trustor_user_id").AsString(64).NotNullable().Indexed()
            .WithColumn("trustee_user_id").AsString(64).NotNullable().Indexed()
            .WithColumn("project_id").AsString(64).Nullable().Indexed()
            .WithColumn("impersonation").AsBoolean().NotNullable()
            .WithColumn("expires_at").AsInt64().Nullable()
            .WithColumn("remaining_uses").AsInt32().Nullable()
            .WithColumn("redelegated_trust_id").AsString(64).Nullable().Indexed()
            .WithColumn("redelegation_count").AsInt32().NotNullable()
            .WithColumn("extra").AsString(int.MaxValue).NotNullable();

        Create.Table("trust_roles")
            .WithColumn("trust_id").AsString(64).PrimaryKey()
            .WithColumn("role_id").AsString(64).PrimaryKey().Indexed();

        Create.Table("application_credentials")
            .WithColumn("id").AsString(64).PrimaryKey()
            .WithColumn("name").AsString(255).NotNullable()
            .WithColumn("name_key").AsString(255).NotNullable()
            .WithColumn("user_id").AsString(64).NotNullable()
            .WithColumn("project_id").AsString(64).NotNullable().Indexed()
            .WithColumn("secret_hash").AsString(255).NotNullable()
            .WithColumn("description").AsString(int.MaxValue).Nullable()
            .WithColumn("expires_at").AsInt64().Nullable()
            .WithColumn("unrestricted").AsBoolean().NotNullable()
            .WithColumn("has_access_rules").AsBoolean().NotNullable();
        Create.Index("ux_application_credentials_name").OnTable("application_credentials")
            .OnColumn("user_id").Ascending().OnColumn("name_key").Ascending().WithOptions().Unique();

        Create.Table("application_credential_roles")
            .WithColumn("application_credential_id").AsString(64).PrimaryKey()
            .WithColumn("role_id").AsString(64).PrimaryKey().Indexed();

        Create.Table("access_rules")
            .WithColumn("id").AsString(64).PrimaryKey()
            .WithColumn("user_id").AsString(64).NotNullable()
            .WithColumn("service").AsString(64).NotNullable()
            .WithColumn("path").AsString(255).NotNullable()
            .WithColumn("method").AsString(16).NotNullable();
        Create.Index("ux_access_rules").OnTable("access_rules")
            .OnColumn("user_id").Ascending().OnColumn("service").Ascending().OnColumn("path").Ascending().OnColumn("method").Ascending().WithOptions().Unique();

        Create.Table("application_credential_access_rules")
            .WithColumn("application_credential_id").AsString(64).PrimaryKey()
            .WithColumn("access_rule_id").AsString(64).PrimaryKey().Indexed();

        Create.Table("oauth_consumers")
            .WithColumn("id").AsString(64).PrimaryKey()
            .WithColumn("description").AsString(int.MaxValue).Nullable()
            .WithColumn("secret").AsString(64).NotNullable()
            .WithColumn("extra").AsString(int.MaxValue).NotNullable();

        Create.Table("oauth_request_tokens")
            .WithColumn("id").AsString(64).PrimaryKey()
            .WithColumn("secret").AsString(64).NotNullable()
            .WithColumn("consumer_id").AsString(64).NotNullable().Indexed()
            .WithColumn("project_id").AsString(64).NotNullable()
            .WithColumn("verifier").AsString(64).Nullable()
            .WithColumn("user_id").AsString(64).Nullable()
            .WithColumn("role_ids").AsString(int.MaxValue).NotNullable()
            .WithColumn("expires_at").AsInt64().Nullable();

        Create.Table("oauth_access_tokens")
            .WithColumn("id").AsString(64).PrimaryKey()
            .WithColumn("secret").AsString(64).NotNullable()
            .WithColumn("consumer_id").AsString(64).NotNullable().Indexed()
            .WithColumn("project_id").AsString(64).NotNullable().Indexed()
            .WithColumn("user_id").AsString(64).NotNullable().Indexed()
            .WithColumn("role_ids").AsString(int.MaxValue).NotNullable()
            .WithColumn("expires_at").AsInt64().Nullable();

        // The last time step of each credential that a passcode was taken for: it is good once.
        Create.Table("totp_steps")
            .WithColumn("credential_id").AsString(64).PrimaryKey()
            .WithColumn("step").AsInt64().NotNullable();

        // The SHA-1 of the key that encrypted the row, by which a rotation knows what must be encrypted anew before it removes a key.
        Alter.Table("credentials").AddColumn("key_hash").AsString(64).Nullable();
    }
}
