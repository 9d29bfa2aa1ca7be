using FluentMigrator;

namespace SharpStack.Neutron.Storage.Migrations;

[Migration(45, "Whether Placement has what an agent guarantees")]
public sealed class M045AgentResources : ForwardOnlyMigration
{
    public override void Up() => Alter.Table("agents").AddColumn("resources_synced").AsBoolean().Nullable();
}
