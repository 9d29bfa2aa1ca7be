using FluentMigrator;
using SharpStack.Foundation.Storage.Leases;

namespace SharpStack.Glance.Storage;

[Migration(2026_01_01_12, "Leases: which glance-api does which import")]
public sealed class Leases : ForwardOnlyMigration
{
    public override void Up() => LeaseSchema.Add(Create);
}
