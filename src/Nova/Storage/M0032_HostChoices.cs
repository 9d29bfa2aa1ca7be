using FluentMigrator;

namespace SharpStack.Nova.Storage;

[Migration(32, "The schedulers' latest choices, which they have in common")]
public sealed class M0032HostChoices : ForwardOnlyMigration
{
    public override void Up()
    {
        var table = Create.Table("host_choices")
            .WithColumn("id").AsInt64().PrimaryKey().Identity()
            .WithColumn("instance_id").AsString(36).NotNullable()
            .WithColumn("compute_node_id").AsString(36).NotNullable()
            .WithColumn("chosen_at").AsInt64().NotNullable();
        foreach (var amount in new[] { "vcpus", "memory_mb", "local_gb" })
        {
            table.WithColumn(amount).AsInt64().NotNullable().WithColumn(amount + "_before").AsInt64().NotNullable();
        }
    }
}
