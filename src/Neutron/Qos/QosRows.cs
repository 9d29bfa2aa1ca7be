using LinqToDB.Mapping;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.Qos;

[Table("qos_policies")]
internal sealed class QosPolicyRow : ResourceRow, IShareableRow
{
    [Column("shared")]
    public bool Shared { get; set; }

    [Column("shared_selectively")]
    public bool SharedSelectively { get; set; }

    /// <summary>New networks of its project get it where they name none.</summary>
    [Column("is_default")]
    public bool IsDefault { get; set; }
}

/// <summary>A rule of any kind; what its kind does not have is null.</summary>
[Table("qos_rules")]
internal sealed class QosRuleRow : ResourceRow
{
    [Column("qos_policy_id", CanBeNull = false)]
    public string PolicyId { get; set; } = "";

    /// <summary>The name of a <see cref="QosRuleKind"/>.</summary>
    [Column("type", CanBeNull = false)]
    public string Type { get; set; } = "";

    [Column("direction")]
    public string? Direction { get; set; }

    /// <summary>Kilobits or thousands of packets a second, or the DSCP mark.</summary>
    [Column("amount")]
    public int Amount { get; set; }

    /// <summary>Kilobits or thousands of packets; 0 for the default.</summary>
    [Column("burst")]
    public int? Burst { get; set; }
}
