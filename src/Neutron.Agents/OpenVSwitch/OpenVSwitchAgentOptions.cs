using System.Net;
using System.Text.Json.Nodes;
using SharpStack.Foundation.Configuration;

namespace SharpStack.Neutron.Agents.OpenVSwitch;

/// <summary>The options of neutron-openvswitch-agent (<c>openvswitch_agent.ini</c>).</summary>
internal static class OpenVSwitchAgentOptions
{
    public static readonly ConfigOption<string> IntegrationBridge = new("ovs", "integration_bridge", "br-int", "The bridge that all ports of instances and services are on; made where it is missing.")
    {
        DeprecatedNames = ["ovs_integration_bridge"],
    };

    public static readonly ConfigOption<string> TunnelBridge = new("ovs", "tunnel_bridge", "br-tun", "The bridge that the tunnels are on; made where it is missing and tunnel_types names any.");

    public static readonly ConfigOption<string> PatchToTunnels = new("ovs", "int_peer_patch_port", "patch-tun", "The patch port on the integration bridge that leads to the tunnel bridge.");

    public static readonly ConfigOption<string> PatchFromTunnels = new("ovs", "tun_peer_patch_port", "patch-int", "The patch port on the tunnel bridge that leads to the integration bridge.");

    public static readonly ConfigOption<string> LocalIp = new("ovs", "local_ip", "", "The address of this host that tunnels begin at; needed where tunnel_types names any.");

    public static readonly ConfigOption<string> OvsdbConnection = new("ovs", "ovsdb_connection", "tcp:127.0.0.1:6640", "Where ovsdb-server listens: tcp:host:port or unix:/path.");

    public static readonly ConfigOption<string> ListenAddress = new("ovs", "of_listen_address", "127.0.0.1", "Address to listen on for the OpenFlow connections of the bridges.");

    public static readonly ConfigOption<int> ListenPort = new("ovs", "of_listen_port", 6633, "Port to listen on for the OpenFlow connections of the bridges.") { Min = 0, Max = 65535 };

    public static readonly ConfigOption<int> ConnectTimeout = new("ovs", "of_connect_timeout", 300, "Seconds to wait for a bridge to connect.") { Min = 1 };

    public static readonly ConfigOption<int> RequestTimeout = new("ovs", "of_request_timeout", 300, "Seconds to wait for the answer to one OpenFlow request.") { Min = 1 };

    public static readonly ConfigOption<int> InactivityProbe = new("ovs", "of_inactivity_probe", 10, "Seconds of silence after which a bridge probes its OpenFlow connection; 0 for never.") { Min = 0 };

    public static readonly ConfigOption<string> DatapathType = new("ovs", "datapath_type", "system", "The datapath of the bridges: system (in the kernel) or netdev (in user space).") { Choices = ["system", "netdev"] };

    public static readonly ConfigOption<string> VhostuserSocketDir = new("ovs", "vhostuser_socket_dir", "/var/run/openvswitch", "Where Open vSwitch has its vhost-user sockets.");

    public static readonly ConfigOption<IReadOnlyList<string>> TunnelTypes = new("agent", "tunnel_types", [], "Tunnel network types that the agent serves: vxlan, gre, geneve.");

    public static readonly ConfigOption<int> VxlanPort = new("agent", "vxlan_udp_port", 4789, "The UDP port of VXLAN tunnels.") { Min = 1, Max = 65535 };

    public static readonly ConfigOption<bool> DontFragment = new("agent", "dont_fragment", true, "Whether tunnel packets must not be fragmented on their way.");

    public static readonly ConfigOption<bool> TunnelChecksum = new("agent", "tunnel_csum", false, "Whether tunnel packets have checksums of their outer headers.");

    public static readonly ConfigOption<bool> PopulateForwarding = new("agent", "l2_population", false, "Whether the server tells where the ports of tunnel networks are; it needs the mechanism driver l2population.");

    public static readonly ConfigOption<bool> ArpResponder = new("agent", "arp_responder", false, "With l2_population: whether the switch answers ARP for ports of other hosts itself.");

    public static readonly ConfigOption<double> ReportInterval = new("agent", "report_interval", 30, "Seconds between the agent's reports of its state to the server.") { Min = 0.1 };

    public static readonly ConfigOption<bool> EnableSecurityGroup = new("securitygroup", "enable_security_group", true, "Whether security groups are enforced.");

    public static readonly ConfigOption<string> FirewallDriver = new("securitygroup", "firewall_driver", "openvswitch", "What enforces security groups: openvswitch (conntrack in the switch) or noop (nothing but protection against spoofed addresses).")
    {
        Choices = ["openvswitch", "noop"],
    };

    public static readonly ConfigOption<IReadOnlyList<string>> PermittedEthertypes = new("securitygroup", "permitted_ethertypes", [], "Further Ethernet types that instances may send, in hexadecimal with 0x before it.");
}

/// <summary>The options, read.</summary>
internal sealed record AgentSettings
{
    public required string Host { get; init; }

    public required string IntegrationBridge { get; init; }

    /// <summary>Physical network to bridge.</summary>
    public required IReadOnlyDictionary<string, string> BridgeMappings { get; init; }

    /// <summary>Null where the agent serves no tunnels.</summary>
    public required TunnelSettings? Tunnels { get; init; }

