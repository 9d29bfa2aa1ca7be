using LinqToDB.Mapping;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.PortForwardings;

[Table("port_forwardings")]
internal sealed class PortForwardingRow : ResourceRow
{
    [Column("floating_ip_id", CanBeNull = false)]
    public string FloatingIpId { get; set; } = "";

    [Column("protocol", CanBeNull = false)]
    public string Protocol { get; set; } = "";

    [Column("internal_port_id", CanBeNull = false)]
    public string InternalPortId { get; set; } = "";

    [Column("internal_ip_address", CanBeNull = false)]
    public string InternalIpAddress { get; set; } = "";

    [Column("internal_first")]
    public int InternalFirst { get; set; }

    [Column("internal_last")]
    public int InternalLast { get; set; }

    [Column("external_first")]
    public int ExternalFirst { get; set; }

    [Column("external_last")]
    public int ExternalLast { get; set; }
}
