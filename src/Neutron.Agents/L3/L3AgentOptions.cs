using SharpStack.Foundation;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Hosting;
using SharpStack.Neutron.Agents.Dhcp;
using SharpStack.Neutron.Agents.OpenVSwitch;

namespace SharpStack.Neutron.Agents.L3;

/// <summary>The options of neutron-l3-agent (<c>l3_agent.ini</c>).</summary>
internal static class L3AgentOptions
{
    public static readonly ConfigOption<string> AgentMode = new("DEFAULT", "agent_mode", "legacy", "How the agent works; only legacy, routers whole on network nodes, is there.") { Choices = ["legacy"] };

    public static readonly ConfigOption<int> MetadataPort = new("DEFAULT", "metadata_port", 9697, "The port in routers' namespaces that requests to the metadata service are redirected to.") { Min = 1, Max = 65535 };

    public static readonly ConfigOption<bool> HandleInternalOnlyRouters = new("DEFAULT", "handle_internal_only_routers", true, "Also serve routers without an external gateway.");

    public static readonly ConfigOption<string> Ipv6Gateway = new("DEFAULT", "ipv6_gateway", "", "The link-local address that IPv6 leaves by where the external network has no IPv6 subnet; empty to learn it from the outer router's advertisements.");

    public static readonly ConfigOption<bool> EnableMetadataProxy = new("DEFAULT", "enable_metadata_proxy", true, "Serve metadata to instances behind routers.");

    public static readonly ConfigOption<string> MetadataAccessMark = new("DEFAULT", "metadata_access_mark", "0x1", "The mark of valid requests to the metadata service; its lower 16 bits are used.");

    public static readonly ConfigOption<string> ExternalIngressMark = new("DEFAULT", "external_ingress_mark", "0x2", "The mark of what comes in from the external network; its lower 16 bits are used.");

    public static readonly ConfigOption<string> RadvdUser = new("DEFAULT", "radvd_user", "", "The user that radvd runs as; empty for the agent's own.");

    public static readonly ConfigOption<bool> CleanupOnShutdown = new("DEFAULT", "cleanup_on_shutdown", false, "Take all routers away when the agent ends: their traffic ends with it.");

    public static readonly ConfigOption<int> MinRtrAdvInterval = new("DEFAULT", "min_rtr_adv_interval", 30, "The least seconds between router advertisements.") { Min = 3 };

    public static readonly ConfigOption<int> MaxRtrAdvInterval = new("DEFAULT", "max_rtr_adv_interval", 100, "The most seconds between router advertisements.") { Min = 4, Max = 1800 };

    public static readonly ConfigOption<string> HaVrrpAuthType = new("DEFAULT", "ha_vrrp_auth_type", "PASS", "How the hosts of a router prove who they are to each other.") { Choices = ["AH", "PASS"] };

    public static readonly ConfigOption<string> HaVrrpAuthPassword = new("DEFAULT", "ha_vrrp_auth_password", "", "The password of the hosts of a router; at most 8 characters count.") { Secret = true };

    public static readonly ConfigOption<int> HaVrrpAdvertInt = new("DEFAULT", "ha_vrrp_advert_int", 2, "Seconds between signs of life of the host that serves a router; after three without any another takes over.") { Min = 1, Max = 40 };
}

/// <summary>The options, read.</summary>
internal sealed record L3Settings
{
    public required string Host { get; init; }

    /// <summary>A folder a router.</summary>
    public required string Directory { get; init; }

    public int MetadataPort { get; init; } = L3AgentOptions.MetadataPort.Default;

    public bool HandlesInternalOnly { get; init; } = true;

    public string Ipv6Gateway { get; init; } = "";

    public bool EnableMetadataProxy { get; init; } = true;

    public uint MetadataMark { get; init; } = 1;

    public uint ExternalMark { get; init; } = 2;

    public string RadvdUser { get; init; } = "";

    public bool CleanupOnShutdown { get; init; }

    public int MinAdvertisement { get; init; } = L3AgentOptions.MinRtrAdvInterval.Default;

    public int MaxAdvertisement { get; init; } = L3AgentOptions.MaxRtrAdvInterval.Default;

    public string VrrpAuthType { get; init; } = L3AgentOptions.HaVrrpAuthType.Default;

    public string VrrpPassword { get; init; } = "";

    public int VrrpInterval { get; init; } = L3AgentOptions.HaVrrpAdvertInt.Default;

    public required string Bridge { get; init; }

    public required string OvsdbConnection { get; init; }

    public TimeSpan ReportInterval { get; init; } = TimeSpan.FromSeconds(30);

    public TimeSpan ResyncInterval { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>The namespace that the switch runs in, where that is not this process's own.</summary>
    public string? SwitchNamespace { get; init; }

    public static L3Settings Read(ServiceConfig config, HostOptions host) => new()
    {
        Host = host.HostName,
        Directory = DirectoryOf(config, host),
        MetadataPort = config.Get(L3AgentOptions.MetadataPort),
        HandlesInternalOnly = config.Get(L3AgentOptions.HandleInternalOnlyRouters),
        Ipv6Gateway = config.Get(L3AgentOptions.Ipv6Gateway),
        EnableMetadataProxy = config.Get(L3AgentOptions.EnableMetadataProxy),
        MetadataMark = Mark(config, L3AgentOptions.MetadataAccessMark),
        ExternalMark = Mark(config, L3AgentOptions.ExternalIngressMark),
        RadvdUser = config.Get(L3AgentOptions.RadvdUser),
        CleanupOnShutdown = config.Get(L3AgentOptions.CleanupOnShutdown),
        MinAdvertisement = config.Get(L3AgentOptions.MinRtrAdvInterval),
        MaxAdvertisement = config.Get(L3AgentOptions.MaxRtrAdvInterval),
        VrrpAuthType = config.Get(L3AgentOptions.HaVrrpAuthType),
        VrrpPassword = config.Get(L3AgentOptions.HaVrrpAuthPassword),
        VrrpInterval = config.Get(L3AgentOptions.HaVrrpAdvertInt),
        Bridge = config.Get(OpenVSwitchAgentOptions.IntegrationBridge),
        OvsdbConnection = config.Get(OpenVSwitchAgentOptions.OvsdbConnection),
        ReportInterval = TimeSpan.FromSeconds(config.Get(OpenVSwitchAgentOptions.ReportInterval)),
    };

    /// <summary>Where the routers' folders are, which the metadata agent looks at too.</summary>
    public static string DirectoryOf(ServiceConfig config, HostOptions host) => Path.GetFullPath(Path.Combine(DhcpSettings.StatePath(config, host), "l3"));

    /// <summary>Decimal, or hexadecimal after 0x, as iptables reads it.</summary>
    private static uint Mark(ServiceConfig config, ConfigOption<string> option)
    {
        var text = config.Get(option);
        var isHexadecimal = text.StartsWith("0x", StringComparison.OrdinalIgnoreCase);
        return uint.TryParse(isHexadecimal ? text.AsSpan(2) : text, isHexadecimal ? System.Globalization.NumberStyles.HexNumber : System.Globalization.NumberStyles.None, null, out var mark)
            && (mark & 0xffff) != 0 ? mark & 0xffff : throw CloudException.BadRequest($"[DEFAULT] {option.Name} is '{text}': give a number such as {option.Default}, whose lower 16 bits are not 0.");
    }
}
