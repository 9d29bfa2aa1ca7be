using SharpStack.Lab.Definitions;

namespace SharpStack.Lab.Nodes;

/// <summary>Which services each node runs, and how.</summary>
public sealed class NodeServices
{
    // Neither tuned for minutes of warm-up nor with a heap for each processor: there are many of them on one machine, and they start at once. What runs often is compiled
    // anew only when nothing new has run for five seconds (0x1388 ms).
    private static readonly string[] Runtime = ["env", "DOTNET_TieredPGO=0", "DOTNET_TC_CallCountingDelayMs=1388", "DOTNET_gcServer=0"];

    private const string Keystone = "/etc/keystone/keystone.conf";
    private const string Neutron = "/etc/neutron/neutron.conf";
    private const string Nova = "/etc/nova/nova.conf";

    private static readonly (string Service, LabRoles Roles, string[] Files, int? Port)[] Cloud =
    [
        ("keystone", LabRoles.Controller, [Keystone], 5000),
        ("glance-api", LabRoles.Controller, ["/etc/glance/glance-api.conf"], 9292),
        ("placement-api", LabRoles.Controller, ["/etc/placement/placement.conf"], 8778),
        ("nova-api", LabRoles.Controller, [Nova], 8774),
        ("nova-conductor", LabRoles.Controller, [Nova], null),
        ("nova-scheduler", LabRoles.Controller, [Nova], null),
        ("nova-novncproxy", LabRoles.Controller, [Nova], 6080),
        ("neutron-server", LabRoles.Controller, [Neutron, "/etc/neutron/plugins/ml2/ml2_conf.ini"], 9696),
        ("neutron-openvswitch-agent", LabRoles.Network | LabRoles.Compute, [Neutron, "/etc/neutron/plugins/ml2/openvswitch_agent.ini"], null),
        ("neutron-dhcp-agent", LabRoles.Network, [Neutron, "/etc/neutron/dhcp_agent.ini"], null),
        ("neutron-metadata-agent", LabRoles.Network, [Neutron, "/etc/neutron/metadata_agent.ini"], null),
        ("neutron-l3-agent", LabRoles.Network, [Neutron, "/etc/neutron/l3_agent.ini"], null),
        ("nova-compute", LabRoles.Compute, [Nova, "/etc/nova/nova-compute.conf"], null),
    ];

    private readonly LabDefinition lab;
    private readonly LabProgram program;

    public NodeServices(LabDefinition lab, LabProgram program)
    {
        this.lab = lab;
        this.program = program;
    }

    /// <summary>The services of the lab that the program does not have.</summary>
    public IReadOnlyList<string> Missing =>
        [.. Cloud.Where(entry => !program.Services.Contains(entry.Service) && Belongs(entry.Service) && lab.Nodes.Any(node => (node.Roles & entry.Roles) != 0)).Select(entry => entry.Service)];

    /// <summary>The services of a node in the order of their groups.</summary>
    public IReadOnlyList<NodeService> Of(LabNode node) =>
    [
        .. node.Roles.HasFlag(LabRoles.Controller) ? Engines(node) : [],
        .. node.HasSwitch ? Switch() : [],
        .. node.Roles.HasFlag(LabRoles.Compute) ? [Libvirt()] : Array.Empty<NodeService>(),
        .. Cloud.Where(entry => (node.Roles & entry.Roles) != 0 && Belongs(entry.Service) && program.Services.Contains(entry.Service))
            .Select(entry => new NodeService(
                entry.Service,
                ServiceGroup.Cloud,
                [.. Runtime, program.Path, "serve", entry.Service, .. entry.Files.SelectMany(file => new[] { "--config-file", file })])
            {
                Port = entry.Port,
                NeedsBroker = entry.Service is not ("keystone" or "glance-api" or "placement-api"),
            }),
    ];

    /// <summary>Routers have their agent only in the labs that have routers.</summary>
    private bool Belongs(string service) => service != "neutron-l3-agent" || lab.Features.Contains(LabFeature.Routers);

