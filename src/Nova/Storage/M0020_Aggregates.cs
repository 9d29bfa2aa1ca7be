using FluentMigrator;

namespace SharpStack.Nova.Storage;

[Migration(20, "Host aggregates, their hosts and their metadata; servers that were forced onto a host")]
public sealed class M0020Aggregates : ForwardOnlyMigration
{
    public override void Up()
    {
        Create.Table("aggregates")
            .WithColumn("id").AsInt64().PrimaryKey().Identity()
            .WithColumn("uuid").AsString(36).NotNullable().Unique("ux_aggregates_uuid")
            .WithColumn("name").AsString(255).NotNullable().Unique("ux_aggregates_name")
            .WithColumn("created_at").AsInt64().NotNullable()
            .WithColumn("updated_at").AsInt64().Nullable();

        Create.Table("aggregate_hosts")
            .WithColumn("aggregate_id").AsInt64().PrimaryKey().ForeignKey("fk_aggregate_hosts_aggregate", "aggregates", "id").OnDelete(System.Data.Rule.Cascade)
            .WithColumn("host").AsString(255).PrimaryKey();
        Create.Index("ix_aggregate_hosts_host").OnTable("aggregate_hosts").OnColumn("host").Ascending();

        Create.Table("aggregate_metadata")
            .WithColumn("aggregate_id").AsInt64().PrimaryKey().ForeignKey("fk_aggregate_metadata_aggregate", "aggregates", "id").OnDelete(System.Data.Rule.Cascade)
            .WithColumn("name").AsString(255).PrimaryKey()
            .WithColumn("value").AsString(255).NotNullable();

        Alter.Table("instances").AddColumn("host_is_forced").AsBoolean().NotNullable().WithDefaultValue(false);
    }
}
