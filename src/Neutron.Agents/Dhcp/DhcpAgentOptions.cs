using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Hosting;
using SharpStack.Neutron.Agents.OpenVSwitch;

namespace SharpStack.Neutron.Agents.Dhcp;

/// <summary>The options of neutron-dhcp-agent (<c>dhcp_agent.ini</c>).</summary>
internal static class DhcpAgentOptions
{
    public static readonly ConfigOption<string> StatePath = new("DEFAULT", "state_path", "", "Where Neutron keeps its files; empty for a folder in the data directory.");

    public static readonly ConfigOption<int> ResyncInterval = new("DEFAULT", "resync_interval", 60, "Seconds between looks at everything, whatever hints came.") { Min = 1 };

    public static readonly ConfigOption<bool> EnableIsolatedMetadata = new("DEFAULT", "enable_isolated_metadata", false, "Serve metadata on networks without a router, and tell guests the way there by DHCP.");

    public static readonly ConfigOption<bool> ForceMetadata = new("DEFAULT", "force_metadata", false, "Serve metadata on every network that has DHCP.");

    public static readonly ConfigOption<string> DhcpConfs = new("DEFAULT", "dhcp_confs", "", "Where the files of the DHCP servers are; empty for the folder dhcp in state_path.");

    public static readonly ConfigOption<string> DnsmasqConfigFile = new("DEFAULT", "dnsmasq_config_file", "", "A file with further settings for dnsmasq.");

    public static readonly ConfigOption<IReadOnlyList<string>> DnsmasqDnsServers = new("DEFAULT", "dnsmasq_dns_servers", [], "DNS servers that dnsmasq asks for names that it does not know.");

    public static readonly ConfigOption<bool> DnsmasqLocalResolv = new("DEFAULT", "dnsmasq_local_resolv", false, "Let dnsmasq ask the DNS servers of this host.");

    public static readonly ConfigOption<string> DnsmasqBaseLogDir = new("DEFAULT", "dnsmasq_base_log_dir", "", "Where dnsmasq logs every lease and DNS question; empty for not at all.");

    public static readonly ConfigOption<int> DnsmasqLeaseMax = new("DEFAULT", "dnsmasq_lease_max", 1 << 24, "The most leases of one network.") { Min = 1 };

    public static readonly ConfigOption<bool> DhcpBroadcastReply = new("DEFAULT", "dhcp_broadcast_reply", false, "Broadcast the answers.");

    public static readonly ConfigOption<string> DnsDomain = new("DEFAULT", "dns_domain", "openstacklocal", "The domain of instances' host names.");

    public static readonly ConfigOption<int> DhcpLeaseDuration = new("DEFAULT", "dhcp_lease_duration", 86400, "Seconds that a lease lasts; -1 for ever.") { Min = -1 };

    public static readonly ConfigOption<int> DhcpRenewalTime = new("DEFAULT", "dhcp_renewal_time", 0, "Seconds after which a guest renews its lease (T1); 0 for dnsmasq's own.") { Min = 0 };

    public static readonly ConfigOption<int> DhcpRebindingTime = new("DEFAULT", "dhcp_rebinding_time", 0, "Seconds after which a guest asks any server (T2); 0 for dnsmasq's own.") { Min = 0 };
}

/// <summary>The options, read.</summary>
internal sealed record DhcpSettings
{
    public required string Host { get; init; }

    /// <summary>A folder a network.</summary>
    public required string Directory { get; init; }

    public bool IsolatedMetadata { get; init; }

    public bool ForceMetadata { get; init; }

    public string ConfigFile { get; init; } = "";

    public IReadOnlyList<string> DnsServers { get; init; } = [];

    public bool LocalResolv { get; init; }

    public string LogDirectory { get; init; } = "";

    public int LeaseMax { get; init; } = DhcpAgentOptions.DnsmasqLeaseMax.Default;

    public bool BroadcastReply { get; init; }

    public string Domain { get; init; } = DhcpAgentOptions.DnsDomain.Default;

    /// <summary>Seconds; -1 for ever.</summary>
    public int LeaseDuration { get; init; } = DhcpAgentOptions.DhcpLeaseDuration.Default;

    public int RenewalTime { get; init; }

    public int RebindingTime { get; init; }

    public required string Bridge { get; init; }

    public required string OvsdbConnection { get; init; }

    public TimeSpan ReportInterval { get; init; } = TimeSpan.FromSeconds(30);

    public TimeSpan ResyncInterval { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>The namespace that the switch runs in, where that is not this process's own.</summary>
    public string? SwitchNamespace { get; init; }

    public static DhcpSettings Read(ServiceConfig config, HostOptions host)
    {
        var state = StatePath(config, host);
        return new DhcpSettings
        {
            Host = host.HostName,
            Directory = Path.GetFullPath(config.Get(DhcpAgentOptions.DhcpConfs) is { Length: > 0 } confs ? confs : Path.Combine(state, "dhcp")),
            IsolatedMetadata = config.Get(DhcpAgentOptions.EnableIsolatedMetadata),
            ForceMetadata = config.Get(DhcpAgentOptions.ForceMetadata),
            ConfigFile = config.Get(DhcpAgentOptions.DnsmasqConfigFile).Trim(),
            DnsServers = config.Get(DhcpAgentOptions.DnsmasqDnsServers),
            LocalResolv = config.Get(DhcpAgentOptions.DnsmasqLocalResolv),
            LogDirectory = config.Get(DhcpAgentOptions.DnsmasqBaseLogDir),
            LeaseMax = config.Get(DhcpAgentOptions.DnsmasqLeaseMax),
            BroadcastReply = config.Get(DhcpAgentOptions.DhcpBroadcastReply),
            Domain = config.Get(DhcpAgentOptions.DnsDomain),
            LeaseDuration = config.Get(DhcpAgentOptions.DhcpLeaseDuration),
            RenewalTime = config.Get(DhcpAgentOptions.DhcpRenewalTime),
            RebindingTime = config.Get(DhcpAgentOptions.DhcpRebindingTime),
            Bridge = config.Get(OpenVSwitchAgentOptions.IntegrationBridge),
            OvsdbConnection = config.Get(OpenVSwitchAgentOptions.OvsdbConnection),
            ReportInterval = TimeSpan.FromSeconds(config.Get(OpenVSwitchAgentOptions.ReportInterval)),
            ResyncInterval = TimeSpan.FromSeconds(config.Get(DhcpAgentOptions.ResyncInterval)),
        };
    }

    /// <summary>Where Neutron's agents keep their files.</summary>
    public static string StatePath(ServiceConfig config, HostOptions host) =>
        config.Get(DhcpAgentOptions.StatePath) is { Length: > 0 } path ? path : Path.Combine(host.DataDirectory, "neutron");
}
