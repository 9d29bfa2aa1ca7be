using FluentMigrator;
using SharpStack.Foundation.Storage.Leases;

namespace SharpStack.Neutron.Storage.Migrations;

[Migration(11, "Leases: which server does what only one may do")]
public sealed class M011Leases : ForwardOnlyMigration
{
    public override void Up() => LeaseSchema.Add(Create);
}
