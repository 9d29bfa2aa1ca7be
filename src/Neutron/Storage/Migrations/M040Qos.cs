using FluentMigrator;

namespace SharpStack.Neutron.Storage.Migrations;

[Migration(40, "QoS policies, their rules, and what follows them; address groups that are shared")]
public sealed class M040Qos : ForwardOnlyMigration
{
    private const int Uuid = 36;

    public override void Up()
    {
        Create.ResourceTable("qos_policies")
            .WithColumn("shared").AsBoolean().NotNullable()
            .WithColumn("shared_selectively").AsBoolean().NotNullable()
            .WithColumn("is_default").AsBoolean().NotNullable();
        Create.Index().OnTable("qos_policies").OnColumn("project_id");
        Create.ResourceTable("qos_rules")
            .WithColumn("qos_policy_id").AsString(Uuid).NotNullable().ForeignKey("fk_qos_rules_policy", "qos_policies", "id").OnDelete(System.Data.Rule.Cascade).Indexed()
            .WithColumn("type").AsString(32).NotNullable()
            .WithColumn("direction").AsString(16).Nullable()
            .WithColumn("amount").AsInt32().NotNullable()
            .WithColumn("burst").AsInt32().Nullable();
        foreach (var table in (string[])["networks", "ports"])
        {
            Alter.Table(table).AddColumn("qos_policy_id").AsString(Uuid).Nullable();
            Create.Index().OnTable(table).OnColumn("qos_policy_id");
        }

        Alter.Table("address_groups").AddColumn("shared").AsBoolean().NotNullable().WithDefaultValue(false);
        Alter.Table("address_groups").AddColumn("shared_selectively").AsBoolean().NotNullable().WithDefaultValue(false);
    }
}