    public required string OvsdbConnection { get; init; }

    public required string ListenAddress { get; init; }

    public required int ListenPort { get; init; }

    public required TimeSpan ConnectTimeout { get; init; }

    public required TimeSpan RequestTimeout { get; init; }

    public required long InactivityProbe { get; init; }

    public required string DatapathType { get; init; }

    public required string VhostuserSocketDir { get; init; }

    public required TimeSpan ReportInterval { get; init; }

    /// <summary>Whether security groups are enforced; without, only spoofed addresses are dropped.</summary>
    public required bool Firewall { get; init; }

    public required IReadOnlyList<ushort> PermittedEthertypes { get; init; }

    /// <summary>What the agent reports for Placement.</summary>
    public JsonObject ResourceProviders { get; init; } = [];

    public static AgentSettings Read(ServiceConfig config, string host) => new()
    {
        Host = host,
        IntegrationBridge = config.Get(OpenVSwitchAgentOptions.IntegrationBridge),
        BridgeMappings = config.Get(AgentOptions.BridgeMappings),
        Tunnels = TunnelSettings.Read(config),
        OvsdbConnection = config.Get(OpenVSwitchAgentOptions.OvsdbConnection),
        ListenAddress = config.Get(OpenVSwitchAgentOptions.ListenAddress),
        ListenPort = config.Get(OpenVSwitchAgentOptions.ListenPort),
        ConnectTimeout = TimeSpan.FromSeconds(config.Get(OpenVSwitchAgentOptions.ConnectTimeout)),
        RequestTimeout = TimeSpan.FromSeconds(config.Get(OpenVSwitchAgentOptions.RequestTimeout)),
        InactivityProbe = config.Get(OpenVSwitchAgentOptions.InactivityProbe) * 1000L,
        DatapathType = config.Get(OpenVSwitchAgentOptions.DatapathType),
        VhostuserSocketDir = config.Get(OpenVSwitchAgentOptions.VhostuserSocketDir),
        ReportInterval = TimeSpan.FromSeconds(config.Get(OpenVSwitchAgentOptions.ReportInterval)),
        Firewall = config.Get(OpenVSwitchAgentOptions.EnableSecurityGroup) && config.Get(OpenVSwitchAgentOptions.FirewallDriver) == "openvswitch",
        PermittedEthertypes = [.. config.Get(OpenVSwitchAgentOptions.PermittedEthertypes).Select(ReadEtherType)],
        ResourceProviders = ResourceProviderOptions.Read(config, host, config.Get(AgentOptions.BridgeMappings)),
    };

    private static ushort ReadEtherType(string text)
    {
        try
        {
            return Convert.ToUInt16(text, 16);
        }
        catch (Exception failure) when (failure is FormatException or OverflowException or ArgumentException)
        {
            throw new FormatException($"neutron: [securitygroup] permitted_ethertypes: '{text}' is not an Ethernet type such as 0x4008", failure);
        }
    }
}

/// <summary>The options of tunnels, read.</summary>
internal sealed record TunnelSettings
{
    private static readonly string[] Known = ["vxlan", "gre", "geneve"];

    public required IReadOnlyList<string> Types { get; init; }

    public required IPAddress LocalIp { get; init; }

    public required string Bridge { get; init; }

    /// <summary>On the integration bridge.</summary>
    public required string PatchToTunnels { get; init; }

    /// <summary>On the tunnel bridge.</summary>
    public required string PatchFromTunnels { get; init; }

    public required int VxlanPort { get; init; }

    public required bool DontFragment { get; init; }

    public required bool Checksum { get; init; }

    public required bool PopulateForwarding { get; init; }

    public required bool ArpResponder { get; init; }

    /// <exception cref="FormatException">A type is not known, or there is no address to tunnel from.</exception>
    public static TunnelSettings? Read(ServiceConfig config)
    {
        var types = config.Get(OpenVSwitchAgentOptions.TunnelTypes);
        if (types.Count == 0)
        {
            return null;
        }

        if (types.FirstOrDefault(type => !Known.Contains(type)) is { } unknown)
        {
            throw new FormatException($"neutron: [agent] tunnel_types: there are no tunnels of type '{unknown}', only of {string.Join(", ", Known)}");
        }

        var populate = config.Get(OpenVSwitchAgentOptions.PopulateForwarding);
        return new()
        {
            Types = types,
            LocalIp = IPAddress.TryParse(config.Get(OpenVSwitchAgentOptions.LocalIp), out var address) ? address
                : throw new FormatException("neutron: [ovs] local_ip: tunnel_types needs the address of this host that its tunnels begin at"),
            Bridge = config.Get(OpenVSwitchAgentOptions.TunnelBridge),
            PatchToTunnels = config.Get(OpenVSwitchAgentOptions.PatchToTunnels),
            PatchFromTunnels = config.Get(OpenVSwitchAgentOptions.PatchFromTunnels),
            VxlanPort = config.Get(OpenVSwitchAgentOptions.VxlanPort),
            DontFragment = config.Get(OpenVSwitchAgentOptions.DontFragment),
            Checksum = config.Get(OpenVSwitchAgentOptions.TunnelChecksum),
            PopulateForwarding = populate,
            ArpResponder = populate && config.Get(OpenVSwitchAgentOptions.ArpResponder),
        };
    }
}
