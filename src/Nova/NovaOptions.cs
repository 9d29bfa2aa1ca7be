using SharpStack.Foundation.Configuration;

namespace SharpStack.Nova;

/// <summary>The options of <c>nova.conf</c> that the API, the conductor and the metadata service read.</summary>
internal static class NovaOptions
{
    public static readonly ConfigOption<int> ServiceDownTime = new("DEFAULT", "service_down_time", 60, "Seconds after its last report when a service counts as down.") { Min = 1 };

    public static readonly ConfigOption<int> ReportInterval = new("DEFAULT", "report_interval", 10, "Seconds between the reports of a service.") { Min = 1 };

    public static readonly ConfigOption<string> DefaultZone = new("DEFAULT", "default_availability_zone", "nova", "The zone of hosts that are in no other.");

    public static readonly ConfigOption<string> DefaultScheduleZone = new("DEFAULT", "default_schedule_zone", "", "The zone of servers whose request names none; empty for any.");

    public static readonly ConfigOption<string> InternalZone = new("DEFAULT", "internal_service_availability_zone", "internal", "The zone of services that run no servers.");

    public static readonly ConfigOption<int> BuildTimeout = new("DEFAULT", "instance_build_timeout", 600, "Seconds until a server that was not built is given up; 0 for 600.") { Min = 0 };

    public static readonly ConfigOption<int> ActionTimeout = new("DEFAULT", "instance_action_timeout", 300, "Seconds until a start, stop, reboot or delete that its host does not end is given up.") { Min = 1 };

    public static readonly ConfigOption<string> DhcpDomain = new("api", "dhcp_domain", "novalocal", "The domain of the host names that guests are told; empty for none.") { DeprecatedNames = ["DEFAULT/dhcp_domain"] };

    public static readonly ConfigOption<bool> InstancePassword = new("api", "enable_instance_password", true, "Answer to a server's creation with a password, whether or not the guest takes it.");

    public static readonly ConfigOption<int> QuotaInstances = new("quota", "instances", 10, "Servers in a project; -1 for any number.") { Min = -1 };

    public static readonly ConfigOption<int> QuotaCores = new("quota", "cores", 20, "Virtual processors in a project; -1 for any number.") { Min = -1 };

    public static readonly ConfigOption<int> QuotaRam = new("quota", "ram", 51_200, "Memory in a project, MiB; -1 for any amount.") { Min = -1 };

    public static readonly ConfigOption<int> QuotaMetadata = new("quota", "metadata_items", 128, "Metadata items of a server.") { Min = -1 };

    public static readonly ConfigOption<int> QuotaKeyPairs = new("quota", "key_pairs", 100, "Key pairs of a user.") { Min = -1 };

    public static readonly ConfigOption<int> QuotaServerGroups = new("quota", "server_groups", 10, "Server groups in a project.") { Min = -1 };

    public static readonly ConfigOption<int> QuotaServerGroupMembers = new("quota", "server_group_members", 10, "Servers in a group.") { Min = -1 };

    public static readonly ConfigOption<bool> MetadataProxy = new("neutron", "service_metadata_proxy", false, "Take the word of Neutron's metadata proxy for which server asks.");

    public static readonly ConfigOption<string> MetadataSecret = new("neutron", "metadata_proxy_shared_secret", "", "The secret shared with Neutron's metadata proxy.") { Secret = true };

    public static readonly ConfigOption<string> IntegrationBridge = new("neutron", "ovs_bridge", "br-int", "The bridge of ports whose binding names none.");
}
