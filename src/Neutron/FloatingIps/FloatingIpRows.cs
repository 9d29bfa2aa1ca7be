using LinqToDB.Mapping;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.FloatingIps;

[Table("floating_ips")]
internal sealed class FloatingIpRow : ResourceRow
{
    [Column("floating_network_id", CanBeNull = false)]
    public string FloatingNetworkId { get; set; } = "";

    [Column("floating_ip_address", CanBeNull = false)]
    public string FloatingIpAddress { get; set; } = "";

    /// <summary>The port on the external network that holds the address.</summary>
    [Column("floating_port_id", CanBeNull = false)]
    public string FloatingPortId { get; set; } = "";

    [Column("fixed_port_id")]
    public string? FixedPortId { get; set; }

    [Column("fixed_ip_address")]
    public string? FixedIpAddress { get; set; }

    [Column("router_id")]
    public string? RouterId { get; set; }

    [Column("status", CanBeNull = false)]
    public string Status { get; set; } = "";

    [Column("qos_policy_id")]
    public string? QosPolicyId { get; set; }

    [Column("dns_name", CanBeNull = false)]
    public string DnsName { get; set; } = "";

    [Column("dns_domain", CanBeNull = false)]
    public string DnsDomain { get; set; } = "";
}
