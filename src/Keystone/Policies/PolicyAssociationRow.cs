using LinqToDB;
using LinqToDB.Data;
using LinqToDB.Mapping;

namespace SharpStack.Keystone.Policies;

/// <summary>Which policy is for an endpoint, for a service, or for a service in a region; what does not apply is empty.</summary>
[Table("policy_associations")]
internal sealed record PolicyAssociationRow
{
    [Column("endpoint_id"), PrimaryKey(1)]
    public required string EndpointId { get; init; }

    [Column("service_id"), PrimaryKey(2)]
    public required string ServiceId { get; init; }

    [Column("region_id"), PrimaryKey(3)]
    public required string RegionId { get; init; }

    [Column("policy_id")]
    public required string PolicyId { get; init; }
}

internal static class PolicyAssociationTables
{
    public static ITable<PolicyAssociationRow> PolicyAssociations(this DataConnection db) => db.GetTable<PolicyAssociationRow>();
}
