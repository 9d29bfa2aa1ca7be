using FluentMigrator;

namespace SharpStack.Keystone.Storage;

/// <summary>Lists of users are filtered by name, and whom a provider vouches for has the name that it gives.</summary>
[Migration(36, "An index of the names that identity providers give")]
public sealed class M0036DisplayNames : ForwardOnlyMigration
{
    public override void Up() => Create.Index("ix_federated_users_display_name").OnTable("federated_users").OnColumn("display_name").Ascending();
}
