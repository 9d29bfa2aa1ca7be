using FluentMigrator;

namespace SharpStack.Neutron.Storage.Migrations;

[Migration(31, "Address groups, and the rules that name them")]
public sealed class M031AddressGroups : ForwardOnlyMigration
{
    public override void Up()
    {
        Create.ResourceTable("address_groups").WithColumn("addresses").AsString(int.MaxValue).NotNullable();
        Alter.Table("security_group_rules").AddColumn("remote_address_group_id").AsString(36).Nullable();
        Create.Index().OnTable("security_group_rules").OnColumn("remote_address_group_id");
    }
}
