using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Hosting;

namespace SharpStack.Neutron;

/// <summary>The options that the server reads, from <c>neutron.conf</c> and <c>ml2_conf.ini</c>, by their names there.</summary>
internal sealed class NeutronOptions(ServiceConfig config, HostOptions host)
{
    private static readonly ConfigOption<IReadOnlyList<string>> TypeDriversOption = new("ml2", "type_drivers", ["local", "flat", "vlan", "gre", "vxlan", "geneve"], "Network type drivers to load.");
    private static readonly ConfigOption<IReadOnlyList<string>> TenantNetworkTypesOption = new("ml2", "tenant_network_types", ["local"], "Network types of tenant networks, tried in order; empty: none can be made.");
    private static readonly ConfigOption<IReadOnlyList<string>> MechanismDriversOption = new("ml2", "mechanism_drivers", ["openvswitch"], "Mechanism drivers, asked in order to bind a port.");
    private static readonly ConfigOption<IReadOnlyList<string>> ExtensionDriversOption = new("ml2", "extension_drivers", ["port_security"], "Extension drivers to load.");
    private static readonly ConfigOption<int> PathMtuOption = new("ml2", "path_mtu", 0, "Largest packet that crosses the underlay of overlay networks; 0: global_physnet_mtu.") { Min = 0, Max = 65535 };
    private static readonly ConfigOption<IReadOnlyDictionary<string, string>> PhysicalNetworkMtusOption = new("ml2", "physical_network_mtus", new Dictionary<string, string>(), "MTUs of physical networks, as name:mtu.");
    private static readonly ConfigOption<IReadOnlyList<string>> FlatNetworksOption = new("ml2_type_flat", "flat_networks", ["*"], "Physical networks with flat networks; * for any, empty for none.");
    private static readonly ConfigOption<IReadOnlyList<string>> VlanRangesOption = new("ml2_type_vlan", "network_vlan_ranges", [], "Physical networks with VLANs: name for provider networks only, name:min:max for tenant networks too.");
    private static readonly ConfigOption<IReadOnlyList<string>> VxlanRangesOption = new("ml2_type_vxlan", "vni_ranges", [], "Ranges min:max of VXLAN ids for tenant networks.");
    private static readonly ConfigOption<IReadOnlyList<string>> GeneveRangesOption = new("ml2_type_geneve", "vni_ranges", [], "Ranges min:max of Geneve ids for tenant networks.");
    private static readonly ConfigOption<int> GeneveHeaderOption = new("ml2_type_geneve", "max_header_size", 30, "Largest Geneve header in bytes, the outer UDP and inner Ethernet headers included: with the IP header it is what Geneve networks have less of MTU.") { Min = 30, Max = 300 };
    private static readonly ConfigOption<int> OverlayIpVersionOption = new("ml2", "overlay_ip_version", 4, "IP version of the tunnels: 4 or 6.") { Min = 4, Max = 6 };
    private static readonly ConfigOption<IReadOnlyList<string>> GreRangesOption = new("ml2_type_gre", "tunnel_id_ranges", [], "Ranges min:max of GRE keys for tenant networks.");
    private static readonly ConfigOption<int> GlobalMtuOption = new("DEFAULT", "global_physnet_mtu", 1500, "MTU of the physical network.") { Min = 68, Max = 65535 };
    private static readonly ConfigOption<string> BaseMacOption = new("DEFAULT", "base_mac", "fa:16:3e:00:00:00", "MAC addresses begin with its first three octets, or four where the fourth is not 00.");
    private static readonly ConfigOption<int> AgentDownTimeOption = new("DEFAULT", "agent_down_time", 75, "Seconds without a report after which an agent counts as dead.") { Min = 1 };
    private static readonly ConfigOption<int> DhcpAgentsPerNetworkOption = new("DEFAULT", "dhcp_agents_per_network", 1, "DHCP agents that serve a network.") { Min = 1 };
    private static readonly ConfigOption<int> MaxDnsNameserversOption = new("DEFAULT", "max_dns_nameservers", 5, "DNS servers of a subnet.") { Min = 0 };
    private static readonly ConfigOption<int> MaxHostRoutesOption = new("DEFAULT", "max_subnet_host_routes", 20, "Host routes of a subnet.") { Min = 0 };
    private static readonly ConfigOption<int> MaxAddressPairsOption = new("DEFAULT", "max_allowed_address_pair", 10, "Allowed address pairs of a port.") { Min = 0 };
    private static readonly ConfigOption<int> MaxFixedIpsOption = new("DEFAULT", "max_fixed_ips_per_port", 5, "Addresses of a port.") { Min = 0 };
    private static readonly ConfigOption<string> PaginationMaxLimitOption = new("DEFAULT", "pagination_max_limit", "-1", "Most items in an answer; -1 or infinite for no bound.");
    private static readonly ConfigOption<bool> NotifyStatusOption = new("DEFAULT", "notify_nova_on_port_status_changes", true, "Tell Nova when a port becomes ACTIVE or DOWN.");
    private static readonly ConfigOption<bool> NotifyDataOption = new("DEFAULT", "notify_nova_on_port_data_changes", true, "Tell Nova when a port's addresses change, so that it refreshes its cache.");
    private static readonly ConfigOption<string> DnsDomainOption = new("DEFAULT", "dns_domain", "openstacklocal", "Domain of the hosts.");

