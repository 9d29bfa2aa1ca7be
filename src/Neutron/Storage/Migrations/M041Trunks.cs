using FluentMigrator;

namespace SharpStack.Neutron.Storage.Migrations;

[Migration(41, "Trunks and their subports")]
public sealed class M041Trunks : ForwardOnlyMigration
{
    private const int Uuid = 36;

    public override void Up()
    {
        Create.ResourceTable("trunks")
            .WithColumn("admin_state_up").AsBoolean().NotNullable()
            .WithColumn("port_id").AsString(Uuid).NotNullable().ForeignKey("fk_trunks_port", "ports", "id").Unique()
            .WithColumn("status").AsString(16).NotNullable();
        Create.Index().OnTable("trunks").OnColumn("project_id");
        Create.Table("subports")
            .WithColumn("port_id").AsString(Uuid).PrimaryKey().ForeignKey("fk_subports_port", "ports", "id")
            .WithColumn("trunk_id").AsString(Uuid).NotNullable().ForeignKey("fk_subports_trunk", "trunks", "id").OnDelete(System.Data.Rule.Cascade)
            .WithColumn("segmentation_type").AsString(16).NotNullable()
            .WithColumn("segmentation_id").AsInt32().NotNullable();
        Create.Index("ux_subports").OnTable("subports").OnColumn("trunk_id").Ascending().OnColumn("segmentation_type").Ascending().OnColumn("segmentation_id").Ascending().WithOptions().Unique();
    }
}
