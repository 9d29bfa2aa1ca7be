using FluentMigrator;

namespace SharpStack.Neutron.Storage.Migrations;

[Migration(42, "Names of floating IPs")]
public sealed class M042FloatingIpNames : ForwardOnlyMigration
{
    public override void Up()
    {
        foreach (var column in (string[])["dns_name", "dns_domain"])
        {
            Alter.Table("floating_ips").AddColumn(column).AsString(255).NotNullable().WithDefaultValue("");
        }
    }
}
