using FluentMigrator;

namespace SharpStack.Keystone.Storage;

/// <summary>Lists are read in the order of ids, page by page: also those of one domain must not be sorted first.</summary>
[Migration(11, "Indexes of the lists of one domain")]
public sealed class M0011ListIndexes : ForwardOnlyMigration
{
    public override void Up()
    {
        foreach (var table in (string[])["users", "identity_groups", "projects"])
        {
            Create.Index($"ix_{table}_domain").OnTable(table).OnColumn("domain_id").Ascending().OnColumn("id").Ascending();
        }
    }
}
