using System.Security.Cryptography;
using FluentMigrator;

namespace SharpStack.Keystone.Storage;

[Migration(30, "The number of the last change, by which processes see each other's writes")]
public sealed class M0030Revision : ForwardOnlyMigration
{
    public override void Up()
    {
        Create.Table("identity_state")
            .WithColumn("id").AsInt32().PrimaryKey()
            .WithColumn("revision").AsInt64().NotNullable()
            .WithColumn("secret").AsString(64).NotNullable();
        Insert.IntoTable("identity_state").Row(new { id = IdentityStateRow.TheOne, revision = 1L, secret = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(32)) });
    }
}
