using System.Globalization;
using SharpStack.TestKit;

namespace SharpStack.Tests.Serve;

/// <summary>Configuration files as an operator of OpenStack has them, in a folder of the test's own: SQLite files that the processes share, ports of their own, hosts that are fake.</summary>
internal sealed class OperatorFiles : IDisposable
{
    private readonly Dictionary<string, int> ports = new();

    public OperatorFiles()
    {
        foreach (var service in new[] { "keystone", "glance-api", "placement-api", "nova-api", "nova-metadata-api", "neutron-server" })
        {
            ports[service] = FreePorts.One();
        }

        Write("keystone/keystone.conf", $"""
            [DEFAULT]
            bind_host = 127.0.0.1
            bind_port = {ports["keystone"]}
            [database]
            connection = sqlite:///{State}/keystone.db
            [fernet_tokens]
            key_repository = {State}/fernet-keys
            [credential]
            key_repository = {State}/credential-keys
            """);
        Write("glance/glance-api.conf", $"""
            [DEFAULT]
            bind_host = 127.0.0.1
            bind_port = {ports["glance-api"]}
            node_staging_uri = file://{State}/staging
            [database]
            connection = sqlite:///{State}/glance.db
            [glance_store]
            filesystem_store_datadir = {State}/images
            {Credentials("keystone_authtoken", "glance")}
            """);
        Write("placement/placement.conf", $"""
            [DEFAULT]
            bind_host = 127.0.0.1
            bind_port = {ports["placement-api"]}
            [placement_database]
            connection = sqlite:///{State}/placement.db
            {Credentials("keystone_authtoken", "placement")}
            """);
        Write("nova/nova.conf", $"""
            [DEFAULT]
            host = node1
            osapi_compute_listen = 127.0.0.1
            osapi_compute_listen_port = {ports["nova-api"]}
            metadata_listen = 127.0.0.1
            metadata_listen_port = {ports["nova-metadata-api"]}
            enabled_apis = osapi_compute
            state_path = {State}/nova
            {Credentials("keystone_authtoken", "nova")}
            {Credentials("placement", "placement")}
            {Credentials("neutron", "neutron")}
            """);
        Write("nova/nova-api.conf", NovaDatabase);
        Write("nova/nova-conductor.conf", NovaDatabase);
        Write("nova/nova-scheduler.conf", NovaDatabase);
        Write("nova/nova-metadata-api.conf", NovaDatabase);
        Write("nova/nova-compute.conf", "[DEFAULT]\ncompute_driver = fake.FakeDriver");
        Write("neutron/neutron.conf", $"""
            [DEFAULT]
            host = node1
            bind_host = 127.0.0.1
            bind_port = {ports["neutron-server"]}
            state_path = {State}/neutron
            {Credentials("keystone_authtoken", "neutron")}
            {Credentials("nova", "nova")}
            """);
        Write("neutron/neutron-server.conf", $"[database]\nconnection = sqlite:///{State}/neutron.db");
        Write("neutron/plugins/ml2/ml2_conf.ini", "[ml2]\ntype_drivers = local,flat\ntenant_network_types = local");
        Write("neutron/plugins/ml2/openvswitch_agent.ini", $"[ovs]\novsdb_connection = unix:{State}/no-switch.sock\nof_listen_port = {FreePorts.One()}");
        Write("neutron/dhcp_agent.ini", $"[ovs]\novsdb_connection = unix:{State}/no-switch.sock");
        Write("neutron/l3_agent.ini", $"[ovs]\novsdb_connection = unix:{State}/no-switch.sock");
        Directory.CreateDirectory(State);
    }

    public string Root { get; } = Directory.CreateTempSubdirectory("sharpstack-test-").FullName;

    public string State => Path.Combine(Root, "state");

    private string NovaDatabase => $"[database]\nconnection = sqlite:///{State}/nova.db";

    public int Port(string service) => ports[service];

    public string Url(string service) => string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{Port(service)}");

    /// <summary>The arguments of a process that serves these.</summary>
    public string[] Arguments(params string[] services) => [.. services, "--config-dir", Root, "--data", State];

    /// <summary>Writes a file; one in <c>SERVICE/SERVICE.conf.d</c> is laid over the others.</summary>
    public string Write(string name, string content)
    {
        var path = Path.Combine(Root, name);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllText(path, content + "\n");
        return path;
    }

    public void Dispose() => Directory.Delete(Root, recursive: true);

    private string Credentials(string group, string user) =>
        $"""
        [{group}]
        auth_url = {Url("keystone")}
        auth_type = password
        username = {user}
        password = pw-{user}
        project_name = service
        user_domain_name = Default
        project_domain_name = Default
        """;
}
