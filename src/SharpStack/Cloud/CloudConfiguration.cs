using System.Security.Cryptography;
using System.Text;

namespace SharpStack.Cloud;

/// <summary>Writes the services' configuration in OpenStack's own files and option names.</summary>
internal static class CloudConfiguration
{
    public const string IntegrationBridge = "br-int";
    public const string ProviderBridge = "br-phys";
    public const string PhysicalNetwork = "physnet";
    public const string Region = "RegionOne";

    /// <summary>Writes the files that are missing or still as this program wrote them, and says which it left alone.</summary>
    /// <returns>The settings with the new digests.</returns>
    public static CloudSettings Write(CloudLayout layout, CloudSettings settings, Action<string> say)
    {
        var digests = new Dictionary<string, string>();
        foreach (var (name, content) in Files(layout, settings))
        {
            var path = Path.Combine(layout.Configuration, name);
            var digest = Digest(content);
            if (File.Exists(path) && Digest(File.ReadAllText(path)) is var found && found != digest)
            {
                if (!settings.Written.TryGetValue(name, out var before) || before != found)
                {
                    say($"{path} was edited and is left as it is");
                    digests[name] = before ?? digest;
                    continue;
                }

                CloudLayout.WriteSecret(path, content);
            }
            else if (!File.Exists(path))
            {
                CloudLayout.WriteSecret(path, content);
            }

            digests[name] = digest;
        }

        return settings with { Written = digests };
    }

    private static IEnumerable<(string Name, string Content)> Files(CloudLayout layout, CloudSettings settings)
    {
        var secrets = settings.Secrets;
        var host = settings.Host;
        yield return ("keystone.conf",
            $"""
            [database]
            connection = {Database(layout, "keystone")}

            [token]
            provider = fernet

            [fernet_tokens]
            key_repository = {layout.FernetKeys}

            """);
        yield return ("glance-api.conf",
            $"""
            [DEFAULT]
            bind_host = {settings.Listen}
            bind_port = {settings.Ports.Image}
            enabled_backends = file:file

            [database]
            connection = {Database(layout, "glance")}

            [glance_store]
            default_backend = file
            stores = file
            default_store = file
            filesystem_store_datadir = {layout.Images}

            [file]
            filesystem_store_datadir = {layout.Images}

            {Credentials("keystone_authtoken", "glance", secrets.Glance, settings)}
            [paste_deploy]
            flavor = keystone

            """);
        yield return ("placement.conf",
            $"""
            [api]
            auth_strategy = keystone

            [placement_database]
            connection = {Database(layout, "placement")}

            {Credentials("keystone_authtoken", "placement", secrets.Placement, settings)}
            """);
        yield return ("nova.conf",
            $"""
            [DEFAULT]
            my_ip = {settings.Advertise}
            osapi_compute_listen = {settings.Listen}
            osapi_compute_listen_port = {settings.Ports.Compute}
            metadata_listen = 127.0.0.1
            metadata_listen_port = {settings.Ports.Metadata}
            state_path = {layout.Nova}
            instances_path = {layout.Instances}
            compute_driver = {(settings.Fake ? "fake.FakeDriver" : "libvirt.LibvirtDriver")}
            resume_guests_state_on_host_boot = true

            [api_database]
            connection = {Database(layout, "nova_api")}

            [database]
            connection = {Database(layout, "nova")}

            [libvirt]
            virt_type = {host.VirtType}
            connection_uri = {Machine.LibvirtHost.Uri}

            [glance]
            api_servers = {settings.Url(settings.Ports.Image)}

            [vnc]
            enabled = true
            server_listen = 127.0.0.1

            {Credentials("keystone_authtoken", "nova", secrets.Nova, settings)}
            {Credentials("service_user", "nova", secrets.Nova, settings)}
            {Credentials("placement", "placement", secrets.Placement, settings)}
            {Credentials("neutron", "neutron", secrets.Neutron, settings)}service_metadata_proxy = true
            metadata_proxy_shared_secret = {secrets.MetadataProxy}

            """);
        yield return ("neutron.conf",
            $"""
            [DEFAULT]
            bind_host = {settings.Listen}
            bind_port = {settings.Ports.Network}
            core_plugin = ml2
            notify_nova_on_port_status_changes = true
            notify_nova_on_port_data_changes = true
            global_physnet_mtu = 1500
            state_path = {layout.Neutron}

            [database]
            connection = {Database(layout, "neutron")}

            {Credentials("keystone_authtoken", "neutron", secrets.Neutron, settings)}
            {Credentials("nova", "nova", secrets.Nova, settings)}
            """);
        // A project's own networks need no tunnels: there is one host.
        yield return ("ml2_conf.ini",
            $"""
            [ml2]
            type_drivers = local,flat
            tenant_network_types = local
            mechanism_drivers = openvswitch
            extension_drivers = port_security

            [ml2_type_flat]
            flat_networks = {PhysicalNetwork}

            """);
        yield return ("openvswitch_agent.ini",
            $"""
            [ovs]
            bridge_mappings = {PhysicalNetwork}:{ProviderBridge}
            integration_bridge = {IntegrationBridge}
            datapath_type = {host.Datapath}
            of_listen_address = 127.0.0.1
            of_listen_port = {settings.Ports.OpenFlow}
            ovsdb_connection = unix:/run/openvswitch/db.sock

            [securitygroup]
            firewall_driver = openvswitch
            enable_security_group = true

            """);
        yield return ("dhcp_agent.ini",
            """
            [DEFAULT]
            interface_driver = openvswitch
            dhcp_driver = neutron.agent.linux.dhcp.Dnsmasq
            enable_isolated_metadata = true

            """);
        yield return ("l3_agent.ini",
            """
            [DEFAULT]
            interface_driver = openvswitch

            """);
        yield return ("metadata_agent.ini",
            $"""
            [DEFAULT]
            nova_metadata_host = 127.0.0.1
            nova_metadata_port = {settings.Ports.Metadata}
            metadata_proxy_shared_secret = {secrets.MetadataProxy}

            """);
    }

    private static string Database(CloudLayout layout, string name) => $"sqlite:///{layout.Databases}/{name}.sqlite";

    private static string Credentials(string group, string user, string password, CloudSettings settings) =>
        $"""
        [{group}]
        auth_type = password
        auth_url = {settings.AuthUrl}
        user_domain_name = Default
        project_domain_name = Default
        project_name = service
        username = {user}
        password = {password}
        region_name = {Region}

        """;

    private static string Digest(string content) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(content)));
}
