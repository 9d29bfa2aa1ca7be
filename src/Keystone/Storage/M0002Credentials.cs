using FluentMigrator;

namespace SharpStack.Keystone.Storage;

[Migration(2, "Credentials and policy blobs")]
public sealed class M0002Credentials : ForwardOnlyMigration
{
    public override void Up()
    {
        Create.Table("credentials")
            .WithColumn("id").AsString(64).PrimaryKey()
            .WithColumn("user_id").AsString(64).NotNullable().Indexed()
            .WithColumn("project_id").AsString(64).Nullable().Indexed()
            .WithColumn("type").AsString(255).NotNullable()
            .WithColumn("encrypted_blob").AsString(int.MaxValue).NotNullable()
            .WithColumn("extra").AsString(int.MaxValue).NotNullable();

        Create.Table("policies")
            .WithColumn("id").AsString(64).PrimaryKey()
            .WithColumn("type").AsString(255).NotNullable()
            .WithColumn("blob").AsString(int.MaxValue).NotNullable()
            .WithColumn("extra").AsString(int.MaxValue).NotNullable();
    }
}