    private static IEnumerable<NodeService> Engines(LabNode node) =>
    [
        new NodeService("mariadb", ServiceGroup.Engine, ["mariadbd", "--user=mysql"])
        {
            // A folder that a crash left half made never has the name.
            Prepare =
                """
                install -d -o mysql -g mysql -m 755 /run/mysqld
                install -d /var/log/mysql
                chown mysql /etc/mysql/openstack.sql
                if [ ! -d /var/lib/mysql ]; then
                  rm -rf /var/lib/mysql.new; install -d -o mysql -g mysql -m 700 /var/lib/mysql.new
                  mariadb-install-db --no-defaults --user=mysql --datadir=/var/lib/mysql.new --skip-test-db --auth-root-authentication-method=normal >/dev/null
                  mv /var/lib/mysql.new /var/lib/mysql
                fi
                """,
            Port = 3306,
        },
        new NodeService(
            "rabbitmq",
            ServiceGroup.Engine,
            [
                "setpriv", "--reuid=rabbitmq", "--regid=rabbitmq", "--init-groups", "--", "env", "HOME=/var/lib/rabbitmq", $"RABBITMQ_NODENAME=rabbit@{node.Name}", "RABBITMQ_LOGS=-",
                // Schedulers that wait without burning a processor that others need.
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=+sbwt none +sbwtdcpu none +sbwtdio none", "/usr/lib/rabbitmq/bin/rabbitmq-server",
            ])
        {
            Prepare =
                """
                for folder in /var/lib/rabbitmq /var/log/rabbitmq /run/rabbitmq; do install -d -o rabbitmq -g rabbitmq -m 750 $folder; done
                chown rabbitmq /etc/rabbitmq/openstack.json
                """,
            Port = 5672,
            OwnsChildren = true,
        },
        new NodeService("memcached", ServiceGroup.Engine, ["memcached", "-u", "memcache", "-m", "64", "-p", "11211", "-l", node.Address]) { Port = 11211 },
    ];

    private static IEnumerable<NodeService> Switch() =>
    [
        // The database is new at each start of the node: what the switch held of another life is no longer there.
        new NodeService(
            "ovsdb-server",
            ServiceGroup.Host,
            [
                "ovsdb-server", "/run/openvswitch/conf.db", "--remote=punix:/run/openvswitch/db.sock", "--remote=db:Open_vSwitch,Open_vSwitch,manager_options",
                "--pidfile=/run/openvswitch/ovsdb-server.pid", "-vsyslog:off", "-vconsole:info",
            ])
        {
            Prepare = "mkdir -p /run/openvswitch\n[ -e /run/openvswitch/conf.db ] || ovsdb-tool create /run/openvswitch/conf.db /usr/share/openvswitch/vswitch.ovsschema",
            Socket = "/run/openvswitch/db.sock",
        },
        new NodeService(
            "ovs-vswitchd",
            ServiceGroup.Host,
            ["ovs-vswitchd", "unix:/run/openvswitch/db.sock", "--pidfile=/run/openvswitch/ovs-vswitchd.pid", "-vsyslog:off", "-vconsole:info"])
        {
            Prepare = "ovs-vsctl --retry --timeout=30 --no-wait init",
        },
    ];

    private static NodeService Libvirt() => new("libvirtd", ServiceGroup.Host, ["libvirtd", "--pid-file", "/run/libvirtd.pid"])
    {
        Prepare = "for folder in /run/libvirt /var/lib/libvirt /var/log/libvirt /var/cache/libvirt; do mkdir -p $folder; done",
        Socket = "/run/libvirt/libvirt-sock",
    };
}

/// <summary>The program that the nodes run.</summary>
/// <param name="Path">Absolute.</param>
/// <param name="Services">Those that it has, by OpenStack's names.</param>
public sealed record LabProgram(string Path, IReadOnlySet<string> Services);
