using SharpStack.TestKit;

namespace SharpStack.ClusterKit;

/// <summary>
/// The configuration of a cluster as an operator of OpenStack writes it: a folder for the controller, with databases and ports of the cluster's own, and one for each compute host,
/// which names the message bus and no database.
/// </summary>
public sealed class ClusterFiles : IDisposable
{
    public const string AdminPassword = "pw-admin";

    private const string Mappings = "[ovs]\nbridge_mappings = physnet:br-physnet";

    private static readonly string[] Apis = ["keystone", "glance-api", "placement-api", "nova-api", "nova-metadata-api", "neutron-server"];

    private readonly Dictionary<string, int> ports;
    private readonly string extra;

    /// <param name="database">The SQLAlchemy URL of a service's database.</param>
    /// <param name="transport">The URL of the message bus for the controller's services.</param>
    /// <param name="sharpstack">Lines for <c>[sharpstack]</c> in nova.conf and neutron.conf of every node.</param>
    /// <param name="simulated">Hosts that the controller's process stands for, where all is one process.</param>
    /// <param name="metricsPort">Of that process; 0 for none.</param>
    public ClusterFiles(Func<string, string> database, string transport, string sharpstack = "", int simulated = 1, int metricsPort = 0)
    {
        ports = Apis.ToDictionary(api => api, _ => FreePorts.One());
        extra = sharpstack;
        MetricsPort = metricsPort;
        Directory.CreateDirectory(State("controller"));
        Write("controller", "keystone", $"""
            [DEFAULT]
            bind_host = 127.0.0.1
            bind_port = {ports["keystone"]}
            [database]
            connection = {database("keystone")}
            [fernet_tokens]
            key_repository = {State("controller")}/fernet-keys
            [credential]
            key_repository = {State("controller")}/credential-keys
            """);
        Write("controller", "glance", $"""
            [DEFAULT]
            bind_host = 127.0.0.1
            bind_port = {ports["glance-api"]}
            node_staging_uri = file://{State("controller")}/staging
            [database]
            connection = {database("glance")}
            [glance_store]
            filesystem_store_datadir = {State("controller")}/images
            {Credentials("keystone_authtoken", "glance")}
            """, "glance-api.conf");
        Write("controller", "placement", $"""
            [DEFAULT]
            bind_host = 127.0.0.1
            bind_port = {ports["placement-api"]}
            [placement_database]
            connection = {database("placement")}
            {Credentials("keystone_authtoken", "placement")}
            """);
        WriteNova("controller", transport, $"""
            [database]
            connection = {database("nova")}
            """, metricsPort, simulated);
        WriteNeutron("controller", transport, $"""
            [database]
            connection = {database("neutron")}
            [ml2]
            type_drivers = local,flat
            tenant_network_types = local
            {Mappings}
            """, metricsPort, simulated);
    }

    public string Root { get; } = Directory.CreateTempSubdirectory("sharpstack-cluster-").FullName;

    /// <summary>Of the one process; 0 for none.</summary>
    public int MetricsPort { get; }

    public string AuthUrl => $"{Url("keystone")}/v3";

    public string Url(string api) => $"http://127.0.0.1:{ports[api]}";

    public int Port(string api) => ports[api];

    public string Folder(string node) => Path.Combine(Root, node, "etc");

    public string State(string node) => Path.Combine(Root, node, "lib");

    /// <summary>Gives a service's process a port for its metrics.</summary>
    public void AddMetrics(string service, int port)
    {
        var project = service.Split('-')[0];
        File.AppendAllText(Path.Combine(Folder("controller"), project, service + ".conf"), $"\n[sharpstack]\nmetrics_port = {port}\n");
    }

    /// <summary>A compute host, or with more than one as many hosts in one process.</summary>
    public void AddHost(string name, string transport, int metricsPort, int simulated = 1)
    {
        Directory.CreateDirectory(State(name));
        WriteNova(name, transport, "", metricsPort, simulated);
        WriteNeutron(name, transport, Mappings, metricsPort, simulated);
    }

    public void Dispose() => Directory.Delete(Root, recursive: true);

    private void WriteNova(string node, string transport, string database, int metricsPort, int simulated) => Write(node, "nova", $"""
        [DEFAULT]
        host = {node}
        transport_url = {transport}
        osapi_compute_listen = 127.0.0.1
        osapi_compute_listen_port = {ports["nova-api"]}
        metadata_listen = 127.0.0.1
        metadata_listen_port = {ports["nova-metadata-api"]}
        enabled_apis = osapi_compute
        state_path = {State(node)}/nova
        compute_driver = fake.FakeDriver
        {database}
        {Sharpstack(metricsPort, simulated)}
        {Credentials("keystone_authtoken", "nova")}
        {Credentials("placement", "placement")}
        {Credentials("neutron", "neutron")}
        """);

    private void WriteNeutron(string node, string transport, string more, int metricsPort, int simulated) => Write(node, "neutron", $"""
        [DEFAULT]
        host = {node}
        transport_url = {transport}
        bind_host = 127.0.0.1
        bind_port = {ports["neutron-server"]}
        state_path = {State(node)}/neutron
        {more}
        {Sharpstack(metricsPort, simulated)}
        {Credentials("keystone_authtoken", "neutron")}
        {Credentials("nova", "nova")}
        """);

    private string Sharpstack(int metricsPort, int simulated) => $"[sharpstack]\nsimulated_hosts = {simulated}\n{(metricsPort == 0 ? "" : $"metrics_port = {metricsPort}\n")}{extra}";

    private void Write(string node, string project, string content, string? name = null)
    {
        var folder = Path.Combine(Folder(node), project);
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, name ?? project + ".conf"), content + "\n");
    }

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
