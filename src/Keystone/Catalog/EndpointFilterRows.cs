using LinqToDB;
using LinqToDB.Data;
using LinqToDB.Mapping;

namespace SharpStack.Keystone.Catalog;

/// <summary>Endpoints that have something in common, such as a region: what a project may be given instead of single endpoints.</summary>
[Table("endpoint_groups")]
internal sealed record EndpointGroupRow
{
    [Column("id"), PrimaryKey]
    public required string Id { get; init; }

    [Column("name")]
    public required string Name { get; init; }

    [Column("description")]
    public string? Description { get; init; }

    /// <summary>A JSON object: values of <c>service_id</c>, <c>region_id</c> and <c>interface</c> that a member has.</summary>
    [Column("filters")]
    public required string Filters { get; init; }
}

[Table("project_endpoints")]
internal sealed record ProjectEndpointRow
{
    [Column("project_id"), PrimaryKey(1)]
    public required string ProjectId { get; init; }

    [Column("endpoint_id"), PrimaryKey(2)]
    public required string EndpointId { get; init; }
}

[Table("project_endpoint_groups")]
internal sealed record ProjectEndpointGroupRow
{
    [Column("project_id"), PrimaryKey(1)]
    public required string ProjectId { get; init; }

    [Column("endpoint_group_id"), PrimaryKey(2)]
    public required string EndpointGroupId { get; init; }
}

internal static class EndpointFilterTables
{
    public static ITable<EndpointGroupRow> EndpointGroups(this DataConnection db) => db.GetTable<EndpointGroupRow>();

    public static ITable<ProjectEndpointRow> ProjectEndpoints(this DataConnection db) => db.GetTable<ProjectEndpointRow>();

    public static ITable<ProjectEndpointGroupRow> ProjectEndpointGroups(this DataConnection db) => db.GetTable<ProjectEndpointGroupRow>();
}