    private static readonly ConfigOption<IReadOnlyList<string>> ServicePluginsOption = new("DEFAULT", "service_plugins", ["router", "port_forwarding", "conntrack_helper", "qos", "trunk", "placement"], "Service plugins to load; empty for none.");
    private static readonly ConfigOption<bool> EnableSnatOption = new("DEFAULT", "enable_snat_by_default", true, "New external gateways translate source addresses where the request does not say.");
    private static readonly ConfigOption<int> MaxRoutesOption = new("DEFAULT", "max_routes", 30, "Extra routes of a router.") { Min = 0 };
    private static readonly ConfigOption<bool> AutomaticFailoverOption = new("DEFAULT", "allow_automatic_l3agent_failover", false, "Move the routers of a dead L3 agent to a live one.");
    private static readonly ConfigOption<bool> L3HaOption = new("DEFAULT", "l3_ha", false, "New routers are HA routers where the request does not say.");
    private static readonly ConfigOption<int> MaxL3AgentsOption = new("DEFAULT", "max_l3_agents_per_router", 3, "L3 agents that serve an HA router; 0 for all.") { Min = 0 };
    private static readonly ConfigOption<string> HaCidrOption = new("DEFAULT", "l3_ha_net_cidr", "169.254.192.0/18", "Addresses of the projects' HA networks.");
    private static readonly ConfigOption<string> HaNetworkTypeOption = new("DEFAULT", "l3_ha_network_type", "", "Network type of the HA networks; empty: that of tenant networks.");
    private static readonly ConfigOption<string> HaPhysicalNetworkOption = new("DEFAULT", "l3_ha_network_physical_name", "", "Physical network of the HA networks.");

    private const string Trunk = "trunk";

    private static readonly (string Resource, ConfigOption<int> Option)[] QuotaOptions =
    [
        Quota("network", 100), Quota("subnet", 100), Quota("port", 500), Quota("subnetpool", -1), Quota("rbac_policy", 10),
        Quota("security_group", 10), Quota("security_group_rule", 100),
        Quota("router", 10), Quota("floatingip", 50), Quota(Trunk, -1),
    ];

    /// <summary>All of them, for validation and samples.</summary>
    public static IEnumerable<ConfigOption> Declared => [.. ConfigOption.DeclaredIn(typeof(NeutronOptions)), .. QuotaOptions.Select(quota => quota.Option)];

    public ServiceConfig Config => config;

    public IReadOnlyList<string> TypeDrivers => config.Get(TypeDriversOption);

