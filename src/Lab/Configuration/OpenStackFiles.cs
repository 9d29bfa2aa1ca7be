using SharpStack.Lab.Definitions;

namespace SharpStack.Lab.Configuration;

/// <summary>
/// OpenStack's configuration files of one node with the values of the labs' templates. What is here beside them: the datapath where the kernel has none,
/// and the addresses of those services that the labs put behind Apache.
/// </summary>
internal sealed class OpenStackFiles(LabDefinition lab, LabNode node, LabSecrets secrets, string virtualization, string datapath)
{
    public const string Region = "RegionOne";
    public const string AuthUrl = "http://controller:5000/v3";

    private const string Server = "http://controller:5000";

    /// <summary>Paths below /etc.</summary>
    public IEnumerable<(string Path, string Content)> All()
    {
        if (node.Roles.HasFlag(LabRoles.Controller))
        {
            yield return ("keystone/keystone.conf", Keystone());
            yield return ("glance/glance-api.conf", Glance());
            yield return ("placement/placement.conf", Placement());
            yield return ("nova/nova.conf", NovaController());
            yield return ("neutron/neutron.conf", Neutron(server: true));
            yield return ("neutron/plugins/ml2/ml2_conf.ini", Ml2());
        }
        else if (node.Roles != LabRoles.None)
        {
            yield return ("neutron/neutron.conf", Neutron(server: false));
        }

        if (node.Roles.HasFlag(LabRoles.Compute))
        {
            yield return ("nova/nova.conf", NovaCompute());
            yield return ("nova/nova-compute.conf", $"[DEFAULT]\ncompute_driver = libvirt.LibvirtDriver\n\n[libvirt]\nvirt_type = {virtualization}\n");
        }

        if (node.HasSwitch)
        {
            yield return ("neutron/plugins/ml2/openvswitch_agent.ini", SwitchAgent());
        }

        if (node.Roles.HasFlag(LabRoles.Network))
        {
            yield return ("neutron/dhcp_agent.ini",
                """
                [DEFAULT]
                interface_driver = openvswitch
                dhcp_driver = neutron.agent.linux.dhcp.Dnsmasq
                enable_isolated_metadata = true
                dnsmasq_dns_servers = 1.1.1.1

                """);
            yield return ("neutron/metadata_agent.ini",
                $"""
                [DEFAULT]
                nova_metadata_host = controller
                metadata_proxy_shared_secret = {secrets.Shared}

                """);
            if (lab.Features.Contains(LabFeature.Routers))
            {
                yield return ("neutron/l3_agent.ini", "[DEFAULT]\ninterface_driver = openvswitch\nenable_metadata_proxy = true\n");
            }
        }
    }

    private string Keystone() =>
        $"""
        [DEFAULT]
        log_dir = /var/log/keystone
        bind_host = {node.Address}

        [database]
        connection = {Database("keystone", "keystone")}

        """;

    private string Glance() =>
        $"""
        [DEFAULT]
        bind_host = {node.Address}

        [database]
        connection = {Database("glance", "glance")}

        [glance_store]
        stores = file,http
        default_store = file
        filesystem_store_datadir = /var/lib/glance/images/

        [image_format]
        disk_formats = ami,ari,aki,vhd,vhdx,vmdk,raw,qcow2,vdi,iso,ploop.root-tar

        {Credentials("keystone_authtoken", "glance", Server, $"www_authenticate_uri = {Server}\n")}
        [paste_deploy]
        flavor = keystone

        """;

    private string Placement() =>
        $"""
        [DEFAULT]
        bind_host = {node.Address}

        [api]
        auth_strategy = keystone

        [placement_database]
        connection = {Database("placement", "placement")}

        {Credentials("keystone_authtoken", "placement", AuthUrl)}
        """;

    private string NovaController() =>
        $"""
        [DEFAULT]
        my_ip = {node.Address}
        osapi_compute_listen = {node.Address}
        metadata_listen = {node.Address}
        use_neutron = true
        firewall_driver = nova.virt.firewall.NoopFirewallDriver
        resume_guests_state_on_host_boot = true
        state_path = /var/lib/nova
        transport_url = {Transport()}

        [api_database]
        connection = {Database("nova", "nova_api")}

        [database]
        connection = {Database("nova", "nova")}

        {NovaCommon()}
        [vnc]
        enabled = true
        server_listen = {node.Address}
        server_proxyclient_address = {node.Address}
        novncproxy_host = {node.Address}

        """;

