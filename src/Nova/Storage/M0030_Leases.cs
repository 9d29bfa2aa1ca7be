using FluentMigrator;
using SharpStack.Foundation.Storage.Leases;

namespace SharpStack.Nova.Storage;

[Migration(30, "Leases: which conductor works on which instances")]
public sealed class M0030Leases : ForwardOnlyMigration
{
    public override void Up() => LeaseSchema.Add(Create);
}