    public IReadOnlyList<string> TenantNetworkTypes => config.Get(TenantNetworkTypesOption);

    public IReadOnlyList<string> MechanismDrivers => config.Get(MechanismDriversOption);

    public bool HasPortSecurity => config.Get(ExtensionDriversOption).Contains("port_security");

    public int PathMtu => config.Get(PathMtuOption);

    public IReadOnlyDictionary<string, string> PhysicalNetworkMtus => config.Get(PhysicalNetworkMtusOption);

    public IReadOnlyList<string> FlatNetworks => config.Get(FlatNetworksOption);

    public IReadOnlyList<string> VlanRanges => config.Get(VlanRangesOption);

    public IReadOnlyList<string> VxlanRanges => config.Get(VxlanRangesOption);

    public IReadOnlyList<string> GeneveRanges => config.Get(GeneveRangesOption);

    public int GeneveHeader => config.Get(GeneveHeaderOption);

    /// <summary>Bytes of the IP header around what is in a tunnel.</summary>
    public int TunnelIpHeader => config.Get(OverlayIpVersionOption) == 6 ? 40 : 20;

    public IReadOnlyList<string> GreRanges => config.Get(GreRangesOption);

    public int GlobalMtu => config.Get(GlobalMtuOption);

    public string BaseMac => config.Get(BaseMacOption);

    public TimeSpan AgentDownTime => TimeSpan.FromSeconds(config.Get(AgentDownTimeOption));

    public int DhcpAgentsPerNetwork => config.Get(DhcpAgentsPerNetworkOption);

    public int MaxDnsNameservers => config.Get(MaxDnsNameserversOption);

    public int MaxHostRoutes => config.Get(MaxHostRoutesOption);

    public int MaxAddressPairs => config.Get(MaxAddressPairsOption);

    public int MaxFixedIps => config.Get(MaxFixedIpsOption);

    /// <summary>0 for no bound.</summary>
    public int PaginationMaxLimit => int.TryParse(config.Get(PaginationMaxLimitOption), out var max) && max > 0 ? max : 0;

    public bool NotifyNovaOfStatus => config.Get(NotifyStatusOption);

    public bool NotifyNovaOfData => config.Get(NotifyDataOption);

    public string DnsDomain => config.Get(DnsDomainOption);

    /// <summary>Whether a service plugin is on, by its name in <c>service_plugins</c>; those of routers need <c>router</c>.</summary>
    public bool HasPlugin(string name) => config.Get(ServicePluginsOption) is var plugins && plugins.Contains(name) && (name is not ("port_forwarding" or "conntrack_helper") || plugins.Contains("router"));

    public bool EnableSnatByDefault => config.Get(EnableSnatOption);

    public int MaxRoutes => config.Get(MaxRoutesOption);

    public bool AutomaticL3Failover => config.Get(AutomaticFailoverOption);

    public bool L3Ha => config.Get(L3HaOption);

    /// <summary>0 for all.</summary>
    public int MaxL3AgentsPerRouter => config.Get(MaxL3AgentsOption);

    public string HaCidr => config.Get(HaCidrOption);

    public string HaNetworkType => config.Get(HaNetworkTypeOption);

    public string HaPhysicalNetwork => config.Get(HaPhysicalNetworkOption);

    public string HostName => host.HostName;

    /// <summary>The default limits by resource, in the order that the API shows.</summary>
    public IEnumerable<(string Resource, int Limit)> DefaultQuotas => QuotaOptions.Where(quota => quota.Resource != Trunk || HasPlugin(Trunk)).Select(quota => (quota.Resource, config.Get(quota.Option)));

    private static (string Resource, ConfigOption<int> Option) Quota(string resource, int limit) =>
        (resource, new ConfigOption<int>("quotas", "quota_" + resource, limit, $"Default limit of {resource.Replace('_', ' ')}s of a project; -1 for none.") { Min = -1 });
}