    private string NovaCompute() =>
        $"""
        [DEFAULT]
        my_ip = {node.Address}
        use_neutron = true
        firewall_driver = nova.virt.firewall.NoopFirewallDriver
        resume_guests_state_on_host_boot = true
        state_path = /var/lib/nova
        transport_url = {Transport()}

        {NovaCommon()}
        [vnc]
        enabled = true
        server_listen = 0.0.0.0
        server_proxyclient_address = {node.Address}
        novncproxy_base_url = http://{lab.Controller.Address}:6080/vnc_auto.html

        """;

    private string NovaCommon() =>
        $"""
        [glance]
        api_servers = http://controller:9292

        {Credentials("neutron", "neutron", Server, $"url = http://controller:9696\nregion_name = {Region}\nservice_metadata_proxy = true\nmetadata_proxy_shared_secret = {secrets.Shared}\n")}
        {Credentials("placement", "placement", AuthUrl, $"region_name = {Region}\n")}
        {Credentials("keystone_authtoken", "nova", AuthUrl)}
        {Credentials("service_user", "nova", AuthUrl, "send_service_user_token = true\n")}
        [oslo_concurrency]
        lock_path = /var/lib/nova/tmp

        """;

    private string Neutron(bool server) =>
        $"""
        [DEFAULT]
        core_plugin = ml2
        {(server ? $"bind_host = {node.Address}\nservice_plugins = {lab.Neutron.ServicePlugins}\nnotify_nova_on_port_status_changes = true\nnotify_nova_on_port_data_changes = true\n" : "")}global_physnet_mtu = 1500
        state_path = /var/lib/neutron
        transport_url = {Transport()}

        {(server ? $"[database]\nconnection = {Database("neutron", "neutron")}\n\n{Credentials("nova", "nova", Server, $"region_name = {Region}\n")}\n" : "")}[agent]
        root_helper = sudo /usr/bin/neutron-rootwrap /etc/neutron/rootwrap.conf

        {Credentials("keystone_authtoken", "neutron", Server, $"www_authenticate_uri = {Server}\n")}
        """;

    private string Ml2() =>
        $"""
        [ml2]
        type_drivers = {string.Join(',', lab.Neutron.TypeDrivers)}
        tenant_network_types = {lab.Neutron.TenantTypes}
        mechanism_drivers = openvswitch
        extension_drivers = port_security
        physical_network_mtus = {lab.Neutron.PhysicalMtus}

        [ml2_type_flat]
        flat_networks = physnet

        {(lab.Neutron.VlanRanges is { } vlans ? $"[ml2_type_vlan]\nnetwork_vlan_ranges = {vlans}\n\n" : "")}{(lab.Neutron.VniRanges is { } ranges ? $"[ml2_type_vxlan]\nvni_ranges = {ranges}\n" : "")}
        """;

    private string SwitchAgent() =>
        $"""
        [agent]
        tunnel_types = {lab.Neutron.TunnelTypes}

        [ovs]
        local_ip = {node.Interfaces.FirstOrDefault(link => link.Network == "tun")?.Address ?? node.Address}
        bridge_mappings = physnet:br-phys
        datapath_type = {datapath}

        [securitygroup]
        firewall_driver = openvswitch
        enable_security_group = true

        """;

    private string Transport() => $"rabbit://openstack:{secrets.Service}@controller";

    private string Database(string user, string name) => $"mysql+pymysql://{user}:{secrets.Service}@controller/{name}";

    private string Credentials(string group, string user, string url, string more = "") =>
        $"""
        [{group}]
        auth_type = password
        auth_url = {url}
        memcached_servers = controller:11211
        project_domain_name = Default
        user_domain_name = Default
        project_name = service
        username = {user}
        password = {secrets.Service}
        {more}
        """;
}
