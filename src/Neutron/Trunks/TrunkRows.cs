using LinqToDB.Mapping;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.Trunks;

[Table("trunks")]
internal sealed class TrunkRow : ResourceRow
{
    [Column("admin_state_up")]
    public bool AdminStateUp { get; set; }

    /// <summary>The port that carries the packets of all.</summary>
    [Column("port_id", CanBeNull = false)]
    public string PortId { get; set; } = "";

    [Column("status", CanBeNull = false)]
    public string Status { get; set; } = "";
}

/// <summary>A port whose packets are told from the others of a trunk by a tag.</summary>
[Table("subports")]
internal sealed class SubPortRow
{
    [Column("port_id", CanBeNull = false), PrimaryKey]
    public string PortId { get; set; } = "";

    [Column("trunk_id", CanBeNull = false)]
    public string TrunkId { get; set; } = "";

    /// <summary><c>vlan</c>.</summary>
    [Column("segmentation_type", CanBeNull = false)]
    public string SegmentationType { get; set; } = "";

    [Column("segmentation_id")]
    public int SegmentationId { get; set; }
}
