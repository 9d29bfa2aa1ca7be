using FluentMigrator;

namespace SharpStack.Keystone.Storage;

[Migration(40, "The version of the language that a mapping is written in")]
public sealed class M0040MappingVersions : ForwardOnlyMigration
{
    public override void Up() => Alter.Table("mappings").AddColumn("schema_version").AsString(5).NotNullable().WithDefaultValue("1.0");
}
